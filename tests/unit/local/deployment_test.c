/* What the Deployment controller decides.  The cases play a rollout against a small model of the ReplicaSet controller
 * and check at every step that the promises of maxSurge and maxUnavailable hold. */
#include "../unit.h"

#include "docs.h"
#include "kube/meta.h"
#include "local/plan.h"

#include <stdio.h>

#define NOW 1800000000000

/* A world of one Deployment and its ReplicaSets. */
struct world {
  struct json_object *deployment;
  struct json_object *sets;
  int64_t now_ms;
  int made;
};

static struct json_object *deployment_of(int replicas, const char *image, const char *strategy) {
  char text[1024];

  (void)snprintf(
      text, sizeof(text),
      "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'web','namespace':'default','uid':'d1',"
      "'generation':1,'annotations':{'note':'x'}},'spec':{'replicas':%d,'selector':{'matchLabels':{'app':'web'}},"
      "'strategy':%s,'revisionHistoryLimit':2,'progressDeadlineSeconds':600,"
      "'template':{'metadata':{'labels':{'app':'web'}},'spec':{'containers':[{'name':'c','image':'%s'}]}}}}",
      replicas, strategy, image);
  return doc(text);
}

static const char rolling[] = "{'type':'RollingUpdate','rollingUpdate':{'maxSurge':'25%','maxUnavailable':'25%'}}";

static void world_init(struct world *w, int replicas, const char *strategy) {
  *w = (struct world){deployment_of(replicas, "v1", strategy), json_object_new_array(), NOW, 0};
}

static void world_fini(struct world *w) {
  json_unref(w->deployment);
  json_unref(w->sets);
}

static struct json_object *set_named(struct world *w, const char *name) {
  for (size_t i = 0; i < json_len(w->sets); i++)
    if (streq(meta_name(json_index(w->sets, i)), name))
      return json_index(w->sets, i);
  return NULL;
}

static void set_image(struct world *w, const char *image) {
  struct json_object *c = json_index(json_at(w->deployment, "spec.template.spec.containers"), 0);

  (void)json_set_str(c, "image", image);
  (void)json_set_i64(w->deployment, "metadata.generation", meta_generation(w->deployment) + 1);
}

/* One pass of the Deployment controller; whether it changed anything but the status. */
static bool decide(struct world *w) {
  _cleanup_plan_ struct plan p;

  plan_init(&p);
  deployment_plan(w->deployment, w->sets, w->now_ms, &p);
  for (size_t i = 0; i < json_len(p.create); i++) {
    struct json_object *rs = json_copy(json_index(p.create, i));
    char stamp[64];
    (void)snprintf(stamp, sizeof(stamp), "2026-01-01T00:00:%02dZ", w->made++);
    (void)json_set_str(rs, "metadata.creationTimestamp", stamp);
    (void)json_set_str(rs, "metadata.uid", stamp);
    (void)json_set_i64(rs, "metadata.generation", 1);
    (void)json_object_array_add(w->sets, rs);
  }
  for (size_t i = 0; i < json_len(p.patch); i++) {
    struct json_object *patch = json_index(p.patch, i), *rs = set_named(w, meta_name(patch));
    assert_non_null(rs);
    (void)json_merge_patch(rs, patch);
  }
  for (size_t i = 0; i < json_len(p.remove); i++)
    for (size_t k = 0; k < json_len(w->sets); k++)
      if (streq(meta_name(json_index(w->sets, k)), meta_name(json_index(p.remove, i))))
        (void)json_object_array_del_idx(w->sets, k, 1);
  if (p.self)
    (void)json_merge_patch(w->deployment, p.self);
  if (p.status)
    (void)json_set(w->deployment, "status", json_object_get(p.status));
  return json_len(p.create) || json_len(p.patch) || json_len(p.remove);
}

/* The ReplicaSet controller's and the pods' part: counts follow at once; pods become available when AVAILABLE. */
static void settle(struct world *w, bool available) {
  for (size_t i = 0; i < json_len(w->sets); i++) {
    struct json_object *rs = json_index(w->sets, i);
    int64_t wanted = json_i64(rs, "spec.replicas", 0), ready = json_i64(rs, "status.availableReplicas", 0);
    ready = available || ready > wanted ? wanted : ready;
    (void)json_set_i64(rs, "status.replicas", wanted);
    (void)json_set_i64(rs, "status.readyReplicas", ready);
    (void)json_set_i64(rs, "status.availableReplicas", ready);
    (void)json_set_i64(rs, "status.observedGeneration", 1);
  }
}

static int64_t total(struct world *w, const char *path) {
  int64_t n = 0;

  for (size_t i = 0; i < json_len(w->sets); i++)
    n += json_i64(json_index(w->sets, i), path, 0);
  return n;
}

