/* Rules of single built-in kinds: one small function a kind. */
#include "api/builtin_internal.h"

#include "base/buf.h"
#include "base/str.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_DATA_BYTES (1u << 20) /* of a ConfigMap or Secret */

typedef void rule_fn(struct json_object *o, struct json_object *old, struct field_errors *out);

void rule_error(struct field_errors *out, int type, const char *path, const char *field, const char *fmt, ...) {
  _cleanup_free_ char *at = str_printf("%s%s", path, field);
  _cleanup_buf_ struct buf text = BUF_INIT;
  va_list ap;

  va_start(ap, fmt);
  buf_vaddf(&text, fmt, ap);
  va_end(ap);
  if (at)
    field_errors_add(out, type, at, "%s", buf_str(&text));
}

static void immutable(struct json_object *o, struct json_object *old, const char *path, struct field_errors *out) {
  struct json_object *now = json_at(o, path);

  if (!old || json_equal(now, json_at(old, path)))
    return;
  _cleanup_free_ char *text = json_text(now);
  field_errors_add(out, FIELD_INVALID, path, "Invalid value: %s: field is immutable", text);
}

static void at_least(struct json_object *o, const char *path, int64_t least, struct field_errors *out) {
  int64_t n = json_i64(o, path, least);

  if (n < least)
    field_errors_add(out, FIELD_INVALID, path, "Invalid value: %lld: must be greater than %s%lld", (long long)n,
                     least == 1 ? "" : "or equal to ", (long long)(least == 1 ? 0 : least));
}

/* ---- workloads -------------------------------------------------------------------------------------------------- */

static void rule_template(struct json_object *o, struct field_errors *out) {
  struct json_object *spec = json_at(o, "spec.template.spec");
  const char *restart = json_str(spec, "restartPolicy", "Always");

  pod_validate(spec, "spec.template.spec", out);
  if (!streq(restart, "Always"))
    field_errors_add(out, FIELD_UNSUPPORTED, "spec.template.spec.restartPolicy",
                     "Unsupported value: \"%s\": supported values: \"Always\"", restart);
}

static void rule_selector(struct json_object *o, struct field_errors *out) {
  struct json_object *selector = json_at(o, "spec.selector.matchLabels");
  struct json_object *labels = json_at(o, "spec.template.metadata.labels");

  if (json_at(o, "spec.selector") && json_empty(selector) && json_empty(json_at(o, "spec.selector.matchExpressions")))
    field_errors_add(out, FIELD_INVALID, "spec.selector", "Invalid value: {}: empty selector is invalid for workloads");
  if (!json_is(selector, json_type_object))
    return;
  json_object_object_foreach (selector, key, v) {
    struct json_object *have = json_get(labels, key);
    if (have && json_equal(have, v))
      continue;
    _cleanup_free_ char *text = json_text(labels);
    field_errors_add(out, FIELD_INVALID, "spec.template.metadata.labels",
                     "Invalid value: %s: `selector` does not match template `labels`", text);
    return;
  }
}

static void rule_workload(struct json_object *o, struct json_object *old, struct field_errors *out) {
  rule_selector(o, out);
  rule_template(o, out);
  at_least(o, "spec.replicas", 0, out);
  immutable(o, old, "spec.selector", out);
}

static void rule_deployment(struct json_object *o, struct json_object *old, struct field_errors *out) {
  rule_workload(o, old, out);
  if (streq(json_str(o, "spec.strategy.type", ""), "Recreate") && json_at(o, "spec.strategy.rollingUpdate"))
    field_errors_add(out, FIELD_FORBIDDEN, "spec.strategy.rollingUpdate",
                     "Forbidden: may not be specified when strategy `type` is 'Recreate'");
}

static void rule_controller(struct json_object *o, UNUSED struct json_object *old, struct field_errors *out) {
  rule_template(o, out);
  at_least(o, "spec.replicas", 0, out);
}

