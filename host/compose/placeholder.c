#include "compose/placeholder.h"

#include "base/buf.h"
#include "base/str.h"

#include <string.h>

/* The value of the reference [s, s+len) without its braces; NULL: not one of ours. */
static const char *lookup(struct json_object *metadata, const char *s, size_t len) {
  static const struct {
    const char *prefix;
    const char *map;
  } maps[] = {{".Labels.", "labels"}, {".Annotations.", "annotations"}};
  char key[256];

  while (len && s[0] == ' ')
    s++, len--;
  while (len && s[len - 1] == ' ')
    len--;
  if (len == 0 || len >= sizeof(key))
    return NULL;
  memcpy(key, s, len);
  key[len] = '\0';
  if (streq(key, ".Name"))
    return json_str(metadata, "name", "");
  if (streq(key, ".Namespace"))
    return json_str(metadata, "namespace", "default");
  for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
    if (!has_prefix(key, maps[i].prefix))
      continue;
    struct json_object *v = json_get(json_get(metadata, maps[i].map), key + strlen(maps[i].prefix));
    return v ? json_object_get_string(v) : NULL;
  }
  return NULL;
}

/* new: TEXT expanded; NULL: nothing to expand, or memory ran out (*OK false). */
static char *expand(const char *text, struct json_object *metadata, bool *ok) {
  _cleanup_buf_ struct buf out = BUF_INIT;
  bool changed = false;

  for (const char *open; (open = strstr(text, "{{")) != NULL;) {
    const char *close = strstr(open, "}}");
    if (!close)
      break;
    const char *value = lookup(metadata, open + 2, (size_t)(close - open - 2));
    buf_add(&out, text, (size_t)(open - text));
    if (value)
      buf_adds(&out, value);
    else
      buf_add(&out, open, 2);
    text = value ? close + 2 : open + 2;
    changed |= value != NULL;
  }
  if (!changed)
    return NULL;
  buf_adds(&out, text);
  *ok = buf_ok(&out);
  return *ok ? buf_take(&out) : NULL;
}

static bool expand_value(struct json_object *v, struct json_object *metadata) {
  bool ok = true;

  if (!json_is(v, json_type_string))
    return true;
  _cleanup_free_ char *text = expand(json_object_get_string(v), metadata, &ok);
  return ok && (!text || json_object_set_string(v, text));
}

static bool walk(struct json_object *o, struct json_object *metadata) {
  bool ok = true;

  if (json_is(o, json_type_object)) {
    json_object_object_foreach (o, key, value) {
      (void)key;
      ok = ok && walk(value, metadata);
    }
    return ok;
  }
  for (size_t i = 0; json_is(o, json_type_array) && i < json_len(o); i++)
    ok = ok && walk(json_index(o, i), metadata);
  return ok && expand_value(o, metadata);
}

bool placeholders_expand(struct json_object *o, struct json_object *service) {
  return walk(o, json_get(service, "metadata"));
}
