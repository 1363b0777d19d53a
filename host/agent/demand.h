/* Who uses a model on this node: pods of the node and services, as they come and go.  [any-thread] */
#ifndef HOST_AGENT_DEMAND_H
#define HOST_AGENT_DEMAND_H

#include "base/cleanup.h"
#include "base/json.h"

struct demand;

struct demand *demand_new(void); /* NULL: out of memory */
void demand_free(struct demand *d);
DEFINE_CLEANUP(struct demand *, demand_free)

/* USER is as it is now.  A pod uses the models whose labels it selects its node by and those whose folders it mounts,
 * until it is over; an InferenceService the models of spec.model.overlays.  Whether anything of that is new. */
bool demand_put(struct demand *d, struct json_object *user);
bool demand_drop(struct demand *d, struct json_object *user); /* gone; whether it used anything */
/* Whether one uses the model of LABEL (a label of nodes) in the folder PATH. */
bool demand_has(struct demand *d, const char *label, const char *path);

/* The first model that SERVICE names, borrowed; NULL: none.  Pure. */
const char *demand_model_of(struct json_object *service);

#endif
