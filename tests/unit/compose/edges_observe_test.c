/* What autoscaler and ingress plugins say of the objects that became of theirs. */
#include "../unit.h"

#include "edges.h"

struct observation {
  const char *observed; /* YAML: the live objects */
  int32_t phase;
  const char *reason;
  const char *message; /* part of it */
};

static struct json_object *parsed(const char *text) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  ok(yaml_parse_one("test", text, strlen(text), &o, &err), &err);
  return o;
}

/* The one service with AUTOSCALER and INGRESS; new documents. */
static struct json_object *documents(const char *autoscaler, const char *ingress) {
  struct json_object *docs = json_object_new_array();
  _cleanup_free_ char *service = str_printf(
      "{apiVersion: ome.io/v1beta1, kind: InferenceService, metadata: {name: chat, namespace: team}, spec: {model: "
      "{name: m}, engine: {autoscaler: %s}}}",
      autoscaler);
  _cleanup_free_ char *config =
      str_printf("{apiVersion: v1, kind: ConfigMap, metadata: {name: inferenceservice-config, "
                 "namespace: ome}, data: {ingress: '%s'}}",
                 ingress);

  edges_read(EDGES_BASE, docs);
  (void)json_object_array_add(docs, parsed(service));
  (void)json_object_array_add(docs, parsed(config));
  return docs;
}

static void check(const struct observation *o, struct edges *e, const struct plan_part *part,
                  const struct plan_component *component, const char *url) {
  struct json_object *observed = parsed(o->observed);
  struct ome_err err = ERR_INIT;
  struct ome_status s;

  ok(plan_observe(e->plan, part, component, observed, NULL, &s, &err), &err);
  if (s.phase != o->phase || !streq(s.reason, o->reason) || !strstr(s.message, o->message) ||
      (url && !streq(s.url, url)))
    fail_msg("%s gives phase %d, %s: %s (%s)", o->observed, s.phase, s.reason, s.message, s.url);
  json_unref(observed);
}

static const struct observation hpa[] = {
    {"[null]", OME_PHASE_PENDING, "Initializing", "does not exist yet"},
    {"[{status: {}}]", OME_PHASE_PROGRESSING, "Initializing", "not been looked at"},
    {"[{status: {conditions: [{type: ScalingActive, status: 'True', reason: ValidMetricFound}]}}]", OME_PHASE_READY,
     "ValidMetricFound", ""},
    {"[{status: {conditions: [{type: ScalingActive, status: 'False', reason: FailedGetResourceMetric, message: missing "
     "request for cpu}]}}]",
     OME_PHASE_FAILED, "FailedGetResourceMetric", "missing request for cpu"},
    {"[{status: {conditions: [{type: AbleToScale, status: 'False', reason: FailedGetScale, message: gone}, {type: "
     "ScalingActive, status: 'True'}]}}]",
     OME_PHASE_FAILED, "FailedGetScale", "gone"},
    {"[{status: {conditions: [{type: ScalingActive, status: 'False', reason: ScalingDisabled}]}}]", OME_PHASE_READY,
     "ScalingDisabled", "nothing is scaled"},
    {"[{spec: {maxReplicas: 4}, status: {conditions: [{type: ScalingActive, status: 'True'}, {type: ScalingLimited, "
     "status: 'True', reason: TooManyReplicas}]}}]",
     OME_PHASE_READY, "AtMaximum", "maxReplicas 4"},
};