static void rule_job(struct json_object *o, struct json_object *old, struct field_errors *out) {
  const char *restart = json_str(o, "spec.template.spec.restartPolicy", "");

  pod_validate(json_at(o, "spec.template.spec"), "spec.template.spec", out);
  at_least(o, "spec.parallelism", 0, out);
  at_least(o, "spec.completions", 0, out);
  at_least(o, "spec.backoffLimit", 0, out);
  immutable(o, old, "spec.selector", out);
  immutable(o, old, "spec.completions", out);
  if (!json_flag(old, "spec.suspend", false))
    immutable(o, old, "spec.template", out);
  if (json_at(o, "spec.template.spec") && !streq(restart, "Never") && !streq(restart, "OnFailure"))
    field_errors_add(out, FIELD_UNSUPPORTED, "spec.template.spec.restartPolicy",
                     "Unsupported value: \"%s\": supported values: \"OnFailure\", \"Never\"", restart);
}

static void strip_movable(struct json_object *spec) {
  static const char *const movable[] = {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"};
  static const char *const lists[] = {"containers", "initContainers"};

  for (size_t i = 0; i < ARRAY_LEN(movable); i++)
    json_del(spec, movable[i]);
  for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
    struct json_object *list = json_at(spec, lists[k]);
    for (size_t i = 0; i < json_len(list); i++)
      json_del(json_index(list, i), "image");
  }
}

static void rule_pod(struct json_object *o, struct json_object *old, struct field_errors *out) {
  pod_validate(json_at(o, "spec"), "spec", out);
  if (!old)
    return;
  _cleanup_json_ struct json_object *now = json_copy(json_at(o, "spec"));
  _cleanup_json_ struct json_object *before = json_copy(json_at(old, "spec"));
  strip_movable(now);
  strip_movable(before);
  if (!json_equal(now, before))
    field_errors_add(out, FIELD_FORBIDDEN, "spec",
                     "Forbidden: pod updates may not change fields other than `spec.containers[*].image`, "
                     "`spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations` (only additions "
                     "to existing tolerations) or `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it "
                     "was previously negative)");
}

/* ---- configuration ---------------------------------------------------------------------------------------------- */

static bool is_config_key(const char *s) {
  size_t n = strlen(s);

  if (n == 0 || n > 253 || streq(s, ".") || has_prefix(s, ".."))
    return false;
  for (; *s; s++)
    if (!isalnum((unsigned char)*s) && !strchr("-_.", *s))
      return false;
  return true;
}

static void check_keys(struct json_object *o, const char *field, const char *other, struct field_errors *out) {
  struct json_object *data = json_get(o, field);

  if (!json_is(data, json_type_object))
    return;
  json_object_object_foreach (data, key, v) {
    _cleanup_free_ char *at = str_printf("%s[%s]", field, key);
    (void)v;
    if (!is_config_key(key))
      rule_error(out, FIELD_INVALID, at, "",
                 "Invalid value: \"%s\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
                 "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
                 key);
    if (other && json_get(json_get(o, other), key))
      rule_error(out, FIELD_INVALID, at, "", "Invalid value: \"%s\": duplicate of key present in %s", key, other);
  }
}

/* Bytes that the values of FIELD stand for. */
static size_t data_bytes(struct json_object *o, const char *field, bool base64) {
  struct json_object *data = json_get(o, field);
  size_t sum = 0;

  if (!json_is(data, json_type_object))
    return 0;
  json_object_object_foreach (data, key, v) {
    size_t n = json_is(v, json_type_string) ? (size_t)json_object_get_string_len(v) : 0;
    (void)key;
    sum += base64 ? n / 4 * 3 : n;
  }
  return sum;
}

