/* What the server says it serves: /api, /apis, group and version documents, /version, health. */
#include "apiserver/server.h"

#include "base/buf.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define GIT_VERSION "v1.26.15+ome"

static void answer_json(struct http_exchange *x, struct json_object *owned) {
  _cleanup_json_ struct json_object *o = owned;
  _cleanup_free_ char *text = json_text(o);

  http_respond(x, text ? 200 : 500, "application/json", text, text ? strlen(text) : 0);
}

static void answer_version(struct apiserver *s, struct http_exchange *x) {
  (void)s;
  struct json_object *o = json_object_new_object();

  (void)json_set_str(o, "major", "1");
  (void)json_set_str(o, "minor", "26");
  (void)json_set_str(o, "gitVersion", GIT_VERSION);
  (void)json_set_str(o, "gitCommit", "");
  (void)json_set_str(o, "gitTreeState", "clean");
  (void)json_set_str(o, "buildDate", "1970-01-01T00:00:00Z");
  (void)json_set_str(o, "goVersion", "none");
  (void)json_set_str(o, "compiler", "cc");
  (void)json_set_str(o, "platform", "linux/amd64");
  answer_json(x, o);
}

static void answer_core(struct apiserver *s, struct http_exchange *x) {
  static const char *const versions[] = {"v1", NULL};
  struct json_object *o = json_object_new_object();
  _cleanup_free_ char *server = str_printf("127.0.0.1:%u", http_server_port(s->http));

  (void)json_set_str(o, "kind", "APIVersions");
  (void)json_set(o, "versions", json_strings(versions));
  struct json_object *address = json_add_object(json_ensure_array(o, "serverAddressByClientCIDRs"));
  (void)json_set_str(address, "clientCIDR", "0.0.0.0/0");
  (void)json_set_str(address, "serverAddress", server);
  answer_json(x, o);
}

/* Kubernetes' order of versions: stable before beta before alpha, higher numbers first. */
static int version_rank(const char *v) {
  int major = 0;
  int minor = 0;
  char stage[8] = "";

  if (sscanf(v, "v%d%7[a-z]%d", &major, stage, &minor) < 1) /* NOLINT(cert-err34-c): bounded by %7 and small numbers */
    return 0;
  int base = !*stage ? 3 : streq(stage, "beta") ? 2 : 1;
  return base * 1000000 + major * 1000 + minor;
}

static struct json_object *group_version(const char *group, const char *version) {
  struct json_object *o = json_object_new_object();
  _cleanup_free_ char *text = str_printf("%s/%s", group, version);

  (void)json_set_str(o, "groupVersion", text);
  (void)json_set_str(o, "version", version);
  return o;
}

/* Whether the resource at I is the first of its group, or of its group and version. */
static bool is_first(const struct registry *r, size_t i, bool with_version) {
  const struct resource *x = registry_at(r, i);

  for (size_t k = 0; k < i; k++) {
    const struct resource *y = registry_at(r, k);
    if (streq(x->group, y->group) && (!with_version || streq(x->version, y->version)))
      return false;
  }
  return true;
}

static int compare_versions(const void *a, const void *b) {
  return version_rank(*(const char *const *)b) - version_rank(*(const char *const *)a);
}

static struct json_object *group_object(const struct registry *r, const char *group) {
  struct json_object *o = json_object_new_object();
  struct json_object *list = json_object_new_array();
  const char *versions[64];
  size_t n = 0;

  for (size_t i = 0; i < registry_count(r) && n < ARRAY_LEN(versions); i++)
    if (streq(registry_at(r, i)->group, group) && is_first(r, i, true))
      versions[n++] = registry_at(r, i)->version;
  qsort(versions, n, sizeof(*versions), compare_versions);
  (void)json_set_str(o, "name", group);
  for (size_t i = 0; i < n; i++)
    (void)json_add(list, group_version(group, versions[i]));
  (void)json_set(o, "versions", list);
  if (n)
    (void)json_set(o, "preferredVersion", group_version(group, versions[0]));
  return o;
}

