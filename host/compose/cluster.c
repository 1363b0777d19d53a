#include "compose/cluster.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* Without the ConfigMap the chart's defaults hold: no ingress object, a Service named like the InferenceService. */
static const char default_config[] =
    "{\"deploy\":{\"defaultDeploymentMode\":\"RawDeployment\"},"
    "\"ingress\":{\"disableIngressCreation\":true,\"domainTemplate\":\"{{ .Name }}.{{ .Namespace }}.{{ .IngressDomain }}\","
    "\"enableGatewayAPI\":false,\"ingressDomain\":\"example.com\"},"
    "\"router\":{\"image\":\"docker.io/lmsysorg/sgl-model-gateway:v0.3.1\",\"resources\":{\"limits\":{\"cpu\":\"2\","
    "\"memory\":\"4Gi\"},\"requests\":{\"cpu\":\"1\",\"memory\":\"2Gi\"}}}}";

/* Lays the ConfigMap's data, JSON text per key, over the defaults. */
static int32_t read_config(struct json_object *map, struct json_object *config, struct ome_err *err) {
  struct json_object *data = json_get(map, "data");

  if (!json_is(data, json_type_object))
    return OME_OK;
  json_object_object_foreach (data, key, value) {
    _cleanup_json_ struct json_object *parsed = NULL;
    const char *text = json_object_get_string(value);
    int32_t rc = json_parse(text ? text : "", text ? strlen(text) : 0, 0, &parsed, err);
    if (rc != OME_OK)
      return fail_prefix(err, "ConfigMap inferenceservice-config: key %s", key);
    /* A key that is given stands as a whole for switches that its author left out: they are off. */
    if (streq(key, "ingress") && !json_get(parsed, "disableIngressCreation"))
      json_set_bool(config, "ingress.disableIngressCreation", false);
    struct json_object *section = json_get(config, key);
    struct json_object *merged = section ? json_merge_patch(json_object_get(section), parsed) : json_object_get(parsed);
    if (!json_put(config, key, merged))
      return fail_memory(err);
  }
  return OME_OK;
}

static bool put_texts(struct json_object *o, const struct cluster_facts *facts) {
  return json_set_str(o, "document", "ome.io/cluster/1") &&
         json_set_str(o, "domain", facts->domain ? facts->domain : "cluster.local") &&
         json_set_str(o, "omeNamespace", facts->ome_namespace ? facts->ome_namespace : "ome") &&
         (!facts->gateway_url || json_set_str(o, "gatewayUrl", facts->gateway_url)) &&
         (!facts->program || json_set_str(o, "program", facts->program)) &&
         (!facts->plugins_conf || json_set_str(o, "pluginsConf", facts->plugins_conf));
}

int32_t cluster_document(const struct cluster_facts *facts, struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *o = json_object_new_object();
  _cleanup_json_ struct json_object *config = NULL;
  _cleanup_json_ struct json_object *apis = json_object_new_array();
  int32_t rc = json_parse(default_config, sizeof(default_config) - 1, 0, &config, err);

  if (rc == OME_OK)
    rc = read_config(facts->config, config, err);
  if (rc != OME_OK)
    return rc;
  for (size_t i = 0; apis && i < facts->napis; i++)
    (void)json_add_str(apis, facts->apis[i]);
  if (!o || !apis || !put_texts(o, facts) || !json_set(o, "apis", TAKE_PTR(apis)) ||
      !json_set(o, "config", TAKE_PTR(config)))
    return fail_memory(err);
  *out = TAKE_PTR(o);
  return OME_OK;
}

int32_t cluster_offline(bool embedded, struct json_object *config, struct json_object **out, struct ome_err *err) {
  enum { EMBEDDED_APIS = 5 }; /* the first of them: what host/local runs */
  static const char *const apis[] = {"v1/Service",
                                     "v1/ConfigMap",
                                     "apps/v1/Deployment",
                                     "leaderworkerset.x-k8s.io/v1/LeaderWorkerSet",
                                     "serving.knative.dev/v1/Service",
                                     "v1/ServiceAccount",
                                     "autoscaling/v2/HorizontalPodAutoscaler",
                                     "policy/v1/PodDisruptionBudget",
                                     "rbac.authorization.k8s.io/v1/Role",
                                     "rbac.authorization.k8s.io/v1/RoleBinding",
                                     "networking.k8s.io/v1/Ingress",
                                     "keda.sh/v1alpha1/ScaledObject",
                                     "gateway.networking.k8s.io/v1/HTTPRoute",
                                     "inference.networking.k8s.io/v1/InferencePool",
                                     "networking.istio.io/v1beta1/VirtualService",
                                     "gateway.envoyproxy.io/v1alpha1/BackendTrafficPolicy",
                                     "ray.io/v1/RayCluster"};
  struct cluster_facts facts = {
      .gateway_url = embedded ? "http://%s.%s.localhost:8080" : NULL,
      .apis = apis,
      .napis = embedded ? EMBEDDED_APIS : ARRAY_LEN(apis),
      .config = config,
  };

  return cluster_document(&facts, out, err);
}

bool cluster_has(struct json_object *cluster, const char *api_version, const char *kind) {
  struct json_object *apis = json_get(cluster, "apis");
  char wanted[192];

  (void)snprintf(wanted, sizeof(wanted), "%s/%s", api_version, kind);
  for (size_t i = 0; i < json_len(apis); i++)
    if (streq(json_object_get_string(json_index(apis, i)), wanted))
      return true;
  return false;
}

const char *cluster_ingress(struct json_object *cluster, struct json_object *service, const char *mode) {
  struct json_object *annotation =
      json_get(json_at(service, "metadata.annotations"), "ome.io/ingress-disable-creation");
  bool disabled = annotation ? streq(json_object_get_string(annotation), "true")
                             : json_flag(cluster, "config.ingress.disableIngressCreation", true);

  struct json_object *provider = json_get(json_at(service, "metadata.annotations"), "ome.io/ingress-provider");
  const char *chosen = provider ? json_object_get_string(provider) : json_str(cluster, "config.ingress.provider", "");

  if (*json_str(cluster, "gatewayUrl", "") || disabled)
    return "service";
  if (*chosen)
    return chosen;
  if (streq(mode, "Serverless"))
    return "istio";
  return json_flag(cluster, "config.ingress.enableGatewayAPI", false) ? "gateway" : "kubernetes";
}
