/* Services that would share the name of an object.  Pure. */
#ifndef HOST_COMPOSE_CLASH_H
#define HOST_COMPOSE_CLASH_H

#include "base/strmap.h"
#include "compose/plan.h"

/* Refuses PLAN for each of its objects that a plan before it wants under the same name, else adds its objects to NAMES:
 * a map of strmap_new(free), empty at first.  In a cluster the object that is there already decides who comes first. */
int32_t clash_check(struct strmap *names, struct plan *plan, struct ome_err *err);

#endif
