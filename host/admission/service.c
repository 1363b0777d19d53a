/* InferenceServices at the door: the older form rewritten, and what could never run refused with a reason. */
#include "admission/review.h"

#include "base/regex.h"
#include "base/str.h"
#include "compose/fold.h"
#include "compose/inert.h"
#include "kube/meta.h"
#include "select/select.h"

#include <stdlib.h>
#include <string.h>

#define DEPRECATED                                                                                                     \
  "The Predictor field is deprecated and will be removed in a future release. Please use Engine and Model fields "     \
  "instead."
#define MAX_SCORERS 64

static bool is_one_of(const char *word, const char *const *list) {
  for (; *list; list++)
    if (streq(word, *list))
      return true;
  return false;
}

/* ---- the older form ---------------------------------------------------------------------------------------------- */

/* A name without a kind means the cluster's model first, as it always did for services of the older form. */
static int32_t resolve_kind(struct review *r, struct json_object *service, struct ome_err *err) {
  const char *name = json_str(service, "spec.model.name", "");
  static const struct kube_resource *const kinds[] = {&KUBE_CLUSTERBASEMODELS, &KUBE_BASEMODELS};

  if (!*name || *json_str(service, "spec.model.kind", ""))
    return OME_OK;
  for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
    _cleanup_json_ struct json_object *model = NULL;
    int32_t rc = r->lookup->get(r->lookup->arg, kinds[i], kinds[i]->namespaced ? r->ns : NULL, name, &model, err);
    if (rc == OME_OK)
      return json_set_str(service, "spec.model.kind", kinds[i]->kind) ? OME_OK : fail_memory(err);
    if (rc != OME_E_NOT_FOUND)
      return rc;
  }
  err_clear(err);
  verdict_deny(r, "neither ClusterBaseModel nor BaseModel found with name %s", name);
  return OME_OK;
}

int32_t default_service(struct review *r, struct ome_err *err) {
  _cleanup_json_ struct json_object *folded = NULL;
  const char *migrate = getenv("ENABLE_PREDICTOR_MIGRATION");
  bool used = !json_empty(json_at(r->object, "spec.predictor"));

  if (!used)
    return OME_OK;
  verdict_warn(r, "spec.predictor: %s", DEPRECATED);
  int32_t rc = streq(migrate, "false") ? OME_OK : fold_service(r->object, &folded, err);
  if (rc == OME_E_INVALID) {
    verdict_deny(r, "%s", err->msg);
    err_clear(err);
    return OME_OK;
  }
  if (rc != OME_OK)
    return rc;
  if (!folded)
    folded = json_copy(r->object);
  else
    rc = resolve_kind(r, folded, err);
  if (!meta_annotation(folded, "ome.io/deprecation-warning"))
    meta_set_annotation(folded, "ome.io/deprecation-warning", DEPRECATED);
  r->verdict->object = TAKE_PTR(folded);
  return rc;
}

/* ---- names and autoscaling --------------------------------------------------------------------------------------- */

static void check_name(struct review *r) {
  static const char pattern[] = "[a-z]([-a-z0-9]*[a-z0-9])?";
  const char *name = meta_name(r->object);

  if (*name && !regex_matches("^[a-z]([-a-z0-9]*[a-z0-9])?$", name))
    verdict_deny(r, "invalid InferenceService name \"%s\", must match \"%s\"", name, pattern);
}

static bool is_number(const char *text) {
  char *end;

  (void)strtod(text, &end);
  return end != text && !*end;
}

static void check_keda_server(struct review *r, const char *address) {
  size_t scheme = has_prefix(address, "http://") ? 7 : has_prefix(address, "https://") ? 8 : 0;

  if (!*address)
    return;
  if (!scheme)
    verdict_deny(r, "invalid KEDA Prometheus server address \"%s\": scheme must be http or https", address);
  else if (!address[scheme] || strchr("/:?#", address[scheme]))
    verdict_deny(r, "invalid KEDA Prometheus server address \"%s\": host is required", address);
}

static void check_keda_operator(struct review *r, const char *operator_name) {
  static const char *const known[] = {"GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual", NULL};

  if (*operator_name && !is_one_of(operator_name, known))
    verdict_deny(r,
                 "invalid KEDA scaling operator \"%s\", must be one of: GreaterThan, GreaterThanOrEqual, LessThan, "
                 "LessThanOrEqual",
                 operator_name);
}

static void check_keda_threshold(struct review *r, const char *threshold) {
  if (*threshold && !is_number(threshold))
    verdict_deny(r, "invalid KEDA scaling threshold \"%s\": must be a valid number", threshold);
}

static void check_keda_modes(struct review *r, const char *modes) {
  static const char *const known[] = {"basic", "tls", "bearer", "custom", NULL};
  _cleanup_free_ char **list = *modes ? str_split(modes, ',') : NULL;

  for (size_t i = 0; list && list[i]; i++) {
    char *mode = list[i] + strspn(list[i], " ");
    mode[strcspn(mode, " ")] = '\0';
    if (!is_one_of(mode, known))
      verdict_deny(r, "invalid KEDA auth mode \"%s\", must be one of: basic, tls, bearer, custom", mode);
  }
  if (*modes && !json_at(r->object, "spec.kedaConfig.authenticationRef"))
    verdict_warn(r, "spec.kedaConfig.authModes has no effect without authenticationRef");
}

