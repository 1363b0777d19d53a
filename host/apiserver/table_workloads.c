/* Columns of Pods and of what makes Pods. */
#include "apiserver/table.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/vec.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

/* ---- pods ------------------------------------------------------------------------------------------------------- */

static struct json_object *cell_pod_ready(struct json_object *o) {
  struct json_object *statuses = json_at(o, "status.containerStatuses");
  size_t ready = 0;
  char out[48];

  for (size_t i = 0; i < json_len(statuses); i++)
    ready += json_flag(json_index(statuses, i), "ready", false);
  (void)snprintf(out, sizeof(out), "%zu/%zu", ready, json_len(json_at(o, "spec.containers")));
  return text(out);
}

/* "Init:1/2", "Init:Error" while init containers run; false: none is in the way. */
static bool init_status(struct json_object *o, char out[64]) {
  struct json_object *statuses = json_at(o, "status.initContainerStatuses");
  size_t total = json_len(json_at(o, "spec.initContainers"));

  for (size_t i = 0; i < json_len(statuses); i++) {
    struct json_object *state = json_at(json_index(statuses, i), "state");
    struct json_object *ended = json_get(state, "terminated");
    const char *waiting = json_str(state, "waiting.reason", "");
    if (ended && json_i64(ended, "exitCode", 0) == 0)
      continue;
    if (ended)
      (void)snprintf(out, 64, "Init:%.50s", json_str(ended, "reason", "Error"));
    else if (*waiting && !streq(waiting, "PodInitializing"))
      (void)snprintf(out, 64, "Init:%.50s", waiting);
    else
      (void)snprintf(out, 64, "Init:%zu/%zu", i, total);
    return true;
  }
  return false;
}

/* The reason a container waits or ended, over the phase. */
static struct json_object *cell_pod_status(struct json_object *o) {
  struct json_object *statuses = json_at(o, "status.containerStatuses");
  const char *reason = json_str(o, "status.reason", json_str(o, "status.phase", ""));
  bool running = false;
  char init[64];

  if (!meta_deleting(o) && init_status(o, init))
    return text(init);

  for (size_t i = json_len(statuses); i-- > 0;) {
    struct json_object *state = json_at(json_index(statuses, i), "state");
    const char *waiting = json_str(state, "waiting.reason", "");
    const char *ended = json_str(state, "terminated.reason", "");
    if (*waiting)
      reason = waiting;
    else if (*ended)
      reason = ended;
    else
      running = running || (json_flag(json_index(statuses, i), "ready", false) && json_at(state, "running"));
  }
  if (streq(reason, "Completed") && running)
    reason = streq(meta_condition(o, "Ready"), "True") ? "Running" : "NotReady";
  if (meta_deleting(o))
    reason = streq(json_str(o, "status.reason", ""), "NodeLost") ? "Unknown" : "Terminating";
  return text(reason);
}

static struct json_object *cell_pod_restarts(struct json_object *o) {
  struct json_object *statuses = json_at(o, "status.containerStatuses");
  int64_t n = 0;
  const char *last = NULL;

  for (size_t i = 0; i < json_len(statuses); i++) {
    const char *at = json_str(json_index(statuses, i), "lastState.terminated.finishedAt", NULL);
    n += json_i64(json_index(statuses, i), "restartCount", 0);
    if (at && (!last || strcmp(at, last) > 0))
      last = at;
  }
  if (!n || !last) {
    char out[24];
    (void)snprintf(out, sizeof(out), "%lld", (long long)n);
    return text(out);
  }
  _cleanup_json_ struct json_object *age = age_since(last);
  _cleanup_free_ char *out = str_printf("%lld (%s ago)", (long long)n, json_object_get_string(age));
  return text(out);
}

static struct json_object *cell_pod_ip(struct json_object *o) {
  return text_or(json_str(o, "status.podIP", ""), "<none>");
}

static struct json_object *cell_pod_node(struct json_object *o) {
  return text_or(json_str(o, "spec.nodeName", ""), "<none>");
}

static struct json_object *cell_pod_nominated(struct json_object *o) {
  return text_or(json_str(o, "status.nominatedNodeName", ""), "<none>");
}

static struct json_object *cell_pod_gates(struct json_object *o) {
  (void)o;
  return text("<none>");
}

/* ---- workloads -------------------------------------------------------------------------------------------------- */

static struct json_object *of(struct json_object *o, const char *ready, const char *wanted) {
  char out[48];

  (void)snprintf(out, sizeof(out), "%lld/%lld", (long long)json_i64(o, ready, 0), (long long)json_i64(o, wanted, 0));
  return text(out);
}

static struct json_object *cell_ready_of_replicas(struct json_object *o) {
  return of(o, "status.readyReplicas", "spec.replicas");
}

static struct json_object *cell_updated(struct json_object *o) {
  return number(json_i64(o, "status.updatedReplicas", 0));
}

