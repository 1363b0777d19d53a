/* InferenceService: plan, apply, observe, say. */
#include "base/clock.h"
#include "base/metrics.h"
#include "base/str.h"
#include "compose/names.h"
#include "compose/status.h"
#include "controller/internal.h"
#include "kube/meta.h"

#include <stdio.h>

/* OME's controller puts it on services and takes it off; it guards nothing here, where owner references clean up. */
#define OME_FINALIZER "inferenceservice.finalizers"

#define LOOK_AGAIN_MS 60000u
#define CLAIMS_AGAIN_MS 5000u

METRIC_COUNTER(selections, "ome_selections_total",
               "Runtime selections for services, by outcome: selected, named (by the service), or why none was.",
               "outcome");

static void count_selection(const struct plan *plan) {
  const struct selection *s = plan->selection;

  if (s)
    metric_add(METRIC(&selections, !s->chosen ? err_name(s->code) : s->named ? "named" : "selected"), 1);
}

static int32_t drop_finalizer(struct controller *c, struct json_object *service, struct ome_err *err) {
  if (!meta_remove_finalizer(service, OME_FINALIZER))
    return OME_OK;
  int32_t rc = kube_update(c->client, &KUBE_INFERENCESERVICES, service, NULL, err);
  return rc == OME_E_NOT_FOUND ? OME_OK : rc;
}

/* ---- observing --------------------------------------------------------------------------------------------------- */

static int32_t observe_part(const struct plan *plan, const struct plan_part *part,
                            const struct plan_component *component, struct json_object *live,
                            struct json_object *addresses, struct ome_status *out, struct ome_err *err) {
  _cleanup_json_ struct json_object *observed = json_object_new_array();

  for (size_t i = 0; observed && i < part->count; i++)
    (void)json_object_array_add(observed, meta_without_managers(json_index(live, part->first + i)));
  return observed ? plan_observe(plan, part, component, observed, addresses, out, err) : fail_memory(err);
}

static struct json_object *pods_of(struct controller *c, struct json_object *service) {
  _cleanup_free_ char *label = name_label_value(meta_name(service));

  return label ? kube_cache_indexed(c->watches[WATCH_PODS], meta_namespace(service), label) : NULL;
}

struct observation {
  struct ome_status components[COMPONENT_KINDS];
  struct json_object *workloads[COMPONENT_KINDS];
  struct ome_status autoscalers[COMPONENT_KINDS];
  char *rivals[COMPONENT_KINDS]; /* owned */
  struct children_report children;
  struct ome_status ingress;
  struct json_object *addresses; /* array, where there is an ingress */
};

static void observation_fini(struct observation *o) {
  for (size_t i = 0; i < COMPONENT_KINDS; i++)
    free(o->rivals[i]);
  json_unref(o->children.live);
  json_unref(o->addresses);
}

static int32_t observe(const struct plan *plan, struct json_object *live, struct observation *o, struct ome_err *err) {
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < plan->nparts; i++) {
    const struct plan_component *p = &plan->parts[i];
    rc = observe_part(plan, &p->deployment, p, live, NULL, &o->components[i], err);
    o->workloads[i] = p->deployment.count ? json_index(live, p->deployment.first) : NULL;
    if (rc == OME_OK && p->autoscaler.plugin)
      rc = observe_part(plan, &p->autoscaler, p, live, NULL, &o->autoscalers[i], err);
  }
  if (rc == OME_OK && plan->ingress.plugin && !(o->addresses = json_object_new_array()))
    rc = fail_memory(err);
  if (rc == OME_OK && plan->ingress.plugin)
    rc = observe_part(plan, &plan->ingress, NULL, live, o->addresses, &o->ingress, err);
  return rc;
}

/* ---- saying ------------------------------------------------------------------------------------------------------ */

static struct json_object *condition_in(struct json_object *status, const char *type) {
  return json_find(json_get(status, "conditions"), "type", type);
}

/* The choice, its reason and its warning are told once, in the words of `ome explain`. */
static void record_selection(struct controller *c, struct json_object *service, const struct selection *s) {
  struct json_object *old = json_at(service, "status.selection");
  const char *runtime = s->chosen ? s->chosen->runtime->facts.name : "";

  if (*runtime && !streq(json_str(old, "selected.runtime", ""), runtime))
    kube_record(c->recorder, service, false, "RuntimeSelected", "runtime %s: %s", runtime, s->reason);
  if (*s->warning && !streq(json_str(old, "warning", ""), s->warning))
    kube_record(c->recorder, service, true, "RuntimeCompatibilityAdvisory", "%s", s->warning);
}

