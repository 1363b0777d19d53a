/* One owner of a replica count at a time, whoever that is and whatever it was before. */
#include "../unit.h"

#include "stand.h"

static int setup(void **state) {
  int rc = stand_start(state, NULL);
  struct stand *s = *state;

  create(s, &KUBE_CLUSTERBASEMODELS, MODEL("tiny"));
  create(s, &KUBE_CLUSTERSERVINGRUNTIMES, RUNTIME("engine", "server:1"));
  return rc;
}

static const struct kube_resource *resource(struct stand *s, const char *api_version, const char *kind) {
  const struct kube_resource *r = NULL;
  struct ome_err err = ERR_INIT;

  ok(kube_discover(s->client, api_version, kind, &r, &err), &err);
  return r;
}

static const struct kube_resource *hpas(struct stand *s) {
  return resource(s, "autoscaling/v2", "HorizontalPodAutoscaler");
}

static const struct kube_resource *scaled_objects(struct stand *s) {
  return resource(s, "keda.sh/v1alpha1", "ScaledObject");
}

#define SERVICE(name, autoscaler)                                                                                      \
  "{apiVersion: ome.io/v1beta1, kind: InferenceService, metadata: {name: " name ", namespace: default}, spec: {model:" \
  " {name: tiny}, engine: {minReplicas: 3, maxReplicas: 6, autoscaler: {" autoscaler "}}}}"
#define AUTOSCALER(text) "{spec: {engine: {autoscaler: {" text "}}}}"
#define KEDA "class: KEDA, hpa: null, keda: {triggers: [{type: cron, metadata: {timezone: UTC}}]}"

static bool has_replicas(struct json_object *o, const char *want) {
  return json_i64(o, "spec.replicas", -1) == atoi(want);
}

/* The Deployment keeps WANT replicas, and our manager does not hold the number. */
static bool let_go(struct json_object *o, const char *want) {
  struct json_object *list = json_at(o, "metadata.managedFields");

  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *m = json_index(list, i);
    if (streq(json_str(m, "manager", ""), "ome-controller") &&
        json_get(json_get(json_get(m, "fieldsV1"), "f:spec"), "f:replicas"))
      return false;
  }
  if (o && !has_replicas(o, want))
    fail_msg("the Deployment fell from %s to %d replicas", want, (int)json_i64(o, "spec.replicas", -1));
  return o != NULL;
}

static void changes_class_in_one_step(void **state) {
  struct stand *s = *state;

  create(s, &KUBE_INFERENCESERVICES, SERVICE("a", "class: None"));
  await_done(s, &KUBE_DEPLOYMENTS, "default", "a-engine", has_replicas, "3");
  merge(s, &KUBE_INFERENCESERVICES, "default", "a", NULL, AUTOSCALER("class: HPA"));
  await_done(s, hpas(s), "default", "a-engine", exists, "creation");
  await_done(s, &KUBE_DEPLOYMENTS, "default", "a-engine", let_go, "3");
  merge(s, &KUBE_INFERENCESERVICES, "default", "a", NULL, AUTOSCALER(KEDA));
  await_done(s, scaled_objects(s), "default", "scaledobject-a-engine", exists, "creation");
  await_done(s, hpas(s), "default", "a-engine", absent, "its end");
  merge(s, &KUBE_INFERENCESERVICES, "default", "a", NULL, AUTOSCALER("class: External, keda: null"));
  await_done(s, scaled_objects(s), "default", "scaledobject-a-engine", absent, "its end");
  await_done(s, &KUBE_DEPLOYMENTS, "default", "a-engine", let_go, "3");
}

static bool is_deleting(struct json_object *o, const char *want) {
  (void)want;
  return o && meta_deleting(o);
}

