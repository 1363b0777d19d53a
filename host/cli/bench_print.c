#include "cli/bench.h"
#include "cli/table.h"

#include "base/clock.h"
#include "base/str.h"
#include "bench/report.h"
#include "cli/serve.h"

#include <stdio.h>
#include <string.h>

#define EVENT_MS 1000u /* between two lines about progress */

struct bench_printer {
  struct bench_outputs *out;
  const struct bench_config *cfg;
  bool terminal; /* standard error is one */
  bool events;   /* lines of JSON on standard output instead of a report */
  bool drawn;
  uint64_t told_ms;         /* when the last of them came */
  struct json_object *runs; /* array: the points that are done, for reports on the way */
};

bool bench_outputs_valid(const struct bench_outputs *o) {
  static const char *const formats[] = {"table", "json", "yaml", "events"};

  for (size_t i = 0; i < ARRAY_LEN(formats); i++)
    if (!o->format || streq(o->format, formats[i]))
      return true;
  return false;
}

/* ---- while it runs ----------------------------------------------------------------------------------------------- */

static void draw(struct bench_printer *p, const struct bench_progress *b) {
  char load[64], done[64];

  if (b->rate > 0)
    (void)snprintf(load, sizeof(load), "%g/s", b->rate);
  else
    (void)snprintf(load, sizeof(load), "concurrency %u", b->concurrency);
  if (b->wanted)
    (void)snprintf(done, sizeof(done), "%llu of %llu", (unsigned long long)b->done, (unsigned long long)b->wanted);
  else
    (void)snprintf(done, sizeof(done), "%llu, %.0f of %.0f s", (unsigned long long)b->done, b->seconds,
                   b->wanted_seconds);
  fprintf(stderr, "\r\033[K[%zu/%zu] %s, %s: %s%s requests, %llu running, %llu failed", b->point, b->points,
          b->scenario, load, b->warming ? "warming up, " : "", done, (unsigned long long)b->active,
          (unsigned long long)b->failed);
  p->drawn = true;
}

static void clear(struct bench_printer *p) {
  if (p->drawn)
    fprintf(stderr, "\r\033[K");
  p->drawn = false;
}

static void tell(struct bench_printer *p, const struct bench_progress *b) {
  uint64_t now = mono_ms();

  if (p->told_ms && now - p->told_ms < EVENT_MS)
    return;
  p->told_ms = now;
  _cleanup_json_ struct json_object *o = json_object_new_object();
  (void)json_set_str(o, "event", "progress");
  (void)json_set_i64(o, "point", (int64_t)b->point);
  (void)json_set_i64(o, "points", (int64_t)b->points);
  (void)json_set_str(o, "scenario", b->scenario);
  (void)json_set_i64(o, "concurrency", b->concurrency);
  (void)json_set_i64(o, "requests", (int64_t)b->done);
  (void)json_set_i64(o, "failed", (int64_t)b->failed);
  (void)json_set_i64(o, "seconds", (int64_t)b->seconds);
  printf("%s\n", json_view(o));
  (void)fflush(stdout);
}

static bool on_progress(void *arg, const struct bench_progress *b) {
  struct bench_printer *p = arg;

  if (p->events)
    tell(p, b);
  else if (p->terminal)
    draw(p, b);
  return !cli_signal_within(0);
}

/* The report so far: what becomes of this process, the points that are done are on disk. */
static int32_t write_so_far(struct bench_printer *p, struct json_object *figures, struct ome_err *err) {
  _cleanup_json_ struct json_object *report = json_object_new_object();

  if (!p->runs)
    p->runs = json_object_new_array();
  if (!report || !p->runs || !json_add(p->runs, json_object_get(figures)) ||
      !json_set_str(report, "schema", REPORT_SCHEMA) || !json_set(report, "config", report_config(p->cfg)) ||
      !json_set_bool(report, "partial", true) || !json_set(report, "runs", json_object_get(p->runs)))
    return fail_memory(err);
  return report_write_json(p->out->report, "report.json", report, err);
}

/* And genai-bench's file of a run, while its records are there. */
static int32_t on_point(void *arg, const struct run *r, struct json_object *figures, struct ome_err *err) {
  struct bench_printer *p = arg;

  if (!p->out->report)
    return OME_OK;
  _cleanup_free_ char *name = report_genai_name(r, p->cfg->task);
  _cleanup_json_ struct json_object *o = report_genai_run(r);
  int32_t rc = name ? report_write_json(p->out->report, name, o, err) : fail_memory(err);
  return rc == OME_OK ? write_so_far(p, figures, err) : rc;
}

int32_t bench_printer_new(struct bench_outputs *out, struct bench_config *cfg, struct bench_printer **printer,
                          struct ome_err *err) {
  struct bench_printer *p = calloc(1, sizeof(*p));

  if (!p)
    return fail_memory(err);
  p->out = out;
  p->events = streq(out->format, "events");
  p->terminal = isatty(STDERR_FILENO) == 1;
  p->cfg = cfg;
  cfg->progress = on_progress;
  cfg->point = on_point;
  cfg->arg = p;
  *printer = p;
  return OME_OK;
}

