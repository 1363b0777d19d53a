/* A foreign CRD's schema, then an object judged by it: "<schema>\0<object>". */
#include "api/schema.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const struct schema *s, const char *text, size_t len) {
  _cleanup_json_ struct json_object *unknown = json_object_new_array();
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;
  struct field_errors errors = {{0}};

  if (json_parse(text, len, 0, &o, &err) == OME_OK && json_is(o, json_type_object)) {
    schema_prune(s, o, unknown);
    schema_default(s, o);
    schema_validate(s, o, NULL, &errors);
    (void)schema_decode(s, o, &err);
  }
  field_errors_fini(&errors);
  json_unref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *text = (const char *)data;
  const char *end = size ? memchr(text, '\0', size) : NULL;
  size_t len = end ? (size_t)(end - text) : size;
  struct json_object *openapi = NULL;
  struct schema_doc *doc = NULL;
  struct ome_err err = ERR_INIT;

  if (json_parse(text, len, 0, &openapi, &err) == OME_OK && schema_from_openapi(openapi, &doc, &err) == OME_OK) {
    json_unref(schema_to_openapi(schema_root(doc), true));
    if (end)
      judge(schema_root(doc), end + 1, size - len - 1);
  }
  schema_doc_free(doc);
  json_unref(openapi);
  return 0;
}
