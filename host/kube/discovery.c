/* Which resources the server has: asked once, and once more when something is not found (a CRD may be new). */
#include "base/clock.h"
#include "base/str.h"
#include "base/vec.h"
#include "kube/client_internal.h"

#include <string.h>
#include <strings.h>

#define ASK_AGAIN_MS 500 /* at most this often for names that are not there */

struct entry {
  struct kube_resource resource;
  char *group, *version, *plural, *kind, *singular;
  char **short_names; /* NULL-terminated, one allocation */
  bool preferred;     /* of the group's preferred version */
};

/* Entries are never freed while the client lives: callers keep pointers to their resources. */
struct discovery {
  VEC(struct entry *) entries;
  uint64_t asked_ms;
};

static void entry_free(struct entry *e) {
  if (!e)
    return;
  free(e->group);
  free(e->version);
  free(e->plural);
  free(e->kind);
  free(e->singular);
  free(e->short_names);
  free(e);
}

void discovery_free(struct discovery *d) {
  if (!d)
    return;
  for (size_t i = 0; i < d->entries.len; i++)
    entry_free(d->entries.items[i]);
  VEC_FREE(&d->entries);
  free(d);
}

static struct entry *find_exact(struct discovery *d, const char *group, const char *version, const char *plural) {
  for (size_t i = 0; i < d->entries.len; i++) {
    struct entry *e = d->entries.items[i];
    if (streq(e->group, group) && streq(e->version, version) && streq(e->plural, plural))
      return e;
  }
  return NULL;
}

static char **copy_short_names(struct json_object *list) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  for (size_t i = 0; i < json_len(list); i++)
    buf_addf(&b, "%s%s", i ? "," : "", json_object_get_string(json_index(list, i)));
  return str_split(buf_str(&b), ',');
}

static bool add_entry(struct discovery *d, const char *group, const char *version, bool preferred,
                      struct json_object *o) {
  const char *plural = json_str(o, "name", "");
  struct entry *e;

  if (strchr(plural, '/') || find_exact(d, group, version, plural))
    return true; /* a subresource, or known */
  e = calloc(1, sizeof(*e));
  if (!e)
    return false;
  e->group = strdup(group);
  e->version = strdup(version);
  e->plural = strdup(plural);
  e->kind = strdup(json_str(o, "kind", ""));
  e->singular = strdup(json_str(o, "singularName", ""));
  e->short_names = copy_short_names(json_at(o, "shortNames"));
  e->preferred = preferred;
  e->resource = (struct kube_resource){e->group, e->version, e->plural, e->kind, json_flag(o, "namespaced", false)};
  if (!e->group || !e->version || !e->plural || !e->kind || !e->singular || !e->short_names ||
      !VEC_PUSH(&d->entries, e)) {
    entry_free(e);
    return false;
  }
  return true;
}

static int32_t ask_version(struct kube_client *c, struct discovery *d, const char *group, const char *version,
                           bool preferred, struct ome_err *err) {
  _cleanup_free_ char *path = *group ? str_printf("/apis/%s/%s", group, version) : str_printf("/api/%s", version);
  _cleanup_json_ struct json_object *list = NULL;
  int32_t rc = path ? kube_raw(c, "GET", path, NULL, &list, err) : fail_memory(err);

  if (rc != OME_OK)
    return rc == OME_E_NOT_FOUND ? OME_OK : rc; /* gone between two answers */
  struct json_object *resources = json_at(list, "resources");
  for (size_t i = 0; i < json_len(resources); i++)
    if (!add_entry(d, group, version, preferred, json_index(resources, i)))
      return fail_memory(err);
  return OME_OK;
}

static int32_t ask(struct kube_client *c, struct discovery *d, struct ome_err *err) {
  _cleanup_json_ struct json_object *groups = NULL;
  int32_t rc = ask_version(c, d, "", "v1", true, err);

  if (rc == OME_OK)
    rc = kube_raw(c, "GET", "/apis", NULL, &groups, err);
  struct json_object *list = json_at(groups, "groups");
  for (size_t i = 0; rc == OME_OK && i < json_len(list); i++) {
    struct json_object *group = json_index(list, i);
    struct json_object *versions = json_at(group, "versions");
    const char *preferred = json_str(group, "preferredVersion.version", "");
    for (size_t v = 0; rc == OME_OK && v < json_len(versions); v++) {
      const char *version = json_str(json_index(versions, v), "version", "");
      rc = ask_version(c, d, json_str(group, "name", ""), version, streq(version, preferred), err);
    }
  }
  d->asked_ms = rc == OME_OK ? mono_ms() : 0; /* half an answer says nothing of what is missing */
  return rc;
}

