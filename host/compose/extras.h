/* Objects that belong to a service whatever plugins deploy it.  Pure. */
#ifndef HOST_COMPOSE_EXTRAS_H
#define HOST_COMPOSE_EXTRAS_H

#include "base/json.h"

/* Appends to OBJECTS the ConfigMap modelconfig-NAME (MODEL may be NULL: none; WEIGHTS are those beside it) and, when
 * the service has a router and the cluster knows RBAC, the ServiceAccount, Role and RoleBinding with which the router
 * finds its engines: pods of its own namespace, read only.  ROUTER is the router's component document, or NULL. */
int32_t extras_render(struct json_object *service, struct json_object *model, struct json_object *weights,
                      struct json_object *router, struct json_object *cluster, struct json_object *objects,
                      struct ome_err *err);

#endif
