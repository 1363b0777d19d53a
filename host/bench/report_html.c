/* The report as one HTML page that opens from disk: no script, nothing loaded, light and dark. */
#include "bench/chart.h"
#include "bench/report.h"

#include <stdio.h>
#include <string.h>

#define MAX_TIMELINES 24u

static const char style[] =
    ":root{--bg:#fff;--fg:#1c2430;--dim:#5b6675;--line:#d9dee5;--card:#f6f8fa;--c0:#1f6fd1;--c1:#c2540a;--c2:#0d8a63;"
    "--c3:#8b3fc4;--c4:#b3246b;--c5:#6b6f00;color-scheme:light dark}"
    "@media(prefers-color-scheme:dark){:root{--bg:#12161c;--fg:#e4e9ef;--dim:#9aa6b5;--line:#313a46;--card:#1a2028;"
    "--c0:#6aaeff;--c1:#ff9d5c;--c2:#4fd3a4;--c3:#c792ff;--c4:#ff80b5;--c5:#d1d45a}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}"
    "main{max-width:1240px;margin:0 auto;padding:20px 16px 48px}h1{font-size:1.5rem;line-height:1.25;margin:0 0 4px;"
    "overflow-wrap:anywhere}h2{font-size:1.1rem;margin:32px 0 10px}p{margin:4px 0;color:var(--dim);overflow-wrap:anywhere}"
    ".warn{color:var(--c1);font-weight:600}.wide{overflow-x:auto;border:1px solid var(--line);border-radius:8px}"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.9rem}"
    "th,td{padding:6px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}"
    "tr:last-child td{border-bottom:0}th{color:var(--dim);font-weight:600;background:var(--card);white-space:normal;"
    "vertical-align:bottom;line-height:1.25}"
    "th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--bg)}"
    "th:first-child{background:var(--card)}.bad{color:var(--c1);font-weight:600}"
    ".grid{display:grid;gap:16px;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr))}"
    "figure{margin:0;padding:12px;border:1px solid var(--line);border-radius:8px;background:var(--card);min-width:0}"
    "figcaption{font-weight:600;margin-bottom:4px}svg{display:block;width:100%;height:auto}"
    "svg text{fill:var(--dim);font:13px system-ui,sans-serif}.axis{stroke:var(--line);stroke-width:1}"
    ".key{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:.85rem;color:var(--dim);margin-top:6px}"
    ".key i{display:inline-block;width:18px;height:0;border-top:3px solid;margin-right:5px;vertical-align:middle}"
    ".key i.dash{border-top-style:dashed}dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 14px;margin:8px 0}"
    "dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}ul{padding-left:18px}li{overflow-wrap:anywhere}";

static void add_table(struct buf *out, struct json_object *runs) {
  char text[32];

  buf_adds(out, "<h2>Figures</h2><div class=wide><table><tr><th>scenario<th>load<th>failed");
  for (size_t i = 0; i < REPORT_COLUMNS; i++)
    buf_addf(out, "<th>%s", report_columns[i].title);
  for (size_t i = 0; i < json_len(runs); i++) {
    struct json_object *run = json_index(runs, i);
    long long failed = (long long)(json_i64(run, "requests", 0) - json_i64(run, "completed", 0));
    report_load(run, text);
    buf_adds(out, "<tr><td>");
    html_text(out, json_str(run, "scenario", ""));
    buf_adds(out, json_flag(run, "partial", false) ? " <span class=bad>partial</span>" : "");
    buf_addf(out, "<td>%s<td%s>%lld", text, failed ? " class=bad" : "", failed);
    for (size_t c = 0; c < REPORT_COLUMNS; c++) {
      report_cell(run, &report_columns[c], text);
      buf_addf(out, "<td>%s", text);
    }
  }
  buf_adds(out, "</table></div>");
}

