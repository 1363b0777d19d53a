/* Defaults and rules of single built-in kinds: one table, one small function a rule. */
#include "api/builtin.h"

#include "base/str.h"

#include <string.h>

typedef void default_fn(struct json_object *o, struct json_object *old);
typedef void rule_fn(struct json_object *o, struct json_object *old, struct field_errors *out);

/* ---- defaults --------------------------------------------------------------------------------------------------- */

static void set_default(struct json_object *o, const char *path, const char *value) {
  if (!json_at(o, path))
    (void)json_set_str(o, path, value);
}

/* ":latest" and no tag at all are pulled always, anything else when it is not there. */
static void default_pull_policy(struct json_object *container) {
  const char *image = json_str(container, "image", "");
  const char *slash = strrchr(image, '/');
  const char *tag = strrchr(slash ? slash : image, ':');
  bool latest = !strchr(image, '@') && (!tag || streq(tag, ":latest"));

  set_default(container, "imagePullPolicy", latest ? "Always" : "IfNotPresent");
}

/* What is limited and not requested is requested as limited. */
static void default_requests(struct json_object *container) {
  struct json_object *limits = json_at(container, "resources.limits");

  if (json_empty(limits))
    return;
  struct json_object *requests = json_ensure(container, "resources.requests");
  json_object_object_foreach(limits, key, v) {
    if (!json_get(requests, key))
      (void)json_object_object_add(requests, key, json_copy(v));
  }
}

static void default_containers(struct json_object *list) {
  for (size_t i = 0; i < json_len(list); i++) {
    default_pull_policy(json_index(list, i));
    default_requests(json_index(list, i));
  }
}

static void default_pod_spec(struct json_object *spec) {
  if (!spec)
    return;
  default_containers(json_at(spec, "containers"));
  default_containers(json_at(spec, "initContainers"));
  const char *account = json_str(spec, "serviceAccountName", json_str(spec, "serviceAccount", NULL));
  if (account && *account) {
    set_default(spec, "serviceAccountName", account);
    set_default(spec, "serviceAccount", account);
  }
}

static void default_pod(struct json_object *o, struct json_object *old) {
  default_pod_spec(json_at(o, "spec"));
  if (!old)
    set_default(o, "status.phase", "Pending");
  set_default(o, "status.qosClass", "BestEffort");
}

static void default_template(struct json_object *o, struct json_object *old) {
  (void)old;
  default_pod_spec(json_at(o, "spec.template.spec"));
}

static void default_namespace(struct json_object *o, struct json_object *old) {
  struct json_object *labels = json_ensure(o, "metadata.labels");
  struct json_object *finalizers = json_at(o, "spec.finalizers");

  (void)json_object_object_add(labels, "kubernetes.io/metadata.name",
                               json_object_new_string(json_str(o, "metadata.name", "")));
  if (!old && !finalizers) {
    finalizers = json_object_new_array();
    (void)json_object_array_add(finalizers, json_object_new_string("kubernetes"));
    (void)json_set(o, "spec.finalizers", finalizers);
  }
  if (!old)
    set_default(o, "status.phase", "Active");
}

static void default_secret(struct json_object *o, struct json_object *old) {
  struct json_object *plain = json_at(o, "stringData");

  (void)old;
  if (json_is(plain, json_type_object)) {
    struct json_object *data = json_ensure(o, "data");
    json_object_object_foreach(plain, key, v) {
      const char *text = v ? json_object_get_string(v) : "";
      _cleanup_free_ char *encoded = base64_encode(text, strlen(text));
      (void)json_object_object_add(data, key, json_object_new_string(encoded ? encoded : ""));
    }
    json_object_object_del(o, "stringData");
  }
  set_default(o, "type", "Opaque");
}

/* targetPort follows port, and the address stays what it was. */
static void default_service(struct json_object *o, struct json_object *old) {
  struct json_object *ports = json_at(o, "spec.ports");

  for (size_t i = 0; i < json_len(ports); i++) {
    struct json_object *p = json_index(ports, i);
    if (!json_at(p, "targetPort") && json_at(p, "port"))
      (void)json_set(p, "targetPort", json_copy(json_at(p, "port")));
  }
  if (old && !json_at(o, "spec.clusterIP") && json_at(old, "spec.clusterIP")) {
    (void)json_set(o, "spec.clusterIP", json_copy(json_at(old, "spec.clusterIP")));
    if (json_at(old, "spec.clusterIPs"))
      (void)json_set(o, "spec.clusterIPs", json_copy(json_at(old, "spec.clusterIPs")));
  }
}

static void default_job(struct json_object *o, struct json_object *old) {
  const char *uid = json_str(o, "metadata.uid", "");

  default_pod_spec(json_at(o, "spec.template.spec"));
  if (json_at(o, "spec.completions") && !json_at(o, "spec.parallelism"))
    (void)json_set_i64(o, "spec.parallelism", 1);
  if (!json_at(o, "spec.completions") && !json_at(o, "spec.parallelism")) {
    (void)json_set_i64(o, "spec.completions", 1);
    (void)json_set_i64(o, "spec.parallelism", 1);
  }
  if (old || json_flag(o, "spec.manualSelector", false))
    return;
  /* The job's pods are told apart by its uid. */
  static const char *const maps[] = {"spec.template.metadata.labels", "spec.selector.matchLabels"};
  for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
    struct json_object *labels = json_ensure(o, maps[i]);
    (void)json_object_object_add(labels, "controller-uid", json_object_new_string(uid));
    if (i == 0)
      (void)json_object_object_add(labels, "job-name", json_object_new_string(json_str(o, "metadata.name", "")));
  }
}

/* ---- rules ------------------------------------------------------------------------------------------------------ */

