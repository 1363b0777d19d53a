/* The Job of a BenchmarkJob, and its status, as functions of documents. */
#include "../unit.h"

#include "../documents.h"
#include "base/str.h"
#include "compose/benchmark.h"
#include "compose/benchmark_status.h"
#include "compose/jobs.h"
#include "kube/meta.h"

#include <string.h>

#define HEAD                                                                                                           \
  "apiVersion: ome.io/v1beta1\nkind: BenchmarkJob\n"                                                                   \
  "metadata: {name: night, namespace: team, uid: 12345678-abcd, generation: 1}\nspec:\n"
#define BY_URL "  endpoint: {endpoint: {url: 'http://h:1', apiFormat: openai, modelName: m}}\n"
#define BY_SERVICE "  endpoint: {inferenceService: {name: chat}}\n"
#define TO_S3 "  outputLocation: {storageUri: 's3://b/p/', key: keys, parameters: {region: eu}}\n"

static struct json_object *service(const char *ready) {
  _cleanup_free_ char *text = str_printf("kind: InferenceService\nmetadata: {name: chat, namespace: team, uid: s}\n"
                                         "status: {url: 'http://chat.x', address: {url: 'http://chat.team.svc:8080'},\n"
                                         "  conditions: [{type: Ready, status: '%s', message: no pods}]}\n",
                                         ready);

  return yaml(text);
}

static struct json_object *plan(struct benchmark_plan *out, const char *text, struct json_object *of) {
  struct json_object *job = yaml(text);
  const struct benchmark_facts facts = {.job = job, .service = of};
  struct ome_err err = ERR_INIT;

  assert_int_equal(benchmark_plan(&facts, out, &err), OME_OK);
  return job;
}

/* ARGS of the first container as one line. */
static char *line(struct benchmark_plan *p, const char *list) {
  struct json_object *c = json_index(json_at(json_at(p->job, "spec.template.spec"), list), 0);
  _cleanup_free_ char *text = json_text(json_get(c, "args"));

  return TAKE_PTR(text);
}

static void assert_has(const char *text, const char *word) {
  if (!strstr(text, word))
    fail_msg("%s is not in %s", word, text);
}

static void test_native(void **state) {
  struct benchmark_plan p;
  struct json_object *job =
      plan(&p,
           HEAD BY_URL TO_S3 "  trafficScenarios: ['D(1,2)', 'U(3,4)']\n  numConcurrency: [2, 8]\n"
                             "  maxTimePerIteration: 3\n  maxRequestsPerIteration: 9\n"
                             "  additionalRequestParams: {temperature: '0.5', ignore_eos: 'false', user: me}\n",
           NULL);
  (void)state;
  assert_string_equal(p.reason, "");
  assert_string_equal(p.report_uri, "s3://b/p/night-12345678");
  _cleanup_free_ char *args = line(&p, "containers");
  assert_has(args, "[\"bench\",\"http://h:1\",\"--task\",\"text-to-text\"");
  assert_has(args,
             "\"--scenario\",\"D(1,2)\",\"--scenario\",\"U(3,4)\",\"--concurrency\",\"2\",\"--concurrency\",\"8\"");
  assert_has(args, "\"--duration\",\"3m\",\"--requests\",\"9\"");
  assert_has(args, "\"--upload\",\"s3://b/p/night-12345678\"");
  assert_has(args, "\"--credentials\",\"/run/ome-benchmark/credentials\"");
  struct json_object *data = json_get(p.config_map, "data");
  assert_string_equal(json_object_get_string(json_get(data, "params.json")),
                      "{\"temperature\":0.5,\"ignore_eos\":false,\"user\":\"me\"}");
  assert_string_equal(json_object_get_string(json_get(data, "output.json")), "{\"region\":\"eu\"}");
  struct json_object *pod = json_at(p.job, "spec.template.spec");
  assert_string_equal(json_str(json_find(json_get(pod, "volumes"), "name", "credentials"), "secret.secretName", ""),
                      "keys");
  assert_string_equal(json_str(meta_owner(p.job), "uid", ""), "12345678-abcd");
  assert_true(json_flag(pod, "securityContext.runAsNonRoot", false));
  benchmark_plan_fini(&p);
  json_unref(job);
}

/* Annotations are options of the native generator; of others nothing is known. */
static void test_annotations(void **state) {
  struct benchmark_plan p;
  struct json_object *job =
      plan(&p,
           "kind: BenchmarkJob\nmetadata:\n  {name: n, namespace: t, uid: 12345678-a, generation: 1, annotations: "
           "{ome.io/benchmark-turns: '4', ome.io/benchmark-arrival: poisson, ome.io/benchmark-rate: '1,2',\n"
           "   ome.io/benchmark-tokenizer: /t, ome.io/benchmark-api-key: no}}\nspec:\n" BY_URL TO_S3,
           NULL);
  (void)state;
  _cleanup_free_ char *args = line(&p, "containers");
  assert_has(args, "\"--turns\",\"4\",\"--rate\",\"1,2\",\"--arrival\",\"poisson\",\"--tokenizer\",\"/t\"");
  assert_null(strstr(args, "no"));
  benchmark_plan_fini(&p);
  json_unref(job);
}

