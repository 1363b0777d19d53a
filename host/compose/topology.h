/* Where a component's pods stand to each other (OME 1.3's topology keys).  Pure; false: memory ran out. */
#ifndef HOST_COMPOSE_TOPOLOGY_H
#define HOST_COMPOSE_TOPOLOGY_H

#include "base/json.h"

#include <stdbool.h>

/* topologySpread of MERGED: replicas, each by POD, its leader where it is a group, with label app=APP, go evenly over
 * the values of a node label. */
bool topology_spread(struct json_object *merged, const char *app, struct json_object *pod);

/* topologyKey of MERGED: WORKER, of a LeaderWorkerSet, goes where the leader of its own group is. */
bool topology_gather(struct json_object *merged, struct json_object *worker);

#endif
