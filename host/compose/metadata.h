/* Labels and annotations of a component's objects.  Pure. */
#ifndef HOST_COMPOSE_METADATA_H
#define HOST_COMPOSE_METADATA_H

#include "compose/component.h"

/* new objects; NULL when memory ran out.  MERGED is the merged component. */
struct json_object *component_labels(const struct component_request *req, struct json_object *merged);
struct json_object *component_annotations(const struct component_request *req, struct json_object *merged);

/* new: a copy of an owner's labels, or of its annotations but those that are its own affair. */
struct json_object *metadata_inherited(struct json_object *from, bool annotations);
/* Adds what queueing systems read to LABELS, where ANNOTATIONS name a queue. */
bool metadata_queue_labels(struct json_object *labels, struct json_object *annotations);

#endif
