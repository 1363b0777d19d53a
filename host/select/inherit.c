#include "select/inherit.h"

#include "base/err.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>

static const char *parent_of(struct json_object *runtime) {
  struct json_object *v = json_get(json_at(runtime, "metadata.annotations"), "ome.io/inherit-from");

  return json_as_str(v, "");
}

bool inherits(struct json_object *runtime) {
  return *parent_of(runtime);
}

/* ---- merging ----------------------------------------------------------------------------------------------------- */

/* By what the items of a list are told apart; NULL: the list is one value. */
static const char *key_of_list(const char *field) {
  static const struct {
    const char *field;
    const char *key;
  } lists[] = {
      {"containers", "name"},        {"env", "name"},
      {"imagePullSecrets", "name"},  {"initContainers", "name"},
      {"volumes", "name"},           {"ports", "containerPort"},
      {"volumeMounts", "mountPath"}, {"topologySpreadConstraints", "topologyKey"},
  };

  for (size_t i = 0; i < ARRAY_LEN(lists); i++)
    if (streq(lists[i].field, field))
      return lists[i].key;
  return NULL;
}

static bool is_unsaid(struct json_object *v) {
  return !v || (json_is(v, json_type_string) && !*json_object_get_string(v)) ||
         ((json_is(v, json_type_object) || json_is(v, json_type_array)) && json_empty(v));
}

static struct json_object *find_item(struct json_object *list, const char *key, struct json_object *item) {
  struct json_object *value = json_get(item, key);

  for (size_t i = 0; value && i < json_len(list); i++)
    if (json_equal(json_get(json_index(list, i), key), value))
      return json_index(list, i);
  return NULL;
}

static bool merge(struct json_object *into, struct json_object *from);

static bool merge_list(struct json_object *into, struct json_object *from, const char *key) {
  for (size_t i = 0; i < json_len(from); i++) {
    struct json_object *item = json_index(from, i);
    struct json_object *same = find_item(into, key, item);
    if (same ? !merge(same, item) : !json_add(into, json_copy(item)))
      return false;
  }
  return true;
}

/* What FROM says goes over what INTO says; false: out of memory.  Documents are as deep as the parser lets them be. */
static bool merge(struct json_object *into, struct json_object *from) { // NOLINT(misc-no-recursion)
  json_object_object_foreach (from, field, value) {
    struct json_object *old = json_get(into, field);
    const char *key = key_of_list(field);
    if (is_unsaid(value))
      continue;
    bool ok = true;
    if (json_is(value, json_type_object) && json_is(old, json_type_object)) {
      ok = merge(old, value);
    } else if (key && json_is(value, json_type_array) && json_is(old, json_type_array)) {
      ok = merge_list(old, value, key);
    } else {
      struct json_object *copy = json_copy(value);
      ok = copy && json_put(into, field, copy);
    }
    if (!ok)
      return false;
  }
  return true;
}

/* ---- the chain --------------------------------------------------------------------------------------------------- */

static bool is_cluster(struct json_object *runtime) {
  return streq(json_str(runtime, "kind", ""), "ClusterServingRuntime");
}

static struct json_object *find_parent(struct json_object *runtimes, struct json_object *child) {
  const char *name = parent_of(child);
  struct json_object *found = NULL;

  for (size_t i = 0; i < json_len(runtimes); i++) {
    struct json_object *r = json_index(runtimes, i);
    if (!streq(json_str(r, "metadata.name", ""), name))
      continue;
    if (is_cluster(r))
      found = found ? found : r;
    else if (!is_cluster(child) &&
             streq(json_str(r, "metadata.namespace", "default"), json_str(child, "metadata.namespace", "default")))
      return r;
  }
  return found;
}

__attribute__((format(printf, 3, 4))) static void broken(struct heritage *out, const char *reason, const char *fmt,
                                                         ...) {
  va_list ap;

  out->reason = reason;
  va_start(ap, fmt);
  (void)vsnprintf(out->problem, sizeof(out->problem), fmt, ap);
  va_end(ap);
}

/* "[a b c]", the names of the first N, from the runtime upwards. */
static void names_of(struct json_object *const *line, size_t n, char *out, size_t cap) {
  size_t used = 0;

  for (size_t i = 0; i < n && used < cap; i++)
    used += (size_t)snprintf(out + used, cap - used, "%s%.40s", i ? " " : "", json_str(line[i], "metadata.name", ""));
}

/* The runtime and its ancestors, upwards; 0: the chain is broken, and OUT says where. */
static size_t follow(struct json_object *runtime, struct json_object *runtimes, struct json_object **line,
                     struct heritage *out) {
  size_t n = 0;
  char names[160] = "";

  line[n++] = runtime;
  while (inherits(line[n - 1])) {
    struct json_object *parent = find_parent(runtimes, line[n - 1]);
    const char *name = parent_of(line[n - 1]);
    names_of(line, n, names, sizeof(names));
    for (size_t i = 0; i < n; i++)
      if (streq(json_str(line[i], "metadata.name", ""), name)) {
        broken(out, "InheritanceCycle", "inheritance cycle detected: [%s %.40s]; change ome.io/inherit-from of one",
               names, name);
        return 0;
      }
    if (!parent)
      broken(out, "ParentNotFound", "inherit-from parent \"%.64s\" not found (chain so far: [%s]); apply it", name,
             names);
    else if (n == INHERIT_MAX)
      broken(out, "MaxDepthExceeded", "inheritance chain exceeds max depth %d: [%s]; inherit from fewer", INHERIT_MAX,
             names);
    if (*out->problem)
      return 0;
    line[n++] = parent;
  }
  return n;
}

/* Root first. */
static struct json_object *chain_of(struct json_object *const *line, size_t n) {
  _cleanup_json_ struct json_object *chain = json_object_new_array();

  while (chain && n-- > 0)
    if (!json_add_str(chain, json_str(line[n], "metadata.name", "")))
      return NULL;
  return TAKE_PTR(chain);
}

static struct json_object *merged(struct json_object *const *line, size_t n) {
  _cleanup_json_ struct json_object *doc = json_copy(line[0]);
  struct json_object *spec = json_object_new_object();
  struct json_object *disabled = json_at(line[0], "spec.disabled");

  if (!doc || !spec || !json_set(doc, "spec", spec))
    return NULL;
  while (n-- > 0) {
    struct json_object *from = json_get(line[n], "spec");
    if (json_is(from, json_type_object) && !merge(spec, from))
      return NULL;
  }
  json_del(spec, "disabled");
  if (disabled && !json_set(spec, "disabled", json_object_get(disabled)))
    return NULL;
  return TAKE_PTR(doc);
}

int32_t inherit(struct json_object *runtime, struct json_object *runtimes, struct heritage *out, struct ome_err *err) {
  struct json_object *line[INHERIT_MAX] = {NULL};

  *out = (struct heritage){.reason = "Resolved"};
  size_t n = follow(runtime, runtimes, line, out);
  out->chain = chain_of(line, n ? n : 1);
  if (n)
    out->doc = merged(line, n);
  if (out->chain && (out->doc || !n))
    return OME_OK;
  json_unref(out->chain);
  json_unref(out->doc);
  *out = (struct heritage){.reason = ""};
  return fail_memory(err);
}