static void check_size(size_t bytes, const char *field, struct field_errors *out) {
  if (bytes > MAX_DATA_BYTES)
    field_errors_add(out, FIELD_TOO_LONG, field, "Too long: must have at most %u bytes", MAX_DATA_BYTES);
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

static void rule_config_map(struct json_object *o, struct json_object *old, struct field_errors *out) {
  check_keys(o, "data", "binaryData", out);
  check_keys(o, "binaryData", NULL, out);
  check_size(data_bytes(o, "data", false) + data_bytes(o, "binaryData", true), "[]", out);
  rule_immutable_data(o, old, out);
}

static bool holds_json(struct json_object *data, const char *key) {
  const char *text = json_get(data, key) ? json_object_get_string(json_get(data, key)) : "";
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;
  size_t len = 0;
  _cleanup_free_ char *plain = base64_decode(text, &len);

  bool ok = plain && json_parse(plain, len, 0, &o, &err) == OME_OK;
  json_unref(o);
  return ok;
}

/* What secrets of well-known types must hold. */
static void check_secret_type(struct json_object *o, struct field_errors *out) {
  static const struct {
    const char *type, *key;
    bool json;
  } needed[] = {
      {"kubernetes.io/tls", "tls.crt", false},
      {"kubernetes.io/tls", "tls.key", false},
      {"kubernetes.io/dockerconfigjson", ".dockerconfigjson", true},
      {"kubernetes.io/dockercfg", ".dockercfg", true},
      {"kubernetes.io/ssh-auth", "ssh-privatekey", false},
  };
  struct json_object *data = json_get(o, "data");

  for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
    if (!streq(json_str(o, "type", ""), needed[i].type))
      continue;
    _cleanup_free_ char *at = str_printf("data[%s]", needed[i].key);
    if (!json_get(data, needed[i].key))
      rule_error(out, FIELD_REQUIRED, at, "", "Required value");
    else if (needed[i].json && !holds_json(data, needed[i].key))
      rule_error(out, FIELD_INVALID, at, "", "Invalid value: \"<secret contents redacted>\": must be JSON");
  }
}

static void rule_secret(struct json_object *o, struct json_object *old, struct field_errors *out) {
  check_keys(o, "data", NULL, out);
  check_size(data_bytes(o, "data", true), "data", out);
  check_secret_type(o, out);
  immutable(o, old, "type", out);
  rule_immutable_data(o, old, out);
}

/* ---- services and volumes --------------------------------------------------------------------------------------- */

static void check_service_port(struct json_object *p, size_t n, struct json_object *seen, const char *at,
                               struct field_errors *out) {
  int64_t number = json_i64(p, "port", 1);
  const char *name = json_str(p, "name", "");
  _cleanup_free_ char *place = str_printf("%lld/%s", (long long)number, json_str(p, "protocol", "TCP"));

  if (number < 1 || number > 65535)
    rule_error(out, FIELD_INVALID, at, ".port", "Invalid value: %lld: must be between 1 and 65535, inclusive",
               (long long)number);
  if (n > 1 && !*name)
    rule_error(out, FIELD_REQUIRED, at, ".name", "Required value");
  else if (*name && !is_dns_label(name))
    rule_error(out, FIELD_INVALID, at, ".name", "Invalid value: \"%s\": " DNS_LABEL_RULE, name);
  else if (*name && json_has(seen, name))
    rule_error(out, FIELD_DUPLICATE, at, ".name", "Duplicate value: \"%s\"", name);
  if (*name)
    (void)json_put(seen, name, NULL);
  if (place && json_has(seen, place))
    rule_error(out, FIELD_DUPLICATE, at, "", "Duplicate value: {\"protocol\":\"%s\",\"port\":%lld}",
               json_str(p, "protocol", "TCP"), (long long)number);
  if (place)
    (void)json_put(seen, place, NULL);
}