/* Where the annotation and the field may both speak, both are looked at. */
static const struct {
  const char *annotation, *field;
  void (*check)(struct review *r, const char *value);
} keda_checks[] = {
    {"autoscaling.keda.sh/operator", "spec.kedaConfig.scalingOperator", check_keda_operator},
    {"autoscaling.keda.sh/threshold", "spec.kedaConfig.scalingThreshold", check_keda_threshold},
    {"autoscaling.keda.sh/prometheus.serverAddress", "spec.kedaConfig.promServerAddress", check_keda_server},
    {NULL, "spec.kedaConfig.authModes", check_keda_modes},
};

static void check_keda(struct review *r) {
  for (size_t i = 0; i < ARRAY_LEN(keda_checks); i++) {
    const char *annotation = keda_checks[i].annotation ? meta_annotation(r->object, keda_checks[i].annotation) : NULL;
    if (annotation)
      keda_checks[i].check(r, annotation);
    keda_checks[i].check(r, json_str(r->object, keda_checks[i].field, ""));
  }
}

static void check_autoscaling(struct review *r) {
  static const char *const classes[] = {"hpa", "keda", "external", "none", NULL}, *const metrics[] = {"cpu", "memory",
                                                                                                      NULL};
  const char *class = meta_annotation(r->object, "ome.io/autoscalerClass");
  const char *metric = meta_annotation(r->object, "ome.io/metrics");
  const char *utilization = meta_annotation(r->object, "ome.io/targetUtilizationPercentage");
  int64_t percent = 0;

  if (class && !is_one_of(class, classes))
    verdict_deny(r, "[%s] is not a supported autoscaler class type", class);
  if (metric && (!class || streq(class, "hpa")) && !is_one_of(metric, metrics))
    verdict_deny(r, "[%s] is not a supported metric", metric);
  if (streq(class, "keda") || json_at(r->object, "spec.kedaConfig"))
    check_keda(r);
  if (utilization && (!str_to_i64(utilization, &percent) || percent < 1 || percent > 100))
    verdict_deny(r, "the target utilization percentage should be a [1-100] integer");
}

/* ---- replicas and components ------------------------------------------------------------------------------------- */

static void check_components(struct review *r) {
  static const char *const components[] = {"engine", "decoder", "router"};

  if (json_at(r->object, "spec.decoder") && !json_at(r->object, "spec.engine"))
    verdict_deny(r, "decoder cannot be specified without engine");
  for (size_t i = 0; i < ARRAY_LEN(components); i++) {
    _cleanup_free_ char *least = str_printf("spec.%s.minReplicas", components[i]);
    _cleanup_free_ char *most = str_printf("spec.%s.maxReplicas", components[i]);
    int64_t min = json_i64(r->object, least, 0), max = json_i64(r->object, most, INT64_MAX);
    if (min < 0)
      verdict_deny(r, "%s: %lld: must not be negative", least, (long long)min);
    else if (max != 0 && max < min)
      verdict_deny(r, "%s: %lld: must not be below minReplicas, which is %lld", most, (long long)max, (long long)min);
  }
}

/* ---- model and runtime ------------------------------------------------------------------------------------------- */

/* The model that the service means, new; NULL without an error: there is none.  The default of spec.model.kind does not
 * tell a wish from silence, so the namespace comes first whatever it says. */
static int32_t find_model(struct review *r, const char *name, struct json_object **out, struct ome_err *err) {
  static const struct kube_resource *const kinds[] = {&KUBE_BASEMODELS, &KUBE_CLUSTERBASEMODELS};

  for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
    int32_t rc = r->lookup->get(r->lookup->arg, kinds[i], kinds[i]->namespaced ? r->ns : NULL, name, out, err);
    if (rc != OME_E_NOT_FOUND)
      return rc;
  }
  err_clear(err);
  return OME_OK;
}

/* An engine that brings its own image needs no runtime. */
static bool has_runner(struct json_object *service) {
  return *json_str(service, "spec.engine.runner.image", "") ||
         (*json_str(service, "spec.engine.leader.runner.image", "") &&
          *json_str(service, "spec.engine.worker.runner.image", ""));
}

/* Every object of both scopes. */
static int32_t list_both(struct review *r, const struct kube_resource *namespaced, const struct kube_resource *cluster,
                         struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *all = NULL;
  _cleanup_json_ struct json_object *more = NULL;
  int32_t rc = r->lookup->list(r->lookup->arg, cluster, NULL, &all, err);

  if (rc == OME_OK && namespaced)
    rc = r->lookup->list(r->lookup->arg, namespaced, r->ns, &more, err);
  if (rc != OME_OK)
    return rc;
  (void)json_add_all(all, more);
  *out = TAKE_PTR(all);
  return OME_OK;
}