/* Runs until nothing changes; checks the bounds all the way. */
static void roll(struct world *w, int64_t most, int64_t least) {
  for (int i = 0; i < 100; i++) {
    bool changed = decide(w);
    if (total(w, "spec.replicas") > most)
      fail_msg("%d pods wanted, more than %d", (int)total(w, "spec.replicas"), (int)most);
    settle(w, false);
    if (total(w, "status.availableReplicas") < least)
      fail_msg("%d pods available, fewer than %d", (int)total(w, "status.availableReplicas"), (int)least);
    changed = decide(w) || changed;
    settle(w, true);
    if (!changed && !decide(w))
      return;
  }
  fail_msg("the rollout does not end");
}

static void the_first_rollout(void **state) {
  struct world w;
  (void)state;

  world_init(&w, 3, rolling);
  assert_true(decide(&w));
  assert_int_equal(json_len(w.sets), 1);
  struct json_object *rs = json_index(w.sets, 0);
  const char *hash = meta_label(rs, "pod-template-hash");
  assert_non_null(hash);
  assert_true(has_prefix(meta_name(rs), "web-") && has_suffix(meta_name(rs), hash));
  assert_holds(rs, "{'kind':'ReplicaSet','metadata':{'namespace':'default','ownerReferences':[{'uid':'d1',"
                   "'controller':true}],'annotations':{'note':'x','deployment.kubernetes.io/revision':'1',"
                   "'deployment.kubernetes.io/desired-replicas':'3','deployment.kubernetes.io/max-replicas':'4'}},"
                   "'spec':{'replicas':3}}");
  assert_string_equal(json_str(json_at(rs, "spec.selector.matchLabels"), "pod-template-hash", ""), hash);
  assert_string_equal(json_str(json_at(rs, "spec.template.metadata.labels"), "pod-template-hash", ""), hash);
  assert_holds(w.deployment, "{'status':{'observedGeneration':1,'conditions':[{'type':'Available','status':'False',"
                             "'reason':'MinimumReplicasUnavailable'},{'type':'Progressing','status':'True',"
                             "'reason':'NewReplicaSetCreated'}]}}");
  roll(&w, 4, 0);
  assert_holds(w.deployment,
               "{'metadata':{'annotations':{'deployment.kubernetes.io/revision':'1'}},"
               "'status':{'replicas':3,'updatedReplicas':3,'readyReplicas':3,'availableReplicas':3,'conditions':["
               "{'type':'Available','status':'True','reason':'MinimumReplicasAvailable',"
               "'message':'Deployment has minimum availability.'},"
               "{'type':'Progressing','status':'True','reason':'NewReplicaSetAvailable'}]}}");
  assert_false(decide(&w));
  world_fini(&w);
}

static void rolling_updates_keep_their_promises(void **state) {
  static const struct {
    int replicas;
    const char *rolling;
    int most, least;
  } cases[] = {
      {1, "{'maxSurge':1,'maxUnavailable':0}", 2, 1},         {1, "{'maxSurge':0,'maxUnavailable':1}", 1, 0},
      {3, "{'maxSurge':'25%','maxUnavailable':'25%'}", 4, 3}, {4, "{'maxSurge':'25%','maxUnavailable':'25%'}", 5, 3},
      {10, "{'maxSurge':3,'maxUnavailable':2}", 13, 8},       {10, "{'maxSurge':'100%','maxUnavailable':0}", 20, 10},
      {2, "{'maxSurge':0,'maxUnavailable':0}", 2, 1},         {0, "{'maxSurge':1,'maxUnavailable':0}", 1, 0},
  };
  (void)state;

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    char strategy[256];
    struct world w;
    (void)snprintf(strategy, sizeof(strategy), "{'type':'RollingUpdate','rollingUpdate':%s}", cases[i].rolling);
    world_init(&w, cases[i].replicas, strategy);
    roll(&w, cases[i].most, 0);
    set_image(&w, "v2");
    roll(&w, cases[i].most, cases[i].least);
    assert_int_equal(json_len(w.sets), 2);
    assert_int_equal(json_i64(json_index(w.sets, 0), "spec.replicas", -1), 0);
    assert_int_equal(json_i64(json_index(w.sets, 1), "spec.replicas", -1), cases[i].replicas);
    assert_string_equal(meta_annotation(w.deployment, "deployment.kubernetes.io/revision"), "2");
    world_fini(&w);
  }
}

static void recreate_stops_the_old_first(void **state) {
  struct world w;
  (void)state;

  world_init(&w, 2, "{'type':'Recreate'}");
  roll(&w, 2, 0);
  set_image(&w, "v2");
  assert_true(decide(&w));
  assert_int_equal(json_len(w.sets), 1);
  assert_int_equal(total(&w, "spec.replicas"), 0);
  assert_false(decide(&w)); /* its pods are still there */
  settle(&w, true);
  assert_true(decide(&w));
  assert_int_equal(json_len(w.sets), 2);
  assert_int_equal(total(&w, "spec.replicas"), 2);
  roll(&w, 2, 0);
  assert_int_equal(json_i64(w.deployment, "status.updatedReplicas", 0), 2);
  world_fini(&w);
}

