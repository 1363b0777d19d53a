/* A pod's status: phase, conditions, container statuses. */
#include "local/podstatus.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/quantity.h"
#include "base/str.h"
#include "kube/meta.h"
#include "local/plan.h"

#include <string.h>

/* What the containers of one pod come to. */
struct sum {
  size_t init, init_done;
  size_t mains, mains_over, mains_failed, mains_begun;
  struct buf unready, uninitialized; /* names, separated by spaces */
};

static void add_name(struct buf *b, const char *name) {
  buf_addf(b, "%s%s", b->len ? " " : "", name);
}

static int64_t exit_code_of(struct json_object *status) {
  return json_i64(status, "state.terminated.exitCode", -1);
}

static void sum_container(struct json_object *c, struct sum *s) {
  struct json_object *status = json_get(c, "status");
  const char *role = json_str(c, "role", "main"), *name = json_str(status, "name", "");
  bool over = json_flag(c, "over", false);

  if (streq(role, "main")) {
    s->mains++;
    s->mains_over += over;
    s->mains_failed += over && exit_code_of(status) != 0;
    s->mains_begun += json_at(status, "state.running") || json_at(status, "state.terminated") ||
                      json_at(status, "lastState.terminated");
  } else {
    bool done = streq(role, "sidecar") ? json_flag(status, "started", false) || over : over && !exit_code_of(status);
    s->init++;
    s->init_done += done;
    if (!done)
      add_name(&s->uninitialized, name);
  }
  if (!streq(role, "init") && !json_flag(status, "ready", false))
    add_name(&s->unready, name);
}

static bool init_failed(struct json_object *containers) {
  for (size_t i = 0; i < json_len(containers); i++) {
    struct json_object *c = json_index(containers, i);
    if (streq(json_str(c, "role", ""), "init") && json_flag(c, "over", false) &&
        exit_code_of(json_get(c, "status")) != 0)
      return true;
  }
  return false;
}

static const char *phase_of(struct json_object *report, const struct sum *s) {
  if (json_get(report, "reason") || init_failed(json_get(report, "containers")))
    return "Failed";
  if (s->mains && s->mains_over == s->mains)
    return s->mains_failed ? "Failed" : "Succeeded";
  return s->init_done == s->init && s->mains_begun ? "Running" : "Pending";
}

/* Keeps the transition times of what stays the same; conditions of others (readiness gates) are theirs. */
static void condition(struct json_object *status, const char *type, bool value, const char *reason, const char *message,
                      int64_t now_ms) {
  plan_condition(status, type, value ? "True" : "False", value ? "" : reason, value ? "" : message, now_ms, false);
  struct json_object *c = json_find(json_get(status, "conditions"), "type", type);
  if (streq(json_str(c, "reason", ""), ""))
    json_del(c, "reason");
  if (streq(json_str(c, "message", ""), ""))
    json_del(c, "message");
}

static bool gates_open(struct json_object *pod) {
  struct json_object *gates = json_at(pod, "spec.readinessGates");

  for (size_t i = 0; i < json_len(gates); i++)
    if (!streq(meta_condition(pod, json_str(json_index(gates, i), "conditionType", "")), "True"))
      return false;
  return true;
}

static void set_conditions(struct json_object *pod, struct json_object *status, const struct sum *s, const char *phase,
                           int64_t now_ms) {
  _cleanup_buf_ struct buf unready = BUF_INIT, uninitialized = BUF_INIT;
  bool completed = streq(phase, "Succeeded"), initialized = s->init_done == s->init;
  bool ready = s->mains && !s->unready.len && streq(phase, "Running");
  const char *reason = completed ? "PodCompleted" : streq(phase, "Failed") ? "PodFailed" : "ContainersNotReady";

  buf_addf(&unready, "containers with unready status: [%s]", buf_str(&s->unready));
  buf_addf(&uninitialized, "containers with incomplete status: [%s]", buf_str(&s->uninitialized));
  const char *why = completed ? "" : buf_str(&unready);
  condition(status, "PodScheduled", true, "", "", now_ms);
  condition(status, "Initialized", initialized || completed, "ContainersNotInitialized", buf_str(&uninitialized),
            now_ms);
  condition(status, "ContainersReady", ready, reason, why, now_ms);
  if (ready && !gates_open(pod))
    condition(status, "Ready", false, "ReadinessGatesNotReady", "a readiness gate of the pod is not \"True\"", now_ms);
  else
    condition(status, "Ready", ready && !meta_deleting(pod), reason, why, now_ms);
}

