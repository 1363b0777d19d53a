/* kubectl's way from client-side to server-side apply: the last-applied annotation. */
#include "apiserver/apply_internal.h"

#include "base/str.h"

#include <string.h>

#define ANNOTATIONS_MAX ((size_t)256 << 10) /* all keys and values together */

static const char *annotation_of(struct json_object *obj) {
  struct json_object *v = json_get(json_at(obj, "metadata.annotations"), LAST_APPLIED);

  return json_as_str(v, NULL);
}

const struct fieldset *apply_last_applied_fields(struct fieldset_pool *pool, const struct schema *s,
                                                 struct json_object *live, const char *api_version) {
  _cleanup_json_ struct json_object *last = NULL;
  const char *text = annotation_of(live);
  struct ome_err err = ERR_INIT;
  struct typed_diff diff;

  if (!text || json_parse(text, strlen(text), 0, &last, &err) != OME_OK ||
      !streq(json_str(last, "apiVersion", ""), api_version) || typed_validate(pool, s, last, false, &err) != OME_OK ||
      !typed_compare(pool, s, last, live, &diff))
    return NULL;
  const struct fieldset *held = typed_fields(pool, s, last);
  held = fieldset_subtract(pool, held, diff.modified);
  held = fieldset_subtract(pool, held, diff.added);
  return fieldset_subtract(pool, held, diff.removed);
}

static size_t annotations_size(struct json_object *annotations) {
  size_t n = 0;

  json_object_object_foreach (annotations, key, v) {
    n += strlen(key) + (size_t)json_object_get_string_len(v);
  }
  return n;
}

bool apply_set_last_applied(struct json_object *obj, struct json_object *applied) {
  struct json_object *annotations = json_at(obj, "metadata.annotations");
  _cleanup_json_ struct json_object *config = json_copy(applied);
  _cleanup_free_ char *text = NULL, *line = NULL;

  if (!annotation_of(obj))
    return true;
  struct json_object *own = json_at(config, "metadata.annotations");
  if (json_is(own, json_type_object))
    json_object_object_del(own, LAST_APPLIED);
  if (own && json_empty(own))
    json_del(config, "metadata.annotations");
  text = json_canonical(config);
  line = text ? str_printf("%s\n", text) : NULL;
  if (!line || !json_put_str(annotations, LAST_APPLIED, line))
    return false;
  if (annotations_size(annotations) > ANNOTATIONS_MAX)
    json_object_object_del(annotations, LAST_APPLIED);
  return true;
}
