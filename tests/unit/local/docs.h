/* Documents written in a test: JSON with ' for ". */
#ifndef TESTS_UNIT_LOCAL_DOCS_H
#define TESTS_UNIT_LOCAL_DOCS_H

#include "base/json.h"
#include "base/str.h"

#include <string.h>

static inline struct json_object *doc(const char *text) {
  struct ome_err err = ERR_INIT;
  struct json_object *o = NULL;
  _cleanup_free_ char *copy = strdup(text);

  for (char *c = copy; *c; c++)
    *c = *c == '\'' ? '"' : *c;
  if (json_parse(copy, strlen(copy), 0, &o, &err) != OME_OK)
    fail_msg("%s in %s", err.msg, text);
  return o;
}

/* Whether every field of WANTED is in O with that value; arrays are compared element by element. */
static inline bool holds(struct json_object *o, struct json_object *wanted) {
  if (json_is(wanted, json_type_object)) {
    json_object_object_foreach (wanted, key, v) {
      if (!holds(json_get(o, key), v))
        return false;
    }
    return json_is(o, json_type_object);
  }
  if (json_is(wanted, json_type_array)) {
    for (size_t i = 0; i < json_len(wanted); i++)
      if (!holds(json_index(o, i), json_index(wanted, i)))
        return false;
    return json_len(o) == json_len(wanted);
  }
  return json_equal(o, wanted);
}

#define assert_holds(o, text)                                                                                          \
  do {                                                                                                                 \
    struct json_object *wanted_ = doc(text);                                                                           \
    if (!holds((o), wanted_)) {                                                                                        \
      _cleanup_free_ char *have_ = json_pretty(o);                                                                     \
      fail_msg("line %d: %s is not in %s", __LINE__, (text), have_);                                                   \
    }                                                                                                                  \
    json_unref(wanted_);                                                                                               \
  } while (0)

#endif
