/* Defaults of built-in kinds that depend on other fields: one small function a kind. */
#include "api/builtin_internal.h"

#include "base/str.h"

#include <string.h>

typedef void default_fn(struct json_object *o, struct json_object *old);

static void set_default(struct json_object *o, const char *path, const char *value) {
  if (!json_at(o, path))
    (void)json_set_str(o, path, value);
}

static void keep_old(struct json_object *o, struct json_object *old, const char *path) {
  if (!json_at(o, path) && json_at(old, path))
    (void)json_set(o, path, json_copy(json_at(old, path)));
}

/* ---- pods and what makes them ----------------------------------------------------------------------------------- */

static bool is_whole(struct json_object *resources) {
  struct json_object *limits = json_get(resources, "limits");
  struct json_object *requests = json_get(resources, "requests");

  return json_get(limits, "cpu") && json_get(limits, "memory") && json_equal(limits, requests);
}

/* Guaranteed: all of cpu and memory limited and requested alike; BestEffort: nothing said; Burstable: the rest. */
static const char *qos_class(struct json_object *spec) {
  struct json_object *containers = json_get(spec, "containers");
  bool guaranteed = json_len(containers) > 0;
  bool any = false;

  for (size_t i = 0; i < json_len(containers); i++) {
    struct json_object *resources = json_get(json_index(containers, i), "resources");
    any = any || !json_empty(json_get(resources, "limits")) || !json_empty(json_get(resources, "requests"));
    guaranteed = guaranteed && is_whole(resources);
  }
  return guaranteed ? "Guaranteed" : any ? "Burstable" : "BestEffort";
}

static void default_pod(struct json_object *o, struct json_object *old) {
  struct json_object *spec = json_at(o, "spec");

  pod_default(spec);
  if (spec && !json_at(spec, "enableServiceLinks"))
    (void)json_set_bool(spec, "enableServiceLinks", true);
  if (old)
    return;
  set_default(o, "status.phase", "Pending");
  set_default(o, "status.qosClass", qos_class(spec));
}

static void default_template(struct json_object *o, struct json_object *old) {
  (void)old;
  pod_default(json_at(o, "spec.template.spec"));
}

/* rollingUpdate is there exactly when the type is RollingUpdate, which is the default. */
static void default_rolling(struct json_object *o, const char *strategy) {
  _cleanup_free_ char *type = str_printf("%s.type", strategy);
  _cleanup_free_ char *rolling = str_printf("%s.rollingUpdate", strategy);

  if (json_at(o, "spec") && streq(json_str(o, type, "RollingUpdate"), "RollingUpdate"))
    (void)json_ensure(o, rolling);
}

static void default_deployment(struct json_object *o, struct json_object *old) {
  default_template(o, old);
  default_rolling(o, "spec.strategy");
}

static void default_updated(struct json_object *o, struct json_object *old) {
  default_template(o, old);
  default_rolling(o, "spec.updateStrategy");
}

static void default_cronjob(struct json_object *o, struct json_object *old) {
  (void)old;
  pod_default(json_at(o, "spec.jobTemplate.spec.template.spec"));
}

/* The pods of a job are told apart by its uid. */
static void default_job_labels(struct json_object *o) {
  const char *uid = json_str(o, "metadata.uid", "");
  struct json_object *labels = json_ensure(o, "spec.template.metadata.labels");
  struct json_object *selector = json_ensure(o, "spec.selector.matchLabels");
  static const char *const keys[] = {"controller-uid", "batch.kubernetes.io/controller-uid"};
  static const char *const names[] = {"job-name", "batch.kubernetes.io/job-name"};

  for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
    (void)json_put_str(labels, keys[i], uid);
    (void)json_put_str(labels, names[i], json_str(o, "metadata.name", ""));
  }
  (void)json_put_str(selector, "batch.kubernetes.io/controller-uid", uid);
}

static void default_job(struct json_object *o, struct json_object *old) {
  if (!json_at(o, "spec"))
    return;
  default_template(o, old);
  if (!json_at(o, "spec.completions") && !json_at(o, "spec.parallelism")) {
    (void)json_set_i64(o, "spec.completions", 1);
    (void)json_set_i64(o, "spec.parallelism", 1);
  } else if (!json_at(o, "spec.parallelism")) {
    (void)json_set_i64(o, "spec.parallelism", 1);
  }
  if (!old && json_at(o, "spec.template") && !json_flag(o, "spec.manualSelector", false))
    default_job_labels(o);
}

/* ---- the rest --------------------------------------------------------------------------------------------------- */

static void default_namespace(struct json_object *o, struct json_object *old) {
  struct json_object *labels = json_ensure(o, "metadata.labels");

  (void)json_put_str(labels, "kubernetes.io/metadata.name", json_str(o, "metadata.name", ""));
  if (old)
    return;
  if (!json_at(o, "spec.finalizers"))
    (void)json_add_str(json_ensure_array(o, "spec.finalizers"), "kubernetes");
  set_default(o, "status.phase", "Active");
}

