#include "json.h"

#include <stdint.h>
#include <string.h>

#define MAX_DEPTH 16

struct json_object *json_read(const char *text, size_t len) {
  struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
  struct json_object *o = tokener && text && len < INT32_MAX ? json_tokener_parse_ex(tokener, text, (int)len) : NULL;

  if (tokener)
    json_tokener_free(tokener);
  return o;
}

const char *json_text_at(struct json_object *o, const char *key) {
  struct json_object *v = NULL;

  if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_string))
    return "";
  const char *text = json_object_get_string(v);
  return strlen(text) == (size_t)json_object_get_string_len(v) ? text : "";
}

struct json_object *json_array_at(struct json_object *o, const char *key) {
  struct json_object *v = NULL;

  return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_array) ? v : NULL;
}