static void rule_service(struct json_object *o, struct json_object *old, struct field_errors *out) {
  struct json_object *ports = json_at(o, "spec.ports");
  const char *type = json_str(o, "spec.type", "ClusterIP");
  _cleanup_json_ struct json_object *seen = json_object_new_object();

  if (json_len(ports) == 0 && !streq(type, "ExternalName") && !streq(json_str(o, "spec.clusterIP", ""), "None"))
    field_errors_add(out, FIELD_REQUIRED, "spec.ports", "Required value");
  for (size_t i = 0; i < json_len(ports); i++) {
    _cleanup_free_ char *at = str_printf("spec.ports[%zu]", i);
    check_service_port(json_index(ports, i), json_len(ports), seen, at, out);
  }
  if (streq(type, "ExternalName") && !*json_str(o, "spec.externalName", ""))
    field_errors_add(out, FIELD_REQUIRED, "spec.externalName", "Required value");
  if (old && *json_str(old, "spec.clusterIP", "") && !streq(type, "ExternalName"))
    immutable(o, old, "spec.clusterIP", out);
}

static void rule_claim(struct json_object *o, struct json_object *old, struct field_errors *out) {
  if (json_at(o, "spec") && json_len(json_at(o, "spec.accessModes")) == 0)
    field_errors_add(out, FIELD_REQUIRED, "spec.accessModes", "Required value: at least 1 access mode is required");
  if (json_at(o, "spec") && !json_at(o, "spec.resources.requests.storage"))
    field_errors_add(out, FIELD_REQUIRED, "spec.resources[storage]", "Required value");
  if (!old)
    return;
  _cleanup_json_ struct json_object *now = json_copy(json_at(o, "spec"));
  _cleanup_json_ struct json_object *before = json_copy(json_at(old, "spec"));
  json_del(now, "resources");
  json_del(before, "resources");
  if (!*json_str(before, "volumeName", "")) /* a claim is bound once */
    json_del(now, "volumeName");
  if (!json_equal(now, before))
    field_errors_add(out, FIELD_FORBIDDEN, "spec",
                     "Forbidden: spec is immutable after creation except resources.requests and "
                     "volumeAttributesClassName for bound claims");
}

/* ---- the rest --------------------------------------------------------------------------------------------------- */

static void rule_autoscaler(struct json_object *o, UNUSED struct json_object *old, struct field_errors *out) {
  static const char *const target[] = {"kind", "name"};
  int64_t least = json_i64(o, "spec.minReplicas", 1);
  int64_t most = json_i64(o, "spec.maxReplicas", least);

  at_least(o, "spec.minReplicas", 1, out);
  at_least(o, "spec.maxReplicas", 1, out);
  if (most >= 1 && most < least)
    field_errors_add(out, FIELD_INVALID, "spec.maxReplicas",
                     "Invalid value: %lld: must be greater than or equal to `minReplicas`", (long long)most);
  for (size_t i = 0; i < ARRAY_LEN(target); i++) {
    _cleanup_free_ char *at = str_printf("spec.scaleTargetRef.%s", target[i]);
    if (json_at(o, "spec.scaleTargetRef") && !*json_str(o, at, ""))
      field_errors_add(out, FIELD_REQUIRED, at, "Required value");
  }
}

/* A number from 0 or a percentage. */
static void check_share(struct json_object *o, const char *path, struct field_errors *out) {
  struct json_object *v = json_at(o, path);
  const char *text = json_as_str(v, NULL);

  if (json_is(v, json_type_int) && json_object_get_int64(v) < 0)
    field_errors_add(out, FIELD_INVALID, path, "Invalid value: %lld: must be greater than or equal to 0",
                     (long long)json_object_get_int64(v));
  if (!text)
    return;
  size_t digits = strspn(text, "0123456789");
  if (digits == 0 || !streq(text + digits, "%"))
    field_errors_add(out, FIELD_INVALID, path,
                     "Invalid value: \"%s\": a valid percent string must be a numeric string followed by an ending "
                     "'%%' (e.g. '1%%',  or '93%%', regex used for validation is '[0-9]+%%')",
                     text);
}

