/* The objects that a service is made of: applied where they differ, deleted where they are wanted no more. */
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "compose/names.h"
#include "controller/diff.h"
#include "controller/internal.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

static const struct {
  const char *api_version;
  const char *kind;
  bool embedded; /* also where there is a gateway instead of a cluster's controllers */
  bool scaler;   /* of others too: they may own what ours would */
  bool workload; /* it goes when what takes its place is ready */
} kinds[CHILD_KINDS] = {
    {"v1", "Service", true, false, false},
    {"v1", "ConfigMap", true, false, false},
    {"apps/v1", "Deployment", true, false, true},
    {"v1", "ServiceAccount", false, false, false},
    {"rbac.authorization.k8s.io/v1", "Role", false, false, false},
    {"rbac.authorization.k8s.io/v1", "RoleBinding", false, false, false},
    {"autoscaling/v2", "HorizontalPodAutoscaler", false, true, false},
    {"keda.sh/v1alpha1", "ScaledObject", false, true, false},
    {"policy/v1", "PodDisruptionBudget", false, false, false},
    {"networking.k8s.io/v1", "Ingress", false, false, false},
    {"gateway.networking.k8s.io/v1", "HTTPRoute", false, false, false},
    {"inference.networking.k8s.io/v1", "InferencePool", false, false, false},
    {"networking.istio.io/v1beta1", "VirtualService", false, false, false},
    {"gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", false, false, false},
    {"leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", true, false, true},
    {"serving.knative.dev/v1", "Service", true, false, true},
    {"ray.io/v1", "RayCluster", false, false, true},
};

/* The cluster may come to have more kinds at any time. */
#define LOOK_PAUSE_MS 3000u
#define FILL_WAIT_MS 10000u

/* Starts the cache of one kind where the cluster has it. */
static int32_t start_kind(struct controller *c, size_t i, struct ome_err *err) {
  struct kube_cache_opts opts = {.labels = kinds[i].scaler ? NULL : LABEL_SERVICE, .on_event = c->on_child, .arg = c};
  struct child_kind *k = &c->children[i];
  const struct kube_resource *resource = NULL;

  if (k->cache || (c->gateway_url && !kinds[i].embedded))
    return OME_OK;
  struct kube_cache *cache = NULL;
  int32_t rc = kube_discover(c->client, k->api_version, k->kind, &resource, err);
  if (rc == OME_E_NOT_FOUND)
    return OME_OK;
  if (rc == OME_OK)
    rc = kube_cache_new(c->client, resource, &opts, &cache, err);
  if (rc != OME_OK)
    return fail_prefix(err, "%s %s", k->api_version, k->kind);
  k->resource = resource;
  k->cache = cache; /* from here on other workers see it */
  return OME_OK;
}

int32_t children_start(struct controller *c, kube_event_fn *on_event, struct ome_err *err) {
  c->on_child = on_event;
  for (size_t i = 0; i < CHILD_KINDS; i++) {
    c->children[i].api_version = kinds[i].api_version;
    c->children[i].kind = kinds[i].kind;
    c->children[i].scaler = kinds[i].scaler;
    c->children[i].workload = kinds[i].workload;
    int32_t rc = start_kind(c, i, err);
    if (rc != OME_OK)
      return rc;
  }
  return OME_OK;
}

/* Starts what is missing and there now; whether there was any.  Under the lock of the kinds. */
static bool look_locked(struct controller *c) {
  bool found = false;

  for (size_t i = 0; i < CHILD_KINDS; i++) {
    struct ome_err err = ERR_INIT;
    if (c->children[i].cache)
      continue;
    if (start_kind(c, i, &err) != OME_OK)
      log_warning("controller", "%s", err.msg);
    else if (c->children[i].cache && kube_cache_wait(c->children[i].cache, FILL_WAIT_MS))
      found = true;
  }
  return found;
}

bool children_look_again(struct service_worker *w) {
  struct controller *c = w->c;
  uint64_t now = mono_ms();

  if (w->looked_ms && now - w->looked_ms < LOOK_PAUSE_MS)
    return false;
  w->looked_ms = now;
  (void)pthread_mutex_lock(&c->kinds);
  bool found = look_locked(c);
  (void)pthread_mutex_unlock(&c->kinds);
  return found;
}

