/* Namespaces: the ones that are always there, and the deletion of one with all it holds. */
#include "apiserver/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/vec.h"
#include "kube/meta.h"
#include "os/file.h"

#include <string.h>

static int32_t ensure(struct apiserver *s, const char *name, struct ome_err *err) {
  const struct store_key key = {"/namespaces", "", name};
  _cleanup_json_ struct json_object *o = NULL;
  char uid[37];
  char now[TIME_TEXT];

  if (store_get_version(s->store, &key))
    return OME_OK;
  o = json_object_new_object();
  random_uuid(uid);
  time_format(wall_ms() / 1000, now);
  (void)json_set_str(o, "apiVersion", "v1");
  (void)json_set_str(o, "kind", "Namespace");
  (void)json_set_str(o, "metadata.name", name);
  (void)json_set_str(o, "metadata.uid", uid);
  (void)json_set_str(o, "metadata.creationTimestamp", now);
  meta_set_label(o, "kubernetes.io/metadata.name", name);
  (void)json_add_str(json_ensure_array(o, "spec.finalizers"), "kubernetes");
  (void)json_set_str(o, "status.phase", "Active");
  return store_put(s->store, &key, o, err);
}

struct pending {
  VEC(char *) names;
};

static bool note_terminating(void *arg, const char *ns, const char *name, const char *text, size_t len,
                             const char *labels) {
  struct pending *p = arg;
  char *copy;

  (void)ns;
  (void)len;
  (void)labels;
  if (strstr(text, "\"deletionTimestamp\"") && (copy = strdup(name)) && !VEC_PUSH(&p->names, copy))
    free(copy);
  return true;
}

int32_t namespaces_init(struct apiserver *s, struct ome_err *err) {
  static const char *const always[] = {"default", "kube-system", "kube-public", "kube-node-lease"};
  struct pending p = {{0}};
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < ARRAY_LEN(always); i++)
    rc = ensure(s, always[i], err);
  /* Deletions that the last process did not finish. */
  if (rc == OME_OK)
    rc = store_list(s->store, &(struct store_part){.collection = "/namespaces"}, note_terminating, &p, err);
  for (size_t i = 0; i < p.names.len; i++) {
    namespace_continue(s, p.names.items[i]);
    free(p.names.items[i]);
  }
  VEC_FREE(&p.names);
  return rc;
}

struct content {
  struct apiserver *server;
  VEC(struct json_object *) objects;
  VEC(const struct resource *) resources;
};

static void add_content(void *arg, const char *collection, const char *ns, const char *name) {
  struct content *c = arg;
  const struct resource *r = registry_by_collection(c->server->registry, collection);
  struct json_object *o = r ? load(c->server, r, ns, name) : NULL;

  if (o && VEC_PUSH(&c->objects, o))
    (void)VEC_PUSH(&c->resources, r);
  else
    json_unref(o);
}

/* Begins the deletion of everything in NS that is not being deleted yet. */
static void delete_content(struct apiserver *s, struct content *c) {
  struct ome_err err = ERR_INIT;

  for (size_t i = 0; i < c->objects.len; i++) {
    struct json_object *o = c->objects.items[i];
    const struct resource *r = c->resources.items[i];
    bool runs = streq(r->kind, "Pod") && *json_str(o, "spec.nodeName", "");
    int32_t rc = OME_OK;
    if (meta_deleting(o))
      continue;
    if (!runs && json_empty(json_at(o, "metadata.finalizers"))) {
      rc = remove_object(s, r, o, &err);
    } else {
      mark_deleting(o, runs ? json_i64(o, "spec.terminationGracePeriodSeconds", 30) : 0);
      rc = store_object(s, r, o, &err);
    }
    if (rc != OME_OK)
      log_warning("namespace", "delete %s %s/%s: %s", r->plural, meta_namespace(o), meta_name(o), err.msg);
  }
}

struct continue_call {
  struct apiserver *server;
  char *name;
};

static void continue_now(void *arg) {
  struct continue_call *call = arg;
  struct apiserver *s = call->server;
  const struct resource *r = registry_find(s->registry, "", "v1", "namespaces");
  _cleanup_json_ struct json_object *ns = load(s, r, "", call->name);
  struct content c = {.server = s};
  struct ome_err err = ERR_INIT;

  if (ns && meta_deleting(ns)) {
    (void)store_in_namespace(s->store, call->name, add_content, &c, &err);
    bool empty = c.objects.len == 0;
    delete_content(s, &c);
    if (empty) {
      json_del(ns, "spec.finalizers");
      if (store_object(s, r, ns, &err) != OME_OK)
        log_warning("namespace", "delete %s: %s", call->name, err.msg);
    }
  }
  for (size_t i = 0; i < c.objects.len; i++)
    json_unref(c.objects.items[i]);
  VEC_FREE(&c.objects);
  VEC_FREE(&c.resources);
  free(call->name);
  free(call);
}

/* Later on the loop: callers are in the middle of a write. */
void namespace_continue(struct apiserver *s, const char *name) {
  const struct store_key key = {"/namespaces", "", name};
  _cleanup_free_ char *text = store_get(s->store, &key);

  if (!text || !strstr(text, "\"deletionTimestamp\""))
    return;
  struct continue_call *call = malloc(sizeof(*call));
  if (!call)
    return;
  *call = (struct continue_call){s, strdup(name)};
  loop_post(s->loop, continue_now, call);
}
