/* Server-side apply and the tracking of who changed what (KEP-555). */
#include "apiserver/apply_internal.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* ---- objects -------------------------------------------------------------------------------------------------- */

/* A copy of the outermost object, its members shared. */
static struct json_object *shallow(struct json_object *o) {
  struct json_object *copy = json_object_new_object();

  if (!copy || !json_is(o, json_type_object))
    return copy;
  json_object_object_foreach (o, key, v) {
    (void)json_put(copy, key, json_object_get(v));
  }
  return copy;
}

/* OBJ without metadata.managedFields; new, shares the rest.  NULL: an empty object. */
static struct json_object *without_managers(struct json_object *obj) {
  struct json_object *copy = shallow(obj), *meta = json_get(obj, "metadata");

  if (copy && json_is(meta, json_type_object) && json_get(meta, "managedFields")) {
    struct json_object *bare = shallow(meta);
    if (bare)
      json_object_object_del(bare, "managedFields");
    (void)json_put(copy, "metadata", bare);
  }
  return copy;
}

static void put_managers(struct json_object *obj, struct managers *m) {
  struct json_object *entries = managers_encode(m);
  struct json_object *meta = entries ? json_ensure(obj, "metadata") : json_get(obj, "metadata");

  if (!json_is(meta, json_type_object)) {
    json_unref(entries);
    return;
  }
  json_object_object_del(meta, "managedFields");
  if (entries)
    (void)json_put(meta, "managedFields", entries);
}

/* ---- sets ----------------------------------------------------------------------------------------------------- */

static void insert_dotted(struct fieldset_pool *pool, struct fieldset *set, const char *dotted) {
  struct field_path path = {.len = 0};

  while (*dotted) {
    size_t n = strcspn(dotted, ".");
    const char *name = fieldset_string(pool, dotted, n);
    if (!name)
      return;
    path.elements[path.len++] = fieldset_field_element(pool, name);
    dotted += n + (dotted[n] == '.');
  }
  fieldset_insert(pool, set, &path);
}

/* What identifies an object or is the server's alone is owned by nobody. */
static const struct fieldset *without_identity(struct fieldset_pool *pool, const struct fieldset *set) {
  static const char *const stripped[] = {"apiVersion",
                                         "kind",
                                         "metadata",
                                         "metadata.name",
                                         "metadata.namespace",
                                         "metadata.creationTimestamp",
                                         "metadata.selfLink",
                                         "metadata.uid",
                                         "metadata.clusterName",
                                         "metadata.generation",
                                         "metadata.managedFields",
                                         "metadata.resourceVersion"};
  struct fieldset *strip = fieldset_new(pool);

  for (size_t i = 0; i < ARRAY_LEN(stripped); i++)
    insert_dotted(pool, strip, stripped[i]);
  return fieldset_subtract(pool, set, strip);
}

static const struct fieldset *reset_set(struct fieldset_pool *pool, const struct manager_info *who) {
  struct fieldset *set = fieldset_new(pool);

  for (const char *const *f = who->reset_fields; f && *f; f++)
    insert_dotted(pool, set, *f);
  return set;
}

/* What others own of what has changed is theirs no more. */
static void disown(struct fieldset_pool *pool, struct managers *m, const struct manager *self,
                   const struct fieldset *set) {
  for (size_t i = 0; i < m->list.len; i++)
    if (&m->list.items[i] != self)
      m->list.items[i].set = fieldset_subtract(pool, m->list.items[i].set, set);
}

struct change {
  const struct fieldset *added, *removed, *modified;
};

static bool compare(struct fieldset_pool *pool, const struct schema *s, struct json_object *from,
                    struct json_object *to, const struct fieldset *reset, struct change *out) {
  struct typed_diff diff;

  if (!typed_compare(pool, s, from, to, &diff))
    return false;
  out->added = fieldset_subtract_trees(pool, diff.added, reset);
  out->removed = fieldset_subtract_trees(pool, diff.removed, reset);
  out->modified = fieldset_subtract_trees(pool, diff.modified, reset);
  return true;
}