void children_stop(struct controller *c) {
  for (size_t i = 0; i < CHILD_KINDS; i++)
    kube_cache_free(c->children[i].cache);
}

bool children_wait(struct controller *c, uint64_t timeout_ms) {
  for (size_t i = 0; i < CHILD_KINDS; i++)
    if (c->children[i].cache && !kube_cache_wait(c->children[i].cache, timeout_ms))
      return false;
  return true;
}

static struct child_kind *kind_of(struct controller *c, struct json_object *o) {
  for (size_t i = 0; i < CHILD_KINDS; i++)
    if (c->children[i].cache && streq(c->children[i].kind, json_str(o, "kind", "")) &&
        streq(c->children[i].api_version, json_str(o, "apiVersion", "")))
      return &c->children[i];
  return NULL;
}

/* ---- applying ---------------------------------------------------------------------------------------------------- */

static char *memo_key(struct json_object *o) {
  return str_printf("%s/%s/%s/%s", json_str(o, "apiVersion", ""), json_str(o, "kind", ""), meta_namespace(o),
                    meta_name(o));
}

/* What WANT was when LIVE had this version. */
static char *memo_text(struct json_object *want, struct json_object *live) {
  _cleanup_free_ char *text = json_text(want);
  char digest[65];

  if (!text)
    return NULL;
  sha256_hex(text, strlen(text), digest);
  return str_printf("%s %s", json_str(live, "metadata.resourceVersion", ""), digest);
}

/* Whether our last apply of the same WANT led to just this LIVE: then another would change nothing, however differently
 * the server words what it stores. */
static bool is_settled(struct service_worker *w, const char *key, struct json_object *want, struct json_object *live) {
  const char *memo = strmap_get(w->applied, key);
  _cleanup_free_ char *now = memo ? memo_text(want, live) : NULL;

  return now && streq(memo, now);
}

/* Only what the server keeps in other words needs to be remembered. */
static void remember(struct service_worker *w, const char *key, struct json_object *want, struct json_object *live) {
  (void)strmap_del(w->applied, key);
  char *text = diff_apply_needed(want, live, CONTROLLER_MANAGER) ? memo_text(want, live) : NULL;

  if (text && !strmap_put(w->applied, key, text))
    free(text);
}

/* The object as it is: from the cache, which holds what carries our label, else from the server, where somebody else
 * may have one of this name.  *OUT is new, or NULL: there is none. */
static int32_t look_up(struct controller *c, struct child_kind *k, struct json_object *want, struct json_object **out,
                       struct ome_err *err) {
  *out = kube_cache_get(k->cache, meta_namespace(want), meta_name(want));
  if (*out)
    return OME_OK;
  int32_t rc = kube_get(c->client, k->resource, meta_namespace(want), meta_name(want), out, err);
  return rc == OME_E_NOT_FOUND ? OME_OK : rc;
}

/* *LIVE is the object as it is now; new. */
static int32_t apply_one(struct service_worker *w, struct json_object *service, struct json_object *want,
                         struct json_object **live, struct ome_err *err) {
  struct controller *c = w->c;
  struct child_kind *k = kind_of(c, want);
  const char *kind = json_str(want, "kind", "");
  _cleanup_free_ char *key = memo_key(want);

  if (!key)
    return fail_memory(err);
  if (!k)
    return fail(err, OME_E_UNSUPPORTED, "the cluster does not have %s %s; install it", json_str(want, "apiVersion", ""),
                kind);
  _cleanup_json_ struct json_object *have = NULL;
  int32_t rc = look_up(c, k, want, &have, err);
  if (rc != OME_OK)
    return fail_prefix(err, "%s %s/%s", kind, meta_namespace(want), meta_name(want));
  const char *owner = json_str(meta_owner(have), "uid", "");
  if (have && !streq(owner, meta_uid(service)))
    return fail(err, OME_E_EXISTS, "%s %s/%s belongs to somebody else; delete it or give the service another name",
                kind, meta_namespace(want), meta_name(want));
  if (have && (!diff_apply_needed(want, have, CONTROLLER_MANAGER) || is_settled(w, key, want, have))) {
    *live = TAKE_PTR(have);
    return OME_OK;
  }
  rc = scalers_hand_over(c, k, want, have, err);
  if (rc == OME_OK)
    rc = kube_apply(c->client, k->resource, want, NULL, CONTROLLER_MANAGER, true, live, err);
  if (rc != OME_OK)
    return fail_prefix(err, "%s %s/%s", kind, meta_namespace(want), meta_name(want));
  remember(w, key, want, *live);
  return OME_OK;
}

