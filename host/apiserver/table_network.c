/* Columns of Services, Ingresses and what is behind them. */
#include "apiserver/table.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/vec.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

/* The addresses of status.loadBalancer. */
static struct json_object *load_balancer(struct json_object *o, const char *none) {
  struct json_object *list = json_at(o, "status.loadBalancer.ingress");
  _cleanup_buf_ struct buf b = BUF_INIT;

  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *entry = json_index(list, i);
    buf_addf(&b, "%s%s", i ? "," : "", json_str(entry, "ip", json_str(entry, "hostname", "")));
  }
  return text_or(buf_str(&b), none);
}

static struct json_object *cell_service_type(struct json_object *o) {
  return text(json_str(o, "spec.type", ""));
}

static struct json_object *cell_cluster_ip(struct json_object *o) {
  return text_or(json_str(o, "spec.clusterIP", ""), "<none>");
}

static struct json_object *cell_external_ip(struct json_object *o) {
  const char *type = json_str(o, "spec.type", "");

  if (streq(type, "LoadBalancer"))
    return load_balancer(o, "<pending>");
  return text(streq(type, "ExternalName") ? json_str(o, "spec.externalName", "") : "<none>");
}

static struct json_object *cell_service_ports(struct json_object *o) {
  struct json_object *ports = json_at(o, "spec.ports");
  _cleanup_buf_ struct buf b = BUF_INIT;

  for (size_t i = 0; i < json_len(ports); i++) {
    struct json_object *p = json_index(ports, i);
    int64_t node = json_i64(p, "nodePort", 0);
    buf_addf(&b, "%s%lld", i ? "," : "", (long long)json_i64(p, "port", 0));
    if (node)
      buf_addf(&b, ":%lld", (long long)node);
    buf_addf(&b, "/%s", json_str(p, "protocol", "TCP"));
  }
  return text_or(buf_str(&b), "<none>");
}

static struct json_object *cell_service_selector(struct json_object *o) {
  return labels_text(json_at(o, "spec.selector"));
}

/* The first MAX of N entries, and how many there are more. */
static struct json_object *some(struct buf *b, size_t n, size_t max) {
  if (n > max)
    buf_addf(b, " + %zu more...", n - max);
  return text_or(buf_str(b), "<none>");
}

static struct json_object *cell_endpoints(struct json_object *o) {
  struct json_object *subsets = json_at(o, "subsets");
  _cleanup_buf_ struct buf b = BUF_INIT;
  size_t n = 0;

  for (size_t i = 0; i < json_len(subsets); i++) {
    struct json_object *addresses = json_get(json_index(subsets, i), "addresses");
    struct json_object *ports = json_get(json_index(subsets, i), "ports");
    for (size_t p = 0; p < json_len(ports); p++)
      for (size_t a = 0; a < json_len(addresses); a++)
        if (n++ < 3)
          buf_addf(&b, "%s%s:%lld", n > 1 ? "," : "", json_str(json_index(addresses, a), "ip", ""),
                   (long long)json_i64(json_index(ports, p), "port", 0));
  }
  return some(&b, n, 3);
}

static struct json_object *cell_address_type(struct json_object *o) {
  return text(json_str(o, "addressType", ""));
}

static struct json_object *cell_slice_ports(struct json_object *o) {
  struct json_object *ports = json_at(o, "ports");
  _cleanup_buf_ struct buf b = BUF_INIT;
  size_t n = json_len(ports);

  if (n == 0)
    return text("<unset>");
  for (size_t i = 0; i < n && i < 3; i++)
    buf_addf(&b, "%s%lld", i ? "," : "", (long long)json_i64(json_index(ports, i), "port", 0));
  return some(&b, n, 3);
}

static struct json_object *cell_slice_endpoints(struct json_object *o) {
  struct json_object *list = json_at(o, "endpoints");
  _cleanup_buf_ struct buf b = BUF_INIT;
  size_t n = 0;

  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *addresses = json_get(json_index(list, i), "addresses");
    for (size_t a = 0; a < json_len(addresses); a++)
      if (n++ < 3)
        buf_addf(&b, "%s%s", n > 1 ? "," : "", json_object_get_string(json_index(addresses, a)));
  }
  return n ? some(&b, n, 3) : text("<unset>");
}

