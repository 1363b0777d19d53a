/* ingress "kubernetes": a networking.k8s.io/v1 Ingress with one host a component. */
#include "../common/entry.h"
#include "../common/plugin.h"
#include "site.h"

#include <stdio.h>
#include <string.h>

static struct json_object *rule(const char *host, const char *path, struct json_object *backend) {
  struct json_object *r = json_object_new_object();
  struct json_object *paths = json_object_new_array();
  struct json_object *p = json_object_new_object();

  doc_set_str(p, "path", path);
  doc_set_str(p, "pathType", "Prefix");
  doc_set_str(p, "backend.service.name", doc_str(backend, "app", ""));
  doc_set_int(p, "backend.service.port.number", doc_first_port(backend));
  (void)json_object_array_add(paths, p);
  doc_set_str(r, "host", host);
  doc_set(r, "http.paths", paths);
  return r;
}

/* NAME's hosts lead to BACKEND. */
static int32_t add_rule(const struct request_docs *d, const char *name, struct json_object *backend,
                        struct json_object *rules, struct ome_err *err) {
  struct json_object *hosts = json_object_new_array();
  int32_t rc = site_hosts(d, name, hosts, err);

  for (size_t i = 0; rc == OME_OK && i < doc_len(hosts); i++)
    (void)json_object_array_add(rules, rule(json_object_get_string(doc_item(hosts, i)), "/", backend));
  (void)json_object_put(hosts);
  return rc;
}

/* The path template's way: an Ingress has no word for cutting the path off, so that controllers' annotations do it. */
static int32_t add_path(const struct request_docs *d, struct json_object *entry, struct json_object *rules,
                        struct ome_err *err) {
  char path[SITE_PATH_MAX];
  int32_t rc = site_path(d, path, err);

  if (rc == OME_OK && *path)
    (void)json_object_array_add(
        rules, rule(domain_setting(d, "ingressDomain", "ome.io/ingress-domain", "example.com"), path, entry));
  return rc;
}

/* The service's own host leads to its entry; beside a router or decoder every component has one of its own. */
static int32_t add_rules(const struct request_docs *d, struct json_object *entry, struct json_object *rules,
                         struct ome_err *err) {
  static const char *const kinds[] = {"router", "engine", "decoder"};
  int32_t rc = add_rule(d, doc_str(d->service, "metadata.name", ""), entry, rules, err);

  if (rc == OME_OK)
    rc = add_path(d, entry, rules, err);
  if (doc_len(d->components) < 2)
    return rc;
  for (size_t i = 0; rc == OME_OK && i < sizeof(kinds) / sizeof(*kinds); i++) {
    struct json_object *c = entry_component(d->components, kinds[i]);
    if (c)
      rc = add_rule(d, doc_str(c, "app", ""), c, rules, err);
  }
  return rc;
}

/* One certificate for all hosts. */
static void put_tls(const struct request_docs *d, struct json_object *o, struct json_object *rules) {
  struct json_object *hosts = json_object_new_array();
  struct json_object *list = json_object_new_array();
  struct json_object *tls = json_object_new_object();

  for (size_t i = 0; i < doc_len(rules); i++)
    (void)json_object_array_add(hosts, json_object_get(doc_get(doc_item(rules, i), "host")));
  doc_set(tls, "hosts", hosts);
  doc_set_str(tls, "secretName", site_tls_secret(d));
  (void)json_object_array_add(list, tls);
  doc_set(o, "spec.tls", list);
}

/* ingress-nginx counts by client address; other controllers ignore the annotation. */
static int32_t put_limit(const struct request_docs *d, struct json_object *annotations, struct ome_err *err) {
  int64_t limit = 0;
  char text[32];
  int32_t rc = site_rate_limit(d, &limit, err);

  (void)snprintf(text, sizeof(text), "%lld", (long long)limit);
  if (rc == OME_OK && limit > 0)
    (void)json_object_object_add(annotations, "nginx.ingress.kubernetes.io/limit-rps", json_object_new_string(text));
  return rc;
}

/* All of the service's annotations, as OME copies them: controllers of Ingresses are told what they need that way. */
static struct json_object *annotations_of(const struct request_docs *d) {
  struct json_object *annotations = doc_at(d->service, "metadata.annotations");
  struct json_object *kept = json_object_new_object();

  if (json_object_is_type(annotations, json_type_object)) {
    json_object_object_foreach (annotations, key, value) {
      if (strcmp(key, "kubectl.kubernetes.io/last-applied-configuration") != 0)
        (void)json_object_object_add(kept, key, json_object_get(value));
    }
  }
  return kept;
}

static int32_t push_ingress(const struct request_docs *d, struct json_object *rules, struct ome_object_sink *out,
                            struct ome_err *err) {
  struct json_object *o = site_object(d, "networking.k8s.io/v1", "Ingress", doc_str(d->service, "metadata.name", ""));
  struct json_object *annotations = annotations_of(d);
  const char *class = site_text(d, "ingressClassName", "");
  int32_t rc = put_limit(d, annotations, err);

  doc_set(o, "metadata.annotations", annotations);
  if (*class)
    doc_set_str(o, "spec.ingressClassName", class);
  if (*site_tls_secret(d))
    put_tls(d, o, rules);
  doc_share(o, "spec.rules", rules);
  if (rc == OME_OK)
    return doc_push(out, o, err);
  (void)json_object_put(o);
  return rc;
}

static int32_t render(const struct request_docs *d, struct ome_object_sink *out, struct ome_err *err) {
  struct json_object *entry = entry_of_service(d->components);

  if (!entry)
    return doc_fail(err, OME_E_INVALID, "ingress kubernetes: the service has neither router nor engine");
  if (site_is_local(d))
    return OME_OK;
  struct json_object *rules = json_object_new_array();
  int32_t rc = add_rules(d, entry, rules, err);
  if (rc == OME_OK)
    rc = push_ingress(d, rules, out, err);
  (void)json_object_put(rules);
  return rc;
}

/* An address is no condition of readiness: some controllers never write one. */
static void judge(struct json_object *o, struct ome_status *out) {
  int taken = doc_len(doc_at(o, "status.loadBalancer.ingress")) > 0;

  out->phase = o ? OME_PHASE_READY : OME_PHASE_PENDING;
  doc_text(out->reason, sizeof(out->reason), "%s", o ? "" : "IngressNotReady");
  doc_text(out->message, sizeof(out->message), "%s",
           !o      ? "the Ingress does not exist yet"
           : taken ? ""
                   : "no ingress controller has given the Ingress an address");
}

static int32_t observe(const struct request_docs *d, struct json_object *live, struct ome_status *out,
                       struct ome_err *err) {
  if (site_is_local(d)) {
    site_say_local(d, entry_of_service(d->components), out);
    return OME_OK;
  }
  judge(doc_item(live, 0), out);
  return site_url(d, out->url, sizeof(out->url), err);
}

static const struct api_kind needed = {"networking.k8s.io", "v1", "Ingress"};

RENDER_PLUGIN(OME_KIND_INGRESS, "ingress-kubernetes", "kubernetes", "Reaches a service through an Ingress");
