/* The command lines of a benchmark's containers. */
#include "base/str.h"
#include "compose/benchmark_internal.h"
#include "compose/words.h"
#include "kube/meta.h"

#include <string.h>

/* OPTION for each item of LIST. */
static bool add_each(struct json_object *args, const char *option, struct json_object *list) {
  bool ok = true;

  for (size_t i = 0; ok && i < json_len(list); i++)
    ok = words_add(args, option, json_object_get_string(json_index(list, i)), NULL);
  return ok;
}

static bool add_number(struct json_object *args, const char *option, int64_t n, const char *unit) {
  _cleanup_free_ char *text = str_printf("%lld%s", (long long)n, unit);

  return text && words_add(args, option, text, NULL);
}

static struct json_object *taken(struct json_object *args, bool ok) {
  if (ok)
    return args;
  json_unref(args);
  return NULL;
}

/* ---- what both tools take ---------------------------------------------------------------------------------------- */

static const char *task_of(struct json_object *job) {
  return json_str(job, "spec.task", "text-to-text");
}

/* As genai-bench has them. */
static bool add_concurrency(struct json_object *args, const char *option, struct json_object *job) {
  static const char *const levels[] = {"1", "2", "4", "8", "16", "32", "64", "128", "256"};
  struct json_object *given = json_at(job, "spec.numConcurrency");
  bool ok = add_each(args, option, given);

  for (size_t i = 0; ok && json_len(given) == 0 && i < ARRAY_LEN(levels); i++)
    ok = words_add(args, option, levels[i], NULL);
  return ok;
}

static bool add_destination(const struct benchmark_work *w, struct json_object *args) {
  if (w->output.place == PLACE_CLAIM)
    return true; /* it is written there in the first place */
  bool ok = words_add(args, "--upload", w->out->report_uri, "--parameters-file", AT_JOB "/" FILE_OUTPUT, NULL);

  if (ok && *json_str(w->job, "spec.outputLocation.key", ""))
    ok = words_add(args, "--credentials", AT_CREDENTIALS, NULL);
  return ok && (!w->facts->plugins || words_add(args, "--plugins", w->facts->plugins, NULL));
}

/* Where a dataset is in the pod; NULL: none is asked for. */
static const char *dataset_path(const struct benchmark_work *w) {
  return w->dataset.uri ? AT_DATASET : NULL;
}

/* ---- ome bench --------------------------------------------------------------------------------------------------- */

static bool add_bounds(struct json_object *args, struct json_object *job) {
  int64_t minutes = json_i64(job, "spec.maxTimePerIteration", 0);
  int64_t requests = json_i64(job, "spec.maxRequestsPerIteration", 0);
  bool ok = true;

  if (minutes <= 0 && requests <= 0) {
    minutes = DEFAULT_MINUTES;
    requests = DEFAULT_REQUESTS;
  }
  if (minutes > 0)
    ok = add_number(args, "--duration", minutes, "m");
  return ok && (requests <= 0 || add_number(args, "--requests", requests, ""));
}

static bool add_secrets(struct json_object *args, struct json_object *job) {
  const char *key = json_str(job, "spec.endpoint.apiKeySecret.key", "api-key");
  _cleanup_free_ char *path = str_printf(AT_API_KEY "/%s", key);

  return path && (!json_at(job, "spec.endpoint.apiKeySecret") || words_add(args, "--api-key-file", path, NULL));
}

/* What OME's API has no field for: annotations "ome.io/benchmark-NAME" are options of `ome bench`, which checks them.
 */
static bool add_annotated(const struct benchmark_work *w, struct json_object *args) {
  static const char *const names[] = {"turns",  "rate",  "arrival", "warmup",        "cooldown", "repeat",
                                      "stable", "batch", "timeout", "stall-timeout", "seed"};
  bool ok = true;

  for (size_t i = 0; ok && i < ARRAY_LEN(names); i++) {
    _cleanup_free_ char *annotation = str_printf("ome.io/benchmark-%s", names[i]);
    _cleanup_free_ char *option = str_printf("--%s", names[i]);
    const char *value = annotation ? meta_annotation(w->job, annotation) : NULL;
    ok = annotation && option && (!value || words_add(args, option, value, NULL));
  }
  return ok;
}

/* Only where it is asked for: the figures are the server's own otherwise. */
static bool add_tokenizer(const struct benchmark_work *w, struct json_object *args) {
  _cleanup_free_ char *tokenizer = benchmark_tokenizer(w);

  return !meta_annotation(w->job, TOKENIZER_ANNOTATION) ||
         (tokenizer && words_add(args, "--tokenizer", tokenizer, NULL));
}

struct json_object *benchmark_native_args(const struct benchmark_work *w) {
  struct json_object *args = json_object_new_array();
  const char *dataset = dataset_path(w);
  bool ok =
      words_add(args, "bench", w->url, "--task", task_of(w->job), "--output", "events", NULL) &&
      (!w->model || words_add(args, "--model", w->model, NULL)) &&
      add_each(args, "--scenario", json_at(w->job, "spec.trafficScenarios")) &&
      add_concurrency(args, "--concurrency", w->job) && add_bounds(args, w->job) &&
      words_add(args, "--params-file", AT_JOB "/" FILE_PARAMS, "--metadata-file", AT_JOB "/" FILE_METADATA, NULL) &&
      (!dataset || words_add(args, "--dataset", dataset, NULL)) && add_secrets(args, w->job) &&
      add_annotated(w, args) && add_tokenizer(w, args) && words_add(args, "--report", w->results, NULL) &&
      add_destination(w, args);

