/* Reports in short, and reports of other tools: what is left of a benchmark where its files are out of reach. */
#include "base/str.h"
#include "bench/report.h"
#include "os/file.h"

#include <dirent.h>
#include <string.h>

#define BRIEF_RUNS 256u /* of a report; a run in short is about 600 bytes, and an object holds a megabyte */
#define GENAI_BYTES ((size_t)64 << 20)
#define GENAI_FILES 1024

struct json_object *report_brief(struct json_object *report) {
  static const char *const kept[] = {"concurrency",
                                     "rate",
                                     "scenario",
                                     "requests",
                                     "completed",
                                     "errors",
                                     "partial",
                                     "seconds",
                                     "inputTokensPerSecond",
                                     "outputTokensPerSecond",
                                     "requestsPerSecond",
                                     "repeats"};
  static const char *const latencies[] = {"ttftMs", "tpotMs", "e2eMs"};
  static const char *const points[] = {"count", "mean", "stddev", "p50", "p99"};
  struct json_object *all = json_object_new_array();
  struct json_object *runs = json_get(report, "runs");

  for (size_t i = 0; all && i < json_len(runs) && i < BRIEF_RUNS; i++) {
    struct json_object *run = json_index(runs, i), *o = json_add_object(all);
    for (size_t k = 0; k < ARRAY_LEN(kept); k++)
      if (json_get(run, kept[k]))
        (void)json_set(o, kept[k], json_copy(json_get(run, kept[k])));
    for (size_t l = 0; l < ARRAY_LEN(latencies); l++)
      for (size_t p = 0; p < ARRAY_LEN(points); p++) {
        struct json_object *v = json_get(json_get(run, latencies[l]), points[p]);
        _cleanup_free_ char *path = str_printf("%s.%s", latencies[l], points[p]);
        if (v && path)
          (void)json_set(o, path, json_copy(v));
      }
  }
  return all;
}

/* ---- genai-bench's ----------------------------------------------------------------------------------------------- */

static void copy_number(struct json_object *to, const char *name, struct json_object *from, const char *path,
                        double scale) {
  struct json_object *v = json_at(from, path);

  if (json_is(v, json_type_double) || json_is(v, json_type_int))
    (void)json_set(to, name, json_object_new_double(json_object_get_double(v) * scale));
}

/* Seconds there, milliseconds here. */
static void copy_latency(struct json_object *to, const char *name, struct json_object *metrics, const char *field,
                         double scale) {
  static const char *const points[] = {"mean", "stddev", "min", "p50", "p90", "p95", "p99", "max"};

  if (!json_at(json_at(metrics, "stats"), field))
    return;
  for (size_t i = 0; i < ARRAY_LEN(points); i++) {
    _cleanup_free_ char *path = str_printf("stats.%s.%s", field, points[i]);
    _cleanup_free_ char *own = str_printf("%s.%s", name, points[i]);
    if (path && own)
      copy_number(to, own, metrics, path, scale);
  }
  struct json_object *n = json_get(metrics, "num_completed_requests");
  if (n && json_get(to, name))
    (void)json_set(json_get(to, name), "count", json_copy(n));
}

/* new: one of "runs" from a result file of genai-bench; NULL: it is none. */
static struct json_object *run_of_genai(struct json_object *doc) {
  static const struct {
    const char *name, *path;
  } numbers[] = {{"requests", "num_requests"},
                 {"completed", "num_completed_requests"},
                 {"concurrency", "num_concurrency"}},
    rates[] = {{"seconds", "run_duration"},
               {"inputTokensPerSecond", "mean_input_throughput_tokens_per_s"},
               {"outputTokensPerSecond", "mean_output_throughput_tokens_per_s"},
               {"requestsPerSecond", "requests_per_second"}};
  struct json_object *m = json_get(doc, "aggregated_metrics");
  struct json_object *run = json_is(m, json_type_object) ? json_object_new_object() : NULL;
  double scale = streq(json_str(doc, "_time_unit", "s"), "ms") ? 1 : 1000;

  if (!run)
    return NULL;
  (void)json_set_str(run, "scenario", json_str(m, "scenario", "dataset"));
  for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
    (void)json_set_i64(run, numbers[i].name, json_i64(m, numbers[i].path, 0));
  for (size_t i = 0; i < ARRAY_LEN(rates); i++)
    copy_number(run, rates[i].name, m, rates[i].path, 1);
  copy_latency(run, "ttftMs", m, "ttft", scale);
  copy_latency(run, "tpotMs", m, "tpot", scale);
  copy_latency(run, "e2eMs", m, "e2e_latency", scale);
  return run;
}

static int is_result(const struct dirent *e) {
  return *e->d_name != '.' && has_suffix(e->d_name, ".json") && !streq(e->d_name, "experiment_metadata.json");
}

/* The results of genai-bench below FOLDER as a report. */
static int32_t read_genai(const char *folder, struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *report = json_object_new_object();
  struct json_object *runs = json_object_new_array();
  struct dirent **names = NULL;
  int n = scandir(folder, &names, is_result, alphasort);
  int32_t rc = n < 0 ? fail_errno(err, "bench: read results", folder) : OME_OK;

  (void)json_set_str(report, "schema", REPORT_SCHEMA);
  (void)json_set(report, "runs", runs);
  for (int i = 0; i < n; i++) {
    _cleanup_free_ char *path = path_join(folder, names[i]->d_name);
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ struct json_object *doc = NULL;
    size_t len = 0;
    free(names[i]);
    if (rc != OME_OK || i >= GENAI_FILES)
      continue;
    rc = path ? file_read(path, GENAI_BYTES, &text, &len, err) : fail_memory(err);
    if (rc == OME_OK && json_parse(text, len, GENAI_BYTES, &doc, err) != OME_OK)
      rc = fail_prefix(err, "bench: %s", path);
    struct json_object *run = rc == OME_OK ? run_of_genai(doc) : NULL;
    if (run)
      (void)json_add(runs, run);
  }
  free(names);
  if (rc == OME_OK && json_len(runs) == 0)
    rc = fail(err, OME_E_NOT_FOUND, "bench: %s: holds no results, neither of ome bench nor of genai-bench", folder);
  if (rc == OME_OK)
    *out = TAKE_PTR(report);
  return rc;
}

int32_t report_read_any(const char *folder, struct json_object **out, struct ome_err *err) {
  _cleanup_free_ char *own = path_join(folder, "report.json");

  if (!own)
    return fail_memory(err);
  return file_exists(own) ? report_read(own, out, err) : read_genai(folder, out, err);
}
