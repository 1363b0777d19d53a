#include "bench/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* To a thousandth: more digits would be noise, and reports are compared by eye too. */
static struct json_object *rounded(double v) {
  double r = round(v * 1000) / 1000;
  char text[64];

  (void)snprintf(text, sizeof(text), "%.3f", r);
  for (size_t n = strlen(text); n > 1 && text[n - 1] == '0' && text[n - 2] != '.'; n--)
    text[n - 1] = '\0';
  return json_object_new_double_s(r, text);
}

static bool set_number(struct json_object *o, const char *path, double v) {
  return json_set(o, path, rounded(v));
}

static struct json_object *latency(const struct histogram *h) {
  static const struct {
    const char *name;
    double percent;
  } points[] = {{"p50", 50}, {"p75", 75}, {"p90", 90}, {"p95", 95}, {"p99", 99}, {"p999", 99.9}};
  struct json_object *o = h->count ? json_object_new_object() : NULL;

  if (!o)
    return NULL;
  (void)json_set_i64(o, "count", (int64_t)h->count);
  (void)set_number(o, "mean", h->mean / 1e6);
  (void)set_number(o, "stddev", histogram_stddev(h) / 1e6);
  (void)set_number(o, "min", (double)h->least / 1e6);
  for (size_t i = 0; i < ARRAY_LEN(points); i++)
    (void)set_number(o, points[i].name, (double)histogram_percentile(h, points[i].percent) / 1e6);
  (void)set_number(o, "max", (double)h->largest / 1e6);
  return o;
}

static struct json_object *errors(const struct run *r) {
  struct json_object *o = json_object_new_object();

  for (int i = RUN_OK + 1; o && i < RUN_ERRORS; i++)
    if (r->errors[i])
      (void)json_set_i64(o, run_error_name((enum run_error)i), (int64_t)r->errors[i]);
  return o;
}

static struct json_object *error_texts(const struct run *r) {
  struct json_object *o = json_object_new_object();

  for (int i = RUN_OK + 1; o && i < RUN_ERRORS; i++)
    if (r->errors[i] && *r->error_text[i])
      (void)json_set_str(o, run_error_name((enum run_error)i), r->error_text[i]);
  return o;
}

static struct json_object *timeline(const struct run *r) {
  struct json_object *all = json_object_new_array();

  for (uint32_t i = 0; all && i < r->nslots; i++) {
    const struct run_slot *s = &r->slots[i];
    struct json_object *o = json_add_object(all);
    if (!o)
      break;
    (void)set_number(o, "seconds", i * r->slot_seconds);
    (void)json_set_i64(o, "completed", s->completed);
    (void)json_set_i64(o, "failed", s->failed);
    (void)json_set_i64(o, "outputTokens", s->tokens);
    (void)json_set_i64(o, "active", s->active);
    (void)json_set(o, "ttftMs", s->ttft_count ? rounded(s->ttft_ms_sum / s->ttft_count) : NULL);
  }
  return all;
}

/* Where the numbers of tokens are from. */
static const char *token_source(const struct run *r) {
  static const char *const names[] = {"pieces", "tokenizer", "usage"};

  for (int i = 0; i < TOKENS_SOURCES; i++)
    if (r->counted[i] && r->counted[i] == r->completed)
      return names[i];
  return r->completed ? "mixed" : "usage";
}

struct json_object *report_run(const struct run *r) {
  struct json_object *o = json_object_new_object();
  double seconds = r->seconds > 0 ? r->seconds : 1e-9;

  if (!o)
    return NULL;
  (void)json_set_i64(o, "concurrency", r->concurrency);
  if (r->rate > 0)
    (void)set_number(o, "rate", r->rate);
  (void)json_set_str(o, "scenario", r->scenario);
  (void)json_set_i64(o, "requests", (int64_t)r->requests);
  (void)json_set_i64(o, "completed", (int64_t)r->completed);
  (void)json_set(o, "errors", errors(r));
  (void)json_set(o, "errorExamples", error_texts(r));
  (void)json_set_i64(o, "cut", (int64_t)r->cut);
  (void)json_set_i64(o, "unsent", (int64_t)r->unsent);
  (void)json_set_bool(o, "partial", r->partial);
  (void)set_number(o, "seconds", r->seconds);
  (void)json_set(o, "ttftMs", latency(&r->ttft));
  (void)json_set(o, "tpotMs", latency(&r->tpot));
  (void)json_set(o, "itlMs", latency(&r->itl));
  (void)json_set(o, "e2eMs", latency(&r->e2e));
  (void)json_set(o, "startDelayMs", latency(&r->late));
  (void)json_set(o, "connectMs", latency(&r->connect));
  (void)json_set_i64(o, "inputTokens", (int64_t)r->input_tokens);
  (void)json_set_i64(o, "outputTokens", (int64_t)r->output_tokens);
  (void)json_set_str(o, "tokenSource", token_source(r));
  (void)set_number(o, "inputTokensPerSecond", (double)r->input_tokens / seconds);
  (void)set_number(o, "outputTokensPerSecond", (double)r->output_tokens / seconds);
  (void)set_number(o, "totalTokensPerSecond", (double)(r->input_tokens + r->output_tokens) / seconds);
  (void)set_number(o, "requestsPerSecond", (double)r->completed / seconds);
  (void)set_number(o, "timelineSeconds", r->timeline_seconds);
  (void)json_set(o, "timeline", timeline(r));
  return o;
}
