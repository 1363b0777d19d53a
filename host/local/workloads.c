/* Carrying out what the workload controllers decide. */
#include "local/local_int.h"

#include "api/selector.h"
#include "base/clock.h"
#include "base/str.h"
#include "kube/meta.h"
#include "local/foreign.h"
#include "local/plan.h"

#include <string.h>

struct workload {
  const struct kube_resource *resource, *child;
  enum local_cache cache;
  void (*plan)(struct json_object *workload, struct json_object *children, int64_t now_ms, struct plan *out);
};

static const struct workload deployments = {&KUBE_DEPLOYMENTS, &KUBE_REPLICASETS, CACHE_DEPLOYMENTS, deployment_plan};
static const struct workload replicasets = {&KUBE_REPLICASETS, &KUBE_PODS, CACHE_REPLICASETS, replicaset_plan};
static const struct workload jobs = {&KUBE_JOBS, &KUBE_PODS, CACHE_JOBS, job_plan};
static const struct workload groups = {&LOCAL_LEADERWORKERSETS, &KUBE_PODS, CACHE_LWS, lws_plan};
static const struct workload ray = {&LOCAL_RAYCLUSTERS, &KUBE_PODS, CACHE_RAY, ray_plan};
static const struct workload knative = {&LOCAL_KNATIVESERVICES, &KUBE_DEPLOYMENTS, CACHE_KNATIVE, knative_plan};

/* Those that select their children by label, and so may find some that nobody owns. */
static bool adopts(const struct workload *w) {
  return w == &deployments || w == &replicasets;
}

/* "a=b,c=d" of the workload's selector, to keep the list short; new.  What it finds is looked through by owner. */
static char *label_query(struct json_object *workload) {
  struct json_object *match = json_at(workload, "spec.selector.matchLabels");
  _cleanup_buf_ struct buf out = BUF_INIT;

  if (match) {
    json_object_object_foreach (match, key, v) {
      buf_addf(&out, "%s%s=%s", out.len ? "," : "", key, json_object_get_string(v));
    }
  }
  return buf_take(&out);
}

/* Whether WORKLOAD is still there, as the API server has it now: what is about to go must adopt nobody. */
static bool lives(struct local *l, const struct workload *w, struct json_object *workload) {
  _cleanup_json_ struct json_object *now = NULL;
  struct ome_err err = ERR_INIT;

  return kube_get(l->client, w->resource, meta_namespace(workload), meta_name(workload), &now, &err) == OME_OK &&
         streq(meta_uid(now), meta_uid(workload)) && !meta_deleting(now);
}

/* Makes a child that nobody controls, and that the selector finds, the workload's own.  Whether it is now. */
static bool adopt(struct local *l, const struct workload *w, struct json_object *workload, struct json_object *child) {
  _cleanup_(selector_freep) struct selector *selector = NULL;
  _cleanup_json_ struct json_object *patch = json_object_new_object();
  struct ome_err err = ERR_INIT;

  if (!adopts(w) || meta_owner(child) || meta_deleting(child) ||
      selector_from_object(json_at(workload, "spec.selector"), &selector, &err) != OME_OK ||
      !selector_match(selector, json_at(child, "metadata.labels")) || !lives(l, w, workload))
    return false;
  meta_set_owner(child, workload);
  if (!json_set(patch, "metadata.ownerReferences", json_copy(json_at(child, "metadata.ownerReferences"))) ||
      !json_set_str(patch, "metadata.resourceVersion", json_str(child, "metadata.resourceVersion", "")))
    return false;
  return kube_patch(l->client, w->child, meta_namespace(child), meta_name(child), NULL, KUBE_PATCH_MERGE, patch, NULL,
                    &err) == OME_OK; /* otherwise another pass tries again */
}

/* The children of WORKLOAD as the API server has them now: deciding from a cache that lags behind our own writes would
 * make pods twice. */