  return taken(args, ok);
}

struct json_object *benchmark_upload_args(const struct benchmark_work *w) {
  struct json_object *args = json_object_new_array();
  bool ok = words_add(args, "bench", "upload", w->results, "--output", "events", NULL) && add_destination(w, args);

  return taken(args, ok);
}

struct json_object *benchmark_dataset_args(const struct benchmark_work *w) {
  struct json_object *args = json_object_new_array();
  bool ok = words_add(args, "pull", w->dataset.uri, AT_DATASET, "--parameters-file", AT_JOB "/" FILE_DATASET, NULL);

  if (ok && *json_str(w->job, "spec.dataset.key", ""))
    ok = words_add(args, "--credentials", AT_DATASET_CREDENTIALS, NULL);
  if (ok && w->facts->plugins)
    ok = words_add(args, "--plugins", w->facts->plugins, NULL);
  return taken(args, ok);
}

/* ---- genai-bench ------------------------------------------------------------------------------------------------- */

/* Its names of tasks changed; the others are the same. */
static const char *genai_task(struct json_object *job) {
  const char *task = task_of(job);

  return streq(task, "image-to-text") ? "image-text-to-text" : task;
}

/* How the engine names its model: vLLM's and SGLang's options, as OME reads them. */
static const char *served_name(struct json_object *workload) {
  static const char *const options[] = {"--served-model-name", "--alias", "--model", "--model-path"};
  struct json_object *containers = json_at(workload, "spec.template.spec.containers");

  for (size_t o = 0; o < ARRAY_LEN(options); o++)
    for (size_t c = 0; c < json_len(containers); c++) {
      struct json_object *args = json_get(json_index(containers, c), "args");
      for (size_t i = 0; i < json_len(args); i++) {
        const char *arg = json_object_get_string(json_index(args, i));
        size_t n = strlen(options[o]);
        if (arg && streq(arg, options[o]) && i + 1 < json_len(args))
          return json_object_get_string(json_index(args, i + 1));
        if (arg && strncmp(arg, options[o], n) == 0 && arg[n] == '=')
          return arg + n + 1;
      }
    }
  return "vllm-model";
}

static bool add_genai_service(const struct benchmark_work *w, struct json_object *args) {
  static const struct {
    const char *option, *path;
  } facts[] = {{"--server-engine", "spec.serviceMetadata.engine"},
               {"--server-gpu-type", "spec.serviceMetadata.gpuType"},
               {"--server-version", "spec.serviceMetadata.version"},
               {"--server-gpu-count", "spec.serviceMetadata.gpuCount"}};
  bool ok = true;

  for (size_t i = 0; ok && i < ARRAY_LEN(facts); i++) {
    struct json_object *v = json_at(w->job, facts[i].path);
    if (v)
      ok = words_add(args, facts[i].option, json_object_get_string(v), NULL);
  }
  return ok;
}

static bool add_genai_params(const struct benchmark_work *w, struct json_object *args) {
  _cleanup_json_ struct json_object *params = benchmark_params(w);
  _cleanup_free_ char *text = params ? json_text(params) : NULL;

  return text && (json_empty(params) || words_add(args, "--additional-request-params", text, NULL));
}

struct json_object *benchmark_genai_args(const struct benchmark_work *w) {
  struct json_object *args = json_object_new_array();
  _cleanup_free_ char *tokenizer = benchmark_tokenizer(w);
  int64_t minutes = json_i64(w->job, "spec.maxTimePerIteration", DEFAULT_MINUTES);
  int64_t requests = json_i64(w->job, "spec.maxRequestsPerIteration", DEFAULT_REQUESTS);
  const char *model = w->model ? w->model : served_name(w->facts->workload);
  const char *base = strrchr(w->results, '/');
  _cleanup_free_ char *parent = str_copy(w->results, (size_t)(base - w->results));
  const char *dataset = dataset_path(w);
  bool ok = tokenizer && parent &&
            /* It insists on a key as an argument, and prefers the one in its environment. */
            words_add(args, "benchmark", "--api-backend", w->format, "--api-base", w->url, "--api-key",
                      "MODEL_API_KEY-has-it", "--api-model-name", model, "--task", genai_task(w->job),
                      "--model-tokenizer", tokenizer, NULL) &&
            add_number(args, "--max-time-per-run", minutes, "") &&
            add_number(args, "--max-requests-per-run", requests, "") &&
            add_each(args, "--traffic-scenario", json_at(w->job, "spec.trafficScenarios")) &&
            add_concurrency(args, "--num-concurrency", w->job) && add_genai_params(w, args) &&
            (!dataset || words_add(args, "--dataset-path", dataset, NULL)) &&
            words_add(args, "--experiment-base-dir", parent, "--experiment-folder-name", w->folder, NULL) &&
            add_genai_service(w, args);

  return taken(args, ok);
}
