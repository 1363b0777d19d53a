/* Garbage collection by owner references: background, foreground and orphan propagation.
 *
 * Event driven: a deletion or a write of an object with owners puts work into a queue that is run on the loop, some a
 * turn, so that a large tree does not hold requests up. */
#include "apiserver/server.h"

#include "base/log.h"
#include "base/str.h"
#include "base/vec.h"
#include "kube/meta.h"

#include <string.h>

#define WORK_PER_TURN 64

struct place {
  char *collection, *ns, *name;
};

struct work {
  char *uid;          /* an owner that is gone or waits; NULL: */
  struct place place; /* an object whose owners may be gone */
};

struct gc {
  struct apiserver *server;
  VEC(struct work) queue;
  size_t head;
  bool posted, stopped;
};

static void place_fini(struct place *p) {
  free(p->collection);
  free(p->ns);
  free(p->name);
}

static void work_fini(struct work *w) {
  free(w->uid);
  place_fini(&w->place);
}

static void run(void *arg);

static void schedule(struct gc *g) {
  if (g->posted || g->stopped)
    return;
  g->posted = true;
  loop_post(g->server->loop, run, g);
}

static void push(struct gc *g, struct work w) {
  if (!VEC_PUSH(&g->queue, w)) {
    work_fini(&w);
    return;
  }
  schedule(g);
}

void gc_owner_gone(struct gc *g, const char *uid) {
  if (*uid)
    push(g, (struct work){.uid = strdup(uid)});
}

static struct work of_object(const struct resource *r, const char *ns, const char *name) {
  return (struct work){.place = {strdup(r->collection), strdup(ns), strdup(name)}};
}

void gc_look(struct gc *g, const struct resource *r, struct json_object *o) {
  struct json_object *refs = json_at(o, "metadata.ownerReferences");

  if (meta_deleting(o) || json_len(refs))
    push(g, of_object(r, meta_namespace(o), meta_name(o)));
  if (!meta_deleting(o))
    return;
  /* Its owner may have been waiting for just this. */
  for (size_t i = 0; i < json_len(refs); i++)
    gc_owner_gone(g, json_str(json_index(refs, i), "uid", ""));
}

void gc_removed(struct gc *g, struct json_object *o) {
  struct json_object *refs = json_at(o, "metadata.ownerReferences");

  gc_owner_gone(g, meta_uid(o));
  /* An owner may have been waiting for just this one. */
  for (size_t i = 0; i < json_len(refs); i++)
    gc_owner_gone(g, json_str(json_index(refs, i), "uid", ""));
}

/* ---- one owner -------------------------------------------------------------------------------------------------- */

struct dependents {
  VEC(struct place) list;
};

static void add_dependent(void *arg, const char *collection, const char *ns, const char *name) {
  struct dependents *d = arg;
  struct place p = {strdup(collection), strdup(ns), strdup(name)};

  if (!VEC_PUSH(&d->list, p))
    place_fini(&p);
}

static void dependents_fini(struct dependents *d) {
  for (size_t i = 0; i < d->list.len; i++)
    place_fini(&d->list.items[i]);
  VEC_FREE(&d->list);
}

/* Whether an owner reference leads to something that is there. */
static bool owner_exists(struct apiserver *s, struct json_object *ref) {
  return store_find_uid(s->store, json_str(ref, "uid", ""), NULL, NULL);
}

static void report(const char *what, const struct place *p, const struct ome_err *err) {
  log_warning("gc", "%s %s %s/%s: %s", what, p->collection, p->ns, p->name, err->msg);
}

static void remove_refs(struct json_object *o, const char *uid) {
  struct json_object *refs = json_at(o, "metadata.ownerReferences");

  for (size_t i = json_len(refs); i-- > 0;)
    if (streq(json_str(json_index(refs, i), "uid", ""), uid))
      (void)json_object_array_del_idx(refs, i, 1);
  if (json_len(refs) == 0)
    json_del(o, "metadata.ownerReferences");
}

static void put(struct apiserver *s, const struct resource *r, struct json_object *o, const struct place *p) {
  struct ome_err err = ERR_INIT;

  if (store_object(s, r, o, &err) != OME_OK)
    report("write", p, &err);
}

/* Begins the deletion of O; FOREGROUND passes the owner's policy on. */
static void delete_dependent(struct apiserver *s, const struct resource *r, struct json_object *o,
                             const struct place *p, bool foreground) {
  struct ome_err err = ERR_INIT;
  int64_t grace = 0;

  if (meta_deleting(o))
    return;
  if (foreground)
    (void)meta_add_finalizer(o, "foregroundDeletion");
  if (streq(r->kind, "Pod") && *json_str(o, "spec.nodeName", "") &&
      !streq(json_str(o, "status.phase", ""), "Succeeded") && !streq(json_str(o, "status.phase", ""), "Failed"))
    grace = json_i64(o, "spec.terminationGracePeriodSeconds", 30);
  if (grace == 0 && json_empty(json_at(o, "metadata.finalizers"))) {
    if (remove_object(s, r, o, &err) != OME_OK)
      report("delete", p, &err);
    return;
  }
  mark_deleting(o, grace);
  put(s, r, o, p);
}

