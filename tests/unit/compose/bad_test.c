/* Services that cannot be: each is said in a condition, with the field, and nothing of it is to be applied. */
#include "../unit.h"

#include "edges.h"

#include "base/yaml.h"
#include "compose/clash.h"

/* The plan of a service with SPEC beside what every case has. */
static void plan_of(struct edges *e, struct json_object **docs, const char *name, const char *spec) {
  char *text = str_printf("apiVersion: ome.io/v1beta1\nkind: InferenceService\nmetadata: {name: %s, namespace: team}\n"
                          "spec: %s\n",
                          name, spec);
  struct ome_err err = ERR_INIT;

  *docs = json_object_new_array();
  edges_read(EDGES_BASE, *docs);
  ok(yaml_parse("case", text, strlen(text), edges_collect, *docs, &err), &err);
  free(text);
  edges_plan(e, *docs);
}

static void says_each_with_its_field(UNUSED void **state) {
  static const struct {
    const char *spec, *condition, *reason, *says;
  } cases[] = {
      {"{model: {name: m}, engine: {leader: {runner: {name: l, image: i}}}}", "EngineReady", "InvalidSpec",
       "spec.engine.worker: a leader needs workers"},
      {"{model: {name: m}, engine: {minReplicas: 4, maxReplicas: 2}}", "EngineReady", "InvalidSpec",
       "spec.engine: minReplicas 4 must not exceed maxReplicas 2"},
      {"{model: {name: m}, engine: {minReplicas: 0, autoscaler: {class: HPA}}}", "EngineReady", "InvalidSpec",
       "spec.engine.minReplicas: 0 needs autoscaler.class KEDA"},
      {"{model: {name: m}, engine: {runner: {ports: [{name: http, containerPort: 1}, {name: http, containerPort: 2}]}}}",
       "EngineReady", "InvalidSpec", "spec.engine.runner.ports[1].name: \"http\" is the name of"},
      {"{model: {name: elsewhere}, engine: {}}", "ModelReady", "ModelNotFound",
       "spec.model.name: neither ClusterBaseModel nor BaseModel found with name elsewhere"},
      {"{model: {name: spread}, engine: {}}", "ModelReady", "ModelReconcileError",
       "spec.model.name: the distribution of model spread is Sharded"},
      {"{model: {name: m}, decoder: {}}", "EngineReady", "DeploymentModeError", "add spec.engine"},
      {"{model: {name: m, fineTunedWeights: [nobody]}, engine: {}}", "ModelReady", "FineTunedWeightsNotFound",
       "spec.model.fineTunedWeights[0]: No FineTunedWeight with the name: nobody"},
      {"{model: {name: m}, engine: {minReplicas: 0, annotations: {ome.io/deploymentMode: MultiNode}}}", "EngineReady",
       "InvalidSpec", "spec.engine.minReplicas: 0 needs autoscaler.class KEDA; mode MultiNode keeps at least 1"},
      {"{model: {name: m}, engine: {minReplicas: 0, leader: {runner: {image: i}}, worker: {size: 1, runner: {image: i}}, autoscaler: {class: None}}}",
       "EngineReady", "InvalidSpec",
       "spec.engine.minReplicas: 0 needs autoscaler.class KEDA; class None keeps at least 1"},
      {"{model: {name: m}, engine: {minReplicas: 0, annotations: {ome.io/deploymentMode: MultiNodeRayVLLM}}}",
       "EngineReady", "InvalidSpec", "spec.engine.minReplicas: mode MultiNodeRayVLLM has at least 1"},
      {"{model: {name: m}, engine: {}, decoder: {minReplicas: 0, autoscaler: {class: External}}}", "DecoderReady",
       "InvalidSpec", "spec.decoder.minReplicas: 0 needs autoscaler.class KEDA; class External keeps at least 1"},
      {"{model: {name: m}, engine: {annotations: {rdma.ome.io/auto-inject: 'true', rdma.ome.io/profile: none}}}",
       "EngineReady", "InvalidSpec",
       "spec.engine.annotations: rdma.ome.io/profile: unknown RDMA profile: none; there are: cks-gb-rdma"},
      {"{model: {name: m}, engine: {}, scalingPolicy: {mode: Pinned}}", "EngineReady", "ScalingModeNotImplemented",
       "spec.scalingPolicy.mode: \"Pinned\": components are scaled each by its own"},
      {"{model: {name: m}, engine: {}, decoder: {}, router: {runner: null}}", NULL, NULL, NULL},
  };

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct json_object *docs = NULL;
    struct edges e;
    bool said = cases[i].condition == NULL;
    plan_of(&e, &docs, "s", cases[i].spec);
    for (size_t p = 0; p < e.plan->nproblems; p++)
      said |= cases[i].condition && streq(e.plan->problems[p].condition, cases[i].condition) &&
              streq(e.plan->problems[p].reason, cases[i].reason) && strstr(e.plan->problems[p].message, cases[i].says);
    if (!said || (e.plan->nproblems == 0) != (cases[i].condition == NULL))
      fail_msg("%s: %s", cases[i].spec, e.plan->nproblems ? e.plan->problems[0].message : "taken");
    /* Nothing half rendered: a plan with a problem has not come to its workloads. */
    for (size_t o = 0; cases[i].condition && o < json_len(e.plan->objects); o++)
      assert_string_not_equal(json_str(json_index(e.plan->objects, o), "kind", ""), "Deployment");
    edges_fini(&e);
    json_unref(docs);
  }
}

