/* ServingRuntime and ClusterServingRuntime: a change is looked at again by every service that may use it, and a runtime
 * that inherits says from whom. */
#include "base/clock.h"
#include "base/str.h"
#include "controller/internal.h"
#include "kube/meta.h"
#include "select/inherit.h"

static void requeue_one(void *arg, const char *ns, const char *name) {
  enqueue(arg, QUEUE_SERVICES, ns, name);
}

void requeue_services(struct controller *c, const char *ns, const char *model) {
  kube_cache_names(c->watches[WATCH_SERVICES], ns, model, requeue_one, c);
}

/* ---- inheritance ------------------------------------------------------------------------------------------------- */

#define HEIR "heir" /* the index's value: it inherits, or its status says that it did */

const char *heir_of(struct json_object *runtime) {
  return inherits(runtime) || json_at(runtime, "status.inheritanceChain") ? HEIR : NULL;
}

static int32_t write_heritage(struct controller *c, struct json_object *runtime, struct json_object *all,
                              struct ome_err *err) {
  const struct kube_resource *resource =
      streq(json_str(runtime, "kind", ""), "ServingRuntime") ? &KUBE_SERVINGRUNTIMES : &KUBE_CLUSTERSERVINGRUNTIMES;
  _cleanup_json_ struct json_object *changed = json_copy(runtime);
  struct heritage h;
  int32_t rc = changed ? inherit(runtime, all, &h, err) : fail_memory(err);

  if (rc != OME_OK)
    return rc;
  json_unref(h.doc);
  bool ok =
      json_set(changed, "status.inheritanceChain", h.chain) &&
      meta_set_condition(changed, "InheritanceReady", *h.problem ? "False" : "True", h.reason, h.problem, wall_ms());
  if (!ok)
    return fail_memory(err);
  if (json_equal(json_get(changed, "status"), json_get(runtime, "status")))
    return OME_OK;
  rc = kube_update_status(c->client, resource, changed, NULL, err);
  return rc == OME_E_NOT_FOUND ? OME_OK : rc;
}

/* Heirs in the namespace, or everywhere: also those whose ancestor changed, whichever that was. */
static int32_t write_heritages(struct controller *c, const char *ns, struct ome_err *err) {
  static const enum watch_id ids[] = {WATCH_RUNTIMES, WATCH_CLUSTER_RUNTIMES};
  _cleanup_json_ struct json_object *all = NULL;
  int32_t rc = OME_OK;

  for (size_t w = 0; w < ARRAY_LEN(ids); w++) {
    _cleanup_json_ struct json_object *heirs =
        kube_cache_indexed(c->watches[ids[w]], ids[w] == WATCH_RUNTIMES ? ns : NULL, HEIR);
    if (json_len(heirs) && !all && !(all = world_runtimes(c)))
      return fail_memory(err);
    for (size_t i = 0; rc == OME_OK && i < json_len(heirs); i++)
      rc = write_heritage(c, json_index(heirs, i), all, err);
  }
  return rc;
}

int32_t reconcile_runtime(void *arg, const char *ns, UNUSED const char *name, UNUSED uint64_t *requeue_ms,
                          struct ome_err *err) {
  /* Selection looks at all of them, so that a new one may win and an old one may lose anywhere it can be seen. */
  requeue_services(arg, ns, NULL);
  return write_heritages(arg, ns, err);
}
