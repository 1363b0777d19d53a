/* Result files as genai-bench writes them, for the tools that read those: experiment_metadata.json, and a file a run
 * with "aggregated_metrics" and "individual_request_metrics" (genai_bench/protocol.py and metrics/metrics.py, release
 * 0.0.4 on). Times are seconds there. */
#include "base/str.h"
#include "bench/report.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum genai_field {
  GENAI_TTFT,
  GENAI_TPOT,
  GENAI_E2E,
  GENAI_OUTPUT_LATENCY,
  GENAI_SPEED,
  GENAI_INPUT,
  GENAI_OUTPUT,
  GENAI_TOTAL,
  GENAI_INPUT_THROUGHPUT,
  GENAI_OUTPUT_THROUGHPUT,
  GENAI_FIELDS
};

static const char *const fields[GENAI_FIELDS] = {
    [GENAI_TTFT] = "ttft",
    [GENAI_TPOT] = "tpot",
    [GENAI_E2E] = "e2e_latency",
    [GENAI_OUTPUT_LATENCY] = "output_latency",
    [GENAI_SPEED] = "output_inference_speed",
    [GENAI_INPUT] = "num_input_tokens",
    [GENAI_OUTPUT] = "num_output_tokens",
    [GENAI_TOTAL] = "total_tokens",
    [GENAI_INPUT_THROUGHPUT] = "input_throughput",
    [GENAI_OUTPUT_THROUGHPUT] = "output_throughput",
};

/* By genai-bench's own definitions: what is not streamed has its first token at the end. */
static void measure(const struct run_record *r, double v[GENAI_FIELDS]) {
  double ttft = (r->ttft_ms > 0 ? r->ttft_ms : r->e2e_ms) / 1e3;
  double later = r->output_tokens > 1 ? r->output_tokens - 1 : 0;

  v[GENAI_TTFT] = ttft;
  v[GENAI_E2E] = r->e2e_ms / 1e3;
  v[GENAI_OUTPUT_LATENCY] = v[GENAI_E2E] - ttft;
  v[GENAI_TPOT] = later > 0 ? v[GENAI_OUTPUT_LATENCY] / later : 0;
  v[GENAI_SPEED] = v[GENAI_TPOT] > 0 ? 1 / v[GENAI_TPOT] : 0;
  v[GENAI_INPUT] = r->input_tokens;
  v[GENAI_OUTPUT] = r->output_tokens;
  v[GENAI_TOTAL] = (double)r->input_tokens + r->output_tokens;
  v[GENAI_INPUT_THROUGHPUT] = ttft > 0 ? r->input_tokens / ttft : 0;
  v[GENAI_OUTPUT_THROUGHPUT] = v[GENAI_OUTPUT_LATENCY] > 0 ? later / v[GENAI_OUTPUT_LATENCY] : 0;
}

static bool is_count(int field) {
  return field >= GENAI_INPUT && field <= GENAI_TOTAL;
}

static struct json_object *number_of(int field, double v) {
  return is_count(field) ? json_object_new_int64((int64_t)v) : json_object_new_double(v);
}

/* It has HTTP statuses only: what failed without one gets the nearest. */
static int code_of(const struct run_record *r) {
  if (r->status >= 400)
    return r->status;
  return r->error == RUN_TIMEOUT || r->error == RUN_STALL ? 408 : r->error == RUN_CONNECTION ? 503 : 502;
}

static struct json_object *individual(const struct run_record *r) {
  struct json_object *o = json_object_new_object();
  double v[GENAI_FIELDS];
  bool failed = r->error != RUN_OK;

  measure(r, v);
  for (int i = 0; o && i < GENAI_FIELDS; i++)
    (void)json_set(o, fields[i], failed ? NULL : number_of(i, v[i]));
  (void)json_set(o, "error_code", failed ? json_object_new_int(code_of(r)) : NULL);
  (void)json_set(o, "error_message", failed ? json_object_new_string(run_error_name((enum run_error)r->error)) : NULL);
  return o;
}

