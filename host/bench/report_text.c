/* The report as Markdown. */
#include "base/str.h"
#include "bench/report.h"

#include <stdio.h>
#include <string.h>

double report_number(struct json_object *run, const char *path) {
  struct json_object *v = json_at(run, path);

  return v ? json_object_get_double(v) : 0;
}

void report_load(struct json_object *run, char out[32]) {
  if (json_get(run, "rate"))
    (void)snprintf(out, 32, "%g/s", report_number(run, "rate"));
  else
    (void)snprintf(out, 32, "%lld", (long long)json_i64(run, "concurrency", 0));
}

const struct report_column report_columns[REPORT_COLUMNS] = {
    {"requests", "requests", 0},
    {"TTFT p50 ms", "ttftMs.p50", 1},
    {"TTFT p99 ms", "ttftMs.p99", 1},
    {"TPOT p50 ms", "tpotMs.p50", 2},
    {"TPOT p99 ms", "tpotMs.p99", 2},
    {"E2E p50 ms", "e2eMs.p50", 1},
    {"E2E p99 ms", "e2eMs.p99", 1},
    {"requests/s", "requestsPerSecond", 2},
    {"output tokens/s", "outputTokensPerSecond", 1},
};

void report_cell(struct json_object *run, const struct report_column *c, char out[32]) {
  if (json_at(run, c->path))
    (void)snprintf(out, 32, "%.*f", c->digits, report_number(run, c->path));
  else
    (void)snprintf(out, 32, "–");
}

bool report_confidence(struct json_object *run, char out[200]) {
  static const struct {
    const char *figure, *before, *after;
  } all[] = {{"outputTokensPerSecond", "", " tokens/s"},
             {"requestsPerSecond", "", " requests/s"},
             {"ttftMs", "TTFT ", " ms"},
             {"tpotMs", "TPOT ", " ms"},
             {"e2eMs", "E2E ", " ms"}};
  struct json_object *o = json_get(run, "confidence");
  size_t len = 0;

  *out = '\0';
  for (size_t i = 0; i < ARRAY_LEN(all) && len < 200; i++) {
    struct json_object *f = json_get(o, all[i].figure);
    double mean = report_number(f, "mean"), margin = report_number(f, "margin");
    int digits = margin >= 10 ? 0 : margin >= 1 ? 1 : margin >= 0.1 ? 2 : 3; /* two that count */
    if (mean > 0)
      len += (size_t)snprintf(out + len, 200 - len, "%s%s%.*f\u00a0±\u00a0%.*f%s", len ? ", " : "", all[i].before,
                              digits, mean, digits, margin, all[i].after);
  }
  return len > 0;
}

/* What would end a cell or begin markup is set apart. */
static void add_text(struct buf *out, const char *text) {
  for (; *text; text++) {
    if (strchr("|\\`*_<[", *text))
      buf_addc(out, '\\');
    buf_addc(out, (unsigned char)*text < ' ' ? ' ' : *text);
  }
}

static void add_rows(struct buf *out, struct json_object *runs) {
  char text[32];

  buf_adds(out, "\n| scenario | load | failed |");
  for (size_t i = 0; i < REPORT_COLUMNS; i++)
    buf_addf(out, " %s |", report_columns[i].title);
  buf_adds(out, "\n|---|---:|---:|");
  for (size_t i = 0; i < REPORT_COLUMNS; i++)
    buf_adds(out, "---:|");
  for (size_t i = 0; i < json_len(runs); i++) {
    struct json_object *run = json_index(runs, i);
    report_load(run, text);
    buf_addf(out, "\n| %s | %s | %lld |", json_str(run, "scenario", ""), text,
             (long long)(json_i64(run, "requests", 0) - json_i64(run, "completed", 0)));
    for (size_t c = 0; c < REPORT_COLUMNS; c++) {
      report_cell(run, &report_columns[c], text);
      buf_addf(out, " %s |", text);
    }
  }
  buf_addc(out, '\n');
}

static void add_failures(struct buf *out, struct json_object *runs) {
  bool any = false;
  char load[32];

  for (size_t i = 0; i < json_len(runs); i++) {
    struct json_object *run = json_index(runs, i);
    struct json_object *errors = json_get(run, "errors");
    if (json_empty(errors))
      continue;
    report_load(run, load);
    json_object_object_foreach (errors, name, count) {
      buf_adds(out, any ? "" : "\n## Failed requests\n\n");
      any = true;
      buf_addf(out, "* %s at %s: %lld %s: ", json_str(run, "scenario", ""), load,
               (long long)json_object_get_int64(count), name);
      add_text(out, json_str(json_get(run, "errorExamples"), name, ""));
      buf_addc(out, '\n');
    }
  }
}

static void add_confidence(struct buf *out, struct json_object *runs) {
  char load[32], text[200];
  bool any = false;

  for (size_t i = 0; i < json_len(runs); i++) {
    struct json_object *run = json_index(runs, i);
    if (!report_confidence(run, text))
      continue;
    report_load(run, load);
    buf_adds(out, any ? "" : "\n95 % confidence:\n\n");
    any = true;
    buf_addf(out, "* %s at %s, %zu repeats: %s\n", json_str(run, "scenario", ""), load,
             json_len(json_get(run, "repeats")), text);
  }
}

void report_markdown(struct json_object *report, struct buf *out) {
  struct json_object *metadata = json_at(report, "config.metadata");

  buf_adds(out, "# Benchmark of ");
  add_text(out, json_str(report, "config.model", ""));
  buf_adds(out, "\n\n");
  add_text(out, json_str(report, "config.url", ""));
  buf_addf(out, ", %s, %s arrivals, %s to %s, by %s.\n", json_str(report, "config.task", ""),
           json_str(report, "config.arrival", ""), json_str(report, "startTime", ""), json_str(report, "endTime", ""),
           json_str(report, "config.tool", ""));
  if (json_flag(report, "partial", false))
    buf_adds(out, "\n**Ended early: the figures are of what was done until then.**\n");
  if (metadata) {
    buf_adds(out, "\n| service | |\n|---|---|\n");
    json_object_object_foreach (metadata, name, value) {
      buf_adds(out, "| ");
      add_text(out, name);
      buf_adds(out, " | ");
      add_text(out, json_object_get_string(value));
      buf_adds(out, " |\n");
    }
  }
  add_rows(out, json_get(report, "runs"));
  add_confidence(out, json_get(report, "runs"));
  add_failures(out, json_get(report, "runs"));
}