static const struct observation keda[] = {
    {"[null]", OME_PHASE_PENDING, "Initializing", "does not exist yet"},
    {"[{status: {conditions: [{type: Ready, status: Unknown}]}}]", OME_PHASE_PROGRESSING, "Initializing", "KEDA"},
    {"[{status: {conditions: [{type: Ready, status: 'True', reason: ScaledObjectReady}, {type: Active, status: "
     "'True'}]}}]",
     OME_PHASE_READY, "ScaledObjectReady", ""},
    {"[{status: {conditions: [{type: Ready, status: 'True'}, {type: Active, status: 'False', reason: "
     "ScalerNotActive}]}}]",
     OME_PHASE_READY, "ScalerNotActive", "no trigger"},
    {"[{status: {conditions: [{type: Ready, status: 'False', reason: ScaledObjectCheckFailed, message: no such "
     "scaler}]}}]",
     OME_PHASE_FAILED, "ScaledObjectCheckFailed", "no such scaler"},
    {"[{spec: {fallback: {replicas: 2}}, status: {conditions: [{type: Ready, status: 'True'}, {type: Fallback, status: "
     "'True', reason: FallbackExists}]}}]",
     OME_PHASE_FAILED, "FallbackExists", "fallback of 2 replicas"},
    {"[{status: {conditions: [{type: Paused, status: 'True'}]}}]", OME_PHASE_READY, "Paused", "paused"},
};

static void observes_scalers(void **state) {
  static const char *const blocks[] = {"{class: HPA}",
                                       "{class: KEDA, keda: {triggers: [{type: cron, metadata: {timezone: UTC}}]}}"};
  const struct observation *const tables[] = {hpa, keda};
  const size_t sizes[] = {ARRAY_LEN(hpa), ARRAY_LEN(keda)};

  (void)state;
  for (size_t i = 0; i < 2; i++) {
    struct json_object *docs = documents(blocks[i], "{}");
    struct edges e;
    edges_plan(&e, docs);
    for (size_t j = 0; j < sizes[i]; j++)
      check(&tables[i][j], &e, &e.plan->parts[0].autoscaler, &e.plan->parts[0], NULL);
    edges_fini(&e);
    json_unref(docs);
  }
}

#define ROUTE(generation, conditions)                                                                                  \
  "[{kind: HTTPRoute, metadata: {name: chat, generation: " generation "}, status: {parents: [{conditions: "            \
  "[" conditions "]}]}}]"

static const struct observation gateway[] = {
    {"[null]", OME_PHASE_PENDING, "IngressNotReady", "does not exist yet"},
    {"[{kind: HTTPRoute, metadata: {name: chat}}]", OME_PHASE_PROGRESSING, "ParentStatusNotAvailable",
     "HTTPRoute chat: no gateway"},
    {ROUTE("1", "{type: Accepted, status: 'True'}, {type: ResolvedRefs, status: 'True'}"), OME_PHASE_READY, "", ""},
    {ROUTE("1", "{type: Accepted, status: 'False', reason: NoMatchingListenerHostname, message: no listener}"),
     OME_PHASE_FAILED, "NoMatchingListenerHostname", "no listener"},
    {ROUTE("1", "{type: Accepted, status: 'True'}, {type: ResolvedRefs, status: 'False', reason: BackendNotFound, "
                "message: no Service}"),
     OME_PHASE_FAILED, "BackendNotFound", "no Service"},
    /* What a gateway said of an earlier generation says nothing of this one. */
    {ROUTE("2", "{type: Accepted, status: 'True', observedGeneration: 1}"), OME_PHASE_PROGRESSING,
     "ParentStatusNotAvailable", "not accepted it yet"},
};

static const struct observation kubernetes[] = {
    {"[null]", OME_PHASE_PENDING, "IngressNotReady", "does not exist yet"},
    {"[{kind: Ingress}]", OME_PHASE_READY, "", "no ingress controller"},
    {"[{kind: Ingress, status: {loadBalancer: {ingress: [{ip: 10.0.0.1}]}}}]", OME_PHASE_READY, "", ""},
};

static const struct observation istio[] = {
    {"[null]", OME_PHASE_PENDING, "IngressNotReady", "does not exist yet"},
    {"[{kind: VirtualService}]", OME_PHASE_READY, "", ""},
    {"[{status: {validationMessages: [{level: ERROR, type: {name: ReferencedResourceNotFound}}]}}]", OME_PHASE_FAILED,
     "VirtualServiceInvalid", "ReferencedResourceNotFound"},
};

