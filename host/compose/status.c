#include "compose/status.h"

#include "base/str.h"
#include "compose/claim.h"
#include "compose/overlays.h"
#include "compose/pods.h"
#include "compose/status_autoscaler.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

#define REJECTED_IN_STATUS 5

static const char *const ready_conditions[COMPONENT_KINDS] = {"EngineReady", "DecoderReady", "RouterReady"};

/* The status under work is the .status of HOLDER, as meta_set_condition() wants it. */
struct work {
  const struct status_input *in;
  struct json_object *holder;
  struct json_object *status;
};

static void set_condition(struct work *w, const char *type, const char *status, const char *reason,
                          const char *message) {
  (void)meta_set_condition(w->holder, type, status, reason, message, w->in->now_ms);
}

static bool has_component(const struct work *w, size_t kind) {
  return json_get(json_get(w->in->plan->service, "spec"), component_kinds[kind]) != NULL;
}

static struct json_object *find_condition(const struct work *w, const char *type) {
  return json_find(json_get(w->status, "conditions"), "type", type);
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

/* A runtime that the service names may bring its own model. */
static bool names_model(const struct work *w) {
  return *json_str(w->in->plan->service, "spec.model.name", "") != '\0';
}

/* What is on a claim, or in the runtime, is nothing to bring to nodes. */
static const char *model_state(const struct work *w) {
  struct json_object *model = w->in->plan->model;

  if (!names_model(w) || claim_is(json_str(model, "spec.storage.storageUri", "")))
    return "Ready";
  return json_str(model, "status.state", "In_Transit");
}

/* Why, as the model's own condition says it. */
static void failed_model_message(const struct work *w, char *out, size_t cap) {
  struct json_object *model = w->in->plan->model;
  struct json_object *ready = json_find(json_at(model, "status.conditions"), "type", "Ready");

  (void)snprintf(out, cap, "model %.100s is Failed: %.380s", meta_name(model),
                 json_str(ready, "message", "its agents' logs say why"));
}

static void set_model_condition(struct work *w) {
  struct json_object *model = w->in->plan->model;
  const char *state = model_state(w);
  char message[512];

  if (!names_model(w))
    meta_drop_condition(w->holder, "ModelReady");
  if (!model)
    return; /* a problem says so */
  if (*w->in->plan->claim_waits) {
    set_condition(w, "ModelReady", "Unknown", "PVCNotBound", w->in->plan->claim_waits);
    return;
  }
  if (streq(state, "Ready")) {
    set_condition(w, "ModelReady", "True", "", "");
    return;
  }
  bool failed = streq(state, "Failed");
  if (failed)
    failed_model_message(w, message, sizeof(message));
  else
    (void)snprintf(message, sizeof(message), "model %.120s is %s; the agent is bringing it to the nodes",
                   meta_name(model), state);
  set_condition(w, "ModelReady", failed ? "False" : "Unknown", failed ? "ModelFailed" : "ModelNotReady", message);
}

/* ---- the runtime ------------------------------------------------------------------------------------------------- */

/* Told where there is drift, and gone when it is over. */
static void set_drift(struct work *w, const struct select_pin *pin) {
  if (pin && pin->drift)
    set_condition(w, "RuntimeDrifted", "True", pin->drift, pin->message);
  else
    meta_drop_condition(w->holder, "RuntimeDrifted");
}

/* What was chosen, in the words of `ome explain`; a problem of the runtime takes its place. */
static void set_runtime_condition(struct work *w) {
  const struct selection *s = w->in->plan->selection;

  set_drift(w, s ? &s->pin : NULL);

  if (s && s->chosen)
    set_condition(w, "RuntimeReady", "True", "", *s->warning ? s->warning : s->reason);
}

/* ---- problems ---------------------------------------------------------------------------------------------------- */

/* A model whose facts are still on their way is no failure. */
static bool is_waiting(const struct work *w, const struct plan_problem *p) {
  return streq(p->reason, "ModelNotReady") && !streq(model_state(w), "Failed");
}

/* What runs keeps its condition; what does not says what is in the way. */
static void set_problems(struct work *w) {
  const struct plan *plan = w->in->plan;
  const struct plan_problem *first = &plan->problems[0];
  const char *reason = first->reason;
  const char *message = first->message;
  char failure[512];

  for (size_t i = 0; i < plan->nproblems; i++) {
    const struct plan_problem *p = &plan->problems[i];
    set_condition(w, p->condition, is_waiting(w, p) ? "Unknown" : "False", p->reason, p->message);
  }
  /* That facts are missing is no news when the model could not be fetched. */
  if (streq(reason, "ModelNotReady") && streq(model_state(w), "Failed")) {
    failed_model_message(w, failure, sizeof(failure));
    reason = "ModelFailed";
    message = failure;
  }
  for (size_t k = 0; k < COMPONENT_KINDS; k++) {
    struct pods_summary pods;
    pods_summarize(w->in->pods, component_kinds[k], &pods);
    if ((has_component(w, k) || k == 0) && pods.ready == 0)
      set_condition(w, ready_conditions[k], is_waiting(w, first) ? "Unknown" : "False", reason, message);
  }
  if (!find_condition(w, "IngressReady"))
    set_condition(w, "IngressReady", "Unknown", reason, message);
}

/* ---- components -------------------------------------------------------------------------------------------------- */

/* Whether the Service of PART, which is of a component, leads to a pod that is ready.  It may be one of the workload
 * that is to be replaced, or one of fewer than its workload wants. */
static bool has_endpoint(const struct work *w, const struct plan_part *part) {
  for (size_t i = 0; i < part->count; i++) {
    struct json_object *o = json_index(w->in->plan->objects, part->first + i);
    struct json_object *live = json_index(w->in->live, part->first + i);
    if (streq(json_str(o, "kind", ""), "Service") && streq(json_str(o, "apiVersion", ""), "v1") &&
        pods_serving(w->in->pods, json_at(live ? live : o, "spec.selector")) > 0)
      return true;
  }
  return false;
}

static void set_component_condition(struct work *w, size_t kind, const struct ome_status *s,
                                    const struct plan_part *part) {
  struct pods_summary pods;
  char message[1024];

  pods_summarize(w->in->pods, component_kinds[kind], &pods);
  if (s->phase == OME_PHASE_READY ||
      has_endpoint(w, part)) { /* others may be in trouble all the same: after a new image, or too few nodes */
    (void)snprintf(message, sizeof(message), "%.380s%s%s", s->message, *s->message && *pods.reason ? "; " : "",
                   *pods.reason ? pods.message : "");
    set_condition(w, ready_conditions[kind], "True", s->reason, message);
    return;
  }
  bool failed = s->phase == OME_PHASE_FAILED || pods.failed;
  bool lifted = *pods.reason;
  const char *reason = lifted ? pods.reason : *s->reason ? s->reason : "Initializing";
  if (lifted && !pods.failed && kind != 2 && !streq(model_state(w), "Ready"))
    (void)snprintf(message, sizeof(message), "waiting for model %.100s, which is %s (%.600s)",
                   meta_name(w->in->plan->model), model_state(w), pods.message);
  else
    (void)snprintf(message, sizeof(message), "%s", lifted ? pods.message : s->message);
  set_condition(w, ready_conditions[kind], failed ? "False" : "Unknown", reason, message);
}

/* The class of a component, which its policy looks for again at the next turn. */
static bool put_accelerator(const struct plan *plan, const char *kind, struct json_object *entry) {
  const struct selection *s = plan->selection;
  const struct accelerator_choice *c = streq(kind, "decoder") ? &s->decoder : &s->engine;
  struct json_object *class = selection_accelerator(s, kind);
  struct json_object *labels = json_at(class, "spec.discovery.nodeSelector");

  json_del(entry, "selectedAccelerator");
  if (!class)
    return true;
  struct json_object *chosen = json_ensure(entry, "selectedAccelerator");
  return chosen && json_set_str(chosen, "acceleratorClass", meta_name(class)) &&
         json_set_str(chosen, "reason", c->reason) &&
         (json_empty(labels) || json_set(chosen, "nodeSelector", json_object_get(labels)));
}

static bool put_component(struct work *w, const struct plan_component *c, const struct ome_status *s,
                          struct json_object *workload) {
  struct json_object *components = json_ensure(w->status, "components");
  struct json_object *entry = components ? json_ensure(components, c->kind) : NULL;
  const char *revision =
      json_object_get_string(json_get(json_at(workload, "metadata.annotations"), "deployment.kubernetes.io/revision"));

