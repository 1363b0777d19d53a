/* What a pod's status says, from what its processes do.  Pure. */
#ifndef HOST_LOCAL_PODSTATUS_H
#define HOST_LOCAL_PODSTATUS_H

#include "base/json.h"

/* What the runner reports of one pod, as a document:
 *
 *   {"reason": ..., "message": ...,           why the pod as a whole is over (DeadlineExceeded); absent: it is not
 *    "containers": [{"role": "init"|"sidecar"|"main", "over": bool, "status": {a v1.ContainerStatus}}, ...]}
 *
 * "over" says that the container ended and is not started again. */

/* The next status of POD.  REPORT NULL: nothing runs yet.  WHY_WAITING (may be NULL) is the reason that all containers
 * wait for then, MESSAGE (may be NULL) its sentence.  New. */
struct json_object *pod_status(struct json_object *pod, struct json_object *report, const char *why_waiting,
                               const char *message, const char *pod_ip, const char *host_ip, int64_t now_ms);

/* The status of a pod that no node takes, and why. New. */
struct json_object *pod_status_unscheduled(struct json_object *pod, const char *reason, const char *message,
                                           int64_t now_ms);

/* "Guaranteed", "Burstable" or "BestEffort". */
const char *pod_qos(struct json_object *pod);

#endif
