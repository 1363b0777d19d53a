/* Why a model stays on the node, and why one that made room comes back. */
#include "agent/internal.h"

#include "base/str.h"
#include "compose/names.h"
#include "kube/meta.h"

#include <strings.h>

#define FIRST_LIST_MS 1000u

static bool says_true(const char *value) {
  return value && strcasecmp(value, "true") == 0;
}

bool model_is_reserved(struct json_object *model) {
  return says_true(meta_label(model, "models.ome/reserve-model-artifact"));
}

/* Services of others and pods: until they are known, everything is in use. */
bool agent_knows_demand(struct agent *a) {
  return kube_cache_wait(a->caches[WATCH_SERVICES], FIRST_LIST_MS) &&
         kube_cache_wait(a->caches[WATCH_PODS], FIRST_LIST_MS);
}

static void count(void *arg, const char *ns, const char *name) {
  (void)ns;
  (void)name;
  (*(size_t *)arg)++;
}

/* Whether a pod of this node uses the model: where it is, or where the spec says that it is. */
static bool is_used(struct agent *a, const char *label, const char *key, const char *path) {
  const struct node_store *n = *path ? NULL : stores_holding(&a->stores, key);
  _cleanup_free_ char *folder = n ? stores_folder(n, key) : strdup(path);

  return !folder || demand_has(a->demand, label, folder);
}

/* An adapter is small, and services name it in a list. */
static bool is_referenced(struct agent *a, struct json_object *model) {
  const char *ns = *meta_namespace(model) ? meta_namespace(model) : NULL;
  _cleanup_free_ char *label = name_model_label(ns, meta_name(model));
  _cleanup_free_ char *key = name_model_key(ns, meta_name(model));
  size_t services = 0;

  kube_cache_names(a->caches[WATCH_SERVICES], ns, meta_name(model), count, &services);
  return streq(json_str(model, "kind", ""), "FineTunedWeight") || !label || !key || services > 0 ||
         is_used(a, label, key, json_str(model, "spec.storage.path", ""));
}

unsigned model_stays(struct agent *a, struct json_object *model) {
  return (!agent_knows_demand(a) || is_referenced(a, model) ? RESIDENT_REFERENCED : 0) |
         (says_true(meta_annotation(model, "ome.io/pin")) ? RESIDENT_PINNED : 0) |
         (model_is_reserved(model) ? RESIDENT_RESERVED : 0);
}

/* One that is there no more is on its way out: its own worker removes it. */
unsigned stays_by_key(void *arg, const char *key) {
  _cleanup_json_ struct json_object *model = model_of_key(arg, key);

  return model ? model_stays(arg, model) : RESIDENT_RESERVED;
}

bool model_made_room(const struct task *t) {
  _cleanup_manifest_ struct manifest none = {0};
  _cleanup_json_ struct json_object *o = model_store_reference(t->home->files, t->key, &none);

  return json_at(o, "evicted") && streq(json_str(o, "uri", ""), t->uri) && streq(json_str(o, "path", ""), t->path) &&
         streq(json_str(o, "request", ""), t->request);
}