static void add_confidence(struct buf *out, struct json_object *runs) {
  char load[32], text[200];
  bool any = false;

  for (size_t i = 0; i < json_len(runs); i++) {
    struct json_object *run = json_index(runs, i);
    if (!report_confidence(run, text))
      continue;
    report_load(run, load);
    buf_adds(out, any ? "" : "<h2>95 % confidence</h2><ul>");
    any = true;
    buf_adds(out, "<li>");
    html_text(out, json_str(run, "scenario", ""));
    buf_addf(out, " at %s, %zu repeats: %s", load, json_len(json_get(run, "repeats")), text);
  }
  buf_adds(out, any ? "</ul>" : "");
}

/* ---- plots ------------------------------------------------------------------------------------------------------- */

static bool same_scenario(struct json_object *run, const char *scenario) {
  return strcmp(json_str(run, "scenario", ""), scenario) == 0;
}

/* A line a scenario: X against Y of its runs. */
static void add_lines(struct chart *c, struct json_object *runs, const char *x, const char *y, const char *suffix,
                      bool dashed, bool labels) {
  unsigned color = 0;

  for (size_t i = 0; i < json_len(runs); i++) {
    const char *scenario = json_str(json_index(runs, i), "scenario", "");
    if (i && same_scenario(json_index(runs, i - 1), scenario))
      continue;
    chart_line(c, color++, dashed, "%s%s", scenario, suffix);
    for (size_t j = i; j < json_len(runs) && same_scenario(json_index(runs, j), scenario); j++) {
      struct json_object *run = json_index(runs, j);
      char label[32] = "";
      if (!json_at(run, x) || !json_at(run, y))
        continue;
      if (labels)
        report_load(run, label);
      chart_point(c, report_number(run, x), report_number(run, y), label);
    }
  }
}

static bool has(struct json_object *runs, const char *path) {
  for (size_t i = 0; i < json_len(runs); i++)
    if (json_at(json_index(runs, i), path))
      return true;
  return false;
}

static void add_plots(struct buf *out, struct json_object *runs) {
  bool tokens = has(runs, "ttftMs.p50");
  bool open = json_get(json_index(runs, 0), "rate") != NULL;
  struct chart c;

  buf_adds(out, "<h2>Load</h2><div class=grid>");
  chart_init(&c, tokens ? "Throughput against latency" : "Requests against latency",
             tokens ? "output tokens a second" : "requests a second", "end to end, ms, median");
  add_lines(&c, runs, tokens ? "outputTokensPerSecond" : "requestsPerSecond", "e2eMs.p50", "", false, true);
  chart_write(&c, out);
  if (tokens) {
    chart_init(&c, open ? "Time to first token against rate" : "Time to first token against concurrency",
               open ? "requests a second" : "streams at a time", "ms");
    add_lines(&c, runs, open ? "rate" : "concurrency", "ttftMs.p50", ", p50", false, false);
    add_lines(&c, runs, open ? "rate" : "concurrency", "ttftMs.p99", ", p99", true, false);
    chart_write(&c, out);
  }
  buf_adds(out, "</div>");
}

static void add_timeline(struct buf *out, struct json_object *run) {
  struct json_object *slots = json_get(run, "timeline");
  double width = json_len(slots) > 1 ? report_number(json_index(slots, 1), "seconds") : 1;
  char load[32], title[128];
  bool tokens = json_i64(run, "outputTokens", 0) > 0;
  struct chart c;

  report_load(run, load);
  (void)snprintf(title, sizeof(title), "%s at %s", json_str(run, "scenario", ""), load);
  chart_init(&c, title, "seconds", tokens ? "tokens a second" : "requests a second");
  chart_line(&c, 0, false, "%s", tokens ? "output tokens a second" : "requests a second");
  for (size_t i = 0; i < json_len(slots); i++) {
    struct json_object *s = json_index(slots, i);
    double at = report_number(s, "seconds"), left = report_number(run, "timelineSeconds") - at;
    double seconds = left > 0 && left < width ? left : width; /* the last is as long as there was something in it */
    if (seconds >= width / 4)
      chart_point(&c, at, report_number(s, tokens ? "outputTokens" : "completed") / seconds, "");
  }
  chart_write(&c, out);
}

