/* ingress "istio": a VirtualService on Istio's gateways, and for Knative services the name inside the cluster. */
#include "../common/entry.h"
#include "../common/plugin.h"
#include "site.h"

#include <stdio.h>
#include <string.h>

#define LOCAL_GATEWAY "knative-serving/knative-local-gateway"
#define LOCAL_GATEWAY_SERVICE "knative-local-gateway.istio-system.svc.cluster.local"

/* ---- hosts ------------------------------------------------------------------------------------------------------- */

static void internal_host(const struct request_docs *d, const char *name, char *out, size_t cap) {
  doc_text(out, cap, "%s.%s.svc.%s", name, doc_str(d->service, "metadata.namespace", "default"),
           doc_str(d->cluster, "domain", "cluster.local"));
}

/* ^HOST(?::\d{1,5})?$ with HOST quoted; for names of the cluster the domain may be left out. */
static void authority(const struct request_docs *d, const char *host, char *out, size_t cap) {
  char tail[160];
  size_t used = 0;
  size_t len = strlen(host);

  doc_text(tail, sizeof(tail), ".svc.%s", doc_str(d->cluster, "domain", "cluster.local"));
  size_t ntail = strlen(tail);
  int inside = len > ntail && strcmp(host + len - ntail, tail) == 0;
  size_t end = inside ? len - ntail : len;
  out[used++] = '^';
  for (size_t i = 0; i < end && used + 3 < cap; i++) {
    if (host[i] == '.')
      out[used++] = '\\';
    out[used++] = host[i];
  }
  out[used] = '\0';
  if (inside) {
    doc_text(out + used, cap - used, "(\\.svc(");
    used += strlen(out + used);
    for (size_t i = 4; tail[i] && used + 3 < cap; i++) {
      if (tail[i] == '.')
        out[used++] = '\\';
      out[used++] = tail[i];
    }
    out[used] = '\0';
    doc_text(out + used, cap - used, ")?)?");
    used += strlen(out + used);
  }
  doc_text(out + used, cap - used, "(?::\\d{1,5})?$");
}

/* ---- where to ---------------------------------------------------------------------------------------------------- */

static int is_knative(struct json_object *entry) {
  return strcmp(doc_str(entry, "mode", ""), "Serverless") == 0;
}

struct gateways {
  const char *external;
  const char *local;
};

static int32_t find_gateways(const struct request_docs *d, struct gateways *g, struct ome_err *err) {
  const char *ignored = "";
  char ns[64];

  g->external = site_text(d, "ingressGateway", "");
  g->local = site_text(d, "localGateway", LOCAL_GATEWAY);
  return site_is_local(d) ? OME_OK : site_reference(d, "ingressGateway", NULL, ns, sizeof(ns), &ignored, err);
}

static void add_match(const struct request_docs *d, struct json_object *matches, const char *host, const char *path,
                      const char *const *gateways, size_t n) {
  struct json_object *m = json_object_new_object();
  struct json_object *list = json_object_new_array();
  char regex[2 * SITE_HOST_MAX + 80];

  authority(d, host, regex, sizeof(regex));
  doc_set_str(m, "authority.regex", regex);
  if (path)
    doc_set_str(m, "uri.prefix", path);
  for (size_t i = 0; i < n; i++)
    (void)json_object_array_add(list, json_object_new_string(gateways[i]));
  doc_set(m, "gateways", list);
  (void)json_object_array_add(matches, m);
}

