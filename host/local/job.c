/* The Job controller's decisions (batch/v1). */
#include "local/plan.h"

#include "base/clock.h"
#include "base/str.h"
#include "kube/meta.h"

#include <stdlib.h>
#include <string.h>

#define INDEX_ANNOTATION "batch.kubernetes.io/job-completion-index"
#define MAX_INDEXES 100000
#define BURST 100
#define BACKOFF_MS 10000
#define BACKOFF_MAX_MS (6 * 60 * 1000)

struct tally {
  int64_t active, ready, succeeded, failed;
  int64_t restarts;        /* of containers in active pods */
  int64_t last_failure_ms; /* when the latest failed pod ended */
  bool *done, *running;    /* by completion index; NULL: not Indexed */
};

struct job_pass {
  struct json_object *job;
  struct json_object *pods;
  struct json_object *status;
  int64_t completions; /* -1: any success completes */
  int64_t parallelism;
  bool indexed;
  struct tally t;
  int64_t now_ms;
  struct plan *out;
};

static int64_t index_of(struct json_object *pod) {
  const char *text = meta_annotation(pod, INDEX_ANNOTATION);
  int64_t n = -1;

  return text && str_to_i64(text, &n) ? n : -1;
}

static int64_t ended_at(struct json_object *pod) {
  struct json_object *statuses = json_at(pod, "status.containerStatuses");
  int64_t last = plan_time(pod, "metadata.creationTimestamp");

  for (size_t i = 0; i < json_len(statuses); i++) {
    int64_t at = plan_time(json_index(statuses, i), "state.terminated.finishedAt");
    last = at > last ? at : last;
  }
  return last;
}

static void tally_pod(struct job_pass *j, struct json_object *pod) {
  const char *phase = json_str(pod, "status.phase", "");
  int64_t index = index_of(pod);
  bool in_range = j->indexed && index >= 0 && index < j->completions;

  if (streq(phase, "Succeeded")) {
    if (in_range && j->t.done[index])
      return;
    j->t.succeeded++;
    if (in_range)
      j->t.done[index] = true;
  } else if (streq(phase, "Failed")) {
    int64_t at = ended_at(pod);
    j->t.failed++;
    j->t.last_failure_ms = at > j->t.last_failure_ms ? at : j->t.last_failure_ms;
  } else if (!meta_deleting(pod)) {
    struct json_object *statuses = json_at(pod, "status.containerStatuses");
    j->t.active++;
    j->t.ready += pod_is_ready(pod);
    if (in_range)
      j->t.running[index] = true;
    for (size_t i = 0; i < json_len(statuses); i++)
      j->t.restarts += json_i64(json_index(statuses, i), "restartCount", 0);
  }
}

static bool tally(struct job_pass *j) {
  if (j->indexed) {
    j->t.done = calloc((size_t)j->completions + 1, sizeof(bool));
    j->t.running = calloc((size_t)j->completions + 1, sizeof(bool));
    if (!j->t.done || !j->t.running)
      return false;
  }
  for (size_t i = 0; i < json_len(j->pods); i++)
    tally_pod(j, json_index(j->pods, i));
  /* A finished pod that somebody deleted has counted all the same. */
  int64_t succeeded = json_i64(j->status, "succeeded", 0), failed = json_i64(j->status, "failed", 0);
  j->t.succeeded = succeeded > j->t.succeeded ? succeeded : j->t.succeeded;
  j->t.failed = failed > j->t.failed ? failed : j->t.failed;
  return true;
}

static bool finished(struct json_object *job, const char *type) {
  return streq(meta_condition(job, type), "True");
}

static void remove_active(struct job_pass *j, int64_t n) {
  for (size_t i = 0; i < json_len(j->pods) && n > 0; i++) {
    struct json_object *pod = json_index(j->pods, i);
    if (!pod_is_active(pod))
      continue;
    (void)json_object_array_add(j->out->remove, json_object_get(pod));
    n--;
  }
}

static void finish(struct job_pass *j, const char *type, const char *reason, const char *message) {
  char now[TIME_TEXT];

  remove_active(j, INT64_MAX);
  j->t.active = j->t.ready = 0;
  plan_condition(j->status, type, "True", reason, message, j->now_ms, false);
  if (streq(type, "Complete")) {
    time_format(j->now_ms / 1000, now);
    (void)json_set_str(j->status, "completionTime", now);
  }
}

