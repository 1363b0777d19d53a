/* Pod templates, as all deployment plugins make them. */
#ifndef PLUGINS_DEPLOYMENT_TEMPLATE_H
#define PLUGINS_DEPLOYMENT_TEMPLATE_H

#include "../common/doc.h"

#define TEMPLATE_NAME_TAIL 50 /* bytes of a component's name in names of groups and Ray clusters */

/* What the API server would fill in; written out, so that it does not depend on the server. */
void template_default_pod(struct json_object *pod);

/* The serving container is ready when PORT is open, unless it says something better. */
void template_default_readiness(struct json_object *pod, int64_t port);

/* new: {metadata: {labels, annotations}, spec: POD}, the maps copies of the component's. */
struct json_object *template_new(struct json_object *component, struct json_object *pod);

/* new: what the component's Service selects: the label app.  Workers do not carry it. */
struct json_object *template_selector(struct json_object *component);

/* The end of the component's name; a part of it. */
const char *template_name_tail(struct json_object *component);

#endif
