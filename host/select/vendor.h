/* What the vendors' device plugins and node labellers call things.  Pure. */
#ifndef HOST_SELECT_VENDOR_H
#define HOST_SELECT_VENDOR_H

#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether pods that ask for RESOURCE get accelerators: "nvidia.com/gpu", a MIG slice, "google.com/tpu", ... */
bool vendor_is_device(const char *resource);

/* The I-th resource that VENDOR's ("nvidia", as AcceleratorClasses write it, in any case) device plugins hand out;
 * NULL: there are no more. */
const char *vendor_resource(const char *vendor, size_t i);

/* How many accelerators a container (limits, else requests) asks for; 0: none. */
int64_t vendor_devices_of(struct json_object *container);

/* What the labels of NODE say against it having the devices of CLASS (an AcceleratorClass): false where Node Feature
 * Discovery names the node's PCI devices and none has the class's ids, or where NVIDIA's GPU Feature Discovery names
 * another memory.  Where no label speaks, true. */
bool vendor_labels_allow(struct json_object *class, struct json_object *node);

#endif