static bool is_no_change(const struct change *c) {
  return fieldset_empty(c->added) && fieldset_empty(c->removed) && fieldset_empty(c->modified);
}

/* ---- updates -------------------------------------------------------------------------------------------------- */

/* [] and [{}] ask for all ownership to be forgotten. */
static bool is_reset(struct json_object *entries) {
  if (!json_is(entries, json_type_array))
    return false;
  return json_len(entries) == 0 || (json_len(entries) == 1 && json_empty(json_index(entries, 0)));
}

/* The entries to go on from.  Those of a request that makes no sense are as if it had brought none. */
static int32_t managers_before_update(struct fieldset_pool *pool, struct json_object *old, struct json_object *new_obj,
                                      const struct manager_info *who, struct managers *out, struct ome_err *err) {
  struct json_object *brought = json_at(new_obj, "metadata.managedFields");
  bool subresource = who->subresource && *who->subresource;

  if (!subresource && is_reset(brought))
    return OME_OK;
  if (!subresource && json_len(brought) > 0) {
    int32_t rc = managers_decode(pool, brought, out, err);
    if (rc == OME_OK || rc == OME_E_NO_MEMORY)
      return rc;
    out->list.len = 0;
  }
  int32_t rc = managers_decode(pool, json_at(old, "metadata.managedFields"), out, err);
  if (rc != OME_OK && rc != OME_E_NO_MEMORY) {
    out->list.len = 0;
    return OME_OK;
  }
  return rc;
}

/* Enters in M what WHO changed from OLD to NEW. */
static int32_t track(struct fieldset_pool *pool, const struct schema *s, struct json_object *old,
                     struct json_object *new_obj, const struct manager_info *who, struct managers *m,
                     struct ome_err *err) {
  struct change c;

  if (!compare(pool, s, old, new_obj, reset_set(pool, who), &c))
    return fail_memory(err);
  const struct fieldset *touched = fieldset_union(pool, c.added, c.modified);
  disown(pool, m, NULL, fieldset_union(pool, touched, c.removed));
  touched = without_identity(pool, touched);
  if (!fieldset_empty(touched)) {
    struct manager *self = managers_ensure(pool, m, who, false);
    if (!self)
      return fail_memory(err);
    self->set = fieldset_union(pool, self->set, touched);
    self->has_time = true;
    self->time_s = who->now_s;
  }
  return pool->failed ? fail_memory(err) : OME_OK;
}

/* A built-in kind's status is there, empty, before anybody writes it. */
static struct json_object *nothing_before(struct json_object *new_obj) {
  struct json_object *o = json_object_new_object(), *status = json_get(new_obj, "status");

  if (o)
    (void)json_put(o, "metadata", json_object_new_object());
  if (o && json_is(status, json_type_object) && json_empty(status))
    (void)json_put(o, "status", json_object_new_object());
  return o;
}

int32_t apply_track_update(struct json_object *old, struct json_object *new_obj, const struct schema *schema,
                           const struct manager_info *who, struct ome_err *err) {
  _cleanup_fieldset_pool_ struct fieldset_pool pool = {0};
  _cleanup_typed_root_ struct typed_root root = {0};
  _cleanup_managers_ struct managers m = {0};
  _cleanup_json_ struct json_object *before = old ? without_managers(old) : nothing_before(new_obj);
  _cleanup_json_ struct json_object *after = without_managers(new_obj);
  int32_t rc;

  if (!before || !after || !typed_root_init(&root, schema))
    return fail_memory(err);
  rc = managers_before_update(&pool, old, new_obj, who, &m, err);
  /* Whoever has no entries was made without tracking or had it reset; the first apply starts it again. */
  if (rc == OME_OK && (!old || m.list.len > 0))
    rc = track(&pool, &root.schema, before, after, who, &m, err);
  if (rc == OME_OK && !managers_cap(&pool, &m))
    rc = fail_memory(err);
  if (rc == OME_OK)
    put_managers(new_obj, &m);
  return rc;
}

