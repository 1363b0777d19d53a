/* The Service controller: addresses, endpoints, proxies. */
#include "local/local_int.h"

#include "base/str.h"
#include "base/vec.h"
#include "kube/meta.h"
#include "local/endpoints.h"

#include <string.h>

#define FIELD_MANAGER "ome-local"
#define SERVICE_LABEL "kubernetes.io/service-name"
#define MANAGED_LABEL "endpointslice.kubernetes.io/managed-by"

/* ---- endpoints --------------------------------------------------------------------------------------------------- */

/* The slices of SERVICE as they are; OURS_ONLY: those that this controller made.  New array. */
static struct json_object *present_slices(struct local *l, const char *ns, const char *service, bool ours_only) {
  _cleanup_json_ struct json_object *all = kube_cache_list(l->caches[CACHE_SLICES], ns);
  struct json_object *out = json_object_new_array();

  for (size_t i = 0; i < json_len(all); i++) {
    struct json_object *slice = json_index(all, i);
    if (streq(meta_label(slice, SERVICE_LABEL), service) &&
        (!ours_only || streq(meta_label(slice, MANAGED_LABEL), "local.ome.io")))
      (void)json_object_array_add(out, json_object_get(slice));
  }
  return out;
}

static struct json_object *named(struct json_object *list, const char *name) {
  for (size_t i = 0; i < json_len(list); i++)
    if (streq(meta_name(json_index(list, i)), name))
      return json_index(list, i);
  return NULL;
}

static bool same_slice(struct json_object *a, struct json_object *b) {
  return json_equal(json_get(a, "endpoints"), json_get(b, "endpoints")) &&
         json_equal(json_get(a, "ports"), json_get(b, "ports"));
}

static int32_t write_slices(struct local *l, const char *ns, const char *service, struct json_object *wanted,
                            struct ome_err *err) {
  _cleanup_json_ struct json_object *present = present_slices(l, ns, service, true);

  for (size_t i = 0; i < json_len(wanted); i++) {
    struct json_object *slice = json_index(wanted, i), *have = named(present, meta_name(slice));
    if (have && same_slice(have, slice))
      continue;
    int32_t rc = kube_apply(l->client, &KUBE_ENDPOINTSLICES, slice, NULL, FIELD_MANAGER, true, NULL, err);
    if (rc != OME_OK)
      return rc;
  }
  for (size_t i = 0; i < json_len(present); i++) {
    struct json_object *slice = json_index(present, i);
    if (named(wanted, meta_name(slice)))
      continue;
    int32_t rc = kube_delete(l->client, &KUBE_ENDPOINTSLICES, ns, meta_name(slice), NULL, KUBE_BACKGROUND, err);
    if (rc != OME_OK && rc != OME_E_NOT_FOUND)
      return rc;
  }
  return OME_OK;
}

/* ---- address and proxy ------------------------------------------------------------------------------------------- */

static bool has_address(struct json_object *service) {
  return !streq(json_str(service, "spec.type", "ClusterIP"), "ExternalName") &&
         !streq(json_str(service, "spec.clusterIP", ""), "None");
}

/* Says on the Service where it is: the annotation, and the load balancer's address where one is asked for. */
static int32_t publish_address(struct local *l, struct json_object *service, const char *address, struct ome_err *err) {
  const char *ns = meta_namespace(service), *name = meta_name(service);
  _cleanup_json_ struct json_object *patch = json_object_new_object(), *status = json_object_new_object();
  int32_t rc = OME_OK;

  if (!streq(meta_annotation(service, SERVICE_ADDRESS_ANNOTATION), address)) {
    meta_set_annotation(patch, SERVICE_ADDRESS_ANNOTATION, address);
    if (streq(json_str(service, "spec.clusterIP", ""), "")) { /* nobody gives out others: this one is the truth */
      struct json_object *all = json_object_new_array();
      (void)json_object_array_add(all, json_object_new_string(address));
      (void)json_set(patch, "spec.clusterIPs", all);
      (void)json_set_str(patch, "spec.clusterIP", address);
    }
    rc = kube_patch(l->client, &KUBE_SERVICES, ns, name, NULL, KUBE_PATCH_MERGE, patch, NULL, err);
  }
  if (rc != OME_OK || !streq(json_str(service, "spec.type", ""), "LoadBalancer"))
    return rc;
  struct json_object *ingress = json_object_new_array(), *entry = json_object_new_object();
  (void)json_set_str(entry, "ip", address);
  (void)json_object_array_add(ingress, entry);
  (void)json_set(status, "status.loadBalancer.ingress", ingress);
  if (json_equal(json_at(service, "status.loadBalancer.ingress"), ingress))
    return OME_OK;
  return kube_patch(l->client, &KUBE_SERVICES, ns, name, "status", KUBE_PATCH_MERGE, status, NULL, err);
}

