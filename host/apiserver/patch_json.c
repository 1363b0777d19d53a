/* JSON patch (RFC 6902) over JSON pointers (RFC 6901). */
#include "apiserver/patch.h"

#include "base/str.h"

#include <string.h>

#define MAX_OPS 10000
#define MAX_COPIED_BYTES ((size_t)3 << 20) /* all "copy" values together */
#define MAX_VISITED ((size_t)20 << 20)     /* values looked at or shifted */

struct patch_run {
  struct json_object *doc; /* owned; a root that is null is NULL */
  size_t copied, visited;
};

/* ---- pointers ------------------------------------------------------------------------------------------------- */

struct pointer {
  const char *text;
  char *tokens[JSON_MAX_DEPTH];
  size_t len;
};

static void pointer_fini(struct pointer *p) {
  for (size_t i = 0; i < p->len; i++)
    free(p->tokens[i]);
}
#define _cleanup_pointer_ _cleanup_(pointer_fini)

/* "~1" is '/', "~0" is '~'. */
static char *unescape(const char *s, size_t len) {
  char *out = malloc(len + 1), *o = out;

  for (size_t i = 0; out && i < len; i++) {
    bool escape = s[i] == '~' && i + 1 < len && (s[i + 1] == '0' || s[i + 1] == '1');
    *o++ = (char)(!escape ? s[i] : s[i + 1] == '0' ? '~' : '/');
    i += escape;
  }
  if (out)
    *o = '\0';
  return out;
}

static int32_t pointer_parse(struct json_object *op, const char *member, struct pointer *out, struct ome_err *err) {
  struct json_object *text = json_get(op, member);

  if (!json_is(text, json_type_string))
    return fail(err, OME_E_UNSUPPORTED, "%s operation: no %s", json_str(op, "op", ""), member);
  const char *s = out->text = json_object_get_string(text);
  if (*s && *s != '/')
    return fail(err, OME_E_UNSUPPORTED, "%s operation: %.200s: no JSON pointer", json_str(op, "op", ""), s);
  while (*s) {
    size_t n = strcspn(++s, "/");
    if (out->len == ARRAY_LEN(out->tokens))
      return fail(err, OME_E_UNSUPPORTED, "%s operation: path of more than %zu steps", json_str(op, "op", ""),
                  ARRAY_LEN(out->tokens));
    if (!(out->tokens[out->len] = unescape(s, n)))
      return fail_memory(err);
    out->len++;
    s += n;
  }
  return OME_OK;
}

/* The place TOKEN means in ARRAY; negative counts from the end.  With INSERT the place after the last one, which "-"
 * names too, is one as well. */
static bool array_place(struct json_object *array, const char *token, bool insert, size_t *out) {
  int64_t n = (int64_t)json_len(array), i;

  if (insert && streq(token, "-"))
    i = n;
  else if (!str_to_i64(token, &i))
    return false;
  if (i < 0)
    i += n + insert;
  *out = (size_t)i;
  return i >= 0 && i < n + insert;
}

/* What TOKEN names in O; false: nothing. */
static bool step(struct json_object *o, const char *token, struct json_object **out) {
  size_t i;

  if (json_is(o, json_type_object))
    return json_object_object_get_ex(o, token, out);
  if (!json_is(o, json_type_array) || !array_place(o, token, false, &i))
    return false;
  *out = json_index(o, i);
  return true;
}

/* What the first LEN steps of P lead to. */
static bool resolve(struct patch_run *r, const struct pointer *p, size_t len, struct json_object **out) {
  *out = r->doc;
  for (size_t i = 0; i < len; i++)
    if (!step(*out, p->tokens[i], out))
      return false;
  return true;
}

/* ---- operations ----------------------------------------------------------------------------------------------- */

