/* Strategic merge of pod-shaped documents, with the list keys of the API's own schema.  Pure. */
#ifndef HOST_COMPOSE_MERGE_H
#define HOST_COMPOSE_MERGE_H

#include "base/json.h"

/* A component of a runtime (BASE, may be NULL) with what the service says (PATCH) merged over it: pod fields,
 * extension fields, runner, leader, worker, config.  A runner without a name keeps the runtime's.  *OUT is new. */
int32_t merge_component(struct json_object *base, struct json_object *patch, struct json_object **out,
                        struct ome_err *err);

/* PATCH over the container BASE. */
int32_t merge_container(struct json_object *base, struct json_object *patch, struct json_object **out,
                        struct ome_err *err);

#endif