/* Facts that are on their way are no reason to warn. */
static void record_problem(struct controller *c, struct json_object *service, const struct plan_problem *p) {
  struct json_object *old = condition_in(json_get(service, "status"), p->condition);

  if (!streq(json_str(old, "message", ""), p->message))
    kube_record(c->recorder, service, !streq(p->reason, "ModelNotReady"), p->reason, "%s", p->message);
}

static void record_events(struct controller *c, struct json_object *service, const struct plan *plan,
                          struct json_object *status) {
  struct json_object *old = json_get(service, "status");
  bool was = streq(json_str(condition_in(old, "Ready"), "status", ""), "True");
  bool is = streq(json_str(condition_in(status, "Ready"), "status", ""), "True");
  const char *name = meta_name(service);

  if (was != is)
    kube_record(c->recorder, service, was, is ? "InferenceServiceReady" : "InferenceServiceNotReady",
                "InferenceService [%s] is %s", name, is ? "Ready" : "no longer Ready");
  for (size_t i = 0; i < plan->nproblems; i++)
    record_problem(c, service, &plan->problems[i]);
  if (plan->selection)
    record_selection(c, service, plan->selection);
  const char *drift = json_str(condition_in(status, "RuntimeDrifted"), "message", "");
  if (*drift && !streq(drift, json_str(condition_in(old, "RuntimeDrifted"), "message", "")))
    kube_record(c->recorder, service, false, "RuntimeDrifted", "%s", drift);
}

/* Its event would bring us here again; those who look at a service's status are told at once. */
static int32_t put_status(struct controller *c, struct json_object *service, struct ome_err *err) {
  struct kube_cache *cache = c->watches[WATCH_SERVICES];
  const char *ns = meta_namespace(service);
  const char *name = meta_name(service);
  _cleanup_json_ struct json_object *stored = NULL;

  kube_cache_writing(cache, ns, name);
  int32_t rc = kube_update_status(c->client, &KUBE_INFERENCESERVICES, service, &stored, err);
  kube_cache_wrote(cache, ns, name, stored);
  if (rc == OME_OK)
    requeue_benchmarks_of(c, ns, name);
  return rc;
}

static int32_t write_status(struct service_worker *w, struct json_object *service, const struct plan *plan,
                            const struct observation *o, struct ome_err *err) {
  _cleanup_json_ struct json_object *pods = pods_of(w->c, service);
  _cleanup_json_ struct json_object *status = NULL;
  struct status_input in = {
      .service = service,
      .plan = plan,
      .components = o->components,
      .workloads = o->workloads,
      .live = o->children.live,
      .ingress = &o->ingress,
      .addresses = o->addresses,
      .autoscalers = o->autoscalers,
      .rivals = o->rivals,
      .autoscaler_failure = o->children.scaler.code != OME_OK ? o->children.scaler.msg : NULL,
      .pods = pods,
      .cluster = w->world.cluster,
      .now_ms = wall_ms(),
  };
  int32_t rc = status_compose(&in, &status, err);

  if (rc != OME_OK || json_equal(status, json_get(service, "status")))
    return rc;
  _cleanup_json_ struct json_object *changed = json_copy(service);
  if (!changed || !json_set(changed, "status", json_object_get(status)))
    return fail_memory(err);
  rc = put_status(w->c, changed, err);
  if (rc == OME_E_NOT_FOUND)
    return OME_OK;
  if (rc == OME_OK)
    record_events(w->c, service, plan, status);
  return rc;
}

/* ---- entry ------------------------------------------------------------------------------------------------------- */

/* An object that cannot be applied is a problem to be shown where people look, and tried again. */
static void note_failure(struct plan *plan, const char *condition, const struct ome_err *err) {
  plan_refuse(plan, condition ? condition : "EngineReady", err->code == OME_E_EXISTS ? REASON_CLASH : "ApplyFailed",
              "%s", err->msg);
}