static void observes_ingress(void **state) {
  static const struct {
    const char *config;
    const char *url;
    const struct observation *table;
    size_t n;
  } cases[] = {
      {"{\"enableGatewayAPI\":true,\"omeIngressGateway\":\"a/b\",\"ingressDomain\":\"x.org\"}",
       "http://chat.team.x.org", gateway, ARRAY_LEN(gateway)},
      {"{\"enableGatewayAPI\":true,\"omeIngressGateway\":\"a/b\",\"ingressDomain\":\"x.org\",\"sharedHostPrefix\":"
       "\"llm\",\"urlScheme\":\"https\"}",
       "https://llm.x.org/team/chat", gateway, ARRAY_LEN(gateway)},
      {"{\"tlsSecretName\":\"t\",\"ingressDomain\":\"x.org\"}", "https://chat.team.x.org", kubernetes,
       ARRAY_LEN(kubernetes)},
      {"{\"provider\":\"istio\",\"ingressGateway\":\"a/b\",\"ingressDomain\":\"x.org\",\"pathTemplate\":\"/m/{{ .Name "
       "}}\"}",
       "http://x.org/m/chat", istio, ARRAY_LEN(istio)},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct json_object *docs = documents("{class: None}", cases[i].config);
    struct edges e;
    edges_plan(&e, docs);
    for (size_t j = 0; j < cases[i].n; j++)
      check(&cases[i].table[j], &e, &e.plan->ingress, NULL, cases[i].url);
    edges_fini(&e);
    json_unref(docs);
  }
}

#define OLD_SERVES "{type: Available, status: 'True', reason: MinimumReplicasAvailable, message: enough}"
#define STUCK "{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: timed out}"

static const struct observation deployments[] = {
    {"[null]", OME_PHASE_PENDING, "Initializing", "does not exist yet"},
    {"[{spec: {replicas: 2}, status: {replicas: 2, updatedReplicas: 2, readyReplicas: 2, conditions: [" OLD_SERVES
     "]}}]",
     OME_PHASE_READY, "MinimumReplicasAvailable", "enough"},
    /* Available says so, and nobody is ready. */
    {"[{spec: {replicas: 2}, status: {replicas: 2, updatedReplicas: 2, conditions: [" OLD_SERVES "]}}]",
     OME_PHASE_PROGRESSING, "MinimumReplicasAvailable", "0 of 2 replicas are ready"},
    {"[{spec: {replicas: 2}, status: {replicas: 3, updatedReplicas: 1, readyReplicas: 2, conditions: [" OLD_SERVES
     "]}}]",
     OME_PHASE_READY, "MinimumReplicasAvailable", "enough; rollout: 1 of 3 pods are new"},
    {"[{spec: {replicas: 2}, status: {replicas: 3, updatedReplicas: 1, readyReplicas: 2, conditions: [" OLD_SERVES
     ", " STUCK "]}}]",
     OME_PHASE_READY, "MinimumReplicasAvailable", "enough; rollout: 1 of 3 pods are new: timed out"},
    {"[{spec: {replicas: 2}, status: {replicas: 2, updatedReplicas: 2, conditions: [" STUCK "]}}]", OME_PHASE_FAILED,
     "ProgressDeadlineExceeded", "0 of 2 replicas are ready: timed out"},
};

static void observes_deployments(void **state) {
  struct json_object *docs = documents("{class: None}", "{}");
  struct edges e;

  (void)state;
  edges_plan(&e, docs);
  for (size_t i = 0; i < ARRAY_LEN(deployments); i++)
    check(&deployments[i], &e, &e.plan->parts[0].deployment, &e.plan->parts[0],
          "http://chat-engine.team.svc.cluster.local");
  edges_fini(&e);
  json_unref(docs);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(observes_scalers), cmocka_unit_test(observes_ingress),
                                     cmocka_unit_test(observes_deployments)};

  return cmocka_run_group_tests(tests, edges_load, edges_unload);
}
