#include "compose/pod.h"

#include "base/str.h"
#include "compose/claim.h"
#include "compose/container.h"
#include "compose/devices.h"
#include "compose/fold.h"
#include "compose/merge.h"
#include "compose/modelmount.h"
#include "compose/names.h"
#include "compose/placeholder.h"
#include "select/vendor.h"

#include <stdio.h>
#include <string.h>

static const char *namespace_of(const struct pod_request *req) {
  return json_str(req->service, "metadata.namespace", "default");
}

static bool is_router(const struct pod_request *req) {
  return streq(req->kind, "router");
}

/* ---- environment ------------------------------------------------------------------------------------------------- */

static struct json_object *accelerator_config(const struct pod_request *req) {
  const char *class = json_str(req->accelerator, "metadata.name", "");

  return *class ? json_get(json_get(req->entry, "acceleratorConfig"), class) : NULL;
}

/* Devices of one pod times the pods of a group; where the runtime says how a class is divided, that holds (OME 1.3). */
static bool set_parallelism(const struct pod_request *req, struct json_object *container) {
  int64_t gpus = vendor_devices_of(container);
  int64_t pods = 1 + json_i64(req->component, "worker.size", 0);
  int64_t total;
  char text[24];

  if (gpus == 0 || is_router(req) || json_get(accelerator_config(req), "tensorParallelismOverride") || gpus > 4096 ||
      pods < 1 || pods > 65536)
    return true;
  total = gpus * pods;
  (void)snprintf(text, sizeof(text), "%lld", (long long)total);
  return container_set_env(container, "PARALLELISM_SIZE", text, true);
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Calls SET for every string of the map O in the order of its keys: maps have none, pods must not change by it. */
static bool each_sorted(struct json_object *o, struct json_object *container, bool overwrite) {
  size_t n = json_is(o, json_type_object) ? json_count(o) : 0;
  _cleanup_free_ const char **keys = calloc(n + 1, sizeof(*keys));
  size_t k = 0;
  bool ok = keys != NULL;

  if (!ok || n == 0)
    return ok;
  json_object_object_foreach (o, key, value) {
    (void)value;
    keys[k++] = key;
  }
  qsort(keys, k, sizeof(*keys), by_text);
  for (size_t i = 0; ok && i < k; i++)
    ok = container_set_env(container, keys[i], json_object_get_string(json_get(o, keys[i])), overwrite);
  return ok;
}

/* ---- resources --------------------------------------------------------------------------------------------------- */

/* Names that the container leaves open are taken from FROM. */
static bool fill_resources(struct json_object *container, struct json_object *from) {
  static const char *const kinds[] = {"requests", "limits"};

  for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
    struct json_object *map = json_get(from, kinds[i]);
    if (!json_is(map, json_type_object) || json_empty(map))
      continue;
    struct json_object *resources = json_ensure(container, "resources");
    struct json_object *to = resources ? json_ensure(resources, kinds[i]) : NULL;
    json_object_object_foreach (map, key, value) {
      if (!to || (!json_get(to, key) && !json_put(to, key, json_object_get(value))))
        return false;
    }
  }
  return true;
}

/* Where the service leaves the runner's resources open, the runtime's container of the same name and the accelerator
 * class fill them in. */
static bool set_resources(const struct pod_request *req, struct json_object *container) {
  struct json_object *own = json_at(req->service, "spec");
  struct json_object *said = json_at(json_get(own, req->kind), "runner.resources");
  struct json_object *legacy =
      json_find(json_at(req->runtime, "spec.containers"), "name", json_str(container, "name", ""));

  if (is_router(req) || !json_empty(said))
    return true;
  return fill_resources(container, json_get(legacy, "resources")) && devices_take(container, req->accelerator);
}

static bool set_accelerator_env(const struct pod_request *req, struct json_object *container) {
  return each_sorted(json_get(accelerator_config(req), "environmentOverride"), container, true);
}

/* ---- one pod ----------------------------------------------------------------------------------------------------- */

static struct json_object *pod_fields_of(struct json_object *group) {
  struct json_object *pod = json_object_new_object();

  if (!pod || !json_is(group, json_type_object))
    return pod;
  json_object_object_foreach (group, key, value) {
    if (is_pod_field(key) && value)
      (void)json_put(pod, key, json_copy(value));
  }
  return pod;
}

static int32_t dress_runner(const struct pod_request *req, struct json_object *runner, struct ome_err *err) {
  const struct model_mount mount = {
      .model = req->model, .ns = namespace_of(req), .path = model_mount_path(req->model), .variable = "MODEL_PATH"};
  int32_t rc = is_router(req) || req->replaced ? OME_OK : model_mount_container(&mount, runner, err);
  if (rc != OME_OK)
    return rc;
  bool ok = set_resources(req, runner) && set_accelerator_env(req, runner) && set_parallelism(req, runner) &&
            each_sorted(json_get(req->component, "config"), runner, false);

  return ok ? OME_OK : fail_memory(err);
}

/* args of the container in the template go before the runner's. */
static struct json_object *joined_args(struct json_object *container, struct json_object *runner) {
  struct json_object *first = json_get(container, "args");
  struct json_object *second = json_get(runner, "args");
  struct json_object *out = json_object_new_array();

  for (size_t i = 0; out && i < json_len(first); i++)
    (void)json_add(out, json_object_get(json_index(first, i)));
  for (size_t i = 0; out && i < json_len(second); i++)
    (void)json_add(out, json_object_get(json_index(second, i)));
  return out;
}