/* All of the plan is applied and observed; what it no longer has goes. */
static int32_t realize(struct service_worker *w, struct json_object *service, struct plan *plan, struct observation *o,
                       struct ome_err *err) {
  bool ready[COMPONENT_KINDS] = {false};
  int32_t rc = pins_keep(w, plan, err);

  if (rc == OME_OK)
    rc = scalers_yield(w, plan, o->rivals, err);
  if (rc == OME_OK)
    rc = children_sync(w, service, plan, &o->children, err);
  if (rc == OME_OK)
    rc = observe(plan, o->children.live, o, err);
  for (size_t i = 0; rc == OME_OK && i < plan->nparts; i++)
    ready[i] = o->components[i].phase == OME_PHASE_READY;
  if (rc == OME_OK)
    rc = children_take_over(w, service, plan, ready, &o->children, err);
  return rc == OME_OK ? children_prune(w->c, service, plan, ready, err) : rc;
}

/* What of the cluster this service alone looks at, into w->world; *MODELS and *CLAIMS are new, and to be kept as long.
 * While claims are not known, it is to be looked at again. */
static int32_t look_further(struct service_worker *w, struct json_object *service, struct json_object **models,
                            struct json_object **claims, uint64_t *requeue_ms, struct ome_err *err) {
  const char *ns = meta_namespace(service);

  *models = world_models(w->c, service);
  w->world.models = *models;
  w->world.claims = NULL;
  if (!*models)
    return fail_memory(err);
  int32_t rc = pins_load(w, service, requeue_ms, err);
  if (rc != OME_OK || !world_uses_claims(&w->world, service, *models))
    return rc;
  further_note(w->c, ns, meta_name(service), true);
  *claims = world_claims(w->c, ns);
  w->world.claims = *claims;
  if (!*claims)
    *requeue_ms = CLAIMS_AGAIN_MS;
  return OME_OK;
}

/* What cannot be told stands in nobody's way. */
static void keep_record(struct controller *c, struct json_object *service, const struct plan *plan) {
  struct ome_err err = ERR_INIT;

  if (record_keep(c, service, plan, &err) != OME_OK)
    kube_record(c->recorder, service, true, "SelectionRecordNotKept", "%s", err.msg);
}

static int32_t bring_about(struct service_worker *w, struct json_object *service, uint64_t *requeue_ms,
                           struct ome_err *err) {
  _cleanup_(observation_fini) struct observation o = {0};
  struct plan *plan = NULL;
  _cleanup_json_ struct json_object *models = NULL, *claims = NULL;
  struct ome_err failure = ERR_INIT;
  int32_t rc = look_further(w, service, &models, &claims, requeue_ms, err);

  if (rc == OME_OK)
    rc = plan_service(&w->world, service, &plan, err);
  if (rc != OME_OK)
    return rc;
  count_selection(plan);
  keep_record(w->c, service, plan);
  int32_t applied = OME_OK;
  if (plan->nproblems == 0) {
    applied = realize(w, service, plan, &o, &failure);
    /* Passing trouble is retried in silence; what lasts is shown. */
    if (applied != OME_OK && !err_retryable(applied))
      note_failure(plan, o.children.condition, &failure);
  }
  if (applied == OME_OK || plan->nproblems)
    rc = write_status(w, service, plan, &o, err);
  plan_free(plan);
  w->world.models = w->world.claims = NULL;
  if (applied == OME_OK && o.children.scaler.code != OME_OK) {
    failure = o.children.scaler;
    applied = failure.code;
  }
  if (rc != OME_OK || applied == OME_OK)
    return rc;
  /* What is in the way may be no object that is watched. */
  *requeue_ms = LOOK_AGAIN_MS;
  if (!err_retryable(applied))
    return OME_OK;
  *err = failure;
  return applied;
}

int32_t reconcile_service(void *arg, const char *ns, const char *name, uint64_t *requeue_ms, struct ome_err *err) {
  struct service_worker *w = arg;
  struct controller *c = w->c;
  _cleanup_json_ struct json_object *service = kube_cache_get(c->watches[WATCH_SERVICES], ns, name);

  further_note(c, ns, name, json_len(json_at(service, "spec.model.overlays")) > 0);
  if (!service)
    return OME_OK; /* its objects go by their owner references */
  if (meta_deleting(service))
    return drop_finalizer(c, service, err);
  int32_t rc = world_refresh(w, err);
  return rc == OME_OK ? bring_about(w, service, requeue_ms, err) : rc;
}
