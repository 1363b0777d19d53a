/* What the LeaderWorkerSet and Knative controllers decide. */
#include "../unit.h"

#include "docs.h"
#include "kube/meta.h"
#include "local/plan.h"

#include <stdlib.h>

#define NOW 1800000000000

static const char set_text[] =
    "{'apiVersion':'leaderworkerset.x-k8s.io/v1','kind':'LeaderWorkerSet','metadata':{'name':'g','namespace':'default',"
    "'uid':'s1','generation':2},'spec':{'replicas':%d,'leaderWorkerTemplate':{'size':2,'leaderTemplate':{'metadata':"
    "{'labels':{'app':'a'}},'spec':{'containers':[{'name':'c','image':'%s','env':[{'name':'X','value':"
    "'$(LWS_GROUP_SIZE)'},{'name':'LWS_GROUP_SIZE','value':'9'}]}]}},'workerTemplate':{'spec':{'containers':"
    "[{'name':'c'}]}}}}}";

static struct json_object *set_of(int replicas, const char *image) {
  _cleanup_free_ char *text = str_printf(set_text, replicas, image);

  return doc(text);
}

static struct json_object *pod(const char *set, int group, int worker, const char *revision, bool ready, int restarts) {
  _cleanup_free_ char *text = str_printf(
      "{'metadata':{'name':'%s-%d-%d','labels':{'leaderworkerset.sigs.k8s.io/group-index':'%d',"
      "'leaderworkerset.sigs.k8s.io/worker-index':'%d','leaderworkerset.sigs.k8s.io/template-revision-hash':'%s'},"
      "'annotations':{%s}},'status':{'phase':'Running','podIP':'127.1.%d.%d','containerStatuses':[{'restartCount':%d}],"
      "'conditions':[{'type':'Ready','status':'%s'}]}}",
      set, group, worker, group, worker, revision, worker ? "" : "'local.ome.io/group-complete':'true'", group, worker,
      restarts, ready ? "True" : "False");

  return doc(text);
}

static void revision_of(struct json_object *set, char out[16]) {
  template_hash(json_at(set, "spec.leaderWorkerTemplate"), 0, out);
}

static void leaders_come_first_and_tell_their_workers_where_to_meet(void **state) {
  _cleanup_json_ struct json_object *set = set_of(2, "i"), *pods = json_object_new_array();
  _cleanup_plan_ struct plan first, second;
  char revision[16];
  (void)state;

  plan_init(&first);
  lws_plan(set, pods, NOW, &first);
  assert_int_equal(json_len(first.create), 2);
  assert_holds(json_index(first.create, 1),
               "{'metadata':{'name':'g-1','labels':{'app':'a','leaderworkerset.sigs.k8s.io/worker-index':'0'}},"
               "'spec':{'containers':[{'env':[{'name':'LWS_LEADER_ADDRESS','valueFrom':{'fieldRef':{'fieldPath':"
               "'status.podIP'}}},{'name':'LWS_GROUP_SIZE','value':'2'},{'name':'LWS_WORKER_INDEX','value':'0'},"
               "{'name':'X'}]}]}}");
  revision_of(set, revision);
  (void)json_object_array_add(pods, pod("g", 0, 0, revision, true, 0));
  json_object_object_del(json_at(json_index(pods, 0), "metadata"), "annotations");
  plan_init(&second);
  lws_plan(set, pods, NOW, &second);
  assert_int_equal(json_len(second.create), 2); /* the first one's worker, the second one's leader */
  assert_holds(json_index(second.create, 0),
               "{'metadata':{'name':'g-0-1'},'spec':{'containers':[{'env':[{'name':'LWS_LEADER_ADDRESS','value':"
               "'127.1.0.0'},{'name':'LWS_GROUP_SIZE'},{'name':'LWS_WORKER_INDEX','value':'1'}]}]}}");
}

static void a_group_restarts_as_a_whole(void **state) {
  static const struct {
    int restarts;
    bool worker;
    size_t removed;
    const char *status;
  } cases[] = {{0, true, 0, "{'readyReplicas':2,'replicas':2,'updatedReplicas':2}"},
               {1, true, 2, "{'readyReplicas':1,'replicas':2}"},   /* a worker restarted */
               {0, false, 1, "{'readyReplicas':1,'replicas':2}"}}; /* a worker is lost */
  (void)state;

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_json_ struct json_object *set = set_of(2, "i"), *pods = json_object_new_array();
    _cleanup_plan_ struct plan p;
    char revision[16];
    revision_of(set, revision);
    for (int g = 0; g < 2; g++)
      for (int w = 0; w < 2; w++)
        if (g || !w || cases[i].worker)
          (void)json_object_array_add(pods, pod("g", g, w, revision, true, g || !w ? 0 : cases[i].restarts));
    plan_init(&p);
    lws_plan(set, pods, NOW, &p);
    assert_int_equal(json_len(p.remove), cases[i].removed);
    for (size_t k = 0; k < json_len(p.remove); k++)
      assert_string_equal(meta_label(json_index(p.remove, k), "leaderworkerset.sigs.k8s.io/group-index"), "0");
    assert_int_equal(json_len(p.create), 0);
    assert_holds(p.status, cases[i].status);
  }
}

