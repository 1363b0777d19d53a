/* YAML text: whatever is taken is written and reads back as the same document. */
#include "base/yaml.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ome_err err = ERR_INIT;
  struct json_object *o = NULL;
  struct json_object *back = NULL;
  struct buf out = BUF_INIT;

  if (yaml_parse_one("fuzz", (const char *)data, size, &o, &err) != OME_OK)
    return 0;
  yaml_write(&out, o);
  if (yaml_parse_one("again", buf_str(&out), out.len, &back, &err) != OME_OK || !json_equal(o, back))
    abort();
  buf_fini(&out);
  json_unref(back);
  json_unref(o);
  return 0;
}
