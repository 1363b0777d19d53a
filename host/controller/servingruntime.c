/* ServingRuntime and ClusterServingRuntime: a change is looked at again by every service that may use it. */
#include "base/str.h"
#include "controller/internal.h"
#include "kube/meta.h"

static void requeue_one(void *arg, const char *ns, const char *name) {
  enqueue(arg, QUEUE_SERVICES, ns, name);
}

void requeue_services(struct controller *c, const char *ns, const char *model) {
  kube_cache_names(c->watches[WATCH_SERVICES], ns, model, requeue_one, c);
}

int32_t reconcile_runtime(void *arg, const char *ns, UNUSED const char *name, UNUSED uint64_t *requeue_ms,
                          UNUSED struct ome_err *err) {
  /* Selection looks at all of them, so that a new one may win and an old one may lose anywhere it can be seen. */
  requeue_services(arg, ns, NULL);
  return OME_OK;
}