static void groups_are_replaced_one_after_the_other(void **state) {
  _cleanup_json_ struct json_object *before = set_of(2, "old"), *set = set_of(2, "new");
  _cleanup_json_ struct json_object *pods = json_object_new_array();
  _cleanup_plan_ struct plan p;
  char revision[16];
  (void)state;

  revision_of(before, revision);
  for (int g = 0; g < 3; g++) /* one more than is wanted */
    for (int w = 0; w < 2; w++)
      (void)json_object_array_add(pods, pod("g", g, w, revision, true, 0));
  plan_init(&p);
  lws_plan(set, pods, NOW, &p);
  assert_int_equal(json_len(p.remove), 4);
  for (size_t i = 0; i < json_len(p.remove); i++)
    assert_string_not_equal(meta_label(json_index(p.remove, i), "leaderworkerset.sigs.k8s.io/group-index"), "0");
}

static void replicas_follow_the_load(void **state) {
  static const struct {
    const char *annotations;
    int64_t current, load, quiet_ms, wanted;
  } cases[] = {
      {"{}", 1, 0, 0, 1},
      {"{}", 1, 0, 60000, 0},
      {"{}", 0, 1, 0, 1},
      {"{}", 0, 101, 0, 2},
      {"{'autoscaling.knative.dev/target':'4','autoscaling.knative.dev/max-scale':'3'}", 1, 50, 0, 3},
      {"{'autoscaling.knative.dev/target':'4','autoscaling.knative.dev/min-scale':'2'}", 3, 0, 60000, 2},
      {"{'autoscaling.knative.dev/min-scale':'2'}", 1, 0, 0, 2},
      {"{'autoscaling.knative.dev/max-scale':'2'}", 5, 500, 0, 2},
      {"{'autoscaling.knative.dev/window':'2s'}", 1, 0, 1999, 1},
      {"{'autoscaling.knative.dev/window':'2s'}", 1, 0, 2000, 0},
      {"{'autoscaling.knative.dev/window':'soon'}", 1, 0, 59999, 1},
      {"{'autoscaling.knative.dev/target':'0'}", 0, 3, 0, 3},
  };
  (void)state;

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_free_ char *text =
        str_printf("{'spec':{'template':{'metadata':{'annotations':%s},'spec':{}}}}", cases[i].annotations);
    _cleanup_json_ struct json_object *service = doc(text);
    assert_int_equal(knative_replicas(service, cases[i].current, cases[i].load, cases[i].quiet_ms), cases[i].wanted);
  }
}

static void a_service_is_a_deployment_that_stays_ready(void **state) {
  _cleanup_json_ struct json_object *service =
      doc("{'apiVersion':'serving.knative.dev/v1','kind':'Service','metadata':{'name':'s','namespace':'default',"
          "'uid':'k1','generation':1},'spec':{'template':{'metadata':{'annotations':"
          "{'autoscaling.knative.dev/min-scale':'0'}},'spec':{'containerConcurrency':4,'timeoutSeconds':9,"
          "'containers':[{'name':'c','ports':[{'containerPort':9000}]}]}}}}");
  _cleanup_json_ struct json_object *deployments = json_object_new_array();
  _cleanup_plan_ struct plan first, second, third;
  (void)state;

  plan_init(&first);
  knative_plan(service, deployments, NOW, &first);
  assert_holds(json_index(first.create, 0),
               "{'kind':'Deployment','metadata':{'name':'s-deployment'},'spec':{'replicas':1,'selector':{'matchLabels':"
               "{'serving.knative.dev/service':'s'}},'template':{'spec':{'containers':[{'readinessProbe':{'tcpSocket':"
               "{'port':9000}},'env':[{'name':'PORT','value':'9000'},{'name':'K_SERVICE','value':'s'}]}]}}}}");
  assert_null(json_at(json_index(first.create, 0), "spec.template.spec.containerConcurrency"));
  assert_holds(first.status, "{'conditions':[{'type':'Ready','status':'Unknown'}]}");
  struct json_object *deployment = json_copy(json_index(first.create, 0));
  (void)json_object_array_add(deployments, deployment);
  (void)json_set_i64(deployment, "metadata.generation", 1);
  (void)json_set(deployment, "status",
                 doc("{'observedGeneration':1,'replicas':1,'updatedReplicas':1,"
                     "'availableReplicas':1}"));
  plan_init(&second);
  knative_plan(service, deployments, NOW, &second);
  assert_holds(second.status, "{'observedGeneration':1,'conditions':[{'type':'Ready','status':'True'}]}");
  assert_int_equal(json_len(second.create) + json_len(second.patch), 0);
  (void)json_set(service, "status", json_object_get(second.status));
  (void)json_set_i64(deployment, "metadata.generation", 2); /* scaled to zero, not seen yet */
  (void)json_set_i64(deployment, "status.availableReplicas", 0);
  plan_init(&third);
  knative_plan(service, deployments, NOW, &third);
  assert_holds(third.status, "{'conditions':[{'type':'Ready','status':'True'}]}");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(leaders_come_first_and_tell_their_workers_where_to_meet),
      cmocka_unit_test(a_group_restarts_as_a_whole),
      cmocka_unit_test(groups_are_replaced_one_after_the_other),
      cmocka_unit_test(replicas_follow_the_load),
      cmocka_unit_test(a_service_is_a_deployment_that_stays_ready),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