  if (!entry || (revision && !json_set_str(entry, "latestCreatedRevision", revision)) ||
      !put_accelerator(w->in->plan, c->kind, entry))
    return false;
  /* A URL once known stays: it names the Service, not the moment. */
  return s->phase != OME_PHASE_READY || !*s->url || json_set_str(entry, "url", s->url);
}

static bool set_components(struct work *w) {
  const struct plan *plan = w->in->plan;

  for (size_t i = 0; i < plan->nparts; i++) {
    size_t kind = 0;
    while (kind < COMPONENT_KINDS - 1 && !streq(component_kinds[kind], plan->parts[i].kind))
      kind++;
    set_component_condition(w, kind, &w->in->components[i], &plan->parts[i].deployment);
    if (!put_component(w, &plan->parts[i], &w->in->components[i], w->in->workloads[i]))
      return false;
  }
  const struct ome_status *ingress = w->in->ingress;
  bool up = ingress->phase == OME_PHASE_READY;
  set_condition(w, "IngressReady",
                up                                   ? "True"
                : ingress->phase == OME_PHASE_FAILED ? "False"
                                                     : "Unknown",
                ingress->reason, ingress->message);
  return true;
}

static void drop_absent(struct work *w) {
  struct json_object *components = json_get(w->status, "components");

  for (size_t k = 0; k < COMPONENT_KINDS; k++) {
    if (has_component(w, k))
      continue;
    if (k > 0)
      meta_drop_condition(w->holder, ready_conditions[k]);
    json_del(components, component_kinds[k]);
  }
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

/* An address called NAME; "": nothing. */
static bool add_address(struct json_object *list, const char *name, const char *url) {
  struct json_object *o = json_object_new_object();

  if (o && json_set_str(o, "url", url) && (!*name || json_set_str(o, "name", name)) &&
      json_object_array_add(list, o) == 0)
    return true;
  json_unref(o);
  return false;
}

/* From outside, at each gateway by the site's name for it, then from inside the cluster; one where they are the same.
 */
static bool set_address_list(struct json_object *status, struct json_object *outside, const char *url,
                             const char *address) {
  struct json_object *list = json_object_new_array();
  bool ok = list && json_set(status, "addresses", list);

  if (ok && !json_len(outside) && !streq(url, address))
    ok = add_address(list, "external", url);
  for (size_t i = 0; ok && i < json_len(outside); i++) {
    struct json_object *o = json_index(outside, i);
    ok = add_address(list, json_str(o, "name", i == 0 ? "external" : ""), json_str(o, "url", ""));
  }
  return ok && add_address(list, "cluster-local", address);
}

static bool set_addresses(struct work *w) {
  const struct plan *plan = w->in->plan;
  const char *url = w->in->ingress->url;

  if (!*url || plan->nparts == 0)
    return true;
  struct json_object *entry = plan->parts[plan->nparts - 1].doc;
  /* Decoders are reached through their engine. */
  if (streq(plan->parts[plan->nparts - 1].kind, "decoder"))
    entry = plan->parts[0].doc;
  bool own_service = plan->ingress.plugin && streq(plugin_instance_name(plan->ingress.plugin), "service");
  const char *host = own_service ? meta_name(plan->service) : json_str(entry, "app", "");
  _cleanup_free_ char *address = str_printf("http://%s.%s.svc.%s:%lld", host, json_str(entry, "namespace", ""),
                                            json_str(w->in->cluster, "domain", "cluster.local"),
                                            (long long)json_i64(json_index(json_get(entry, "ports"), 0), "port", 8080));
  return address && json_set_str(w->status, "url", url) && json_set_str(w->status, "address.url", address) &&
         set_address_list(w->status, w->in->addresses, url, address);
}

/* ---- modelStatus ------------------------------------------------------------------------------------------------- */

/* The names that OME's schema allows for what this plan or pod says. */
static const char *failure_reason(const char *reason) {
  static const struct {
    const char *ours;
    const char *schema;
  } table[] = {{"ModelNotFound", "BaseModelNotFound"},
               {"ModelNotReady", "BaseModelNotReady"},
               {"RuntimeNotFound", "RuntimeNotRecognized"},
               {"RuntimeDisabled", "RuntimeDisabled"},
               {"NoSupportingRuntime", "NoSupportingRuntime"}};

  for (size_t i = 0; i < ARRAY_LEN(table); i++)
    if (streq(table[i].ours, reason))
      return table[i].schema;
  return "InvalidPredictorSpec";
}

static bool put_failure(struct json_object *m, const char *reason, const char *message, int64_t exit_code) {
  return json_set_str(m, "lastFailureInfo.reason", reason) && json_set_str(m, "lastFailureInfo.message", message) &&
         (exit_code < 0 || json_set_i64(m, "lastFailureInfo.exitCode", exit_code));
}

static bool put_copies(struct json_object *m, bool ready, const struct pods_summary *pods) {
  return json_set_str(m, "modelRevisionStates.activeModelState", ready ? "Loaded" : "Pending") &&
         json_set_i64(m, "modelCopies.totalCopies", (int64_t)pods->total) &&
         json_set_i64(m, "modelCopies.failedCopies", pods->failed ? 1 : 0);
}

static bool set_model_status(struct work *w, bool ready) {
  const struct plan *plan = w->in->plan;
  struct json_object *m = json_object_new_object();
  struct pods_summary pods;
  const char *transition = "InProgress";
  const char *target = "Pending";

  if (!names_model(w)) {
    json_unref(m);
    json_del(w->status, "modelStatus");
    return true;
  }
  bool ok = m && json_set(w->status, "modelStatus", m);

  pods_summarize(w->in->pods, "engine", &pods);
  if (plan->nproblems) {
    const struct plan_problem *p = &plan->problems[0];
    if (!is_waiting(w, p))
      transition = "InvalidSpec";
    ok = ok && put_failure(m, failure_reason(p->reason), p->message, -1);
  } else if (ready) {
    transition = "UpToDate";
    target = "Loaded";
  } else if (pods.failed) {
    transition = "BlockedByFailedLoad";
    target = "FailedToLoad";
    ok = ok && put_failure(m, "ModelLoadFailed", pods.message, pods.exit_code);
  } else if (pods.total > 0 && !*pods.reason) {
    target = "Loading";
  }
  return ok && json_set_str(m, "transitionStatus", transition) &&
         json_set_str(m, "modelRevisionStates.targetModelState", target) && put_copies(m, ready, &pods);
}

/* ---- Ready ------------------------------------------------------------------------------------------------------- */

/* The first dependent that is worse than the worst so far: False before Unknown before True. */
static void weigh(const struct work *w, const char *type, struct json_object **worst, int *rank) {
  struct json_object *c = find_condition(w, type);
  const char *status = json_str(c, "status", "Unknown");
  int r = streq(status, "True") ? 0 : streq(status, "False") ? 2 : 1;

  if (r > *rank) {
    *rank = r;
    *worst = c;
  }
}

static bool set_ready(struct work *w) {
  static const char *const words[] = {"True", "Unknown", "False"};
  struct json_object *worst = NULL;
  int rank = 0;

  for (size_t k = 0; k < COMPONENT_KINDS; k++)
    if (k == 0 || has_component(w, k))
      weigh(w, ready_conditions[k], &worst, &rank);
  weigh(w, "IngressReady", &worst, &rank);
  _cleanup_free_ char *reason = strdup(json_str(worst, "reason", ""));
  _cleanup_free_ char *message = strdup(json_str(worst, "message", ""));
  set_condition(w, "Ready", words[rank], reason ? reason : "", message ? message : "");
  return rank == 0;
}

static int by_type(const void *a, const void *b) {
  struct json_object *const *x = a;
  struct json_object *const *y = b;

  return strcmp(json_str(*x, "type", ""), json_str(*y, "type", ""));
}

/* Conditions that Ready does not follow are for information. */
static void sort_conditions(struct work *w) {
  static const char *const informative[] = {"AutoscalerReady", "ModelReady", "OverlaysReady", "RuntimeDrifted",
                                            "RuntimeReady"};
  struct json_object *list = json_get(w->status, "conditions");

  if (list)
    json_object_array_sort(list, by_type);
  for (size_t i = 0; i < ARRAY_LEN(informative); i++) {
    struct json_object *c = find_condition(w, informative[i]);
    if (c)
      (void)json_set_str(c, "severity", "Info");
  }
}

/* ---- selection --------------------------------------------------------------------------------------------------- */

/* What a service is pinned to, and which wish to advance was granted.  A pin that failed changes nothing. */
static bool set_pin(struct work *w) {
  const struct selection *s = w->in->plan->selection;
  const struct select_pin *pin = s && s->pin.mode != PIN_NONE ? &s->pin : NULL;
  struct json_object *token = json_get(json_at(w->in->service, "metadata.annotations"), "ome.io/runtime-sync");

  if (!pin) {
    json_del(w->status, "pinnedRevisionName");
    json_del(w->status, "lastRuntimeSyncToken");
    return true;
  }
  if (!s->chosen)
    return true;
  return json_set_str(w->status, "pinnedRevisionName", pin->revision) &&
         (pin->mode != PIN_MANAGED || !json_is(token, json_type_string) ||
          json_set_str(w->status, "lastRuntimeSyncToken", json_object_get_string(token)));
}

/* RECORD without the resource versions that it was made of; new, NULL: out of memory. */
static struct json_object *decision_of(struct json_object *record) {
  struct json_object *o = json_copy(record);

  for (size_t i = 0; i < json_len(json_get(o, "inputs")); i++)
    json_del(json_index(json_get(o, "inputs"), i), "resourceVersion");
  return o;
}

/* Whether the status says it already, of earlier resource versions: the status of a model or a class is written often,
 * and to follow it would be to write for nothing. */
static bool is_told(struct json_object *told, struct json_object *record) {
  _cleanup_json_ struct json_object *a = told ? decision_of(told) : NULL;
  _cleanup_json_ struct json_object *b = a ? decision_of(record) : NULL;

  return a && b && json_equal(a, b);
}

/* The decision record, bounded: what was chosen, why, and the best rejected ones with a reason each. */
static bool set_selection(struct work *w) {
  struct json_object *record = plan_record(w->in->plan, 1 + REJECTED_IN_STATUS);

  if (!record)
    return false;
  json_del(record, "namespace");
  json_del(record, "name");
  _cleanup_free_ char *where = plan_keeps_record(w->in->service) ? plan_record_name(w->in->service) : NULL;
  if (where && !json_set_str(record, "configMap", where)) {
    json_unref(record);
    return false;
  }
  if (is_told(json_get(w->status, "selection"), record))
    json_unref(record);
  else if (!json_set(w->status, "selection", record))
    return false;
  return set_pin(w);
}

/* ---- virtual ----------------------------------------------------------------------------------------------------- */

/* All there is to say of a service that is served elsewhere, behind a Service of its name. */
static bool set_virtual(struct work *w) {
  static const char *const gone[] = {"selection",       "modelStatus",        "components",          "addresses",
                                     "mountedOverlays", "pinnedRevisionName", "lastRuntimeSyncToken"};
  struct json_object *list = json_get(w->status, "conditions");
  struct json_object *service = w->in->plan->service;
  _cleanup_free_ char *url = str_printf("http://%s.%s.svc.%s", meta_name(service), meta_namespace(service),
                                        json_str(w->in->cluster, "domain", "cluster.local"));

  for (size_t i = json_len(list); i-- > 0;)
    if (!streq(json_str(json_index(list, i), "type", ""), "Ready"))
      (void)json_object_array_del_idx(list, i, 1);
  for (size_t i = 0; i < ARRAY_LEN(gone); i++)
    json_del(w->status, gone[i]);
  set_condition(w, "Ready", "True", "VirtualDeployment", "InferenceService is in VirtualDeployment mode");
  return url && json_set_str(w->status, "url", url) && json_set_str(w->status, "address.url", url) &&
         json_set_str(w->status, "components.predictor.url", url) &&
         json_set_i64(w->status, "observedGeneration", meta_generation(w->in->service));
}

/* ---- deployed ---------------------------------------------------------------------------------------------------- */

/* Of a service whose components run here, or are to. */
static bool set_deployed(struct work *w) {
  const struct status_input *in = w->in;
  bool ok = true;

  set_model_condition(w);
  set_runtime_condition(w);
  if (in->plan->nproblems)
    set_problems(w);
  else
    ok = set_components(w) && set_addresses(w) && status_set_autoscalers(w->holder, in);
  drop_absent(w);
  bool ready = set_ready(w);
  ok = overlays_put_status(in->plan, w->holder, in->now_ms) && ok;
  sort_conditions(w);
  return ok && set_model_status(w, ready) && set_selection(w) &&
         json_set_i64(w->status, "observedGeneration", meta_generation(in->service));
}

/* ---- entry ------------------------------------------------------------------------------------------------------- */

int32_t status_compose(const struct status_input *in, struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *holder = json_object_new_object();
  struct json_object *old = json_get(in->service, "status");
  struct json_object *status = old ? json_copy(old) : json_object_new_object();

  if (!holder || !status || !json_set(holder, "status", status))
    return fail_memory(err);
  struct work w = {in, holder, status};
  if (!json_is(json_get(status, "conditions"), json_type_array))
    json_del(status, "conditions");
  if (in->plan->is_virtual ? !set_virtual(&w) : !set_deployed(&w))
    return fail_memory(err);
  *out = json_object_get(status);
  return OME_OK;
}