/* *OUT is a new array of what the service is pinned to, if it is there. */
static int32_t find_revision(struct review *r, struct json_object **out, struct ome_err *err) {
  const char *name = revision_wanted(r->object);
  struct json_object *revision = NULL;
  int32_t rc =
      *name ? r->lookup->get(r->lookup->arg, &KUBE_CONTROLLERREVISIONS, r->lookup->ome_namespace, name, &revision, err)
            : OME_OK;

  if (rc == OME_E_NOT_FOUND) {
    err_clear(err);
    rc = OME_OK;
  }
  if (rc != OME_OK || !revision)
    return rc;
  *out = json_object_new_array();
  return json_add(*out, revision) ? OME_OK : fail_memory(err);
}

/* What a service was pinned to and is there no more is no reason to refuse what else is changed. */
static void judge_named(struct review *r, const struct selection *s) {
  bool lost = s->pin.mode == PIN_MANAGED && s->code == OME_E_CONFLICT;

  if (!s->chosen && !lost)
    verdict_deny(r, "%s", s->reason);
  else if (lost || *s->warning)
    verdict_warn(r, "%s", lost ? s->reason : s->warning);
}

static int32_t check_selection(struct review *r, struct json_object *model, struct ome_err *err) {
  _cleanup_json_ struct json_object *runtimes = NULL;
  _cleanup_json_ struct json_object *classes = NULL;
  _cleanup_json_ struct json_object *revisions = NULL;
  _cleanup_(selection_freep) struct selection *selection = NULL;
  struct select_scorer scorers[MAX_SCORERS];
  size_t n = select_scorers_of(r->lookup->plugins, scorers, MAX_SCORERS);
  int32_t rc = list_both(r, &KUBE_SERVINGRUNTIMES, &KUBE_CLUSTERSERVINGRUNTIMES, &runtimes, err);

  if (rc == OME_OK)
    rc = list_both(r, NULL, &KUBE_ACCELERATORCLASSES, &classes, err);
  if (rc == OME_OK)
    rc = find_revision(r, &revisions, err);
  const struct select_request request = {.service = r->object,
                                         .ns = r->ns,
                                         .model = model,
                                         .runtimes = runtimes,
                                         .accelerators = classes,
                                         .revisions = revisions,
                                         .scorers = scorers,
                                         .nscorers = n};
  if (rc == OME_OK)
    rc = select_runtime(&request, &selection, err);
  if (rc != OME_OK)
    return rc;
  const char *name = meta_name(model);
  if (selection->named)
    judge_named(r, selection);
  else if (!selection->chosen)
    verdict_deny(r,
                 "no supporting runtime found for model %s and engine does not have complete runner configuration: %s",
                 name, selection->reason);
  else
    verdict_warn(r, "Runtime %s will be auto-selected for model %s", meta_name(selection->chosen->runtime->doc), name);
  return OME_OK;
}

static int32_t check_references(struct review *r, struct ome_err *err) {
  const char *name = json_str(r->object, "spec.model.name", "");
  bool runtime = *json_str(r->object, "spec.runtime.name", "") != '\0';
  _cleanup_json_ struct json_object *model = NULL;

  if (!*name) {
    if (json_at(r->object, "spec.engine") && !runtime && !has_runner(r->object))
      verdict_deny(r, "model reference is required when runtime is not specified and engine does not have complete "
                      "runner configuration");
    return runtime ? check_selection(r, NULL, err) : OME_OK;
  }
  int32_t rc = find_model(r, name, &model, err);
  if (rc != OME_OK)
    return rc;
  if (!model)
    verdict_deny(
        r,
        "referenced model \"%s\" not found in namespace \"%s\": ensure a BaseModel exists in this namespace or "
        "a ClusterBaseModel exists cluster-wide with this name",
        name, r->ns);
  else if (json_flag(model, "spec.disabled", false))
    verdict_deny(r, "model %s is disabled", name);
  else if (!runtime && !*json_str(model, "spec.modelFormat.name", ""))
    verdict_warn(r, "model %s is not known well enough yet: its runtime is chosen when its files are here", name);
  else if (runtime || !has_runner(r->object))
    return check_selection(r, model, err);
  return OME_OK;
}

/* ---- fields of OME 1.3 that nothing is done about ---------------------------------------------------------------- */

static void check_inert(struct review *r) {
  _cleanup_json_ struct json_object *fields = inert_fields(r->object);
  struct ome_err err = ERR_INIT;

  for (size_t i = 0; i < json_len(fields); i++)
    verdict_warn(r, "%s", json_object_get_string(json_index(fields, i)));
  if (inert_check(r->object, &err) != OME_OK)
    verdict_deny(r, "%s", err.msg);
}

/* An update that leaves the spec and what else is checked alone is none of our business: a label, a finalizer. */
static bool is_unchanged(const struct review *r) {
  return r->old && json_equal(json_get(r->old, "spec"), json_get(r->object, "spec")) &&
         json_equal(json_at(r->old, "metadata.annotations"), json_at(r->object, "metadata.annotations"));
}

int32_t validate_service(struct review *r, struct ome_err *err) {
  if (is_unchanged(r))
    return OME_OK;
  check_name(r);
  check_autoscaling(r);
  check_components(r);
  check_inert(r);
  return check_references(r, err);
}
