#include "bench/report.h"

#include "base/str.h"

static struct json_object *texts(const struct bench_config *c) {
  struct json_object *all = json_object_new_array();
  struct scenario own[BENCH_MAX_POINTS];
  size_t n = c->nscenarios ? c->nscenarios : c->dataset ? 0 : bench_default_scenarios(c->task, own);
  const struct scenario *s = c->nscenarios ? c->scenarios : own;

  for (size_t i = 0; all && i < n; i++)
    (void)json_add_str(all, s[i].text);
  if (all && n == 0)
    (void)json_add_str(all, "dataset");
  return all;
}

static struct json_object *dataset(const struct bench_config *c) {
  struct json_object *o = c->dataset ? json_object_new_object() : NULL;

  if (!o)
    return NULL;
  (void)json_set_str(o, "file", c->dataset_name ? c->dataset_name : "");
  (void)json_set_i64(o, "rows", (int64_t)c->dataset->rows.len);
  (void)json_set_i64(o, "badRows", (int64_t)c->dataset->bad);
  if (c->dataset->bad)
    (void)json_set_str(o, "firstBadRow", c->dataset->first_bad);
  return o;
}

struct json_object *report_config(const struct bench_config *c) {
  static const char *const arrivals[] = {"closed", "constant", "poisson", "ramp", "replay"};
  struct json_object *o = json_object_new_object();
  struct json_object *levels = json_object_new_array();
  struct json_object *rates = json_object_new_array();

  for (size_t i = 0; levels && i < c->nconcurrency; i++)
    (void)json_add(levels, json_object_new_int64(c->concurrency[i]));
  for (size_t i = 0; rates && i < c->nrates; i++)
    (void)json_add(rates, json_object_new_double(c->rates[i]));
  (void)json_set_str(o, "tool", "ome " OME_VERSION);
  (void)json_set_str(o, "url", c->url);
  (void)json_set_str(o, "model", c->model);
  (void)json_set_str(o, "task", task_facts(c->task)->ome_name);
  (void)json_set_bool(o, "stream", c->stream && task_facts(c->task)->generates);
  (void)json_set(o, "scenarios", texts(c));
  (void)json_set(o, "concurrency", levels);
  (void)json_set_str(o, "arrival", arrivals[c->arrival]);
  (void)json_set(o, "rates", rates);
  (void)json_set_str(o, "latenciesFrom", c->arrival == ARRIVAL_CLOSED ? "sending" : "intended start");
  (void)json_set_i64(o, "requests", (int64_t)c->requests);
  (void)json_set(o, "durationSeconds", json_object_new_double((double)c->duration_ns / 1e9));
  (void)json_set_i64(o, "turns", c->turns ? c->turns : 1);
  (void)json_set_i64(o, "warmupRequests", (int64_t)c->warmup);
  (void)json_set_i64(o, "cooldownRequests", (int64_t)c->cooldown);
  (void)json_set_i64(o, "timeoutMs", (int64_t)(c->timeout_ms ? c->timeout_ms : BENCH_TIMEOUT_MS));
  (void)json_set_i64(o, "stallTimeoutMs", (int64_t)(c->stall_ms ? c->stall_ms : BENCH_STALL_MS));
  (void)json_set_i64(o, "repeats", c->repeats ? c->repeats : 1);
  (void)json_set_i64(o, "seed", (int64_t)c->seed);
  (void)json_set(o, "params", c->params ? json_copy(c->params) : NULL);
  (void)json_set(o, "dataset", dataset(c));
  (void)json_set(o, "tokenizer", c->tokenizer ? json_object_new_string(c->tokenizer_name) : NULL);
  (void)json_set(o, "metadata", c->metadata ? json_copy(c->metadata) : NULL);
  return o;
}