/* Without anything but an endpoint and an output, as in OME's announcement. */
static void test_defaults(void **state) {
  struct benchmark_plan p;
  struct json_object *s = service("True");
  struct json_object *job = plan(&p, HEAD BY_SERVICE "  outputLocation: {storageUri: 'oci://n/x/b/y/o/z'}\n", s);
  (void)state;
  _cleanup_free_ char *args = line(&p, "containers");
  assert_has(args, "[\"bench\",\"http://chat.team.svc:8080\"");
  assert_has(args, "\"--concurrency\",\"256\",\"--duration\",\"15m\",\"--requests\",\"100\"");
  assert_string_equal(p.report_uri, "oci://n/x/b/y/o/z/night-12345678");
  benchmark_plan_fini(&p);
  json_unref(job);
  json_unref(s);
}

static void test_obstacles(void **state) {
  struct json_object *unready = service("False");
  const struct {
    const char *spec;
    struct json_object *service;
    bool waiting;
    const char *word;
  } cases[] = {
      {BY_SERVICE TO_S3, NULL, true, "InferenceService team/chat"},
      {BY_SERVICE TO_S3, unready, true, "no pods"},
      {BY_URL "  outputLocation: {storageUri: 'nothing'}\n", NULL, false, "outputLocation"},
      {BY_URL "  outputLocation: {storageUri: 'pvc://claim/../x'}\n", NULL, false, "pvc://"},
      {BY_URL TO_S3 "  resultFolderName: ../up\n", NULL, false, "resultFolderName"},
      {"  endpoint: {}\n" TO_S3, NULL, false, "neither"},
      {"  endpoint: {endpoint: {url: 'http://h', apiFormat: cohere}}\n" TO_S3, NULL, false, "cohere"},
  };
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct benchmark_plan p;
    _cleanup_free_ char *text = str_printf("%s%s", HEAD, cases[i].spec);
    struct json_object *job = plan(&p, text, cases[i].service);
    assert_null(p.job);
    assert_int_equal(p.waiting, cases[i].waiting);
    assert_has(p.message, cases[i].word);
    benchmark_plan_fini(&p);
    json_unref(job);
  }
  json_unref(unready);
}

static void test_genai_bench(void **state) {
  static const char *const asked[] = {
      "  podOverride: {image: 'ghcr.io/x/genai-bench:1'}\n",
      "  podOverride: {image: 'ghcr.io/x/genai-bench:1', env: [{name: A, value: b}], volumes: [{name: v}]}\n"};
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
    struct benchmark_plan p;
    _cleanup_free_ char *text = str_printf("%s%s%s%s", HEAD, BY_URL, TO_S3, asked[i]);
    struct json_object *job = plan(&p, text, NULL);
    assert_string_equal(p.reason, "");
    _cleanup_free_ char *args = line(&p, "initContainers");
    _cleanup_free_ char *after = line(&p, "containers");
    assert_has(args, "\"--api-model-name\",\"m\"");
    assert_has(args, "\"--api-key\",\"MODEL_API_KEY-has-it\"");
    assert_has(args, "\"--experiment-folder-name\",\"night-12345678\"");
    assert_has(after, "[\"bench\",\"upload\",\"/run/ome-benchmark/results/night-12345678\"");
    struct json_object *first = json_index(json_at(p.job, "spec.template.spec.initContainers"), 0);
    assert_string_equal(json_str(first, "image", ""), "ghcr.io/x/genai-bench:1");
    benchmark_plan_fini(&p);
    json_unref(job);
  }
}

static void test_places(void **state) {
  static const struct {
    const char *uri, *volume, *report;
  } cases[] = {{"pvc://other:claim/a/b", "output", "pvc://other:claim/a/b/night-12345678"},
               {"local:///srv/out", "output-host", "local:///srv/out/night-12345678"},
               {"oras://r.io/bench", "results", "oras://r.io/bench:night-12345678"},
               {"oras://r.io:5000/bench:x", "results", "oras://r.io:5000/bench:x"},
               {"hf://me/results", "results", "hf://me/results/night-12345678"}};
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct benchmark_plan p;
    _cleanup_free_ char *text = str_printf("%s%s  outputLocation: {storageUri: '%s'}\n", HEAD, BY_URL, cases[i].uri);
    struct json_object *job = plan(&p, text, NULL);
    assert_string_equal(p.report_uri, cases[i].report);
    assert_non_null(json_find(json_at(p.job, "spec.template.spec.volumes"), "name", cases[i].volume));
    benchmark_plan_fini(&p);
    json_unref(job);
  }
}

