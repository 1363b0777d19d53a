/* What the ReplicaSet controller decides. */
#include "../unit.h"

#include "docs.h"
#include "kube/meta.h"
#include "local/plan.h"

#define NOW 1800000000000 /* 2027-01-15T08:00:00Z */

static const char rs_text[] =
    "{'apiVersion':'apps/v1','kind':'ReplicaSet','metadata':{'name':'web-1','namespace':'default','uid':'r1',"
    "'generation':4},'spec':{'replicas':%d,'minReadySeconds':%d,'selector':{'matchLabels':{'app':'web'}},"
    "'template':{'metadata':{'labels':{'app':'web'},'annotations':{'a':'b'}},'spec':{'containers':[{'name':'c'}]}}}}";

#define READY(since) "'conditions':[{'type':'Ready','status':'True','lastTransitionTime':'" since "'}]"
#define LABELS "'labels':{'app':'web'}"

static void counts_and_differences(void **state) {
  static const struct {
    const char *pods;
    int replicas, min_ready_s;
    size_t create, remove;
    const char *status;
  } cases[] = {
      {"[]", 2, 0, 2, 0, "{'replicas':0,'observedGeneration':4}"},
      {"[]", 150, 0, 100, 0, "{'replicas':0}"},
      {"[{'metadata':{'name':'a'," LABELS "},'status':{'phase':'Running'," READY("2027-01-15T07:00:00Z") "}}]", 1, 0, 0,
       0, "{'replicas':1,'fullyLabeledReplicas':1,'readyReplicas':1,'availableReplicas':1}"},
      {"[{'metadata':{'name':'a'},'status':{'phase':'Running'," READY("2027-01-15T07:59:55Z") "}}]", 1, 10, 0, 0,
       "{'replicas':1,'readyReplicas':1}"},
      {"[{'metadata':{'name':'a'},'status':{'phase':'Failed'}},"
       "{'metadata':{'name':'b','deletionTimestamp':'2027-01-15T07:00:00Z'},'status':{'phase':'Running'}}]",
       1, 0, 1, 0, "{'replicas':0}"},
      {"[{'metadata':{'name':'a'},'status':{'phase':'Running'}},{'metadata':{'name':'b'},'status':{'phase':'Pending'}}]",
       0, 0, 0, 2, "{'replicas':2}"},
  };
  (void)state;

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_free_ char *text = str_printf(rs_text, cases[i].replicas, cases[i].min_ready_s);
    _cleanup_json_ struct json_object *rs = doc(text), *pods = doc(cases[i].pods);
    _cleanup_plan_ struct plan p;
    plan_init(&p);
    replicaset_plan(rs, pods, NOW, &p);
    assert_int_equal(json_len(p.create), cases[i].create);
    assert_int_equal(json_len(p.remove), cases[i].remove);
    assert_holds(p.status, cases[i].status);
    if (cases[i].min_ready_s)
      assert_int_equal(p.again_ms, 5000);
  }
}

static void new_pods_follow_the_template(void **state) {
  _cleanup_free_ char *text = str_printf(rs_text, 1, 0);
  _cleanup_json_ struct json_object *rs = doc(text), *none = json_object_new_array();
  _cleanup_plan_ struct plan p;
  (void)state;

  plan_init(&p);
  replicaset_plan(rs, none, NOW, &p);
  assert_holds(
      json_index(p.create, 0),
      "{'apiVersion':'v1','kind':'Pod','metadata':{'generateName':'web-1-','namespace':'default',"
      "'labels':{'app':'web'},'annotations':{'a':'b'},'ownerReferences':[{'apiVersion':'apps/v1',"
      "'kind':'ReplicaSet','name':'web-1','uid':'r1','controller':true}]},'spec':{'containers':[{'name':'c'}]}}");
}

static void the_least_useful_pods_go_first(void **state) {
  _cleanup_free_ char *text = str_printf(rs_text, 2, 0);
  _cleanup_json_ struct json_object *rs = doc(text);
  _cleanup_json_ struct json_object *pods = doc(
      "[{'metadata':{'name':'ready-old','creationTimestamp':'2027-01-15T06:00:00Z'},'spec':{'nodeName':'n'},"
      "'status':{'phase':'Running'," READY(
          "2027-01-15T07:00:00Z") "}},"
                                  "{'metadata':{'name':'ready-young','creationTimestamp':'2027-01-15T07:00:00Z'},'spec':{'nodeName':'n'},"
                                  "'status':{'phase':'Running'," READY(
                                      "2027-01-15T07:30:00Z") "}},"
                                                              "{'metadata':{'name':'ready-restarted','creationTimestamp':'2027-01-15T05:00:00Z'},'spec':{'nodeName':'n'},"
                                                              "'status':{'phase':'Running','containerStatuses':[{'restartCount':3}]," READY(
                                                                  "2027-01-15T07:00:00Z") "}},"
                                                                                          "{'metadata':{'name':'running'},'spec':{'nodeName':'n'},'status':{'phase':'Running'}},"
                                                                                          "{'metadata':{'name':'pending'},'spec':{'nodeName':'n'},'status':{'phase':'Pending'}},"
                                                                                          "{'metadata':{'name':'unbound'},'spec':{},'status':{'phase':'Pending'}}]");
  static const char *const order[] = {"unbound", "pending", "running", "ready-restarted"};
  _cleanup_plan_ struct plan p;
  (void)state;

  plan_init(&p);
  replicaset_plan(rs, pods, NOW, &p);
  assert_int_equal(json_len(p.remove), ARRAY_LEN(order));
  for (size_t i = 0; i < ARRAY_LEN(order); i++)
    assert_string_equal(meta_name(json_index(p.remove, i)), order[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts_and_differences),
      cmocka_unit_test(new_pods_follow_the_template),
      cmocka_unit_test(the_least_useful_pods_go_first),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
