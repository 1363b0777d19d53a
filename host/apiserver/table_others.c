/* Columns of the remaining kinds: nodes, configuration, storage, policies. */
#include "apiserver/table.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/vec.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

static struct json_object *cell_node_status(struct json_object *o) {
  const char *ready = meta_condition(o, "Ready");

  if (json_flag(o, "spec.unschedulable", false))
    return text(streq(ready, "True") ? "Ready,SchedulingDisabled" : "NotReady,SchedulingDisabled");
  return text(!ready ? "Unknown" : streq(ready, "True") ? "Ready" : "NotReady");
}

static struct json_object *cell_node_roles(struct json_object *o) {
  struct json_object *labels = json_at(o, "metadata.labels");
  _cleanup_buf_ struct buf b = BUF_INIT;

  if (json_is(labels, json_type_object)) {
    json_object_object_foreach (labels, key, v) {
      (void)v;
      if (has_prefix(key, "node-role.kubernetes.io/"))
        buf_addf(&b, "%s%s", b.len ? "," : "", key + strlen("node-role.kubernetes.io/"));
    }
  }
  return text_or(buf_str(&b), "<none>");
}

static struct json_object *cell_node_version(struct json_object *o) {
  return text(json_str(o, "status.nodeInfo.kubeletVersion", ""));
}

static struct json_object *cell_data_count(struct json_object *o) {
  struct json_object *data = json_at(o, "data");
  struct json_object *binary = json_at(o, "binaryData");
  int64_t n = json_is(data, json_type_object) ? json_object_object_length(data) : 0;

  return number(n + (json_is(binary, json_type_object) ? json_object_object_length(binary) : 0));
}

static struct json_object *cell_type(struct json_object *o) {
  return text(json_str(o, "type", ""));
}

static struct json_object *cell_phase(struct json_object *o) {
  return text(json_str(o, "status.phase", ""));
}

static struct json_object *cell_secrets(struct json_object *o) {
  return number((int64_t)json_len(json_at(o, "secrets")));
}

static struct json_object *cell_event_seen(struct json_object *o) {
  return age_since(
      json_str(o, "lastTimestamp", json_str(o, "eventTime", json_str(o, "metadata.creationTimestamp", ""))));
}

static struct json_object *cell_event_reason(struct json_object *o) {
  return text(json_str(o, "reason", ""));
}

static struct json_object *cell_event_object(struct json_object *o) {
  _cleanup_free_ char *kind = strdup(json_str(o, "involvedObject.kind", ""));

  for (char *c = kind; c && *c; c++)
    *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
  _cleanup_free_ char *out = str_printf("%s/%s", kind, json_str(o, "involvedObject.name", ""));
  return text(out);
}

static struct json_object *cell_event_message(struct json_object *o) {
  return text(json_str(o, "message", json_str(o, "note", "")));
}

static struct json_object *cell_holder(struct json_object *o) {
  return text(json_str(o, "spec.holderIdentity", ""));
}

static struct json_object *node_address(struct json_object *o, const char *type) {
  struct json_object *entry = json_find(json_at(o, "status.addresses"), "type", type);

  return text_or(json_str(entry, "address", ""), "<none>");
}

static struct json_object *cell_node_internal(struct json_object *o) {
  return node_address(o, "InternalIP");
}

static struct json_object *cell_node_external(struct json_object *o) {
  return node_address(o, "ExternalIP");
}

static struct json_object *cell_node_os(struct json_object *o) {
  return text_or(json_str(o, "status.nodeInfo.osImage", ""), "<unknown>");
}

static struct json_object *cell_node_kernel(struct json_object *o) {
  return text_or(json_str(o, "status.nodeInfo.kernelVersion", ""), "<unknown>");
}

static struct json_object *cell_node_runtime(struct json_object *o) {
  return text_or(json_str(o, "status.nodeInfo.containerRuntimeVersion", ""), "<unknown>");
}

/* ---- events ----------------------------------------------------------------------------------------------------- */

