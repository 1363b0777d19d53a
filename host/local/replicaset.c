/* The ReplicaSet controller's decisions. */
#include "local/plan.h"

#include "base/str.h"
#include "kube/meta.h"

#include <stdlib.h>
#include <string.h>

/* A bound on pods made or removed a pass: a typing mistake in replicas must not flood the machine at once. */
#define BURST 100

/* How much a pod is worth keeping: unassigned < pending < unknown < running, not ready < ready. */
static int worth(struct json_object *pod) {
  const char *phase = json_str(pod, "status.phase", "");
  int rank = streq(phase, "Running") ? 4 : streq(phase, "Unknown") ? 2 : 0;

  if (!streq(json_str(pod, "spec.nodeName", ""), ""))
    rank += 1;
  return rank * 2 + pod_is_ready(pod);
}

/* Least worth first; then the most restarted, then the youngest. */
static int by_worth(const void *a, const void *b) {
  struct json_object *x = *(struct json_object *const *)a, *y = *(struct json_object *const *)b;
  int64_t rx = 0, ry = 0;

  if (worth(x) != worth(y))
    return worth(x) < worth(y) ? -1 : 1;
  struct json_object *cx = json_at(x, "status.containerStatuses"), *cy = json_at(y, "status.containerStatuses");
  for (size_t i = 0; i < json_len(cx); i++)
    rx += json_i64(json_index(cx, i), "restartCount", 0);
  for (size_t i = 0; i < json_len(cy); i++)
    ry += json_i64(json_index(cy, i), "restartCount", 0);
  if (rx != ry)
    return rx > ry ? -1 : 1;
  return strcmp(json_str(y, "metadata.creationTimestamp", ""), json_str(x, "metadata.creationTimestamp", ""));
}

static void plan_new_pods(struct json_object *rs, int64_t n, struct plan *out) {
  struct json_object *template = json_at(rs, "spec.template");

  for (int64_t i = 0; i < n; i++) {
    struct json_object *pod = json_object_new_object();
    (void)json_set_str(pod, "apiVersion", "v1");
    (void)json_set_str(pod, "kind", "Pod");
    (void)json_set(pod, "metadata", plan_child_meta(rs, json_get(template, "metadata")));
    _cleanup_free_ char *prefix = str_printf("%.57s-", meta_name(rs));
    (void)json_set_str(pod, "metadata.generateName", prefix);
    (void)json_set(pod, "spec", json_copy(json_get(template, "spec")));
    (void)json_add(out->create, pod);
  }
}

static void plan_fewer_pods(struct json_object *pods, size_t n, struct plan *out) {
  _cleanup_free_ struct json_object **active = calloc(json_len(pods) + 1, sizeof(struct json_object *));
  size_t len = 0;

  if (!active)
    return;
  for (size_t i = 0; i < json_len(pods); i++)
    if (pod_is_active(json_index(pods, i)))
      active[len++] = json_index(pods, i);
  qsort(active, len, sizeof(struct json_object *), by_worth);
  for (size_t i = 0; i < n && i < len; i++)
    (void)json_add(out->remove, json_object_get(active[i]));
}

static bool labels_hold(struct json_object *labels, struct json_object *wanted) {
  if (!wanted)
    return true;
  json_object_object_foreach (wanted, key, v) {
    if (!json_equal(json_get(labels, key), v))
      return false;
  }
  return true;
}

void replicaset_plan(struct json_object *rs, struct json_object *pods, int64_t now_ms, struct plan *out) {
  int64_t wanted = json_i64(rs, "spec.replicas", 1), min_ready_s = json_i64(rs, "spec.minReadySeconds", 0);
  int64_t active = 0, labeled = 0, ready = 0, available = 0, wait_ms;
  struct json_object *template_labels = json_at(rs, "spec.template.metadata.labels");

  for (size_t i = 0; i < json_len(pods); i++) {
    struct json_object *pod = json_index(pods, i);
    if (!pod_is_active(pod))
      continue;
    active++;
    labeled += labels_hold(json_at(pod, "metadata.labels"), template_labels);
    ready += pod_is_ready(pod);
    available += pod_is_available(pod, min_ready_s, now_ms, &wait_ms);
    if (wait_ms)
      plan_again(out, wait_ms);
  }
  if (!meta_deleting(rs)) {
    if (active < wanted)
      plan_new_pods(rs, wanted - active > BURST ? BURST : wanted - active, out);
    else if (active > wanted)
      plan_fewer_pods(pods, (size_t)(active - wanted > BURST ? BURST : active - wanted), out);
    if (llabs(wanted - active) > BURST)
      plan_again(out, 1000);
  }
  struct json_object *status = json_copy(json_get(rs, "status"));
  if (!status)
    status = json_object_new_object();
  (void)json_set_i64(status, "replicas", active);
  plan_count(status, "fullyLabeledReplicas", labeled);
  plan_count(status, "readyReplicas", ready);
  plan_count(status, "availableReplicas", available);
  (void)json_set_i64(status, "observedGeneration", meta_generation(rs));
  out->status = status;
}
