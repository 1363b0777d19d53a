/* fieldsV1: whatever is taken is written, read back and is the same. */
#include "apiserver/apply_fieldset.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *arg, const char *path) {
  (void)arg;
  (void)path;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fieldset_pool pool = {0};
  const struct fieldset *set = NULL, *back = NULL;
  struct ome_err err = ERR_INIT;
  struct json_object *o = NULL;

  if (json_parse((const char *)data, size, 0, &o, &err) != OME_OK)
    return 0;
  if (fieldset_parse(&pool, o, &set, &err) == OME_OK) {
    struct json_object *again = fieldset_to_json(set);
    if (fieldset_parse(&pool, again, &back, &err) != OME_OK || !fieldset_equal(set, back) ||
        !fieldset_empty(fieldset_subtract(&pool, set, back)))
      abort();
    fieldset_each(set, ignore, NULL);
    json_unref(again);
  }
  fieldset_pool_fini(&pool);
  json_unref(o);
  return 0;
}