static struct json_object *cell_event_subobject(struct json_object *o) {
  return text(json_str(o, "involvedObject.fieldPath", ""));
}

static struct json_object *cell_event_source(struct json_object *o) {
  const char *component = json_str(o, "source.component", json_str(o, "reportingComponent", ""));
  const char *host = json_str(o, "source.host", "");
  _cleanup_free_ char *out = str_printf("%s%s%s", component, *host ? ", " : "", host);

  return text(out);
}

static struct json_object *cell_event_first(struct json_object *o) {
  return age_since(
      json_str(o, "firstTimestamp", json_str(o, "eventTime", json_str(o, "metadata.creationTimestamp", ""))));
}

static struct json_object *cell_event_count(struct json_object *o) {
  return number(json_i64(o, "count", json_i64(o, "series.count", 1)));
}

/* ---- storage ---------------------------------------------------------------------------------------------------- */

static struct json_object *access_modes(struct json_object *list) {
  static const struct {
    const char *mode, *shown;
  } modes[] = {
      {"ReadWriteOnce", "RWO"}, {"ReadOnlyMany", "ROX"}, {"ReadWriteMany", "RWX"}, {"ReadWriteOncePod", "RWOP"}};
  _cleanup_buf_ struct buf b = BUF_INIT;

  for (size_t i = 0; i < ARRAY_LEN(modes); i++)
    for (size_t k = 0; k < json_len(list); k++)
      if (streq(json_object_get_string(json_index(list, k)), modes[i].mode)) {
        buf_addf(&b, "%s%s", b.len ? "," : "", modes[i].shown);
        break;
      }
  return text(buf_str(&b));
}

static struct json_object *cell_claim_status(struct json_object *o) {
  return text(meta_deleting(o) ? "Terminating" : json_str(o, "status.phase", ""));
}

static struct json_object *cell_claim_volume(struct json_object *o) {
  return text(json_str(o, "spec.volumeName", ""));
}

static struct json_object *cell_claim_capacity(struct json_object *o) {
  return text(*json_str(o, "spec.volumeName", "") ? json_str(o, "status.capacity.storage", "0") : "");
}

static struct json_object *cell_claim_modes(struct json_object *o) {
  return *json_str(o, "spec.volumeName", "") ? access_modes(json_at(o, "status.accessModes")) : text("");
}

static struct json_object *cell_storage_class(struct json_object *o) {
  return text(json_str(o, "spec.storageClassName", ""));
}

static struct json_object *cell_volume_mode(struct json_object *o) {
  return text_or(json_str(o, "spec.volumeMode", ""), "<unset>");
}

static struct json_object *cell_volume_capacity(struct json_object *o) {
  return text(json_str(o, "spec.capacity.storage", ""));
}

static struct json_object *cell_volume_modes(struct json_object *o) {
  return access_modes(json_at(o, "spec.accessModes"));
}

static struct json_object *cell_reclaim(struct json_object *o) {
  return text(json_str(o, "spec.persistentVolumeReclaimPolicy", ""));
}

static struct json_object *cell_volume_claim(struct json_object *o) {
  const char *name = json_str(o, "spec.claimRef.name", "");
  _cleanup_free_ char *out = str_printf("%s/%s", json_str(o, "spec.claimRef.namespace", ""), name);

  return text(*name ? out : "");
}

static struct json_object *cell_reason(struct json_object *o) {
  return text(json_str(o, "status.reason", ""));
}

static struct json_object *cell_provisioner(struct json_object *o) {
  return text(json_str(o, "provisioner", ""));
}

static struct json_object *cell_class_reclaim(struct json_object *o) {
  return text(json_str(o, "reclaimPolicy", "Delete"));
}

static struct json_object *cell_class_binding(struct json_object *o) {
  return text(json_str(o, "volumeBindingMode", "Immediate"));
}

static struct json_object *cell_class_expansion(struct json_object *o) {
  return text(json_flag(o, "allowVolumeExpansion", false) ? "true" : "false");
}

/* ---- policies --------------------------------------------------------------------------------------------------- */

