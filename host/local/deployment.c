/* The Deployment controller's decisions: which ReplicaSet holds how many pods next, and what the status says. */
#include "local/plan.h"

#include "base/str.h"
#include "kube/meta.h"

#include <stdlib.h>
#include <string.h>

#define REVISION "deployment.kubernetes.io/revision"
#define DESIRED "deployment.kubernetes.io/desired-replicas"
#define MAXIMUM "deployment.kubernetes.io/max-replicas"
#define HASH_LABEL "pod-template-hash"

/* What a pass works on.  ALL is sorted by age, oldest first; scaling is recorded in NEXT beside it. */
struct rollout {
  struct json_object *deployment;
  struct json_object **all;
  int64_t *next; /* spec.replicas after this pass */
  size_t len;
  size_t current; /* index of the one with the wanted template; LEN: none yet */
  int64_t replicas, max_surge, max_unavailable;
  bool recreate, paused;
  bool found; /* an older template came back: its ReplicaSet is current again */
  int64_t now_ms;
  struct plan *out;
};

static int by_age(const void *a, const void *b) {
  struct json_object *x = *(struct json_object *const *)a, *y = *(struct json_object *const *)b;
  int order = strcmp(json_str(x, "metadata.creationTimestamp", ""), json_str(y, "metadata.creationTimestamp", ""));

  return order ? order : strcmp(meta_name(x), meta_name(y));
}

static int64_t revision_of(struct json_object *o) {
  const char *text = meta_annotation(o, REVISION);
  int64_t n = 0;

  return text && str_to_i64(text, &n) ? n : 0;
}

static bool template_is(struct json_object *rs, struct json_object *wanted) {
  _cleanup_json_ struct json_object *template = json_copy(json_at(rs, "spec.template"));
  struct json_object *labels = json_at(template, "metadata.labels");

  if (labels)
    json_object_object_del(labels, HASH_LABEL);
  return json_equal(template, wanted);
}

static bool rollout_init(struct rollout *r, struct json_object *deployment, struct json_object *replicasets) {
  struct json_object *rolling = json_at(deployment, "spec.strategy.rollingUpdate");

  r->len = json_len(replicasets);
  r->all = calloc(r->len + 1, sizeof(struct json_object *));
  r->next = calloc(r->len + 1, sizeof(*r->next));
  if (!r->all || !r->next)
    return false;
  for (size_t i = 0; i < r->len; i++)
    r->all[i] = json_index(replicasets, i);
  qsort(r->all, r->len, sizeof(struct json_object *), by_age);
  r->current = r->len;
  for (size_t i = 0; i < r->len; i++) {
    r->next[i] = json_i64(r->all[i], "spec.replicas", 0);
    if (r->current == r->len && template_is(r->all[i], json_at(deployment, "spec.template")))
      r->current = i;
  }
  r->deployment = deployment;
  r->replicas = json_i64(deployment, "spec.replicas", 1);
  r->recreate = streq(json_str(deployment, "spec.strategy.type", ""), "Recreate");
  r->paused = json_flag(deployment, "spec.paused", false);
  r->max_surge = r->recreate ? 0 : plan_share(json_get(rolling, "maxSurge"), r->replicas, true, (r->replicas + 3) / 4);
  r->max_unavailable =
      r->recreate ? 0 : plan_share(json_get(rolling, "maxUnavailable"), r->replicas, false, r->replicas / 4);
  if (!r->recreate && !r->max_surge && !r->max_unavailable)
    r->max_unavailable = 1; /* otherwise nothing could ever move */
  if (r->max_unavailable > r->replicas)
    r->max_unavailable = r->replicas;
  return true;
}

static int64_t sum_next(const struct rollout *r) {
  int64_t n = 0;

  for (size_t i = 0; i < r->len; i++)
    n += r->next[i];
  return n;
}

static int64_t sum_status(const struct rollout *r, const char *field, bool old_only) {
  int64_t n = 0;

  for (size_t i = 0; i < r->len; i++)
    if (!old_only || i != r->current)
      n += json_i64(json_get(r->all[i], "status"), field, 0);
  return n;
}