/* Levels of V; counts every value it sees. */
static size_t depth_of(struct patch_run *r, struct json_object *v, size_t limit) {
  size_t deepest = 0;

  if (++r->visited > MAX_VISITED || limit == 0)
    return limit + 1;
  if (json_is(v, json_type_object)) {
    json_object_object_foreach (v, key, member) {
      (void)key;
      size_t d = depth_of(r, member, limit - 1);
      deepest = d > deepest ? d : deepest;
    }
  }
  for (size_t i = 0; i < json_len(v); i++) {
    size_t d = depth_of(r, json_index(v, i), limit - 1);
    deepest = d > deepest ? d : deepest;
  }
  return deepest + 1;
}

static int32_t fail_missing(const char *op, const struct pointer *p, struct ome_err *err) {
  return fail(err, OME_E_UNSUPPORTED, "%s operation does not apply: doc is missing path: %.200s", op, p->text);
}

/* Makes room at AT of ARRAY for V (taken). */
static bool insert_item(struct patch_run *r, struct json_object *array, size_t at, struct json_object *v) {
  if (!json_add(array, v))
    return false;
  for (size_t i = json_len(array) - 1; i > at; i--) {
    struct json_object *before = json_object_get(json_index(array, i - 1));
    (void)json_object_array_put_idx(array, i - 1, json_object_get(json_index(array, i)));
    (void)json_object_array_put_idx(array, i, before);
    r->visited++;
  }
  return true;
}

/* Puts V (taken) where P says: into the object, between the items of the list, or in place of everything. */
static int32_t add_value(struct patch_run *r, const char *op, const struct pointer *p, struct json_object *v,
                         struct ome_err *err) {
  _cleanup_json_ struct json_object *value = v;
  struct json_object *parent;
  size_t at;

  if (p->len + depth_of(r, v, JSON_MAX_DEPTH) > JSON_MAX_DEPTH)
    return fail(err, OME_E_UNSUPPORTED, "%s operation: %.200s: too deep or too much", op, p->text);
  if (p->len == 0) {
    json_unref(r->doc);
    r->doc = TAKE_PTR(value);
    return OME_OK;
  }
  const char *last = p->tokens[p->len - 1];
  if (!resolve(r, p, p->len - 1, &parent))
    return fail_missing(op, p, err);
  if (json_is(parent, json_type_object))
    return json_put(parent, last, TAKE_PTR(value)) ? OME_OK : fail_memory(err);
  if (!json_is(parent, json_type_array) || !array_place(parent, last, true, &at))
    return fail_missing(op, p, err);
  return insert_item(r, parent, at, TAKE_PTR(value)) ? OME_OK : fail_memory(err);
}

/* Takes out what P names; *OUT (may be NULL) gets it. */
static int32_t remove_value(struct patch_run *r, const char *op, const struct pointer *p, struct json_object **out,
                            struct ome_err *err) {
  struct json_object *parent, *v;
  size_t at;

  if (p->len == 0 || !resolve(r, p, p->len - 1, &parent) || !step(parent, p->tokens[p->len - 1], &v))
    return fail_missing(op, p, err);
  if (out)
    *out = json_object_get(v);
  if (json_is(parent, json_type_object))
    json_object_object_del(parent, p->tokens[p->len - 1]);
  else if (array_place(parent, p->tokens[p->len - 1], false, &at))
    (void)json_object_array_del_idx(parent, at, 1);
  return OME_OK;
}

static int32_t op_add(struct patch_run *r, struct json_object *op, const struct pointer *p, struct ome_err *err) {
  return add_value(r, "add", p, json_copy(json_get(op, "value")), err);
}

static int32_t op_remove(struct patch_run *r, struct json_object *op, const struct pointer *p, struct ome_err *err) {
  (void)op;
  return remove_value(r, "remove", p, NULL, err);
}

static int32_t op_replace(struct patch_run *r, struct json_object *op, const struct pointer *p, struct ome_err *err) {
  int32_t rc = p->len == 0 ? OME_OK : remove_value(r, "replace", p, NULL, err);

  return rc == OME_OK ? add_value(r, "replace", p, json_copy(json_get(op, "value")), err) : rc;
}

static bool is_below(const struct pointer *p, const struct pointer *from) {
  if (p->len <= from->len)
    return false;
  for (size_t i = 0; i < from->len; i++)
    if (!streq(p->tokens[i], from->tokens[i]))
      return false;
  return true;
}