/* What the owner with UID, if it is still there, wants of its dependents. */
struct owner {
  struct apiserver *server;
  struct json_object *object; /* NULL: gone */
  const struct resource *resource;
};

static void load_owner(void *arg, const char *collection, const char *ns, const char *name) {
  struct owner *owner = arg;

  owner->resource = registry_by_collection(owner->server->registry, collection);
  owner->object = owner->resource ? load(owner->server, owner->resource, ns, name) : NULL;
}

static void handle_dependent(struct apiserver *s, const char *uid, const struct place *p, bool orphan,
                             bool foreground) {
  const struct resource *r = registry_by_collection(s->registry, p->collection);
  _cleanup_json_ struct json_object *o = r ? load(s, r, p->ns, p->name) : NULL;
  struct json_object *refs = json_at(o, "metadata.ownerReferences");
  bool others = false;

  if (!o)
    return;
  for (size_t i = 0; i < json_len(refs); i++)
    others = others || (!streq(json_str(json_index(refs, i), "uid", ""), uid) && owner_exists(s, json_index(refs, i)));
  if (orphan || (others && !foreground)) {
    remove_refs(o, uid);
    put(s, r, o, p);
  } else if (!others) {
    struct json_object *ref = json_find(refs, "uid", uid);
    delete_dependent(s, r, o, p, foreground && json_flag(ref, "blockOwnerDeletion", false));
  }
}

/* Whether a dependent holds the foreground deletion of UID up. */
static bool blocks(struct apiserver *s, const char *uid, const struct place *p) {
  const struct resource *r = registry_by_collection(s->registry, p->collection);
  _cleanup_json_ struct json_object *o = r ? load(s, r, p->ns, p->name) : NULL;
  struct json_object *ref = json_find(json_at(o, "metadata.ownerReferences"), "uid", uid);

  return ref && json_flag(ref, "blockOwnerDeletion", false);
}

static void handle_owner(struct gc *g, const char *uid) {
  struct apiserver *s = g->server;
  _cleanup_(dependents_fini) struct dependents d = {{0}};
  struct ome_err err = ERR_INIT;

  if (store_owned(s->store, uid, add_dependent, &d, &err) != OME_OK)
    return;
  struct owner owner = {.server = s};
  bool there = store_find_uid(s->store, uid, load_owner, &owner);
  bool orphan = owner.object && meta_deleting(owner.object) && meta_has_finalizer(owner.object, "orphan");
  bool foreground =
      owner.object && meta_deleting(owner.object) && meta_has_finalizer(owner.object, "foregroundDeletion");
  if (there && !orphan && !foreground) {
    json_unref(owner.object);
    return; /* alive, or waiting for somebody else's finalizer */
  }
  bool blocked = false;
  for (size_t i = 0; i < d.list.len; i++) {
    handle_dependent(s, uid, &d.list.items[i], orphan, foreground);
    blocked = blocked || (foreground && blocks(s, uid, &d.list.items[i]));
  }
  if (owner.object && !blocked) {
    const struct place p = {(char *)(uintptr_t)owner.resource->collection,
                            (char *)(uintptr_t)meta_namespace(owner.object),
                            (char *)(uintptr_t)meta_name(owner.object)};
    if (meta_remove_finalizer(owner.object, orphan ? "orphan" : "foregroundDeletion"))
      put(s, owner.resource, owner.object, &p);
  }
  json_unref(owner.object);
}

/* ---- one object ------------------------------------------------------------------------------------------------- */

/* Deletes O when every owner it names is gone; frees one that waits for dependents it does not have. */
static void handle_object(struct gc *g, const struct place *p) {
  struct apiserver *s = g->server;
  const struct resource *r = registry_by_collection(s->registry, p->collection);
  _cleanup_json_ struct json_object *o = r ? load(s, r, p->ns, p->name) : NULL;
  struct json_object *refs = json_at(o, "metadata.ownerReferences");
  bool any = false;

  if (!o)
    return;
  if (meta_deleting(o)) {
    handle_owner(g, meta_uid(o)); /* it may wait for dependents that it does not have */
    return;
  }
  for (size_t i = 0; i < json_len(refs); i++)
    any = any || owner_exists(s, json_index(refs, i));
  if (json_len(refs) && !any)
    delete_dependent(s, r, o, p, false);
}

static void run(void *arg) {
  struct gc *g = arg;

  g->posted = false;
  for (int i = 0; i < WORK_PER_TURN && g->head < g->queue.len && !g->stopped; i++) {
    struct work w = g->queue.items[g->head++];
    if (w.uid)
      handle_owner(g, w.uid);
    else if (w.place.name)
      handle_object(g, &w.place);
    work_fini(&w);
  }
  if (g->head < g->queue.len) {
    schedule(g);
  } else {
    g->queue.len = 0;
    g->head = 0;
  }
}

int32_t gc_new(struct apiserver *s, struct gc **out, struct ome_err *err) {
  *out = calloc(1, sizeof(**out));
  if (!*out)
    return fail_memory(err);
  (*out)->server = s;
  return OME_OK;
}

void gc_free(struct gc *g) {
  if (!g)
    return;
  for (size_t i = g->head; i < g->queue.len; i++)
    work_fini(&g->queue.items[i]);
  VEC_FREE(&g->queue);
  free(g);
}
