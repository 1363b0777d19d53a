/* Whether a component has the shape that composition relies on.  CRDs keep pod fields as they come (their schemas would
 * be megabytes), so that nobody has looked before. */
#ifndef HOST_COMPOSE_SHAPE_H
#define HOST_COMPOSE_SHAPE_H

#include "base/json.h"

/* O is a component of a service or runtime, or NULL.  OME_E_INVALID names the field below WHERE that is of another type
 * than it must be, or a name that is there twice. */
int32_t shape_check_component(struct json_object *o, const char *where, struct ome_err *err);

/* Labels and annotations of an object's metadata. */
int32_t shape_check_metadata(struct json_object *o, const char *where, struct ome_err *err);

#endif
