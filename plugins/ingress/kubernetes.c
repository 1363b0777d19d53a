/* ingress "kubernetes": a networking.k8s.io/v1 Ingress with one host a component. */
#include "../common/entry.h"
#include "../common/plugin.h"
#include "domain.h"

#include <string.h>

#define HOST_MAX 300

static struct json_object *rule(const char *host, struct json_object *backend) {
  struct json_object *r = json_object_new_object();
  struct json_object *paths = json_object_new_array();
  struct json_object *p = json_object_new_object();

  doc_set_str(p, "path", "/");
  doc_set_str(p, "pathType", "Prefix");
  doc_set_str(p, "backend.service.name", doc_str(backend, "app", ""));
  doc_set_int(p, "backend.service.port.number", doc_first_port(backend));
  (void)json_object_array_add(paths, p);
  doc_set_str(r, "host", host);
  doc_set(r, "http.paths", paths);
  return r;
}

/* NAME's host leads to BACKEND. */
static int32_t add_rule(const struct request_docs *d, const char *name, struct json_object *backend,
                        struct json_object *rules, struct ome_err *err) {
  char host[HOST_MAX];
  int32_t rc = domain_host(d, name, host, sizeof(host), err);

  if (rc == OME_OK)
    (void)json_object_array_add(rules, rule(host, backend));
  return rc;
}

/* The service's own host leads to its entry; beside a router or decoder every component has one of its own. */
static int32_t add_rules(const struct request_docs *d, struct json_object *rules, struct ome_err *err) {
  static const char *const kinds[] = {"router", "engine", "decoder"};
  struct json_object *entry = entry_of_service(d->components);

  if (!entry)
    return doc_fail(err, OME_E_INVALID, "ingress kubernetes: the service has neither router nor engine");
  int32_t rc = add_rule(d, doc_str(d->service, "metadata.name", ""), entry, rules, err);
  if (doc_len(d->components) < 2)
    return rc;
  for (size_t i = 0; rc == OME_OK && i < sizeof(kinds) / sizeof(*kinds); i++) {
    struct json_object *c = entry_component(d->components, kinds[i]);
    if (c)
      rc = add_rule(d, doc_str(c, "app", ""), c, rules, err);
  }
  return rc;
}

static struct json_object *ingress(const struct request_docs *d, struct json_object *rules) {
  struct json_object *o = json_object_new_object();
  struct json_object *annotations = doc_at(d->service, "metadata.annotations");
  struct json_object *kept = json_object_new_object();
  const char *class = doc_str(doc_at(d->cluster, "config.ingress"), "ingressClassName", "");

  if (json_object_is_type(annotations, json_type_object)) {
    json_object_object_foreach (annotations, key, value) {
      if (strcmp(key, "kubectl.kubernetes.io/last-applied-configuration") != 0)
        (void)json_object_object_add(kept, key, json_object_get(value));
    }
  }
  doc_set_str(o, "apiVersion", "networking.k8s.io/v1");
  doc_set_str(o, "kind", "Ingress");
  doc_share(o, "metadata.name", doc_at(d->service, "metadata.name"));
  doc_share(o, "metadata.namespace", doc_get(doc_item(d->components, 0), "namespace"));
  doc_set(o, "metadata.annotations", kept);
  if (*class)
    doc_set_str(o, "spec.ingressClassName", class);
  doc_set(o, "spec.rules", rules);
  return o;
}

static int32_t render(void *self, const struct ome_call *call, const struct ome_render_req *req,
                      struct ome_object_sink *out, struct ome_err *err) {
  struct request_docs d;
  int32_t rc = docs_open(req, &d, err);

  (void)self, (void)call;
  if (rc != OME_OK)
    return rc;
  struct json_object *rules = json_object_new_array();
  rc = add_rules(&d, rules, err);
  if (rc == OME_OK)
    rc = doc_push(out, ingress(&d, rules), err);
  else
    (void)json_object_put(rules);
  docs_close(&d);
  return rc;
}

static int32_t observe(void *self, const struct ome_call *call, const struct ome_render_req *req,
                       struct ome_bytes observed, struct ome_status *out, struct ome_err *err) {
  struct json_object *list = NULL;
  struct request_docs d;
  char host[HOST_MAX];
  int32_t rc = docs_open(req, &d, err);

  (void)self, (void)call;
  if (rc != OME_OK)
    return rc;
  rc = doc_parse(observed, &list, err);
  if (rc == OME_OK)
    rc = domain_host(&d, doc_str(d.service, "metadata.name", ""), host, sizeof(host), err);
  if (rc == OME_OK) {
    int there = doc_item(list, 0) != NULL;
    out->phase = there ? OME_PHASE_READY : OME_PHASE_PENDING;
    doc_text(out->reason, sizeof(out->reason), "%s", there ? "" : "IngressNotReady");
    doc_text(out->message, sizeof(out->message), "%s", there ? "" : "the Ingress does not exist yet");
    doc_text(out->url, sizeof(out->url), "%s://%s",
             domain_setting(&d, "urlScheme", "ome.io/ingress-url-scheme", "http"), host);
  }
  (void)json_object_put(list);
  docs_close(&d);
  return rc;
}

static int32_t needs(void *self, const struct ome_render_req *req, struct ome_object_sink *out, struct ome_err *err) {
  static const char api[] = "{\"group\":\"networking.k8s.io\",\"version\":\"v1\",\"kind\":\"Ingress\"}";

  (void)self, (void)req;
  int32_t rc = out->object(out, (struct ome_bytes){api, sizeof(api) - 1});
  return rc == OME_OK ? OME_OK : doc_fail(err, rc, "the host did not take an API kind");
}

RENDER_PLUGIN(OME_KIND_INGRESS, "ingress-kubernetes", "kubernetes", "Reaches a service through an Ingress");
