/* Expressions of strangers' CRDs: compiled, and evaluated where they compile. */
#include "cel/cel.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool any_field(const void *schema, const char *name, struct cel_type *out) {
  (void)schema, (void)name;
  *out = (struct cel_type){.kind = CEL_DYN};
  return true;
}

static struct cel_type any_elem(const void *schema) {
  (void)schema;
  return (struct cel_type){.kind = CEL_DYN};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct cel_schema_ops ops = {any_field, any_elem};
  _cleanup_json_ struct json_object *self =
      json_tokener_parse("{\"a\":1,\"s\":\"text\",\"l\":[1,2,3],\"m\":{\"x\":\"y\"},\"d\":1.5,\"n\":null}");
  struct cel_program *p = NULL;
  struct ome_err err = ERR_INIT;
  char text[2048];
  bool truth;

  if (size >= sizeof(text))
    return 0;
  memcpy(text, data, size);
  text[size] = '\0';
  if (cel_compile(text, (struct cel_type){.kind = CEL_DYN}, &ops, CEL_BOOL, &p, &err) == OME_OK)
    (void)cel_eval_bool(p, self, self, &truth, &err);
  cel_program_free(p);
  return 0;
}