/* A container that nothing is known of yet. */
static struct json_object *waiting_status(struct json_object *c, const char *reason, const char *message) {
  struct json_object *status = json_object_new_object();

  (void)json_set_str(status, "name", json_str(c, "name", ""));
  (void)json_set_str(status, "state.waiting.reason", reason ? reason : "ContainerCreating");
  if (message)
    (void)json_set_str(status, "state.waiting.message", message);
  (void)json_set(status, "lastState", json_object_new_object());
  (void)json_set_bool(status, "ready", false);
  (void)json_set_bool(status, "started", false);
  (void)json_set_i64(status, "restartCount", 0);
  (void)json_set_str(status, "image", json_str(c, "image", ""));
  (void)json_set_str(status, "imageID", "");
  return status;
}

/* What is known from an earlier run of ome stays known: restart counts and how the last run ended. */
static void carry_over(struct json_object *before, struct json_object *status) {
  int64_t restarts = json_i64(before, "restartCount", 0);

  if (!before || json_at(before, "state.waiting.reason") == NULL) {
    struct json_object *ended = json_at(before, "state.terminated");
    if (ended)
      (void)json_set(status, "lastState.terminated", json_object_get(ended));
  } else if (json_get(before, "lastState"))
    (void)json_set(status, "lastState", json_copy(json_get(before, "lastState")));
  if (restarts)
    (void)json_set_i64(status, "restartCount", restarts);
}

static struct json_object *all_waiting(struct json_object *pod, const char *list, const char *field, const char *reason,
                                       const char *message) {
  struct json_object *containers = json_at(pod, list), *out = json_object_new_array();
  struct json_object *before = json_at(pod, field);

  for (size_t i = 0; i < json_len(containers); i++) {
    struct json_object *c = json_index(containers, i), *status = waiting_status(c, reason, message);
    carry_over(json_find(before, "name", json_str(c, "name", "")), status);
    (void)json_add(out, status);
  }
  return out;
}

static void set_container_statuses(struct json_object *pod, struct json_object *report, const char *why,
                                   const char *message, struct json_object *status) {
  struct json_object *containers = json_get(report, "containers");
  bool has_init = json_len(json_at(pod, "spec.initContainers")) > 0;

  if (!report) {
    (void)json_set(status, "containerStatuses",
                   all_waiting(pod, "spec.containers", "status.containerStatuses", has_init ? "PodInitializing" : why,
                               has_init ? NULL : message));
    if (has_init)
      (void)json_set(status, "initContainerStatuses",
                     all_waiting(pod, "spec.initContainers", "status.initContainerStatuses", why, message));
    return;
  }
  struct json_object *mains = json_object_new_array(), *inits = json_object_new_array();
  for (size_t i = 0; i < json_len(containers); i++) {
    struct json_object *c = json_index(containers, i);
    bool is_main = streq(json_str(c, "role", ""), "main");
    (void)json_add(is_main ? mains : inits, json_copy(json_get(c, "status")));
  }
  (void)json_set(status, "containerStatuses", mains);
  if (json_len(inits))
    (void)json_set(status, "initContainerStatuses", inits);
  else
    json_unref(inits);
}

