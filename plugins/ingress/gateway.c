/* ingress "gateway": HTTPRoutes of the Gateway API, an InferencePool where an endpoint picker is configured, and a
 * BackendTrafficPolicy (Envoy Gateway) where requests are limited. */
#include "../common/entry.h"
#include "../common/plugin.h"
#include "gateways.h"
#include "site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GATEWAY_GROUP "gateway.networking.k8s.io"
#define POOL_GROUP "inference.networking.k8s.io"

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

/* Whether REF is of the Gateway NAME in NS. */
static int is_ref_to(struct json_object *ref, const char *ns, const char *name) {
  return strcmp(doc_str(ref, "namespace", ""), ns) == 0 && strcmp(doc_str(ref, "name", ""), name) == 0;
}

/* Appends a gateway to LIST; one that is there already has a further host. */
static int32_t add_parent(const struct request_docs *d, struct json_object *list, struct ome_err *err) {
  const char *section = site_text(d, "omeIngressGatewaySection", "");
  const char *name = "";
  char ns[SITE_NS_MAX];
  int32_t rc = site_reference(d, "omeIngressGateway", "ome.io/ingress-gateway", ns, sizeof(ns), &name, err);

  if (rc != OME_OK)
    return rc;
  for (size_t i = 0; i < doc_len(list); i++)
    if (is_ref_to(doc_item(list, i), ns, name))
      return OME_OK;
  struct json_object *p = json_object_new_object();
  doc_set_str(p, "group", GATEWAY_GROUP);
  doc_set_str(p, "kind", "Gateway");
  doc_set_str(p, "namespace", ns);
  doc_set_str(p, "name", name);
  if (*section)
    doc_set_str(p, "sectionName", section);
  (void)json_object_array_add(list, p);
  return OME_OK;
}

static struct json_object *header(const char *name, const char *value) {
  struct json_object *h = json_object_new_object();

  doc_set_str(h, "name", name);
  doc_set_str(h, "value", value);
  return h;
}

static void add_headers(const struct request_docs *d, struct json_object *filters) {
  struct json_object *f = json_object_new_object();
  struct json_object *set = json_object_new_array();

  (void)json_object_array_add(set, header("OMe-Isvc-Name", doc_str(d->service, "metadata.name", "")));
  (void)json_object_array_add(set, header("OME-Isvc-Namespace", doc_str(d->service, "metadata.namespace", "default")));
  doc_set_str(f, "type", "RequestHeaderModifier");
  doc_set(f, "requestHeaderModifier.set", set);
  (void)json_object_array_add(filters, f);
}

static void add_rewrite(struct json_object *filters) {
  struct json_object *f = json_object_new_object();

  doc_set_str(f, "type", "URLRewrite");
  doc_set_str(f, "urlRewrite.path.type", "ReplacePrefixMatch");
  doc_set_str(f, "urlRewrite.path.replacePrefixMatch", "/");
  (void)json_object_array_add(filters, f);
}

/* What a request may take: the component's own, else the site's, else the gateway's. */
static void put_timeout(const struct request_docs *d, struct json_object *component, struct json_object *rule) {
  int64_t seconds = doc_int(component, "timeoutSeconds",
                            doc_int(doc_at(d->cluster, "config.ingress"), "defaultRouteTimeoutSeconds", -1));
  char text[32];

  if (seconds < 0)
    return;
  (void)snprintf(text, sizeof(text), "%llds", (long long)seconds);
  doc_set_str(rule, "timeouts.request", text);
}

static struct json_object *backend(struct json_object *component, const char *pool) {
  struct json_object *b = json_object_new_object();

  if (pool) {
    doc_set_str(b, "group", POOL_GROUP);
    doc_set_str(b, "kind", "InferencePool");
    doc_set_str(b, "name", pool);
    return b;
  }
  doc_set_str(b, "kind", "Service");
  doc_set_str(b, "name", doc_str(component, "app", ""));
  doc_set_int(b, "port", doc_first_port(component));
  return b;
}

