/* AcceleratorClass: which nodes have it. */
#include "base/clock.h"
#include "base/quantity.h"
#include "base/str.h"
#include "controller/internal.h"
#include "kube/meta.h"

#define OME_FINALIZER "acceleratorclasses.ome.io/finalizer"

static bool has_labels(struct json_object *node, struct json_object *selector) {
  if (!json_is(selector, json_type_object))
    return true;
  json_object_object_foreach (selector, key, value) {
    const char *label = meta_label(node, key);
    if (!label || !streq(label, json_object_get_string(value)))
      return false;
  }
  return true;
}

/* Every resource of the class must be on the node; *COUNT adds up those of the first one. */
static bool has_resources(struct json_object *node, struct json_object *resources, int64_t *count) {
  for (size_t i = 0; i < json_len(resources); i++) {
    const char *name = json_str(json_index(resources, i), "name", "");
    struct json_object *v = json_get(json_at(node, "status.allocatable"), name);
    int64_t n = 0;
    if (!v)
      v = json_get(json_at(node, "status.capacity"), name);
    if (!v || !quantity_value(json_object_get_string(v), &n) || n <= 0)
      return false;
    if (i == 0)
      *count += n;
  }
  return true;
}

static int32_t write_status(struct controller *c, struct json_object *class, struct json_object *nodes, int64_t total,
                            struct ome_err *err) {
  struct json_object *old = json_get(class, "status");
  char stamp[TIME_TEXT];

  if (old && json_equal(json_get(old, "nodes"), json_len(nodes) ? nodes : NULL) &&
      json_i64(old, "availableNodes", -1) == (int64_t)json_len(nodes) && json_i64(old, "totalAccelerators", 0) == total)
    return OME_OK;
  _cleanup_json_ struct json_object *changed = json_copy(class);
  struct json_object *status = changed ? json_ensure(changed, "status") : NULL;
  time_format(wall_ms() / 1000, stamp);
  json_del(status, "nodes");
  if (!status || (json_len(nodes) && !json_set(status, "nodes", json_object_get(nodes))) ||
      !json_set_i64(status, "availableNodes", (int64_t)json_len(nodes)) ||
      !json_set_i64(status, "totalAccelerators", total) || !json_set_str(status, "lastUpdated", stamp))
    return fail_memory(err);
  int32_t rc = kube_update_status(c->client, &KUBE_ACCELERATORCLASSES, changed, NULL, err);
  return rc == OME_E_NOT_FOUND ? OME_OK : rc;
}

int32_t reconcile_accelerator(void *arg, UNUSED const char *ns, const char *name, UNUSED uint64_t *requeue_ms,
                              struct ome_err *err) {
  struct controller *c = arg;
  _cleanup_json_ struct json_object *class = kube_cache_get(c->watches[WATCH_ACCELERATORS], NULL, name);
  _cleanup_json_ struct json_object *nodes = json_object_new_array();
  int64_t total = 0;

  /* Services that use it look at it again. */
  requeue_services(c, NULL, NULL);
  if (!class)
    return OME_OK;
  if (meta_deleting(class)) {
    if (!meta_remove_finalizer(class, OME_FINALIZER))
      return OME_OK;
    int32_t rc = kube_update(c->client, &KUBE_ACCELERATORCLASSES, class, NULL, err);
    return rc == OME_E_NOT_FOUND ? OME_OK : rc;
  }
  _cleanup_json_ struct json_object *all = kube_cache_list(c->watches[WATCH_NODES], NULL);
  for (size_t i = 0; nodes && i < json_len(all); i++) {
    struct json_object *n = json_index(all, i);
    if (has_labels(n, json_at(class, "spec.discovery.nodeSelector")) &&
        has_resources(n, json_at(class, "spec.resources"), &total))
      (void)json_object_array_add(nodes, json_object_new_string(meta_name(n)));
  }
  return nodes ? write_status(c, class, nodes, total, err) : fail_memory(err);
}
