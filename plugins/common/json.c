#include "json.h"

#include <string.h>

#define MAX_DEPTH 32

struct json_object *json_read(const char *text, size_t len) {
  struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
  struct json_object *o = tokener && text && len < INT32_MAX ? json_tokener_parse_ex(tokener, text, (int)len) : NULL;

  if (tokener)
    json_tokener_free(tokener);
  return o;
}

static const char *skip_space(const char *at, const char *end) {
  while (at < end && strchr(" \t\r\n", *at) && *at)
    at++;
  return at;
}

/* The elements from AT on. */
static int32_t read_elements(struct json_tokener *tokener, const char *at, const char *end,
                             int32_t (*fn)(void *arg, struct json_object *element), void *arg) {
  at = skip_space(at, end);
  if (at < end && *at == ']')
    return skip_space(at + 1, end) == end ? 0 : JSON_NO_ARRAY;
  for (;;) {
    struct json_object *o = json_tokener_parse_ex(tokener, at, (int)(end - at));
    int32_t rc = json_tokener_get_error(tokener) == json_tokener_success ? fn(arg, o) : JSON_NO_ARRAY;
    (void)json_object_put(o);
    if (rc != 0)
      return rc;
    at = skip_space(at + json_tokener_get_parse_end(tokener), end);
    if (at == end || (*at != ',' && *at != ']'))
      return JSON_NO_ARRAY;
    if (*at++ == ']')
      return skip_space(at, end) == end ? 0 : JSON_NO_ARRAY;
    json_tokener_reset(tokener);
  }
}

int32_t json_each(const char *text, size_t len, int32_t (*fn)(void *arg, struct json_object *element), void *arg) {
  struct json_tokener *tokener = text && len < INT32_MAX ? json_tokener_new_ex(MAX_DEPTH) : NULL;
  const char *begin = tokener ? skip_space(text, text + len) : NULL;
  int32_t rc = JSON_NO_ARRAY;

  if (begin && begin < text + len && *begin == '[')
    rc = read_elements(tokener, begin + 1, text + len, fn, arg);
  if (tokener)
    json_tokener_free(tokener);
  return rc;
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