static void add_timelines(struct buf *out, struct json_object *runs) {
  size_t n = json_len(runs);

  buf_adds(out, "<h2>Over time</h2><div class=grid>");
  for (size_t i = 0; i < n && i < MAX_TIMELINES; i++)
    add_timeline(out, json_index(runs, i));
  buf_adds(out, "</div>");
  if (n > MAX_TIMELINES)
    buf_addf(out, "<p>The first %u of %zu runs.</p>", MAX_TIMELINES, n);
}

/* ---- the page ---------------------------------------------------------------------------------------------------- */

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
      buf_adds(out, any ? "" : "<h2>Failed requests</h2><ul>");
      any = true;
      buf_adds(out, "<li>");
      html_text(out, json_str(run, "scenario", ""));
      buf_addf(out, " at %s: <b>%lld %s</b>: ", load, (long long)json_object_get_int64(count), name);
      html_text(out, json_str(json_get(run, "errorExamples"), name, ""));
    }
  }
  buf_adds(out, any ? "</ul>" : "");
}

/* A value for people: lists by commas, objects as "name: value". */
static void add_value(struct buf *out, struct json_object *v) {
  const char *comma = "";

  if (json_empty(v)) {
    buf_adds(out, "–");
  } else if (json_is(v, json_type_array)) {
    for (size_t i = 0; i < json_len(v); i++, comma = ", ") {
      buf_adds(out, comma);
      add_value(out, json_index(v, i));
    }
  } else if (json_is(v, json_type_object)) {
    json_object_object_foreach (v, name, member) {
      buf_adds(out, comma);
      html_text(out, name);
      buf_adds(out, json_is(member, json_type_object) ? ": {" : ": ");
      add_value(out, member);
      buf_adds(out, json_is(member, json_type_object) ? "}" : "");
      comma = ", ";
    }
  } else if (json_is(v, json_type_double)) {
    buf_addf(out, "%.10g", json_object_get_double(v));
  } else {
    html_text(out, json_object_get_string(v));
  }
}

static void add_facts(struct buf *out, struct json_object *facts) {
  if (!facts)
    return;
  buf_adds(out, "<dl>");
  json_object_object_foreach (facts, name, value) {
    buf_adds(out, "<dt>");
    html_text(out, name);
    buf_adds(out, "<dd>");
    add_value(out, value);
  }
  buf_adds(out, "</dl>");
}

void report_html(struct json_object *report, struct buf *out) {
  struct json_object *runs = json_get(report, "runs");

  buf_adds(out, "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width,"
                "initial-scale=1\"><title>Benchmark of ");
  html_text(out, json_str(report, "config.model", ""));
  buf_addf(out, "</title><style>%s</style><main><h1>Benchmark of ", style);
  html_text(out, json_str(report, "config.model", ""));
  buf_adds(out, "</h1><p>");
  html_text(out, json_str(report, "config.url", ""));
  buf_addf(out, " · %s · %s arrivals · %s to %s · ", json_str(report, "config.task", ""),
           json_str(report, "config.arrival", ""), json_str(report, "startTime", ""), json_str(report, "endTime", ""));
  html_text(out, json_str(report, "config.tool", ""));
  buf_adds(out, "</p>");
  if (json_flag(report, "partial", false))
    buf_adds(out, "<p class=warn>Ended early: the figures are of what was done until then.</p>");
  add_facts(out, json_at(report, "config.metadata"));
  add_table(out, runs);
  add_confidence(out, runs);
  if (json_len(runs)) {
    add_plots(out, runs);
    add_timelines(out, runs);
  }
  add_failures(out, runs);
  buf_adds(out, "<h2>How it was measured</h2>");
  struct json_object *config = json_copy(json_get(report, "config"));
  json_del(config, "metadata"); /* is above */
  add_facts(out, config);
  json_unref(config);
  buf_adds(out, "</main></html>\n");
}
