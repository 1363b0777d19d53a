/* Protobuf bodies: whatever is taken is JSON that reads back. */
#include "apiserver/kube_pb.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ome_err err = ERR_INIT;
  struct json_object *o = NULL, *back = NULL;

  if (kube_pb_decode(data, size, &o, &err) != OME_OK)
    return 0;
  char *text = json_text(o);
  if (!text || json_parse(text, strlen(text), SIZE_MAX, &back, &err) != OME_OK)
    abort();
  free(text);
  json_unref(back);
  json_unref(o);
  return 0;
}
