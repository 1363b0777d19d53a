#include "select/discovery.h"

#include "api/podresources.h"
#include "api/selector.h"
#include "base/quantity.h"
#include "base/str.h"
#include "base/strmap.h"
#include "select/vendor.h"

#include <stdint.h>
#include <string.h>

/* ---- which nodes ------------------------------------------------------------------------------------------------- */

static const char *label_of(struct json_object *node, const char *key) {
  struct json_object *v = json_get(json_at(node, "metadata.labels"), key);

  return v ? json_object_get_string(v) : NULL;
}

static bool has_labels(struct json_object *node, struct json_object *selector) {
  if (!json_is(selector, json_type_object))
    return true;
  json_object_object_foreach (selector, key, value) {
    const char *label = label_of(node, key);
    if (!label || !value || !streq(label, json_object_get_string(value)))
      return false;
  }
  return true;
}

/* In thousandths, of "capacity" or "allocatable"; 0: none. */
static int64_t amount(struct json_object *node, const char *map, const char *resource) {
  struct json_object *q = json_get(json_get(json_get(node, "status"), map), resource);
  int64_t milli = 0;

  return q && quantity_milli(json_object_get_string(q), &milli) && milli > 0 ? milli : 0;
}

/* A node that has not said its capacity has what is allocatable. */
static int64_t capacity(struct json_object *node, const char *resource) {
  int64_t n = amount(node, "capacity", resource);

  return n ? n : amount(node, "allocatable", resource);
}

/* The resource that is counted on NODE: the class's first, or of its vendor's the one that the node has.  "": none is
 * named.  NULL: the node lacks one. */
static const char *counted_resource(struct json_object *class, struct json_object *node) {
  struct json_object *resources = json_at(class, "spec.resources");
  const char *vendor = json_str(class, "spec.vendor", "");

  for (size_t i = 0; i < json_len(resources); i++)
    if (!capacity(node, json_str(json_index(resources, i), "name", "")))
      return NULL;
  if (json_len(resources))
    return json_str(json_index(resources, 0), "name", "");
  for (size_t i = 0; vendor_resource(vendor, i); i++)
    if (capacity(node, vendor_resource(vendor, i)))
      return vendor_resource(vendor, i);
  return vendor_resource(vendor, 0) ? NULL : "";
}

static bool is_meant(struct json_object *class, struct json_object *node) {
  struct json_object *labels = json_at(class, "spec.discovery.nodeSelector");
  struct json_object *required =
      json_at(class, "spec.discovery.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution");

  if (json_empty(labels) && !required)
    return vendor_labels_allow(class, node);
  return has_labels(node, labels) && (!required || node_selector_match(required, node));
}

enum discovery_fit discovery_fits(struct json_object *class, struct json_object *node) {
  if (!is_meant(class, node))
    return DISCOVERY_OTHER;
  return counted_resource(class, node) ? DISCOVERY_HAS : DISCOVERY_LACKS;
}

/* ---- how many ---------------------------------------------------------------------------------------------------- */

static void drop_list(void *list) {
  json_unref(list);
}

/* The pods on each node, by its name. */
static struct strmap *by_node(struct json_object *pods) {
  _cleanup_strmap_ struct strmap *out = strmap_new(drop_list);

  for (size_t i = 0; out && i < json_len(pods); i++) {
    struct json_object *pod = json_index(pods, i);
    const char *node = json_str(pod, "spec.nodeName", "");
    if (!pod_takes_resources(pod))
      continue;
    struct json_object *list = strmap_get(out, node);
    if (!list && !strmap_put(out, node, list = json_object_new_array()))
      return NULL;
    if (!list || !json_add(list, json_object_get(pod)))
      return NULL;
  }
  return TAKE_PTR(out);
}

/* A node that is cordoned or not ready takes no pods; one that does not say is taken to be ready. */
static bool takes_pods(struct json_object *node) {
  const char *ready = json_str(json_find(json_at(node, "status.conditions"), "type", "Ready"), "status", "True");

  return !json_flag(node, "spec.unschedulable", false) && streq(ready, "True");
}

static int64_t free_on(struct json_object *node, const char *resource, struct json_object *pods) {
  int64_t left = takes_pods(node) ? amount(node, "allocatable", resource) : 0;

  for (size_t i = 0; i < json_len(pods) && left > 0; i++)
    left -= pod_request_milli(json_index(pods, i), resource);
  return left > 0 ? left : 0;
}

/* ---- status ------------------------------------------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b) {
  return strcmp(json_object_get_string(*(struct json_object *const *)a),
                json_object_get_string(*(struct json_object *const *)b));
}

/* Thousandths of devices as a count, for an int32 field. */
static int64_t whole(int64_t milli) {
  return milli / 1000 > INT32_MAX ? INT32_MAX : milli / 1000;
}

static struct json_object *status_of(struct json_object *nodes, int64_t total, int64_t left, bool counted) {
  _cleanup_json_ struct json_object *status = json_object_new_object();

  if (json_len(nodes))
    json_object_array_sort(nodes, compare_names);
  if (!status || (json_len(nodes) && !json_set(status, "nodes", json_object_get(nodes))) ||
      !json_set_i64(status, "availableNodes", (int64_t)json_len(nodes)) ||
      (counted && (!json_set_i64(status, "totalAccelerators", whole(total)) ||
                   !json_set_i64(status, "availableAccelerators", whole(left)))))
    return NULL;
  return TAKE_PTR(status);
}

struct json_object *discovery_status(struct json_object *class, struct json_object *nodes, struct json_object *pods) {
  _cleanup_json_ struct json_object *found = json_object_new_array();
  _cleanup_strmap_ struct strmap *taken = by_node(pods);
  bool counted = json_len(json_at(class, "spec.resources")) || vendor_resource(json_str(class, "spec.vendor", ""), 0);
  int64_t total = 0, left = 0;

  if (!found || !taken)
    return NULL;
  for (size_t i = 0; i < json_len(nodes); i++) {
    struct json_object *node = json_index(nodes, i);
    const char *name = json_str(node, "metadata.name", "");
    const char *resource = is_meant(class, node) ? counted_resource(class, node) : NULL;
    if (!resource)
      continue;
    /* A sum beyond what a number holds says nothing more. */
    if (__builtin_add_overflow(total, capacity(node, resource), &total))
      total = INT64_MAX;
    if (__builtin_add_overflow(left, free_on(node, resource, strmap_get(taken, name)), &left))
      left = INT64_MAX;
    if (!json_add_str(found, name))
      return NULL;
  }
  return status_of(found, total, left, counted);
}
