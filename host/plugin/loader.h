/* Shared objects, through libltdl with a loader of our own behind it.
 *
 * libltdl's stock loader binds lazily: an unresolved symbol would end the process at its first call. Ours opens with
 * RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE and gives dlerror()'s own words. Nothing is ever unloaded. */
#ifndef HOST_PLUGIN_LOADER_H
#define HOST_PLUGIN_LOADER_H

#include "base/err.h"

#include <ome/abi.h>

/* Checks who may write PATH (absolute), that it is an ELF shared object for this machine and, when SHA256_HEX is not
 * NULL, its digest; loads it, and calls its entry. One mutex around libltdl.  [any-thread] */
int32_t loader_open(const char *path, const char *sha256_hex, const struct ome_plugin **out, struct ome_err *err);

#endif