/* ---- making pods ------------------------------------------------------------------------------------------------- */

static void add_index_env(struct json_object *containers) {
  for (size_t i = 0; i < json_len(containers); i++) {
    struct json_object *c = json_index(containers, i), *env = json_get(c, "env");
    if (json_find(env, "name", "JOB_COMPLETION_INDEX"))
      continue;
    if (!env) {
      env = json_object_new_array();
      (void)json_set(c, "env", env);
    }
    struct json_object *e = json_object_new_object();
    (void)json_set_str(e, "name", "JOB_COMPLETION_INDEX");
    (void)json_set_str(e, "valueFrom.fieldRef.fieldPath", "metadata.annotations['" INDEX_ANNOTATION "']");
    (void)json_object_array_add(env, e);
  }
}

static struct json_object *new_pod(struct job_pass *j, int64_t index) {
  struct json_object *template = json_at(j->job, "spec.template"), *pod = json_object_new_object();
  const char *name = meta_name(j->job), *uid = meta_uid(j->job);
  _cleanup_free_ char *prefix = NULL;

  (void)json_set_str(pod, "apiVersion", "v1");
  (void)json_set_str(pod, "kind", "Pod");
  (void)json_set(pod, "metadata", plan_child_meta(j->job, json_get(template, "metadata")));
  (void)json_set(pod, "spec", json_copy(json_get(template, "spec")));
  meta_set_label(pod, "controller-uid", uid);
  meta_set_label(pod, "job-name", name);
  meta_set_label(pod, "batch.kubernetes.io/controller-uid", uid);
  meta_set_label(pod, "batch.kubernetes.io/job-name", name);
  if (index >= 0) {
    _cleanup_free_ char *text = str_printf("%lld", (long long)index);
    meta_set_annotation(pod, INDEX_ANNOTATION, text);
    meta_set_label(pod, INDEX_ANNOTATION, text);
    prefix = str_printf("%.48s-%s-", name, text);
    add_index_env(json_at(pod, "spec.containers"));
    add_index_env(json_at(pod, "spec.initContainers"));
  } else
    prefix = str_printf("%.57s-", name);
  (void)json_set_str(pod, "metadata.generateName", prefix);
  return pod;
}

static int64_t next_index(struct job_pass *j) {
  for (int64_t i = 0; i < j->completions; i++)
    if (!j->t.done[i] && !j->t.running[i]) {
      j->t.running[i] = true;
      return i;
    }
  return -1;
}

/* How many should run now. */
static int64_t wanted_active(const struct job_pass *j) {
  if (j->completions < 0)
    return j->t.succeeded ? j->t.active : j->parallelism;
  int64_t left = j->completions - j->t.succeeded;
  return left < j->parallelism ? left : j->parallelism;
}

static void balance(struct job_pass *j) {
  int64_t wanted = wanted_active(j), more = wanted - j->t.active;

  if (more < 0) {
    remove_active(j, -more);
    j->t.active = wanted;
    return;
  }
  if (more && j->t.failed) { /* a job that fails again and again must not spin */
    int64_t shift = j->t.failed - 1 > 6 ? 6 : j->t.failed - 1;
    int64_t delay = (int64_t)BACKOFF_MS << shift;
    int64_t wait = j->t.last_failure_ms + (delay < BACKOFF_MAX_MS ? delay : BACKOFF_MAX_MS) - j->now_ms;
    if (wait > 0) {
      plan_again(j->out, wait);
      return;
    }
  }
  for (int64_t i = 0; i < more && i < BURST; i++) {
    int64_t index = j->indexed ? next_index(j) : -1;
    if (j->indexed && index < 0)
      break;
    (void)json_object_array_add(j->out->create, new_pod(j, index));
    j->t.active++;
  }
}

/* ---- the verdict ------------------------------------------------------------------------------------------------- */

static bool is_complete(const struct job_pass *j) {
  if (j->completions >= 0)
    return j->t.succeeded >= j->completions;
  return j->t.succeeded > 0 && j->t.active == 0;
}

static bool over_backoff_limit(const struct job_pass *j) {
  int64_t limit = json_i64(j->job, "spec.backoffLimit", 6);
  bool on_failure = streq(json_str(j->job, "spec.template.spec.restartPolicy", ""), "OnFailure");

  return j->t.failed > limit || (on_failure && j->t.restarts > limit);
}

