/* A watch event read without a tree: where a parser reads it too, both say the same. */
#include "kube/glimpse.h"

#include "base/json.h"
#include "base/str.h"
#include "kube/entry.h"
#include "kube/meta.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  _cleanup_json_ struct json_object *event = NULL;
  struct ome_err err = ERR_INIT;
  struct glimpse g;

  if (!glimpse_event((const char *)data, size, &g) || json_parse((const char *)data, size, 0, &event, &err) != OME_OK)
    return 0;
  struct json_object *o = json_at(event, "object");
  _cleanup_free_ char *key = entry_key(meta_namespace(o), meta_name(o));
  const char *type = json_str(event, "type", "");
  if (!key || !streq(key, g.key) || !streq(json_str(o, "metadata.resourceVersion", ""), g.version) ||
      !(streq(type, "ADDED") || streq(type, "MODIFIED")))
    abort();
  return 0;
}
