/* ingress "service": the Service that has the InferenceService's own name, in front of its router or engine. */
#include "../common/entry.h"
#include "../common/plugin.h"

#include <string.h>

/* Load balancers are told what they need by annotations of the service. */
static struct json_object *cloud_annotations(struct json_object *service) {
  static const char *const prefixes[] = {"service.beta.kubernetes.io/", "cloud.google.com/", "service.kubernetes.io/"};
  struct json_object *all = doc_at(service, "metadata.annotations");
  struct json_object *out = json_object_new_object();

  if (!json_object_is_type(all, json_type_object))
    return out;
  json_object_object_foreach (all, key, value) {
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
      if (strncmp(key, prefixes[i], strlen(prefixes[i])) == 0)
        (void)json_object_object_add(out, key, json_object_get(value));
  }
  return out;
}

static const char *type_of(struct json_object *service) {
  struct json_object *a = doc_get(doc_at(service, "metadata.annotations"), "ome.io/service-type");
  const char *type = a ? json_object_get_string(a) : "";

  return strcmp(type, "LoadBalancer") == 0 || strcmp(type, "NodePort") == 0 ? type : "ClusterIP";
}

static int is_cluster_local(struct json_object *service) {
  struct json_object *v = doc_get(doc_at(service, "metadata.labels"), "networking.knative.dev/visibility");

  return v && strcmp(json_object_get_string(v), "cluster-local") == 0;
}

/* Whether the entry's pods come in groups, of which only the leader takes requests. */
static int is_grouped(struct json_object *entry) {
  return doc_get(entry, "worker") || strcmp(doc_str(entry, "mode", ""), "MultiNodeRayVLLM") == 0;
}

/* Its labels are those of the service alone: a component's label "app" would put it among the component's objects. */
static struct json_object *entry_service(const struct request_docs *d, struct json_object *entry) {
  const char *name = doc_str(d->service, "metadata.name", "");
  struct json_object *o = json_object_new_object();
  struct json_object *label = doc_get(doc_get(entry, "labels"), "ome.io/inferenceservice");
  struct json_object *labels = json_object_new_object();
  struct json_object *selector = json_object_new_object();
  struct json_object *ports = json_object_new_array();
  struct json_object *port = json_object_new_object();

  (void)json_object_object_add(labels, "ome.io/inferenceservice", json_object_get(label));
  (void)json_object_object_add(labels, "component", json_object_new_string("external-service"));
  (void)json_object_object_add(selector, "ome.io/inferenceservice", json_object_get(label));
  doc_share(selector, "component", doc_get(entry, "component"));
  if (is_grouped(entry)) /* leaders of LeaderWorkerSets have it from us, heads of RayClusters from KubeRay */
    (void)json_object_object_add(selector, "ray.io/node-type", json_object_new_string("head"));
  doc_set_str(port, "name", "http");
  doc_set_int(port, "port", doc_first_port(entry));
  doc_set_int(port, "targetPort", doc_first_port(entry));
  doc_set_str(port, "protocol", "TCP");
  (void)json_object_array_add(ports, port);
  doc_set_str(o, "apiVersion", "v1");
  doc_set_str(o, "kind", "Service");
  doc_set_str(o, "metadata.name", name);
  doc_share(o, "metadata.namespace", doc_get(entry, "namespace"));
  doc_set(o, "metadata.labels", labels);
  doc_set(o, "metadata.annotations", cloud_annotations(d->service));
  doc_set_str(o, "spec.type", type_of(d->service));
  doc_set(o, "spec.selector", selector);
  doc_set(o, "spec.ports", ports);
  return o;
}

static int32_t render(const struct request_docs *d, struct ome_object_sink *out, struct ome_err *err) {
  struct json_object *entry = entry_of_service(d->components);

  if (!entry)
    return doc_fail(err, OME_E_INVALID, "ingress service: the service has neither router nor engine");
  return is_cluster_local(d->service) ? OME_OK : doc_push(out, entry_service(d, entry), err);
}

/* The gateway's URL of the embedded platform: its two "%s" are name and namespace, nothing else in it is a format. */
static void gateway_url(char *out, size_t cap, const char *pattern, const char *name, const char *ns) {
  const char *values[] = {name, ns};
  size_t used = 0;
  size_t next = 0;

  while (*pattern && used + 1 < cap) {
    if (next < 2 && strncmp(pattern, "%s", 2) == 0) {
      doc_text(out + used, cap - used, "%s", values[next++]);
      used += strlen(out + used);
      pattern += 2;
    } else {
      out[used++] = *pattern++;
    }
  }
  out[used] = '\0';
}

static int32_t observe(const struct request_docs *d, struct json_object *live, struct ome_status *out,
                       struct ome_err *err) {
  struct json_object *entry = entry_of_service(d->components);
  const char *name = doc_str(d->service, "metadata.name", "");
  const char *ns = doc_str(entry, "namespace", "default");
  const char *pattern = doc_str(d->cluster, "gatewayUrl", NULL);
  int local = is_cluster_local(d->service);
  int there = local || doc_item(live, 0);

  (void)err;
  out->phase = there ? OME_PHASE_READY : OME_PHASE_PENDING;
  doc_text(out->reason, sizeof(out->reason), "%s", there ? "IngressDisabled" : "ServiceNotReady");
  doc_text(out->message, sizeof(out->message), "%s",
           there ? "Ingress creation is disabled, using external service for access"
                 : "the Service does not exist yet");
  if (pattern)
    gateway_url(out->url, sizeof(out->url), pattern, name, ns);
  else
    doc_service_url(out->url, sizeof(out->url), local ? doc_str(entry, "app", "") : name, ns, d->cluster,
                    doc_first_port(entry));
  return OME_OK;
}

static const struct api_kind needed = {0};

RENDER_PLUGIN(OME_KIND_INGRESS, "ingress-service", "service", "Reaches a service through a Service of its name");
