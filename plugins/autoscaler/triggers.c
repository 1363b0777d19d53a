#include "triggers.h"

#include "metrics.h"
#include "scaler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMETHEUS "http://prometheus-operated.monitoring.svc.cluster.local:9090"
#define FIELD_MAX 160

static const char *first_of(const char *a, const char *b, const char *c) {
  return a && *a ? a : b && *b ? b : c;
}

/* The site's, where a service names none. */
static const char *prometheus(const struct request_docs *d) {
  return first_of(doc_str(doc_at(d->cluster, "config.kedaConfig"), "promServerAddress", NULL), NULL, PROMETHEUS);
}

static const char *service_label(const struct request_docs *d) {
  const char *label = json_object_get_string(doc_get(doc_get(d->component, "labels"), "ome.io/inferenceservice"));

  return label ? label : doc_str(d->service, "metadata.name", "");
}

static struct json_object *new_trigger(const char *type, const char *metric_type) {
  struct json_object *t = json_object_new_object();

  doc_set_str(t, "type", type);
  if (metric_type)
    doc_set_str(t, "metricType", metric_type);
  doc_set(t, "metadata", json_object_new_object());
  return t;
}

static struct metric_query query_for(const struct request_docs *d) {
  return (struct metric_query){
      .ns = doc_str(d->component, "namespace", "default"),
      .service = service_label(d),
      .component = doc_str(d->component, "component", "engine"),
      .engine = metric_engine(d->component),
      .window = "1m",
      .quantile = "0.95",
  };
}

/* ---- type "ome" -------------------------------------------------------------------------------------------------- */

static int is_window(const char *s) {
  size_t digits = strspn(s, "0123456789");

  return digits > 0 && digits < 6 && strlen(s + digits) == 1 && strchr("smh", s[digits]) != NULL;
}

static int32_t read_query(struct json_object *metadata, const char *field, struct metric_query *q,
                          struct ome_err *err) {
  q->engine = doc_str(metadata, "engine", q->engine);
  q->window = doc_str(metadata, "window", q->window);
  q->quantile = doc_str(metadata, "quantile", q->quantile);
  if (q->engine && strcmp(q->engine, "vllm") != 0 && strcmp(q->engine, "sglang") != 0)
    return doc_fail(err, OME_E_INVALID, "%s.metadata.engine: \"%.40s\" is not known: vllm or sglang", field, q->engine);
  if (!is_window(q->window))
    return doc_fail(err, OME_E_INVALID, "%s.metadata.window: \"%.40s\" is no duration such as 90s or 2m", field,
                    q->window);
  if (!scaler_is_positive(q->quantile) || strspn(q->quantile, "0123456789.") != strlen(q->quantile) ||
      strtod(q->quantile, NULL) >= 1)
    return doc_fail(err, OME_E_INVALID, "%s.metadata.quantile: \"%.40s\" must be between 0 and 1", field, q->quantile);
  return OME_OK;
}

/* What KEDA's own Prometheus trigger knows besides goes with it. */
static void copy_metadata(struct json_object *to, struct json_object *from) {
  static const char *const ours[] = {"metric", "target", "engine", "window", "quantile"};

  json_object_object_foreach (from, key, value) {
    int own = 0;
    for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
      own |= strcmp(ours[i], key) == 0;
    if (!own)
      (void)json_object_object_add(to, key, json_object_get(value));
  }
}

static int32_t expand(const struct request_docs *d, struct json_object *given, const char *field,
                      struct json_object *list, struct ome_err *err) {
  struct json_object *metadata = doc_get(given, "metadata");
  struct metric_query q = query_for(d);
  const char *name = doc_str(metadata, "metric", "");
  const struct metric *m = metric_find(name);
  char promql[METRIC_QUERY_MAX];

  if (!m)
    return doc_fail(err, OME_E_INVALID, "%s.metadata.metric: \"%.40s\" is not known: %s", field, name, metric_names());
  const char *target = doc_str(metadata, "target", metric_default_target(m));
  if (!scaler_is_positive(target))
    return doc_fail(err, OME_E_INVALID, "%s.metadata.target: \"%.40s\" must be a number above 0", field, target);
  int32_t rc = read_query(metadata, field, &q, err);
  if (rc != OME_OK)
    return rc;
  metric_query(m, &q, promql);
  struct json_object *t = new_trigger("prometheus", doc_str(given, "metricType", metric_type(m)));
  struct json_object *to = doc_get(t, "metadata");
  doc_set_str(to, "serverAddress", prometheus(d));
  doc_set_str(to, "query", promql);
  doc_set_str(to, "threshold", target);
  copy_metadata(to, metadata);
  doc_share(t, "name", doc_get(given, "name"));
  doc_share(t, "authenticationRef", doc_get(given, "authenticationRef"));
  doc_share(t, "useCachedMetrics", doc_get(given, "useCachedMetrics"));
  (void)json_object_array_add(list, t);
  return OME_OK;
}