static void answer_groups(struct apiserver *s, struct http_exchange *x) {
  struct json_object *o = json_object_new_object();
  struct json_object *groups = json_object_new_array();

  (void)json_set_str(o, "kind", "APIGroupList");
  (void)json_set_str(o, "apiVersion", "v1");
  for (size_t i = 0; i < registry_count(s->registry); i++)
    if (*registry_at(s->registry, i)->group && is_first(s->registry, i, false))
      (void)json_add(groups, group_object(s->registry, registry_at(s->registry, i)->group));
  (void)json_set(o, "groups", groups);
  answer_json(x, o);
}

static void answer_group(struct apiserver *s, struct http_exchange *x, const char *group) {
  struct json_object *o = group_object(s->registry, group);

  (void)json_set_str(o, "kind", "APIGroup");
  (void)json_set_str(o, "apiVersion", "v1");
  answer_json(x, o);
}

/* ---- resources -------------------------------------------------------------------------------------------------- */

static struct json_object *entry(const char *name, const char *singular, const char *kind, bool namespaced,
                                 const char *const *verbs) {
  struct json_object *o = json_object_new_object();

  (void)json_set_str(o, "name", name);
  (void)json_set_str(o, "singularName", singular);
  (void)json_set_bool(o, "namespaced", namespaced);
  (void)json_set_str(o, "kind", kind);
  (void)json_set(o, "verbs", json_strings(verbs));
  return o;
}

static void add_resource(struct json_object *list, const struct resource *r) {
  static const char *const all[] = {"create", "delete", "deletecollection", "get", "list", "patch", "update",
                                    "watch",  NULL};
  static const char *const all_crd[] = {"delete", "deletecollection", "get",   "list", "patch",
                                        "create", "update",           "watch", NULL};
  static const char *const no_collection[] = {"create", "delete", "get", "list", "patch", "update", "watch", NULL};
  static const char *const create[] = {"create", NULL};
  const char *const *verbs = all;

  if (r->flags & RES_VIRTUAL)
    verbs = create;
  else if (r->flags & RES_NO_COLLECTION_DELETE)
    verbs = no_collection;
  else if (r->crd)
    verbs = all_crd;
  /* Since 1.27 the singular name is filled in for every kind; before only for custom resources. */
  struct json_object *o = entry(r->plural, r->crd ? r->singular : "", r->kind, r->namespaced, verbs);
  if (r->short_names)
    (void)json_set(o, "shortNames", json_strings(r->short_names));
  if (r->categories)
    (void)json_set(o, "categories", json_strings(r->categories));
  if (!(r->flags & RES_VIRTUAL))
    (void)json_set_str(o, "storageVersionHash", "b21l");
  (void)json_add(list, o);
}

static void add_subresources(struct json_object *list, const struct resource *r) {
  static const char *const get_patch_update[] = {"get", "patch", "update", NULL};
  static const char *const get[] = {"get", NULL};
  static const char *const create[] = {"create", NULL};
  static const char *const update[] = {"update", NULL};
  static const struct {
    const char *name;
    uint32_t bit;
    const char *group, *version, *kind;
    const char *const *verbs;
  } subs[] = {
      {"binding", SUB_BINDING, NULL, NULL, "Binding", create},
      {"eviction", SUB_EVICTION, "policy", "v1", "Eviction", create},
      {"finalize", SUB_FINALIZE, NULL, NULL, NULL, update},
      {"log", SUB_LOG, NULL, NULL, NULL, get},
      {"scale", SUB_SCALE, "autoscaling", "v1", "Scale", get_patch_update},
      {"status", SUB_STATUS, NULL, NULL, NULL, get_patch_update},
      {"token", SUB_TOKEN, "authentication.k8s.io", "v1", "TokenRequest", create},
  };

  for (size_t i = 0; i < ARRAY_LEN(subs); i++) {
    if (!(r->subresources & subs[i].bit))
      continue;
    _cleanup_free_ char *name = str_printf("%s/%s", r->plural, subs[i].name);
    struct json_object *o = entry(name, "", subs[i].kind ? subs[i].kind : r->kind, r->namespaced, subs[i].verbs);
    if (subs[i].group) {
      (void)json_set_str(o, "group", subs[i].group);
      (void)json_set_str(o, "version", subs[i].version);
    }
    (void)json_add(list, o);
  }
}