static struct json_object *cell_available(struct json_object *o) {
  return number(json_i64(o, "status.availableReplicas", 0));
}

static struct json_object *cell_desired(struct json_object *o) {
  return number(json_i64(o, "spec.replicas", 0));
}

static struct json_object *cell_current(struct json_object *o) {
  return number(json_i64(o, "status.replicas", 0));
}

static struct json_object *cell_ready_replicas(struct json_object *o) {
  return number(json_i64(o, "status.readyReplicas", 0));
}

static struct json_object *cell_containers(struct json_object *o) {
  return joined(json_at(o, "spec.template.spec.containers"), "name");
}

static struct json_object *cell_images(struct json_object *o) {
  return joined(json_at(o, "spec.template.spec.containers"), "image");
}

static struct json_object *cell_match_labels(struct json_object *o) {
  return labels_text(json_at(o, "spec.selector.matchLabels"));
}

static struct json_object *cell_job_completions(struct json_object *o) {
  return of(o, "status.succeeded", "spec.completions");
}

static struct json_object *cell_job_duration(struct json_object *o) {
  int64_t from;
  int64_t to = wall_ms();
  char out[32];

  if (!time_parse(json_str(o, "status.startTime", NULL), &from))
    return text("");
  (void)time_parse(json_str(o, "status.completionTime", NULL), &to);
  format_age((to - from) / 1000, out);
  return text(out);
}

/* ---- daemon sets, cron jobs, templates -------------------------------------------------------------------------- */

static struct json_object *cell_ds_desired(struct json_object *o) {
  return number(json_i64(o, "status.desiredNumberScheduled", 0));
}

static struct json_object *cell_ds_current(struct json_object *o) {
  return number(json_i64(o, "status.currentNumberScheduled", 0));
}

static struct json_object *cell_ds_ready(struct json_object *o) {
  return number(json_i64(o, "status.numberReady", 0));
}

static struct json_object *cell_ds_updated(struct json_object *o) {
  return number(json_i64(o, "status.updatedNumberScheduled", 0));
}

static struct json_object *cell_ds_available(struct json_object *o) {
  return number(json_i64(o, "status.numberAvailable", 0));
}

static struct json_object *cell_ds_nodes(struct json_object *o) {
  return labels_text(json_at(o, "spec.template.spec.nodeSelector"));
}

static struct json_object *cell_rc_selector(struct json_object *o) {
  return labels_text(json_at(o, "spec.selector"));
}

static struct json_object *cell_schedule(struct json_object *o) {
  return text(json_str(o, "spec.schedule", ""));
}

static struct json_object *cell_suspend(struct json_object *o) {
  return text(json_flag(o, "spec.suspend", false) ? "True" : "False");
}

static struct json_object *cell_active(struct json_object *o) {
  return number((int64_t)json_len(json_at(o, "status.active")));
}

static struct json_object *cell_last_schedule(struct json_object *o) {
  const char *at = json_str(o, "status.lastScheduleTime", NULL);

  return at ? age_since(at) : text("<none>");
}

static struct json_object *cell_cron_containers(struct json_object *o) {
  return joined(json_at(o, "spec.jobTemplate.spec.template.spec.containers"), "name");
}

static struct json_object *cell_cron_images(struct json_object *o) {
  return joined(json_at(o, "spec.jobTemplate.spec.template.spec.containers"), "image");
}

static struct json_object *cell_cron_selector(struct json_object *o) {
  return labels_text(json_at(o, "spec.jobTemplate.spec.selector.matchLabels"));
}

static struct json_object *cell_controller(struct json_object *o) {
  struct json_object *refs = json_at(o, "metadata.ownerReferences");

  for (size_t i = 0; i < json_len(refs); i++) {
    struct json_object *ref = json_index(refs, i);
    if (!json_flag(ref, "controller", false))
      continue;
    _cleanup_free_ char *kind = strdup(json_str(ref, "kind", ""));
    const char *version = json_str(ref, "apiVersion", "");
    const char *slash = strchr(version, '/');
    for (char *c = kind; c && *c; c++)
      *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    _cleanup_free_ char *out =
        slash ? str_printf("%s.%.*s/%s", kind, (int)(slash - version), version, json_str(ref, "name", ""))
              : str_printf("%s/%s", kind, json_str(ref, "name", ""));
    return text(out);
  }
  return text("<none>");
}

static struct json_object *cell_revision(struct json_object *o) {
  return number(json_i64(o, "revision", 0));
}

/* ---- columns ---------------------------------------------------------------------------------------------------- */

