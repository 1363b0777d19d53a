/* Strategic merge patch and server-side apply, which read the same kind of document: the input is [object, patch]. What
 * was applied once changes nothing when it is applied again. */
#include "../unit/apiserver/schemas.h"
#include "apiserver/patch.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void apply_twice(struct json_object *live, struct json_object *applied, const struct schema *schema) {
  struct manager_info who = {.manager = "fuzz", .api_version = "v1", .subresource = "", .now_s = 1};
  struct json_object *once = NULL, *twice = NULL, *conflicts = NULL;
  struct ome_err err = ERR_INIT;

  if (apply_merge(live, applied, schema, &who, true, &once, &conflicts, &err) != OME_OK)
    return;
  who.now_s = 2;
  if (apply_merge(once, applied, schema, &who, true, &twice, &conflicts, &err) == OME_OK && !json_equal(once, twice))
    abort();
  (void)apply_track_update(live, twice, schema, &who, &err);
  json_unref(once);
  json_unref(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ome_err err = ERR_INIT;
  struct json_object *pair = NULL, *out = NULL;

  if (!protocol_schema.dflt)
    (void)schemas_setup(NULL);
  if (json_parse((const char *)data, size, 0, &pair, &err) != OME_OK)
    return 0;
  char *before = json_text(pair);
  (void)patch_strategic(json_index(pair, 0), json_index(pair, 1), &workload_schema, &out, &err);
  apply_twice(json_index(pair, 0), json_index(pair, 1), &workload_schema);
  apply_twice(json_index(pair, 0), json_index(pair, 1), &thing_schema);
  char *after = json_text(pair);
  if (!before || !after || strcmp(before, after) != 0)
    abort();
  free(before);
  free(after);
  json_unref(out);
  json_unref(pair);
  return 0;
}
