/* Kubernetes strategic merge patch: merging by the schema's merge keys, with directives.
 *
 * The patch is a document like the object, in which
 *   "$patch": "replace" | "delete" | "merge"      says what to do with the object or list item it stands in,
 *   "$retainKeys": ["a", "b"]                     drops every other member of the object,
 *   "$deleteFromPrimitiveList/LIST": [values]     takes values out of a merged list of scalars,
 *   "$setElementOrder/LIST": [items or values]    orders a merged list,
 * and null removes a member. */
#include "apiserver/apply_typed.h"
#include "apiserver/patch.h"

#include "base/str.h"

#include <string.h>

#define PATCH "$patch"
#define RETAIN_KEYS "$retainKeys"
#define DELETE_PREFIX "$deleteFromPrimitiveList/"
#define ORDER_PREFIX "$setElementOrder/"

/* The work of one patch may grow with the product of two lists' lengths; this many comparisons are enough for all. */
#define MAX_COMPARISONS ((size_t)20 << 20)

struct merge_run {
  size_t comparisons;
};

static int32_t merge_object(struct merge_run *r, const struct schema *s, struct json_object *from,
                            struct json_object *patch, struct json_object **out, struct ome_err *err);

/* ---- small things --------------------------------------------------------------------------------------------- */

/* A value as Go prints it in these errors: map[a:1 b:[x y]]. */
static void print_go(struct buf *b, struct json_object *v) {
  const char *sep = "";

  if (json_is(v, json_type_object)) {
    buf_adds(b, "map[");
    json_object_object_foreach (v, key, member) {
      buf_addf(b, "%s%s:", sep, key);
      print_go(b, member);
      sep = " ";
    }
    buf_addc(b, ']');
  } else if (json_is(v, json_type_array)) {
    buf_addc(b, '[');
    for (size_t i = 0; i < json_len(v); i++) {
      buf_adds(b, i ? " " : "");
      print_go(b, json_index(v, i));
    }
    buf_addc(b, ']');
  } else {
    buf_adds(b, v ? json_object_get_string(v) : "<nil>");
  }
}

static int32_t fail_on_value(struct ome_err *err, int32_t code, struct json_object *v, const char *before,
                             const char *after) {
  _cleanup_buf_ struct buf text = {.max = 4096};

  print_go(&text, v);
  return fail(err, code, "%s%.200s%s", before, text.data ? text.data : "", after);
}

static int32_t fail_merge_key(struct ome_err *err, struct json_object *item, const char *key) {
  _cleanup_free_ char *tail = str_printf(" does not contain declared merge key: %s", key);

  return fail_on_value(err, OME_E_CORRUPT, item, "map: ", tail ? tail : "");
}

static bool is_directive(const char *key) {
  return streq(key, PATCH) || streq(key, RETAIN_KEYS) || has_prefix(key, DELETE_PREFIX) ||
         has_prefix(key, ORDER_PREFIX);
}

static bool equal(struct merge_run *r, struct json_object *a, struct json_object *b) {
  r->comparisons++;
  return json_equal(a, b);
}

/* A copy of V, new to the object: without directives and nulls, and without items that say they are to go. */
static struct json_object *plain_copy(struct json_object *v) {
  struct json_object *out;

  if (json_is(v, json_type_array)) {
    out = json_object_new_array();
    for (size_t i = 0; out && i < json_len(v); i++) {
      struct json_object *item = json_index(v, i);
      if (!json_get(item, PATCH) || streq(json_str(item, PATCH, ""), "merge"))
        (void)json_add(out, plain_copy(item));
    }
    return out;
  }
  if (!json_is(v, json_type_object))
    return json_copy(v);
  out = json_object_new_object();
  if (!out)
    return NULL;
  json_object_object_foreach (v, key, member) {
    if (member && !is_directive(key))
      (void)json_put(out, key, plain_copy(member));
  }
  return out;
}

/* ---- lists ---------------------------------------------------------------------------------------------------- */