static void immutable(struct json_object *o, struct json_object *old, const char *path, struct field_errors *out) {
  struct json_object *now = json_at(o, path);

  if (!old || json_equal(now, json_at(old, path)))
    return;
  _cleanup_free_ char *text = json_text(now);
  field_errors_add(out, FIELD_INVALID, path, "Invalid value: %s: field is immutable", text);
}

static void rule_selector(struct json_object *o, struct json_object *old, struct field_errors *out) {
  struct json_object *selector = json_at(o, "spec.selector.matchLabels");
  struct json_object *labels = json_at(o, "spec.template.metadata.labels");

  immutable(o, old, "spec.selector", out);
  if (!json_is(selector, json_type_object))
    return;
  json_object_object_foreach(selector, key, v) {
    struct json_object *have = json_get(labels, key);
    if (have && json_equal(have, v))
      continue;
    _cleanup_free_ char *text = json_text(labels);
    field_errors_add(out, FIELD_INVALID, "spec.template.metadata.labels",
                     "Invalid value: %s: `selector` does not match template `labels`", text);
    return;
  }
}

static void rule_job(struct json_object *o, struct json_object *old, struct field_errors *out) {
  const char *restart = json_str(o, "spec.template.spec.restartPolicy", "");

  immutable(o, old, "spec.selector", out);
  immutable(o, old, "spec.completions", out);
  immutable(o, old, "spec.template", out);
  if (!streq(restart, "Never") && !streq(restart, "OnFailure"))
    field_errors_add(out, FIELD_UNSUPPORTED, "spec.template.spec.restartPolicy",
                     "Unsupported value: \"%s\": supported values: \"OnFailure\", \"Never\"", restart);
}

static void rule_immutable_data(struct json_object *o, struct json_object *old, struct field_errors *out) {
  static const char *const fields[] = {"data", "binaryData"};

  if (!old || !json_flag(old, "immutable", false))
    return;
  if (!json_flag(o, "immutable", false))
    field_errors_add(out, FIELD_FORBIDDEN, "immutable", "Forbidden: field is immutable when `immutable` is set");
  for (size_t i = 0; i < ARRAY_LEN(fields); i++)
    if (!json_equal(json_at(o, fields[i]), json_at(old, fields[i])))
      field_errors_add(out, FIELD_FORBIDDEN, fields[i], "Forbidden: field is immutable when `immutable` is set");
}

static void rule_secret(struct json_object *o, struct json_object *old, struct field_errors *out) {
  immutable(o, old, "type", out);
  rule_immutable_data(o, old, out);
}

static void rule_service(struct json_object *o, struct json_object *old, struct field_errors *out) {
  struct json_object *ports = json_at(o, "spec.ports");
  const char *type = json_str(o, "spec.type", "ClusterIP");

  if (json_len(ports) == 0 && !streq(type, "ExternalName") && !streq(json_str(o, "spec.clusterIP", ""), "None"))
    field_errors_add(out, FIELD_REQUIRED, "spec.ports", "Required value");
  if (old && *json_str(old, "spec.clusterIP", ""))
    immutable(o, old, "spec.clusterIP", out);
}

static void rule_pod(struct json_object *o, struct json_object *old, struct field_errors *out) {
  struct json_object *containers = json_at(o, "spec.containers");

  if (json_len(containers) == 0)
    field_errors_add(out, FIELD_REQUIRED, "spec.containers", "Required value");
  if (!old)
    return;
  _cleanup_json_ struct json_object *now = json_copy(json_at(o, "spec"));
  _cleanup_json_ struct json_object *before = json_copy(json_at(old, "spec"));
  static const char *const movable[] = {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds",
                                        "nodeName"};
  for (size_t i = 0; i < ARRAY_LEN(movable); i++) {
    json_del(now, movable[i]);
    json_del(before, movable[i]);
  }
  static const char *const lists[] = {"containers", "initContainers"};
  for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
    for (size_t i = 0; i < json_len(json_at(now, lists[k])); i++)
      json_del(json_index(json_at(now, lists[k]), i), "image");
    for (size_t i = 0; i < json_len(json_at(before, lists[k])); i++)
      json_del(json_index(json_at(before, lists[k]), i), "image");
  }
  if (!json_equal(now, before))
    field_errors_add(out, FIELD_FORBIDDEN, "spec",
                     "Forbidden: pod updates may not change fields other than `spec.containers[*].image`, "
                     "`spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations` (only additions "
                     "to existing tolerations) or `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it "
                     "was previously negative)");
}

static const struct {
  const char *group, *kind;
  default_fn *defaults;
  rule_fn *rule;
} kinds[] = {
    {"", "Pod", default_pod, rule_pod},
    {"", "Namespace", default_namespace, NULL},
    {"", "Secret", default_secret, rule_secret},
    {"", "ConfigMap", NULL, rule_immutable_data},
    {"", "Service", default_service, rule_service},
    {"apps", "Deployment", default_template, rule_selector},
    {"apps", "ReplicaSet", default_template, rule_selector},
    {"apps", "StatefulSet", default_template, rule_selector},
    {"apps", "DaemonSet", default_template, rule_selector},
    {"batch", "Job", default_job, rule_job},
};

void api_default(const char *group, const char *kind, struct json_object *o, struct json_object *old) {
  for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
    if (streq(kinds[i].group, group) && streq(kinds[i].kind, kind) && kinds[i].defaults)
      kinds[i].defaults(o, old);
}

void api_validate(const char *group, const char *kind, struct json_object *o, struct json_object *old,
                  struct field_errors *out) {
  for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
    if (streq(kinds[i].group, group) && streq(kinds[i].kind, kind) && kinds[i].rule)
      kinds[i].rule(o, old, out);
}
