#include "compose/scaling.h"

#include "base/str.h"
#include "compose/cluster.h"

#include <string.h>
#include <strings.h>

#define CLASS_ANNOTATION "ome.io/autoscalerClass"
#define CLASS_MAX 64
#define LWS_NAME_TAIL 50 /* bytes of a component's name in its LeaderWorkerSet's */

/* What was decided, and from which of the forms that OME has had. */
struct decision {
  char class[CLASS_MAX];     /* a plugin's name, "external" or "none" */
  const char *source;        /* "isvc", "runtime", "legacy", "default": as status says it */
  struct json_object *block; /* the autoscaler block; borrowed, NULL: older forms */
  const char *warning;       /* NULL: nothing to be said */
  bool explicit;             /* somebody asked for this class */
};

static void set_class(struct decision *d, const char *class) {
  size_t n = 0;

  for (; class[n] && n + 1 < sizeof(d->class); n++)
    d->class[n] = (char)(class[n] >= 'A' && class[n] <= 'Z' ? class[n] + 32 : class[n]);
  d->class[n] = '\0';
}

static const char *text_of(struct json_object *map, const char *key) {
  return json_object_get_string(json_get(map, key));
}

/* ---- which form -------------------------------------------------------------------------------------------------- */

/* kedaConfig of the component over that of the service; new or NULL. */
static struct json_object *keda_config(const struct scaling_request *req) {
  struct json_object *whole = json_at(req->component->service, "spec.kedaConfig");
  struct json_object *own = json_get(req->merged, "kedaConfig");

  if (!json_is(whole, json_type_object))
    return json_object_get(own);
  struct json_object *out = json_copy(whole);
  return own && out ? json_merge_patch(out, own) : out;
}

/* OME never looked at enableKeda and left whoever gave a kedaConfig without the annotation at 80 % CPU. */
static bool asks_for_keda(struct json_object *keda) {
  struct json_object *enable = json_get(keda, "enableKeda");

  return enable ? json_object_get_boolean(enable) : *json_str(keda, "customPromQuery", "") != '\0';
}

static int32_t decide_by_block(const struct scaling_request *req, struct json_object *block, const char *source,
                               struct decision *d, struct ome_err *err) {
  const char *kind = req->component->kind;
  const char *class = json_str(block, "class", "");

  if (text_of(req->annotations, CLASS_ANNOTATION))
    return fail(err, OME_E_INVALID,
                "AutoscalerAnnotationConflict: spec.%s.autoscaler: given together with the annotation %s; remove the "
                "annotation",
                kind, CLASS_ANNOTATION);
  if (!*class)
    return fail(err, OME_E_INVALID, "spec.%s.autoscaler.class: Required value: HPA, KEDA, External or None", kind);
  set_class(d, class);
  d->block = block;
  d->source = source;
  d->explicit = true;
  if (json_get(req->own, "scaleMetric") || json_get(req->own, "scaleTarget") || json_get(req->own, "kedaConfig") ||
      json_at(req->component->service, "spec.kedaConfig"))
    d->warning = "scaleMetric, scaleTarget and kedaConfig are ignored beside autoscaler";
  return OME_OK;
}

static void decide_by_older_forms(const struct scaling_request *req, struct json_object *keda, struct decision *d) {
  const char *annotation = text_of(req->annotations, CLASS_ANNOTATION);
  const bool group = !streq(req->mode->plugin, "raw");

  d->source = "legacy";
  if (annotation && *annotation) {
    set_class(d, annotation);
    d->explicit = !group;
  } else if (asks_for_keda(keda)) {
    set_class(d, "keda");
    if (!cluster_has(req->component->cluster, "keda.sh/v1alpha1", "ScaledObject")) {
      set_class(d, "hpa");
      d->warning = "kedaConfig is ignored, as the cluster does not have keda.sh/v1alpha1 ScaledObject; install KEDA";
    }
  } else {
    set_class(d, "hpa");
    if (!json_get(req->merged, "scaleMetric") && !json_get(req->merged, "scaleTarget") &&
        !text_of(req->annotations, "ome.io/targetUtilizationPercentage"))
      d->source = "default";
  }
  /* Groups of pods have always had a fixed number unless the block asks for more. */
  if (group)
    set_class(d, "none");
}

static const struct {
  const char *class;
  const char *api_version;
  const char *kind;
} apis[] = {{"hpa", "autoscaling/v2", "HorizontalPodAutoscaler"}, {"keda", "keda.sh/v1alpha1", "ScaledObject"}};

/* Without the class' API a fixed number is kept where nobody asked for the class, and on the embedded platform, where
 * manifests for a cluster are to run as they are.  In a cluster the missing API is an error of its own. */
static void consider_apis(const struct scaling_request *req, struct decision *d) {
  bool embedded = *json_str(req->component->cluster, "gatewayUrl", "") != '\0';

  for (size_t i = 0; i < ARRAY_LEN(apis); i++) {
    if (!streq(apis[i].class, d->class) || cluster_has(req->component->cluster, apis[i].api_version, apis[i].kind) ||
        (d->explicit && !embedded))
      continue;
    if (d->explicit)
      d->warning = "this platform does not scale by itself: minReplicas are kept";
    set_class(d, "none");
  }
}