static const struct builtin_column pod_columns[] = {
    COLUMN_NAME,
    {"Ready", "string", "", 0, cell_pod_ready},
    {"Status", "string", "", 0, cell_pod_status},
    {"Restarts", "string", "", 0, cell_pod_restarts},
    COLUMN_AGE,
    {"IP", "string", "", 1, cell_pod_ip},
    {"Node", "string", "", 1, cell_pod_node},
    {"Nominated Node", "string", "", 1, cell_pod_nominated},
    {"Readiness Gates", "string", "", 1, cell_pod_gates},
};
static const struct builtin_column deployment_columns[] = {
    COLUMN_NAME,
    {"Ready", "string", "", 0, cell_ready_of_replicas},
    {"Up-to-date", "integer", "", 0, cell_updated},
    {"Available", "integer", "", 0, cell_available},
    COLUMN_AGE,
    {"Containers", "string", "", 1, cell_containers},
    {"Images", "string", "", 1, cell_images},
    {"Selector", "string", "", 1, cell_match_labels},
};
static const struct builtin_column replicaset_columns[] = {
    COLUMN_NAME,
    {"Desired", "integer", "", 0, cell_desired},
    {"Current", "integer", "", 0, cell_current},
    {"Ready", "integer", "", 0, cell_ready_replicas},
    COLUMN_AGE,
    {"Containers", "string", "", 1, cell_containers},
    {"Images", "string", "", 1, cell_images},
    {"Selector", "string", "", 1, cell_match_labels},
};
static const struct builtin_column statefulset_columns[] = {
    COLUMN_NAME,
    {"Ready", "string", "", 0, cell_ready_of_replicas},
    COLUMN_AGE,
    {"Containers", "string", "", 1, cell_containers},
    {"Images", "string", "", 1, cell_images},
};
static const struct builtin_column job_columns[] = {
    COLUMN_NAME,
    {"Completions", "string", "", 0, cell_job_completions},
    {"Duration", "string", "", 0, cell_job_duration},
    COLUMN_AGE,
    {"Containers", "string", "", 1, cell_containers},
    {"Images", "string", "", 1, cell_images},
    {"Selector", "string", "", 1, cell_match_labels},
};
static const struct builtin_column controller_columns[] = {
    COLUMN_NAME,
    {"Desired", "integer", "", 0, cell_desired},
    {"Current", "integer", "", 0, cell_current},
    {"Ready", "integer", "", 0, cell_ready_replicas},
    COLUMN_AGE,
    {"Containers", "string", "", 1, cell_containers},
    {"Images", "string", "", 1, cell_images},
    {"Selector", "string", "", 1, cell_rc_selector},
};
static const struct builtin_column daemonset_columns[] = {
    COLUMN_NAME,
    {"Desired", "integer", "", 0, cell_ds_desired},
    {"Current", "integer", "", 0, cell_ds_current},
    {"Ready", "integer", "", 0, cell_ds_ready},
    {"Up-to-date", "integer", "", 0, cell_ds_updated},
    {"Available", "integer", "", 0, cell_ds_available},
    {"Node Selector", "string", "", 0, cell_ds_nodes},
    COLUMN_AGE,
    {"Containers", "string", "", 1, cell_containers},
    {"Images", "string", "", 1, cell_images},
    {"Selector", "string", "", 1, cell_match_labels},
};
static const struct builtin_column cronjob_columns[] = {
    COLUMN_NAME,
    {"Schedule", "string", "", 0, cell_schedule},
    {"Suspend", "boolean", "", 0, cell_suspend},
    {"Active", "integer", "", 0, cell_active},
    {"Last Schedule", "string", "", 0, cell_last_schedule},
    COLUMN_AGE,
    {"Containers", "string", "", 1, cell_cron_containers},
    {"Images", "string", "", 1, cell_cron_images},
    {"Selector", "string", "", 1, cell_cron_selector},
};
static const struct builtin_column revision_columns[] = {
    COLUMN_NAME,
    {"Controller", "string", "", 0, cell_controller},
    {"Revision", "string", "", 0, cell_revision},
    COLUMN_AGE,
};

const struct kind_columns workload_tables[] = {
    {"", "Pod", pod_columns, ARRAY_LEN(pod_columns)},
    {"", "ReplicationController", controller_columns, ARRAY_LEN(controller_columns)},
    {"apps", "ControllerRevision", revision_columns, ARRAY_LEN(revision_columns)},
    {"apps", "DaemonSet", daemonset_columns, ARRAY_LEN(daemonset_columns)},
    {"apps", "Deployment", deployment_columns, ARRAY_LEN(deployment_columns)},
    {"apps", "ReplicaSet", replicaset_columns, ARRAY_LEN(replicaset_columns)},
    {"apps", "StatefulSet", statefulset_columns, ARRAY_LEN(statefulset_columns)},
    {"batch", "CronJob", cronjob_columns, ARRAY_LEN(cronjob_columns)},
    {"batch", "Job", job_columns, ARRAY_LEN(job_columns)},
    {NULL, NULL, NULL, 0},
};
