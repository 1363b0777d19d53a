/* Services to endpoints (discovery.k8s.io/v1). */
#include "local/endpoints.h"

#include "api/selector.h"
#include "base/str.h"
#include "kube/meta.h"
#include "local/plan.h"

#include <string.h>

/* The number of a Service port's target in POD; 0: the pod has no such port. */
static int64_t target_port(struct json_object *port, struct json_object *pod) {
  struct json_object *target = json_get(port, "targetPort"), *containers = json_at(pod, "spec.containers");
  int64_t n = json_i64(port, "port", 0);

  if (!target)
    return n;
  if (json_is(target, json_type_int))
    return json_object_get_int64(target) ? json_object_get_int64(target) : n;
  for (size_t i = 0; i < json_len(containers); i++) {
    struct json_object *found =
        json_find(json_get(json_index(containers, i), "ports"), "name", json_object_get_string(target));
    if (found)
      return json_i64(found, "containerPort", 0);
  }
  return str_to_i64(json_object_get_string(target), &n) ? n : 0;
}

/* The ports of a slice for POD; ports that it does not have are left out.  New. */
static struct json_object *slice_ports(struct json_object *service, struct json_object *pod) {
  struct json_object *ports = json_at(service, "spec.ports"), *out = json_object_new_array();

  for (size_t i = 0; i < json_len(ports); i++) {
    struct json_object *port = json_index(ports, i), *p = json_object_new_object();
    int64_t n = target_port(port, pod);
    if (!n) {
      json_unref(p);
      continue;
    }
    (void)json_set_str(p, "name", json_str(port, "name", ""));
    (void)json_set_i64(p, "port", n);
    (void)json_set_str(p, "protocol", json_str(port, "protocol", "TCP"));
    (void)json_add(out, p);
  }
  return out;
}

static struct json_object *slice_for(struct json_object *slices, struct json_object *service, struct json_object *pod) {
  _cleanup_json_ struct json_object *ports = slice_ports(service, pod);
  char hash[16];

  for (size_t i = 0; i < json_len(slices); i++)
    if (json_equal(json_get(json_index(slices, i), "ports"), ports))
      return json_index(slices, i);
  struct json_object *slice = json_object_new_object();
  template_hash(ports, 0, hash);
  _cleanup_free_ char *name = str_printf("%.52s-%s", meta_name(service), hash);
  (void)json_set_str(slice, "apiVersion", "discovery.k8s.io/v1");
  (void)json_set_str(slice, "kind", "EndpointSlice");
  (void)json_set(slice, "metadata", plan_child_meta(service, json_get(service, "metadata")));
  json_del(slice, "metadata.annotations");
  (void)json_set_str(slice, "metadata.name", name);
  meta_set_label(slice, "kubernetes.io/service-name", meta_name(service));
  meta_set_label(slice, "endpointslice.kubernetes.io/managed-by", "local.ome.io");
  (void)json_set_str(slice, "addressType", "IPv4");
  (void)json_set(slice, "endpoints", json_object_new_array());
  (void)json_set(slice, "ports", TAKE_PTR(ports));
  (void)json_add(slices, slice);
  return slice;
}

static struct json_object *endpoint_of(struct json_object *pod, bool any_state) {
  struct json_object *e = json_object_new_object(), *addresses = json_object_new_array();
  bool serving = pod_is_ready(pod), deleting = meta_deleting(pod);

  (void)json_add_str(addresses, json_str(pod, "status.podIP", ""));
  (void)json_set(e, "addresses", addresses);
  (void)json_set_bool(e, "conditions.ready", any_state || (serving && !deleting));
  (void)json_set_bool(e, "conditions.serving", serving);
  (void)json_set_bool(e, "conditions.terminating", deleting);
  (void)json_set_str(e, "nodeName", json_str(pod, "spec.nodeName", ""));
  (void)json_set_str(e, "targetRef.kind", "Pod");
  (void)json_set_str(e, "targetRef.namespace", meta_namespace(pod));
  (void)json_set_str(e, "targetRef.name", meta_name(pod));
  (void)json_set_str(e, "targetRef.uid", meta_uid(pod));
  return e;
}

struct json_object *endpoint_slices(struct json_object *service, struct json_object *pods) {
  struct json_object *slices = json_object_new_array();
  _cleanup_(selector_freep) struct selector *selector = NULL;
  struct ome_err err = ERR_INIT;
  bool any_state = json_flag(service, "spec.publishNotReadyAddresses", false);

  if (json_empty(json_at(service, "spec.selector")) ||
      selector_from_map(json_at(service, "spec.selector"), &selector, &err) != OME_OK)
    return slices;
  for (size_t i = 0; i < json_len(pods); i++) {
    struct json_object *pod = json_index(pods, i);
    const char *phase = json_str(pod, "status.phase", "");
    if (streq(phase, "Succeeded") || streq(phase, "Failed") || streq(json_str(pod, "status.podIP", ""), "") ||
        !selector_match(selector, json_at(pod, "metadata.labels")))
      continue;
    struct json_object *slice = slice_for(slices, service, pod);
    (void)json_add(json_get(slice, "endpoints"), endpoint_of(pod, any_state));
  }
  return slices;
}

struct json_object *endpoint_targets(struct json_object *slices, struct json_object *port) {
  struct json_object *out = json_object_new_array();

  for (size_t i = 0; i < json_len(slices); i++) {
    struct json_object *slice = json_index(slices, i), *endpoints = json_get(slice, "endpoints");
    struct json_object *p = json_find(json_get(slice, "ports"), "name", json_str(port, "name", ""));
    for (size_t k = 0; p && k < json_len(endpoints); k++) {
      struct json_object *e = json_index(endpoints, k);
      const char *ip = json_object_get_string(json_index(json_get(e, "addresses"), 0));
      _cleanup_free_ char *target = str_printf("%s:%lld", ip ? ip : "", (long long)json_i64(p, "port", 0));
      if (target && json_flag(e, "conditions.ready", false))
        (void)json_add_str(out, target);
    }
  }
  return out;
}