/* What a list item is known by: its merge key's value, or itself. */
static struct json_object *identity(struct json_object *item, const char *merge_key) {
  return merge_key ? json_get(item, merge_key) : item;
}

/* -1: not there, or too many comparisons already, which merge_list() reports. */
static ptrdiff_t index_of(struct merge_run *r, struct json_object *list, struct json_object *id,
                          const char *merge_key) {
  for (size_t i = 0; i < json_len(list) && r->comparisons <= MAX_COMPARISONS; i++)
    if (equal(r, identity(json_index(list, i), merge_key), id))
      return (ptrdiff_t)i;
  return -1;
}

static int32_t check_keys(struct json_object *list, const char *merge_key, struct ome_err *err) {
  for (size_t i = 0; merge_key && i < json_len(list); i++) {
    struct json_object *item = json_index(list, i);
    if (!json_is(item, json_type_object))
      return fail(err, OME_E_CORRUPT, "value for key %zu is not a map.", i);
    if (!json_get(item, merge_key))
      return fail_merge_key(err, item, merge_key);
  }
  return OME_OK;
}

static void append(struct json_object *list, struct json_object *item) {
  (void)json_add(list, json_object_get(item));
}

/* The items of LIST known to BY, in BY's order, or those unknown to it, in their own. */
static struct json_object *partition(struct merge_run *r, struct json_object *list, struct json_object *by,
                                     const char *merge_key, bool known) {
  struct json_object *out = json_object_new_array();

  for (size_t i = 0; !known && i < json_len(list); i++)
    if (index_of(r, by, identity(json_index(list, i), merge_key), merge_key) < 0)
      append(out, json_index(list, i));
  for (size_t i = 0; known && i < json_len(by); i++) {
    struct json_object *id = identity(json_index(by, i), merge_key);
    if (index_of(r, by, id, merge_key) != (ptrdiff_t)i)
      continue;
    for (size_t j = 0; j < json_len(list) && r->comparisons <= MAX_COMPARISONS; j++)
      if (equal(r, identity(json_index(list, j), merge_key), id))
        append(out, json_index(list, j));
  }
  return out;
}

/* MERGED in order: items of ORDER as they are there; those only the server has keep their order among themselves and
 * stand before the first item that BEFORE, the list as it was, had after them. */
static struct json_object *in_order(struct merge_run *r, struct json_object *merged, struct json_object *order,
                                    struct json_object *before, const char *merge_key) {
  _cleanup_json_ struct json_object *mine = partition(r, merged, order, merge_key, true);
  _cleanup_json_ struct json_object *others = partition(r, merged, order, merge_key, false);
  struct json_object *out = json_object_new_array();
  size_t i = 0, j = 0;

  while (out && (i < json_len(others) || j < json_len(mine))) {
    struct json_object *l = json_index(others, i), *m = json_index(mine, j);
    bool take_other = j == json_len(mine);
    if (!take_other && i < json_len(others)) {
      ptrdiff_t li = index_of(r, before, identity(l, merge_key), merge_key);
      ptrdiff_t mi = index_of(r, before, identity(m, merge_key), merge_key);
      take_other = li >= 0 && mi >= 0 && li < mi;
    }
    append(out, take_other ? l : m);
    i += take_other;
    j += !take_other;
  }
  return out;
}

/* Values of FROM and PATCH, each once; or FROM without those of PATCH. */
static struct json_object *merge_scalars(struct merge_run *r, struct json_object *from, struct json_object *patch,
                                         bool deleting) {
  struct json_object *out = json_object_new_array();

  for (size_t i = 0; i < json_len(from); i++)
    if (index_of(r, deleting ? patch : out, json_index(from, i), NULL) < 0)
      append(out, json_index(from, i));
  for (size_t i = 0; !deleting && i < json_len(patch); i++)
    if (index_of(r, out, json_index(patch, i), NULL) < 0)
      append(out, json_index(patch, i));
  return out;
}