/* To Knative's local gateway under the component's own name, or straight to the component's Service. */
static struct json_object *http_route(const struct request_docs *d, struct json_object *entry,
                                      struct json_object *matches) {
  struct json_object *r = json_object_new_object();
  struct json_object *to = json_object_new_object();
  struct json_object *routes = json_object_new_array();
  struct json_object *headers = json_object_new_object();
  char host[SITE_HOST_MAX];
  char timeout[32];
  int knative = is_knative(entry);

  internal_host(d, doc_str(entry, "app", ""), host, sizeof(host));
  doc_set_str(to, "destination.host",
              knative ? site_text(d, "knativeLocalGatewayService", LOCAL_GATEWAY_SERVICE) : host);
  doc_set_int(to, "destination.port.number", knative ? 80 : doc_first_port(entry));
  doc_set_int(to, "weight", 100);
  (void)json_object_array_add(routes, to);
  if (knative)
    doc_set_str(headers, "Host", host);
  doc_set_str(headers, "OMe-Isvc-Name", doc_str(d->service, "metadata.name", ""));
  doc_set_str(headers, "OME-Isvc-Namespace", doc_str(d->service, "metadata.namespace", "default"));
  doc_set(r, "match", matches);
  doc_set(r, "route", routes);
  doc_set(r, "headers.request.set", headers);
  if (doc_int(entry, "timeoutSeconds", 0) > 0) {
    (void)snprintf(timeout, sizeof(timeout), "%llds", (long long)doc_int(entry, "timeoutSeconds", 0));
    doc_set_str(r, "timeout", timeout);
  }
  return r;
}

/* ---- objects ----------------------------------------------------------------------------------------------------- */

/* By host; then, with a path template, below that path on the ingress domain. */
static struct json_object *routes(const struct request_docs *d, struct json_object *entry, const struct gateways *g,
                                  struct json_object *hosts, const char *path) {
  const char *inside[] = {g->local, "mesh"};
  struct json_object *http = json_object_new_array();
  struct json_object *matches = json_object_new_array();
  char internal[SITE_HOST_MAX];

  internal_host(d, doc_str(d->service, "metadata.name", ""), internal, sizeof(internal));
  if (is_knative(entry))
    add_match(d, matches, internal, NULL, inside, 2);
  for (size_t i = 0; i < doc_len(hosts); i++)
    add_match(d, matches, json_object_get_string(doc_item(hosts, i)), NULL, &g->external, 1);
  (void)json_object_array_add(http, http_route(d, entry, matches));
  if (!*path || doc_len(hosts) == 0)
    return http;
  char prefix[SITE_PATH_MAX + 2];
  (void)snprintf(prefix, sizeof(prefix), "%s/", path);
  matches = json_object_new_array();
  add_match(d, matches, domain_setting(d, "ingressDomain", "ome.io/ingress-domain", "example.com"), prefix,
            &g->external, 1);
  struct json_object *below = http_route(d, entry, matches);
  doc_set_str(below, "rewrite.uri", "/");
  (void)json_object_array_add(http, below);
  return http;
}

static void add_text(struct json_object *list, const char *text) {
  (void)json_object_array_add(list, json_object_new_string(text));
}

static struct json_object *virtual_service(const struct request_docs *d, struct json_object *entry,
                                           const struct gateways *g, struct json_object *hosts, const char *path) {
  struct json_object *o =
      site_object(d, "networking.istio.io/v1beta1", "VirtualService", doc_str(d->service, "metadata.name", ""));
  struct json_object *all = json_object_new_array();
  struct json_object *gateways = json_object_new_array();
  char internal[SITE_HOST_MAX];

  internal_host(d, doc_str(d->service, "metadata.name", ""), internal, sizeof(internal));
  if (is_knative(entry)) {
    add_text(all, internal);
    add_text(gateways, g->local);
    add_text(gateways, "mesh");
  }
  for (size_t i = 0; i < doc_len(hosts); i++)
    (void)json_object_array_add(all, json_object_get(doc_item(hosts, i)));
  if (*path && doc_len(hosts) > 0)
    add_text(all, domain_setting(d, "ingressDomain", "ome.io/ingress-domain", "example.com"));
  if (doc_len(hosts) > 0)
    add_text(gateways, g->external);
  doc_set(o, "spec.hosts", all);
  doc_set(o, "spec.gateways", gateways);
  doc_set(o, "spec.http", routes(d, entry, g, hosts, path));
  return o;
}

/* The service's name inside the cluster, which Knative's local gateway answers. */
static struct json_object *external_name(const struct request_docs *d) {
  struct json_object *o = site_object(d, "v1", "Service", doc_str(d->service, "metadata.name", ""));

