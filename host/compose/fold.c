#include "compose/fold.h"

#include "base/str.h"
#include "compose/names.h"

#include <string.h>

static const char *const pod_fields[] = {"activeDeadlineSeconds",
                                         "affinity",
                                         "automountServiceAccountToken",
                                         "containers",
                                         "dnsConfig",
                                         "dnsPolicy",
                                         "enableServiceLinks",
                                         "ephemeralContainers",
                                         "hostAliases",
                                         "hostIPC",
                                         "hostNetwork",
                                         "hostPID",
                                         "hostUsers",
                                         "hostname",
                                         "imagePullSecrets",
                                         "initContainers",
                                         "nodeName",
                                         "nodeSelector",
                                         "os",
                                         "overhead",
                                         "preemptionPolicy",
                                         "priority",
                                         "priorityClassName",
                                         "readinessGates",
                                         "resourceClaims",
                                         "restartPolicy",
                                         "runtimeClassName",
                                         "schedulerName",
                                         "schedulingGates",
                                         "securityContext",
                                         "serviceAccount",
                                         "serviceAccountName",
                                         "setHostnameAsFQDN",
                                         "shareProcessNamespace",
                                         "subdomain",
                                         "terminationGracePeriodSeconds",
                                         "tolerations",
                                         "topologySpreadConstraints",
                                         "volumes"};

bool is_pod_field(const char *key) {
  for (size_t i = 0; i < ARRAY_LEN(pod_fields); i++)
    if (streq(pod_fields[i], key))
      return true;
  return false;
}

/* ---- the runner among containers --------------------------------------------------------------------------------- */

/* The container that serves: the one with OME's name, else one whose name holds "ome", else the first. */
static size_t find_runner(struct json_object *containers) {
  size_t fallback = 0;
  bool found = false;

  for (size_t i = 0; i < json_len(containers); i++) {
    const char *name = json_str(json_index(containers, i), "name", "");
    if (streq(name, MAIN_CONTAINER))
      return i;
    if (!found && strcasestr(name, "ome")) {
      fallback = i;
      found = true;
    }
  }
  return fallback;
}

/* Takes the serving container out of SPEC.containers and makes it SPEC.runner. */
static bool lift_runner(struct json_object *spec) {
  struct json_object *containers = json_get(spec, "containers");

  if (json_len(containers) == 0 || json_get(spec, "runner"))
    return true;
  size_t i = find_runner(containers);
  if (!json_set(spec, "runner", json_object_get(json_index(containers, i))))
    return false;
  (void)json_object_array_del_idx(containers, i, 1);
  if (json_len(containers) == 0)
    json_del(spec, "containers");
  return true;
}

/* ---- spec.predictor ---------------------------------------------------------------------------------------------- */

/* Whether somebody wrote something into it: OME's own clients always send the object. */
static bool predictor_used(struct json_object *p) {
  static const char *const signs[] = {"model",   "minReplicas",  "maxReplicas", "serviceAccountName", "containers",
                                      "volumes", "nodeSelector", "tolerations", "affinity",           "workerSpec"};

  for (size_t i = 0; i < ARRAY_LEN(signs); i++)
    if (!json_empty(json_get(p, signs[i])))
      return true;
  return false;
}

static bool append_env(struct json_object *runner, const char *name, const char *value) {
  struct json_object *env = json_get(runner, "env");

  if (env && !json_is(env, json_type_array))
    return true; /* composition says what is wrong with it */
  struct json_object *e = json_object_new_object();

  if (!env && (!json_set(runner, "env", json_object_new_array()) || !(env = json_get(runner, "env"))))
    return false;
  return e && json_set_str(e, "name", name) && json_set_str(e, "value", value) && json_add(env, e);
}

