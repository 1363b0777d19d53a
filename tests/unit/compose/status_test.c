/* What a service says of itself. */
#include "../unit.h"

#include "../documents.h"
#include "base/str.h"
#include "compose/cluster.h"
#include "compose/pods.h"
#include "compose/status.h"

#include <stdio.h>

static const char *condition(struct json_object *status, const char *type, const char *key) {
  return json_str(json_find(json_get(status, "conditions"), "type", type), key, "");
}

/* ---- pods -------------------------------------------------------------------------------------------------------- */

static void sums_pods_up(void **state) {
  struct json_object *pods = yaml(
      "- {metadata: {name: a, labels: {component: engine}, creationTimestamp: '2026-01-01T00:00:00Z'}, status: "
      "{conditions: [{type: Ready, status: 'True'}]}}\n"
      "- {metadata: {name: b, labels: {component: engine}, creationTimestamp: '2026-01-03T00:00:00Z'}, status: "
      "{containerStatuses: [{name: ome-container, state: {waiting: {reason: CrashLoopBackOff, message: back-off}}, "
      "lastState: {terminated: {exitCode: 137, reason: OOMKilled, message: out of memory}}}]}}\n"
      "- {metadata: {name: c, labels: {component: engine}, creationTimestamp: '2026-01-02T00:00:00Z'}, status: "
      "{conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: no room}]}}\n"
      "- {metadata: {name: d, labels: {component: router}}}\n"
      "- {metadata: {name: e, labels: {component: engine}, deletionTimestamp: '2026-01-01T00:00:00Z'}}\n");
  struct pods_summary s;

  (void)state;
  pods_summarize(pods, "engine", &s);
  assert_int_equal(s.total, 3);
  assert_int_equal(s.ready, 1);
  assert_string_equal(s.reason, "CrashLoopBackOff");
  assert_non_null(strstr(s.message, "out of memory"));
  assert_int_equal(s.exit_code, 137);
  assert_true(s.failed);
  pods_summarize(pods, "router", &s);
  assert_int_equal(s.total, 1);
  assert_string_equal(s.reason, "");
  json_unref(pods);
}

/* What a cache keeps of a pod says as much as the pod. */
static void sums_trimmed_pods_up(void **state) {
  struct json_object *pod = yaml(
      "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: n, uid: u, labels: {component: engine}, annotations: "
      "{much: text}, creationTimestamp: '2026-01-01T00:00:00Z', resourceVersion: '7'}, spec: {containers: [{name: c}]}, "
      "status: {phase: Running, podIP: 10.0.0.1, conditions: [{type: Ready, status: 'False', lastProbeTime: x}], "
      "containerStatuses: [{name: c, image: i, ready: false, state: {waiting: {reason: CrashLoopBackOff}}, lastState: "
      "{terminated: {exitCode: 1, message: out of luck}}}]}}");
  struct json_object *kept =
      yaml("{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: n, uid: u, labels: {component: engine}, "
           "creationTimestamp: '2026-01-01T00:00:00Z', resourceVersion: '7'}, status: {phase: Running, conditions: "
           "[{type: Ready, status: 'False'}], containerStatuses: [{name: c, ready: false, state: {waiting: {reason: "
           "CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1, message: out of luck}}}]}}");
  struct json_object *pods = json_object_new_array();
  struct pods_summary whole;
  struct pods_summary trimmed;

  (void)state;
  assert_int_equal(json_object_array_add(pods, pod), 0);
  pods_summarize(pods, "engine", &whole);
  pods_trim(pod);
  assert_true(json_equal(pod, kept));
  pods_summarize(pods, "engine", &trimmed);
  assert_int_equal(whole.total, 1);
  assert_string_equal(whole.message, trimmed.message);
  assert_string_equal(whole.reason, trimmed.reason);
  assert_int_equal(whole.exit_code, trimmed.exit_code);
  json_unref(kept);
  json_unref(pods);
}

/* ---- conditions -------------------------------------------------------------------------------------------------- */

struct bench {
  struct json_object *service;
  struct json_object *pods;
  struct json_object *cluster;
  struct plan plan;
  struct ome_status components[COMPONENT_KINDS];
  struct json_object *workloads[COMPONENT_KINDS];
  struct ome_status ingress;
  struct json_object *addresses;
};

