/* What a service runs already, as its status has it. */
#ifndef HOST_SELECT_INCUMBENT_H
#define HOST_SELECT_INCUMBENT_H

#include "select/select.h"

/* Puts the runtime that SERVICE's status.selection names first among the ranked candidates and chooses it, with a
 * reason: where the service is pinned (annotation ome.io/runtime-selection: pinned) whatever is better or speaks
 * against it, otherwise where the first is no better by score.  False: it does not stay. */
bool incumbent_keep(struct selection *s, struct json_object *service);

#endif