/* Puts RUNNER into the pod: over the container of its name, else at the end. */
static int32_t place_runner(struct json_object *pod, struct json_object *runner, struct ome_err *err) {
  struct json_object *containers = list_in(pod, "containers");

  if (!containers || (!*json_str(runner, "name", "") && !json_set_str(runner, "name", MAIN_CONTAINER)))
    return fail_memory(err);
  const char *name = json_str(runner, "name", "");
  for (size_t i = 0; i < json_len(containers); i++) {
    struct json_object *c = json_index(containers, i);
    if (!streq(json_str(c, "name", ""), name))
      continue;
    struct json_object *merged = NULL;
    struct json_object *args = joined_args(c, runner);
    int32_t rc = merge_container(c, runner, &merged, err);
    if (rc == OME_OK && json_len(args) && !json_set(merged, "args", json_object_get(args)))
      rc = fail_memory(err);
    json_unref(args);
    if (rc == OME_OK && json_object_array_put_idx(containers, i, merged) != 0)
      rc = fail_memory(err);
    return rc;
  }
  return json_add(containers, json_object_get(runner)) ? OME_OK : fail_memory(err);
}

/* OME's routers see a model of the node, though they read nothing of it; a claim is spared that. */
static int32_t add_model_volume(const struct pod_request *req, struct json_object *pod, struct ome_err *err) {
  if (req->replaced || (is_router(req) && claim_is(json_str(req->model, "spec.storage.storageUri", ""))))
    return OME_OK;
  return model_mount_volume(req->model, namespace_of(req), pod, err);
}

static bool overlay(struct json_object *to, struct json_object *map) {
  if (!json_is(map, json_type_object))
    return true;
  json_object_object_foreach (map, key, value) {
    if (!to || !json_put(to, key, json_object_get(value)))
      return false;
  }
  return true;
}

/* Only nodes that hold the model, unless nobody reads it. */
static bool ask_for_model(const struct pod_request *req, struct json_object *selector) {
  return !req->model || req->replaced || model_select_nodes(req->model, selector);
}

/* Nodes with the model, then what runtime, accelerator class and service ask for. */
static int32_t place_on_nodes(const struct pod_request *req, struct json_object *pod, struct ome_err *err) {
  if (is_router(req))
    return OME_OK;
  struct json_object *selector = json_ensure(pod, "nodeSelector");
  if (!selector || !ask_for_model(req, selector))
    return fail_memory(err);
  struct json_object *own = json_get(json_get(req->service, "spec"), req->kind);
  if (!overlay(selector, json_at(req->runtime, "spec.nodeSelector")) ||
      !overlay(selector, json_at(req->accelerator, "spec.discovery.nodeSelector")) ||
      !overlay(selector, json_get(own, "nodeSelector")))
    return fail_memory(err);
  struct json_object *affinity = json_at(req->accelerator, "spec.discovery.affinity");
  if (affinity && !json_get(own, "affinity") && !json_set(pod, "affinity", json_copy(affinity)))
    return fail_memory(err);
  if (json_empty(selector))
    json_del(pod, "nodeSelector");
  return OME_OK;
}

/* GROUP holds pod fields and perhaps a runner. */
static int32_t compose_pod(const struct pod_request *req, struct json_object *group, const char *what,
                           struct json_object **out, char container[64], struct ome_err *err) {
  _cleanup_json_ struct json_object *pod = pod_fields_of(group);
  _cleanup_json_ struct json_object *runner = json_get(group, "runner") ? json_copy(json_get(group, "runner")) : NULL;
  int32_t rc = OME_OK;

  if (!pod)
    return fail_memory(err);
  if (runner) {
    rc = dress_runner(req, runner, err);
    if (rc == OME_OK)
      rc = place_runner(pod, runner, err);
  } else if (json_len(json_get(pod, "containers")) == 0) {
    return fail(err, OME_E_INVALID,
                "%s: no containers found in pod spec and no runner spec provided; the runtime needs %sConfig.runner or "
                "the service spec.%s.runner",
                what, req->kind, req->kind);
  }
  if (rc == OME_OK)
    rc = add_model_volume(req, pod, err);
  if (rc == OME_OK)
    rc = place_on_nodes(req, pod, err);
  if (rc != OME_OK)
    return rc;
  struct json_object *main = runner ? runner : json_index(json_get(pod, "containers"), 0);
  (void)snprintf(container, 64, "%s", json_str(main, "name", ""));
  struct json_object *served = json_find(json_get(pod, "containers"), "name", container);
  if (!placeholders_expand(served, req->service))
    return fail_memory(err);
  *out = TAKE_PTR(pod);
  return OME_OK;
}

int32_t compose_pods(const struct pod_request *req, struct pod_result *out, struct ome_err *err) {
  struct json_object *leader = json_get(req->component, "leader");
  struct json_object *worker = json_get(req->component, "worker");
  struct pod_result r = {0};
  char worker_container[64];
  int32_t rc = compose_pod(req, req->grouped && leader ? leader : req->component, req->kind, &r.main, r.container, err);

  if (rc == OME_OK && req->grouped && worker)
    rc = compose_pod(req, worker, "worker", &r.worker, worker_container, err);
  if (rc != OME_OK) {
    pod_result_fini(&r);
    return rc;
  }
  *out = r;
  return OME_OK;
}

void pod_result_fini(struct pod_result *r) {
  json_unref(r->main);
  json_unref(r->worker);
  r->main = r->worker = NULL;
}
