/* What Jobs of ours have in common: containers that say lines of JSON, {"event": ...}, and pods that cannot run.  Pure.
 */
#ifndef HOST_COMPOSE_JOBS_H
#define HOST_COMPOSE_JOBS_H

#include "base/json.h"

#define OME_IMAGE "ome:" OME_VERSION /* where no other is configured */

/* new: the last event in LOG, the tail of a container's log; NULL: there is none. */
struct json_object *job_last_event(const char *log);

/* What keeps POD from running: the first container that waits for more than a moment, or ended badly, or that there is
 * no node for it; false: nothing. */
#define JOB_TROUBLE_TEXT 700
bool job_pod_trouble(struct json_object *pod, char out[JOB_TROUBLE_TEXT]);

#endif