/* All below PREFIX goes to COMPONENT, with PREFIX cut off. */
static struct json_object *rule(const struct request_docs *d, struct json_object *component, const char *prefix,
                                const char *pool) {
  struct json_object *r = json_object_new_object();
  struct json_object *matches = json_object_new_array();
  struct json_object *m = json_object_new_object();
  struct json_object *filters = json_object_new_array();
  struct json_object *backends = json_object_new_array();

  doc_set_str(m, "path.type", "PathPrefix");
  doc_set_str(m, "path.value", prefix);
  (void)json_object_array_add(matches, m);
  add_headers(d, filters);
  if (strcmp(prefix, "/") != 0)
    add_rewrite(filters);
  (void)json_object_array_add(backends, backend(component, pool));
  doc_set(r, "matches", matches);
  doc_set(r, "filters", filters);
  doc_set(r, "backendRefs", backends);
  put_timeout(d, component, r);
  return r;
}

/* ---- routes ------------------------------------------------------------------------------------------------------ */

/* Where a route is found: on hosts of its own, or on a host that services share, below a path. */
struct place {
  struct json_object *hosts;
  char prefix[SITE_PATH_MAX];
};

/* perISVCSubdomain and sharedHostPrefix came with OME v1.3, which shares one host unless told otherwise; where neither
 * is given, the domain template says the host as it did before. */
static int is_shared(const struct request_docs *d) {
  struct json_object *site = doc_at(d->cluster, "config.ingress");
  int asked = site_annotation(d, "ome.io/ingress-shared-host-prefix") || doc_get(site, "sharedHostPrefix") ||
              site_annotation(d, "ome.io/ingress-per-isvc-subdomain") || doc_get(site, "perISVCSubdomain");

  return asked && !site_flag(d, "perISVCSubdomain", "ome.io/ingress-per-isvc-subdomain");
}

/* The host that services share at one gateway. */
static int32_t add_shared_host(const struct request_docs *d, struct json_object *hosts, struct ome_err *err) {
  char host[2 * SITE_HOST_MAX];

  (void)snprintf(host, sizeof(host), "%.60s.%.253s",
                 domain_setting(d, "sharedHostPrefix", "ome.io/ingress-shared-host-prefix", "llm"),
                 domain_setting(d, "ingressDomain", "ome.io/ingress-domain", "example.com"));
  if (!domain_is_host(host))
    return doc_fail(err, OME_E_INVALID, "ingress: sharedHostPrefix: invalid domain name \"%s\"", host);
  site_add_host(hosts, host);
  return OME_OK;
}

/* OUT->hosts is new in any case; those at the primary gateway come first. */
static int32_t find_place(const struct gateways *g, const char *name, struct place *out, struct ome_err *err) {
  const struct request_docs *d = g->each;
  int shared = is_shared(d);
  int32_t rc = OME_OK;

  out->hosts = json_object_new_array();
  (void)snprintf(out->prefix, sizeof(out->prefix), "/");
  if (shared)
    (void)snprintf(out->prefix, sizeof(out->prefix), "/%s/%s", doc_str(d->service, "metadata.namespace", "default"),
                   name);
  for (size_t i = 0; i < g->len && rc == OME_OK; i++)
    rc = shared ? add_shared_host(&g->each[i], out->hosts, err) : site_hosts(&g->each[i], name, out->hosts, err);
  return rc;
}

static int32_t push_route(const struct gateways *g, const char *name, struct json_object *hosts,
                          struct json_object *only_rule, struct ome_object_sink *out, struct ome_err *err) {
  struct json_object *o = site_object(g->each, GATEWAY_GROUP "/v1", "HTTPRoute", name);
  struct json_object *parents = json_object_new_array();
  struct json_object *rules = json_object_new_array();
  int32_t rc = OME_OK;

  for (size_t i = 0; i < g->len && rc == OME_OK; i++)
    rc = add_parent(&g->each[i], parents, err);
  (void)json_object_array_add(rules, only_rule);
  doc_set(o, "spec.parentRefs", parents);
  doc_share(o, "spec.hostnames", hosts);
  doc_set(o, "spec.rules", rules);
  if (rc == OME_OK)
    return doc_push(out, o, err);
  (void)json_object_put(o);
  return rc;
}

