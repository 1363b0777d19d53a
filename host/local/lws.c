/* The LeaderWorkerSet controller's decisions (leaderworkerset.x-k8s.io/v1): groups of a leader and its workers.
 *
 * Pods belong to the set itself, without the StatefulSets between, and since nothing resolves host names here, a group
 * meets at the address of its leader's pod; so workers are made when the leader has one. */
#include "local/plan.h"

#include "base/str.h"
#include "kube/meta.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX "leaderworkerset.sigs.k8s.io/"
#define COMPLETE "local.ome.io/group-complete" /* on a leader: all its workers have been made */

/* Bounds against typing mistakes: one machine runs no more. */
#define REPLICAS_MAX 256
#define SIZE_MAX_PODS 64

enum recreate { RECREATE_NEVER, RECREATE_ON_RESTART, RECREATE_AFTER_START };

struct lws_group {
  struct json_object *pods[SIZE_MAX_PODS]; /* by worker index; borrowed; NULL: not there */
  int64_t present;
  bool ready;    /* as many pods as there should be, all ready */
  bool broken;   /* one pod of it failed, restarted or goes: the others go, too */
  bool outdated; /* made from another template */
};

struct lws_pass {
  struct json_object *set, *template;
  struct lws_group *groups;
  int64_t len; /* of groups: wanted ones, and those that are there beyond */
  int64_t replicas, size;
  enum recreate recreate;
  char revision[16];
  struct plan *out;
};

static int64_t label_number(struct json_object *pod, const char *key) {
  const char *text = meta_label(pod, key);
  int64_t n = -1;

  return text && str_to_i64(text, &n) ? n : -1;
}

static bool has_restarted(struct json_object *pod) {
  struct json_object *statuses = json_at(pod, "status.containerStatuses");

  for (size_t i = 0; i < json_len(statuses); i++)
    if (json_i64(json_index(statuses, i), "restartCount", 0) > 0)
      return true;
  return false;
}

/* ---- what is there ----------------------------------------------------------------------------------------------- */

static void sort_in(struct lws_pass *p, struct json_object *pods) {
  for (size_t i = 0; i < json_len(pods); i++) {
    struct json_object *pod = json_index(pods, i);
    int64_t g = label_number(pod, PREFIX "group-index"), w = label_number(pod, PREFIX "worker-index");
    if (g < 0 || g >= p->len || w < 0 || w >= SIZE_MAX_PODS)
      continue;
    p->groups[g].pods[w] = pod;
    p->groups[g].present++;
  }
}

static void judge(const struct lws_pass *p, struct lws_group *g) {
  int64_t ready = 0;
  bool complete = g->pods[0] && meta_annotation(g->pods[0], COMPLETE);
  bool counts = p->recreate == RECREATE_ON_RESTART || complete; /* a restart */

  for (int64_t w = 0; w < SIZE_MAX_PODS; w++) {
    struct json_object *pod = g->pods[w];
    if (!pod)
      continue;
    ready += pod_is_ready(pod);
    g->broken |= p->recreate != RECREATE_NEVER && (!pod_is_active(pod) || (counts && has_restarted(pod)));
    g->outdated |= !streq(meta_label(pod, PREFIX "template-revision-hash"), p->revision);
  }
  /* A worker without a leader has lost it; a complete group that is short has lost a worker. */
  if (p->recreate != RECREATE_NEVER && g->present && (!g->pods[0] || (complete && g->present < p->size)))
    g->broken = true;
  g->ready = !g->broken && g->present == p->size && ready == p->size;
}