static int32_t set_proxy(struct local *l, struct json_object *service, const char *key, const char *address,
                         struct json_object *slices, struct ome_err *err) {
  struct json_object *ports = json_at(service, "spec.ports");
  VEC(struct proxy_port) list = {0};

  for (size_t i = 0; i < json_len(ports); i++) {
    struct json_object *port = json_index(ports, i);
    int64_t n = json_i64(port, "port", 0);
    struct proxy_port p = {(uint16_t)n, NULL};
    if (n < 1 || n > UINT16_MAX || !streq(json_str(port, "protocol", "TCP"), "TCP"))
      continue;
    p.targets = endpoint_targets(slices, port);
    if (!VEC_PUSH(&list, p))
      json_unref(p.targets);
  }
  int32_t rc = proxies_set(l->proxies, key, address, list.items, list.len, err);
  for (size_t i = 0; i < list.len; i++)
    json_unref(list.items[i].targets);
  VEC_FREE(&list);
  if (rc != OME_OK)
    kube_record(l->recorder, service, true, "AddressInUse", "%s", err->msg);
  return rc;
}

static int32_t forget(struct local *l, const char *key, bool gone) {
  struct ome_err err = ERR_INIT;

  (void)proxies_set(l->proxies, key, "", NULL, 0, &err);
  if (gone)
    addresses_release(l->service_ips, key);
  return OME_OK;
}

/* ---- reconcile --------------------------------------------------------------------------------------------------- */

static int32_t reconcile_one(struct local *l, struct json_object *service, const char *key, struct ome_err *err) {
  const char *ns = meta_namespace(service), *name = meta_name(service);
  char address[ADDRESS_TEXT];
  _cleanup_json_ struct json_object *slices = NULL;
  int32_t rc = OME_OK;

  if (json_empty(json_at(service, "spec.selector"))) {
    slices = present_slices(l, ns, name, false); /* its owner keeps them */
  } else {
    _cleanup_json_ struct json_object *pods = kube_cache_list(l->caches[CACHE_PODS], ns);
    slices = endpoint_slices(service, pods);
    rc = write_slices(l, ns, name, slices, err);
  }
  if (!has_address(service))
    return rc == OME_OK ? forget(l, key, true) : rc;
  /* What it had, or else what the API server gave it, so that its cluster IP is where it answers. */
  const char *wanted = meta_annotation(service, SERVICE_ADDRESS_ANNOTATION);
  if (!wanted || !*wanted)
    wanted = json_str(service, "spec.clusterIP", NULL);
  if (!addresses_get(l->service_ips, key, wanted, address))
    return fail(err, OME_E_UNAVAILABLE, "service %s: no loopback address is free", key);
  if (rc == OME_OK)
    rc = set_proxy(l, service, key, address, slices, err);
  return rc == OME_OK ? publish_address(l, service, address, err) : rc;
}

static void enqueue_all(struct local *l, const char *ns) {
  _cleanup_json_ struct json_object *services = kube_cache_list(l->caches[CACHE_SERVICES], ns);

  for (size_t i = 0; i < json_len(services); i++)
    local_enqueue(l, QUEUE_SERVICES, ns, meta_name(json_index(services, i)));
}

int32_t services_reconcile(void *arg, const char *ns, const char *name, uint64_t *requeue_ms UNUSED,
                           struct ome_err *err) {
  struct local *l = arg;
  _cleanup_free_ char *key = str_printf("%s/%s", ns, name);

  if (!key)
    return fail_memory(err);
  if (!local_synced(l))
    return fail(err, OME_E_UNAVAILABLE, "the API server's lists are not in yet");
  if (streq(name, ALL_SERVICES)) {
    enqueue_all(l, ns);
    return OME_OK;
  }
  _cleanup_json_ struct json_object *service = kube_cache_get(l->caches[CACHE_SERVICES], ns, name);
  if (!service || meta_deleting(service))
    return forget(l, key, !service);
  return reconcile_one(l, service, key, err);
}