/* ---- aggregates -------------------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;

  return x < y ? -1 : x > y;
}

/* As numpy.percentile does: linear between the neighbours. */
static double percentile(const double *sorted, size_t n, double percent) {
  double at = percent / 100 * (double)(n - 1);
  size_t i = (size_t)at;

  return i + 1 < n ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

static struct json_object *statistics(double *values, size_t n) {
  static const int percents[] = {25, 50, 75, 90, 95, 99};
  struct json_object *o = json_object_new_object();
  double sum = 0, squares = 0;
  char name[8];

  qsort(values, n, sizeof(*values), ascending);
  for (size_t i = 0; i < n; i++)
    sum += values[i];
  for (size_t i = 0; i < n; i++)
    squares += (values[i] - sum / (double)n) * (values[i] - sum / (double)n);
  (void)json_set(o, "min", n ? json_object_new_double(values[0]) : NULL);
  (void)json_set(o, "max", n ? json_object_new_double(values[n - 1]) : NULL);
  (void)json_set(o, "mean", n ? json_object_new_double(sum / (double)n) : NULL);
  (void)json_set(o, "stddev", n ? json_object_new_double(sqrt(squares / (double)n)) : NULL);
  (void)json_set(o, "sum", n ? json_object_new_double(sum) : NULL);
  for (size_t i = 0; i < ARRAY_LEN(percents); i++) {
    (void)snprintf(name, sizeof(name), "p%d", percents[i]);
    (void)json_set(o, name, n ? json_object_new_double(percentile(values, n, percents[i])) : NULL);
  }
  return o;
}

static struct json_object *all_statistics(const struct run *r) {
  struct json_object *o = json_object_new_object();
  _cleanup_free_ double *values = calloc(r->records.len + 1, sizeof(*values));

  for (int f = 0; values && f < GENAI_FIELDS; f++) {
    size_t n = 0;
    for (size_t i = 0; i < r->records.len; i++) {
      double v[GENAI_FIELDS];
      if (r->records.items[i].error != RUN_OK)
        continue;
      measure(&r->records.items[i], v);
      values[n++] = v[f];
    }
    (void)json_set(o, fields[f], statistics(values, n));
  }
  return o;
}

static struct json_object *error_codes(const struct run *r) {
  struct json_object *o = json_object_new_object();
  char code[8];

  for (size_t i = 0; i < r->records.len; i++) {
    if (r->records.items[i].error == RUN_OK)
      continue;
    (void)snprintf(code, sizeof(code), "%d", code_of(&r->records.items[i]));
    (void)json_set_i64(o, code, json_i64(o, code, 0) + 1);
  }
  return o;
}

static struct json_object *aggregated(const struct run *r) {
  struct json_object *o = json_object_new_object();
  double seconds = r->seconds > 0 ? r->seconds : 1e-9;
  double all = r->requests ? (double)r->requests : 1;

  (void)json_set_str(o, "scenario", r->scenario);
  (void)json_set_i64(o, "num_concurrency", r->concurrency);
  (void)json_set_i64(o, "batch_size", 1);
  (void)json_set_str(o, "iteration_type", "num_concurrency");
  (void)json_set(o, "run_duration", json_object_new_double(r->seconds));
  (void)json_set(o, "mean_output_throughput_tokens_per_s", json_object_new_double((double)r->output_tokens / seconds));
  (void)json_set(o, "mean_input_throughput_tokens_per_s", json_object_new_double((double)r->input_tokens / seconds));
  (void)json_set(o, "mean_total_tokens_throughput_tokens_per_s",
                 json_object_new_double((double)(r->input_tokens + r->output_tokens) / seconds));
  (void)json_set(o, "mean_total_chars_per_hour", json_object_new_double(0)); /* characters are not counted here */
  (void)json_set(o, "requests_per_second", json_object_new_double((double)r->completed / seconds));
  (void)json_set(o, "error_codes_frequency", error_codes(r));
  (void)json_set(o, "error_rate", json_object_new_double((double)(r->requests - r->completed) / all));
  (void)json_set_i64(o, "num_error_requests", (int64_t)(r->requests - r->completed));
  (void)json_set_i64(o, "num_completed_requests", (int64_t)r->completed);
  (void)json_set_i64(o, "num_requests", (int64_t)r->requests);
  (void)json_set(o, "stats", all_statistics(r));
  return o;
}

struct json_object *report_genai_run(const struct run *r) {
  struct json_object *o = json_object_new_object();
  struct json_object *each = json_object_new_array();

  for (size_t i = 0; each && i < r->records.len; i++)
    (void)json_add(each, individual(&r->records.items[i]));
  (void)json_set(o, "aggregated_metrics", aggregated(r));
  (void)json_set(o, "individual_request_metrics", each);
  (void)json_set_str(o, "_time_unit", "s");
  return o;
}

char *report_genai_name(const struct run *r, enum bench_task task) {
  char scenario[SCENARIO_TEXT];
  size_t n = 0;

  for (const char *p = r->scenario; *p; p++) { /* "N(480,240)/(300,150)" is "N480_240_300_150" */
    bool gap = n && scenario[n - 1] != '_' && (*p == ',' || *p == '/');
    if (isalnum((unsigned char)*p) || gap)
      scenario[n++] = isalnum((unsigned char)*p) ? *p : '_';
  }
  scenario[n] = '\0';
  return str_printf("%s_%s_concurrency_%u_time_%.0fs.json", scenario, task_facts(task)->ome_name, r->concurrency,
                    ceil(r->seconds));
}

static void copy_fact(struct json_object *to, const char *name, struct json_object *metadata, const char *from) {
  struct json_object *v = json_get(metadata, from);

  (void)json_set(to, name, v ? json_object_new_string(json_object_get_string(v)) : NULL);
}

struct json_object *report_genai_metadata(const struct bench_config *c, const char *folder) {
  struct json_object *o = json_object_new_object();
  struct json_object *ours = report_config(c);

  (void)json_set_str(o, "cmd", "ome bench");
  (void)json_set_str(o, "benchmark_version", "ome " OME_VERSION);
  (void)json_set_str(o, "api_backend", "openai");
  (void)json_set(o, "auth_config", json_object_new_object());
  (void)json_set_str(o, "api_model_name", c->model);
  (void)json_set(o, "server_model_tokenizer", NULL);
  (void)json_set_str(o, "model", c->model);
  (void)json_set_str(o, "task", task_facts(c->task)->ome_name);
  (void)json_set(o, "num_concurrency", json_copy(json_get(ours, "concurrency")));
  (void)json_set(o, "batch_size", NULL);
  (void)json_set_str(o, "iteration_type", "num_concurrency");
  (void)json_set(o, "traffic_scenario", json_copy(json_get(ours, "scenarios")));
  (void)json_set(o, "additional_request_params", c->params ? json_copy(c->params) : json_object_new_object());
  copy_fact(o, "server_engine", c->metadata, "engine");
  copy_fact(o, "server_version", c->metadata, "version");
  copy_fact(o, "server_gpu_type", c->metadata, "gpuType");
  copy_fact(o, "server_gpu_count", c->metadata, "gpuCount");
  (void)json_set_i64(o, "max_time_per_run_s", (int64_t)(c->duration_ns / 1000000000u));
  (void)json_set_i64(o, "max_requests_per_run", (int64_t)c->requests);
  (void)json_set_str(o, "experiment_folder_name", folder);
  (void)json_set_str(o, "metrics_time_unit", "s");
  (void)json_set(o, "dataset_path", c->dataset_name ? json_object_new_string(c->dataset_name) : NULL);
  json_unref(ours);
  return o;
}
