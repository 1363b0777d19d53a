/* Whether a pod may run on the one node there is.  Pure. */
#ifndef HOST_LOCAL_SCHEDULE_H
#define HOST_LOCAL_SCHEDULE_H

#include "base/json.h"

/* NULL when POD fits on NODE beside the pods in PODS (array; those of other nodes and finished ones do not count);
 * otherwise the sentence of its Unschedulable condition ("0/1 nodes are available: ..."), new. */
char *schedule_refusal(struct json_object *pod, struct json_object *node, struct json_object *pods);

#endif