static int32_t route(const struct gateways *g, const char *name, struct json_object *component, const char *pool,
                     struct ome_object_sink *out, struct ome_err *err) {
  struct place p;
  int32_t rc = find_place(g, name, &p, err);

  if (rc == OME_OK)
    rc = push_route(g, name, p.hosts, rule(g->each, component, p.prefix, pool), out, err);
  (void)json_object_put(p.hosts);
  return rc;
}

/* The path template's way to the same entry: another host, and so another route. */
static int32_t path_route(const struct gateways *g, struct json_object *entry, const char *pool,
                          struct ome_object_sink *out, struct ome_err *err) {
  char path[SITE_PATH_MAX];
  char name[SITE_HOST_MAX];
  int32_t rc = site_path(g->each, path, err);

  if (rc != OME_OK || !*path)
    return rc;
  struct json_object *hosts = json_object_new_array();
  for (size_t i = 0; i < g->len; i++)
    site_add_host(hosts, domain_setting(&g->each[i], "ingressDomain", "ome.io/ingress-domain", "example.com"));
  (void)snprintf(name, sizeof(name), "%s-path", doc_str(g->each->service, "metadata.name", ""));
  rc = push_route(g, name, hosts, rule(g->each, entry, path, pool), out, err);
  (void)json_object_put(hosts);
  return rc;
}

/* ---- the pool ---------------------------------------------------------------------------------------------------- */

/* NAME[:PORT] of the endpoint picker's Service; 0: none is wanted. */
static int picker(const struct request_docs *d, char *name, size_t cap, int64_t *port) {
  const char *own = site_annotation(d, "ome.io/endpoint-picker");
  struct json_object *site = doc_at(d->cluster, "config.ingress.endpointPicker");
  const char *text = own ? own : doc_str(site, "name", "");
  size_t n = strcspn(text, ":");

  (void)snprintf(name, cap, "%.*s", (int)(n < cap ? n : cap - 1), text);
  *port = own && text[n] ? strtol(text + n + 1, NULL, 10) : doc_int(site, "port", 9002);
  return *name != '\0';
}