/* ---- status ------------------------------------------------------------------------------------------------------ */

#define DONE "{\"event\":\"done\",\"uploaded\":\"s3://b/p\",\"runs\":[{\"concurrency\":2},{\"concurrency\":8}]}"
#define ERROR "{\"event\":\"error\",\"message\":\"refused: no\",\"partial\":true,\"runs\":[{\"concurrency\":2}]}"

static void test_status(void **state) {
  static const struct {
    const char *batch, *pod, *log, *want, *text, *progress;
  } cases[] = {
      {"spec: {suspend: true}", NULL, "", "Pending", "queue", NULL},
      {"spec: {}", "status: {phase: Pending}", "", "Pending", "started", NULL},
      {"spec: {}",
       "status: {phase: Pending, containerStatuses: [{name: b, state: {waiting: {reason: ErrImagePull, message: gone}}}]}",
       "", "Pending", "gone", NULL},
      {"spec: {}", "status: {phase: Running}", "{\"event\":\"progress\",\"point\":3,\"points\":9}\n", "Running", "runs",
       "2/9"},
      {"status: {conditions: [{type: Complete, status: 'True'}]}", "status: {phase: Succeeded}", DONE "\nome: noise\n",
       "Completed", "done", "2/2"},
      {"status: {conditions: [{type: Failed, status: 'True', message: limit}]}", "status: {phase: Failed}", ERROR "\n",
       "Failed", "refused: no", "1/1"},
      {"status: {conditions: [{type: Failed, status: 'True', message: limit}]}", NULL, "{\"event\":5}\n{broken\n",
       "Failed", "limit", NULL},
      {"status: {conditions: [{type: Failed, status: 'True', message: limit}]}",
       "status: {containerStatuses: [{name: b, state: {terminated: {exitCode: 137, reason: OOMKilled}}}]}", "",
       "Failed", "OOMKilled", NULL},
  };
  struct json_object *job = yaml(HEAD BY_URL TO_S3);
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct json_object *batch = yaml(cases[i].batch), *pod = cases[i].pod ? yaml(cases[i].pod) : NULL, *out = NULL;
    meta_set_annotation(batch, ANNOTATION_BENCHMARK_REPORT, "s3://b/p");
    struct json_object *event = job_last_event(cases[i].log);
    const struct benchmark_observation in = {.job = job, .batch = batch, .pod = pod, .event = event, .now_ms = 1000};
    struct ome_err err = ERR_INIT;
    assert_int_equal(benchmark_status(&in, &out, &err), OME_OK);
    assert_string_equal(json_str(out, "state", ""), cases[i].want);
    assert_has(json_str(out, "failureMessage", json_str(out, "details", "")), cases[i].text);
    assert_string_equal(json_str(out, "progress", "none"), cases[i].progress ? cases[i].progress : "none");
    assert_int_equal(json_get(out, "reportURI") != NULL, streq(cases[i].want, "Completed"));
    assert_int_equal(json_flag(out, "partial", false), strstr(cases[i].log, "partial") != NULL);
    json_unref(out);
    json_unref(event);
    json_unref(batch);
    json_unref(pod);
  }
  json_unref(job);
}

/* The same again changes nothing, so that nothing is written. */
static void test_status_settles(void **state) {
  struct json_object *job = yaml(HEAD BY_URL TO_S3);
  struct json_object *batch = yaml("status: {conditions: [{type: Complete, status: 'True'}], completionTime: t}");
  struct json_object *event = job_last_event(DONE);
  struct benchmark_observation in = {.job = job, .batch = batch, .event = event, .now_ms = 1000};
  struct json_object *first = NULL, *second = NULL;
  struct ome_err err = ERR_INIT;
  (void)state;
  assert_false(benchmark_is_over(job));
  assert_int_equal(benchmark_status(&in, &first, &err), OME_OK);
  assert_true(json_set(job, "status", json_object_get(first)));
  assert_true(benchmark_is_over(job));
  in.now_ms = 99000;
  assert_int_equal(benchmark_status(&in, &second, &err), OME_OK);
  assert_true(json_equal(first, second));
  (void)json_set_i64(job, "metadata.generation", 2);
  assert_false(benchmark_is_over(job));
  json_unref(first);
  json_unref(second);
  json_unref(event);
  json_unref(batch);
  json_unref(job);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_native),    cmocka_unit_test(test_annotations),    cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_obstacles), cmocka_unit_test(test_genai_bench),    cmocka_unit_test(test_places),
      cmocka_unit_test(test_status),    cmocka_unit_test(test_status_settles),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
