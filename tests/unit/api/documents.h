/* JSON with apostrophes for quotes, and the errors of a document as one text. */
#ifndef TESTS_UNIT_API_DOCUMENTS_H
#define TESTS_UNIT_API_DOCUMENTS_H

#include "api/schema.h"
#include "base/buf.h"
#include "base/str.h"

static inline struct json_object *doc(const char *text) {
  _cleanup_free_ char *json = strdup(text);
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  for (char *c = json; c && *c; c++)
    *c = *c == '\'' ? '"' : *c;
  if (json_parse(json, strlen(json), 0, &o, &err) != OME_OK)
    fail_msg("%s: %s", json, err.msg);
  return o;
}

/* "field: message; field: message"; new.  Ends ERRORS. */
static inline char *error_text(struct field_errors *errors) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  for (size_t i = 0; i < errors->list.len; i++)
    buf_addf(&b, "%s%s: %s", i ? "; " : "", errors->list.items[i].field, errors->list.items[i].message);
  field_errors_fini(errors);
  return buf_take(&b);
}

static inline void assert_document(struct json_object *o, const char *expected) {
  _cleanup_json_ struct json_object *want = doc(expected);
  _cleanup_free_ char *have = json_text(o);

  if (!json_equal(o, want))
    fail_msg("got %s\nnot %s", have, expected);
}

#endif