/* ---- the block --------------------------------------------------------------------------------------------------- */

static int32_t check_metadata(struct json_object *metadata, const char *field, struct ome_err *err) {
  if (!json_object_is_type(metadata, json_type_object))
    return doc_fail(err, OME_E_INVALID, "%s.metadata: Required value: a map of strings", field);
  json_object_object_foreach (metadata, key, value) {
    if (!json_object_is_type(value, json_type_string))
      return doc_fail(err, OME_E_INVALID, "%s.metadata.%.60s: must be a string, quote it", field, key);
  }
  return OME_OK;
}

int32_t triggers_given(const struct request_docs *d, struct json_object *list, struct ome_err *err) {
  struct json_object *given = doc_get(scaler_block(d->component, "keda"), "triggers");
  int32_t rc = OME_OK;

  if (doc_len(given) == 0)
    return doc_fail(err, OME_E_INVALID, "KedaTriggersRequired: %s.keda.triggers: Required value for class KEDA",
                    scaler_field(d->component));
  for (size_t i = 0; rc == OME_OK && i < doc_len(given); i++) {
    struct json_object *t = doc_item(given, i);
    const char *type = doc_str(t, "type", "");
    char field[FIELD_MAX];
    (void)snprintf(field, sizeof(field), "%s.keda.triggers[%zu]", scaler_field(d->component), i);
    if (!*type)
      return doc_fail(err, OME_E_INVALID, "%s.type: Required value", field);
    rc = check_metadata(doc_get(t, "metadata"), field, err);
    if (rc == OME_OK && strcmp(type, "ome") == 0)
      rc = expand(d, t, field, list, err);
    else if (rc == OME_OK)
      (void)json_object_array_add(list, json_object_get(t));
  }
  return rc;
}

/* ---- older forms ------------------------------------------------------------------------------------------------- */

/* OME's own query, with the labels that pods really carry: OME asked for the component's name where its pods have the
 * service's, and so never found anything. */
static void default_query(const struct request_docs *d, char *out, size_t cap) {
  const char *service = service_label(d);
  const char *component = doc_str(d->component, "component", "engine");

  (void)snprintf(out, cap,
                 "sum(\n"
                 "            avg_over_time(vllm:avg_generation_throughput_toks_per_s{ome_io_inferenceservice=\"%s\","
                 "component=\"%s\"}[5m]) < bool 10\n"
                 "        )\n"
                 "        *\n"
                 "        sum(\n"
                 "            rate(vllm:request_success_total{ome_io_inferenceservice=\"%s\",component=\"%s\"}[1m]) > "
                 "bool 0.50\n"
                 "        )",
                 service, component, service, component);
}

/* QUERY with "%s" as the component's name and "%%" as "%"; any other "%" is PromQL's. */
static struct json_object *custom_query(const char *query, const char *name) {
  size_t cap = strlen(query) + 1;

  for (const char *p = query; (p = strstr(p, "%s")) != NULL; p += 2)
    cap += strlen(name);
  char *text = malloc(cap);
  size_t n = 0;
  while (text && *query) {
    if (strncmp(query, "%s", 2) == 0) {
      memcpy(text + n, name, strlen(name));
      n += strlen(name);
      query += 2;
    } else {
      query += strncmp(query, "%%", 2) == 0;
      text[n++] = *query++;
    }
  }
  struct json_object *out = text ? json_object_new_string_len(text, (int)n) : NULL;
  free(text);
  return out;
}

