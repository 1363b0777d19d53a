/* Fitting a pod to the node: selector, affinity, taints, room. */
#include "local/schedule.h"

#include "api/podresources.h"
#include "api/selector.h"
#include "base/buf.h"
#include "base/quantity.h"
#include "base/str.h"
#include "kube/meta.h"

#include <string.h>

/* ---- placement --------------------------------------------------------------------------------------------------- */

static void check_selector(struct json_object *pod, struct json_object *node, struct buf *why) {
  struct json_object *wanted = json_at(pod, "spec.nodeSelector");
  struct json_object *required =
      json_at(pod, "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution");
  _cleanup_buf_ struct buf missing = BUF_INIT;

  if (json_is(wanted, json_type_object)) {
    json_object_object_foreach (wanted, key, v) {
      const char *have = meta_label(node, key);
      if (!streq(have, json_object_get_string(v)))
        buf_addf(&missing, "%s%s=%s", missing.len ? ", " : "", key, json_object_get_string(v));
    }
  }
  if (missing.len)
    buf_addf(why, "1 node(s) didn't match Pod's node affinity/selector: the node lacks %s", buf_str(&missing));
  else if (required && !node_selector_match(required, node))
    buf_adds(why, "1 node(s) didn't match Pod's node affinity/selector");
  if (json_flag(node, "spec.unschedulable", false))
    buf_addf(why, "%s1 node(s) were unschedulable", why->len ? ", " : "");
}

static bool tolerates(struct json_object *toleration, struct json_object *taint) {
  const char *key = json_str(toleration, "key", ""), *effect = json_str(toleration, "effect", "");

  if (*effect && !streq(effect, json_str(taint, "effect", "")))
    return false;
  if (*key && !streq(key, json_str(taint, "key", "")))
    return false;
  if (streq(json_str(toleration, "operator", "Equal"), "Exists"))
    return true;
  return *key && streq(json_str(toleration, "value", ""), json_str(taint, "value", ""));
}

static void check_taints(struct json_object *pod, struct json_object *node, struct buf *why) {
  struct json_object *taints = json_at(node, "spec.taints"), *tolerations = json_at(pod, "spec.tolerations");

  for (size_t i = 0; i < json_len(taints); i++) {
    struct json_object *taint = json_index(taints, i);
    bool ok = streq(json_str(taint, "effect", ""), "PreferNoSchedule");
    for (size_t k = 0; k < json_len(tolerations) && !ok; k++)
      ok = tolerates(json_index(tolerations, k), taint);
    if (!ok)
      buf_addf(why, "%s1 node(s) had untolerated taint {%s: %s}", why->len ? ", " : "", json_str(taint, "key", ""),
               json_str(taint, "value", ""));
  }
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

/* A pod takes one of the places for pods. */
static int64_t request_milli(struct json_object *pod, const char *resource) {
  return streq(resource, "pods") ? 1000 : pod_request_milli(pod, resource);
}

static bool counts(struct json_object *pod, struct json_object *node) {
  return pod_takes_resources(pod) && streq(json_str(pod, "spec.nodeName", ""), meta_name(node));
}

static void check_resource(struct json_object *pod, struct json_object *node, struct json_object *pods,
                           const char *resource, struct buf *why) {
  struct json_object *q = json_get(json_at(node, "status.allocatable"), resource);
  int64_t wanted = request_milli(pod, resource), room = 0;

  if (!wanted)
    return;
  if (q && !quantity_milli(json_object_get_string(q), &room))
    room = 0;
  for (size_t i = 0; i < json_len(pods) && wanted <= room; i++) {
    struct json_object *other = json_index(pods, i);
    if (counts(other, node) && !streq(meta_uid(other), meta_uid(pod)))
      room -= request_milli(other, resource);
  }
  if (wanted <= room)
    return;
  buf_addf(why, "%s1 %s %s", why->len ? ", " : "", streq(resource, "pods") ? "Too many" : "Insufficient", resource);
}

/* Every resource that some container of POD names. */
static void check_room(struct json_object *pod, struct json_object *node, struct json_object *pods, struct buf *why) {
  static const char *const lists[] = {"spec.containers", "spec.initContainers"};
  static const char *const kinds[] = {"resources.requests", "resources.limits"};
  _cleanup_json_ struct json_object *seen = json_object_new_object();

  check_resource(pod, node, pods, "pods", why);
  for (size_t l = 0; l < ARRAY_LEN(lists); l++)
    for (size_t i = 0; i < json_len(json_at(pod, lists[l])); i++)
      for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        struct json_object *map = json_at(json_index(json_at(pod, lists[l]), i), kinds[k]);
        if (!json_is(map, json_type_object))
          continue;
        json_object_object_foreach (map, resource, unused) {
          (void)unused;
          if (!json_get(seen, resource))
            check_resource(pod, node, pods, resource, why);
          (void)json_put(seen, resource, json_object_new_boolean(1));
        }
      }
}

char *schedule_refusal(struct json_object *pod, struct json_object *node, struct json_object *pods) {
  _cleanup_buf_ struct buf why = BUF_INIT;

  if (!node)
    return strdup("0/0 nodes are available: the node is not registered yet.");
  check_selector(pod, node, &why);
  check_taints(pod, node, &why);
  check_room(pod, node, pods, &why);
  return why.len ? str_printf("0/1 nodes are available: %s.", buf_str(&why)) : NULL;
}
