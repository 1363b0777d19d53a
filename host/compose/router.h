/* The router of a service that brings none: SGLang's, which finds engines by their labels.  Pure. */
#ifndef HOST_COMPOSE_ROUTER_H
#define HOST_COMPOSE_ROUTER_H

#include "base/json.h"

#include <stdbool.h>

/* Whether the merged router component says itself what is to run. */
bool router_is_own(struct json_object *merged);

/* A routerConfig for SERVICE, to merge its own part over: image, policy and resources are those of the key `router` of
 * CLUSTER's configuration; prefill and decode apart where there is a decoder.  PEERS are the component documents of
 * engine and decoder.  *OUT is new.  OME_E_INVALID: it could not find both. */
int32_t router_template(struct json_object *service, struct json_object *peers, struct json_object *cluster,
                        struct json_object **out, struct ome_err *err);

#endif