static void rule_disruption(struct json_object *o, UNUSED struct json_object *old, struct field_errors *out) {
  if (json_at(o, "spec.minAvailable") && json_at(o, "spec.maxUnavailable")) {
    _cleanup_free_ char *text = json_text(json_at(o, "spec"));
    field_errors_add(out, FIELD_INVALID, "spec",
                     "Invalid value: %s: minAvailable and maxUnavailable cannot be both set", text);
  }
  check_share(o, "spec.minAvailable", out);
  check_share(o, "spec.maxUnavailable", out);
}

static void rule_lease(struct json_object *o, UNUSED struct json_object *old, struct field_errors *out) {
  at_least(o, "spec.leaseDurationSeconds", 1, out);
  at_least(o, "spec.leaseTransitions", 0, out);
}

static void rule_role(struct json_object *o, UNUSED struct json_object *old, struct field_errors *out) {
  struct json_object *rules = json_get(o, "rules");

  for (size_t i = 0; i < json_len(rules); i++) {
    struct json_object *r = json_index(rules, i);
    _cleanup_free_ char *at = str_printf("rules[%zu]", i);
    if (json_len(json_get(r, "verbs")) == 0)
      rule_error(out, FIELD_REQUIRED, at, ".verbs", "Required value: verbs must contain at least one value");
    if (json_len(json_get(r, "nonResourceURLs")))
      continue;
    if (json_len(json_get(r, "apiGroups")) == 0)
      rule_error(out, FIELD_REQUIRED, at, ".apiGroups",
                 "Required value: resource rules must supply at least one api group");
    if (json_len(json_get(r, "resources")) == 0)
      rule_error(out, FIELD_REQUIRED, at, ".resources",
                 "Required value: resource rules must supply at least one resource");
  }
}

static void rule_binding(struct json_object *o, struct json_object *old, struct field_errors *out) {
  if (!old || json_equal(json_get(o, "roleRef"), json_get(old, "roleRef")))
    return;
  _cleanup_free_ char *text = json_text(json_get(o, "roleRef"));
  field_errors_add(out, FIELD_INVALID, "roleRef", "Invalid value: %s: cannot change roleRef", text);
}

static void rule_webhooks(struct json_object *o, struct json_object *old, struct field_errors *out) {
  (void)old;
  webhooks_validate(o, out);
}

static const struct {
  const char *group, *kind;
  rule_fn *rule;
} kinds[] = {
    {"", "ConfigMap", rule_config_map},
    {"", "PersistentVolumeClaim", rule_claim},
    {"", "Pod", rule_pod},
    {"", "ReplicationController", rule_controller},
    {"", "Secret", rule_secret},
    {"", "Service", rule_service},
    {"admissionregistration.k8s.io", "MutatingWebhookConfiguration", rule_webhooks},
    {"admissionregistration.k8s.io", "ValidatingWebhookConfiguration", rule_webhooks},
    {"apps", "DaemonSet", rule_workload},
    {"apps", "Deployment", rule_deployment},
    {"apps", "ReplicaSet", rule_workload},
    {"apps", "StatefulSet", rule_workload},
    {"autoscaling", "HorizontalPodAutoscaler", rule_autoscaler},
    {"batch", "Job", rule_job},
    {"coordination.k8s.io", "Lease", rule_lease},
    {"policy", "PodDisruptionBudget", rule_disruption},
    {"rbac.authorization.k8s.io", "ClusterRole", rule_role},
    {"rbac.authorization.k8s.io", "ClusterRoleBinding", rule_binding},
    {"rbac.authorization.k8s.io", "Role", rule_role},
    {"rbac.authorization.k8s.io", "RoleBinding", rule_binding},
};

void api_validate(const char *group, const char *kind, struct json_object *o, struct json_object *old,
                  struct field_errors *out) {
  for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
    if (streq(kinds[i].group, group) && streq(kinds[i].kind, kind))
      kinds[i].rule(o, old, out);
}