/* ---- the new ReplicaSet --------------------------------------------------------------------------------------- */

static void copy_annotations(struct json_object *from, struct json_object *to) {
  struct json_object *annotations = json_at(from, "metadata.annotations");

  if (!annotations)
    return;
  json_object_object_foreach (annotations, key, v) {
    if (!streq(key, "kubectl.kubernetes.io/last-applied-configuration") &&
        !has_prefix(key, "deployment.kubernetes.io/"))
      meta_set_annotation(to, key, json_object_get_string(v));
  }
}

static char *number(int64_t n) {
  return str_printf("%lld", (long long)n);
}

static void set_bounds(struct json_object *rs, const struct rollout *r) {
  _cleanup_free_ char *desired = number(r->replicas);
  _cleanup_free_ char *maximum = number(r->replicas + r->max_surge);

  meta_set_annotation(rs, DESIRED, desired);
  meta_set_annotation(rs, MAXIMUM, maximum);
}

static struct json_object *new_replicaset(const struct rollout *r, const char *hash, int64_t revision) {
  struct json_object *d = r->deployment, *rs = json_object_new_object();
  _cleanup_free_ char *name = str_printf("%s-%s", meta_name(d), hash);
  _cleanup_free_ char *revision_text = number(revision);
  struct json_object *selector = json_copy(json_at(d, "spec.selector"));

  (void)json_set_str(rs, "apiVersion", "apps/v1");
  (void)json_set_str(rs, "kind", "ReplicaSet");
  (void)json_set(rs, "metadata", plan_child_meta(d, json_at(d, "spec.template.metadata")));
  json_del(rs, "metadata.annotations"); /* those of the template stay in the template */
  (void)json_set_str(rs, "metadata.name", name);
  meta_set_label(rs, HASH_LABEL, hash);
  copy_annotations(d, rs);
  meta_set_annotation(rs, REVISION, revision_text);
  set_bounds(rs, r);
  if (!selector)
    selector = json_object_new_object();
  struct json_object *match = json_ensure(selector, "matchLabels");
  (void)json_put_str(match, HASH_LABEL, hash);
  (void)json_set(rs, "spec.selector", selector);
  (void)json_set(rs, "spec.template", json_copy(json_at(d, "spec.template")));
  struct json_object *labels = json_ensure(rs, "spec.template.metadata.labels");
  (void)json_put_str(labels, HASH_LABEL, hash);
  if (json_at(d, "spec.minReadySeconds"))
    (void)json_set(rs, "spec.minReadySeconds", json_copy(json_at(d, "spec.minReadySeconds")));
  return rs;
}

static int64_t new_replicas(const struct rollout *r, int64_t have) {
  if (r->recreate)
    return r->replicas;
  int64_t room = r->replicas + r->max_surge - sum_next(r);
  if (room <= 0)
    return have;
  int64_t more = r->replicas - have;
  return have + (more < room ? more : room);
}

/* A name of another template's ReplicaSet is a hash collision: count it and hash again with the count. */
static void plan_create_current(struct rollout *r, struct json_object *status) {
  char hash[16];
  int64_t revision = 0, collisions = json_i64(status, "collisionCount", 0);

  template_hash(json_at(r->deployment, "spec.template"), collisions, hash);
  for (size_t i = 0; i < r->len; i++) {
    if (streq(meta_label(r->all[i], HASH_LABEL), hash)) {
      (void)json_set_i64(status, "collisionCount", collisions + 1);
      plan_again(r->out, 1);
      return;
    }
    int64_t other = revision_of(r->all[i]);
    revision = other > revision ? other : revision;
  }
  struct json_object *rs = new_replicaset(r, hash, revision + 1);
  (void)json_set_i64(rs, "spec.replicas", new_replicas(r, 0));
  (void)json_add(r->out->create, rs);
  _cleanup_free_ char *message = str_printf("Created new replica set \"%s\"", meta_name(rs));
  plan_condition(status, "Progressing", "True", "NewReplicaSetCreated", message, r->now_ms, true);
}

