#include "controller/diff.h"

#include "base/quantity.h"
#include "base/str.h"

#include <string.h>

/* ---- does LIVE say all that WANT says ---------------------------------------------------------------------------- */

static bool same_scalar(struct json_object *want, struct json_object *live) {
  int64_t a;
  int64_t b;

  if (json_equal(want, live))
    return true;
  if (json_is(want, json_type_boolean) || json_is(live, json_type_boolean) || json_is(live, json_type_object) ||
      json_is(live, json_type_array))
    return false;
  return quantity_milli(json_object_get_string(want), &a) && quantity_milli(json_object_get_string(live), &b) && a == b;
}

static bool is_blank(struct json_object *o) {
  return json_empty(o) || (json_is(o, json_type_string) && !*json_object_get_string(o));
}

static bool covers(struct json_object *live, struct json_object *want, int depth);

/* Elements of WANT in their order among those of LIVE, where others may have put theirs. */
static bool covers_list(struct json_object *live, struct json_object *want, int depth) {
  size_t n = json_len(want);
  size_t j = 0;
  bool objects = n > 0 && json_is(json_index(want, 0), json_type_object);

  if (!json_is(live, json_type_array) || (!objects && json_len(live) != n))
    return false;
  for (size_t i = 0; i < n; i++) {
    while (j < json_len(live) && !covers(json_index(live, j), json_index(want, i), depth))
      j++;
    if (j++ >= json_len(live))
      return false;
  }
  return true;
}

static bool covers(struct json_object *live, struct json_object *want, int depth) {
  if (depth > JSON_MAX_DEPTH)
    return false;
  if (!live)
    return is_blank(want);
  if (json_is(want, json_type_array))
    return covers_list(live, want, depth + 1);
  if (!json_is(want, json_type_object))
    return same_scalar(want, live);
  json_object_object_foreach (want, key, value) {
    if (!covers(json_get(live, key), value, depth + 1))
      return false;
  }
  return true;
}

/* ---- does MANAGER own what WANT no longer says ------------------------------------------------------------------- */

static bool has_keys(struct json_object *element, struct json_object *keys) {
  if (!json_is(keys, json_type_object))
    return false;
  json_object_object_foreach (keys, key, value) {
    struct json_object *v = json_get(element, key);
    /* A key that WANT leaves to its default, such as a port's protocol. */
    if (v && !same_scalar(v, value))
      return false;
  }
  return true;
}

static struct json_object *find_element(struct json_object *list, struct json_object *keys) {
  for (size_t i = 0; i < json_len(list); i++)
    if (has_keys(json_index(list, i), keys))
      return json_index(list, i);
  return NULL;
}

static bool has_value(struct json_object *list, struct json_object *value) {
  for (size_t i = 0; i < json_len(list); i++)
    if (json_equal(json_index(list, i), value))
      return true;
  return false;
}

static bool parse_tail(const char *text, struct json_object **out) {
  struct ome_err err = ERR_INIT;

  return json_parse(text, strlen(text), 0, out, &err) == OME_OK;
}

static bool owns_more(struct json_object *fields, struct json_object *want, int depth);

/* One member of a FieldsV1 object: "f:NAME", "k:{...}", "v:VALUE"; "." is the object itself. */
static bool member_gone(const char *path, struct json_object *below, struct json_object *want, int depth) {
  _cleanup_json_ struct json_object *tail = NULL;
  struct json_object *child = NULL;

  if (has_prefix(path, "f:")) {
    if (!json_is(want, json_type_object) || !json_object_object_get_ex(want, path + 2, &child))
      return true;
  } else if (has_prefix(path, "k:")) {
    if (!parse_tail(path + 2, &tail) || !(child = find_element(want, tail)))
      return true;
  } else if (has_prefix(path, "v:")) {
    return parse_tail(path + 2, &tail) && !has_value(want, tail);
  } else {
    return false;
  }
  return owns_more(below, child, depth + 1);
}

static bool owns_more(struct json_object *fields, struct json_object *want, int depth) {
  if (!json_is(fields, json_type_object) || depth > JSON_MAX_DEPTH)
    return false;
  json_object_object_foreach (fields, key, value) {
    if (member_gone(key, value, want, depth))
      return true;
  }
  return false;
}

/* ---- entry ------------------------------------------------------------------------------------------------------- */

static struct json_object *owned_fields(struct json_object *live, const char *manager) {
  struct json_object *list = json_at(live, "metadata.managedFields");

  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *m = json_index(list, i);
    if (streq(json_str(m, "manager", ""), manager) && streq(json_str(m, "operation", ""), "Apply") &&
        !*json_str(m, "subresource", ""))
      return json_get(m, "fieldsV1");
  }
  return NULL;
}

bool diff_apply_needed(struct json_object *want, struct json_object *live, const char *manager) {
  if (!live)
    return true;
  struct json_object *fields = owned_fields(live, manager);
  return !fields || !covers(live, want, 0) || owns_more(fields, want, 0);
}

/* ---- report ------------------------------------------------------------------------------------------------------ */

struct reporter {
  diff_fn *fn;
  void *arg;
  size_t n;
};

static void report_at(struct reporter *r, const char *path, struct json_object *live, struct json_object *want,
                      int depth);

static void report_members(struct reporter *r, const char *path, struct json_object *live, struct json_object *want,
                           int depth) {
  json_object_object_foreach (want, key, value) {
    _cleanup_free_ char *below = str_printf("%s%s%s", path, *path ? "." : "", key);
    if (below)
      report_at(r, below, json_get(live, key), value, depth + 1);
  }
}

static void report_elements(struct reporter *r, const char *path, struct json_object *live, struct json_object *want,
                            int depth) {
  for (size_t i = 0; i < json_len(want); i++) {
    _cleanup_free_ char *below = str_printf("%s[%zu]", path, i);
    if (below)
      report_at(r, below, json_index(live, i), json_index(want, i), depth + 1);
  }
}

/* Goes down to the least part that differs; a list of another length is one part. */
static void report_at(struct reporter *r, const char *path, struct json_object *live, struct json_object *want,
                      int depth) {
  if (depth > JSON_MAX_DEPTH || covers(live, want, depth))
    return;
  if (json_is(want, json_type_object) && json_is(live, json_type_object)) {
    report_members(r, path, live, want, depth);
  } else if (json_is(want, json_type_array) && json_is(live, json_type_array) && json_len(want) == json_len(live)) {
    report_elements(r, path, live, want, depth);
  } else {
    r->fn(r->arg, path, live, want);
    r->n++;
  }
}

void diff_report(struct json_object *want, struct json_object *live, const char *manager, diff_fn *fn, void *arg) {
  struct reporter r = {fn, arg, 0};

  report_at(&r, "", live, want, 0);
  if (r.n == 0 && diff_apply_needed(want, live, manager))
    fn(arg, "", NULL, NULL);
}
