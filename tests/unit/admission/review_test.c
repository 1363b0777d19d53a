/* Reviews against a small cluster of documents. */
#include "../unit.h"

#include "admission/review.h"
#include "base/str.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

/* ---- a cluster --------------------------------------------------------------------------------------------------- */

/* Kind, namespace and name of what there is, and the document. */
static const char *const there[] = {
    "{\"kind\": \"ClusterBaseModel\", \"metadata\": {\"name\": \"llama\"}, \"spec\": {\"disabled\": false}}",
    "{\"kind\": \"ClusterBaseModel\", \"metadata\": {\"name\": \"off\"}, \"spec\": {\"disabled\": true}}",
    "{\"kind\": \"BaseModel\", \"metadata\": {\"name\": \"own\", \"namespace\": \"team\"}, \"spec\": {}}",
    "{\"kind\": \"ClusterBaseModel\", \"metadata\": {\"name\": \"known\"}, \"spec\": {\"modelFormat\": {\"name\": "
    "\"gguf\"}}}",
    "{\"kind\": \"AcceleratorClass\", \"metadata\": {\"name\": \"h100\"}}",
    "{\"kind\": \"Pod\", \"metadata\": {\"name\": \"agent-1\", \"namespace\": \"ome\", \"uid\": \"p1\"}, \"spec\": "
    "{\"nodeName\": \"n1\"}}",
    "{\"kind\": \"ServingRuntime\", \"metadata\": {\"name\": \"twin\", \"namespace\": \"team\"}, \"spec\": "
    "{\"protocolVersions\": [\"openAI\"], \"supportedModelFormats\": [{\"name\": \"gguf\", \"autoSelect\": true, "
    "\"priority\": 2, \"modelFormat\": {\"name\": \"gguf\", \"operator\": \"Equal\"}}]}}",
    "{\"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"inferenceservice-config\", \"namespace\": \"ome\"}, \"data\": "
    "{\"metricsAggregator\": \"{\\\"enableMetricAggregation\\\": \\\"true\\\", \\\"enablePrometheusScraping\\\": "
    "\\\"true\\\"}\", \"rdmaProfiles\": \"{\\\"plain\\\": {\\\"devices\\\": [\\\"/dev/a\\\", \\\"/dev/b\\\"], "
    "\\\"env\\\": {\\\"B\\\": \\\"2\\\", \\\"A\\\": \\\"1\\\"}, \\\"hostNetwork\\\": true}}\"}}",
};

static struct json_object *parsed(const char *text) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  if (json_parse(text, strlen(text), SIZE_MAX, &o, &err) != OME_OK)
    fail_msg("%s: %s", text, err.msg);
  return o;
}

static bool is_meant(struct json_object *o, const struct kube_resource *r, const char *ns) {
  return streq(json_str(o, "kind", ""), r->kind) && streq(meta_namespace(o), ns ? ns : "");
}

static int32_t get(UNUSED void *arg, const struct kube_resource *r, const char *ns, const char *name,
                   struct json_object **out, struct ome_err *err) {
  for (size_t i = 0; i < ARRAY_LEN(there); i++) {
    struct json_object *o = parsed(there[i]);
    if (is_meant(o, r, ns) && streq(meta_name(o), name)) {
      *out = o;
      return OME_OK;
    }
    json_unref(o);
  }
  return fail(err, OME_E_NOT_FOUND, "%s %s is not there", r->kind, name);
}

static int32_t list(UNUSED void *arg, const struct kube_resource *r, const char *ns, struct json_object **out,
                    UNUSED struct ome_err *err) {
  *out = json_object_new_array();
  for (size_t i = 0; i < ARRAY_LEN(there); i++) {
    struct json_object *o = parsed(there[i]);
    if (!is_meant(o, r, ns) || json_object_array_add(*out, o) != 0)
      json_unref(o);
  }
  return OME_OK;
}

static const struct admission_lookup lookup = {.get = get, .list = list, .ome_namespace = "ome"};