/* Keeps the revision of the current ReplicaSet the highest (a rollback makes an old one current again) and the
 * Deployment's annotation equal to it. */
static void plan_revision(struct rollout *r) {
  struct json_object *current = r->all[r->current];
  int64_t highest = 0, mine = revision_of(current);

  for (size_t i = 0; i < r->len; i++)
    if (i != r->current && revision_of(r->all[i]) > highest)
      highest = revision_of(r->all[i]);
  r->found = mine <= highest;
  if (r->found)
    mine = highest + 1;
  _cleanup_free_ char *text = number(mine);
  if (!streq(meta_annotation(current, REVISION), text))
    meta_set_annotation(plan_patch_for(r->out, meta_name(current)), REVISION, text);
  if (!streq(meta_annotation(r->deployment, REVISION), text)) {
    r->out->self = json_object_new_object();
    meta_set_annotation(r->out->self, REVISION, text);
  }
}

/* ---- scaling down what is old ---------------------------------------------------------------------------------- */

/* Pods that do not serve anyway go first; they cost no availability. */
static int64_t drop_unhealthy(struct rollout *r, int64_t most) {
  int64_t dropped = 0;

  for (size_t i = 0; i < r->len && dropped < most; i++) {
    int64_t available = json_i64(r->all[i], "status.availableReplicas", 0);
    if (i == r->current || r->next[i] <= available)
      continue;
    int64_t n = r->next[i] - available;
    n = n < most - dropped ? n : most - dropped;
    r->next[i] -= n;
    dropped += n;
  }
  return dropped;
}

static void roll_old(struct rollout *r) {
  int64_t old = 0, min_available = r->replicas - r->max_unavailable;

  for (size_t i = 0; i < r->len; i++)
    old += i == r->current ? 0 : r->next[i];
  if (!old)
    return;
  struct json_object *current = r->current < r->len ? r->all[r->current] : NULL;
  int64_t new_unavailable = current ? r->next[r->current] - json_i64(current, "status.availableReplicas", 0) : 0;
  int64_t most = sum_next(r) - min_available - new_unavailable;
  if (most <= 0)
    return;
  (void)drop_unhealthy(r, most);
  int64_t spare = sum_status(r, "availableReplicas", false) - min_available;
  for (size_t i = 0; i < r->len && spare > 0; i++) {
    if (i == r->current)
      continue;
    int64_t n = r->next[i] < spare ? r->next[i] : spare;
    r->next[i] -= n;
    spare -= n;
  }
}

/* Every old one to zero; whether all their pods are gone. */
static bool stop_old(struct rollout *r) {
  for (size_t i = 0; i < r->len; i++)
    if (i != r->current)
      r->next[i] = 0;
  return sum_status(r, "replicas", true) == 0;
}

/* ---- scaling without a new template ---------------------------------------------------------------------------- */

static bool is_scaling(const struct rollout *r) {
  for (size_t i = 0; i < r->len; i++) {
    const char *desired = meta_annotation(r->all[i], DESIRED);
    int64_t n;
    if (r->next[i] > 0 && desired && str_to_i64(desired, &n) && n != r->replicas)
      return true;
  }
  return false;
}

/* Spreads the change over all ReplicaSets that hold pods, in proportion to their size; the newest takes the rest. */
static void scale_in_proportion(struct rollout *r) {
  int64_t have = sum_next(r), wanted = r->replicas + (r->recreate ? 0 : r->max_surge), rest;
  size_t active = 0, last = 0;

  for (size_t i = 0; i < r->len; i++)
    if (r->next[i] > 0) {
      active++;
      last = i;
    }
  if (active == 1) {
    r->next[last] = r->replicas;
    return;
  }
  if (!have)
    return;
  last = r->current < r->len && r->next[r->current] > 0 ? r->current : last;
  rest = wanted - have;
  for (size_t i = 0; i < r->len; i++) {
    if (i == last || !r->next[i])
      continue;
    int64_t share = r->next[i] * (wanted - have) / have;
    r->next[i] += share;
    rest -= share;
  }
  r->next[last] = r->next[last] + rest > 0 ? r->next[last] + rest : 0;
}

