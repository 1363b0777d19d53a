#include "entry.h"

#include <string.h>

struct json_object *entry_component(struct json_object *components, const char *kind) {
  for (size_t i = 0; i < doc_len(components); i++)
    if (strcmp(doc_str(doc_item(components, i), "component", ""), kind) == 0)
      return doc_item(components, i);
  return NULL;
}

struct json_object *entry_of_service(struct json_object *components) {
  struct json_object *router = entry_component(components, "router");

  return router ? router : entry_component(components, "engine");
}