  doc_set_str(o, "spec.type", "ExternalName");
  doc_set_str(o, "spec.externalName", site_text(d, "localGatewayService", LOCAL_GATEWAY_SERVICE));
  doc_set_str(o, "spec.sessionAffinity", "None");
  return o;
}

static int has_objects(const struct request_docs *d, struct json_object *entry) {
  return !site_flag(d, "disableIstioVirtualHost", "ome.io/ingress-disable-istio-virtualhost") &&
         (is_knative(entry) || !site_is_local(d));
}

static int32_t render_all(const struct request_docs *d, struct json_object *entry, struct ome_object_sink *out,
                          struct ome_err *err) {
  struct json_object *hosts = json_object_new_array();
  struct gateways g;
  char path[SITE_PATH_MAX];
  int32_t rc = find_gateways(d, &g, err);

  if (rc == OME_OK && !site_is_local(d))
    rc = site_hosts(d, doc_str(d->service, "metadata.name", ""), hosts, err);
  if (rc == OME_OK)
    rc = site_path(d, path, err);
  if (rc == OME_OK)
    rc = doc_push(out, virtual_service(d, entry, &g, hosts, path), err);
  if (rc == OME_OK && is_knative(entry))
    rc = doc_push(out, external_name(d), err);
  (void)json_object_put(hosts);
  return rc;
}

static int32_t render(const struct request_docs *d, struct ome_object_sink *out, struct ome_err *err) {
  struct json_object *entry = entry_of_service(d->components);

  if (!entry)
    return doc_fail(err, OME_E_INVALID, "ingress istio: the service has neither router nor engine");
  return has_objects(d, entry) ? render_all(d, entry, out, err) : OME_OK;
}

/* ---- observation ------------------------------------------------------------------------------------------------- */

/* Istio says nothing of a VirtualService that is right, unless it is told to. */
static void judge(struct json_object *o, struct ome_status *out) {
  struct json_object *messages = doc_at(o, "status.validationMessages");

  out->phase = o ? OME_PHASE_READY : OME_PHASE_PENDING;
  doc_text(out->reason, sizeof(out->reason), "%s", o ? "" : "IngressNotReady");
  doc_text(out->message, sizeof(out->message), "%s", o ? "" : "the VirtualService does not exist yet");
  for (size_t i = 0; i < doc_len(messages); i++) {
    struct json_object *m = doc_item(messages, i);
    if (strcmp(doc_str(m, "level", ""), "ERROR") != 0)
      continue;
    out->phase = OME_PHASE_FAILED;
    doc_text(out->reason, sizeof(out->reason), "%s", "VirtualServiceInvalid");
    doc_text(out->message, sizeof(out->message), "Istio refuses the VirtualService: %s",
             doc_str(m, "type.name", "see its status"));
  }
}

static void say_no_host(const struct request_docs *d, struct json_object *entry, struct ome_status *out) {
  site_say_local(d, entry, out);
  if (site_is_local(d))
    return;
  doc_text(out->reason, sizeof(out->reason), "VirtualHostDisabled");
  doc_text(out->message, sizeof(out->message), "disableIstioVirtualHost is set: there is no host of its own");
}

static int32_t observe(const struct request_docs *d, struct json_object *live, struct ome_status *out,
                       struct ome_err *err) {
  struct json_object *entry = entry_of_service(d->components);

  if (!has_objects(d, entry)) {
    say_no_host(d, entry, out);
    return OME_OK;
  }
  judge(doc_item(live, 0), out);
  if (!site_is_local(d))
    return site_url(d, out->url, sizeof(out->url), err);
  doc_service_url(out->url, sizeof(out->url), doc_str(d->service, "metadata.name", ""),
                  doc_str(d->service, "metadata.namespace", "default"), d->cluster, 0);
  return OME_OK;
}

static const struct api_kind needed = {"networking.istio.io", "v1beta1", "VirtualService"};

RENDER_PLUGIN(OME_KIND_INGRESS, "ingress-istio", "istio", "Reaches a service through Istio's gateways");
