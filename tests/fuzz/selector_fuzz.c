/* Label and field selectors as they come in a query. */
#include "api/selector.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char text[4096];
  struct ome_err err = ERR_INIT;
  _cleanup_json_ struct json_object *o = json_tokener_parse("{\"a\":\"b\",\"metadata\":{\"name\":\"n\"}}");
  struct selector *labels = NULL;
  struct selector *fields = NULL;

  if (size >= sizeof(text))
    return 0;
  memcpy(text, data, size);
  text[size] = '\0';
  if (selector_parse(text, &labels, &err) == OME_OK)
    (void)selector_match(labels, o);
  if (field_selector_parse(text, &fields, &err) == OME_OK)
    (void)field_selector_match(fields, o);
  selector_free(labels);
  selector_free(fields);
  return 0;
}
