/* BenchmarkJob: accepted and kept; that it waits, and for what, is said in its status. */
#include "base/str.h"
#include "controller/internal.h"
#include "kube/meta.h"

#define OME_FINALIZER "benchmarkjob.finalizers"

int32_t reconcile_benchmark(void *arg, const char *ns, const char *name, UNUSED uint64_t *requeue_ms,
                            struct ome_err *err) {
  struct controller *c = arg;
  _cleanup_json_ struct json_object *job = kube_cache_get(c->watches[WATCH_BENCHMARKS], ns, name);
  int32_t rc = OME_OK;

  if (!job)
    return OME_OK;
  if (meta_deleting(job)) {
    if (meta_remove_finalizer(job, OME_FINALIZER))
      rc = kube_update(c->client, &KUBE_BENCHMARKJOBS, job, NULL, err);
  } else if (!*json_str(job, "status.state", "")) {
    if (!json_set_str(job, "status.state", "Pending") ||
        !json_set_str(job, "status.details", "this version keeps benchmark jobs but does not run them"))
      return fail_memory(err);
    rc = kube_update_status(c->client, &KUBE_BENCHMARKJOBS, job, NULL, err);
  }
  return rc == OME_E_NOT_FOUND ? OME_OK : rc;
}
