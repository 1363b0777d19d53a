/* Which component requests enter through. */
#ifndef PLUGINS_COMMON_ENTRY_H
#define PLUGINS_COMMON_ENTRY_H

#include "doc.h"

/* The component of KIND; NULL: the service has none. */
struct json_object *entry_component(struct json_object *components, const char *kind);
/* The router, else the engine. */
struct json_object *entry_of_service(struct json_object *components);

#endif