/* Carries out the items of PATCH that are directives: LIST loses what they delete, or all.  *ITEMS gets the rest. */
static int32_t apply_item_directives(struct merge_run *r, struct json_object *list, struct json_object *patch,
                                     const char *merge_key, struct json_object *items, struct ome_err *err) {
  bool replace = false;

  for (size_t i = 0; i < json_len(patch); i++) {
    struct json_object *item = json_index(patch, i), *directive = json_get(item, PATCH), *id;
    const char *what = json_as_str(directive, "");
    ptrdiff_t at;
    if (!directive) {
      append(items, item);
    } else if (streq(what, "replace")) {
      replace = true;
    } else if (streq(what, "merge")) {
      return fail(err, OME_E_CORRUPT, "merging lists cannot yet be specified in the patch");
    } else if (!streq(what, "delete")) {
      return fail_on_value(err, OME_E_CORRUPT, item, "unknown patch type in map: ", "");
    } else {
      if (!(id = json_get(item, merge_key)))
        return fail_merge_key(err, item, merge_key);
      while ((at = index_of(r, list, id, merge_key)) >= 0)
        (void)json_object_array_del_idx(list, (size_t)at, 1);
    }
  }
  if (replace)
    (void)json_object_array_del_idx(list, 0, json_len(list));
  return OME_OK;
}

static int32_t merge_items(struct merge_run *r, const struct schema *s, struct json_object *list,
                           struct json_object *items, struct ome_err *err) {
  const char *key = s->patch_merge_key;

  for (size_t i = 0; i < json_len(items); i++) {
    struct json_object *item = json_index(items, i), *merged;
    ptrdiff_t at = index_of(r, list, identity(item, key), key);
    int32_t rc = at < 0 ? OME_OK : merge_object(r, s->items, json_index(list, (size_t)at), item, &merged, err);
    if (rc != OME_OK)
      return rc;
    if (at < 0)
      (void)json_add(list, plain_copy(item));
    else
      (void)json_object_array_put_idx(list, (size_t)at, merged);
  }
  return OME_OK;
}

/* Merges PATCH into FROM (both arrays of objects with merge keys), unordered; new. */
static int32_t merge_keyed(struct merge_run *r, const struct schema *s, struct json_object *from,
                           struct json_object *patch, struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *list = json_object_new_array(), *items = json_object_new_array();
  int32_t rc = check_keys(from, s->patch_merge_key, err);

  if (!list || !items)
    return fail_memory(err);
  for (size_t i = 0; i < json_len(from); i++)
    append(list, json_index(from, i));
  if (rc == OME_OK)
    rc = apply_item_directives(r, list, patch, s->patch_merge_key, items, err);
  if (rc == OME_OK)
    rc = check_keys(items, s->patch_merge_key, err);
  if (rc == OME_OK)
    rc = merge_items(r, s, list, items, err);
  if (rc == OME_OK)
    *out = TAKE_PTR(list);
  return rc;
}

static bool holds_objects(struct json_object *a, struct json_object *b) {
  struct json_object *first = json_len(a) ? json_index(a, 0) : json_index(b, 0);

  return json_is(first, json_type_object);
}

/* The items of PATCH that are not directives, which give the order where no directive does. */
static struct json_object *order_of_patch(struct json_object *patch) {
  struct json_object *out = json_object_new_array();

  for (size_t i = 0; out && i < json_len(patch); i++)
    if (!json_get(json_index(patch, i), PATCH))
      append(out, json_index(patch, i));
  return out;
}

/* FROM (NULL: absent) with PATCH (NULL: only reordered) merged in, in the order ORDER (NULL: that of the patch). */
static int32_t merge_list(struct merge_run *r, const struct schema *s, struct json_object *from,
                          struct json_object *patch, struct json_object *order, struct json_object **out,
                          struct ome_err *err) {
  _cleanup_json_ struct json_object *merged = NULL, *own_order = NULL;
  const char *key = NULL;
  int32_t rc = OME_OK;

  if (holds_objects(from, patch)) {
    if (!(key = s->patch_merge_key))
      return fail(err, OME_E_CORRUPT, "cannot merge lists without merge key for type map");
    rc = merge_keyed(r, s, from, patch, &merged, err);
  } else {
    merged = merge_scalars(r, from, patch, false);
  }
  if (rc == OME_OK)
    rc = check_keys(order, key, err);
  if (rc != OME_OK)
    return rc;
  own_order = order ? NULL : order_of_patch(patch);
  *out = in_order(r, merged, order ? order : own_order, from, key);
  if (r->comparisons > MAX_COMPARISONS) {
    json_unref(*out);
    return fail(err, OME_E_UNSUPPORTED, "strategic merge: the lists are too long to merge");
  }
  return *out ? OME_OK : fail_memory(err);
}

