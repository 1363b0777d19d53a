/* What pods take of a node's resources (Kubernetes: "Resource Management for Pods and Containers").  Pure. */
#ifndef HOST_API_PODRESOURCES_H
#define HOST_API_PODRESOURCES_H

#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>

/* What POD asks for of RESOURCE, in thousandths: the sum over containers and sidecars, or the largest init container if
 * that is more.  A limit without a request is one. */
int64_t pod_request_milli(struct json_object *pod, const char *resource);

/* Whether POD is bound to a node and has not ended, so that what it asks for is taken. */
bool pod_takes_resources(struct json_object *pod);

#endif