/* What is taken, and other than who wrote it may think. */
static void warns(UNUSED void **state) {
  static const struct {
    const char *spec, *says;
  } cases[] = {
      {"{model: {name: m}, engine: {}, traffic: {algorithm: RoundRobin}}", "spec.traffic has no effect"},
      {"{model: {name: m}, engine: {lifecycle: {restartPolicy: None}}}", "spec.engine.lifecycle has no effect"},
      {"{model: {name: m}, engine: {minReplicas: 0, annotations: {ome.io/deploymentMode: RawDeployment}}}",
       "spec.engine: minReplicas 0 is taken as 1"},
      {"{model: {name: m}, engine: {annotations: {ome.io/deploymentMode: MultiNode}, deploymentStrategy: {type: Recreate}}}",
       "spec.engine.deploymentStrategy has no effect in mode MultiNode"},
      {"{model: {name: m}, engine: {annotations: {ome.io/deploymentMode: Serverless}, autoscaler: {class: HPA}}}",
       "spec.engine.autoscaler: autoscaler is ignored, as Knative scales"},
  };

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct json_object *docs = NULL;
    struct edges e;
    plan_of(&e, &docs, "s", cases[i].spec);
    if (e.plan->nproblems)
      fail_msg("%s: %s", cases[i].spec, e.plan->problems[0].message);
    if (json_len(e.plan->warnings) != 1 ||
        !strstr(json_object_get_string(json_index(e.plan->warnings, 0)), cases[i].says))
      fail_msg("%s: %s", cases[i].spec, json_object_to_json_string(e.plan->warnings));
    for (size_t o = 0; o < json_len(e.plan->objects); o++) /* "scaled" by nobody who would not find it */
      if (strstr(cases[i].spec, "Serverless"))
        assert_string_not_equal(json_str(json_index(e.plan->objects, o), "kind", ""), "HorizontalPodAutoscaler");
    json_unref(docs);
    edges_fini(&e);
  }
}

/* The engine's Service of one is the service's own of another. */
static void names_objects_that_two_services_want(UNUSED void **state) {
  static const char *const names[] = {"a", "b", "a-engine"};
  _cleanup_strmap_ struct strmap *taken = strmap_new(free);
  struct ome_err err = ERR_INIT;

  for (size_t i = 0; i < ARRAY_LEN(names); i++) {
    struct json_object *docs = NULL;
    struct edges e;
    plan_of(&e, &docs, names[i], "{model: {name: m}, engine: {}}");
    ok(clash_check(taken, e.plan, &err), &err);
    assert_int_equal(e.plan->nproblems, i == 2);
    if (i == 2) {
      assert_string_equal(e.plan->problems[0].reason, "NameConflict");
      assert_string_equal(e.plan->problems[0].message,
                          "metadata.name: Service team/a-engine is of InferenceService team/a, too; give one of them "
                          "another name");
    }
    json_unref(docs);
    edges_fini(&e);
  }
}