static void default_secret(struct json_object *o, struct json_object *old) {
  struct json_object *plain = json_at(o, "stringData");

  (void)old;
  if (json_is(plain, json_type_object)) {
    struct json_object *data = json_ensure(o, "data");
    json_object_object_foreach (plain, key, v) {
      const char *text = v ? json_object_get_string(v) : "";
      _cleanup_free_ char *encoded = base64_encode(text, strlen(text));
      (void)json_put_str(data, key, encoded ? encoded : "");
    }
    json_object_object_del(o, "stringData");
  }
  set_default(o, "type", "Opaque");
}

/* targetPort follows port, and the address stays what it was. */
static void default_service(struct json_object *o, struct json_object *old) {
  struct json_object *ports = json_at(o, "spec.ports");
  const char *type = json_str(o, "spec.type", "ClusterIP");
  bool outside = streq(type, "NodePort") || streq(type, "LoadBalancer");

  for (size_t i = 0; i < json_len(ports); i++) {
    struct json_object *p = json_index(ports, i);
    struct json_object *target = json_get(p, "targetPort");
    bool unset = !target || (json_is(target, json_type_int) ? json_object_get_int64(target) == 0
                                                            : !*json_object_get_string(target));
    if (unset && json_get(p, "port"))
      (void)json_set(p, "targetPort", json_copy(json_get(p, "port")));
  }
  if (!json_at(o, "spec"))
    return;
  if (outside)
    set_default(o, "spec.externalTrafficPolicy", "Cluster");
  if (streq(type, "LoadBalancer") && !json_at(o, "spec.allocateLoadBalancerNodePorts"))
    (void)json_set_bool(o, "spec.allocateLoadBalancerNodePorts", true);
  if (!streq(type, "ExternalName"))
    set_default(o, "spec.internalTrafficPolicy", "Cluster");
  if (streq(json_str(o, "spec.sessionAffinity", ""), "ClientIP"))
    (void)json_ensure(o, "spec.sessionAffinityConfig.clientIP");
  if (old && !streq(type, "ExternalName")) {
    keep_old(o, old, "spec.clusterIP");
    keep_old(o, old, "spec.clusterIPs");
  }
}

static void default_claim(struct json_object *o, struct json_object *old) {
  if (!old)
    set_default(o, "status.phase", "Pending");
}

/* Without metrics: 80 % of the requested CPU. */
static void default_autoscaler(struct json_object *o, struct json_object *old) {
  struct json_object *metrics = json_at(o, "spec.metrics");

  (void)old;
  if (!json_at(o, "spec") || json_len(metrics))
    return;
  if (json_at(o, "spec.targetCPUUtilizationPercentage") || streq(json_str(o, "apiVersion", ""), "autoscaling/v1")) {
    if (!json_at(o, "spec.targetCPUUtilizationPercentage"))
      (void)json_set_i64(o, "spec.targetCPUUtilizationPercentage", 80);
    return;
  }
  struct json_object *cpu = json_object_new_object();
  (void)json_set_str(cpu, "type", "Resource");
  (void)json_set_str(cpu, "resource.name", "cpu");
  (void)json_set_str(cpu, "resource.target.type", "Utilization");
  (void)json_set_i64(cpu, "resource.target.averageUtilization", 80);
  metrics = json_object_new_array();
  (void)json_add(metrics, cpu);
  (void)json_set(o, "spec.metrics", metrics);
}

/* Users and groups are named in the API group of RBAC, service accounts in the core group. */
static void default_binding(struct json_object *o, struct json_object *old) {
  struct json_object *subjects = json_at(o, "subjects");

  (void)old;
  for (size_t i = 0; i < json_len(subjects); i++) {
    struct json_object *s = json_index(subjects, i);
    if (!streq(json_str(s, "kind", ""), "ServiceAccount"))
      set_default(s, "apiGroup", "rbac.authorization.k8s.io");
  }
}

static const struct {
  const char *group, *kind;
  default_fn *fill;
} defaults[] = {
    {"", "Namespace", default_namespace},
    {"", "PersistentVolumeClaim", default_claim},
    {"", "Pod", default_pod},
    {"", "ReplicationController", default_template},
    {"", "Secret", default_secret},
    {"", "Service", default_service},
    {"apps", "DaemonSet", default_updated},
    {"apps", "Deployment", default_deployment},
    {"apps", "ReplicaSet", default_template},
    {"apps", "StatefulSet", default_updated},
    {"autoscaling", "HorizontalPodAutoscaler", default_autoscaler},
    {"batch", "CronJob", default_cronjob},
    {"batch", "Job", default_job},
    {"rbac.authorization.k8s.io", "ClusterRoleBinding", default_binding},
    {"rbac.authorization.k8s.io", "RoleBinding", default_binding},
};

void api_default(const char *group, const char *kind, struct json_object *o, struct json_object *old) {
  for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
    if (streq(defaults[i].group, group) && streq(defaults[i].kind, kind))
      defaults[i].fill(o, old);
}
