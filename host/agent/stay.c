/* Why a model stays on the node, and why one that made room comes back. */
#include "agent/internal.h"

#include "base/quantity.h"
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

/* An adapter is small, and services name it in a list. */
static bool is_referenced(struct agent *a, struct json_object *model) {
  const char *ns = *meta_namespace(model) ? meta_namespace(model) : NULL;
  const char *own = json_str(model, "spec.storage.path", "");
  _cleanup_free_ char *label = name_model_label(ns, meta_name(model));
  _cleanup_free_ char *key = name_model_key(ns, meta_name(model));
  _cleanup_free_ char *path = *own ? strdup(own) : str_printf("%s/models/%s", model_store_root(a->store), key);
  size_t services = 0;

  kube_cache_names(a->caches[WATCH_SERVICES], ns, meta_name(model), count, &services);
  return streq(json_str(model, "kind", ""), "FineTunedWeight") || !label || !key || !path || services > 0 ||
         demand_has(a->demand, label, path);
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
  _cleanup_json_ struct json_object *o = model_store_reference(t->agent->store, t->key, &none);

  return json_at(o, "evicted") && streq(json_str(o, "uri", ""), t->uri) && streq(json_str(o, "path", ""), t->path) &&
         streq(json_str(o, "request", ""), t->request);
}

uint64_t capacity_of_node(void *arg) {
  struct agent *a = arg;
  _cleanup_json_ struct json_object *node = kube_cache_get(a->caches[WATCH_NODE], NULL, a->node);
  const char *said = meta_annotation(node, "models.ome.io/store-capacity");
  int64_t bytes = 0;

  return said && quantity_value(said, &bytes) && bytes > 0 ? (uint64_t)bytes : 0;
}