/* ---- objects -------------------------------------------------------------------------------------------------- */

static bool holds_string(struct json_object *list, const char *s) {
  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *v = json_index(list, i);
    if (json_is(v, json_type_string) && streq(json_object_get_string(v), s))
      return true;
  }
  return false;
}

/* Drops the members of O that PATCH does not retain. */
static int32_t apply_retain_keys(struct json_object *o, struct json_object *patch, struct ome_err *err) {
  struct json_object *keep;

  if (!json_object_object_get_ex(patch, RETAIN_KEYS, &keep))
    return OME_OK;
  if (!json_is(keep, json_type_array))
    return fail(err, OME_E_INVALID, "invalid patch format of retainKeys");
  json_object_object_foreach (patch, key, v) {
    if (v && !is_directive(key) && !holds_string(keep, key))
      return fail(err, OME_E_INVALID, "invalid patch format of retainKeys");
  }
  struct json_object_iterator it = json_object_iter_begin(o), end = json_object_iter_end(o);
  while (!json_object_iter_equal(&it, &end)) {
    const char *name = json_object_iter_peek_name(&it);
    json_object_iter_next(&it);
    if (!holds_string(keep, name))
      json_object_object_del(o, name);
  }
  return OME_OK;
}

/* "PREFIXlist": the directive's list must be one. */
static int32_t directive_list(struct json_object *v, const char *what, struct ome_err *err) {
  return json_is(v, json_type_array) ? OME_OK : fail(err, OME_E_INVALID, "invalid patch format of %s list", what);
}

/* The items of PATCH must be in ORDER, in its order. */
static int32_t check_order(struct merge_run *r, struct json_object *patch, struct json_object *order, const char *key,
                           struct ome_err *err) {
  size_t at = 0, n = json_len(order);

  for (size_t i = 0; n && i < json_len(patch); i++) {
    struct json_object *item = json_index(patch, i);
    if (json_get(item, PATCH))
      continue;
    while (at < n && !equal(r, identity(item, key), identity(json_index(order, at), key)))
      at++;
    if (at++ == n)
      return fail_on_value(err, OME_E_CORRUPT, patch, "The order in patch list:\n",
                           "\n doesn't match $setElementOrder list");
  }
  return OME_OK;
}

static int32_t apply_order(struct merge_run *r, const struct schema *s, struct json_object *o,
                           struct json_object *patch, const char *name, struct json_object *order,
                           struct ome_err *err) {
  const struct schema *field = typed_member(s, name, NULL);
  struct json_object *from = json_get(o, name), *items = json_get(patch, name), *merged;
  int32_t rc = directive_list(order, "setElementOrder", err);

  if (rc != OME_OK || (!from && !items))
    return rc;
  if ((from && !json_is(from, json_type_array)) || (items && !json_is(items, json_type_array)))
    return fail(err, OME_E_CORRUPT, "%s: expected a []interface {}, but received another type", name);
  if (!field || !field->patch_merge)
    return items && !json_put(o, name, plain_copy(items)) ? fail_memory(err) : OME_OK;
  rc = check_order(r, items, order, field->patch_merge_key, err);
  if (rc == OME_OK)
    rc = merge_list(r, field, from, items, order, &merged, err);
  if (rc == OME_OK && !json_put(o, name, merged))
    return fail_memory(err);
  return rc;
}

