/* autoscaler "hpa": a HorizontalPodAutoscaler, on CPU or memory use or on whatever metrics it is given. */
#include "../common/plugin.h"
#include "metrics.h"
#include "scaler.h"

#include <stdio.h>
#include <string.h>

/* ---- metrics ----------------------------------------------------------------------------------------------------- */

static struct json_object *resource_metric(const char *name, int64_t percent) {
  struct json_object *m = json_object_new_object();

  doc_set_str(m, "type", "Resource");
  doc_set_str(m, "resource.name", name);
  doc_set_str(m, "resource.target.type", "Utilization");
  doc_set_int(m, "resource.target.averageUtilization", percent);
  return m;
}

/* concurrency and rps are known to the engine, and to whoever adapts its metrics for the API. */
static int32_t pods_metric(struct json_object *component, const char *scale_metric, struct json_object **out,
                           struct ome_err *err) {
  const struct metric *m =
      metric_find(strcmp(scale_metric, "concurrency") == 0 ? "running-requests" : "requests-per-second");
  const char *series = m ? metric_of_pods(m, metric_engine(component)) : NULL;
  int64_t target = doc_int(component, "scaleTarget", 0);

  if (strcmp(scale_metric, "concurrency") != 0 && strcmp(scale_metric, "rps") != 0)
    return doc_fail(err, OME_E_INVALID, "%s.scaleMetric: \"%.40s\" is not known: cpu, memory, concurrency or rps",
                    scaler_field(component), scale_metric);
  if (!series)
    return doc_fail(err, OME_E_INVALID,
                    "%s.scaleMetric: %s needs vLLM or SGLang in the container's image or command; give autoscaler.hpa "
                    "the metric",
                    scaler_field(component), scale_metric);
  char number[32];
  (void)snprintf(number, sizeof(number), "%lld", (long long)target);
  *out = json_object_new_object();
  doc_set_str(*out, "type", "Pods");
  doc_set_str(*out, "pods.metric.name", series);
  doc_set_str(*out, "pods.target.type", "AverageValue");
  doc_set_str(*out, "pods.target.averageValue", target > 0 ? number : metric_default_target(m));
  return OME_OK;
}

/* scaleMetric, scaleTarget and the annotation. */
static int32_t older_metrics(struct json_object *component, struct json_object *list, struct ome_err *err) {
  const char *name = doc_str(component, "scaleMetric", "cpu");
  struct json_object *m = NULL;
  int64_t percent = 0;
  int32_t rc;

  if (strcmp(name, "cpu") != 0 && strcmp(name, "memory") != 0) {
    rc = pods_metric(component, name, &m, err);
  } else {
    rc = scaler_utilization(component, &percent, err);
    m = rc == OME_OK ? resource_metric(name, percent) : NULL;
  }
  if (rc == OME_OK)
    (void)json_object_array_add(list, m);
  return rc;
}

/* Each as it came; one without the part that its type asks for is refused here, where its field can be named. */
static int32_t given_metrics(struct json_object *component, struct json_object *given, struct json_object *list,
                             struct ome_err *err) {
  static const char *const types[][2] = {{"Resource", "resource"},
                                         {"Pods", "pods"},
                                         {"Object", "object"},
                                         {"External", "external"},
                                         {"ContainerResource", "containerResource"}};

  for (size_t i = 0; i < doc_len(given); i++) {
    struct json_object *m = doc_item(given, i);
    const char *type = doc_str(m, "type", "");
    const char *part = NULL;
    for (size_t t = 0; t < sizeof(types) / sizeof(*types); t++)
      if (strcmp(types[t][0], type) == 0)
        part = types[t][1];
    if (!part)
      return doc_fail(err, OME_E_INVALID,
                      "HPAMetricMalformed: %s.hpa.metrics[%zu].type: \"%.40s\" is not known: Resource, Pods, Object, "
                      "External or ContainerResource",
                      scaler_field(component), i, type);
    if (!json_object_is_type(doc_get(m, part), json_type_object))
      return doc_fail(err, OME_E_INVALID, "HPAMetricMalformed: %s.hpa.metrics[%zu].%s: Required value for type %s",
                      scaler_field(component), i, part, type);
    (void)json_object_array_add(list, json_object_get(m));
  }
  return OME_OK;
}