/* ---- pruning ----------------------------------------------------------------------------------------------------- */

bool child_is_wanted(const struct plan *plan, const struct child_kind *k, struct json_object *o) {
  for (size_t i = 0; i < json_len(plan->objects); i++) {
    struct json_object *w = json_index(plan->objects, i);
    if (streq(json_str(w, "kind", ""), k->kind) && streq(json_str(w, "apiVersion", ""), k->api_version) &&
        streq(meta_name(w), meta_name(o)))
      return true;
  }
  return false;
}

/* Whether O serves until what takes its place does. */
static bool holds_the_fort(const struct plan *plan, const struct child_kind *k, struct json_object *o,
                           const bool *ready) {
  const char *component = meta_label(o, LABEL_COMPONENT);

  for (size_t i = 0; k->workload && component && i < plan->nparts; i++)
    if (streq(plan->parts[i].kind, component))
      return !ready[i];
  return false;
}

int32_t children_prune(struct controller *c, struct json_object *service, const struct plan *plan, const bool *ready,
                       struct ome_err *err) {
  for (size_t i = 0; i < CHILD_KINDS; i++) {
    struct child_kind *k = &c->children[i];
    _cleanup_json_ struct json_object *owned = k->cache ? kube_cache_owned(k->cache, meta_uid(service)) : NULL;
    for (size_t j = 0; j < json_len(owned); j++) {
      struct json_object *o = json_index(owned, j);
      if (meta_deleting(o) || child_is_wanted(plan, k, o) || holds_the_fort(plan, k, o, ready))
        continue;
      int32_t rc =
          kube_delete(c->client, k->resource, meta_namespace(o), meta_name(o), meta_uid(o), KUBE_BACKGROUND, err);
      if (rc != OME_OK && rc != OME_E_NOT_FOUND)
        return fail_prefix(err, "delete %s %s/%s", k->kind, meta_namespace(o), meta_name(o));
    }
  }
  return OME_OK;
}

/* Where the trouble with object number I of PLAN is to be read. */
static const char *condition_for(const struct plan *plan, size_t i) {
  static const char *const ready[COMPONENT_KINDS] = {"EngineReady", "DecoderReady", "RouterReady"};

  for (size_t k = 0; k < plan->nparts; k++) {
    const struct plan_component *c = &plan->parts[k];
    for (size_t n = 0; n < COMPONENT_KINDS; n++)
      if (i - c->deployment.first < c->deployment.count && streq(component_kinds[n], c->kind))
        return ready[n];
  }
  return i - plan->ingress.first < plan->ingress.count ? "IngressReady" : ready[0];
}

static bool is_scaler(const struct plan *plan, size_t i) {
  for (size_t k = 0; k < plan->nparts; k++)
    if (i - plan->parts[k].autoscaler.first < plan->parts[k].autoscaler.count)
      return true;
  return false;
}

int32_t children_sync(struct service_worker *w, struct json_object *service, struct plan *plan,
                      struct children_report *report, struct ome_err *err) {
  _cleanup_json_ struct json_object *all = json_object_new_array();
  int32_t rc = all ? scalers_clear(w->c, service, plan, err) : fail_memory(err);

  for (size_t i = 0; rc == OME_OK && i < json_len(plan->objects); i++) {
    struct json_object *one = NULL;
    struct ome_err failure = ERR_INIT;
    if (json_index(plan->objects, i)) /* NULL: withheld */
      rc = apply_one(w, service, json_index(plan->objects, i), &one, &failure);
    if (rc != OME_OK && rc != OME_E_NO_MEMORY && is_scaler(plan, i)) {
      /* What cannot be scaled can still run and be reached. */
      report->scaler = failure;
      rc = OME_OK;
    }
    if (rc != OME_OK) {
      report->condition = condition_for(plan, i);
      *err = failure;
    } else if (json_object_array_add(all, one) != 0) {
      rc = fail_memory(err);
    }
  }
  if (rc == OME_OK)
    report->live = TAKE_PTR(all);
  return rc;
}