static struct selection nothing; /* of which a component takes no accelerator */

static void bench_init(struct bench *b) {
  memset(b, 0, sizeof(*b));
  b->service = yaml("metadata: {name: s, namespace: team, generation: 3}\nspec: {model: {name: m}, engine: {}}");
  b->pods = yaml("[]");
  b->cluster = yaml("{domain: cluster.local}");
  b->plan.service = json_object_get(b->service);
  b->plan.model = yaml("metadata: {name: m}\nstatus: {state: Ready}");
}

static void bench_fini(struct bench *b) {
  json_unref(b->service);
  json_unref(b->pods);
  json_unref(b->cluster);
  json_unref(b->plan.service);
  json_unref(b->plan.model);
}

/* The status at NOW; put into the service, as a write would. */
static struct json_object *write_at(struct bench *b, int64_t now_ms) {
  struct status_input in = {
      .service = b->service,
      .plan = &b->plan,
      .components = b->components,
      .workloads = b->workloads,
      .ingress = &b->ingress,
      .addresses = b->addresses,
      .pods = b->pods,
      .cluster = b->cluster,
      .now_ms = now_ms,
  };
  struct json_object *status = NULL;
  struct ome_err err = ERR_INIT;

  assert_int_equal(status_compose(&in, &status, &err), OME_OK);
  assert_true(json_set(b->service, "status", status));
  return status;
}

static void set_problem(struct bench *b, const char *reason, const char *message) {
  b->plan.nproblems = 1;
  b->plan.problems[0].condition = "RuntimeReady";
  (void)snprintf(b->plan.problems[0].reason, sizeof(b->plan.problems[0].reason), "%s", reason);
  (void)snprintf(b->plan.problems[0].message, sizeof(b->plan.problems[0].message), "%s", message);
}

static void says_what_stands_in_the_way(void **state) {
  struct bench b;

  (void)state;
  bench_init(&b);
  set_problem(&b, "NoSupportingRuntime", "no runtime found");
  struct json_object *status = write_at(&b, 1000);
  assert_string_equal(condition(status, "Ready", "status"), "False");
  assert_string_equal(condition(status, "Ready", "reason"), "NoSupportingRuntime");
  assert_string_equal(condition(status, "Ready", "message"), "no runtime found");
  assert_string_equal(condition(status, "RuntimeReady", "severity"), "Info");
  assert_string_equal(json_str(status, "modelStatus.transitionStatus", ""), "InvalidSpec");
  assert_string_equal(json_str(status, "modelStatus.lastFailureInfo.reason", ""), "NoSupportingRuntime");
  assert_int_equal(json_i64(status, "observedGeneration", 0), 3);
  bench_fini(&b);
}

/* A model on its way is no failure; one that failed is. */
static void waits_for_the_model(void **state) {
  struct bench b;

  (void)state;
  bench_init(&b);
  set_problem(&b, "ModelNotReady", "model format name is required");
  json_set_str(b.plan.model, "status.state", "In_Transit");
  assert_string_equal(condition(write_at(&b, 1000), "Ready", "status"), "Unknown");
  json_set_str(b.plan.model, "status.state", "Failed");
  struct json_object *status = write_at(&b, 2000);
  assert_string_equal(condition(status, "Ready", "status"), "False");
  assert_string_equal(condition(status, "ModelReady", "reason"), "ModelFailed");
  bench_fini(&b);
}

/* What a person wrote wrong is, however far the model itself is. */
static void does_not_wait_for_what_is_wrong(void **state) {
  struct bench b;

  (void)state;
  bench_init(&b);
  set_problem(&b, "InvalidModel", "\"seventy\" is no size");
  json_set_str(b.plan.model, "status.state", "In_Transit");
  assert_string_equal(condition(write_at(&b, 1000), "RuntimeReady", "status"), "False");
  bench_fini(&b);
}