/* ---- history and status ----------------------------------------------------------------------------------------- */

static void plan_cleanup(struct rollout *r) {
  int64_t limit = json_i64(r->deployment, "spec.revisionHistoryLimit", 10), old = 0;

  for (size_t i = 0; i < r->len; i++)
    old += i != r->current;
  for (size_t i = 0; i < r->len && old > limit; i++) {
    struct json_object *rs = r->all[i];
    if (i == r->current || r->next[i] || json_i64(rs, "status.replicas", 0) || meta_deleting(rs) ||
        json_i64(rs, "status.observedGeneration", 0) < meta_generation(rs))
      continue;
    (void)json_add(r->out->remove, json_object_get(rs));
    old--;
  }
}

static void plan_scales(struct rollout *r) {
  _cleanup_free_ char *desired = number(r->replicas);
  _cleanup_free_ char *maximum = number(r->replicas + r->max_surge);

  for (size_t i = 0; i < r->len; i++) {
    struct json_object *rs = r->all[i];
    if (r->next[i] != json_i64(rs, "spec.replicas", 0))
      (void)json_set_i64(plan_patch_for(r->out, meta_name(rs)), "spec.replicas", r->next[i]);
    if (r->next[i] > 0 &&
        (!streq(meta_annotation(rs, DESIRED), desired) || !streq(meta_annotation(rs, MAXIMUM), maximum)))
      set_bounds(plan_patch_for(r->out, meta_name(rs)), r);
  }
}

static bool is_complete(const struct rollout *r, struct json_object *status) {
  return json_i64(status, "updatedReplicas", 0) == r->replicas && json_i64(status, "replicas", 0) == r->replicas &&
         json_i64(status, "availableReplicas", 0) == r->replicas;
}

static bool has_progressed(struct json_object *before, struct json_object *after) {
  int64_t old_before = json_i64(before, "replicas", 0) - json_i64(before, "updatedReplicas", 0);
  int64_t old_after = json_i64(after, "replicas", 0) - json_i64(after, "updatedReplicas", 0);

  return json_i64(after, "updatedReplicas", 0) > json_i64(before, "updatedReplicas", 0) || old_after < old_before ||
         json_i64(after, "readyReplicas", 0) > json_i64(before, "readyReplicas", 0) ||
         json_i64(after, "availableReplicas", 0) > json_i64(before, "availableReplicas", 0);
}

static void status_progress(struct rollout *r, struct json_object *before, struct json_object *status) {
  struct json_object *condition = json_find(json_get(status, "conditions"), "type", "Progressing");
  int64_t deadline_s = json_i64(r->deployment, "spec.progressDeadlineSeconds", 600);
  const char *rs = r->current < r->len ? meta_name(r->all[r->current]) : NULL;
  _cleanup_free_ char *message = NULL;

  if (!rs || deadline_s == INT32_MAX)
    return;
  if (is_complete(r, status)) {
    message = str_printf("ReplicaSet \"%s\" has successfully progressed.", rs);
    plan_condition(status, "Progressing", "True", "NewReplicaSetAvailable", message, r->now_ms, true);
    return;
  }
  if (r->found) {
    message = str_printf("Found new replica set \"%s\"", rs);
    plan_condition(status, "Progressing", "True", "FoundNewReplicaSet", message, r->now_ms, true);
    return;
  }
  /* A rollout that was complete and lost a pod is not a new rollout: its deadline does not start again. */
  bool was_complete = streq(json_str(condition, "reason", ""), "NewReplicaSetAvailable");
  if (!condition || has_progressed(before, status)) {
    message = str_printf("ReplicaSet \"%s\" is progressing.", rs);
    if (condition && !was_complete && streq(json_str(condition, "status", ""), "True"))
      (void)json_set_str(condition, "reason", ""); /* moves lastUpdateTime: the deadline counts from here */
    plan_condition(status, "Progressing", "True", "ReplicaSetUpdated", message, r->now_ms, true);
    condition = json_find(json_get(status, "conditions"), "type", "Progressing");
  }
  if (was_complete)
    return;
  int64_t left_ms = plan_time(condition, "lastUpdateTime") + deadline_s * 1000 - r->now_ms;
  if (left_ms > 0 || streq(json_str(condition, "reason", ""), "ProgressDeadlineExceeded")) {
    if (left_ms > 0)
      plan_again(r->out, left_ms + 1000);
    return;
  }
  message = str_printf("ReplicaSet \"%s\" has timed out progressing.", rs);
  plan_condition(status, "Progressing", "False", "ProgressDeadlineExceeded", message, r->now_ms, true);
}