/* *POOL is whether there is one: engines without a router in front, which would choose for itself. */
static int32_t push_pool(const struct request_docs *d, struct json_object *entry, int *pool,
                         struct ome_object_sink *out, struct ome_err *err) {
  const char *service = doc_str(d->service, "metadata.name", "");
  const char *mode = site_text(d, "endpointPicker.failureMode", "FailOpen");
  char name[254];
  int64_t port = 0;

  *pool = picker(d, name, sizeof(name), &port) && strcmp(doc_str(entry, "component", ""), "engine") == 0;
  if (!*pool)
    return OME_OK;
  if (!domain_is_host(name) || port < 1 || port > 65535)
    return doc_fail(err, OME_E_INVALID, "ingress: endpointPicker: \"%.80s\" port %lld is no Service: NAME[:PORT]", name,
                    (long long)port);
  struct json_object *o = site_object(d, POOL_GROUP "/v1", "InferencePool", service);
  struct json_object *ports = json_object_new_array();
  struct json_object *p = json_object_new_object();
  doc_set_int(p, "number", doc_first_port(entry));
  (void)json_object_array_add(ports, p);
  doc_set(o, "spec.selector.matchLabels", site_labels(d, "engine"));
  doc_set(o, "spec.targetPorts", ports);
  doc_set_str(o, "spec.endpointPickerRef.kind", "Service");
  doc_set_str(o, "spec.endpointPickerRef.name", name);
  doc_set_int(o, "spec.endpointPickerRef.port.number", port);
  doc_set_str(o, "spec.endpointPickerRef.failureMode", mode);
  return doc_push(out, o, err);
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static int32_t push_limit(const struct request_docs *d, struct ome_object_sink *out, struct ome_err *err) {
  const char *service = doc_str(d->service, "metadata.name", "");
  int64_t limit = 0;
  int32_t rc = site_rate_limit(d, &limit, err);

  if (rc != OME_OK || limit == 0)
    return rc;
  struct json_object *o = site_object(d, "gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", service);
  struct json_object *targets = json_object_new_array();
  struct json_object *t = json_object_new_object();
  struct json_object *rules = json_object_new_array();
  struct json_object *r = json_object_new_object();
  doc_set_str(t, "group", GATEWAY_GROUP);
  doc_set_str(t, "kind", "HTTPRoute");
  doc_set_str(t, "name", service);
  (void)json_object_array_add(targets, t);
  doc_set_int(r, "limit.requests", limit);
  doc_set_str(r, "limit.unit", "Second");
  (void)json_object_array_add(rules, r);
  doc_set(o, "spec.targetRefs", targets);
  doc_set_str(o, "spec.rateLimit.type", "Local");
  doc_set(o, "spec.rateLimit.local.rules", rules);
  return doc_push(out, o, err);
}

/* ---- render ------------------------------------------------------------------------------------------------------ */

/* The pool before the route that leads to it. */
static int32_t render_all(const struct gateways *g, struct json_object *entry, struct ome_object_sink *out,
                          struct ome_err *err) {
  static const char *const kinds[] = {"engine", "decoder", "router"};
  const struct request_docs *d = g->each;
  const char *service = doc_str(d->service, "metadata.name", "");
  int pool = 0;
  int32_t rc = push_pool(d, entry, &pool, out, err);

  if (rc == OME_OK)
    rc = route(g, service, entry, pool ? service : NULL, out, err);
  if (rc == OME_OK)
    rc = path_route(g, entry, pool ? service : NULL, out, err);
  for (size_t i = 0; doc_len(d->components) > 1 && rc == OME_OK && i < sizeof(kinds) / sizeof(*kinds); i++) {
    struct json_object *c = entry_component(d->components, kinds[i]);
    if (c)
      rc = route(g, doc_str(c, "app", ""), c, NULL, out, err);
  }
  return rc == OME_OK ? push_limit(d, out, err) : rc;
}

static int32_t render(const struct request_docs *d, struct ome_object_sink *out, struct ome_err *err) {
  struct json_object *entry = entry_of_service(d->components);
  struct gateways g;

  if (!entry)
    return doc_fail(err, OME_E_INVALID, "ingress gateway: the service has neither router nor engine");
  if (site_is_local(d))
    return OME_OK;
  int32_t rc = gateways_of(d, &g, err);
  if (rc == OME_OK)
    rc = render_all(&g, entry, out, err);
  gateways_free(&g);
  return rc;
}

/* ---- observation ------------------------------------------------------------------------------------------------- */

static void say(struct ome_status *out, int32_t phase, const char *reason, const char *what, const char *message) {
  out->phase = phase;
  doc_text(out->reason, sizeof(out->reason), "%s", reason);
  doc_text(out->message, sizeof(out->message), "%s%s", what, message);
}

/* Conditions of one parent, about the object as it is now: what is false, else whether Accepted is true. */
static int judge_parent(struct json_object *parent, int64_t generation, const char *what, struct ome_status *out) {
  struct json_object *list = doc_get(parent, "conditions");
  int accepted = 0;

  for (size_t i = 0; i < doc_len(list); i++) {
    struct json_object *c = doc_item(list, i);
    const char *status = doc_str(c, "status", "");
    if (doc_int(c, "observedGeneration", generation) < generation)
      continue;
    if (strcmp(status, "False") == 0) {
      say(out, OME_PHASE_FAILED, doc_str(c, "reason", "NotAccepted"), what, doc_str(c, "message", ""));
      return 0;
    }
    accepted |= strcmp(doc_str(c, "type", ""), "Accepted") == 0 && strcmp(status, "True") == 0;
  }
  if (!accepted)
    say(out, OME_PHASE_PROGRESSING, "ParentStatusNotAvailable", what, "the gateway has not accepted it yet");
  return accepted;
}

/* Whether the gateway of REF, of O, has said something of it. */
static int has_looked(struct json_object *o, struct json_object *ref) {
  struct json_object *parents = doc_at(o, "status.parents");

  for (size_t i = 0; i < doc_len(parents); i++)
    if (is_ref_to(doc_get(doc_item(parents, i), "parentRef"), doc_str(ref, "namespace", ""), doc_str(ref, "name", "")))
      return 1;
  return 0;
}

/* Whether every gateway has taken O; else OUT says why not. */
static int judge(struct json_object *o, struct ome_status *out) {
  struct json_object *parents = doc_at(o, "status.parents");
  struct json_object *refs = doc_at(o, "spec.parentRefs");
  int64_t generation = doc_int(o, "metadata.generation", 0);
  char what[300], why[200];

  (void)snprintf(what, sizeof(what), "%s %.200s: ", doc_str(o, "kind", ""), doc_str(o, "metadata.name", ""));
  if (doc_len(parents) == 0) {
    say(out, OME_PHASE_PROGRESSING, "ParentStatusNotAvailable", what, "no gateway has looked at it yet");
    return 0;
  }
  for (size_t i = 0; i < doc_len(parents); i++)
    if (!judge_parent(doc_item(parents, i), generation, what, out))
      return 0;
  for (size_t i = 0; i < doc_len(refs); i++) {
    if (has_looked(o, doc_item(refs, i)))
      continue;
    (void)snprintf(why, sizeof(why), "Gateway %.63s/%.63s has not looked at it yet",
                   doc_str(doc_item(refs, i), "namespace", ""), doc_str(doc_item(refs, i), "name", ""));
    say(out, OME_PHASE_PROGRESSING, "ParentStatusNotAvailable", what, why);
    return 0;
  }
  return 1;
}

static void judge_all(struct json_object *observed, struct ome_status *out) {
  for (size_t i = 0; i < doc_len(observed); i++) {
    struct json_object *o = doc_item(observed, i);
    if (!o) {
      say(out, OME_PHASE_PENDING, "IngressNotReady", "", "an object of the ingress does not exist yet");
      return;
    }
    /* Pools are taken by gateways through routes, and limits are no condition of being reached. */
    if (strcmp(doc_str(o, "kind", ""), "HTTPRoute") == 0 && !judge(o, out))
      return;
  }
  say(out, OME_PHASE_READY, "", "", "");
}

/* Where the service is at the gateway of D, the only one that it says. */
static int32_t url_at(const struct request_docs *d, char *out, size_t cap, struct ome_err *err) {
  struct gateways one = {.each = {*d}, .len = 1};
  char path[SITE_PATH_MAX];
  struct place p;
  int32_t rc = site_path(d, path, err);

  if (rc != OME_OK || *path)
    return rc == OME_OK ? site_url(d, out, cap, err) : rc;
  rc = find_place(&one, doc_str(d->service, "metadata.name", ""), &p, err);
  if (rc == OME_OK)
    doc_text(out, cap, "%s://%s%s", site_scheme(d), json_object_get_string(doc_item(p.hosts, 0)),
             strcmp(p.prefix, "/") != 0 ? p.prefix : "");
  (void)json_object_put(p.hosts);
  return rc;
}

/* The primary gateway's goes before the others'. */
static int32_t say_urls(const struct request_docs *d, struct ome_status *out, struct ome_err *err) {
  char url[sizeof(out->url)];
  struct gateways g;
  int32_t rc = gateways_of(d, &g, err);

  for (size_t i = 0; rc == OME_OK && i < g.len; i++) {
    rc = url_at(&g.each[i], url, sizeof(url), err);
    if (rc == OME_OK && i == 0)
      doc_text(out->url, sizeof(out->url), "%s", url);
    if (rc == OME_OK)
      rc = doc_say_address(out, site_text(&g.each[i], GATEWAY_CLASS, ""), url, err);
  }
  gateways_free(&g);
  return rc;
}

static int32_t observe(const struct request_docs *d, struct json_object *live, struct ome_status *out,
                       struct ome_err *err) {
  if (site_is_local(d)) {
    site_say_local(d, entry_of_service(d->components), out);
    return OME_OK;
  }
  judge_all(live, out);
  return say_urls(d, out, err);
}

static const struct api_kind needed = {GATEWAY_GROUP, "v1", "HTTPRoute"};

RENDER_PLUGIN(OME_KIND_INGRESS, "ingress-gateway", "gateway", "Reaches a service through the Gateway API");