static int32_t apply_delete_list(struct merge_run *r, struct json_object *o, const char *name,
                                 struct json_object *values, struct ome_err *err) {
  struct json_object *from = json_get(o, name);
  int32_t rc = directive_list(values, "deleteFromPrimitiveList", err);

  if (rc == OME_OK && json_is(from, json_type_array))
    (void)json_put(o, name, merge_scalars(r, from, values, true));
  return rc;
}

static int32_t merge_member(struct merge_run *r, const struct schema *s, struct json_object *o, const char *key,
                            struct json_object *v, struct ome_err *err) {
  const struct schema *field = typed_member(s, key, NULL);
  struct json_object *from = json_get(o, key), *merged;
  int32_t rc;

  if (!v) {
    json_object_object_del(o, key);
    return OME_OK;
  }
  if (json_is(v, json_type_object) && json_is(from, json_type_object))
    rc = merge_object(r, field, from, v, &merged, err);
  else if (json_is(v, json_type_array) && json_is(from, json_type_array) && field && field->patch_merge)
    rc = merge_list(r, field, from, v, NULL, &merged, err);
  else
    return json_put(o, key, plain_copy(v)) ? OME_OK : fail_memory(err);
  if (rc == OME_OK && !json_put(o, key, merged))
    return fail_memory(err);
  return rc;
}

/* PATCH says what becomes of the whole object. */
static int32_t apply_object_directive(struct json_object *patch, struct json_object **out, struct ome_err *err) {
  const char *what = json_str(patch, PATCH, "");

  if (streq(what, "replace"))
    *out = plain_copy(patch);
  else if (streq(what, "delete"))
    *out = json_object_new_object();
  else
    return fail_on_value(err, OME_E_CORRUPT, patch, "unknown patch type in map: ", "");
  return *out ? OME_OK : fail_memory(err);
}

/* Members are copied when they change: O starts as FROM's members, shared. */
static struct json_object *share_members(struct json_object *from) {
  struct json_object *o = json_object_new_object();

  if (!o || !from)
    return o;
  json_object_object_foreach (from, key, v) {
    (void)json_put(o, key, json_object_get(v));
  }
  return o;
}

static int32_t merge_object(struct merge_run *r, const struct schema *s, struct json_object *from,
                            struct json_object *patch, struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *o = NULL;
  int32_t rc;

  if (json_get(patch, PATCH))
    return apply_object_directive(patch, out, err);
  if (!(o = share_members(from)))
    return fail_memory(err);
  rc = apply_retain_keys(o, patch, err);
  json_object_object_foreach (patch, directive, list) {
    if (rc == OME_OK && has_prefix(directive, ORDER_PREFIX))
      rc = apply_order(r, s, o, patch, directive + strlen(ORDER_PREFIX), list, err);
  }
  json_object_object_foreach (patch, key, v) {
    _cleanup_free_ char *order = str_printf(ORDER_PREFIX "%s", key);
    if (rc != OME_OK)
      return rc;
    if (has_prefix(key, DELETE_PREFIX))
      rc = apply_delete_list(r, o, key + strlen(DELETE_PREFIX), v, err);
    else if (!is_directive(key) && !(v && order && json_get(patch, order)))
      rc = merge_member(r, s, o, key, v, err);
  }
  if (rc == OME_OK)
    *out = TAKE_PTR(o);
  return rc;
}

int32_t patch_strategic(struct json_object *obj, struct json_object *patch, const struct schema *schema,
                        struct json_object **out, struct ome_err *err) {
  _cleanup_typed_root_ struct typed_root root = {0};
  struct merge_run r = {0};
  _cleanup_json_ struct json_object *shared = NULL;

  if (!json_is(patch, json_type_object))
    return fail(err, OME_E_INVALID, "error decoding patch: a strategic merge patch is an object");
  if (!typed_root_init(&root, schema))
    return fail_memory(err);
  int32_t rc = merge_object(&r, &root.schema, obj, patch, &shared, err);
  if (rc != OME_OK)
    return rc;
  *out = json_copy(shared);
  return *out ? OME_OK : fail_memory(err);
}
