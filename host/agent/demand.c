#include "agent/demand.h"

#include "base/str.h"
#include "base/strmap.h"
#include "base/vec.h"
#include "compose/names.h"
#include "kube/meta.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_LABEL "models.ome.io/"

/* What one pod or service uses: "models.ome.io/..." and absolute paths. */
struct uses {
  VEC(char *) list;
};

struct demand {
  pthread_mutex_t lock;
  struct strmap *users; /* uid -> struct uses */
};

static void uses_free(void *p) {
  struct uses *u = p;

  for (size_t i = 0; u && i < u->list.len; i++)
    free(u->list.items[i]);
  if (u)
    VEC_FREE(&u->list);
  free(u);
}

struct demand *demand_new(void) {
  struct demand *d = calloc(1, sizeof(*d));

  if (!d)
    return NULL;
  (void)pthread_mutex_init(&d->lock, NULL);
  d->users = strmap_new(uses_free);
  if (d->users)
    return d;
  demand_free(d);
  return NULL;
}

void demand_free(struct demand *d) {
  if (!d)
    return;
  strmap_free(d->users);
  (void)pthread_mutex_destroy(&d->lock);
  free(d);
}

/* ---- what one uses ----------------------------------------------------------------------------------------------- */

static bool add(struct uses *u, const char *text) {
  char *copy = strdup(text);

  if (copy && VEC_PUSH(&u->list, copy))
    return true;
  free(copy);
  return false;
}

static bool is_over(struct json_object *pod) {
  const char *phase = json_str(pod, "status.phase", "");

  return streq(phase, "Succeeded") || streq(phase, "Failed");
}

static bool add_labels(struct uses *u, struct json_object *selector) {
  if (!json_is(selector, json_type_object))
    return true;
  json_object_object_foreach (selector, key, v) {
    (void)v;
    if (has_prefix(key, MODEL_LABEL) && !add(u, key))
      return false;
  }
  return true;
}

static bool add_folders(struct uses *u, struct json_object *volumes) {
  for (size_t i = 0; i < json_len(volumes); i++) {
    const char *path = json_str(json_index(volumes, i), "hostPath.path", "");
    if (*path == '/' && !add(u, path))
      return false;
  }
  return true;
}

/* Models that a service names beside its own, each of its namespace or of the cluster, as the first one may be. */
static bool add_overlays(struct uses *u, const char *ns, struct json_object *overlays) {
  for (size_t i = 0; i < json_len(overlays); i++) {
    const char *name = json_str(json_index(overlays, i), "name", "");
    _cleanup_free_ char *own = *name ? name_model_label(ns, name) : NULL;
    _cleanup_free_ char *cluster = *name ? name_model_label(NULL, name) : NULL;
    if (*name && (!own || !cluster || !add(u, own) || !add(u, cluster)))
      return false;
  }
  return true;
}

/* NULL: nothing, or out of memory. */
static struct uses *uses_of(struct json_object *user) {
  struct uses *u = calloc(1, sizeof(*u));

  if (u && !is_over(user) && add_labels(u, json_at(user, "spec.nodeSelector")) &&
      add_folders(u, json_at(user, "spec.volumes")) &&
      add_overlays(u, meta_namespace(user), json_at(user, "spec.model.overlays")) && u->list.len)
    return u;
  uses_free(u);
  return NULL;
}

static bool same_uses(const struct uses *a, const struct uses *b) {
  bool same = a && b && a->list.len == b->list.len;

  for (size_t i = 0; same && i < a->list.len; i++)
    same = streq(a->list.items[i], b->list.items[i]);
  return same || (!a && !b);
}

/* ---- the users --------------------------------------------------------------------------------------------------- */

bool demand_put(struct demand *d, struct json_object *user) {
  struct uses *u = uses_of(user);
  const char *uid = meta_uid(user);

  (void)pthread_mutex_lock(&d->lock);
  bool changed = !same_uses(u, strmap_get(d->users, uid));
  if (!u)
    (void)strmap_del(d->users, uid);
  else if (!changed || !strmap_put(d->users, uid, u))
    uses_free(u);
  (void)pthread_mutex_unlock(&d->lock);
  return changed;
}

bool demand_drop(struct demand *d, struct json_object *user) {
  (void)pthread_mutex_lock(&d->lock);
  bool used = strmap_del(d->users, meta_uid(user));
  (void)pthread_mutex_unlock(&d->lock);
  return used;
}

/* Whether PATH is FOLDER or in it.  Who mounts a folder that many models are in (an agent, a backup) uses none. */
static bool is_within(const char *path, const char *folder) {
  size_t n = strlen(folder);

  return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

bool demand_has(struct demand *d, const char *label, const char *path) {
  bool found = false;

  (void)pthread_mutex_lock(&d->lock);
  for (struct strmap_iter it = strmap_first(d->users); it.key && !found; strmap_next(&it)) {
    const struct uses *u = it.value;
    for (size_t i = 0; i < u->list.len && !found; i++)
      found = u->list.items[i][0] == '/' ? is_within(u->list.items[i], path) : streq(u->list.items[i], label);
  }
  (void)pthread_mutex_unlock(&d->lock);
  return found;
}

const char *demand_model_of(struct json_object *service) {
  return json_str(service, "spec.model.name", json_str(service, "spec.predictor.model.baseModel", NULL));
}