static struct json_object *cell_hpa_reference(struct json_object *o) {
  _cleanup_free_ char *out =
      str_printf("%s/%s", json_str(o, "spec.scaleTargetRef.kind", ""), json_str(o, "spec.scaleTargetRef.name", ""));

  return text(out);
}

/* The value of a metric's target or present state, "" when there is none. */
static void metric_value(struct json_object *o, char out[64]) {
  int64_t percent = json_i64(o, "averageUtilization", -1);

  if (percent >= 0)
    (void)snprintf(out, 64, "%lld%%", (long long)percent);
  else
    (void)snprintf(out, 64, "%.60s", json_str(o, "averageValue", json_str(o, "value", "")));
}

static void add_metric(struct buf *b, struct json_object *metric, struct json_object *present) {
  static const struct {
    const char *type, *key;
    bool average; /* an average is said to be one */
  } sources[] = {{"Resource", "resource", false},
                 {"ContainerResource", "containerResource", false},
                 {"Pods", "pods", false},
                 {"Object", "object", true},
                 {"External", "external", true}};
  char wanted[64], now[64];

  for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
    if (!streq(json_str(metric, "type", ""), sources[i].type))
      continue;
    struct json_object *target = json_at(json_get(metric, sources[i].key), "target");
    metric_value(target, wanted);
    metric_value(json_at(json_get(present, sources[i].key), "current"), now);
    buf_addf(b, "%s%s/%s%s", b->len ? ", " : "", *now ? now : "<unknown>", *wanted ? wanted : "<auto>",
             sources[i].average && json_at(target, "averageValue") ? " (avg)" : "");
  }
}

static struct json_object *cell_hpa_targets(struct json_object *o) {
  struct json_object *metrics = json_at(o, "spec.metrics");
  struct json_object *present = json_at(o, "status.currentMetrics");
  int64_t cpu = json_i64(o, "spec.targetCPUUtilizationPercentage", -1); /* autoscaling/v1 */
  _cleanup_buf_ struct buf b = BUF_INIT;

  for (size_t i = 0; i < json_len(metrics) && i < 2; i++)
    add_metric(&b, json_index(metrics, i), json_index(present, i));
  if (json_len(metrics) > 2)
    buf_addf(&b, " + %zu more...", json_len(metrics) - 2);
  if (cpu >= 0 && !b.len) {
    int64_t now = json_i64(o, "status.currentCPUUtilizationPercentage", -1);
    if (now >= 0)
      buf_addf(&b, "%lld%%/%lld%%", (long long)now, (long long)cpu);
    else
      buf_addf(&b, "<unknown>/%lld%%", (long long)cpu);
  }
  return text_or(buf_str(&b), "<none>");
}

static struct json_object *cell_hpa_min(struct json_object *o) {
  char out[24];

  (void)snprintf(out, sizeof(out), "%lld", (long long)json_i64(o, "spec.minReplicas", 0));
  return text(json_at(o, "spec.minReplicas") ? out : "<unset>");
}

static struct json_object *cell_hpa_max(struct json_object *o) {
  return number(json_i64(o, "spec.maxReplicas", 0));
}

static struct json_object *cell_hpa_replicas(struct json_object *o) {
  return number(json_i64(o, "status.currentReplicas", 0));
}

/* An int-or-string as text. */
static struct json_object *int_or_string(struct json_object *v) {
  return text(v ? json_object_get_string(v) : "N/A");
}

static struct json_object *cell_pdb_min(struct json_object *o) {
  return int_or_string(json_at(o, "spec.minAvailable"));
}

static struct json_object *cell_pdb_max(struct json_object *o) {
  return int_or_string(json_at(o, "spec.maxUnavailable"));
}

static struct json_object *cell_pdb_allowed(struct json_object *o) {
  return number(json_i64(o, "status.disruptionsAllowed", 0));
}

static struct json_object *cell_role(struct json_object *o) {
  _cleanup_free_ char *out = str_printf("%s/%s", json_str(o, "roleRef.kind", ""), json_str(o, "roleRef.name", ""));

