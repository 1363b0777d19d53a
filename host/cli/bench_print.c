#include "cli/bench.h"

#include "base/str.h"
#include "bench/report.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

struct bench_printer {
  const struct bench_outputs *out;
  const struct bench_config *cfg;
  bool terminal; /* standard error is one */
  bool drawn;
};

bool bench_outputs_valid(const struct bench_outputs *o) {
  return !o->format || streq(o->format, "table") || streq(o->format, "json") || streq(o->format, "yaml");
}

/* ---- while it runs ------------------------------------------------------------------------------------------------
 */

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

static bool on_progress(void *arg, const struct bench_progress *b) {
  struct bench_printer *p = arg;

  if (p->terminal)
    draw(p, b);
  return !cli_signal_within(0);
}

/* genai-bench's file of a run, while its records are there. */
static int32_t on_point(void *arg, const struct run *r, UNUSED struct json_object *figures, struct ome_err *err) {
  struct bench_printer *p = arg;

  if (!p->out->report)
    return OME_OK;
  _cleanup_free_ char *name = report_genai_name(r, p->cfg->task);
  _cleanup_json_ struct json_object *o = report_genai_run(r);
  return name ? report_write_json(p->out->report, name, o, err) : fail_memory(err);
}

int32_t bench_printer_new(const struct bench_outputs *out, struct bench_config *cfg, struct bench_printer **printer,
                          struct ome_err *err) {
  struct bench_printer *p = calloc(1, sizeof(*p));

  if (!p)
    return fail_memory(err);
  p->out = out;
  p->terminal = isatty(STDERR_FILENO) == 1;
  p->cfg = cfg;
  cfg->progress = on_progress;
  cfg->point = on_point;
  cfg->arg = p;
  *printer = p;
  return OME_OK;
}

void bench_printer_free(struct bench_printer *p) {
  free(p);
}

/* ---- afterwards ---------------------------------------------------------------------------------------------------
 */

#define COLUMNS 11

/* One cell, new; "-" where the run has no such figure. */
static char *cell(struct json_object *run, const char *path, const char *format) {
  char text[64];

  if (!json_at(run, path))
    return strdup("-");
  (void)snprintf(text, sizeof(text),
                 streq(format, "0")   ? "%.0f"
                 : streq(format, "1") ? "%.1f"
                                      : "%.2f",
                 report_number(run, path));
  return strdup(text);
}

static void fill_row(struct json_object *run, char *cells[COLUMNS + 1]) {
  static const struct {
    const char *path, *format;
  } columns[] = {{"requests", "0"},
                 {"", "0"},
                 {"ttftMs.p50", "1"},
                 {"ttftMs.p99", "1"},
                 {"tpotMs.p50", "2"},
                 {"e2eMs.p50", "1"},
                 {"e2eMs.p99", "1"},
                 {"requestsPerSecond", "2"},
                 {"outputTokensPerSecond", "1"}};

  cells[0] = strdup(json_str(run, "scenario", ""));
  cells[1] = json_at(run, "rate") ? str_printf("%g/s", report_number(run, "rate"))
                                  : str_printf("%lld", (long long)json_i64(run, "concurrency", 0));
  for (size_t i = 0; i < ARRAY_LEN(columns); i++)
    cells[2 + i] = *columns[i].path
                       ? cell(run, columns[i].path, columns[i].format)
                       : str_printf("%lld", (long long)(json_i64(run, "requests", 0) - json_i64(run, "completed", 0)));
  cells[COLUMNS] = NULL;
}

static void print_table(struct json_object *report) {
  static const char *const head[] = {"SCENARIO", "LOAD",    "REQUESTS", "FAILED", "TTFT P50", "P99",
                                     "TPOT P50", "E2E P50", "P99",      "REQ/S",  "TOKENS/S", NULL};
  struct json_object *runs = json_at(report, "runs");
  size_t n = json_len(runs);
  char *(*cells)[COLUMNS + 1] = calloc(n + 1, sizeof(*cells));
  const char *const **rows = calloc(n + 1, sizeof(*rows));

  for (size_t i = 0; cells && rows && i < n; i++) {
    fill_row(json_index(runs, i), cells[i]);
    rows[i + 1] = (const char *const *)cells[i];
  }
  if (cells && rows) {
    rows[0] = head;
    cli_table(rows, n + 1);
  }
  for (size_t i = 0; cells && i < n; i++)
    for (size_t j = 0; j < COLUMNS; j++)
      free(cells[i][j]);
  free(cells);
  free(rows);
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

static bool any_completed(struct json_object *report) {
  struct json_object *runs = json_at(report, "runs");
  int64_t n = 0;

  for (size_t i = 0; i < json_len(runs); i++)
    n += json_i64(json_index(runs, i), "completed", 0);
  return n > 0;
}

static int32_t write_files(struct bench_printer *p, struct json_object *report, struct ome_err *err) {
  const char *slash = strrchr(p->out->report, '/');
  _cleanup_json_ struct json_object *metadata =
      report_genai_metadata(p->cfg, slash && slash[1] ? slash + 1 : p->out->report);
  int32_t rc = report_write(p->out->report, report, err);

  return rc == OME_OK ? report_write_json(p->out->report, "experiment_metadata.json", metadata, err) : rc;
}

int bench_printer_end(struct bench_printer *p, struct json_object *report, struct ome_err *err) {
  clear(p);
  if (p->out->report && write_files(p, report, err) != OME_OK)
    return cli_fail(err);
  int code = cli_print(report, p->out->format, print_table);
  (void)fflush(stdout);
  print_failures(report);
  return code ? code : any_completed(report) ? 0 : 1;
}