static bool pass_init(struct lws_pass *p, struct json_object *set, struct json_object *pods, struct plan *out) {
  const char *policy = json_str(set, "spec.leaderWorkerTemplate.restartPolicy", "RecreateGroupOnPodRestart");

  *p = (struct lws_pass){.set = set, .template = json_at(set, "spec.leaderWorkerTemplate"), .out = out};
  p->replicas = json_i64(set, "spec.replicas", 1);
  p->size = json_i64(p->template, "size", 1);
  p->replicas = p->replicas < 0 ? 0 : p->replicas > REPLICAS_MAX ? REPLICAS_MAX : p->replicas;
  p->size = p->size < 1 ? 1 : p->size > SIZE_MAX_PODS ? SIZE_MAX_PODS : p->size;
  p->recreate = streq(policy, "None") || streq(policy, "Default") ? RECREATE_NEVER
                : streq(policy, "RecreateGroupAfterStart")        ? RECREATE_AFTER_START
                                                                  : RECREATE_ON_RESTART;
  template_hash(p->template, 0, p->revision);
  p->len = p->replicas;
  for (size_t i = 0; i < json_len(pods); i++) {
    int64_t g = label_number(json_index(pods, i), PREFIX "group-index");
    if (g >= p->len && g < REPLICAS_MAX)
      p->len = g + 1;
  }
  p->groups = calloc((size_t)p->len + 1, sizeof(*p->groups));
  if (!p->groups)
    return false;
  sort_in(p, pods);
  for (int64_t g = 0; g < p->len; g++)
    judge(p, &p->groups[g]);
  return true;
}

/* ---- what is missing --------------------------------------------------------------------------------------------- */

/* Where the group meets (ADDRESS NULL: at this pod itself), how large it is, and which of it this pod is. */
static void tell_group(struct lws_pass *p, struct json_object *spec, const char *address, const char *index) {
  static const char *const lists[] = {"initContainers", "containers"};
  _cleanup_free_ char *size = str_printf("%lld", (long long)p->size);
  const struct plan_env vars[] = {
      {"LWS_LEADER_ADDRESS", address, false}, {"LWS_GROUP_SIZE", size, false}, {"LWS_WORKER_INDEX", index, false}};

  for (size_t l = 0; l < ARRAY_LEN(lists); l++)
    for (size_t i = 0; i < json_len(json_get(spec, lists[l])); i++)
      plan_add_env(json_index(json_get(spec, lists[l]), i), vars, ARRAY_LEN(vars));
}

static struct json_object *template_of(struct lws_pass *p, int64_t w) {
  struct json_object *leader = json_get(p->template, "leaderTemplate");

  return w == 0 && leader ? leader : json_get(p->template, "workerTemplate");
}

static void add_pod(struct lws_pass *p, int64_t g, int64_t w) {
  struct json_object *template = template_of(p, w), *pod = json_object_new_object();
  struct json_object *spec = json_copy(json_get(template, "spec"));
  _cleanup_free_ char *leader = str_printf("%s-%lld", meta_name(p->set), (long long)g);
  _cleanup_free_ char *worker = str_printf("%s-%lld", leader, (long long)w);
  _cleanup_free_ char *group = str_printf("%lld", (long long)g);
  _cleanup_free_ char *index = str_printf("%lld", (long long)w);
  _cleanup_free_ char *size = str_printf("%lld", (long long)p->size);

  (void)json_set_str(pod, "apiVersion", "v1");
  (void)json_set_str(pod, "kind", "Pod");
  (void)json_set(pod, "metadata", plan_child_meta(p->set, json_get(template, "metadata")));
  (void)json_set_str(pod, "metadata.name", w ? worker : leader);
  meta_set_label(pod, PREFIX "name", meta_name(p->set));
  meta_set_label(pod, PREFIX "group-index", group);
  meta_set_label(pod, PREFIX "worker-index", index);
  meta_set_label(pod, PREFIX "template-revision-hash", p->revision);
  meta_set_annotation(pod, PREFIX "size", size);
  if (w)
    meta_set_annotation(pod, PREFIX "leader-name", leader);
  tell_group(p, spec, w ? json_str(p->groups[g].pods[0], "status.podIP", "") : NULL, index);
  (void)json_set(pod, "spec", spec);
  (void)json_object_array_add(p->out->create, pod);
}

static void add_workers(struct lws_pass *p, int64_t g) {
  struct lws_group *group = &p->groups[g];
  struct json_object *leader = group->pods[0];
  bool wait = streq(json_str(p->set, "spec.startupPolicy", ""), "LeaderReady") && !pod_is_ready(leader);

  if (!*json_str(leader, "status.podIP", "") || wait)
    return;
  for (int64_t w = 1; w < p->size; w++)
    if (!group->pods[w])
      add_pod(p, g, w);
  if (group->present >= p->size && !meta_annotation(leader, COMPLETE))
    meta_set_annotation(plan_patch_for(p->out, meta_name(leader)), COMPLETE, "true");
}