static int32_t op_move(struct patch_run *r, struct json_object *op, const struct pointer *p, struct ome_err *err) {
  _cleanup_pointer_ struct pointer from = {0};
  struct json_object *v = NULL;
  int32_t rc = pointer_parse(op, "from", &from, err);

  if (rc != OME_OK)
    return rc;
  if (is_below(p, &from))
    return fail(err, OME_E_UNSUPPORTED, "move operation: %.200s is below %.200s", p->text, from.text);
  rc = remove_value(r, "move", &from, &v, err);
  return rc == OME_OK ? add_value(r, "move", p, v, err) : rc;
}

static int32_t op_copy(struct patch_run *r, struct json_object *op, const struct pointer *p, struct ome_err *err) {
  _cleanup_pointer_ struct pointer from = {0};
  struct json_object *v;
  int32_t rc = pointer_parse(op, "from", &from, err);

  if (rc != OME_OK)
    return rc;
  if (!resolve(r, &from, from.len, &v))
    return fail_missing("copy", &from, err);
  _cleanup_free_ char *text = json_text(v);
  r->copied += text ? strlen(text) : 0;
  if (r->copied > MAX_COPIED_BYTES)
    return fail(err, OME_E_UNSUPPORTED,
                "Unable to copy, the accumulated size increase of copy is %zu, exceeding the limit %zu", r->copied,
                MAX_COPIED_BYTES);
  return add_value(r, "copy", p, json_copy(v), err);
}

static int32_t op_test(struct patch_run *r, struct json_object *op, const struct pointer *p, struct ome_err *err) {
  struct json_object *v = NULL, *expected = json_get(op, "value");

  if (p->len && !resolve(r, p, p->len - 1, &v))
    return fail_missing("test", p, err);
  /* What is not there equals null. */
  if (!resolve(r, p, p->len, &v))
    v = NULL;
  if (!json_equal(v, expected))
    return fail(err, OME_E_UNSUPPORTED, "testing value %.200s failed: test failed", p->text);
  return OME_OK;
}

static const struct {
  const char *name;
  int32_t (*run)(struct patch_run *r, struct json_object *op, const struct pointer *p, struct ome_err *err);
} operations[] = {
    {"add", op_add},   {"remove", op_remove}, {"replace", op_replace},
    {"move", op_move}, {"copy", op_copy},     {"test", op_test},
};

static int32_t run_op(struct patch_run *r, struct json_object *op, struct ome_err *err) {
  _cleanup_pointer_ struct pointer path = {0};
  const char *name = json_str(op, "op", "");

  for (size_t i = 0; i < ARRAY_LEN(operations); i++)
    if (streq(operations[i].name, name)) {
      int32_t rc = pointer_parse(op, "path", &path, err);
      return rc == OME_OK ? operations[i].run(r, op, &path, err) : rc;
    }
  return fail(err, OME_E_UNSUPPORTED, "Unexpected kind: %.40s", name);
}

int32_t patch_json(struct json_object *obj, struct json_object *patch, struct json_object **out, struct ome_err *err) {
  struct patch_run r = {.doc = NULL};
  int32_t rc = OME_OK;

  if (!json_is(patch, json_type_array))
    return fail(err, OME_E_INVALID, "error decoding patch: a JSON patch is an array of operations");
  if (json_len(patch) > MAX_OPS)
    return fail(err, OME_E_NO_SPACE, "The allowed maximum operations in a JSON patch is %d, got %zu", MAX_OPS,
                json_len(patch));
  for (size_t i = 0; i < json_len(patch); i++)
    if (!json_is(json_index(patch, i), json_type_object))
      return fail(err, OME_E_INVALID, "error decoding patch: operation %zu is not an object", i);
  r.doc = json_copy(obj);
  if (obj && !r.doc)
    return fail_memory(err);
  for (size_t i = 0; i < json_len(patch) && rc == OME_OK; i++)
    rc = run_op(&r, json_index(patch, i), err);
  if (rc == OME_OK)
    *out = TAKE_PTR(r.doc);
  json_unref(r.doc);
  return rc;
}