static int32_t list_children(struct local *l, const struct workload *w, struct json_object *workload,
                             struct json_object **out, struct ome_err *err) {
  _cleanup_free_ char *labels = label_query(workload);
  const struct kube_list_opts opts = {.labels = labels && *labels ? labels : NULL};
  _cleanup_json_ struct json_object *list = NULL;
  int32_t rc = kube_list(l->client, w->child, meta_namespace(workload), &opts, &list, err);

  if (rc != OME_OK)
    return rc;
  struct json_object *items = json_get(list, "items"), *owned = json_object_new_array();
  for (size_t i = 0; i < json_len(items); i++) {
    struct json_object *item = json_index(items, i);
    if (meta_is_owned_by(item, workload) || adopt(l, w, workload, item))
      (void)json_object_array_add(owned, json_object_get(item));
  }
  *out = owned;
  return OME_OK;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void tell_scaled(struct local *l, struct json_object *workload, struct json_object *rs, int64_t from,
                        int64_t to) {
  kube_record(l->recorder, workload, false, "ScalingReplicaSet", "Scaled %s replica set %s from %lld to %lld",
              to > from ? "up" : "down", meta_name(rs), (long long)from, (long long)to);
}

static void tell_created(struct local *l, const struct workload *w, struct json_object *workload,
                         struct json_object *child) {
  if (w->child == &KUBE_REPLICASETS)
    tell_scaled(l, workload, child, 0, json_i64(child, "spec.replicas", 0));
  else
    kube_record(l->recorder, workload, false, "SuccessfulCreate", "Created %s: %s",
                w->child == &KUBE_PODS ? "pod" : "deployment", meta_name(child));
}

/* A Job that has just ended says so. */
static void tell_ended(struct local *l, struct json_object *workload, struct json_object *status) {
  static const char *const types[] = {"Complete", "Failed"};

  for (size_t i = 0; i < ARRAY_LEN(types); i++) {
    struct json_object *c = json_find(json_get(status, "conditions"), "type", types[i]);
    bool failed = i == 1;
    if (c && streq(json_str(c, "status", ""), "True") && !streq(meta_condition(workload, types[i]), "True"))
      kube_record(l->recorder, workload, failed, failed ? json_str(c, "reason", "Failed") : "Completed", "%s",
                  failed ? json_str(c, "message", "") : "Job completed");
  }
}

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

static int32_t create_children(struct local *l, const struct workload *w, struct json_object *workload,
                               const struct plan *p, struct ome_err *err) {
  for (size_t i = 0; i < json_len(p->create); i++) {
    _cleanup_json_ struct json_object *made = NULL;
    int32_t rc = kube_create(l->client, w->child, json_index(p->create, i), &made, err);
    if (rc != OME_OK) {
      kube_record(l->recorder, workload, true, "FailedCreate", "Error creating: %s", err->msg);
      return rc;
    }
    tell_created(l, w, workload, made);
  }
  return OME_OK;
}

static int32_t patch_children(struct local *l, const struct workload *w, struct json_object *workload,
                              struct json_object *children, const struct plan *p, struct ome_err *err) {
  for (size_t i = 0; i < json_len(p->patch); i++) {
    struct json_object *patch = json_index(p->patch, i), *child = NULL;
    for (size_t k = 0; k < json_len(children); k++)
      if (streq(meta_name(json_index(children, k)), meta_name(patch)))
        child = json_index(children, k);
    int32_t rc = kube_patch(l->client, w->child, meta_namespace(workload), meta_name(patch), NULL, KUBE_PATCH_MERGE,
                            patch, NULL, err);
    if (rc != OME_OK && rc != OME_E_NOT_FOUND)
      return rc;
    int64_t from = json_i64(child, "spec.replicas", 0), to = json_i64(patch, "spec.replicas", from);
    if (child && from != to)
      tell_scaled(l, workload, child, from, to);
  }
  return OME_OK;
}

static int32_t remove_children(struct local *l, const struct workload *w, struct json_object *workload,
                               const struct plan *p, struct ome_err *err) {
  for (size_t i = 0; i < json_len(p->remove); i++) {
    struct json_object *child = json_index(p->remove, i);
    int32_t rc = kube_delete(l->client, w->child, meta_namespace(child), meta_name(child), meta_uid(child),
                             KUBE_BACKGROUND, err);
    if (rc != OME_OK && rc != OME_E_NOT_FOUND && rc != OME_E_CONFLICT)
      return rc;
    if (w->child == &KUBE_PODS)
      kube_record(l->recorder, workload, false, "SuccessfulDelete", "Deleted pod: %s", meta_name(child));
  }
  return OME_OK;
}

/* One of the name that is somebody else's stays as it is. */
static int32_t make_services(struct local *l, const struct plan *p, struct ome_err *err) {
  int32_t rc = OME_OK;

  for (size_t i = 0; i < json_len(p->services) && (rc == OME_OK || rc == OME_E_EXISTS); i++) {
    struct json_object *service = json_index(p->services, i);
    _cleanup_json_ struct json_object *have =
        kube_cache_get(l->caches[CACHE_SERVICES], meta_namespace(service), meta_name(service));
    if (!have)
      rc = kube_create(l->client, &KUBE_SERVICES, service, NULL, err);
  }
  return rc == OME_E_EXISTS ? OME_OK : rc;
}

/* Writes STATUS where it differs; a workload that is gone is fine. */
static int32_t write_status(struct local *l, const struct workload *w, struct json_object *workload,
                            struct json_object *status, struct ome_err *err) {
  struct json_object *diff = status ? merge_diff(json_get(workload, "status"), status) : NULL;
  _cleanup_json_ struct json_object *patch = json_object_new_object();

  if (!diff)
    return OME_OK;
  (void)json_set(patch, "status", diff);
  int32_t rc = kube_patch(l->client, w->resource, meta_namespace(workload), meta_name(workload), "status",
                          KUBE_PATCH_MERGE, patch, NULL, err);
  return rc == OME_E_NOT_FOUND ? OME_OK : rc;
}

static int32_t carry_out(struct local *l, const struct workload *w, struct json_object *workload,
                         struct json_object *children, const struct plan *p, struct ome_err *err) {
  const char *ns = meta_namespace(workload), *name = meta_name(workload);
  struct ome_err status_err = ERR_INIT;
  int32_t rc = OME_OK;

  if (p->remove_self) {
    rc = kube_delete(l->client, w->resource, ns, name, meta_uid(workload), KUBE_BACKGROUND, err);
    return rc == OME_E_NOT_FOUND ? OME_OK : rc;
  }
  rc = make_services(l, p, err);
  if (rc == OME_OK)
    rc = create_children(l, w, workload, p, err);
  if (rc == OME_OK)
    rc = patch_children(l, w, workload, children, p, err);
  if (rc == OME_OK)
    rc = remove_children(l, w, workload, p, err);
  /* The status is written even when a child was refused: it says how far things are. */
  int32_t status_rc = write_status(l, w, workload, p->status, &status_err);
  if (w == &jobs && status_rc == OME_OK)
    tell_ended(l, workload, p->status);
  if (rc == OME_OK && status_rc != OME_OK) {
    *err = status_err;
    rc = status_rc;
  }
  if (rc == OME_OK && p->self)
    rc = kube_patch(l->client, w->resource, ns, name, NULL, KUBE_PATCH_MERGE, p->self, NULL, err);
  return rc;
}

static int32_t reconcile(struct local *l, const struct workload *w, const char *ns, const char *name,
                         uint64_t *requeue_ms, struct ome_err *err) {
  _cleanup_json_ struct json_object *workload = kube_cache_get(l->caches[w->cache], ns, name);
  _cleanup_json_ struct json_object *children = NULL;
  _cleanup_plan_ struct plan p = {0};

  if (!workload)
    return OME_OK;
  plan_init(&p);
  int32_t rc = list_children(l, w, workload, &children, err);
  if (rc != OME_OK)
    return rc;
  w->plan(workload, children, wall_ms(), &p);
  rc = carry_out(l, w, workload, children, &p, err);
  *requeue_ms = p.again_ms;
  return rc;
}

int32_t deployments_reconcile(void *arg, const char *ns, const char *name, uint64_t *requeue_ms, struct ome_err *err) {
  return reconcile(arg, &deployments, ns, name, requeue_ms, err);
}

int32_t replicasets_reconcile(void *arg, const char *ns, const char *name, uint64_t *requeue_ms, struct ome_err *err) {
  return reconcile(arg, &replicasets, ns, name, requeue_ms, err);
}

int32_t jobs_reconcile(void *arg, const char *ns, const char *name, uint64_t *requeue_ms, struct ome_err *err) {
  return reconcile(arg, &jobs, ns, name, requeue_ms, err);
}

int32_t lws_reconcile(void *arg, const char *ns, const char *name, uint64_t *requeue_ms, struct ome_err *err) {
  return reconcile(arg, &groups, ns, name, requeue_ms, err);
}

int32_t ray_reconcile(void *arg, const char *ns, const char *name, uint64_t *requeue_ms, struct ome_err *err) {
  return reconcile(arg, &ray, ns, name, requeue_ms, err);
}

int32_t knative_reconcile(void *arg, const char *ns, const char *name, uint64_t *requeue_ms, struct ome_err *err) {
  return reconcile(arg, &knative, ns, name, requeue_ms, err);
}
