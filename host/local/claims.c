/* PersistentVolumeClaims: each is a folder of this machine, so that there is nothing to wait for. */
#include "local/local_int.h"

#include "base/str.h"

int32_t claims_reconcile(void *arg, const char *ns, const char *name, uint64_t *requeue_ms UNUSED,
                         struct ome_err *err) {
  struct local *l = arg;
  _cleanup_json_ struct json_object *claim = kube_cache_get(l->caches[CACHE_CLAIMS], ns, name);
  _cleanup_json_ struct json_object *patch = json_object_new_object();

  if (!claim || streq(json_str(claim, "status.phase", ""), "Bound"))
    return OME_OK;
  if (!json_set_str(patch, "status.phase", "Bound"))
    return fail_memory(err);
  int32_t rc = kube_patch(l->client, &KUBE_PVCS, ns, name, "status", KUBE_PATCH_MERGE, patch, NULL, err);
  return rc == OME_E_NOT_FOUND ? OME_OK : rc;
}