static void run_pass(struct job_pass *j) {
  int64_t deadline_s = json_i64(j->job, "spec.activeDeadlineSeconds", -1);
  int64_t started_ms = plan_time(j->status, "startTime");
  bool suspended = json_flag(j->job, "spec.suspend", false);
  char now[TIME_TEXT];

  time_format(j->now_ms / 1000, now);
  if (suspended) {
    remove_active(j, INT64_MAX);
    j->t.active = j->t.ready = 0;
    json_del(j->status, "startTime");
    plan_condition(j->status, "Suspended", "True", "JobSuspended", "Job suspended", j->now_ms, false);
    return;
  }
  if (meta_condition(j->job, "Suspended"))
    plan_condition(j->status, "Suspended", "False", "JobResumed", "Job resumed", j->now_ms, false);
  if (!started_ms) {
    (void)json_set_str(j->status, "startTime", now);
    started_ms = j->now_ms;
  }
  if (over_backoff_limit(j))
    finish(j, "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit");
  else if (deadline_s >= 0 && j->now_ms >= started_ms + deadline_s * 1000)
    finish(j, "Failed", "DeadlineExceeded", "Job was active longer than specified deadline");
  else if (is_complete(j))
    finish(j, "Complete", "CompletionsReached", "Reached expected number of succeeded pods");
  else {
    balance(j);
    if (deadline_s >= 0)
      plan_again(j->out, started_ms + deadline_s * 1000 - j->now_ms);
  }
}

/* "0,2-4": the finished indexes, as status.completedIndexes words them. */
static void set_completed_indexes(struct job_pass *j) {
  _cleanup_free_ char *text = strdup("");

  for (int64_t i = 0; i < j->completions; i++) {
    if (!j->t.done[i])
      continue;
    int64_t first = i;
    while (i + 1 < j->completions && j->t.done[i + 1])
      i++;
    char *longer = first == i ? str_printf("%s%s%lld", text, *text ? "," : "", (long long)i)
                              : str_printf("%s%s%lld-%lld", text, *text ? "," : "", (long long)first, (long long)i);
    free(text);
    text = longer;
    if (!text)
      return;
  }
  if (text && *text)
    (void)json_set_str(j->status, "completedIndexes", text);
}

static void plan_ttl(struct json_object *job, int64_t now_ms, struct plan *out) {
  int64_t ttl_s = json_i64(job, "spec.ttlSecondsAfterFinished", -1);
  struct json_object *conditions = json_at(job, "status.conditions");
  struct json_object *c = json_find(conditions, "type", finished(job, "Complete") ? "Complete" : "Failed");

  if (ttl_s < 0)
    return;
  int64_t left = plan_time(c, "lastTransitionTime") + ttl_s * 1000 - now_ms;
  if (left <= 0)
    out->remove_self = true;
  else
    plan_again(out, left);
}

void job_plan(struct json_object *job, struct json_object *pods, int64_t now_ms, struct plan *out) {
  struct json_object *before = json_get(job, "status"), *completions = json_at(job, "spec.completions");
  struct job_pass j = {.job = job, .pods = pods, .now_ms = now_ms, .out = out};

  if (meta_deleting(job))
    return;
  if (finished(job, "Complete") || finished(job, "Failed")) {
    plan_ttl(job, now_ms, out);
    return;
  }
  j.parallelism = json_i64(job, "spec.parallelism", 1);
  j.completions = completions ? json_object_get_int64(completions) : -1;
  if (!completions && !json_at(job, "spec.parallelism"))
    j.completions = 1;
  j.indexed =
      streq(json_str(job, "spec.completionMode", ""), "Indexed") && j.completions >= 0 && j.completions <= MAX_INDEXES;
  j.status = before ? json_copy(before) : json_object_new_object();
  if (tally(&j)) {
    run_pass(&j);
    plan_count(j.status, "active", j.t.active);
    plan_count(j.status, "succeeded", j.t.succeeded);
    plan_count(j.status, "failed", j.t.failed);
    (void)json_set_i64(j.status, "ready", j.t.ready);
    if (j.indexed)
      set_completed_indexes(&j);
    out->status = j.status;
  } else
    json_unref(j.status);
  free(j.t.done);
  free(j.t.running);
}
