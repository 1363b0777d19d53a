#include "api/schema.h"

const struct schema *schema_builtin(const char *group, const char *version, const char *kind) {
  (void)group;
  (void)version;
  (void)kind;
  return NULL;
}

struct json_object *api_crds(void) {
  return json_object_new_array();
}
