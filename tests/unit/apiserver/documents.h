/* JSON documents in tests. */
#ifndef TESTS_UNIT_APISERVER_DOCUMENTS_H
#define TESTS_UNIT_APISERVER_DOCUMENTS_H

#include "../unit.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"

/* JSON written with ' for ". */
static inline struct json_object *J(const char *text) {
  struct ome_err err = ERR_INIT;
  struct json_object *o = NULL;
  char *copy = strdup(text);

  for (char *c = copy; c && *c; c++)
    if (*c == '\'')
      *c = '"';
  if (!copy || json_parse(copy, strlen(copy), 0, &o, &err) != OME_OK)
    print_error("%s: %s\n", text, err.msg);
  free(copy);
  return o;
}

/* Fails with both texts when they differ. */
static inline void assert_json(struct json_object *got, const char *expected, const char *what) {
  struct json_object *want = J(expected);
  bool same = json_equal(got, want);

  if (!same) {
    char *text = json_canonical(got);
    print_error("%s:\n  got  %s\n  want %s\n", what, text, expected);
    free(text);
  }
  json_unref(want);
  assert_true(same);
}

#endif