/* One owner of a count: where a mode has its own, an autoscaler of the service's would have nothing to scale. */
static void consider_mode(const struct scaling_request *req, struct decision *d) {
  static const struct {
    const char *plugin, *warning;
  } own[] = {{"serverless", "autoscaler is ignored, as Knative scales: minReplicas, maxReplicas, scaleTarget"},
             {"ray", "autoscaler is ignored, as there is one RayCluster a replica: minReplicas"},
             {"virtual", "autoscaler is ignored, as nothing is deployed"}};

  for (size_t i = 0; i < ARRAY_LEN(own); i++) {
    if (!streq(own[i].plugin, req->mode->plugin))
      continue;
    if (d->block && !streq(d->class, "none"))
      d->warning = own[i].warning;
    set_class(d, "none");
  }
}

static int32_t decide(const struct scaling_request *req, struct json_object *keda, struct decision *d,
                      struct ome_err *err) {
  struct json_object *own = json_get(req->own, "autoscaler");
  struct json_object *block = json_get(req->merged, "autoscaler"); /* the runtime's where the service has none */
  int32_t rc = OME_OK;

  *d = (struct decision){0};
  if (own || block)
    rc = decide_by_block(req, own ? own : block, own ? "isvc" : "runtime", d, err);
  else if (json_get(req->own, "autoscalerPolicyRef"))
    rc = fail(err, OME_E_INVALID,
              "AutoscalerPolicyFeatureDisabled: spec.%s.autoscalerPolicyRef: policies are not supported; write the "
              "policy's block into spec.%s.autoscaler",
              req->component->kind, req->component->kind);
  else
    decide_by_older_forms(req, keda, d);
  if (rc == OME_OK)
    consider_mode(req, d);
  if (rc == OME_OK)
    consider_apis(req, d);
  return rc;
}

bool scaling_can_idle(struct json_object *merged, struct json_object *service) {
  const char *block = json_str(merged, "autoscaler.class", "");
  const char *own = text_of(json_get(merged, "annotations"), CLASS_ANNOTATION);
  const char *whole = text_of(json_at(service, "metadata.annotations"), CLASS_ANNOTATION);
  const char *class = *block ? block : own ? own : whole ? whole : "";

  return strcasecmp(class, "keda") == 0;
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

struct bounds {
  int64_t min, max;
};

/* Whether something starts the first replica where there is none: KEDA, or Knative. */
static bool can_be_none(const struct scaling_request *req, const struct decision *d) {
  const char *plugin = req->mode->plugin;

  return streq(plugin, "serverless") || streq(plugin, "virtual") || streq(d->class, "keda");
}

/* Deployments of services that are older than the block had 1 instead, whatever they said; groups would never start. */
static int32_t check_none(const struct scaling_request *req, const struct decision *d, struct ome_err *err) {
  const char *kind = req->component->kind;
  const char *plugin = req->mode->plugin;

  if (streq(plugin, "raw") && (!d->block || d->warning))
    return OME_OK;
  if (streq(plugin, "ray"))
    return fail(err, OME_E_INVALID, "InvalidScaleToZero: spec.%s.minReplicas: mode %s has at least 1 group", kind,
                req->mode->name);
  return fail(err, OME_E_INVALID,
              "InvalidScaleToZero: spec.%s.minReplicas: 0 needs autoscaler.class KEDA; %s%s keeps at least 1", kind,
              d->block ? "class " : "mode ", d->block ? json_str(d->block, "class", "") : req->mode->name);
}

static int32_t find_bounds(const struct scaling_request *req, struct decision *d, struct bounds *b,
                           struct ome_err *err) {
  const char *kind = req->component->kind;
  struct json_object *defaults = json_at(req->component->cluster, "config.deploy.replicas");
  int64_t default_max = json_i64(json_get(defaults, "defaultMaxReplicas"), kind, streq(kind, "router") ? 2 : 3);

  b->min = json_i64(req->merged, "minReplicas", json_i64(defaults, "defaultMinReplicas", 1));
  b->max = json_i64(req->merged, "maxReplicas", b->min > default_max ? b->min : default_max);
  if (b->min == 0 && !can_be_none(req, d)) {
    int32_t rc = check_none(req, d, err);
    if (rc != OME_OK)
      return rc;
    b->min = 1;
    d->warning = d->warning ? d->warning : "minReplicas 0 is taken as 1: only KEDA scales from nothing";
  }
  if (b->max < b->min || b->max == 0)
    b->max = b->min ? b->min : 1;
  return OME_OK;
}

static int32_t check_budget(const char *kind, struct json_object *merged, struct ome_err *err) {
  static const char *const keys[] = {"minAvailable", "maxUnavailable"};

  if (json_get(merged, keys[0]) && json_get(merged, keys[1]))
    return fail(err, OME_E_INVALID, "spec.%s.minAvailable and spec.%s.maxUnavailable cannot both be set", kind, kind);
  for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
    struct json_object *v = json_get(merged, keys[i]);
    const char *text = v ? json_object_get_string(v) : "0";
    size_t digits = strspn(text, "0123456789");
    bool percent = streq(text + digits, "%") && digits <= 3 && strtol(text, NULL, 10) <= 100;
    if (digits == 0 || (text[digits] && !percent) || (!text[digits] && v && !json_is(v, json_type_int)))
      return fail(err, OME_E_INVALID, "spec.%s.%s must be a non-negative integer or a percentage from 0%% to 100%%",
                  kind, keys[i]);
  }
  return OME_OK;
}

