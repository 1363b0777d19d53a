/* The kinds that services are made of, and which of them the cluster has: those of other projects come and go. */
#include "base/log.h"
#include "base/str.h"
#include "compose/names.h"
#include "controller/internal.h"
#include "kube/meta.h"

#include <string.h>

#define FILL_WAIT_MS 10000u

enum {
  EMBEDDED = 1, /* also where there is a gateway instead of a cluster's controllers */
  CUSTOM = 2,   /* of another project, with a CRD */
  SCALER = 4,
  WORKLOAD = 8,
  NAMES = 16, /* its own controller makes a Service of its name */
};

static const struct {
  struct kube_resource resource; /* all in namespaces */
  unsigned flags;
} kinds[CHILD_KINDS] = {
    {{"", "v1", "services", "Service", true}, EMBEDDED},
    {{"", "v1", "configmaps", "ConfigMap", true}, EMBEDDED},
    {{"apps", "v1", "deployments", "Deployment", true}, EMBEDDED | WORKLOAD},
    {{"", "v1", "serviceaccounts", "ServiceAccount", true}, 0},
    {{"rbac.authorization.k8s.io", "v1", "roles", "Role", true}, 0},
    {{"rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", true}, 0},
    {{"autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", true}, SCALER},
    {{"keda.sh", "v1alpha1", "scaledobjects", "ScaledObject", true}, CUSTOM | SCALER},
    {{"policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true}, 0},
    {{"networking.k8s.io", "v1", "ingresses", "Ingress", true}, 0},
    {{"gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute", true}, CUSTOM},
    {{"inference.networking.k8s.io", "v1", "inferencepools", "InferencePool", true}, CUSTOM},
    {{"networking.istio.io", "v1beta1", "virtualservices", "VirtualService", true}, CUSTOM},
    {{"gateway.envoyproxy.io", "v1alpha1", "backendtrafficpolicies", "BackendTrafficPolicy", true}, CUSTOM},
    {{"leaderworkerset.x-k8s.io", "v1", "leaderworkersets", "LeaderWorkerSet", true}, CUSTOM | EMBEDDED | WORKLOAD},
    {{"serving.knative.dev", "v1", "services", "Service", true}, CUSTOM | EMBEDDED | WORKLOAD | NAMES},
    {{"ray.io", "v1", "rayclusters", "RayCluster", true}, CUSTOM | EMBEDDED | WORKLOAD},
};

const struct kube_resource *controller_child(size_t i) {
  return i < CHILD_KINDS ? &kinds[i].resource : NULL;
}

struct kube_cache *child_cache(struct child_kind *k) {
  return atomic_load(&k->there) ? k->cache : NULL;
}

struct child_kind *child_kind_of(struct controller *c, struct json_object *o) {
  for (size_t i = 0; i < CHILD_KINDS; i++)
    if (child_cache(&c->children[i]) && streq(c->children[i].resource->kind, json_str(o, "kind", "")) &&
        streq(c->children[i].api_version, json_str(o, "apiVersion", "")))
      return &c->children[i];
  return NULL;
}

static bool is_used(const struct controller *c, size_t i) {
  return !c->gateway_url || kinds[i].flags & EMBEDDED;
}

static bool is_custom(const struct controller *c, size_t i) {
  return kinds[i].flags & CUSTOM && is_used(c, i);
}

/* Whether NAME is that of the CRD of kind I. */
static bool is_crd_of(size_t i, const char *name) {
  const struct kube_resource *r = &kinds[i].resource;
  size_t n = strlen(r->resource);

  return has_prefix(name, r->resource) && name[n] == '.' && streq(name + n + 1, r->group);
}

/* ---- whether it is there ----------------------------------------------------------------------------------------- */

static bool is_served(struct json_object *crd, const char *version) {
  struct json_object *established = json_find(json_at(crd, "status.conditions"), "type", "Established");
  struct json_object *v = json_find(json_at(crd, "spec.versions"), "name", version);

  return streq(json_str(established, "status", ""), "True") && json_flag(v, "served", false);
}

/* *THERE is whether the CRD NAME, which may be gone, serves VERSION. */
static int32_t ask(struct controller *c, const char *name, const char *version, bool *there, struct ome_err *err) {
  _cleanup_json_ struct json_object *crd = NULL;
  int32_t rc = kube_get(c->client, &KUBE_CRDS, NULL, name, &crd, err);

  if (rc != OME_OK && rc != OME_E_NOT_FOUND)
    return fail_prefix(err, "CRD %s", name);
  *there = crd && is_served(crd, version);
  return OME_OK;
}

/* Starts the cache of kind I where that has not been done. */
static int32_t open_cache(struct controller *c, size_t i, struct ome_err *err) {
  struct child_kind *k = &c->children[i];
  struct kube_cache_opts opts = {
      .labels = k->scaler ? NULL : LABEL_SERVICE, .manager = CONTROLLER_MANAGER, .on_event = c->on_child, .arg = c};

  return k->cache ? OME_OK : kube_cache_new(c->client, k->resource, &opts, &k->cache, err);
}

/* Every service may have waited for it, or have had some. */
static void tell(struct controller *c, struct child_kind *k, bool there) {
  atomic_store(&k->there, there);
  atomic_fetch_add(&c->foreign_version, 1);
  atomic_fetch_add(&c->world_version, 1);
  log_info("controller", "%s %s is %s", k->api_version, k->resource->kind, there ? "there now" : "gone");
  enqueue(c, QUEUE_RUNTIMES, NULL, EVERY_SERVICE);
}

static int32_t look_again(struct controller *c, size_t i, const char *crd, struct ome_err *err) {
  struct child_kind *k = &c->children[i];
  bool there;
  int32_t rc = ask(c, crd, k->resource->version, &there, err);

  if (rc == OME_OK && there)
    rc = open_cache(c, i, err);
  if (rc != OME_OK)
    return rc;
  if (there && !kube_cache_wait(k->cache, FILL_WAIT_MS))
    return kube_cache_why(k->cache, err);
  if (there != atomic_load(&k->there))
    tell(c, k, there);
  return OME_OK;
}

int32_t reconcile_crd(void *arg, UNUSED const char *ns, const char *name, UNUSED uint64_t *requeue_ms,
                      struct ome_err *err) {
  struct controller *c = arg;
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < CHILD_KINDS; i++)
    if (is_custom(c, i) && is_crd_of(i, name))
      rc = look_again(c, i, name, err);
  return rc;
}

void kinds_note(struct controller *c, const char *crd) {
  for (size_t i = 0; i < CHILD_KINDS; i++)
    if (is_custom(c, i) && is_crd_of(i, crd)) {
      enqueue(c, QUEUE_CRDS, NULL, crd);
      return;
    }
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int32_t start_kind(struct controller *c, size_t i, struct ome_err *err) {
  int32_t rc = open_cache(c, i, err);

  atomic_store(&c->children[i].there, rc == OME_OK);
  return rc;
}

int32_t kinds_start(struct controller *c, kube_event_fn *on_child, struct ome_err *err) {
  int32_t rc = OME_OK;

  c->on_child = on_child;
  for (size_t i = 0; i < CHILD_KINDS; i++) {
    struct child_kind *k = &c->children[i];
    k->resource = &kinds[i].resource;
    k->scaler = kinds[i].flags & SCALER;
    k->workload = kinds[i].flags & WORKLOAD;
    k->names = kinds[i].flags & NAMES;
    kube_api_version(k->resource, k->api_version);
  }
  for (size_t i = 0; rc == OME_OK && i < CHILD_KINDS; i++)
    if (is_used(c, i) && !(kinds[i].flags & CUSTOM))
      rc = start_kind(c, i, err);
  return rc;
}

/* A kind that has a CRD now has its cache filled with the others'; what comes later is an event. */
static int32_t start_custom(struct controller *c, size_t i, struct ome_err *err) {
  const struct kube_resource *r = &kinds[i].resource;
  _cleanup_free_ char *crd = str_printf("%s.%s", r->resource, r->group);
  _cleanup_json_ struct json_object *known = crd ? kube_cache_get(c->watches[WATCH_CRDS], NULL, crd) : NULL;
  bool there = false;
  int32_t rc = crd ? OME_OK : fail_memory(err);

  if (known)
    rc = ask(c, crd, r->version, &there, err);
  return rc == OME_OK && there ? start_kind(c, i, err) : rc;
}

int32_t kinds_start_custom(struct controller *c, struct ome_err *err) {
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < CHILD_KINDS; i++)
    if (is_custom(c, i))
      rc = start_custom(c, i, err);
  return rc;
}

int32_t kinds_wait(struct controller *c, uint64_t timeout_ms, struct ome_err *err) {
  for (size_t i = 0; i < CHILD_KINDS; i++)
    if (c->children[i].cache && !kube_cache_wait(c->children[i].cache, timeout_ms))
      return kube_cache_why(c->children[i].cache, err);
  return OME_OK;
}

void kinds_stop(struct controller *c) {
  for (size_t i = 0; i < CHILD_KINDS; i++)
    kube_cache_stop(c->children[i].cache);
  for (size_t i = 0; i < CHILD_KINDS; i++)
    kube_cache_free(c->children[i].cache);
}
