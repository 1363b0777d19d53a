/* ome-sdk/sdk.h - all of the SDK's headers. */
#ifndef OME_SDK_SDK_H
#define OME_SDK_SDK_H

#include <ome-sdk/config.h>
#include <ome-sdk/error.h>
#include <ome-sdk/text.h>

#endif