static int32_t check_idle(const char *kind, const struct decision *d, const struct bounds *b, struct ome_err *err) {
  struct json_object *idle = json_at(d->block, "keda.idleReplicaCount");

  if (idle && streq(d->class, "keda") && json_object_get_int64(idle) >= b->min)
    return fail(err, OME_E_INVALID,
                "KedaIdleBelowMin: spec.%s.autoscaler.keda.idleReplicaCount: %lld must be below minReplicas %lld", kind,
                (long long)json_object_get_int64(idle), (long long)b->min);
  return OME_OK;
}

/* ---- the document ------------------------------------------------------------------------------------------------ */

static bool put_target(const struct scaling_request *req, struct json_object *scaling, const char *name) {
  bool group = !streq(req->mode->plugin, "raw");
  size_t len = strlen(name);
  _cleanup_free_ char *lws = str_printf("lws-%s", len > LWS_NAME_TAIL ? name + len - LWS_NAME_TAIL : name);

  return lws && json_set_str(scaling, "target.apiVersion", group ? "leaderworkerset.x-k8s.io/v1" : "apps/v1") &&
         json_set_str(scaling, "target.kind", group ? "LeaderWorkerSet" : "Deployment") &&
         json_set_str(scaling, "target.name", group ? lws : name);
}

static bool put_scaling(const struct scaling_request *req, const struct decision *d, struct json_object *out) {
  struct json_object *scaling = json_ensure(out, "scaling");
  _cleanup_free_ char *field = str_printf(d->block ? "spec.%s.autoscaler" : "spec.%s", req->component->kind);

  if (!scaling || !field || !json_set_str(scaling, "source", d->source) || !json_set_str(scaling, "field", field) ||
      (d->warning && !json_set_str(scaling, "warning", d->warning)) ||
      !put_target(req, scaling, json_str(out, "name", "")))
    return false;
  return !d->block || json_set(scaling, "block", json_object_get(d->block));
}

int32_t scaling_compose(const struct scaling_request *req, struct json_object *out, struct ome_err *err) {
  _cleanup_json_ struct json_object *keda = keda_config(req);
  struct decision d;
  struct bounds b;
  int32_t rc = check_budget(req->component->kind, req->merged, err);

  if (rc == OME_OK)
    rc = decide(req, keda, &d, err);
  if (rc == OME_OK)
    rc = find_bounds(req, &d, &b, err);
  if (rc == OME_OK)
    rc = check_idle(req->component->kind, &d, &b, err);
  if (rc != OME_OK)
    return rc;
  if (!json_set_str(out, "autoscaler", d.class) || !json_set_i64(out, "minReplicas", b.min) ||
      !json_set_i64(out, "maxReplicas", b.max) || (streq(d.class, "none") && !json_set_i64(out, "replicas", b.min)) ||
      !put_scaling(req, &d, out) || (keda && !json_set(out, "kedaConfig", TAKE_PTR(keda))))
    return fail_memory(err);
  return OME_OK;
}

/* ---- rivals ------------------------------------------------------------------------------------------------------ */

static struct json_object *controller_of(struct json_object *o) {
  struct json_object *owners = json_at(o, "metadata.ownerReferences");

  for (size_t i = 0; i < json_len(owners); i++)
    if (json_flag(json_index(owners, i), "controller", false))
      return json_index(owners, i);
  return NULL;
}

bool scaling_is_foreign(struct json_object *scaler) {
  const char *kind = json_str(controller_of(scaler), "kind", "");

  return !streq(kind, "InferenceService") && !streq(kind, "ScaledObject");
}

char *scaling_rival(struct json_object *doc, struct json_object *foreign) {
  struct json_object *target = json_at(doc, "scaling.target");

  for (size_t i = 0; i < json_len(foreign); i++) {
    struct json_object *o = json_index(foreign, i);
    /* KEDA's default for a kind that is not given is Deployment. */
    if (streq(json_str(o, "metadata.namespace", ""), json_str(doc, "namespace", "")) &&
        streq(json_str(o, "spec.scaleTargetRef.name", ""), json_str(target, "name", "")) &&
        streq(json_str(o, "spec.scaleTargetRef.kind", "Deployment"), json_str(target, "kind", "")))
      return str_printf("%s %s", json_str(o, "kind", ""), json_str(o, "metadata.name", ""));
  }
  return NULL;
}