static void scaling_and_going_back(void **state) {
  struct world w;
  (void)state;

  world_init(&w, 2, rolling);
  roll(&w, 3, 0);
  (void)json_set_i64(w.deployment, "spec.replicas", 5);
  roll(&w, 7, 2);
  assert_int_equal(json_len(w.sets), 1);
  assert_int_equal(total(&w, "spec.replicas"), 5);
  (void)json_set_i64(w.deployment, "spec.replicas", 0);
  roll(&w, 7, 0);
  assert_int_equal(total(&w, "spec.replicas"), 0);
  (void)json_set_i64(w.deployment, "spec.replicas", 1);
  set_image(&w, "v2");
  roll(&w, 2, 0);
  set_image(&w, "v1"); /* back: the old ReplicaSet is used again and becomes the newest revision */
  roll(&w, 2, 1);
  assert_int_equal(json_len(w.sets), 2);
  assert_int_equal(json_i64(json_index(w.sets, 0), "spec.replicas", -1), 1);
  assert_string_equal(meta_annotation(json_index(w.sets, 0), "deployment.kubernetes.io/revision"), "3");
  assert_string_equal(meta_annotation(w.deployment, "deployment.kubernetes.io/revision"), "3");
  world_fini(&w);
}

static void scaling_amid_a_rollout_is_in_proportion(void **state) {
  struct world w;
  (void)state;

  world_init(&w, 10, "{'type':'RollingUpdate','rollingUpdate':{'maxSurge':3,'maxUnavailable':2}}");
  roll(&w, 13, 0);
  set_image(&w, "v2");
  (void)decide(&w);
  settle(&w, false);
  (void)decide(&w);
  int64_t old = json_i64(json_index(w.sets, 0), "spec.replicas", 0),
          new = json_i64(json_index(w.sets, 1), "spec.replicas", 0);
  assert_true(old > new &&new > 0);
  (void)json_set_i64(w.deployment, "spec.replicas", 20);
  (void)decide(&w);
  assert_int_equal(total(&w, "spec.replicas"), 23);
  assert_true(json_i64(json_index(w.sets, 0), "spec.replicas", 0) > old);
  assert_true(json_i64(json_index(w.sets, 1), "spec.replicas", 0) > new);
  roll(&w, 23, 0);
  assert_int_equal(json_i64(json_index(w.sets, 1), "spec.replicas", 0), 20);
  world_fini(&w);
}

static void history_is_kept_as_long_as_asked(void **state) {
  static const char *const images[] = {"v2", "v3", "v4", "v5"};
  struct world w;
  (void)state;

  world_init(&w, 1, rolling);
  roll(&w, 2, 0);
  for (size_t i = 0; i < ARRAY_LEN(images); i++) {
    set_image(&w, images[i]);
    roll(&w, 2, 0);
  }
  assert_int_equal(json_len(w.sets), 3); /* the present one and two old ones */
  world_fini(&w);
}

static void a_stuck_rollout_is_given_up(void **state) {
  struct world w;
  (void)state;

  world_init(&w, 1, rolling);
  (void)decide(&w);
  settle(&w, false);
  (void)decide(&w);
  w.now_ms += 599 * 1000;
  (void)decide(&w);
  assert_holds(json_find(json_at(w.deployment, "status.conditions"), "type", "Progressing"), "{'status':'True'}");
  w.now_ms += 2 * 1000;
  (void)decide(&w);
  assert_holds(json_find(json_at(w.deployment, "status.conditions"), "type", "Progressing"),
               "{'status':'False','reason':'ProgressDeadlineExceeded'}");
  settle(&w, true); /* it came after all */
  (void)decide(&w);
  assert_holds(json_find(json_at(w.deployment, "status.conditions"), "type", "Progressing"),
               "{'status':'True','reason':'NewReplicaSetAvailable'}");
  world_fini(&w);
}

static void a_paused_deployment_does_not_roll(void **state) {
  struct world w;
  (void)state;

  world_init(&w, 2, rolling);
  roll(&w, 3, 0);
  (void)json_set_bool(w.deployment, "spec.paused", true);
  set_image(&w, "v2");
  assert_false(decide(&w));
  assert_holds(json_find(json_at(w.deployment, "status.conditions"), "type", "Progressing"),
               "{'status':'Unknown','reason':'DeploymentPaused'}");
  (void)json_set_i64(w.deployment, "spec.replicas", 3); /* but it scales */
  (void)decide(&w);
  assert_int_equal(total(&w, "spec.replicas"), 3);
  (void)json_set_bool(w.deployment, "spec.paused", false);
  roll(&w, 4, 0);
  assert_int_equal(json_len(w.sets), 2);
  world_fini(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_first_rollout),
      cmocka_unit_test(rolling_updates_keep_their_promises),
      cmocka_unit_test(recreate_stops_the_old_first),
      cmocka_unit_test(scaling_and_going_back),
      cmocka_unit_test(scaling_amid_a_rollout_is_in_proportion),
      cmocka_unit_test(history_is_kept_as_long_as_asked),
      cmocka_unit_test(a_stuck_rollout_is_given_up),
      cmocka_unit_test(a_paused_deployment_does_not_roll),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