static void status_paused(struct rollout *r, struct json_object *status) {
  const char *reason = json_str(json_find(json_get(status, "conditions"), "type", "Progressing"), "reason", "");

  if (r->paused && !streq(reason, "DeploymentPaused"))
    plan_condition(status, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", r->now_ms, true);
  else if (!r->paused && streq(reason, "DeploymentPaused"))
    plan_condition(status, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", r->now_ms, true);
}

static struct json_object *next_status(struct rollout *r) {
  struct json_object *before = json_get(r->deployment, "status");
  struct json_object *status = before ? json_copy(before) : json_object_new_object();
  int64_t replicas = sum_status(r, "replicas", false), available = sum_status(r, "availableReplicas", false);
  struct json_object *current = r->current < r->len ? json_get(r->all[r->current], "status") : NULL;
  int64_t unavailable = sum_next(r) - available;

  (void)json_set_i64(status, "observedGeneration", meta_generation(r->deployment));
  plan_count(status, "replicas", replicas);
  plan_count(status, "updatedReplicas", json_i64(current, "replicas", 0));
  plan_count(status, "readyReplicas", sum_status(r, "readyReplicas", false));
  plan_count(status, "availableReplicas", available);
  plan_count(status, "unavailableReplicas", unavailable > 0 ? unavailable : 0);
  if (available >= r->replicas - r->max_unavailable)
    plan_condition(status, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.",
                   r->now_ms, true);
  else
    plan_condition(status, "Available", "False", "MinimumReplicasUnavailable",
                   "Deployment does not have minimum availability.", r->now_ms, true);
  status_paused(r, status);
  if (!r->paused)
    status_progress(r, before, status);
  return status;
}

/* Sets the next sizes; whether every pod of an older template is gone (or need not be). */
static bool move_pods(struct rollout *r, bool scaling) {
  bool old_gone = true;

  if (scaling || r->paused)
    scale_in_proportion(r);
  else if (r->recreate)
    old_gone = stop_old(r);
  if (r->paused || r->current == r->len)
    return old_gone;
  if (!scaling && old_gone)
    r->next[r->current] = new_replicas(r, r->next[r->current]);
  if (r->next[r->current] > r->replicas)
    r->next[r->current] = r->replicas;
  return old_gone;
}

static void plan_rollout(struct rollout *r) {
  bool scaling = is_scaling(r), old_gone = move_pods(r, scaling);

  if (!scaling && !r->paused && !r->recreate)
    roll_old(r);
  if (r->current < r->len && !r->paused)
    plan_revision(r);
  r->out->status = next_status(r);
  if (r->current == r->len && !r->paused && !scaling && old_gone)
    plan_create_current(r, r->out->status);
  plan_scales(r);
  if (!r->paused && r->current < r->len && is_complete(r, r->out->status))
    plan_cleanup(r);
}

void deployment_plan(struct json_object *deployment, struct json_object *replicasets, int64_t now_ms,
                     struct plan *out) {
  struct rollout r = {.now_ms = now_ms, .out = out};

  if (rollout_init(&r, deployment, replicasets) && !meta_deleting(deployment))
    plan_rollout(&r);
  free(r.all);
  free(r.next);
}