/* Nothing is said of a model where the service names none, also not what was said before. */
static void needs_no_model(void **state) {
  struct bench b;

  (void)state;
  bench_init(&b);
  json_unref(b.plan.model);
  b.plan.model = NULL;
  json_del(json_get(b.service, "spec"), "model");
  json_set(b.service, "status",
           yaml("{conditions: [{type: ModelReady, status: 'True'}], modelStatus: {transitionStatus: UpToDate}}"));
  set_problem(&b, "RuntimeNotFound", "gone");
  struct json_object *status = write_at(&b, 1000);
  assert_null(json_find(json_get(status, "conditions"), "type", "ModelReady"));
  assert_null(json_get(status, "modelStatus"));
  assert_string_equal(condition(status, "RuntimeReady", "status"), "False");
  bench_fini(&b);
}

/* What runs is not called broken because its plan cannot be made any more. */
static void keeps_what_runs(void **state) {
  struct bench b;

  (void)state;
  bench_init(&b);
  json_unref(b.pods);
  b.pods = yaml("[{metadata: {name: a, labels: {component: engine}}, status: {conditions: [{type: Ready, status: "
                "'True'}]}}]");
  json_set(b.service, "status",
           yaml("conditions: [{type: EngineReady, status: 'True'}, {type: IngressReady, status: 'True'}]"));
  set_problem(&b, "RuntimeNotFound", "gone");
  struct json_object *status = write_at(&b, 1000);
  assert_string_equal(condition(status, "EngineReady", "status"), "True");
  assert_string_equal(condition(status, "Ready", "status"), "True");
  assert_string_equal(condition(status, "RuntimeReady", "status"), "False");
  bench_fini(&b);
}

/* What serves is Ready, and says what its successor lacks. */
static void tells_of_pods_beside_those_that_serve(void **state) {
  struct bench b;
  struct plan_component *engine;

  (void)state;
  bench_init(&b);
  b.plan.selection = &nothing;
  json_unref(b.pods);
  b.pods = yaml("[{metadata: {name: old, labels: {component: engine}}, status: {conditions: [{type: Ready, status: "
                "'True'}]}}, {metadata: {name: new, labels: {component: engine}}, status: {containerStatuses: [{name: "
                "ome-container, state: {waiting: {reason: ImagePullBackOff, message: no such image}}}]}}]");
  b.plan.nparts = 1;
  engine = &b.plan.parts[0];
  engine->kind = "engine";
  engine->mode = mode_find("RawDeployment");
  engine->doc = yaml("{name: s-engine}");
  b.components[0].phase = b.ingress.phase = OME_PHASE_READY;
  (void)snprintf(b.components[0].message, sizeof(b.components[0].message), "enough");
  struct json_object *status = write_at(&b, 1000);
  assert_string_equal(condition(status, "Ready", "status"), "True");
  assert_string_equal(condition(status, "EngineReady", "message"),
                      "enough; pod new: ImagePullBackOff: container ome-container: no such image");
  json_unref(engine->doc);
  bench_fini(&b);
}

/* A pod that its Service leads to makes a component ready, whatever its workload says: it may be one of too few, or of
 * the workload that is replaced. */
