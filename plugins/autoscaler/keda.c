/* autoscaler "keda": a ScaledObject, on what the engine says of its load or on whatever triggers it is given. */
#include "../common/plugin.h"
#include "scaler.h"
#include "triggers.h"

#include <stdio.h>
#include <string.h>

#define NAME_TAIL 50 /* bytes of the component's name in the ScaledObject's, as OME cuts it */

/* ---- the object -------------------------------------------------------------------------------------------------- */

static int32_t check(struct json_object *component, struct json_object *triggers, struct ome_err *err) {
  struct json_object *keda = scaler_block(component, "keda");
  const char *hpa = doc_str(keda, "advanced.horizontalPodAutoscalerConfig.name", "");
  struct json_object *fallback = doc_get(keda, "fallback");
  size_t resources = 0;

  if (*hpa && strcmp(hpa, doc_str(component, "name", "")) == 0)
    return doc_fail(
        err, OME_E_INVALID,
        "%s.keda.advanced.horizontalPodAutoscalerConfig.name: must differ from %s, the component's own name",
        scaler_field(component), hpa);
  if (fallback && (doc_int(fallback, "failureThreshold", 0) < 1 || doc_int(fallback, "replicas", -1) < 0))
    return doc_fail(err, OME_E_INVALID, "%s.keda.fallback: needs failureThreshold of at least 1 and replicas",
                    scaler_field(component));
  for (size_t i = 0; i < doc_len(triggers); i++) {
    const char *type = doc_str(doc_item(triggers, i), "type", "");
    resources += strcmp(type, "cpu") == 0 || strcmp(type, "memory") == 0;
  }
  if (doc_int(component, "minReplicas", 1) == 0 && resources == doc_len(triggers))
    return doc_fail(err, OME_E_INVALID,
                    "spec.%s.minReplicas: 0 needs a trigger that works without pods; cpu and memory do not",
                    doc_str(component, "component", "engine"));
  return OME_OK;
}

static struct json_object *scaled_object(struct json_object *component, struct json_object *triggers) {
  static const char *const taken[] = {"advanced",         "cooldownPeriod",        "fallback",
                                      "idleReplicaCount", "initialCooldownPeriod", "pollingInterval"};
  const char *name = doc_str(component, "name", "");
  size_t len = strlen(name);
  struct json_object *target = doc_at(component, "scaling.target");
  struct json_object *keda = scaler_block(component, "keda");
  char own[80];

  (void)snprintf(own, sizeof(own), "scaledobject-%s", len > NAME_TAIL ? name + len - NAME_TAIL : name);
  struct json_object *o = doc_object("keda.sh/v1alpha1", "ScaledObject", own, component);
  int64_t min = doc_int(component, "minReplicas", 1);
  int64_t max = doc_int(component, "maxReplicas", min);
  json_object_object_del(doc_at(o, "metadata.labels"), "k8slens-edit-resource-version");
  doc_set_str(o, "metadata.labels.app", doc_str(component, "app", ""));
  doc_set_str(o, "spec.scaleTargetRef.apiVersion", doc_str(target, "apiVersion", "apps/v1"));
  doc_set_str(o, "spec.scaleTargetRef.kind", doc_str(target, "kind", "Deployment"));
  doc_set_str(o, "spec.scaleTargetRef.name", doc_str(target, "name", name));
  doc_set_int(o, "spec.minReplicaCount", min);
  doc_set_int(o, "spec.maxReplicaCount", max > min ? max : min > 0 ? min : 1);
  for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++)
    doc_share(doc_get(o, "spec"), taken[i], doc_get(keda, taken[i]));
  doc_set(o, "spec.triggers", triggers);
  return o;
}

static int32_t render(const struct request_docs *d, struct ome_object_sink *out, struct ome_err *err) {
  struct json_object *triggers = json_object_new_array();
  int32_t rc = scaler_has_block(d->component) ? triggers_given(d, triggers, err) : triggers_older(d, triggers, err);

  if (rc == OME_OK)
    rc = check(d->component, triggers, err);
  if (rc == OME_OK)
    rc = doc_push(out, scaled_object(d->component, json_object_get(triggers)), err);
  (void)json_object_put(triggers);
  return rc;
}

/* ---- observation ------------------------------------------------------------------------------------------------- */

static void judge(struct json_object *o, struct ome_status *out) {
  struct json_object *ready = doc_condition(o, "Ready");
  struct json_object *active = doc_condition(o, "Active");

  if (scaler_condition_is(o, "Paused", "True"))
    scaler_say(out, OME_PHASE_READY, "Paused", "scaling is paused by annotation; the replicas stay as they are");
  else if (scaler_condition_is(o, "Ready", "False"))
    scaler_say(out, OME_PHASE_FAILED, doc_str(ready, "reason", "ScaledObjectNotReady"), "%s",
               doc_str(ready, "message", "the ScaledObject is not ready"));
  else if (scaler_condition_is(o, "Fallback", "True"))
    scaler_say(out, OME_PHASE_FAILED, doc_str(doc_condition(o, "Fallback"), "reason", "FallbackExists"),
               "the metrics cannot be read; the fallback of %lld replicas holds",
               (long long)doc_int(o, "spec.fallback.replicas", 0));
  else if (!scaler_condition_is(o, "Ready", "True"))
    scaler_say(out, OME_PHASE_PROGRESSING, "Initializing", "KEDA has not looked at the ScaledObject yet");
  else if (scaler_condition_is(o, "Active", "False"))
    scaler_say(out, OME_PHASE_READY, doc_str(active, "reason", "ScalerNotActive"), "no trigger is active");
  else
    scaler_say(out, OME_PHASE_READY, doc_str(ready, "reason", ""), "%s", "");
}

static int32_t observe(const struct request_docs *d, struct json_object *live, struct ome_status *out,
                       struct ome_err *err) {
  (void)d, (void)err;
  scaler_observe(live, "ScaledObject", judge, out);
  return OME_OK;
}

static const struct api_kind needed = {"keda.sh", "v1alpha1", "ScaledObject"};

RENDER_PLUGIN(OME_KIND_AUTOSCALER, "autoscaler-keda", "keda", "Scales a component with a ScaledObject of KEDA");
