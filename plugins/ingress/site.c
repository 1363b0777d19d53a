#include "site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *site_annotation(const struct request_docs *d, const char *key) {
  return json_object_get_string(doc_get(doc_at(d->service, "metadata.annotations"), key));
}

const char *site_text(const struct request_docs *d, const char *key, const char *dflt) {
  return doc_str(doc_at(d->cluster, "config.ingress"), key, dflt);
}

int site_flag(const struct request_docs *d, const char *key, const char *annotation) {
  const char *own = site_annotation(d, annotation);

  return own ? strcmp(own, "true") == 0
             : json_object_get_boolean(doc_get(doc_at(d->cluster, "config.ingress"), key)) == 1;
}

int site_is_local(const struct request_docs *d) {
  const char *v =
      json_object_get_string(doc_get(doc_at(d->service, "metadata.labels"), "networking.knative.dev/visibility"));

  return v && strcmp(v, "cluster-local") == 0;
}

/* ---- hosts ------------------------------------------------------------------------------------------------------- */

void site_add_host(struct json_object *list, const char *host) {
  for (size_t i = 0; i < doc_len(list); i++)
    if (strcmp(json_object_get_string(doc_item(list, i)), host) == 0)
      return;
  (void)json_object_array_add(list, json_object_new_string(host));
}

/* PREFIX.DOMAIN when that is a host name. */
static int32_t add_additional(const char *prefix, const char *domain, size_t len, struct json_object *list,
                              struct ome_err *err) {
  char host[2 * SITE_HOST_MAX];

  (void)snprintf(host, sizeof(host), "%s.%.*s", prefix, (int)(len < SITE_HOST_MAX ? len : SITE_HOST_MAX), domain);
  if (!domain_is_host(host))
    return doc_fail(err, OME_E_INVALID, "ingress: additional domain \"%.*s\" makes no valid host name",
                    (int)(len < 253 ? len : 253), domain);
  site_add_host(list, host);
  return OME_OK;
}

int32_t site_hosts(const struct request_docs *d, const char *name, struct json_object *list, struct ome_err *err) {
  char host[SITE_HOST_MAX];
  const char *domain = domain_setting(d, "ingressDomain", "ome.io/ingress-domain", "example.com");
  const char *own = site_annotation(d, "ome.io/ingress-additional-domains");
  struct json_object *site = doc_get(doc_at(d->cluster, "config.ingress"), "additionalIngressDomains");
  int32_t rc = domain_host(d, name, host, sizeof(host), err);

  if (rc != OME_OK)
    return rc;
  site_add_host(list, host);
  /* What stands before the domain is kept before the others. */
  size_t len = strlen(host);
  size_t tail = strlen(domain);
  if (len <= tail + 1 || strcmp(host + len - tail, domain) != 0 || host[len - tail - 1] != '.')
    return OME_OK;
  host[len - tail - 1] = '\0';
  while (own && *own && rc == OME_OK) {
    own += strspn(own, ", ");
    size_t n = strcspn(own, ", ");
    if (n > 0)
      rc = add_additional(host, own, n, list, err);
    own += n;
  }
  for (size_t i = 0; !site_annotation(d, "ome.io/ingress-additional-domains") && rc == OME_OK && i < doc_len(site);
       i++) {
    const char *more = json_object_get_string(doc_item(site, i));
    rc = more ? add_additional(host, more, strlen(more), list, err) : OME_OK;
  }
  return rc;
}

/* ---- paths ------------------------------------------------------------------------------------------------------- */

int32_t site_path(const struct request_docs *d, char out[SITE_PATH_MAX], struct ome_err *err) {
  static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
  const char *own = site_annotation(d, "ome.io/ingress-path-template");
  const char *template = own ? own : site_text(d, "pathTemplate", "");

  out[0] = '\0';
  if (!*template)
    return OME_OK;
  int32_t rc =
      domain_fill(d, "pathTemplate", template, doc_str(d->service, "metadata.name", ""), out, SITE_PATH_MAX, err);
  if (rc != OME_OK)
    return rc;
  if (strstr(out, "://") || strncmp(out, "//", 2) == 0)
    return doc_fail(err, OME_E_INVALID,
                    "ingress: pathTemplate: invalid url path \"%s\": contains either a scheme or a "
                    "host",
                    out);
  if (out[0] != '/' || strspn(out, safe) != strlen(out) || strstr(out, "//") || strstr(out, "/.."))
    return doc_fail(err, OME_E_INVALID, "ingress: pathTemplate: invalid url path \"%s\": must be an absolute path",
                    out);
  for (size_t n = strlen(out); n > 1 && out[n - 1] == '/'; n--)
    out[n - 1] = '\0';
  return OME_OK;
}

/* ---- TLS, limits ------------------------------------------------------------------------------------------------- */