static int32_t metrics(struct json_object *component, struct json_object *list, struct ome_err *err) {
  struct json_object *given = doc_get(scaler_block(component, "hpa"), "metrics");

  if (!scaler_has_block(component))
    return older_metrics(component, list, err);
  if (doc_len(given) > 0)
    return given_metrics(component, given, list, err);
  (void)json_object_array_add(list, resource_metric("cpu", 80));
  return OME_OK;
}

/* ---- the object -------------------------------------------------------------------------------------------------- */

static struct json_object *autoscaler(struct json_object *component, struct json_object *list) {
  const char *name = doc_str(component, "name", "");
  struct json_object *target = doc_at(component, "scaling.target");
  struct json_object *o = doc_object("autoscaling/v2", "HorizontalPodAutoscaler", name, component);
  int64_t min = doc_int(component, "minReplicas", 1);
  int64_t max = doc_int(component, "maxReplicas", min);

  if (min < 1)
    min = 1;
  doc_set_str(o, "metadata.labels.app", doc_str(component, "app", ""));
  doc_set_str(o, "spec.scaleTargetRef.apiVersion", doc_str(target, "apiVersion", "apps/v1"));
  doc_set_str(o, "spec.scaleTargetRef.kind", doc_str(target, "kind", "Deployment"));
  doc_set_str(o, "spec.scaleTargetRef.name", doc_str(target, "name", name));
  doc_set_int(o, "spec.minReplicas", min);
  doc_set_int(o, "spec.maxReplicas", max < min ? min : max);
  doc_set(o, "spec.metrics", list);
  doc_share(o, "spec.behavior", doc_get(scaler_block(component, "hpa"), "behavior"));
  return o;
}

static int32_t render(const struct request_docs *d, struct ome_object_sink *out, struct ome_err *err) {
  struct json_object *list = json_object_new_array();
  int32_t rc = metrics(d->component, list, err);

  if (rc == OME_OK)
    rc = doc_push(out, autoscaler(d->component, json_object_get(list)), err);
  (void)json_object_put(list);
  return rc;
}

/* ---- observation ------------------------------------------------------------------------------------------------- */

static void judge(struct json_object *hpa, struct ome_status *out) {
  struct json_object *able = doc_condition(hpa, "AbleToScale");
  struct json_object *active = doc_condition(hpa, "ScalingActive");
  struct json_object *limited = doc_condition(hpa, "ScalingLimited");

  scaler_count(hpa, out);
  if (scaler_condition_is(hpa, "AbleToScale", "False"))
    scaler_say(out, OME_PHASE_FAILED, doc_str(able, "reason", "UnableToScale"), "%s", doc_str(able, "message", ""));
  else if (strcmp(doc_str(active, "reason", ""), "ScalingDisabled") == 0)
    scaler_say(out, OME_PHASE_READY, "ScalingDisabled", "no replicas are wanted, so nothing is scaled");
  else if (scaler_condition_is(hpa, "ScalingActive", "False"))
    scaler_say(out, OME_PHASE_FAILED, doc_str(active, "reason", "ScalingInactive"), "%s",
               doc_str(active, "message", ""));
  else if (!active)
    scaler_say(out, OME_PHASE_PROGRESSING, "Initializing", "the HorizontalPodAutoscaler has not been looked at yet");
  else if (scaler_condition_is(hpa, "ScalingLimited", "True") &&
           strcmp(doc_str(limited, "reason", ""), "TooManyReplicas") == 0)
    scaler_say(out, OME_PHASE_READY, "AtMaximum", "maxReplicas %lld are reached and more would be needed",
               (long long)doc_int(hpa, "spec.maxReplicas", 0));
  else
    scaler_say(out, OME_PHASE_READY, doc_str(active, "reason", ""), "%s", "");
}

static int32_t observe(const struct request_docs *d, struct json_object *live, struct ome_status *out,
                       struct ome_err *err) {
  (void)d, (void)err;
  scaler_observe(live, "HorizontalPodAutoscaler", judge, out);
  return OME_OK;
}

static const struct api_kind needed = {"autoscaling", "v2", "HorizontalPodAutoscaler"};

RENDER_PLUGIN(OME_KIND_AUTOSCALER, "autoscaler-hpa", "hpa", "Scales a component with a HorizontalPodAutoscaler");
