/* Pods of services at the door: what their annotations ask for is put into them. */
#include "admission/review.h"

#include "base/str.h"
#include "compose/rdma.h"
#include "kube/meta.h"

#include <string.h>

#define AGGREGATE_PORT 9088
#define PROXY_PORT 9091

/* One key of the ConfigMap inferenceservice-config, parsed; NULL: absent, or no JSON (the controller complains). */
static struct json_object *config_key(struct json_object *config, const char *key) {
  const char *text = json_str(json_get(config, "data"), key, "");
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  return *text && json_parse(text, strlen(text), (size_t)1 << 20, &o, &err) == OME_OK ? o : NULL;
}

/* ---- metrics ----------------------------------------------------------------------------------------------------- */

/* The annotation, set to what the configuration says where it is absent; whether it is "true". */
static bool switched_on(struct json_object *pod, const char *annotation, const char *dflt) {
  if (!meta_annotation(pod, annotation) && *dflt)
    meta_set_annotation(pod, annotation, dflt);
  return streq(meta_annotation(pod, annotation), "true");
}

/* The array at KEY, made where there is none. */
static struct json_object *array_in(struct json_object *container, const char *key) {
  if (!json_is(json_get(container, key), json_type_array))
    (void)json_put(container, key, json_object_new_array());
  return json_get(container, key);
}

static void set_env(struct json_object *container, const char *name, const char *value) {
  struct json_object *list = array_in(container, "env");

  if (json_find(list, "name", name))
    return;
  struct json_object *e = json_add_object(list);
  (void)json_set_str(e, "name", name);
  (void)json_set_str(e, "value", value);
}

/* Knative's proxy collects the engine's metrics beside its own. */
static void aggregate(struct json_object *pod) {
  struct json_object *proxy = json_find(json_at(pod, "spec.containers"), "name", "queue-proxy");
  const char *port = meta_annotation(pod, "prometheus.ome.io/port");
  const char *path = meta_annotation(pod, "prometheus.ome.io/path");

  if (!proxy)
    return;
  set_env(proxy, "CONTAINER_PROMETHEUS_METRICS_PORT", port ? port : "8080");
  set_env(proxy, "CONTAINER_PROMETHEUS_METRICS_PATH", path ? path : "/metrics");
  set_env(proxy, "AGGREGATE_PROMETHEUS_METRICS_PORT", "9088");
  struct json_object *ports = array_in(proxy, "ports");
  if (json_find(ports, "name", "aggr-metric"))
    return;
  struct json_object *p = json_add_object(ports);
  (void)json_set_str(p, "name", "aggr-metric");
  (void)json_set_i64(p, "containerPort", AGGREGATE_PORT);
  (void)json_set_str(p, "protocol", "TCP");
}

static void mutate_metrics(struct json_object *pod, struct json_object *config) {
  _cleanup_json_ struct json_object *settings = config_key(config, "metricsAggregator");
  bool aggregates =
      switched_on(pod, "ome.io/enable-metric-aggregation", json_str(settings, "enableMetricAggregation", ""));

  if (aggregates)
    aggregate(pod);
  if (!switched_on(pod, "ome.io/enable-prometheus-scraping", json_str(settings, "enablePrometheusScraping", "")))
    return;
  _cleanup_free_ char *port = str_printf("%d", aggregates ? AGGREGATE_PORT : PROXY_PORT);
  meta_set_annotation(pod, "prometheus.io/port", port);
  meta_set_annotation(pod, "prometheus.io/path", "/metrics");
}

/* ---- RDMA -------------------------------------------------------------------------------------------------------- */

/* Pods that services are composed of have it already (compose/rdma.h); this is for those of templates of others. */
static int32_t mutate_rdma(struct review *r, struct json_object *pod, struct json_object *config, struct ome_err *err) {
  _cleanup_json_ struct json_object *profiles = config_key(config, "rdmaProfiles");
  int32_t rc = rdma_apply(json_at(pod, "metadata.annotations"), json_get(pod, "spec"), profiles, err);

  if (rc != OME_E_INVALID)
    return rc;
  verdict_deny(r, "%s", err->msg);
  err_clear(err);
  return OME_OK;
}

int32_t mutate_pod(struct review *r, struct ome_err *err) {
  _cleanup_json_ struct json_object *config = NULL;
  int32_t rc = r->lookup->get(r->lookup->arg, &KUBE_CONFIGMAPS, r->lookup->ome_namespace, "inferenceservice-config",
                              &config, err);

  if (rc != OME_OK && rc != OME_E_NOT_FOUND)
    return rc;
  err_clear(err);
  struct json_object *pod = json_copy(r->object);
  if (!pod)
    return fail_memory(err);
  r->verdict->object = pod;
  mutate_metrics(pod, config);
  return mutate_rdma(r, pod, config, err);
}