typedef bool match_fn(const struct entry *e, const char *a, const char *b);

static const struct entry *look(struct discovery *d, match_fn *match, const char *a, const char *b) {
  const struct entry *found = NULL;

  for (size_t i = 0; i < d->entries.len; i++) {
    const struct entry *e = d->entries.items[i];
    if (match(e, a, b) && (!found || (e->preferred && !found->preferred)))
      found = e;
  }
  return found;
}

/* Runs without the client's lock: requests take it. */
static int32_t discover(struct kube_client *c, match_fn *match, const char *a, const char *b,
                        const struct kube_resource **out, struct ome_err *err) {
  static pthread_mutex_t asking = PTHREAD_MUTEX_INITIALIZER; /* one discovery at a time is plenty */
  const struct entry *e;
  int32_t rc = OME_OK;

  (void)pthread_mutex_lock(&asking);
  if (!c->shared.discovery)
    c->shared.discovery = calloc(1, sizeof(*c->shared.discovery));
  struct discovery *d = c->shared.discovery;
  if (!d) {
    (void)pthread_mutex_unlock(&asking);
    return fail_memory(err);
  }
  e = look(d, match, a, b);
  if (!e && (!d->asked_ms || mono_ms() - d->asked_ms >= ASK_AGAIN_MS)) {
    rc = ask(c, d, err);
    e = look(d, match, a, b);
  }
  (void)pthread_mutex_unlock(&asking);
  if (e)
    *out = &e->resource;
  else if (rc == OME_OK)
    rc = OME_E_NOT_FOUND;
  return e ? OME_OK : rc;
}

static bool match_kind(const struct entry *e, const char *api_version, const char *kind) {
  char own[128];

  kube_api_version(&e->resource, own);
  return streq(own, api_version) && streq(e->kind, kind);
}

/* The kinds that the host itself speaks of need no question. */
static const struct kube_resource *known(const char *api_version, const char *kind) {
#define KUBE_LIST_(id, group, version, resource, kind, namespaced) &KUBE_##id,
  static const struct kube_resource *const all[] = {KUBE_RESOURCES(KUBE_LIST_)};
#undef KUBE_LIST_
  char own[128];

  for (size_t i = 0; i < ARRAY_LEN(all); i++) {
    kube_api_version(all[i], own);
    if (streq(own, api_version) && streq(all[i]->kind, kind))
      return all[i];
  }
  return NULL;
}

int32_t kube_discover(struct kube_client *c, const char *api_version, const char *kind,
                      const struct kube_resource **out, struct ome_err *err) {
  const struct kube_resource *r = known(api_version, kind);

  if (r) {
    *out = r;
    return OME_OK;
  }
  int32_t rc = discover(c, match_kind, api_version, kind, out, err);
  if (rc == OME_E_NOT_FOUND)
    rc = fail(err, rc, "the server has no kind \"%s\" in \"%s\"; install its CRD", kind, api_version);
  return rc;
}

/* NAME is what a person types, GROUP what follows its first dot, or "". */
static bool match_name(const struct entry *e, const char *name, const char *group) {
  if (*group && !streq(e->group, group))
    return false;
  if (strcasecmp(e->plural, name) == 0 || strcasecmp(e->singular, name) == 0 || strcasecmp(e->kind, name) == 0)
    return true;
  for (char **s = e->short_names; *s; s++)
    if (strcasecmp(*s, name) == 0)
      return true;
  return false;
}

int32_t kube_discover_name(struct kube_client *c, const char *name, const struct kube_resource **out,
                           struct ome_err *err) {
  const char *dot = strchr(name, '.');
  _cleanup_free_ char *first = dot ? str_copy(name, (size_t)(dot - name)) : strdup(name);

  if (!first)
    return fail_memory(err);
  int32_t rc = discover(c, match_name, first, dot ? dot + 1 : "", out, err);
  if (rc == OME_E_NOT_FOUND)
    rc = fail(err, rc, "the server has no resource \"%s\"", name);
  return rc;
}
