#include "apiserver/apply_managers.h"

#include "base/clock.h"
#include "base/str.h"

#include <string.h>

#define MAX_UPDATERS 10
#define MAX_ENTRIES 10000

void managers_fini(struct managers *m) {
  VEC_FREE(&m->list);
}

static bool same_manager(const struct manager *a, const struct manager *b) {
  return a->applied == b->applied && streq(a->name, b->name) && streq(a->subresource, b->subresource) &&
         (a->applied || streq(a->api_version, b->api_version));
}

static struct manager *find(struct managers *m, const struct manager *key) {
  for (size_t i = 0; i < m->list.len; i++)
    if (same_manager(&m->list.items[i], key))
      return &m->list.items[i];
  return NULL;
}

static struct manager key_of(const struct manager_info *who, bool applied) {
  return (struct manager){.name = who->manager && *who->manager ? who->manager : "unknown",
                          .api_version = who->api_version ? who->api_version : "",
                          .subresource = who->subresource ? who->subresource : "",
                          .applied = applied};
}

static bool own_strings(struct fieldset_pool *pool, struct manager *m) {
  m->name = fieldset_string(pool, m->name, strlen(m->name));
  m->api_version = fieldset_string(pool, m->api_version, strlen(m->api_version));
  m->subresource = fieldset_string(pool, m->subresource, strlen(m->subresource));
  return !pool->failed;
}

struct manager *managers_ensure(struct fieldset_pool *pool, struct managers *m, const struct manager_info *who,
                                bool applied) {
  struct manager fresh = key_of(who, applied);
  struct manager *known = find(m, &fresh);

  if (known)
    return known;
  if (!own_strings(pool, &fresh) || !VEC_PUSH(&m->list, fresh))
    return NULL;
  return &m->list.items[m->list.len - 1];
}

/* ---- the list in the object ----------------------------------------------------------------------------------- */

static int32_t decode_entry(struct fieldset_pool *pool, struct json_object *o, struct manager *out,
                            struct ome_err *err) {
  const char *operation = json_str(o, "operation", "");
  struct json_object *fields = json_get(o, "fieldsV1");
  int64_t ms;

  *out = (struct manager){.name = json_str(o, "manager", ""),
                          .api_version = json_str(o, "apiVersion", ""),
                          .subresource = json_str(o, "subresource", ""),
                          .applied = streq(operation, "Apply")};
  if (!out->applied && !streq(operation, "Update"))
    return fail(err, OME_E_INVALID, "managedFields: %s: operation \"%.40s\" is neither Apply nor Update", out->name,
                operation);
  out->has_time = time_parse(json_str(o, "time", ""), &ms);
  out->time_s = out->has_time ? ms / 1000 : 0;
  if (!own_strings(pool, out))
    return fail_memory(err);
  return fields ? fieldset_parse(pool, fields, &out->set, err) : OME_OK;
}

int32_t managers_decode(struct fieldset_pool *pool, struct json_object *entries, struct managers *out,
                        struct ome_err *err) {
  if (entries && !json_is(entries, json_type_array))
    return fail(err, OME_E_INVALID, "managedFields: not a list");
  if (json_len(entries) > MAX_ENTRIES)
    return fail(err, OME_E_INVALID, "managedFields: more than %d entries", MAX_ENTRIES);
  for (size_t i = 0; i < json_len(entries); i++) {
    struct manager m;
    int32_t rc = decode_entry(pool, json_index(entries, i), &m, err);
    if (rc != OME_OK)
      return rc;
    struct manager *twin = find(out, &m);
    if (twin)
      *twin = m;
    else if (!VEC_PUSH(&out->list, m))
      return fail_memory(err);
  }
  return OME_OK;
}

static int compare_managers(const void *a, const void *b) {
  const struct manager *l = a, *r = b;
  int c;

  if (l->applied != r->applied)
    return l->applied ? -1 : 1;
  if (l->time_s != r->time_s)
    return l->time_s < r->time_s ? -1 : 1;
  if ((c = strcmp(l->name, r->name)) != 0 || (c = strcmp(l->api_version, r->api_version)) != 0)
    return c;
  return strcmp(l->subresource, r->subresource);
}

static struct json_object *encode_entry(const struct manager *m) {
  struct json_object *o = json_object_new_object();
  char stamp[TIME_TEXT];

  if (!o)
    return NULL;
  if (*m->name)
    (void)json_set_str(o, "manager", m->name);
  (void)json_set_str(o, "operation", m->applied ? "Apply" : "Update");
  if (*m->api_version)
    (void)json_set_str(o, "apiVersion", m->api_version);
  if (m->has_time) {
    time_format(m->time_s, stamp);
    (void)json_set_str(o, "time", stamp);
  }
  (void)json_set_str(o, "fieldsType", "FieldsV1");
  (void)json_set(o, "fieldsV1", fieldset_to_json(m->set));
  if (*m->subresource)
    (void)json_set_str(o, "subresource", m->subresource);
  return o;
}

struct json_object *managers_encode(struct managers *m) {
  struct json_object *out = json_object_new_array();

  if (m->list.len)
    qsort(m->list.items, m->list.len, sizeof(*m->list.items), compare_managers);
  for (size_t i = 0; out && i < m->list.len; i++)
    if (!fieldset_empty(m->list.items[i].set))
      (void)json_add(out, encode_entry(&m->list.items[i]));
  if (json_len(out) > 0)
    return out;
  json_unref(out);
  return NULL;
}

/* ---- the cap -------------------------------------------------------------------------------------------------- */

/* The first updater of VERSION before END that is not the bucket itself. */
static struct manager *first_of_version(struct managers *m, const char *version, size_t end) {
  for (size_t i = 0; i < end; i++)
    if (!m->list.items[i].applied && streq(m->list.items[i].api_version, version))
      return &m->list.items[i];
  return NULL;
}

bool managers_cap(struct fieldset_pool *pool, struct managers *m) {
  size_t updaters = 0;

  for (size_t i = 0; i < m->list.len; i++)
    updaters += !m->list.items[i].applied;
  if (updaters <= MAX_UPDATERS)
    return true;
  qsort(m->list.items, m->list.len, sizeof(*m->list.items), compare_managers);
  for (size_t i = 0; i < m->list.len && updaters > MAX_UPDATERS;) {
    struct manager *from = &m->list.items[i];
    struct manager *into = from->applied ? NULL : first_of_version(m, from->api_version, i);
    if (!into) {
      i++;
      continue;
    }
    into->name = "ancient-changes";
    into->subresource = "";
    into->set = fieldset_union(pool, into->set, from->set);
    into->has_time = from->has_time; /* the younger one's */
    into->time_s = from->time_s;
    VEC_REMOVE(&m->list, i);
    updaters--;
  }
  return !pool->failed;
}
