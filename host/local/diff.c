/* The merge patch between two documents. */
#include "local/local_int.h"

static void add_changed(struct json_object *before, struct json_object *after, struct json_object *patch) {
  json_object_object_foreach (after, key, v) {
    struct json_object *old = json_get(before, key);
    if (json_equal(old, v))
      continue;
    struct json_object *part =
        json_is(old, json_type_object) && json_is(v, json_type_object) ? merge_diff(old, v) : json_copy(v);
    (void)json_put(patch, key, part);
  }
}

struct json_object *merge_diff(struct json_object *before, struct json_object *after) {
  struct json_object *patch = json_object_new_object();

  add_changed(before, after, patch);
  if (before) {
    json_object_object_foreach (before, key, unused) {
      (void)unused;
      if (!json_has(after, key))
        (void)json_put(patch, key, NULL);
    }
  }
  if (!json_empty(patch))
    return patch;
  json_unref(patch);
  return NULL;
}
