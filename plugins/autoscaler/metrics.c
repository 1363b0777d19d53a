#include "metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum shape {
  GAUGE,   /* summed */
  PERCENT, /* a fraction, summed, in percent */
  RATE,    /* a counter's growth a second, summed */
  QUANTILE /* of a histogram in seconds, in milliseconds */
};

/* Engines have renamed some of their series: the present name, then the one before it. */
struct metric {
  const char *name;
  enum shape shape;
  const char *target;
  const char *vllm[2];
  const char *sglang[2];
  const char *vllm_pods, *sglang_pods; /* as prometheus-adapter's own rules name them */
};

static const struct metric metrics[] = {
    {"kv-cache-usage",
     PERCENT,
     "80",
     {"vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"},
     {"sglang:token_usage", NULL},
     "vllm:kv_cache_usage_perc",
     "sglang:token_usage"},
    {"running-requests",
     GAUGE,
     "16",
     {"vllm:num_requests_running", NULL},
     {"sglang:num_running_reqs", NULL},
     "vllm:num_requests_running",
     "sglang:num_running_reqs"},
    {"waiting-requests",
     GAUGE,
     "4",
     {"vllm:num_requests_waiting", NULL},
     {"sglang:num_queue_reqs", NULL},
     "vllm:num_requests_waiting",
     "sglang:num_queue_reqs"},
    {"tokens-per-second",
     RATE,
     "1000",
     {"vllm:generation_tokens_total", NULL},
     {"sglang:generation_tokens_total", NULL},
     "vllm:generation_tokens",
     "sglang:generation_tokens"},
    {"requests-per-second",
     RATE,
     "5",
     {"vllm:request_success_total", NULL},
     {"sglang:num_requests_total", NULL},
     "vllm:request_success",
     "sglang:num_requests"},
    {"time-to-first-token",
     QUANTILE,
     "2000",
     {"vllm:time_to_first_token_seconds_bucket", NULL},
     {"sglang:time_to_first_token_seconds_bucket", NULL},
     NULL,
     NULL},
    {"inter-token-latency",
     QUANTILE,
     "100",
     {"vllm:inter_token_latency_seconds_bucket", "vllm:time_per_output_token_seconds_bucket"},
     {"sglang:inter_token_latency_seconds_bucket", "sglang:time_per_output_token_seconds_bucket"},
     NULL,
     NULL},
    {"request-latency",
     QUANTILE,
     "30000",
     {"vllm:e2e_request_latency_seconds_bucket", NULL},
     {"sglang:e2e_request_latency_seconds_bucket", NULL},
     NULL,
     NULL},
};

const struct metric *metric_find(const char *name) {
  for (size_t i = 0; i < sizeof(metrics) / sizeof(*metrics); i++)
    if (strcmp(metrics[i].name, name) == 0)
      return &metrics[i];
  return NULL;
}

const char *metric_names(void) {
  return "kv-cache-usage, running-requests, waiting-requests, tokens-per-second, requests-per-second, "
         "time-to-first-token, inter-token-latency or request-latency";
}

const char *metric_default_target(const struct metric *m) {
  return m->target;
}

const char *metric_type(const struct metric *m) {
  return m->shape == QUANTILE ? "Value" : "AverageValue";
}

/* ---- PromQL ------------------------------------------------------------------------------------------------------ */

struct text {
  char *at;
  size_t left;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *fmt, ...) {
  va_list ap;

  va_start(ap, fmt);
  int n = vsnprintf(t->at, t->left, fmt, ap);
  va_end(ap);
  size_t used = n > 0 && (size_t)n < t->left ? (size_t)n : t->left ? t->left - 1 : 0;
  t->at += used;
  t->left -= used;
}

/* One or more series, of which those that exist count: "or" joins by labels, and no pod runs two engines. */
static void add_series(struct text *t, const struct metric *m, const struct metric_query *q) {
  const char *const *lists[] = {m->vllm, m->sglang};
  const char *const engines[] = {"vllm", "sglang"};
  int rate = m->shape == RATE || m->shape == QUANTILE;
  int first = 1;

  for (size_t e = 0; e < 2; e++) {
    if (q->engine && strcmp(q->engine, engines[e]) != 0)
      continue;
    for (size_t i = 0; i < 2 && lists[e][i]; i++) {
      add(t, "%s%s%s{namespace=\"%s\",ome_io_inferenceservice=\"%s\",component=\"%s\"}", first ? "" : " or ",
          rate ? "rate(" : "", lists[e][i], q->ns, q->service, q->component);
      if (rate)
        add(t, "[%s])", q->window);
      first = 0;
    }
  }
}

void metric_query(const struct metric *m, const struct metric_query *q, char out[METRIC_QUERY_MAX]) {
  struct text t = {out, METRIC_QUERY_MAX};

  out[0] = '\0';
  if (m->shape == QUANTILE)
    add(&t, "1000 * histogram_quantile(%s, sum by (le) (", q->quantile);
  else
    add(&t, "%ssum(", m->shape == PERCENT ? "100 * " : "");
  add_series(&t, m, q);
  add(&t, m->shape == QUANTILE ? "))" : ")");
}

const char *metric_of_pods(const struct metric *m, const char *engine) {
  return engine ? (strcmp(engine, "vllm") == 0 ? m->vllm_pods : m->sglang_pods) : NULL;
}

/* ---- engines ----------------------------------------------------------------------------------------------------- */

static int mentions(struct json_object *v, const char *word) {
  if (json_object_is_type(v, json_type_string))
    return strstr(json_object_get_string(v), word) != NULL;
  for (size_t i = 0; i < doc_len(v); i++)
    if (mentions(doc_item(v, i), word))
      return 1;
  return 0;
}

const char *metric_engine(struct json_object *component) {
  static const char *const engines[] = {"sglang", "vllm"};
  static const char *const places[] = {"image", "command", "args"};
  struct json_object *containers = doc_at(component, "podSpec.containers");
  const char *serving = doc_str(component, "container", "");

  for (size_t i = 0; i < doc_len(containers); i++) {
    struct json_object *c = doc_item(containers, i);
    for (size_t e = 0; strcmp(doc_str(c, "name", ""), serving) == 0 && e < 2; e++)
      for (size_t p = 0; p < sizeof(places) / sizeof(*places); p++)
        if (mentions(doc_get(c, places[p]), engines[e]))
          return engines[e];
  }
  return NULL;
}
