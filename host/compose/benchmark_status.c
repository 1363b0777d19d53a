#include "compose/benchmark_status.h"

#include "base/clock.h"
#include "base/str.h"
#include "compose/jobs.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

#define CONDITION "Succeeded"
#define MESSAGE_TEXT 1024 /* as benchmark_plan's */

struct state {
  const char *name;      /* of OME's: Pending, Running, Completed, Failed */
  const char *condition; /* True, False, Unknown */
  const char *reason;
  char message[MESSAGE_TEXT];
};

/* ---- what the benchmark says of itself --------------------------------------------------------------------------- */

static bool is_last_word(struct json_object *event) {
  const char *name = json_str(event, "event", "");

  return streq(name, "done") || streq(name, "error");
}

/* ---- the state --------------------------------------------------------------------------------------------------- */

static void set(struct state *s, const char *name, const char *condition, const char *reason, const char *message) {
  s->name = name;
  s->condition = condition;
  s->reason = reason;
  (void)snprintf(s->message, sizeof(s->message), "%s", message);
}

static void state_without_job(const struct benchmark_observation *in, struct state *s) {
  if (in->plan && *in->plan->reason)
    set(s, in->plan->waiting ? "Pending" : "Failed", in->plan->waiting ? "Unknown" : "False", in->plan->reason,
        in->plan->message);
  else
    set(s, "Pending", "Unknown", "Starting", "its Job is being made");
}

static void state_of_failed(const struct benchmark_observation *in, struct json_object *condition, struct state *s) {
  char text[JOB_TROUBLE_TEXT];
  const char *said = streq(json_str(in->event, "event", ""), "error") ? json_str(in->event, "message", "") : "";

  if (!*said && job_pod_trouble(in->pod, text))
    said = text;
  set(s, "Failed", "False", json_str(condition, "reason", "Failed"),
      *said ? said : json_str(condition, "message", "the Job failed"));
}

static void state_of_active(const struct benchmark_observation *in, struct state *s) {
  char text[JOB_TROUBLE_TEXT];

  if (json_flag(in->batch, "spec.suspend", false))
    set(s, "Pending", "Unknown", "Queued", "its Job is suspended: a queue has not admitted it");
  else if (job_pod_trouble(in->pod, text))
    set(s, "Pending", "Unknown", "PodNotRunning", text);
  else if (!in->pod || streq(json_str(in->pod, "status.phase", "Pending"), "Pending"))
    set(s, "Pending", "Unknown", "Starting", "its pod is being started");
  else
    set(s, "Running", "Unknown", "Running", "the benchmark runs");
}

static void find_state(const struct benchmark_observation *in, struct state *s) {
  struct json_object *conditions = json_at(in->batch, "status.conditions");
  struct json_object *failed = json_find(conditions, "type", "Failed");

  if (!in->batch)
    state_without_job(in, s);
  else if (streq(json_str(failed, "status", ""), "True"))
    state_of_failed(in, failed, s);
  else if (streq(meta_condition(in->batch, "Complete"), "True"))
    set(s, "Completed", "True", "Completed",
        json_flag(in->event, "partial", false) ? "the benchmark was ended early; its figures are of what was done"
                                               : "the benchmark is done");
  else
    state_of_active(in, s);
}

/* ---- the status -------------------------------------------------------------------------------------------------- */

static bool is_terminal(const char *state) {
  return streq(state, "Completed") || streq(state, "Failed");
}

bool benchmark_is_over(struct json_object *job) {
  return is_terminal(json_str(job, "status.state", "")) &&
         json_i64(job, "status.observedGeneration", 0) == meta_generation(job);
}

static bool set_progress(struct json_object *status, struct json_object *event) {
  int64_t points = json_i64(event, "points", 0);
  size_t done = json_len(json_get(event, "runs"));
  _cleanup_free_ char *text =
      is_last_word(event) ? str_printf("%zu/%zu", done, done)
                          : str_printf("%lld/%lld", (long long)json_i64(event, "point", 1) - 1, (long long)points);

  return !event || (is_last_word(event) && !done) || (!is_last_word(event) && !points) ||
         (text && json_set_str(status, "progress", text));
}

/* Where results are: said once they are there.  In a claim they are as soon as there are any. */
static bool set_results(const struct benchmark_observation *in, struct json_object *status) {
  const char *uri = meta_annotation(in->batch, ANNOTATION_BENCHMARK_REPORT);
  bool there = json_get(in->event, "uploaded") || (has_prefix(uri ? uri : "", "pvc://") && json_get(in->event, "runs"));

  if (!is_last_word(in->event))
    return true;
  if (json_get(in->event, "runs") && !json_set(status, "runs", json_copy(json_get(in->event, "runs"))))
    return false;
  if (json_flag(in->event, "partial", false) && !json_set_bool(status, "partial", true))
    return false;
  return !there || !uri || json_set_str(status, "reportURI", uri);
}

static bool set_times(const struct benchmark_observation *in, const struct state *s, struct json_object *status) {
  const char *start = json_str(in->batch, "status.startTime", "");
  char now[TIME_TEXT];

  time_format(in->now_ms / 1000, now);
  if (*start && !json_set_str(status, "startTime", start))
    return false;
  if (!is_terminal(s->name))
    return true;
  struct json_object *failed = json_find(json_at(in->batch, "status.conditions"), "type", "Failed");
  const char *end = json_str(in->batch, "status.completionTime", json_str(failed, "lastTransitionTime", now));
  return json_set_str(status, "completionTime", end);
}

static bool fill(const struct benchmark_observation *in, const struct state *s, struct json_object *status) {
  static const char *const gone[] = {"completionTime", "failureMessage", "progress",  "details",
                                     "runs",           "partial",        "reportURI", "startTime"};
  bool failed = streq(s->name, "Failed");

  for (size_t i = 0; i < ARRAY_LEN(gone); i++)
    json_del(status, gone[i]);
  return json_set_str(status, "state", s->name) &&
         json_set_i64(status, "observedGeneration", meta_generation(in->job)) && set_times(in, s, status) &&
         json_set_str(status, failed ? "failureMessage" : "details", s->message) &&
         (!in->batch || json_set_str(status, "jobName", meta_name(in->batch))) && set_progress(status, in->event) &&
         set_results(in, status);
}

int32_t benchmark_status(const struct benchmark_observation *in, struct json_object **out, struct ome_err *err) {
  struct json_object *old = json_get(in->job, "status");
  _cleanup_json_ struct json_object *holder = json_object_new_object();
  struct json_object *status = old ? json_copy(old) : json_object_new_object();
  struct state s;

  find_state(in, &s);
  if (!json_set(holder, "status", status) || !fill(in, &s, status))
    return fail_memory(err);
  (void)meta_set_condition(holder, CONDITION, s.condition, s.reason, s.message, in->now_ms);
  bool changed = !json_equal(old, json_get(holder, "status"));
  char now[TIME_TEXT];
  time_format(in->now_ms / 1000, now);
  if (changed && !json_set_str(status, "lastReconcileTime", now))
    return fail_memory(err);
  *out = json_object_get(status);
  return OME_OK;
}
