/* {{.Name}}, {{.Namespace}}, {{.Labels.KEY}} and {{.Annotations.KEY}} in a container's strings.  Anything else between
 * braces, such as a Jinja chat template, is left as it is. */
#ifndef HOST_COMPOSE_PLACEHOLDER_H
#define HOST_COMPOSE_PLACEHOLDER_H

#include "base/json.h"

/* Expands every string below O in place from SERVICE's metadata.  False when memory ran out. */
bool placeholders_expand(struct json_object *o, struct json_object *service);

#endif
