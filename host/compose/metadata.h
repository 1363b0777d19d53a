/* Labels and annotations of a component's objects.  Pure. */
#ifndef HOST_COMPOSE_METADATA_H
#define HOST_COMPOSE_METADATA_H

#include "compose/component.h"

/* new objects; NULL when memory ran out.  MERGED is the merged component. */
struct json_object *component_labels(const struct component_request *req, struct json_object *merged);
struct json_object *component_annotations(const struct component_request *req, struct json_object *merged);

#endif
