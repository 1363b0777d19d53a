/* Fields of OME 1.3 that are taken, stored, and have no effect here.  Pure. */
#ifndef HOST_COMPOSE_INERT_H
#define HOST_COMPOSE_INERT_H

#include "base/json.h"

/* new array of sentences, one for each such field that SERVICE has: who writes it should not wait for what it promises.
 * NULL: memory ran out. */
struct json_object *inert_fields(struct json_object *service);

/* OME_E_INVALID: spec.scalingPolicy asks for more than independent components, which OME refuses too. */
int32_t inert_check(struct json_object *service, struct ome_err *err);

#endif