static bool equal_but_times(struct json_object *a, struct json_object *b) {
  _cleanup_json_ struct json_object *l = shallow(a), *r = shallow(b);

  if (!l || !r)
    return false;
  json_object_object_del(l, "time");
  json_object_object_del(r, "time");
  return json_equal(l, r);
}

bool apply_keep_times(struct json_object *old, struct json_object *new_obj) {
  struct json_object *before = json_at(old, "metadata.managedFields");
  struct json_object *after = json_at(new_obj, "metadata.managedFields");
  _cleanup_json_ struct json_object *l = NULL, *r = NULL;

  if (json_len(before) != json_len(after))
    return false;
  /* Times order the entries, so each is looked for anywhere. */
  for (size_t i = 0; i < json_len(before); i++) {
    bool found = false;
    for (size_t j = 0; j < json_len(after) && !found; j++)
      found = equal_but_times(json_index(before, i), json_index(after, j));
    if (!found)
      return false;
  }
  l = without_managers(old);
  r = without_managers(new_obj);
  if (!l || !r || !json_equal(l, r))
    return false;
  if (before)
    (void)json_set(new_obj, "metadata.managedFields", json_copy(before));
  return true;
}

/* ---- apply ---------------------------------------------------------------------------------------------------- */

struct apply {
  struct fieldset_pool *pool;
  const struct schema *schema;
  const struct manager_info *who;
  struct json_object *live; /* without managedFields */
  struct json_object *applied;
  const struct fieldset *reset;
  struct managers managers;   /* as they were before; then as they are to be */
  struct json_object *result; /* without managedFields; new */
};

/* What MERGED loses because WHO applied it last time, no longer does, and nobody else owns it; new.
 *
 * Removing a list item or an object takes all of it along, so what others own of it is put back, and so is what
 * nobody owned by itself and was there anyway. */
static struct json_object *prune(struct apply *a, struct json_object *merged, const struct fieldset *last) {
  struct fieldset_pool *pool = a->pool;
  const struct schema *s = a->schema;
  const struct fieldset *owned = NULL;
  const struct fieldset *last_all = typed_with_parents(pool, s, last);
  const struct fieldset *merged_set = typed_with_parents(pool, s, typed_fields(pool, s, merged));
  _cleanup_json_ struct json_object *without = typed_remove(pool, s, merged, last_all);
  _cleanup_json_ struct json_object *with_owned = NULL;

  for (size_t i = 0; i < a->managers.list.len; i++)
    owned = fieldset_union(pool, owned, a->managers.list.items[i].set);
  const struct fieldset *kept = typed_with_parents(pool, s, without ? typed_fields(pool, s, without) : NULL);
  kept = fieldset_union(pool, kept, typed_with_parents(pool, s, owned));
  with_owned = typed_remove(pool, s, merged, fieldset_subtract(pool, merged_set, kept));

  kept = typed_with_parents(pool, s, with_owned ? typed_fields(pool, s, with_owned) : NULL);
  const struct fieldset *gone = fieldset_intersect(pool, fieldset_subtract(pool, merged_set, kept), last_all);
  struct json_object *pruned = typed_remove(pool, s, merged, gone);
  return pruned ? pruned : json_object_new_object();
}

/* "\"NAME\" with subresource \"S\" using VERSION" */
static void print_manager(struct buf *b, const struct manager *m) {
  buf_addf(b, "\"%s\"", m->name);
  if (*m->subresource)
    buf_addf(b, " with subresource \"%s\"", m->subresource);
  if (!m->applied)
    buf_addf(b, " using %s", m->api_version);
}

struct conflict_list {
  struct json_object *causes;
  const char *manager;
};

static void add_cause(void *arg, const char *path) {
  struct conflict_list *l = arg;
  struct json_object *cause = json_add_object(l->causes);
  _cleanup_free_ char *message = str_printf("conflict with %s", l->manager);

  (void)json_set_str(cause, "manager", l->manager);
  (void)json_set_str(cause, "field", path);
  (void)json_set_str(cause, "message", message);
}