static const struct webhook_entry *entry(const char *path) {
  const struct webhook_entry *e;

  for (size_t i = 0; (e = webhook_entry_at(i)); i++)
    if (strstr(e->path, path))
      return e;
  fail_msg("no webhook %s", path);
  return NULL;
}

/* The response to OBJECT coming in place of OLD (NULL: created), as an object; new. */
static struct json_object *ask(const char *path, const char *object, const char *old) {
  _cleanup_free_ char *review = str_printf(
      "{\"kind\": \"AdmissionReview\", \"apiVersion\": \"admission.k8s.io/v1\", \"request\": {\"uid\": \"u\", "
      "\"namespace\": \"team\", \"object\": %s, \"oldObject\": %s}}",
      object, old ? old : "null");
  _cleanup_free_ char *answer = NULL;
  struct ome_err err = ERR_INIT;
  bool allowed;

  if (review_answer(entry(path), &lookup, review, strlen(review), &allowed, &answer, &err) != OME_OK)
    fail_msg("%s: %s", object, err.msg);
  _cleanup_json_ struct json_object *doc = parsed(answer);
  assert_string_equal(json_str(doc, "response.uid", ""), "u");
  assert_int_equal(allowed, json_flag(doc, "response.allowed", !allowed));
  return json_object_get(json_get(doc, "response"));
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

#define SERVICE(name, annotations, spec)                                                                               \
  "{\"kind\": \"InferenceService\", \"metadata\": {\"name\": \"" name "\", \"annotations\": {" annotations             \
  "}}, \"spec\": {" spec "}}"
#define LLAMA "\"model\": {\"name\": \"llama\"}"
#define RUNTIME(spec) "{\"kind\": \"ServingRuntime\", \"metadata\": {\"name\": \"rt\"}, \"spec\": {" spec "}}"
#define ANNOTATED(annotation, spec)                                                                                    \
  "{\"kind\": \"ServingRuntime\", \"metadata\": {\"name\": \"rt\", \"annotations\": {" annotation                      \
  "}}, \"spec\": {" spec "}}"
#define JOB(spec) "{\"kind\": \"BenchmarkJob\", \"metadata\": {\"name\": \"job\"}, \"spec\": {" spec "}}"
#define GOOD_JOB                                                                                                       \
  "\"endpoint\": {\"endpoint\": {\"url\": \"http://x\"}}, \"task\": \"text-to-text\", \"outputLocation\": "            \
  "{\"storageUri\": \"local:///out\"}"

static const struct {
  const char *path, *object;
  const char *why; /* NULL: allowed */
} reviews[] = {
    {"validate-ome-io-v1beta1-inferenceservice", SERVICE("ok", "", LLAMA), NULL},
    {"validate-ome-io-v1beta1-inferenceservice", SERVICE("1st", "", LLAMA),
     "invalid InferenceService name \"1st\", must match \"[a-z]([-a-z0-9]*[a-z0-9])?\""},
    {"validate-ome-io-v1beta1-inferenceservice", SERVICE("a", "\"ome.io/autoscalerClass\": \"magic\"", LLAMA),
     "[magic] is not a supported autoscaler class type"},
    {"validate-ome-io-v1beta1-inferenceservice", SERVICE("a", "\"ome.io/metrics\": \"rps\"", LLAMA),
     "[rps] is not a supported metric"},
    {"validate-ome-io-v1beta1-inferenceservice", SERVICE("a", "\"ome.io/targetUtilizationPercentage\": \"101\"", LLAMA),
     "the target utilization percentage should be a [1-100] integer"},
    {"validate-ome-io-v1beta1-inferenceservice",
     SERVICE("a", "\"ome.io/autoscalerClass\": \"keda\"",
             LLAMA ", \"kedaConfig\": {\"scalingOperator\": \"Near\", \"scalingThreshold\": \"x\", "
                   "\"promServerAddress\": \"ftp://h\", \"authModes\": \"basic, magic\"}"),
     "invalid KEDA scaling operator \"Near\", must be one of: GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual; "
     "invalid KEDA scaling threshold \"x\": must be a valid number; invalid KEDA Prometheus server address \"ftp://h\": "
     "scheme must be http or https; invalid KEDA auth mode \"magic\", must be one of: basic, tls, bearer, custom"},
    {"validate-ome-io-v1beta1-inferenceservice", SERVICE("a", "", LLAMA ", \"decoder\": {}"),
     "decoder cannot be specified without engine"},
    {"validate-ome-io-v1beta1-inferenceservice",
     SERVICE("a", "", LLAMA ", \"engine\": {\"minReplicas\": 3, \"maxReplicas\": 2}"),
     "spec.engine.maxReplicas: 2: must not be below minReplicas, which is 3"},
    {"validate-ome-io-v1beta1-inferenceservice", SERVICE("a", "", "\"model\": {\"name\": \"none\"}"),
     "referenced model \"none\" not found in namespace \"team\": ensure a BaseModel exists in this namespace or a "
     "ClusterBaseModel exists cluster-wide with this name"},
    {"validate-ome-io-v1beta1-inferenceservice", SERVICE("a", "", "\"model\": {\"name\": \"own\"}"), NULL},
    {"validate-ome-io-v1beta1-inferenceservice", SERVICE("a", "", "\"model\": {\"name\": \"off\"}"),
     "model off is disabled"},
    {"validate-ome-io-v1beta1-inferenceservice", SERVICE("a", "", "\"engine\": {}"),
     "model reference is required when runtime is not specified and engine does not have complete runner configuration"},
    {"validate-ome-io-v1beta1-inferenceservice", SERVICE("a", "", "\"engine\": {\"runner\": {\"image\": \"i\"}}"),
     NULL},
    {"validate-ome-io-v1beta1-servingruntime", RUNTIME("\"workers\": {\"size\": 0}"),
     "invalid configuration: for MultiNode deployment, both leader and worker must be defined and worker.size must be "
     "greater than 0"},
    {"validate-ome-io-v1beta1-servingruntime",
     RUNTIME("\"workers\": {\"size\": 1}, \"containers\": [{\"env\": [{\"name\": \"DEPLOYMENT_MODE\", \"value\": "
             "\"RawDeployment\"}]}]"),
     "invalid configuration: for RawDeployment, leader and worker must not be defined"},
    {"validate-ome-io-v1beta1-servingruntime", RUNTIME("\"engineConfig\": {\"leader\": {}}"),
     "invalid configuration: spec.engineConfig: for MultiNode deployment, both leader and worker must be defined and "
     "worker.size must be greater than 0"},
    {"validate-ome-io-v1beta1-servingruntime",
     RUNTIME("\"acceleratorRequirements\": {\"acceleratorClasses\": [\"a\", \"h100\", \"b\"]}"),
     "unknown accelerator classes referenced in AcceleratorRequirements: [a b]"},
    {"validate-ome-io-v1beta1-servingruntime",
     RUNTIME("\"supportedModelFormats\": [{\"name\": \"f\", \"autoSelect\": true, \"priority\": 1}, {\"name\": \"f\", "
             "\"autoSelect\": true, \"priority\": 2}]"),
     "different priorities assigned for the model format f under the servingruntime rt"},
    {"validate-ome-io-v1beta1-servingruntime", RUNTIME("\"disabled\": true, \"workers\": {\"size\": 0}"), NULL},
    {"validate-ome-io-v1beta1-servingruntime", ANNOTATED("\"ome.io/inherit-from\": \"nobody\"", "\"disabled\": true"),
     "inherit-from parent \"nobody\" not found (chain so far: [rt]); apply it"},
    {"validate-ome-io-v1beta1-servingruntime", ANNOTATED("\"ome.io/inherit-from\": \"rt\"", ""),
     "inheritance cycle detected: [rt rt]; change ome.io/inherit-from of one"},
    {"validate-ome-io-v1beta1-servingruntime", ANNOTATED("\"ome.io/runtime-profile\": \"true\"", ""),
     "runtimes carrying ome.io/runtime-profile=\"true\" must also set spec.disabled: true"},
    {"validate-ome-io-v1beta1-servingruntime", ANNOTATED("\"ome.io/runtime-profile\": \"true\"", "\"disabled\": true"),
     NULL},
    {"benchmarkjob", JOB(GOOD_JOB), NULL},
    {"benchmarkjob", JOB(GOOD_JOB ", \"trafficScenarios\": [\"D(100,100)\", \"N(480,240)/(300,150)\", \"U(1,2)\"]"),
     NULL},
    /* As OME's announcement has it: an endpoint and an output, nothing else. */
    {"benchmarkjob",
     JOB("\"endpoint\": {\"inferenceService\": {\"name\": \"chat\"}}, \"outputLocation\": {\"storageUri\": "
         "\"oci://n/benchmark-results/b/prod/o/llama-70b-bench\"}"),
     NULL},
    {"benchmarkjob", JOB(GOOD_JOB ", \"trafficScenarios\": [\"E(64)\"]"),
     "invalid traffic scenarios: failed to validate scenario 'E(64)': invalid scenario format for task 'text-to-text': "
     "E(64)"},
    {"benchmarkjob", JOB(GOOD_JOB ", \"numConcurrency\": [1, 0]"),
     "invalid concurrency: spec.numConcurrency[1]: must be at least 1"},
    {"benchmarkjob", JOB(GOOD_JOB ", \"additionalRequestParams\": {\"ignore_eos\": \"maybe\"}"),
     "invalid additional request parameters: ignore_eos must be 'true' or 'false'"},
    {"benchmarkjob", JOB("\"endpoint\": {}, \"task\": \"text-to-embeddings\", \"trafficScenarios\": [\"E(64)\"]"),
     "invalid endpoint: endpoint or InferenceService must be specified; invalid storage: storageUri cannot be empty"},
};

static void test_verdicts(UNUSED void **state) {
  for (size_t i = 0; i < ARRAY_LEN(reviews); i++) {
    _cleanup_json_ struct json_object *r = ask(reviews[i].path, reviews[i].object, NULL);
    if (json_flag(r, "allowed", false) != !reviews[i].why)
      fail_msg("%s: %s", reviews[i].object, json_str(r, "status.message", "allowed"));
    if (reviews[i].why)
      assert_string_equal(json_str(r, "status.message", ""), reviews[i].why);
  }
}

/* What is going, and what did not change where it counts, is let through. */
static void test_nothing_stands_in_the_way(UNUSED void **state) {
  static const char gone[] =
      "{\"metadata\": {\"name\": \"1st\", \"deletionTimestamp\": \"2026-01-01T00:00:00Z\"}, \"spec\": {}}";
  static const char bad[] = SERVICE("1st", "", LLAMA);
  _cleanup_json_ struct json_object *going = ask("validate-ome-io-v1beta1-inferenceservice", gone, bad);
  _cleanup_json_ struct json_object *same = ask("validate-ome-io-v1beta1-inferenceservice", bad, bad);

  assert_true(json_flag(going, "allowed", false));
  assert_true(json_flag(same, "allowed", false));
  for (size_t i = 0; i < ARRAY_LEN(reviews); i++) {
    bool validates = has_prefix(reviews[i].path, "validate-");
    _cleanup_json_ struct json_object *kept =
        validates ? ask(reviews[i].path, reviews[i].object, reviews[i].object) : NULL;
    if (validates && !json_flag(kept, "allowed", false))
      fail_msg("%s as it was: %s", reviews[i].object, json_str(kept, "status.message", ""));
  }
}

static void test_warnings(UNUSED void **state) {
  _cleanup_json_ struct json_object *vague =
      ask("validate-ome-io-v1beta1-inferenceservice", SERVICE("a", "", LLAMA), NULL);
  _cleanup_json_ struct json_object *twin = ask(
      "validate-ome-io-v1beta1-servingruntime",
      RUNTIME("\"protocolVersions\": [\"openAI\"], \"supportedModelFormats\": [{\"name\": \"GGUF\", \"autoSelect\": "
              "true, \"priority\": 2, \"modelFormat\": {\"name\": \"gguf\"}}]"),
      NULL);

  assert_string_equal(json_object_get_string(json_index(json_get(vague, "warnings"), 0)),
                      "model llama is not known well enough yet: its runtime is chosen when its files are here");
  assert_true(has_prefix(json_object_get_string(json_index(json_get(twin, "warnings"), 0)),
                         "same priority assigned for the model format GGUF in the servingruntimes rt and twin"));
}

static void test_fields_without_effect(UNUSED void **state) {
  static const char path[] = "validate-ome-io-v1beta1-inferenceservice";
  _cleanup_json_ struct json_object *inert =
      ask(path, SERVICE("a", "", "\"rollout\": {\"groups\": []}, \"traffic\": {}, \"placement\": {\"a\": 1}, " LLAMA),
          NULL);
  _cleanup_json_ struct json_object *pinned =
      ask(path, SERVICE("a", "", "\"scalingPolicy\": {\"mode\": \"Pinned\"}, " LLAMA), NULL);
  _cleanup_json_ struct json_object *usual =
      ask(path, SERVICE("a", "", "\"scalingPolicy\": {\"mode\": \"Independent\"}, " LLAMA), NULL);
  struct json_object *warnings = json_get(inert, "warnings");

  assert_true(json_flag(inert, "allowed", false));
  assert_int_equal(json_len(warnings), 3); /* the last is about the model */
  assert_string_equal(
      json_object_get_string(json_index(warnings, 0)),
      "spec.rollout has no effect: new pods replace old ones as the component's deploymentStrategy says");
  assert_string_equal(json_object_get_string(json_index(warnings, 1)),
                      "spec.placement has no effect: the service runs in this cluster");
  assert_false(json_flag(pinned, "allowed", false));
  assert_true(has_prefix(json_str(pinned, "status.message", ""), "ScalingModeNotImplemented: spec.scalingPolicy.mode"));
  assert_true(json_flag(usual, "allowed", false));
}

/* ---- what is changed --------------------------------------------------------------------------------------------- */

/* The operations of a response, new. */
static struct json_object *patch_of(struct json_object *response) {
  size_t len;
  _cleanup_free_ char *text = base64_decode(json_str(response, "patch", ""), &len);