/* Lists with keys are the schema's to check, at the door and in `ome render`. */
static void names_containers_that_are_there_twice(UNUSED void **state) {
  static const char spec[] =
      "apiVersion: ome.io/v1beta1\nkind: InferenceService\nmetadata: {name: s, namespace: team}\n"
      "spec: {model: {name: m}, engine: {containers: [{name: a, image: i}, {name: a, image: j}]}}\n";
  struct json_object *docs = json_object_new_array();
  struct offline o;
  struct ome_err err = ERR_INIT;

  ok(yaml_parse("case", spec, strlen(spec), edges_collect, docs, &err), &err);
  ok(offline_init(&o, docs, false, edges_plugins, &err), &err);
  assert_int_equal(json_len(o.problems), 1);
  assert_non_null(strstr(json_object_get_string(json_index(o.problems, 0)),
                         "InferenceService s: spec.engine.containers[1]: Duplicate value"));
  offline_fini(&o);
  json_unref(docs);
}

/* OME expands Go templates in arguments and fails on those of others, as chat templates have them. */
static void keeps_braces(UNUSED void **state) {
  struct json_object *docs = NULL;
  struct edges e;

  plan_of(
      &e, &docs, "s",
      "{model: {name: m}, engine: {runner: {args: ['{{ messages[0].content }}', '{{.Name}}', '{% if x %}{{', '}}']}}}");
  assert_int_equal(e.plan->nproblems, 0);
  const char *text = json_object_to_json_string_ext(e.plan->objects, JSON_C_TO_STRING_PLAIN);
  assert_non_null(strstr(text, "\"{{ messages[0].content }}\",\"s\",\"{% if x %}{{\",\"}}\""));
  edges_fini(&e);
  json_unref(docs);
}

static void check_longest_name(const char *spec) {
  char name[64];
  struct json_object *docs = NULL;
  struct edges e;

  memset(name, 'x', 63);
  name[63] = '\0';
  plan_of(&e, &docs, name, spec);
  if (e.plan->nproblems)
    fail_msg("%s", e.plan->problems[0].message);
  for (size_t i = 0; i < json_len(e.plan->objects); i++) {
    struct json_object *o = json_index(e.plan->objects, i);
    const char *own = json_str(o, "metadata.name", "");
    assert_true(is_dns_subdomain(own));
    if (streq(json_str(o, "kind", ""), "Service"))
      assert_true(is_dns_label(own));
    struct json_object *labels = json_at(o, "metadata.labels");
    json_object_object_foreach (labels, key, value) {
      (void)key;
      assert_true(strlen(json_object_get_string(value)) <= 63);
    }
  }
  edges_fini(&e);
  json_unref(docs);
}

static void takes_the_longest_name(UNUSED void **state) {
  static const char *const specs[] = {
      "{model: {name: m}, engine: {}, decoder: {}, router: {}}",
      "{model: {name: m}, engine: {annotations: {ome.io/deploymentMode: Serverless}}}",
      "{model: {name: m}, engine: {annotations: {ome.io/deploymentMode: MultiNode}}}",
      "{model: {name: m}, engine: {annotations: {ome.io/deploymentMode: MultiNodeRayVLLM}}}",
  };

  for (size_t i = 0; i < ARRAY_LEN(specs); i++)
    check_longest_name(specs[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(says_each_with_its_field),
      cmocka_unit_test(warns),
      cmocka_unit_test(names_objects_that_two_services_want),
      cmocka_unit_test(names_containers_that_are_there_twice),
      cmocka_unit_test(keeps_braces),
      cmocka_unit_test(takes_the_longest_name),
  };
  return cmocka_run_group_tests(tests, edges_load, edges_unload);
}
