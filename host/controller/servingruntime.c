/* ServingRuntime and ClusterServingRuntime: a change is looked at again by every service that may use it. */
#include "base/str.h"
#include "controller/internal.h"
#include "kube/meta.h"

void requeue_services(struct controller *c, const char *ns, const char *model) {
  _cleanup_json_ struct json_object *all = kube_cache_list(c->watches[WATCH_SERVICES], ns);

  for (size_t i = 0; i < json_len(all); i++) {
    struct json_object *s = json_index(all, i);
    const char *used = json_str(s, "spec.model.name", json_str(s, "spec.predictor.model.baseModel", ""));
    if (!model || streq(used, model))
      enqueue(c, QUEUE_SERVICES, meta_namespace(s), meta_name(s));
  }
}

int32_t reconcile_runtime(void *arg, const char *ns, UNUSED const char *name, UNUSED uint64_t *requeue_ms,
                          UNUSED struct ome_err *err) {
  /* Selection looks at all of them, so that a new one may win and an old one may lose anywhere it can be seen. */
  requeue_services(arg, ns, NULL);
  return OME_OK;
}
