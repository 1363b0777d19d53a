#include "service.h"

#include <string.h>

/* Annotations that speak of pods or scraping and would mislead on a Service. */
static int is_pod_annotation(const char *key) {
  static const char *const prefixes[] = {"k8s.grafana.com/",
                                         "loki.grafana.com/",
                                         "prometheus.io/",
                                         "networking.gke.io/",
                                         "rdma.ome.io/",
                                         "ome.io/inject-model-init",
                                         "ome.io/inject-fine-tuned-adapter",
                                         "ome.io/inject-serving-sidecar"};

  for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
    if (strncmp(key, prefixes[i], strlen(prefixes[i])) == 0)
      return 1;
  return 0;
}

static struct json_object *service_annotations(struct json_object *annotations) {
  struct json_object *out = json_object_new_object();

  if (json_object_is_type(annotations, json_type_object)) {
    json_object_object_foreach (annotations, key, value) {
      if (!is_pod_annotation(key))
        (void)json_object_object_add(out, key, json_object_get(value));
    }
  }
  return out;
}

static const char *annotation(struct json_object *component, const char *key) {
  return json_object_get_string(doc_get(doc_get(component, "annotations"), key));
}

static const char *type_of(struct json_object *component) {
  const char *type = annotation(component, "ome.io/service-type");

  return type && (strcmp(type, "LoadBalancer") == 0 || strcmp(type, "NodePort") == 0) ? type : "ClusterIP";
}

static struct json_object *service_ports(struct json_object *component) {
  struct json_object *ports = doc_get(component, "ports");
  struct json_object *out = json_object_new_array();

  for (size_t i = 0; i < doc_len(ports); i++) {
    struct json_object *p = doc_item(ports, i);
    struct json_object *e = json_object_new_object();
    doc_share(e, "name", doc_get(p, "name"));
    doc_share(e, "port", doc_get(p, "port"));
    doc_share(e, "targetPort", doc_get(p, "port"));
    doc_share(e, "protocol", doc_get(p, "protocol"));
    doc_share(e, "appProtocol", doc_get(p, "appProtocol"));
    (void)json_object_array_add(out, e);
  }
  return out;
}

struct json_object *component_service(struct json_object *component, struct json_object *selector) {
  const char *app = doc_str(component, "app", "");
  struct json_object *o = doc_object("v1", "Service", app, component);
  const char *type = type_of(component);
  const char *ip = annotation(component, "ome.io/load-balancer-ip");

  doc_set_str(o, "metadata.labels.app", app);
  doc_set(o, "metadata.annotations", service_annotations(doc_get(component, "annotations")));
  doc_set_str(o, "spec.type", type);
  doc_set(o, "spec.selector", selector);
  doc_set(o, "spec.ports", service_ports(component));
  if (ip && strcmp(type, "LoadBalancer") == 0)
    doc_set_str(o, "spec.loadBalancerIP", ip);
  return o;
}
