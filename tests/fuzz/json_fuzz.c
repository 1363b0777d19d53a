/* JSON text: whatever is taken prints, reads back and is the same. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ome_err err = ERR_INIT;
  struct json_object *o = NULL;

  if (json_parse((const char *)data, size, 0, &o, &err) != OME_OK)
    return 0;
  struct json_object *back = NULL;
  char *text = json_canonical(o);
  if (!text || json_parse(text, strlen(text), SIZE_MAX, &back, &err) != OME_OK)
    abort();
  char *again = json_canonical(back);
  if (!again || strcmp(text, again) != 0)
    abort();
  free(again);
  free(text);
  json_unref(json_merge_patch(json_copy(o), back));
  json_unref(back);
  json_unref(o);
  return 0;
}