  return text(out);
}

static struct json_object *subjects(struct json_object *o, const char *kind) {
  struct json_object *list = json_at(o, "subjects");
  _cleanup_buf_ struct buf b = BUF_INIT;

  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *s = json_index(list, i);
    const char *ns = json_str(s, "namespace", "");
    if (streq(json_str(s, "kind", ""), kind))
      buf_addf(&b, "%s%s%s%s", b.len ? ", " : "", ns, *ns ? "/" : "", json_str(s, "name", ""));
  }
  return text(buf_str(&b));
}

static struct json_object *cell_users(struct json_object *o) {
  return subjects(o, "User");
}

static struct json_object *cell_groups(struct json_object *o) {
  return subjects(o, "Group");
}

static struct json_object *cell_accounts(struct json_object *o) {
  return subjects(o, "ServiceAccount");
}

static struct json_object *cell_webhooks(struct json_object *o) {
  return number((int64_t)json_len(json_at(o, "webhooks")));
}

static struct json_object *cell_priority(struct json_object *o) {
  return number(json_i64(o, "value", 0));
}

static struct json_object *cell_global_default(struct json_object *o) {
  return json_object_new_boolean(json_flag(o, "globalDefault", false));
}

/* ---- columns ---------------------------------------------------------------------------------------------------- */

static const struct builtin_column node_columns[] = {
    COLUMN_NAME,
    {"Status", "string", "", 0, cell_node_status},
    {"Roles", "string", "", 0, cell_node_roles},
    COLUMN_AGE,
    {"Version", "string", "", 0, cell_node_version},
    {"Internal-IP", "string", "", 1, cell_node_internal},
    {"External-IP", "string", "", 1, cell_node_external},
    {"OS-Image", "string", "", 1, cell_node_os},
    {"Kernel-Version", "string", "", 1, cell_node_kernel},
    {"Container-Runtime", "string", "", 1, cell_node_runtime},
};
static const struct builtin_column configmap_columns[] = {
    COLUMN_NAME,
    {"Data", "string", "", 0, cell_data_count},
    COLUMN_AGE,
};
static const struct builtin_column secret_columns[] = {
    COLUMN_NAME,
    {"Type", "string", "", 0, cell_type},
    {"Data", "string", "", 0, cell_data_count},
    COLUMN_AGE,
};
static const struct builtin_column namespace_columns[] = {
    COLUMN_NAME,
    {"Status", "string", "", 0, cell_phase},
    COLUMN_AGE,
};
static const struct builtin_column serviceaccount_columns[] = {
    COLUMN_NAME,
    {"Secrets", "string", "", 0, cell_secrets},
    COLUMN_AGE,
};
static const struct builtin_column lease_columns[] = {
    COLUMN_NAME,
    {"Holder", "string", "", 0, cell_holder},
    COLUMN_AGE,
};
static const struct builtin_column event_columns[] = {
    {"Last Seen", "string", "", 0, cell_event_seen},      {"Type", "string", "", 0, cell_type},
    {"Reason", "string", "", 0, cell_event_reason},       {"Object", "string", "", 0, cell_event_object},
    {"Subobject", "string", "", 1, cell_event_subobject}, {"Source", "string", "", 1, cell_event_source},
    {"Message", "string", "", 0, cell_event_message},     {"First Seen", "string", "", 1, cell_event_first},
    {"Count", "string", "", 1, cell_event_count},         {"Name", "string", "name", 1, cell_name},
};
static const struct builtin_column claim_columns[] = {
    COLUMN_NAME,
    {"Status", "string", "", 0, cell_claim_status},
    {"Volume", "string", "", 0, cell_claim_volume},
    {"Capacity", "string", "", 0, cell_claim_capacity},
    {"Access Modes", "string", "", 0, cell_claim_modes},
    {"StorageClass", "string", "", 0, cell_storage_class},
    COLUMN_AGE,
    {"VolumeMode", "string", "", 1, cell_volume_mode},
};
static const struct builtin_column volume_columns[] = {
    COLUMN_NAME,
    {"Capacity", "string", "", 0, cell_volume_capacity},
    {"Access Modes", "string", "", 0, cell_volume_modes},
    {"Reclaim Policy", "string", "", 0, cell_reclaim},
    {"Status", "string", "", 0, cell_claim_status},
    {"Claim", "string", "", 0, cell_volume_claim},
    {"StorageClass", "string", "", 0, cell_storage_class},
    {"Reason", "string", "", 0, cell_reason},
    COLUMN_AGE,
    {"VolumeMode", "string", "", 1, cell_volume_mode},
};
static const struct builtin_column storage_class_columns[] = {
    COLUMN_NAME,
    {"Provisioner", "string", "", 0, cell_provisioner},
    {"ReclaimPolicy", "string", "", 0, cell_class_reclaim},
    {"VolumeBindingMode", "string", "", 0, cell_class_binding},
    {"AllowVolumeExpansion", "string", "", 0, cell_class_expansion},
    COLUMN_AGE,
};
static const struct builtin_column autoscaler_columns[] = {
    COLUMN_NAME,
    {"Reference", "string", "", 0, cell_hpa_reference},
    {"Targets", "string", "", 0, cell_hpa_targets},
    {"MinPods", "string", "", 0, cell_hpa_min},
    {"MaxPods", "string", "", 0, cell_hpa_max},
    {"Replicas", "string", "", 0, cell_hpa_replicas},
    COLUMN_AGE,
};
static const struct builtin_column budget_columns[] = {
    COLUMN_NAME,
    {"Min Available", "string", "", 0, cell_pdb_min},
    {"Max Unavailable", "string", "", 0, cell_pdb_max},
    {"Allowed Disruptions", "integer", "", 0, cell_pdb_allowed},
    COLUMN_AGE,
};
static const struct builtin_column binding_columns[] = {
    COLUMN_NAME,
    {"Role", "string", "", 0, cell_role},
    COLUMN_AGE,
    {"Users", "string", "", 1, cell_users},
    {"Groups", "string", "", 1, cell_groups},
    {"ServiceAccounts", "string", "", 1, cell_accounts},
};
static const struct builtin_column webhook_columns[] = {
    COLUMN_NAME,
    {"Webhooks", "integer", "", 0, cell_webhooks},
    COLUMN_AGE,
};
static const struct builtin_column priority_columns[] = {
    COLUMN_NAME,
    {"Value", "integer", "", 0, cell_priority},
    {"Global-Default", "boolean", "", 0, cell_global_default},
    COLUMN_AGE,
};