/* What the service says, by annotation before kedaConfig; NULL: nothing. */
static const char *setting(const struct request_docs *d, const char *annotation, const char *key) {
  return first_of(scaler_annotation(d->component, annotation), doc_str(doc_get(d->component, "kedaConfig"), key, NULL),
                  NULL);
}

static int32_t resource_trigger(const struct request_docs *d, const char *name, struct json_object *list,
                                struct ome_err *err) {
  char text[32];
  int64_t percent = 0;
  int32_t rc = scaler_utilization(d->component, &percent, err);

  if (rc != OME_OK)
    return rc;
  struct json_object *t = new_trigger(name, "Utilization");
  (void)snprintf(text, sizeof(text), "%lld", (long long)percent);
  doc_set_str(t, "metadata.value", text);
  (void)json_object_array_add(list, t);
  return OME_OK;
}

/* scaleMetric where no query is given. */
static const struct metric *older_metric(const char *name) {
  if (strcmp(name, "concurrency") == 0)
    return metric_find("running-requests");
  return strcmp(name, "rps") == 0 ? metric_find("requests-per-second") : NULL;
}

static void put_authentication(const struct request_docs *d, struct json_object *trigger) {
  struct json_object *keda = doc_get(d->component, "kedaConfig");
  const char *name = doc_str(keda, "authenticationRef.name", "");
  const char *modes = doc_str(keda, "authModes", "");

  if (!*name)
    return;
  doc_set_str(trigger, "authenticationRef.name", name);
  doc_set_str(trigger, "authenticationRef.kind", doc_str(keda, "authenticationRef.kind", "TriggerAuthentication"));
  if (*modes)
    doc_set_str(trigger, "metadata.authModes", modes);
}

static void put_query(const struct request_docs *d, const struct metric *m, struct json_object *metadata) {
  const char *own = scaler_annotation(d->component, "autoscaling.keda.sh/prometheus.query");
  const char *custom = doc_str(doc_get(d->component, "kedaConfig"), "customPromQuery", "");
  char text[METRIC_QUERY_MAX];

  if (own) {
    doc_set_str(metadata, "query", own);
  } else if (*custom) {
    doc_set(metadata, "query", custom_query(custom, doc_str(d->component, "name", "")));
  } else {
    struct metric_query q = query_for(d);
    if (m)
      metric_query(m, &q, text);
    else
      default_query(d, text, sizeof(text));
    doc_set_str(metadata, "query", text);
  }
}

int32_t triggers_older(const struct request_docs *d, struct json_object *list, struct ome_err *err) {
  const char *scale_metric = doc_str(d->component, "scaleMetric", "");
  int asked = setting(d, "autoscaling.keda.sh/prometheus.query", "customPromQuery") != NULL;
  const struct metric *m = asked ? NULL : older_metric(scale_metric);
  char number[32];

  if (!asked && (strcmp(scale_metric, "cpu") == 0 || strcmp(scale_metric, "memory") == 0))
    return resource_trigger(d, scale_metric, list, err);
  (void)snprintf(number, sizeof(number), "%lld", (long long)doc_int(d->component, "scaleTarget", 0));
  const char *target = !m ? "10" : scaler_is_positive(number) ? number : metric_default_target(m);
  const char *threshold = first_of(setting(d, "autoscaling.keda.sh/threshold", "scalingThreshold"), target, NULL);
  if (!scaler_is_positive(threshold))
    return doc_fail(err, OME_E_INVALID, "%s.kedaConfig.scalingThreshold: \"%.40s\" must be a number above 0",
                    scaler_field(d->component), threshold);
  struct json_object *t = new_trigger("prometheus", NULL);
  struct json_object *metadata = doc_get(t, "metadata");
  doc_set_str(
      metadata, "serverAddress",
      first_of(setting(d, "autoscaling.keda.sh/prometheus.serverAddress", "promServerAddress"), prometheus(d), NULL));
  doc_set_str(metadata, "metricName", *scale_metric ? scale_metric : "tps");
  doc_set_str(metadata, "threshold", threshold);
  /* KEDA does not read it; those who read the object may. */
  doc_set_str(metadata, "operator",
              first_of(setting(d, "autoscaling.keda.sh/operator", "scalingOperator"), "LessThanOrEqual", NULL));
  put_query(d, m, metadata);
  put_authentication(d, t);
  (void)json_object_array_add(list, t);
  return OME_OK;
}