static int by_manager(const void *a, const void *b) {
  struct json_object *const *l = a, *const *r = b;

  return strcmp(json_str(*l, "manager", ""), json_str(*r, "manager", ""));
}

char *apply_conflict_message(struct json_object *conflicts) {
  struct json_object *first = json_index(conflicts, 0);
  _cleanup_buf_ struct buf text = BUF_INIT;
  const char *manager = "";

  if (json_len(conflicts) == 1)
    return str_printf("Apply failed with 1 conflict: %s: %s", json_str(first, "message", ""),
                      json_str(first, "field", ""));
  buf_addf(&text, "Apply failed with %zu conflicts: ", json_len(conflicts));
  for (size_t i = 0; i < json_len(conflicts); i++) {
    struct json_object *cause = json_index(conflicts, i);
    if (!streq(manager, json_str(cause, "manager", ""))) {
      manager = json_str(cause, "manager", "");
      buf_addf(&text, "%sconflicts with %s:", i ? "\n" : "", manager);
    }
    buf_addf(&text, "\n- %s", json_str(cause, "field", ""));
  }
  return buf_take(&text);
}

/* Who else owns something of CHANGED, but for what is in ALLOWED; *OUT new, NULL: nobody. */
static int32_t find_conflicts(struct apply *a, const struct manager *self, const struct fieldset *changed,
                              const struct fieldset *allowed, struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *causes = json_object_new_array();

  if (!causes)
    return fail_memory(err);
  for (size_t i = 0; i < a->managers.list.len; i++) {
    const struct manager *m = &a->managers.list.items[i];
    _cleanup_buf_ struct buf name = BUF_INIT;
    const struct fieldset *disputed =
        m == self ? NULL : fieldset_subtract(a->pool, fieldset_intersect(a->pool, m->set, changed), allowed);
    print_manager(&name, m);
    fieldset_each(disputed, add_cause, &(struct conflict_list){causes, buf_str(&name)});
  }
  if (json_len(causes) > 0) {
    json_object_array_sort(causes, by_manager);
    _cleanup_free_ char *text = apply_conflict_message(causes);
    *out = TAKE_PTR(causes);
    return fail(err, OME_E_CONFLICT, "%s", text ? text : "Apply failed");
  }
  return OME_OK;
}

/* kubectl may overwrite what its own client-side apply had set before. */
static const struct fieldset *allowed_conflicts(struct apply *a) {
  if (!streq(a->who->manager, "kubectl"))
    return NULL;
  return apply_last_applied_fields(a->pool, a->schema, a->live, a->who->api_version);
}

static int32_t merge(struct apply *a, bool force, struct json_object **conflicts, struct ome_err *err) {
  struct fieldset_pool *pool = a->pool;
  struct manager *self = managers_ensure(pool, &a->managers, a->who, true);
  _cleanup_json_ struct json_object *merged = typed_merge(pool, a->schema, a->live, a->applied);
  struct change c;

  if (!self || !merged)
    return fail_memory(err);
  const struct fieldset *last = self->set;
  const struct fieldset *set = typed_fields(pool, a->schema, a->applied);
  self->set = fieldset_subtract_trees(pool, set, a->reset);
  a->result = fieldset_empty(last) ? TAKE_PTR(merged) : prune(a, merged, last);
  if (!a->result || !compare(pool, a->schema, a->live, a->result, a->reset, &c))
    return fail_memory(err);

  const struct fieldset *changed = fieldset_union(pool, c.added, c.modified);
  if (!force) {
    int32_t rc = find_conflicts(a, self, changed, allowed_conflicts(a), conflicts, err);
    if (rc != OME_OK)
      return rc;
  }
  disown(pool, &a->managers, self, fieldset_union(pool, changed, c.removed));
  self->set = without_identity(pool, self->set);
  self->api_version = fieldset_string(pool, a->who->api_version, strlen(a->who->api_version));
  if (!is_no_change(&c) || !self->has_time || !fieldset_equal(self->set, last)) {
    self->has_time = true;
    self->time_s = a->who->now_s;
  }
  return pool->failed ? fail_memory(err) : OME_OK;
}