#define TABLE(group, kind, columns)                                                                                    \
  { group, kind, columns, ARRAY_LEN(columns) }
const struct kind_columns other_tables[] = {
    TABLE("", "ConfigMap", configmap_columns),
    TABLE("", "Event", event_columns),
    TABLE("", "Namespace", namespace_columns),
    TABLE("", "Node", node_columns),
    TABLE("", "PersistentVolume", volume_columns),
    TABLE("", "PersistentVolumeClaim", claim_columns),
    TABLE("", "Secret", secret_columns),
    TABLE("", "ServiceAccount", serviceaccount_columns),
    TABLE("admissionregistration.k8s.io", "MutatingWebhookConfiguration", webhook_columns),
    TABLE("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", webhook_columns),
    TABLE("autoscaling", "HorizontalPodAutoscaler", autoscaler_columns),
    TABLE("coordination.k8s.io", "Lease", lease_columns),
    TABLE("policy", "PodDisruptionBudget", budget_columns),
    TABLE("rbac.authorization.k8s.io", "ClusterRoleBinding", binding_columns),
    TABLE("rbac.authorization.k8s.io", "RoleBinding", binding_columns),
    TABLE("scheduling.k8s.io", "PriorityClass", priority_columns),
    TABLE("storage.k8s.io", "StorageClass", storage_class_columns),
    {NULL, NULL, NULL, 0},
};
