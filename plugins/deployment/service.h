/* The Service of one component. */
#ifndef PLUGINS_DEPLOYMENT_SERVICE_H
#define PLUGINS_DEPLOYMENT_SERVICE_H

#include "../common/doc.h"

/* The Service named as the component's app label, selecting SELECTOR (taken). */
struct json_object *component_service(struct json_object *component, struct json_object *selector);

#endif