const char *site_tls_secret(const struct request_docs *d) {
  const char *own = site_annotation(d, "ome.io/ingress-tls-secret");

  return own ? own : site_text(d, "tlsSecretName", "");
}

const char *site_scheme(const struct request_docs *d) {
  return domain_setting(d, "urlScheme", "ome.io/ingress-url-scheme", *site_tls_secret(d) ? "https" : "http");
}

int site_split(const char *text, char *ns, size_t cap, const char **name) {
  const char *slash = strchr(text, '/');

  if (!slash || slash == text || !slash[1] || strchr(slash + 1, '/') || (size_t)(slash - text) >= cap)
    return 0;
  (void)snprintf(ns, cap, "%.*s", (int)(slash - text), text);
  *name = slash + 1;
  return 1;
}

int32_t site_reference(const struct request_docs *d, const char *key, const char *annotation, char *ns, size_t cap,
                       const char **name, struct ome_err *err) {
  const char *own = annotation ? site_annotation(d, annotation) : NULL;
  const char *text = own && *own ? own : site_text(d, key, "");

  if (!site_split(text, ns, cap, name))
    return doc_fail(err, OME_E_INVALID,
                    "ingress: %s: \"%.80s\" must be NAMESPACE/NAME; set it in ConfigMap inferenceservice-config", key,
                    text);
  return OME_OK;
}

int32_t site_rate_limit(const struct request_docs *d, int64_t *out, struct ome_err *err) {
  const char *own = site_annotation(d, "ome.io/rate-limit-requests-per-second");
  char *end = NULL;

  *out = own ? strtol(own, &end, 10) : doc_int(doc_at(d->cluster, "config.ingress"), "rateLimit.requestsPerSecond", 0);
  if ((own && (!*own || *end)) || *out < 0 || *out > 1000000)
    return doc_fail(err, OME_E_INVALID, "%s: must be a whole number of requests from 0 to 1000000",
                    own ? "metadata.annotations[ome.io/rate-limit-requests-per-second]"
                        : "ingress: rateLimit.requestsPerSecond");
  return OME_OK;
}

/* ---- objects ----------------------------------------------------------------------------------------------------- */

struct json_object *site_labels(const struct request_docs *d, const char *component) {
  struct json_object *o = json_object_new_object();
  struct json_object *label = doc_get(doc_get(doc_item(d->components, 0), "labels"), "ome.io/inferenceservice");

  if (label)
    (void)json_object_object_add(o, "ome.io/inferenceservice", json_object_get(label));
  if (component)
    (void)json_object_object_add(o, "component", json_object_new_string(component));
  return o;
}

struct json_object *site_annotations(const struct request_docs *d) {
  struct json_object *all = doc_at(d->service, "metadata.annotations");
  struct json_object *out = json_object_new_object();

  if (!json_object_is_type(all, json_type_object))
    return out;
  json_object_object_foreach (all, key, value) {
    if (strcmp(key, "kubectl.kubernetes.io/last-applied-configuration") != 0 && !strstr(key, "ome.io/"))
      (void)json_object_object_add(out, key, json_object_get(value));
  }
  return out;
}

struct json_object *site_object(const struct request_docs *d, const char *api_version, const char *kind,
                                const char *name) {
  struct json_object *o = json_object_new_object();

  doc_set_str(o, "apiVersion", api_version);
  doc_set_str(o, "kind", kind);
  doc_set_str(o, "metadata.name", name);
  doc_share(o, "metadata.namespace", doc_get(doc_item(d->components, 0), "namespace"));
  doc_set(o, "metadata.labels", site_labels(d, NULL));
  doc_set(o, "metadata.annotations", site_annotations(d));
  return o;
}

/* ---- status ------------------------------------------------------------------------------------------------------ */

void site_say_local(const struct request_docs *d, struct json_object *entry, struct ome_status *out) {
  out->phase = OME_PHASE_READY;
  doc_text(out->reason, sizeof(out->reason), "ClusterLocal");
  doc_text(out->message, sizeof(out->message), "the service is reached from inside the cluster only, by its label");
  doc_service_url(out->url, sizeof(out->url), doc_str(entry, "app", ""), doc_str(entry, "namespace", "default"),
                  d->cluster, doc_first_port(entry));
}

int32_t site_url(const struct request_docs *d, char *out, size_t cap, struct ome_err *err) {
  char path[SITE_PATH_MAX];
  char host[SITE_HOST_MAX];
  int32_t rc = site_path(d, path, err);

  if (rc == OME_OK && *path) {
    doc_text(out, cap, "%s://%s%s", site_scheme(d),
             domain_setting(d, "ingressDomain", "ome.io/ingress-domain", "example.com"), path);
    return OME_OK;
  }
  if (rc == OME_OK)
    rc = domain_host(d, doc_str(d->service, "metadata.name", ""), host, sizeof(host), err);
  if (rc == OME_OK)
    doc_text(out, cap, "%s://%s", site_scheme(d), host);
  return rc;
}
