/* AcceleratorClass: which nodes have it, how many devices, how many of them are free (select/discovery.h). */
#include "base/clock.h"
#include "base/str.h"
#include "controller/internal.h"
#include "kube/meta.h"
#include "select/discovery.h"

#include <string.h>

#define OME_FINALIZER "acceleratorclasses.ome.io/finalizer"
#define EVERY_CLASS "classes" /* the one key of the queue */
#define PODS_SETTLE_MS 1000u  /* pods come and go in bursts; what they leave free is counted once */

/* ---- what is read of nodes and pods ------------------------------------------------------------------------------ */

/* Of its conditions only whether it is ready: their times change every few seconds. */
static void trim_conditions(struct json_object *status) {
  struct json_object *ready = json_find(json_get(status, "conditions"), "type", "Ready");
  _cleanup_free_ char *value = ready ? strdup(json_str(ready, "status", "")) : NULL;
  struct json_object *kept = value ? json_object_new_array() : NULL;
  struct json_object *condition = kept ? json_object_new_object() : NULL;

  json_del(status, "conditions");
  if (condition && json_add(kept, condition) && json_set_str(condition, "type", "Ready") &&
      json_set_str(condition, "status", value))
    (void)json_set(status, "conditions", json_object_get(kept));
  json_unref(kept);
}

void trim_node(struct json_object *o) {
  static const char *const meta[] = {"name", "uid", "resourceVersion", "labels", "deletionTimestamp", NULL};
  static const char *const spec[] = {"unschedulable", NULL};
  static const char *const status[] = {"capacity", "allocatable", "conditions", NULL};

  json_keep(json_get(o, "metadata"), meta);
  json_keep(json_get(o, "spec"), spec);
  json_keep(json_get(o, "status"), status);
  trim_conditions(json_get(o, "status"));
}

void trim_pod(struct json_object *o) {
  static const char *const meta[] = {"name", "namespace", "uid", "resourceVersion", NULL};
  static const char *const spec[] = {"nodeName", "containers", "initContainers", NULL};
  static const char *const status[] = {"phase", NULL};
  static const char *const container[] = {"resources", "restartPolicy", NULL};
  static const char *const lists[] = {"containers", "initContainers"};

  json_keep(json_get(o, "metadata"), meta);
  json_keep(json_get(o, "spec"), spec);
  json_keep(json_get(o, "status"), status);
  for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
    struct json_object *list = json_get(json_get(o, "spec"), lists[l]);
    for (size_t i = 0; i < json_len(list); i++)
      json_keep(json_index(list, i), container);
  }
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void count_again(struct controller *c) {
  enqueue(c, QUEUE_ACCELERATORS, NULL, EVERY_CLASS);
}

/* Whether KEY of an object is what it was. */
static bool same(const struct kube_event *e, const char *key) {
  return e->type == KUBE_MODIFIED && e->old && json_equal(json_get(e->old, key), json_get(e->object, key));
}

static bool has_nodes(struct json_object *class) {
  return json_i64(class, "status.availableNodes", 0) > 0;
}

/* Services look again when a class comes, goes, says something else, or is to be had at last (or no more).  How many
 * of its devices are free matters to those that choose anew, for whatever reason they do. */
void on_accelerator(void *arg, const struct kube_event *e) {
  struct controller *c = arg;
  bool same_spec = same(e, "spec");

  atomic_fetch_add(&c->classes_version, 1);
  if (!same_spec || has_nodes(e->old) != has_nodes(e->object))
    enqueue(c, QUEUE_RUNTIMES, NULL, EVERY_SERVICE);
  if (!same_spec || meta_deleting(e->object))
    count_again(c);
}

void on_node_devices(void *arg, const struct kube_event *e) {
  struct json_object *labels = json_at(e->object, "metadata.labels");

  if (same(e, "spec") && same(e, "status") && json_equal(json_at(e->old, "metadata.labels"), labels))
    return;
  count_again(arg);
}

void on_any_pod(void *arg, const struct kube_event *e) {
  if (!same(e, "spec") || !same(e, "status"))
    enqueue_after(arg, QUEUE_ACCELERATORS, NULL, EVERY_CLASS, PODS_SETTLE_MS);
}

/* ---- reconciling ------------------------------------------------------------------------------------------------- */

/* Whether STATUS of a class says what was found. */
static bool says(struct json_object *status, struct json_object *found) {
  static const char *const keys[] = {"nodes", "availableNodes", "totalAccelerators", "availableAccelerators"};

  for (size_t i = 0; i < ARRAY_LEN(keys); i++)
    if (!json_equal(json_get(status, keys[i]), json_get(found, keys[i])))
      return false;
  return true;
}

static int32_t write_status(struct controller *c, struct json_object *class, struct json_object *found,
                            struct ome_err *err) {
  struct json_object *conditions = json_at(class, "status.conditions");
  _cleanup_json_ struct json_object *changed = json_copy(class);
  char stamp[TIME_TEXT];

  if (says(json_get(class, "status"), found))
    return OME_OK;
  time_format(wall_ms() / 1000, stamp);
  if (!changed || !json_set_str(found, "lastUpdated", stamp) ||
      (conditions && !json_set(found, "conditions", json_object_get(conditions))) ||
      !json_set(changed, "status", json_object_get(found)))
    return fail_memory(err);
  return kube_update_status(c->client, &KUBE_ACCELERATORCLASSES, changed, NULL, err);
}

static int32_t count_class(struct controller *c, struct json_object *class, struct json_object *nodes,
                           struct json_object *pods, struct ome_err *err) {
  int32_t rc = OME_OK;

  if (!meta_deleting(class)) {
    _cleanup_json_ struct json_object *found = discovery_status(class, nodes, pods);
    rc = found ? write_status(c, class, found, err) : fail_memory(err);
  } else if (meta_remove_finalizer(class, OME_FINALIZER)) {
    rc = kube_update(c->client, &KUBE_ACCELERATORCLASSES, class, NULL, err);
  }
  return rc == OME_E_NOT_FOUND ? OME_OK : rc;
}

/* One class that cannot be written keeps no other from it. */
int32_t reconcile_accelerator(void *arg, UNUSED const char *ns, UNUSED const char *name, UNUSED uint64_t *requeue_ms,
                              struct ome_err *err) {
  struct controller *c = arg;
  _cleanup_json_ struct json_object *classes = kube_cache_list(c->watches[WATCH_ACCELERATORS], NULL);
  _cleanup_json_ struct json_object *nodes = NULL, *pods = NULL;
  int32_t rc = OME_OK;

  if (json_len(classes) == 0)
    return OME_OK;
  nodes = kube_cache_list(c->watches[WATCH_NODES], NULL);
  pods = kube_cache_list(c->watches[WATCH_ALL_PODS], NULL);
  if (!nodes || !pods)
    return fail_memory(err);
  for (size_t i = 0; i < json_len(classes); i++) {
    struct ome_err failure = ERR_INIT;
    int32_t one = count_class(c, json_index(classes, i), nodes, pods, &failure);
    if (one == OME_OK || (rc != OME_OK && !err_retryable(one)))
      continue;
    rc = one;
    *err = failure;
  }
  return rc;
}