/* KEDA's own finalizer keeps the ScaledObject until KEDA's HorizontalPodAutoscaler is gone: ours waits for that. */
static void waits_for_the_old_owner_to_go(void **state) {
  struct stand *s = *state;

  create(s, &KUBE_INFERENCESERVICES, SERVICE("b", KEDA));
  await_done(s, scaled_objects(s), "default", "scaledobject-b-engine", exists, "creation");
  merge(s, scaled_objects(s), "default", "scaledobject-b-engine", NULL,
        "{metadata: {finalizers: [finalizer.keda.sh/x]}}");
  merge(s, &KUBE_INFERENCESERVICES, "default", "b", NULL, AUTOSCALER("class: HPA, keda: null"));
  await_done(s, scaled_objects(s), "default", "scaledobject-b-engine", is_deleting, "its deletion");
  await_done(s, &KUBE_INFERENCESERVICES, "default", "b", has_condition, "AutoscalerReady=Unknown/Initializing");
  struct json_object *o = get(s, hpas(s), "default", "b-engine");
  assert_null(o);
  merge(s, scaled_objects(s), "default", "scaledobject-b-engine", NULL, "{metadata: {finalizers: null}}");
  await_done(s, hpas(s), "default", "b-engine", exists, "creation");
}

#define RIVAL                                                                                                          \
  "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: mine, namespace: default}, spec: "     \
  "{maxReplicas: 9, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: c-engine}}}"

static bool names_the_rival(struct json_object *o, const char *want) {
  struct json_object *c = json_find(json_at(o, "status.conditions"), "type", "AutoscalerReady");

  return streq(json_str(c, "status", ""), "False") && streq(json_str(c, "reason", ""), "ReplicasOwnedElsewhere") &&
         strstr(json_str(c, "message", ""), want);
}

static void yields_to_a_rival(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  create(s, &KUBE_INFERENCESERVICES, SERVICE("c", "class: HPA"));
  await_done(s, hpas(s), "default", "c-engine", exists, "creation");
  create(s, hpas(s), RIVAL);
  await_done(s, &KUBE_INFERENCESERVICES, "default", "c", names_the_rival, "HorizontalPodAutoscaler mine");
  await_done(s, hpas(s), "default", "c-engine", absent, "its end");
  merge(s, &KUBE_INFERENCESERVICES, "default", "c", NULL, AUTOSCALER("class: External"));
  await_done(s, &KUBE_INFERENCESERVICES, "default", "c", has_condition, "AutoscalerReady=True/ScaledExternally");
  merge(s, &KUBE_INFERENCESERVICES, "default", "c", NULL, AUTOSCALER("class: HPA"));
  await_done(s, &KUBE_INFERENCESERVICES, "default", "c", names_the_rival, "HorizontalPodAutoscaler mine");
  ok(kube_delete(s->client, hpas(s), "default", "mine", NULL, KUBE_BACKGROUND, &err), &err);
  await_done(s, hpas(s), "default", "c-engine", exists, "its return");
}

static bool has_autoscaler_status(struct json_object *o, const char *want) {
  struct json_object *a = json_at(o, "status.components.engine.autoscaler");
  _cleanup_free_ char *text = str_printf("%s %s %s %lld/%lld", json_str(a, "class", ""), json_str(a, "managedBy", ""),
                                         json_str(a, "specSource", ""), (long long)json_i64(a, "currentReplicas", -1),
                                         (long long)json_i64(a, "desiredReplicas", -1));

  return streq(text, want);
}

static void lifts_what_the_scaler_says(void **state) {
  struct stand *s = *state;

  create(s, &KUBE_INFERENCESERVICES, SERVICE("d", "class: HPA"));
  await_done(s, hpas(s), "default", "d-engine", exists, "creation");
  merge(s, hpas(s), "default", "d-engine", "status",
        "{status: {currentReplicas: 3, desiredReplicas: 4, conditions: [{type: ScalingActive, status: 'False', reason: "
        "FailedGetResourceMetric, message: no metrics}]}}");
  await_done(s, &KUBE_INFERENCESERVICES, "default", "d", has_condition,
             "AutoscalerReady=False/FailedGetResourceMetric");
  await_done(s, &KUBE_INFERENCESERVICES, "default", "d", has_autoscaler_status, "HPA ome isvc 3/4");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(changes_class_in_one_step),
      cmocka_unit_test(waits_for_the_old_owner_to_go),
      cmocka_unit_test(yields_to_a_rival),
      cmocka_unit_test(lifts_what_the_scaler_says),
  };
  return cmocka_run_group_tests(tests, setup, stand_stop);
}