/* An object whose changes nobody has tracked: what it holds now belongs to whoever came before. */
static int32_t start_tracking(struct apply *a, struct ome_err *err) {
  struct manager_info before = *a->who;
  _cleanup_json_ struct json_object *nothing = nothing_before(a->live);

  before.manager = "before-first-apply";
  if (!nothing)
    return fail_memory(err);
  return track(a->pool, a->schema, nothing, a->live, &before, &a->managers, err);
}

/* "NAMESPACE/NAME; GROUP/VERSION, Kind=KIND" */
static void describe(struct json_object *o, char *out, size_t size) {
  const char *version = json_str(o, "apiVersion", "");

  (void)snprintf(out, size, "%s/%s; %s%s, Kind=%s", json_str(o, "metadata.namespace", ""),
                 json_str(o, "metadata.name", "<unknown>"), strchr(version, '/') ? "" : "/", version,
                 json_str(o, "kind", ""));
}

static int32_t check_applied(struct apply *a, struct ome_err *err) {
  const char *version = json_str(a->applied, "apiVersion", "");
  char what[400];

  if (!json_is(a->applied, json_type_object))
    return fail(err, OME_E_INVALID, "error decoding YAML: the applied configuration is not an object");
  if (!streq(version, a->who->api_version))
    return fail(err, OME_E_INVALID,
                "Incorrect version specified in apply patch. Specified patch version: %s, expected: %s", version,
                a->who->api_version);
  if (json_at(a->applied, "metadata.managedFields"))
    return fail(err, OME_E_INVALID, "metadata.managedFields must be nil");
  describe(a->applied, what, sizeof(what));
  if (typed_validate(a->pool, a->schema, a->applied, false, err) != OME_OK)
    return fail_prefix(err, "failed to create typed patch object (%s)", what);
  describe(a->live, what, sizeof(what));
  if (typed_validate(a->pool, a->schema, a->live, true, err) != OME_OK)
    return fail_prefix(err, "failed to create typed live object (%s)", what);
  return OME_OK;
}

static int32_t run_apply(struct apply *a, struct json_object *live, bool force, struct json_object **conflicts,
                         struct ome_err *err) {
  struct json_object *entries = json_at(live, "metadata.managedFields");
  int32_t rc = check_applied(a, err);

  if (rc != OME_OK)
    return rc;
  if (managers_decode(a->pool, entries, &a->managers, err) != OME_OK) {
    (void)fail_prefix(err, "failed to decode managed fields");
    return err->code == OME_E_NO_MEMORY ? OME_E_NO_MEMORY : (err->code = OME_E_CORRUPT);
  }
  for (size_t i = 0; i < a->managers.list.len; i++)
    a->managers.list.items[i].set = typed_reconcile(a->pool, a->schema, a->managers.list.items[i].set);
  if (live && a->managers.list.len == 0 && (rc = start_tracking(a, err)) != OME_OK)
    return rc;
  return merge(a, force, conflicts, err);
}

int32_t apply_merge(struct json_object *live, struct json_object *applied, const struct schema *schema,
                    const struct manager_info *who, bool force, struct json_object **out,
                    struct json_object **conflicts, struct ome_err *err) {
  _cleanup_fieldset_pool_ struct fieldset_pool pool = {0};
  _cleanup_typed_root_ struct typed_root root = {0};
  _cleanup_json_ struct json_object *bare = without_managers(live);
  struct apply a = {.pool = &pool, .who = who, .live = bare, .applied = applied};
  int32_t rc;

  if (!bare || !typed_root_init(&root, schema))
    return fail_memory(err);
  a.schema = &root.schema;
  a.reset = reset_set(&pool, who);
  rc = run_apply(&a, live, force, conflicts, err);
  if (rc == OME_OK && streq(who->manager, "kubectl") && !apply_set_last_applied(a.result, applied))
    rc = fail_memory(err);
  if (rc == OME_OK) {
    put_managers(a.result, &a.managers);
    *out = TAKE_PTR(a.result);
  }
  json_unref(a.result);
  managers_fini(&a.managers);
  return rc;
}