/* predictor.model carries a container inline beside its own fields. */
static bool fold_inline_container(struct json_object *engine, struct json_object *model) {
  static const char *const own[] = {"runtime",    "baseModel",      "fineTunedWeights",
                                    "storageUri", "runtimeVersion", "protocolVersion"};
  _cleanup_json_ struct json_object *container = json_copy(model);

  for (size_t i = 0; i < ARRAY_LEN(own); i++)
    json_del(container, own[i]);
  struct json_object *runner = json_get(engine, "runner");
  if (!runner && *json_str(container, "name", "")) {
    if (!json_set(engine, "runner", TAKE_PTR(container)))
      return false;
    runner = json_get(engine, "runner");
  } else if (runner) {
    struct json_object *env = json_get(container, "env");
    for (size_t i = 0; i < json_len(env); i++)
      if (!append_env(runner, json_str(json_index(env, i), "name", ""), json_str(json_index(env, i), "value", "")))
        return false;
  }
  const char *uri = json_str(model, "storageUri", "");
  const char *protocol = json_str(model, "protocolVersion", "");
  return !runner || ((!*uri || append_env(runner, "STORAGE_URI", uri)) &&
                     (!*protocol || append_env(runner, "PROTOCOL_VERSION", protocol)));
}

static bool fold_references(struct json_object *spec, struct json_object *model) {
  const char *base = json_str(model, "baseModel", "");
  const char *runtime = json_str(model, "runtime", "");
  struct json_object *weights = json_get(model, "fineTunedWeights");

  if (*base && !json_at(spec, "model") &&
      (!json_set_str(spec, "model.name", base) ||
       (weights && !json_set(spec, "model.fineTunedWeights", json_object_get(weights)))))
    return false;
  return !*runtime || json_at(spec, "runtime") || json_set_str(spec, "runtime.name", runtime);
}

static bool fold_predictor(struct json_object *spec) {
  struct json_object *predictor = json_get(spec, "predictor");
  struct json_object *model = json_get(predictor, "model");

  if (!predictor_used(predictor) || json_get(spec, "engine"))
    return true;
  struct json_object *engine = json_copy(predictor);
  struct json_object *worker = json_object_get(json_get(predictor, "workerSpec"));
  if (!engine || !json_set(spec, "engine", engine)) {
    json_unref(worker);
    return false;
  }
  json_del(engine, "model");
  json_del(engine, "workerSpec");
  if (worker && !json_set(engine, "worker", worker))
    return false;
  return lift_runner(engine) && (!model || (fold_inline_container(engine, model) && fold_references(spec, model)));
}

/* A copy with a spec. */
static int32_t open_copy(struct json_object *o, struct json_object **out, struct ome_err *err) {
  struct json_object *spec = json_get(o, "spec");

  if (spec && !json_is(spec, json_type_object))
    return fail(err, OME_E_INVALID, "%s %s: spec: must be an object", json_str(o, "kind", "object"),
                json_str(o, "metadata.name", ""));
  struct json_object *copy = json_copy(o);
  if (!copy || !json_ensure(copy, "spec")) {
    json_unref(copy);
    return fail_memory(err);
  }
  *out = copy;
  return OME_OK;
}

int32_t fold_service(struct json_object *service, struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *s = NULL;
  int32_t rc = open_copy(service, &s, err);

  if (rc != OME_OK)
    return rc;
  struct json_object *spec = json_get(s, "spec");
  if (!fold_predictor(spec))
    return fail_memory(err);
  json_del(spec, "predictor");
  *out = TAKE_PTR(s);
  return OME_OK;
}

/* ---- spec.containers of a runtime -------------------------------------------------------------------------------- */

int32_t fold_runtime(struct json_object *runtime, struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *r = NULL;
  int32_t rc = open_copy(runtime, &r, err);

  if (rc != OME_OK)
    return rc;
  struct json_object *spec = json_get(r, "spec");
  if (!json_get(spec, "engineConfig") && json_len(json_get(spec, "containers")) > 0) {
    struct json_object *engine = json_object_new_object();
    if (!engine || !json_set(spec, "engineConfig", engine))
      return fail_memory(err);
    json_object_object_foreach (spec, key, value) {
      bool moves = is_pod_field(key) || streq(key, "labels") || streq(key, "annotations");
      if (moves && !json_set(engine, key, json_copy(value)))
        return fail_memory(err);
    }
    if (!lift_runner(engine))
      return fail_memory(err);
  }
  *out = TAKE_PTR(r);
  return OME_OK;
}