static struct json_object *cell_ingress_class(struct json_object *o) {
  return text_or(json_str(o, "spec.ingressClassName", meta_annotation(o, "kubernetes.io/ingress.class")), "<none>");
}

static struct json_object *cell_ingress_hosts(struct json_object *o) {
  struct json_object *rules = json_at(o, "spec.rules");
  _cleanup_buf_ struct buf b = BUF_INIT;
  size_t n = 0;

  for (size_t i = 0; i < json_len(rules); i++) {
    const char *host = json_str(json_index(rules, i), "host", "");
    if (*host && n++ < 3)
      buf_addf(&b, "%s%s", n > 1 ? "," : "", host);
  }
  if (n > 3)
    buf_addf(&b, " + %zu more...", n - 3);
  return text_or(buf_str(&b), "*");
}

static struct json_object *cell_ingress_address(struct json_object *o) {
  return load_balancer(o, "");
}

static struct json_object *cell_ingress_ports(struct json_object *o) {
  return text(json_len(json_at(o, "spec.tls")) ? "80, 443" : "80");
}

static struct json_object *cell_class_controller(struct json_object *o) {
  return text(json_str(o, "spec.controller", ""));
}

static struct json_object *cell_class_parameters(struct json_object *o) {
  struct json_object *p = json_at(o, "spec.parameters");
  const char *group = json_str(p, "apiGroup", "");

  if (!p)
    return text("<none>");
  _cleanup_free_ char *out =
      str_printf("%s%s%s/%s", json_str(p, "kind", ""), *group ? "." : "", group, json_str(p, "name", ""));
  return text(out);
}

static struct json_object *cell_pod_selector(struct json_object *o) {
  return labels_text(json_at(o, "spec.podSelector.matchLabels"));
}

/* ---- columns ---------------------------------------------------------------------------------------------------- */

static const struct builtin_column service_columns[] = {
    COLUMN_NAME,
    {"Type", "string", "", 0, cell_service_type},
    {"Cluster-IP", "string", "", 0, cell_cluster_ip},
    {"External-IP", "string", "", 0, cell_external_ip},
    {"Port(s)", "string", "", 0, cell_service_ports},
    COLUMN_AGE,
    {"Selector", "string", "", 1, cell_service_selector},
};
static const struct builtin_column endpoints_columns[] = {
    COLUMN_NAME,
    {"Endpoints", "string", "", 0, cell_endpoints},
    COLUMN_AGE,
};
static const struct builtin_column slice_columns[] = {
    COLUMN_NAME,
    {"AddressType", "string", "", 0, cell_address_type},
    {"Ports", "string", "", 0, cell_slice_ports},
    {"Endpoints", "string", "", 0, cell_slice_endpoints},
    COLUMN_AGE,
};
static const struct builtin_column ingress_columns[] = {
    COLUMN_NAME,
    {"Class", "string", "", 0, cell_ingress_class},
    {"Hosts", "string", "", 0, cell_ingress_hosts},
    {"Address", "string", "", 0, cell_ingress_address},
    {"Ports", "string", "", 0, cell_ingress_ports},
    COLUMN_AGE,
};
static const struct builtin_column class_columns[] = {
    COLUMN_NAME,
    {"Controller", "string", "", 0, cell_class_controller},
    {"Parameters", "string", "", 0, cell_class_parameters},
    COLUMN_AGE,
};
static const struct builtin_column policy_columns[] = {
    COLUMN_NAME,
    {"Pod-Selector", "string", "", 0, cell_pod_selector},
    COLUMN_AGE,
};

const struct kind_columns network_tables[] = {
    {"", "Endpoints", endpoints_columns, ARRAY_LEN(endpoints_columns)},
    {"", "Service", service_columns, ARRAY_LEN(service_columns)},
    {"discovery.k8s.io", "EndpointSlice", slice_columns, ARRAY_LEN(slice_columns)},
    {"networking.k8s.io", "Ingress", ingress_columns, ARRAY_LEN(ingress_columns)},
    {"networking.k8s.io", "IngressClass", class_columns, ARRAY_LEN(class_columns)},
    {"networking.k8s.io", "NetworkPolicy", policy_columns, ARRAY_LEN(policy_columns)},
    {NULL, NULL, NULL, 0},
};