static void answer_resources(struct apiserver *s, struct http_exchange *x, const char *group, const char *version) {
  struct json_object *o = json_object_new_object();
  struct json_object *list = json_object_new_array();
  _cleanup_free_ char *text = *group ? str_printf("%s/%s", group, version) : strdup(version);

  (void)json_set_str(o, "kind", "APIResourceList");
  (void)json_set_str(o, "apiVersion", "v1");
  (void)json_set_str(o, "groupVersion", text);
  for (size_t i = 0; i < registry_count(s->registry); i++) {
    const struct resource *r = registry_at(s->registry, i);
    if (!streq(r->group, group) || !streq(r->version, version))
      continue;
    add_resource(list, r);
    add_subresources(list, r);
  }
  (void)json_set(o, "resources", list);
  answer_json(x, o);
}

/* ---- paths ------------------------------------------------------------------------------------------------------ */

static bool answer_health(struct http_exchange *x, const char *path) {
  static const char *const paths[] = {"/healthz", "/livez", "/readyz", "/healthz/ping", "/livez/ping", "/readyz/ping"};

  for (size_t i = 0; i < ARRAY_LEN(paths); i++)
    if (streq(path, paths[i])) {
      http_respond(x, 200, "text/plain; charset=utf-8", "ok", 2);
      return true;
    }
  return false;
}

static void answer_paths(struct apiserver *s, struct http_exchange *x) {
  struct json_object *o = json_object_new_object();
  struct json_object *paths = json_object_new_array();

  (void)json_add_str(paths, "/api");
  (void)json_add_str(paths, "/api/v1");
  (void)json_add_str(paths, "/apis");
  for (size_t i = 0; i < registry_count(s->registry); i++) {
    const struct resource *r = registry_at(s->registry, i);
    _cleanup_free_ char *text = str_printf("/apis/%s/%s", r->group, r->version);
    if (*r->group && is_first(s->registry, i, true))
      (void)json_add_str(paths, text);
  }
  (void)json_add_str(paths, "/healthz");
  (void)json_add_str(paths, "/version");
  (void)json_set(o, "paths", paths);
  answer_json(x, o);
}

/* Serves /apis/GROUP and /apis/GROUP/VERSION; REST is what follows "/apis/". */
static bool answer_group_path(struct apiserver *s, struct http_exchange *x, char *rest) {
  char *version = strchr(rest, '/');

  if (version)
    *version++ = '\0';
  if (!*rest || !registry_has_group(s->registry, rest))
    return false;
  if (!version) {
    answer_group(s, x, rest);
    return true;
  }
  if (strchr(version, '/') || !registry_has_version(s->registry, rest, version))
    return false;
  answer_resources(s, x, rest, version);
  return true;
}

static void answer_core_resources(struct apiserver *s, struct http_exchange *x) {
  answer_resources(s, x, "", "v1");
}

bool discovery_handle(struct apiserver *s, struct http_exchange *x) {
  static const struct {
    const char *path;
    void (*answer)(struct apiserver *s, struct http_exchange *x);
  } paths[] = {
      {"/", answer_paths},      {"/version", answer_version},       {"/api", answer_core},
      {"/apis", answer_groups}, {"/api/v1", answer_core_resources},
  };
  _cleanup_free_ char *path = strdup(http_path(x));
  size_t n = path ? strlen(path) : 0;

  if (!path || !streq(http_method(x), "GET"))
    return false;
  if (n > 1 && path[n - 1] == '/')
    path[n - 1] = '\0';
  if (answer_health(x, path))
    return true;
  for (size_t i = 0; i < ARRAY_LEN(paths); i++)
    if (streq(path, paths[i].path)) {
      paths[i].answer(s, x);
      return true;
    }
  return has_prefix(path, "/apis/") && answer_group_path(s, x, path + 6);
}
