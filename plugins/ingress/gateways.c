#include "gateways.h"

#include "site.h"

#include <stdio.h>
#include <string.h>

#define ADDITIONAL "ome.io/ingress-additional-gateways"
#define NO_LABEL "must be a label: small letters, digits and \"-\""

/* ---- one gateway ------------------------------------------------------------------------------------------------- */

/* new: an object with the values of O. */
static struct json_object *shallow(struct json_object *o) {
  struct json_object *copy = json_object_new_object();

  if (!json_object_is_type(o, json_type_object))
    return copy;
  json_object_object_foreach (o, key, value) {
    (void)json_object_object_add(copy, key, json_object_get(value));
  }
  return copy;
}

/* new: CLUSTER with GATEWAY, its CLASS and DOMAIN as the site's; what else is said of the site's gateway is not said of
 * this. */
static struct json_object *cluster_with(struct json_object *cluster, const char *gateway, const char *class,
                                        const char *domain) {
  struct json_object *copy = shallow(cluster);
  struct json_object *config = shallow(doc_get(cluster, "config"));
  struct json_object *ingress = shallow(doc_get(config, "ingress"));

  (void)json_object_object_add(ingress, "omeIngressGateway", json_object_new_string(gateway));
  (void)json_object_object_add(ingress, GATEWAY_CLASS, json_object_new_string(class));
  (void)json_object_object_add(ingress, "ingressDomain", json_object_new_string(domain));
  json_object_object_del(ingress, "omeIngressGatewaySection");
  json_object_object_del(ingress, "additionalIngressDomains");
  (void)json_object_object_add(config, "ingress", ingress);
  (void)json_object_object_add(copy, "config", config);
  return copy;
}

/* new: SERVICE without its own words on gateway and domains. */
static struct json_object *service_without(struct json_object *service) {
  static const char *const own[] = {"ome.io/ingress-gateway", "ome.io/ingress-domain",
                                    "ome.io/ingress-additional-domains"};
  struct json_object *copy = shallow(service);
  struct json_object *meta = shallow(doc_get(service, "metadata"));
  struct json_object *annotations = shallow(doc_get(meta, "annotations"));

  for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
    json_object_object_del(annotations, own[i]);
  (void)json_object_object_add(meta, "annotations", annotations);
  (void)json_object_object_add(copy, "metadata", meta);
  return copy;
}

/* ENTRY is at KEY. */
static int32_t add(const struct request_docs *d, struct json_object *entry, const char *key, struct gateways *out,
                   struct ome_err *err) {
  const char *gateway = doc_str(entry, "omeIngressGateway", "");
  const char *domain = doc_str(entry, "ingressDomain", "");
  const char *class = doc_str(entry, "class", "");
  const char *name = "";
  char ns[SITE_NS_MAX];

  if (out->len == GATEWAYS_MAX)
    return doc_fail(err, OME_E_INVALID, "ingress: %s: %d gateways are the most that a service can have", key,
                    GATEWAYS_MAX);
  if (!site_split(gateway, ns, sizeof(ns), &name))
    return doc_fail(err, OME_E_INVALID, "ingress: %s.omeIngressGateway: \"%.80s\" must be NAMESPACE/NAME", key,
                    gateway);
  if (!domain_is_host(domain))
    return doc_fail(err, OME_E_INVALID, "ingress: %s.ingressDomain: \"%.80s\" must be the domain of hosts there", key,
                    domain);
  if (*class && !domain_is_label(class))
    return doc_fail(err, OME_E_INVALID, "ingress: %s.class: \"%.80s\" " NO_LABEL, key, class);
  struct request_docs *to = &out->each[out->len++];
  *to = *d;
  to->service = service_without(d->service);
  to->cluster = cluster_with(d->cluster, gateway, class, domain);
  return OME_OK;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static struct json_object *of_namespace(const struct request_docs *d) {
  return doc_get(doc_get(doc_at(d->cluster, "config.ingress"), "namespaceIngressGateways"),
                 doc_str(d->service, "metadata.namespace", "default"));
}

/* The service's own word goes before its namespace's, and that before the site's. */
static int32_t add_primary(const struct request_docs *d, struct gateways *out, struct ome_err *err) {
  struct json_object *primary = doc_get(of_namespace(d), "primary");
  char key[160];

  const char *class = site_text(d, GATEWAY_CLASS, "");
  if (*class && !domain_is_label(class))
    return doc_fail(err, OME_E_INVALID, "ingress: " GATEWAY_CLASS ": \"%.80s\" " NO_LABEL, class);
  if (site_annotation(d, "ome.io/ingress-gateway") || !*doc_str(primary, "omeIngressGateway", "")) {
    struct request_docs *to = &out->each[out->len++];
    *to = *d;
    (void)json_object_get(to->service);
    (void)json_object_get(to->cluster);
    return OME_OK;
  }
  (void)snprintf(key, sizeof(key), "namespaceIngressGateways.%.63s.primary",
                 doc_str(d->service, "metadata.namespace", "default"));
  return add(d, primary, key, out, err);
}

static int32_t add_list(const struct request_docs *d, struct json_object *list, const char *key, struct gateways *out,
                        struct ome_err *err) {
  char item[200];
  int32_t rc = OME_OK;

  if (list && !json_object_is_type(list, json_type_array))
    return doc_fail(err, OME_E_INVALID, "ingress: %s: must be a list of {omeIngressGateway, ingressDomain}", key);
  for (size_t i = 0; i < doc_len(list) && rc == OME_OK; i++) {
    (void)snprintf(item, sizeof(item), "%.160s[%zu]", key, i);
    rc = add(d, doc_item(list, i), item, out, err);
  }
  return rc;
}

static int32_t add_additional(const struct request_docs *d, struct gateways *out, struct ome_err *err) {
  const char *text = site_annotation(d, ADDITIONAL);
  struct json_object *own = doc_get(of_namespace(d), "additional");
  struct json_object *list = NULL;
  char key[160] = "additionalIngressGateways";

  if (own)
    (void)snprintf(key, sizeof(key), "namespaceIngressGateways.%.63s.additional",
                   doc_str(d->service, "metadata.namespace", "default"));
  if (!text)
    return add_list(d, own ? own : doc_get(doc_at(d->cluster, "config.ingress"), key), key, out, err);
  int32_t rc = doc_parse((struct ome_bytes){text, strlen(text)}, &list, err);
  if (rc == OME_OK)
    rc = add_list(d, list, "metadata.annotations[" ADDITIONAL "]", out, err);
  else
    rc = doc_fail(err, OME_E_INVALID, "metadata.annotations[" ADDITIONAL "]: not JSON: %.80s", text);
  (void)json_object_put(list);
  return rc;
}

int32_t gateways_of(const struct request_docs *d, struct gateways *out, struct ome_err *err) {
  out->len = 0;
  int32_t rc = add_primary(d, out, err);

  return rc == OME_OK ? add_additional(d, out, err) : rc;
}

void gateways_free(struct gateways *g) {
  for (size_t i = 0; i < g->len; i++) {
    (void)json_object_put(g->each[i].service);
    (void)json_object_put(g->each[i].cluster);
  }
  g->len = 0;
}