  assert_string_equal(json_str(response, "patchType", ""), "JSONPatch");
  return parsed(text);
}

static struct json_object *value_at(struct json_object *patch, const char *path) {
  return json_get(json_find(patch, "path", path), "value");
}

static void test_older_form(UNUSED void **state) {
  _cleanup_json_ struct json_object *r =
      ask("mutate-ome-io-v1beta1-inferenceservice",
          SERVICE("old", "",
                  "\"predictor\": {\"minReplicas\": 2, \"model\": {\"baseModel\": \"own\", \"runtime\": \"rt\"}}"),
          NULL);
  _cleanup_json_ struct json_object *patch = patch_of(r);
  struct json_object *spec = value_at(patch, "/spec");

  assert_string_equal(json_str(spec, "model.name", ""), "own");
  assert_string_equal(json_str(spec, "model.kind", ""), "BaseModel");
  assert_string_equal(json_str(spec, "runtime.name", ""), "rt");
  assert_int_equal(json_i64(spec, "engine.minReplicas", 0), 2);
  assert_null(json_get(spec, "predictor"));
  assert_non_null(json_get(json_get(value_at(patch, "/metadata"), "annotations"), "ome.io/deprecation-warning"));
  assert_int_equal(json_len(json_get(r, "warnings")), 1);
}

#define POD(annotations, containers)                                                                                   \
  "{\"metadata\": {\"name\": \"p\", \"annotations\": {" annotations "}}, \"spec\": {\"containers\": [" containers "]}}"

static void test_pod(UNUSED void **state) {
  _cleanup_json_ struct json_object *r = ask(
      "mutate-pods",
      POD("\"rdma.ome.io/auto-inject\": \"true\", \"rdma.ome.io/profile\": \"plain\"",
          "{\"name\": \"ome-container\", \"env\": [{\"name\": \"A\", \"value\": \"mine\"}]}, {\"name\": \"queue-proxy\"}"),
      NULL);
  _cleanup_json_ struct json_object *patch = patch_of(r);
  struct json_object *spec = value_at(patch, "/spec"),
                     *annotations = json_get(value_at(patch, "/metadata"), "annotations");
  struct json_object *engine = json_index(json_get(spec, "containers"), 0),
                     *proxy = json_index(json_get(spec, "containers"), 1);

  assert_string_equal(json_str(json_find(json_get(engine, "env"), "name", "A"), "value", ""), "mine");
  assert_string_equal(json_str(json_find(json_get(engine, "env"), "name", "B"), "value", ""), "2");
  assert_string_equal(json_str(json_find(json_get(spec, "volumes"), "name", "devinf-1"), "hostPath.path", ""),
                      "/dev/b");
  assert_string_equal(json_str(json_find(json_get(spec, "volumes"), "name", "dshm"), "emptyDir.medium", ""), "Memory");
  assert_true(json_flag(spec, "hostNetwork", false));
  assert_int_equal(json_i64(json_find(json_get(proxy, "ports"), "name", "aggr-metric"), "containerPort", 0), 9088);
  assert_string_equal(json_object_get_string(json_get(annotations, "prometheus.io/port")), "9088");
}

static void test_unknown_profile(UNUSED void **state) {
  _cleanup_json_ struct json_object *r =
      ask("mutate-pods",
          POD("\"rdma.ome.io/auto-inject\": \"true\", \"rdma.ome.io/profile\": \"none\"", "{\"name\": \"x\"}"), NULL);

  assert_false(json_flag(r, "allowed", true));
  assert_string_equal(json_str(r, "status.message", ""),
                      "unknown RDMA profile: none; there are: cks-gb-rdma, cks-gb-sglang, oci-roce, plain");
}

/* ---- whose writes they are --------------------------------------------------------------------------------------- */

#define AGENT "system:serviceaccount:ome:ome-model-agent"
#define SAYS(name, value) "\"authentication.kubernetes.io/" name "\": [\"" value "\"]"
#define ON_N1 SAYS("node-name", "n1") ", " SAYS("pod-name", "gone") ", " SAYS("pod-uid", "g")
#define MAY(what)                                                                                                      \
  "the agent on node n1 may write Node n1 and ConfigMap ome/n1, not " what                                             \
  ": set its NODE_NAME (or --node-name) to spec.nodeName of its pod"
#define UNBOUND                                                                                                        \
  "the token of " AGENT                                                                                                \
  " is bound to no pod on a node, so it may write no Node and no record: run the agent as a pod "                      \
  "with the token that the kubelet mounts"

/* A write of USER, whose token says EXTRA, to NAME; ns "": a Node. */
static const struct {
  const char *user, *extra, *ns, *name;
  const char *why; /* NULL: allowed */
} writes[] = {
    {AGENT, ON_N1, "", "n1", NULL},
    {AGENT, ON_N1, "ome", "n1", NULL},
    {AGENT, ON_N1, "", "n2", MAY("Node n2")},
    {AGENT, ON_N1, "", "n", MAY("Node n")},
    {AGENT, ON_N1, "ome", "n2", MAY("ConfigMap ome/n2")},
    {AGENT, ON_N1, "ome", "inferenceservice-config", MAY("ConfigMap ome/inferenceservice-config")},
    {AGENT, ON_N1, "team", "n1", MAY("ConfigMap team/n1")},
    {AGENT, ON_N1, "ome", "", MAY("ConfigMap ome/")}, /* a collection, or a name to be made up */
    /* Before 1.30: the pod knows its node. */
    {AGENT, SAYS("pod-name", "agent-1") ", " SAYS("pod-uid", "p1"), "", "n1", NULL},
    {AGENT, SAYS("pod-name", "agent-1") ", " SAYS("pod-uid", "p1"), "", "n2", MAY("Node n2")},
    {AGENT, SAYS("pod-name", "agent-1") ", " SAYS("pod-uid", "p0"), "", "n1", UNBOUND},
    {AGENT, SAYS("pod-name", "agent-1"), "", "n1", UNBOUND},
    {AGENT, SAYS("pod-name", "agent-2") ", " SAYS("pod-uid", "p2"), "", "n1", UNBOUND},
    {AGENT, "", "", "n1", UNBOUND},
    {AGENT, SAYS("node-name", ""), "", "", UNBOUND},
    {AGENT, "\"authentication.kubernetes.io/node-name\": \"n1\"", "", "n1", UNBOUND},
    {AGENT, "\"authentication.kubernetes.io/node-name\": []", "", "n1", UNBOUND},
    {AGENT, "\"authentication.kubernetes.io/node-name\": [{}]", "", "n1", UNBOUND},
    /* Not ours to judge. */
    {"system:serviceaccount:other:ome-model-agent", "", "", "n1", NULL},
    {"system:node:n1", "", "", "n2", NULL},
    {"", "", "ome", "n1", NULL},
};

/* What OPERATION of the write answers, new; OBJECT and OLD are JSON. */
static struct json_object *ask_write(size_t i, const char *operation, const char *name, const char *object,
                                     const char *old) {
  _cleanup_free_ char *review = str_printf(
      "{\"kind\": \"AdmissionReview\", \"apiVersion\": \"admission.k8s.io/v1\", \"request\": {\"uid\": \"u\", "
      "\"operation\": \"%s\", \"namespace\": \"%s\", \"name\": \"%s\", \"object\": %s, \"oldObject\": %s, \"userInfo\": "
      "{\"username\": \"%s\", \"extra\": {%s}}}}",
      operation, writes[i].ns, name, object, old, writes[i].user, writes[i].extra);
  _cleanup_free_ char *answer = NULL;
  struct ome_err err = ERR_INIT;
  bool allowed;

  if (review_answer(entry(*writes[i].ns ? "validate-agent-record" : "validate-agent-node"), &lookup, review,
                    strlen(review), &allowed, &answer, &err) != OME_OK)
    fail_msg("%s: %s", review, err.msg);
  return parsed(answer);
}

static void check_write(size_t i, struct json_object *doc) {
  if (json_flag(doc, "response.allowed", false) != !writes[i].why)
    fail_msg("write %zu: %s", i, json_str(doc, "response.status.message", "allowed"));
  if (writes[i].why)
    assert_string_equal(json_str(doc, "response.status.message", ""), writes[i].why);
}

#define OURS_ONLY                                                                                                      \
  "the agent on node n1 may write the labels and annotations models.ome.io/... of its Node, and nothing else of it"

/* Made, changed and taken away, on its way out or not: the answer is the same, but that no agent makes or removes its
 * Node. */
static void test_agents_write_their_own(UNUSED void **state) {
  for (size_t i = 0; i < ARRAY_LEN(writes); i++) {
    _cleanup_free_ char *object = str_printf(
        "{\"metadata\": {\"name\": \"%s\", \"deletionTimestamp\": \"2026-01-01T00:00:00Z\"}}", writes[i].name);
    _cleanup_json_ struct json_object *made = ask_write(i, "CREATE", "", object, "null");
    _cleanup_json_ struct json_object *changed = ask_write(i, "UPDATE", writes[i].name, object, object);
    _cleanup_json_ struct json_object *deleted = ask_write(i, "DELETE", writes[i].name, "null", object);
    check_write(i, changed);
    if (!writes[i].why && !*writes[i].ns && streq(writes[i].user, AGENT)) {
      assert_string_equal(json_str(made, "response.status.message", ""), OURS_ONLY);
      assert_string_equal(json_str(deleted, "response.status.message", ""), OURS_ONLY);
    } else {
      check_write(i, made);
      check_write(i, deleted);
    }
  }
}

/* What an agent may make of its Node; writes[0] is such a write. */
static void test_agents_leave_the_node_alone(UNUSED void **state) {
  static const struct {
    const char *before, *after;
    bool allowed;
  } nodes[] = {
      {"\"metadata\": {\"name\": \"n1\"}",
       "\"metadata\": {\"name\": \"n1\", \"labels\": {\"models.ome.io/clusterbasemodel.m\": \"Ready\"}, "
       "\"annotations\": {\"models.ome.io/peer\": \"{}\"}}",
       true},
      {"\"metadata\": {\"name\": \"n1\", \"labels\": {\"models.ome.io/x\": \"Ready\", \"pool\": \"a\"}}",
       "\"metadata\": {\"name\": \"n1\", \"labels\": {\"pool\": \"a\"}}", true},
      /* It may not entitle itself to another pool's models. */
      {"\"metadata\": {\"name\": \"n1\", \"labels\": {\"pool\": \"a\"}}",
       "\"metadata\": {\"name\": \"n1\", \"labels\": {\"pool\": \"b\"}}", false},
      {"\"metadata\": {\"name\": \"n1\", \"labels\": {\"pool\": \"a\"}}", "\"metadata\": {\"name\": \"n1\"}", false},
      {"\"metadata\": {\"name\": \"n1\"}",
       "\"metadata\": {\"name\": \"n1\", \"annotations\": {\"ome.io/pin\": \"true\"}}", false},
      {"\"metadata\": {\"name\": \"n1\"}", "\"metadata\": {\"name\": \"n1\", \"finalizers\": [\"x/y\"]}", false},
      {"\"metadata\": {\"name\": \"n1\"}, \"spec\": {\"taints\": [{\"key\": \"gpu\"}]}",
       "\"metadata\": {\"name\": \"n1\"}, \"spec\": {}", false},
  };

  for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
    _cleanup_free_ char *before = str_printf("{%s}", nodes[i].before);
    _cleanup_free_ char *after = str_printf("{%s}", nodes[i].after);
    _cleanup_json_ struct json_object *answer = ask_write(0, "UPDATE", "n1", after, before);
    if (json_flag(answer, "response.allowed", false) != nodes[i].allowed)
      fail_msg("node %zu: %s", i, json_str(answer, "response.status.message", "allowed"));
    if (!nodes[i].allowed)
      assert_string_equal(json_str(answer, "response.status.message", ""), OURS_ONLY);
  }
}

static void test_no_review(UNUSED void **state) {
  static const char *const texts[] = {"", "[]", "{}", "{\"kind\": \"AdmissionReview\"}",
                                      "{\"kind\": \"AdmissionReview\", \"request\": 1}"};

  for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
    struct ome_err err = ERR_INIT;
    char *answer = NULL;
    bool allowed;
    assert_int_equal(review_answer(entry("benchmarkjob"), &lookup, texts[i], strlen(texts[i]), &allowed, &answer, &err),
                     OME_E_INVALID);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_verdicts),
      cmocka_unit_test(test_nothing_stands_in_the_way),
      cmocka_unit_test(test_fields_without_effect),
      cmocka_unit_test(test_warnings),
      cmocka_unit_test(test_agents_write_their_own),
      cmocka_unit_test(test_agents_leave_the_node_alone),
      cmocka_unit_test(test_older_form),
      cmocka_unit_test(test_pod),
      cmocka_unit_test(test_unknown_profile),
      cmocka_unit_test(test_no_review),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
