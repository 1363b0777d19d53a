/* The keys of a JSON text as it is written: objects keep the last of equal ones and do not tell. */
#include "model/internal.h"

#include "base/str.h"
#include "base/strmap.h"

#include <stdio.h>
#include <string.h>

/* Goes over a text that the parser took. */
struct keys {
  const char *text;
  size_t len, at, key, key_len; /* the key that was found last, without its quotes */
  int depth;                    /* 1 in the outermost object */
};

static bool next_key(struct keys *k) {
  for (; k->at < k->len; k->at++) {
    char c = k->text[k->at];
    if (c == '"') {
      k->key = ++k->at;
      for (; k->at < k->len && k->text[k->at] != '"'; k->at++)
        k->at += k->text[k->at] == '\\';
      k->key_len = k->at - k->key;
    } else if (c == '{' || c == '[') {
      k->depth++;
    } else if (c == '}' || c == ']') {
      k->depth--;
    } else if (c == ':') {
      k->at++;
      return true;
    }
  }
  return false;
}

size_t json_text_keys(const char *text, size_t len, int depth) {
  struct keys k = {.text = text, .len = len};
  size_t n = 0;

  while (next_key(&k))
    n += k.depth <= depth;
  return n;
}

bool json_text_twice(const char *text, size_t len, char name[128], size_t *at) {
  _cleanup_strmap_ struct strmap *seen = strmap_new(NULL);
  struct keys k = {.text = text, .len = len};

  while (seen && next_key(&k)) {
    if (k.depth != 1)
      continue;
    _cleanup_free_ char *key = str_copy(text + k.key, k.key_len);
    if (!key || strmap_has(seen, key)) {
      (void)snprintf(name, 128, "%s", key ? key : "");
      *at = k.key - 1;
      return key != NULL;
    }
    if (!strmap_put(seen, key, NULL))
      return false;
  }
  return false;
}

size_t json_keys(struct json_object *o) {
  size_t n = 0;

  if (json_is(o, json_type_array))
    for (size_t i = 0; i < json_len(o); i++)
      n += json_keys(json_index(o, i));
  if (!json_is(o, json_type_object))
    return n;
  json_object_object_foreach (o, key, value) {
    (void)key;
    n += 1 + json_keys(value);
  }
  return n;
}
