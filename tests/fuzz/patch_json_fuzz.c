/* JSON patch: the input is [document, patch]. */
#include "apiserver/patch.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ome_err err = ERR_INIT;
  struct json_object *pair = NULL, *out = NULL;

  if (json_parse((const char *)data, size, 0, &pair, &err) != OME_OK)
    return 0;
  char *before = json_text(pair);
  (void)patch_json(json_index(pair, 0), json_index(pair, 1), &out, &err);
  char *after = json_text(pair);
  if (!before || !after || strcmp(before, after) != 0)
    abort();
  free(before);
  free(after);
  json_unref(out);
  json_unref(pair);
  return 0;
}
