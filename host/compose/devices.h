/* Accelerators as a container's resources name them.  Pure. */
#ifndef HOST_COMPOSE_DEVICES_H
#define HOST_COMPOSE_DEVICES_H

#include "base/json.h"

#include <stdbool.h>

/* Makes the container ask for the devices of CLASS (an AcceleratorClass; NULL: nothing to do) instead of those of other
 * vendors.  How many: what the container asks for where that is more than the class states, so that a class that
 * describes one device takes no devices away from a runtime that needs eight. */
bool devices_take(struct json_object *container, struct json_object *class);

#endif