void bench_printer_free(struct bench_printer *p) {
  if (p)
    json_unref(p->runs);
  free(p);
}

/* ---- afterwards -------------------------------------------------------------------------------------------------- */

/* One cell; "-" where the run has no such figure. */
static const char *cell(struct table *t, struct json_object *run, const char *path, int digits) {
  return json_at(run, path) ? table_own(t, str_printf("%.*f", digits, report_number(run, path))) : "-";
}

static void add_run(struct table *t, struct json_object *run) {
  const char *load = json_at(run, "rate")
                         ? table_own(t, str_printf("%g/s", report_number(run, "rate")))
                         : table_own(t, str_printf("%lld", (long long)json_i64(run, "concurrency", 0)));
  long long failed = (long long)(json_i64(run, "requests", 0) - json_i64(run, "completed", 0));
  const char *const cells[] = {json_str(run, "scenario", ""),
                               load,
                               cell(t, run, "requests", 0),
                               table_own(t, str_printf("%lld", failed)),
                               cell(t, run, "ttftMs.p50", 1),
                               cell(t, run, "ttftMs.p99", 1),
                               cell(t, run, "tpotMs.p50", 2),
                               cell(t, run, "e2eMs.p50", 1),
                               cell(t, run, "e2eMs.p99", 1),
                               cell(t, run, "requestsPerSecond", 2),
                               cell(t, run, "outputTokensPerSecond", 1)};

  table_add(t, cells, ARRAY_LEN(cells));
}

static void print_table(struct json_object *report) {
  static const char *const head[] = {"SCENARIO", "LOAD",    "REQUESTS", "FAILED", "TTFT P50", "P99",
                                     "TPOT P50", "E2E P50", "P99",      "REQ/S",  "TOKENS/S"};
  struct json_object *runs = json_at(report, "runs");
  struct table t = {0};

  table_add(&t, head, ARRAY_LEN(head));
  for (size_t i = 0; i < json_len(runs); i++)
    add_run(&t, json_index(runs, i));
  table_print(&t);
}

/* Failures, one line a class, on standard error: the figures are of the others. */
static void print_failures(struct json_object *report) {
  struct json_object *runs = json_at(report, "runs");

  for (size_t i = 0; i < json_len(runs); i++) {
    struct json_object *run = json_index(runs, i);
    struct json_object *errors = json_get(run, "errors");
    if (!errors)
      continue;
    json_object_object_foreach (errors, name, count) {
      fprintf(stderr, "ome: bench: %s: %lld of %lld requests: %s: %s\n", json_str(run, "scenario", ""),
              (long long)json_object_get_int64(count), (long long)json_i64(run, "requests", 0), name,
              json_str(json_get(run, "errorExamples"), name, ""));
    }
    if (json_i64(run, "unsent", 0))
      fprintf(stderr, "ome: bench: %s: %lld requests were due but found no stream; raise --concurrency\n",
              json_str(run, "scenario", ""), (long long)json_i64(run, "unsent", 0));
  }
  if (json_flag(report, "partial", false))
    fprintf(stderr, "ome: bench: ended early; the figures are of what was done until then\n");
}

/* NULL: requests were answered; else what the first that were not came to, new. */
static char *nothing_answered(struct json_object *report) {
  struct json_object *runs = json_at(report, "runs");
  struct json_object *examples = NULL;

  for (size_t i = 0; i < json_len(runs); i++) {
    struct json_object *run = json_index(runs, i);
    if (json_i64(run, "completed", 0))
      return NULL;
    examples = examples ? examples : json_get(run, "errorExamples");
  }
  if (examples) {
    json_object_object_foreach (examples, name, text)
      return str_printf("no request was answered well; %s: %s", name, json_object_get_string(text));
  }
  return strdup("no request was answered");
}

static int32_t write_files(struct bench_printer *p, struct json_object *report, struct ome_err *err) {
  const char *slash = strrchr(p->out->report, '/');
  _cleanup_json_ struct json_object *metadata =
      report_genai_metadata(p->cfg, slash && slash[1] ? slash + 1 : p->out->report);
  int32_t rc = report_write(p->out->report, report, err);

  return rc == OME_OK ? report_write_json(p->out->report, "experiment_metadata.json", metadata, err) : rc;
}

int bench_printer_end(struct bench_printer *p, struct json_object *report, struct ome_err *err) {
  _cleanup_free_ char *nothing = nothing_answered(report);
  int32_t rc = p->out->report ? write_files(p, report, err) : OME_OK;
  bool uploaded = false;

  clear(p);
  if (rc == OME_OK && p->out->upload) {
    rc = bench_upload(p->out, p->out->report, err);
    uploaded = rc == OME_OK;
  }
  int code = nothing ? 1 : 0;
  if (p->events)
    bench_event_end(p->out, report, uploaded, rc == OME_OK ? nothing : err->msg);
  else if (cli_print(report, p->out->format, print_table) != 0)
    code = 1;
  (void)fflush(stdout);
  print_failures(report);
  return rc == OME_OK ? code : cli_fail(err);
}