static bool same_limits(struct json_object *resources) {
  static const char *const names[] = {"cpu", "memory"};

  for (size_t i = 0; i < ARRAY_LEN(names); i++) {
    int64_t limit = 0, request = 0;
    const char *l = json_str(json_get(resources, "limits"), names[i], NULL);
    const char *r = json_str(json_get(resources, "requests"), names[i], l);
    if (!l || !quantity_milli(l, &limit) || !quantity_milli(r, &request) || limit != request)
      return false;
  }
  return true;
}

const char *pod_qos(struct json_object *pod) {
  static const char *const lists[] = {"spec.containers", "spec.initContainers"};
  bool any = false, all = true;

  for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
    struct json_object *containers = json_at(pod, lists[i]);
    for (size_t k = 0; k < json_len(containers); k++) {
      struct json_object *resources = json_get(json_index(containers, k), "resources");
      any = any || !json_empty(json_get(resources, "limits")) || !json_empty(json_get(resources, "requests"));
      all = all && same_limits(resources);
    }
  }
  return !any ? "BestEffort" : all ? "Guaranteed" : "Burstable";
}

static void set_addresses(struct json_object *status, const char *pod_ip, const char *host_ip) {
  if (host_ip)
    (void)json_set_str(status, "hostIP", host_ip);
  if (!pod_ip)
    return;
  struct json_object *ips = json_object_new_array(), *entry = json_object_new_object();
  (void)json_set_str(entry, "ip", pod_ip);
  (void)json_add(ips, entry);
  (void)json_set_str(status, "podIP", pod_ip);
  (void)json_set(status, "podIPs", ips);
}

struct json_object *pod_status(struct json_object *pod, struct json_object *report, const char *why_waiting,
                               const char *message, const char *pod_ip, const char *host_ip, int64_t now_ms) {
  struct json_object *before = json_get(pod, "status");
  struct json_object *status = before ? json_copy(before) : json_object_new_object();
  struct json_object *containers = json_get(report, "containers");
  struct sum s = {0};
  char now[TIME_TEXT];

  for (size_t i = 0; i < json_len(containers); i++)
    sum_container(json_index(containers, i), &s);
  if (!report) {
    struct json_object *mains = json_at(pod, "spec.containers"), *inits = json_at(pod, "spec.initContainers");
    for (size_t i = 0; i < json_len(mains); i++)
      add_name(&s.unready, json_str(json_index(mains, i), "name", ""));
    for (size_t i = 0; i < json_len(inits); i++)
      add_name(&s.uninitialized, json_str(json_index(inits, i), "name", ""));
    s.mains = json_len(mains);
    s.init = json_len(inits);
  }
  const char *phase = phase_of(report, &s);
  (void)json_set_str(status, "phase", phase);
  set_addresses(status, pod_ip, host_ip);
  set_container_statuses(pod, report, why_waiting, message, status);
  set_conditions(pod, status, &s, phase, now_ms);
  if (!json_get(status, "startTime")) {
    time_format(now_ms / 1000, now);
    (void)json_set_str(status, "startTime", now);
  }
  (void)json_set_str(status, "qosClass", pod_qos(pod));
  json_del(status, "reason");
  json_del(status, "message");
  if (json_get(report, "reason")) {
    (void)json_set_str(status, "reason", json_str(report, "reason", ""));
    (void)json_set_str(status, "message", json_str(report, "message", ""));
  }
  buf_fini(&s.unready);
  buf_fini(&s.uninitialized);
  return status;
}

struct json_object *pod_status_unscheduled(struct json_object *pod, const char *reason, const char *message,
                                           int64_t now_ms) {
  struct json_object *before = json_get(pod, "status");
  struct json_object *status = before ? json_copy(before) : json_object_new_object();

  (void)json_set_str(status, "phase", "Pending");
  (void)json_set_str(status, "qosClass", pod_qos(pod));
  condition(status, "PodScheduled", false, reason, message, now_ms);
  return status;
}
