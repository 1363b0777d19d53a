/* Whether a server-side apply would change anything: what lets an idle controller write nothing.  Pure. */
#ifndef HOST_CONTROLLER_DIFF_H
#define HOST_CONTROLLER_DIFF_H

#include "base/json.h"

/* Whether applying WANT as MANAGER to LIVE would change it: LIVE lacks something of WANT or says something else, or
 * MANAGER owns fields (metadata.managedFields) that WANT has no more, or owns nothing yet.  Quantities that are equal
 * in value ("1" and "1000m") are equal; what is empty in WANT may be absent in LIVE. */
bool diff_apply_needed(struct json_object *want, struct json_object *live, const char *manager);

/* One difference: what stands at PATH ("spec.replicas", "spec.ports[1].port") now (NULL: nothing) and would after an
 * apply (NULL: nothing).  PATH "" is for fields that MANAGER gives up. */
typedef void diff_fn(void *arg, const char *path, struct json_object *live, struct json_object *want);

/* Reports what an apply of WANT as MANAGER would change in LIVE; nothing exactly when diff_apply_needed() says so. */
void diff_report(struct json_object *want, struct json_object *live, const char *manager, diff_fn *fn, void *arg);

#endif