static void follows_its_endpoints(void **state) {
  static const struct {
    const char *pod; /* labels and status */
    int32_t phase;
    const char *ready;
  } cases[] = {
      {"labels: {component: engine, app: a}}, status: {conditions: [{type: Ready, status: 'True'}]}",
       OME_PHASE_PROGRESSING, "True"},
      {"labels: {component: engine, app: a}}, status: {conditions: [{type: Ready, status: 'True'}]}", OME_PHASE_FAILED,
       "True"},
      {"labels: {component: engine, app: a}}, status: {conditions: [{type: Ready, status: 'False'}]}",
       OME_PHASE_PROGRESSING, "Unknown"},
      {"labels: {component: engine}}, status: {conditions: [{type: Ready, status: 'True'}]}", /* a worker */
       OME_PHASE_PROGRESSING, "Unknown"},
      {"labels: {component: engine, app: a}, deletionTimestamp: x}, status: {conditions: [{type: Ready, status: 'True'}]}",
       OME_PHASE_PENDING, "Unknown"},
      {"labels: {component: engine, app: a}}, status: {conditions: [{type: Ready, status: 'False'}]}", OME_PHASE_FAILED,
       "False"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct bench b;
    bench_init(&b);
    json_unref(b.pods);
    _cleanup_free_ char *pods = str_printf("[{metadata: {name: p, %s}]", cases[i].pod);
    b.pods = yaml(pods);
    b.plan.objects = yaml("[{apiVersion: apps/v1, kind: Deployment}, {apiVersion: v1, kind: Service, spec: {selector: "
                          "{app: a}}}]");
    b.plan.nparts = 1;
    b.plan.parts[0].kind = "engine";
    b.plan.parts[0].mode = mode_find("RawDeployment");
    b.plan.selection = &nothing;
    b.plan.parts[0].doc = yaml("{name: s-engine}");
    b.plan.parts[0].deployment.count = 2;
    b.components[0].phase = cases[i].phase;
    b.ingress.phase = OME_PHASE_READY;
    struct json_object *status = write_at(&b, 1000);
    if (!streq(condition(status, "Ready", "status"), cases[i].ready))
      fail_msg("%s: %s", cases[i].pod, condition(status, "Ready", "status"));
    json_unref(b.plan.parts[0].doc);
    json_unref(b.plan.objects);
    bench_fini(&b);
  }
}

/* Gateways by the site's names for them; the primary one is "external" where it has none. */
static void lists_where_it_is_reached(void **state) {
  static const struct {
    const char *url, *addresses, *said;
  } cases[] = {
      {"http://x.org", "[]", "[{url: 'http://x.org', name: external}, INSIDE]"},
      {"http://x.org", "[{url: 'http://x.org'}, {url: 'http://y.org'}]",
       "[{url: 'http://x.org', name: external}, {url: 'http://y.org'}, INSIDE]"},
      {"http://x.org", "[{url: 'http://x.org', name: internal}, {url: 'http://y.org', name: public}]",
       "[{url: 'http://x.org', name: internal}, {url: 'http://y.org', name: public}, INSIDE]"},
      {"http://s-engine.team.svc.cluster.local:8080", "[]", "[INSIDE]"},
  };
  static const char inside[] = "{url: 'http://s-engine.team.svc.cluster.local:8080', name: cluster-local}";

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct bench b;
    bench_init(&b);
    b.plan.nparts = 1;
    b.plan.parts[0].kind = "engine";
    b.plan.parts[0].mode = mode_find("RawDeployment");
    b.plan.selection = &nothing;
    b.plan.parts[0].doc = yaml("{name: s-engine, app: s-engine, namespace: team, ports: [{port: 8080}]}");
    (void)snprintf(b.ingress.url, sizeof(b.ingress.url), "%s", cases[i].url);
    b.addresses = yaml(cases[i].addresses);
    struct json_object *status = write_at(&b, 1000);
    _cleanup_free_ char *said =
        str_printf("%.*s%s]", (int)(strstr(cases[i].said, "INSIDE") - cases[i].said), cases[i].said, inside);
    _cleanup_json_ struct json_object *want = yaml(said);
    if (!json_equal(json_get(status, "addresses"), want))
      fail_msg("%s: %s", cases[i].said, json_object_to_json_string(json_get(status, "addresses")));
    json_unref(b.plan.parts[0].doc);
    json_unref(b.addresses);
    bench_fini(&b);
  }
}

/* The same facts give the same status, so that nothing is written. */
static void is_stable(void **state) {
  struct bench b;

  (void)state;
  bench_init(&b);
  set_problem(&b, "RuntimeNotFound", "gone");
  struct json_object *first = json_copy(write_at(&b, 1000));
  struct json_object *second = write_at(&b, 900000);
  assert_true(json_equal(first, second));
  json_unref(first);
  bench_fini(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sums_trimmed_pods_up),
      cmocka_unit_test(sums_pods_up),
      cmocka_unit_test(says_what_stands_in_the_way),
      cmocka_unit_test(waits_for_the_model),
      cmocka_unit_test(keeps_what_runs),
      cmocka_unit_test(tells_of_pods_beside_those_that_serve),
      cmocka_unit_test(follows_its_endpoints),
      cmocka_unit_test(lists_where_it_is_reached),
      cmocka_unit_test(is_stable),
      cmocka_unit_test(does_not_wait_for_what_is_wrong),
      cmocka_unit_test(needs_no_model),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
