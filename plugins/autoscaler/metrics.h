/* What inference engines say of their load, under the names that vLLM and SGLang give it. */
#ifndef PLUGINS_AUTOSCALER_METRICS_H
#define PLUGINS_AUTOSCALER_METRICS_H

#include "../common/doc.h"

#define METRIC_QUERY_MAX 3072

struct metric;

/* By name; NULL: unknown. */
const struct metric *metric_find(const char *name);
/* "kv-cache-usage, running-requests, ..." for messages. */
const char *metric_names(void);
/* The target where none is given. */
const char *metric_default_target(const struct metric *m);
/* KEDA's metricType: "AverageValue" for what adds up over replicas, "Value" for latencies. */
const char *metric_type(const struct metric *m);

struct metric_query {
  const char *ns;
  const char *service;   /* value of label ome.io/inferenceservice */
  const char *component; /* "engine", ... */
  const char *engine;    /* "vllm", "sglang"; NULL: whichever answers */
  const char *window;    /* "1m": what rates are taken over */
  const char *quantile;  /* "0.95": of latencies */
};
/* The PromQL expression into OUT. */
void metric_query(const struct metric *m, const struct metric_query *q, char out[METRIC_QUERY_MAX]);

/* The series that a metrics adapter offers to HorizontalPodAutoscalers for the pods of ENGINE; NULL: none. */
const char *metric_of_pods(const struct metric *m, const char *engine);

/* "vllm" or "sglang", by the serving container's image, command and arguments; NULL: neither. */
const char *metric_engine(struct json_object *component);

#endif
