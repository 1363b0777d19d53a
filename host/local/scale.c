/* Replicas of Knative Services by the requests that the gateway holds for them and has under way. */
#include "local/local_int.h"

#include "base/clock.h"
#include "base/str.h"
#include "kube/meta.h"
#include "local/plan.h"

#define LOOK_MS 500 /* between two looks while there is something that could be scaled down */

void scale_on_demand(void *arg, const char *ns, const char *name) {
  local_enqueue(arg, QUEUE_SCALE, ns, name);
}

/* For how long fewer than CURRENT replicas would have done; WANTED is what the load alone asks for. */
static int64_t quiet_ms(struct local *l, const char *key, int64_t current, int64_t wanted) {
  uint64_t now = mono_ms(), *since = strmap_get(l->needed, key);

  if (!since) {
    since = calloc(1, sizeof(*since));
    if (!since || !strmap_put(l->needed, key, since)) {
      free(since);
      return 0;
    }
    *since = now;
  }
  if (wanted >= current)
    *since = now;
  return (int64_t)(now - *since);
}

static struct json_object *deployment_of(struct local *l, struct json_object *service) {
  _cleanup_json_ struct json_object *owned = kube_cache_owned(l->caches[CACHE_DEPLOYMENTS], meta_uid(service));

  return json_object_get(json_index(owned, 0));
}

static int32_t set_replicas(struct local *l, struct json_object *deployment, int64_t n, struct ome_err *err) {
  _cleanup_json_ struct json_object *patch = json_object_new_object();

  if (!json_set_i64(patch, "spec.replicas", n))
    return fail_memory(err);
  int32_t rc = kube_patch(l->client, &KUBE_DEPLOYMENTS, meta_namespace(deployment), meta_name(deployment), NULL,
                          KUBE_PATCH_MERGE, patch, NULL, err);
  return rc == OME_E_NOT_FOUND ? OME_OK : rc;
}

/* The first replica must have been seen to run before it may go. */
static bool proven(struct json_object *service) {
  return streq(meta_condition(service, "Ready"), "True");
}

int32_t scale_reconcile(void *arg, const char *ns, const char *name, uint64_t *requeue_ms, struct ome_err *err) {
  struct local *l = arg;
  _cleanup_json_ struct json_object *service = kube_cache_get(l->caches[CACHE_KNATIVE], ns, name);
  _cleanup_json_ struct json_object *deployment = service ? deployment_of(l, service) : NULL;
  _cleanup_free_ char *key = str_printf("%s/%s", ns, name);

  if (!key)
    return fail_memory(err);
  if (!service || meta_deleting(service)) {
    (void)strmap_del(l->needed, key);
    return OME_OK;
  }
  *requeue_ms = LOOK_MS;
  if (!deployment)
    return OME_OK;
  int64_t current = json_i64(deployment, "spec.replicas", 1);
  int64_t load = (int64_t)gateway_load(l->gateway, ns, name);
  int64_t wanted = knative_replicas(service, current, load, INT64_MAX);
  int64_t next = knative_replicas(service, current, load, quiet_ms(l, key, current, wanted));
  if (next < current && !proven(service))
    next = current;
  if (next == 0 && current == 0)
    *requeue_ms = 0; /* until a request comes */
  return next == current ? OME_OK : set_replicas(l, deployment, next, err);
}