/* ---- what goes --------------------------------------------------------------------------------------------------- */

static void remove_group(struct lws_pass *p, struct lws_group *g) {
  for (int64_t w = 0; w < SIZE_MAX_PODS; w++)
    if (g->pods[w] && !meta_deleting(g->pods[w]))
      (void)json_object_array_add(p->out->remove, json_object_get(g->pods[w]));
  g->broken = true; /* it counts for nothing until it is gone */
  g->ready = false;
}

/* Where pods are replaced one by one, the ones that are over make room. */
static void remove_finished(struct lws_pass *p, struct lws_group *g) {
  for (int64_t w = 0; w < SIZE_MAX_PODS; w++)
    if (g->pods[w] && !pod_is_active(g->pods[w]) && !meta_deleting(g->pods[w]))
      (void)json_object_array_add(p->out->remove, json_object_get(g->pods[w]));
}

/* Groups of an older template give way from the last one on, as long as no more than maxUnavailable are missing. */
static void roll(struct lws_pass *p) {
  struct json_object *rolling = json_at(p->set, "spec.rolloutStrategy.rollingUpdateConfiguration");
  int64_t most = plan_share(json_get(rolling, "maxUnavailable"), p->replicas, false, 1);
  int64_t partition = json_i64(rolling, "partition", 0), missing = 0;

  for (int64_t g = 0; g < p->replicas; g++)
    missing += !p->groups[g].ready;
  for (int64_t g = p->replicas - 1; g >= partition && g >= 0; g--) {
    struct lws_group *group = &p->groups[g];
    if (!group->outdated || group->broken)
      continue;
    if (group->ready && missing >= (most < 1 ? 1 : most))
      continue;
    missing += group->ready;
    remove_group(p, group);
  }
}

/* ---- the pass ---------------------------------------------------------------------------------------------------- */

static void set_status(struct lws_pass *p, int64_t now_ms) {
  struct json_object *status = json_copy(json_get(p->set, "status"));
  int64_t present = 0, ready = 0, updated = 0;
  _cleanup_free_ char *selector = str_printf(PREFIX "name=%s," PREFIX "worker-index=0", meta_name(p->set));

  for (int64_t g = 0; g < p->len; g++) {
    present += p->groups[g].present > 0;
    ready += p->groups[g].ready && g < p->replicas;
    updated += p->groups[g].present > 0 && !p->groups[g].outdated;
  }
  bool all = ready >= p->replicas && updated >= p->replicas;
  _cleanup_free_ char *text = str_printf("%lld of %lld groups are ready", (long long)ready, (long long)p->replicas);
  if (!status)
    status = json_object_new_object();
  (void)json_set_i64(status, "replicas", present);
  (void)json_set_i64(status, "readyReplicas", ready);
  (void)json_set_i64(status, "updatedReplicas", updated);
  (void)json_set_i64(status, "observedGeneration", meta_generation(p->set));
  (void)json_set_str(status, "hpaPodSelector", selector);
  plan_condition(status, "Available", all ? "True" : "False", all ? "AllGroupsReady" : "GroupsNotReady", text, now_ms,
                 false);
  plan_condition(status, "Progressing", all ? "False" : "True", "GroupsProgressing", text, now_ms, false);
  p->out->status = status;
}

void lws_plan(struct json_object *set, struct json_object *pods, int64_t now_ms, struct plan *out) {
  struct lws_pass p;

  if (meta_deleting(set) || !pass_init(&p, set, pods, out))
    return;
  for (int64_t g = 0; g < p.len; g++)
    if (p.groups[g].present && (g >= p.replicas || p.groups[g].broken))
      remove_group(&p, &p.groups[g]);
  roll(&p);
  for (int64_t g = 0; g < p.replicas; g++) {
    if (p.groups[g].broken)
      continue;
    remove_finished(&p, &p.groups[g]);
    if (!p.groups[g].pods[0])
      add_pod(&p, g, 0);
    else
      add_workers(&p, g);
  }
  set_status(&p, now_ms);
  free(p.groups);
}
