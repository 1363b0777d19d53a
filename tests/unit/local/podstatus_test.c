/* What a pod's status says. */
#include "../unit.h"

#include "docs.h"
#include "kube/meta.h"
#include "local/podstatus.h"

#define NOW 1800000000000

#define RUN(role, name, ready, started)                                                                                \
  "{'role':'" role "','over':false,'status':{'name':'" name "','ready':" ready ",'started':" started                   \
  ",'restartCount':0,'state':{'running':{}}}}"
#define END(role, name, code, over)                                                                                    \
  "{'role':'" role "','over':" over ",'status':{'name':'" name "','ready':false,'started':false,'restartCount':0,"     \
  "'state':{'terminated':{'exitCode':" code "}}}}"
#define WAIT(role, name, reason)                                                                                       \
  "{'role':'" role "','over':false,'status':{'name':'" name "','ready':false,'started':false,'restartCount':0,"        \
  "'state':{'waiting':{'reason':'" reason "'}}}}"

static void phases_and_conditions(void **state) {
  static const struct {
    const char *containers, *phase, *initialized, *ready, *message;
  } cases[] = {
      {RUN("main", "a", "true", "true"), "Running", "True", "True", NULL},
      {RUN("main", "a", "true", "true") "," RUN("main", "b", "false", "true"), "Running", "True", "False",
       "containers with unready status: [b]"},
      {WAIT("main", "a", "ContainerCreating"), "Pending", "True", "False", "containers with unready status: [a]"},
      {WAIT("init", "i", "ContainerCreating") "," WAIT("main", "a", "PodInitializing"), "Pending", "False", "False",
       "containers with unready status: [a]"},
      {END("init", "i", "0", "true") "," RUN("main", "a", "true", "true"), "Running", "True", "True", NULL},
      {END("init", "i", "1", "false") "," WAIT("main", "a", "PodInitializing"), "Pending", "False", "False", NULL},
      {END("init", "i", "1", "true") "," WAIT("main", "a", "PodInitializing"), "Failed", "False", "False", NULL},
      {RUN("sidecar", "s", "true", "false") "," WAIT("main", "a", "PodInitializing"), "Pending", "False", "False",
       NULL},
      {RUN("sidecar", "s", "true", "true") "," RUN("main", "a", "true", "true"), "Running", "True", "True", NULL},
      {END("main", "a", "0", "true"), "Succeeded", "True", "False", NULL},
      {END("main", "a", "0", "true") "," END("main", "b", "3", "true"), "Failed", "True", "False", NULL},
      {END("main", "a", "1", "false"), "Running", "True", "False", NULL},
      {END("main", "a", "0", "true") "," RUN("main", "b", "true", "true"), "Running", "True", "False", NULL},
  };
  _cleanup_json_ struct json_object *pod = doc("{'metadata':{'name':'p'},'spec':{'containers':[]}}");
  (void)state;

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_free_ char *text = str_printf("{'containers':[%s]}", cases[i].containers);
    _cleanup_json_ struct json_object *report = doc(text);
    _cleanup_json_ struct json_object *status = pod_status(pod, report, NULL, NULL, "127.64.0.1", "10.0.0.1", NOW);
    _cleanup_json_ struct json_object *after = json_object_new_object();
    (void)json_set(after, "status", json_object_get(status));
    struct json_object *ready = json_find(json_get(status, "conditions"), "type", "Ready");
    if (!streq(json_str(status, "phase", ""), cases[i].phase) ||
        !streq(meta_condition(after, "Initialized"), cases[i].initialized) ||
        !streq(meta_condition(after, "Ready"), cases[i].ready) ||
        (cases[i].message && !streq(json_str(ready, "message", ""), cases[i].message)))
      fail_msg("case %zu: %s", i, json_object_to_json_string(status));
    assert_holds(status, "{'podIP':'127.64.0.1','podIPs':[{'ip':'127.64.0.1'}],'hostIP':'10.0.0.1'}");
  }
}

static void nothing_runs_yet(void **state) {
  _cleanup_json_ struct json_object *pod =
      doc("{'metadata':{'name':'p'},'spec':{'containers':[{'name':'c','image':'x'}]},'status':{'containerStatuses':["
          "{'name':'c','restartCount':2,'state':{'terminated':{'exitCode':9}}}]}}");
  _cleanup_json_ struct json_object *status =
      pod_status(pod, NULL, "ErrImageNeverPull", "no command", NULL, "10.0.0.1", NOW);
  (void)state;

  assert_holds(status, "{'phase':'Pending','containerStatuses':[{'name':'c','image':'x','ready':false,'restartCount':2,"
                       "'state':{'waiting':{'reason':'ErrImageNeverPull','message':'no command'}},"
                       "'lastState':{'terminated':{'exitCode':9}}}]}");
}

static void times_move_with_the_status_only(void **state) {
  _cleanup_json_ struct json_object *pod = doc("{'metadata':{'name':'p'},'spec':{'containers':[{'name':'a'}]}}");
  _cleanup_json_ struct json_object *ready = doc("{'containers':[" RUN("main", "a", "true", "true") "]}");
  _cleanup_json_ struct json_object *unready = doc("{'containers':[" RUN("main", "a", "false", "true") "]}");
  (void)state;

  (void)json_set(pod, "status", pod_status(pod, ready, NULL, NULL, "127.64.0.1", "h", NOW));
  _cleanup_json_ struct json_object *same = pod_status(pod, ready, NULL, NULL, "127.64.0.1", "h", NOW + 60000);
  assert_true(json_equal(json_get(pod, "status"), same));
  _cleanup_json_ struct json_object *other = pod_status(pod, unready, NULL, NULL, "127.64.0.1", "h", NOW + 60000);
  assert_holds(json_find(json_get(other, "conditions"), "type", "Ready"),
               "{'status':'False','reason':'ContainersNotReady','lastTransitionTime':'2027-01-15T08:01:00Z'}");
  assert_holds(json_find(json_get(other, "conditions"), "type", "Initialized"),
               "{'lastTransitionTime':'2027-01-15T08:00:00Z'}");
}

static void gates_deadlines_and_refusals(void **state) {
  _cleanup_json_ struct json_object *gated =
      doc("{'metadata':{'name':'p'},'spec':{'readinessGates':[{'conditionType':'x/y'}],'containers':[{'name':'a'}]},"
          "'status':{'conditions':[{'type':'x/y','status':'False'}]}}");
  _cleanup_json_ struct json_object *ready = doc("{'containers':[" RUN("main", "a", "true", "true") "]}");
  _cleanup_json_ struct json_object *late =
      doc("{'reason':'DeadlineExceeded','message':'m','containers':[" END("main", "a", "137", "true") "]}");
  (void)state;

  _cleanup_json_ struct json_object *status = pod_status(gated, ready, NULL, NULL, "i", "h", NOW);
  assert_holds(json_find(json_get(status, "conditions"), "type", "Ready"),
               "{'status':'False','reason':'ReadinessGatesNotReady'}");
  assert_holds(json_find(json_get(status, "conditions"), "type", "x/y"), "{'status':'False'}");
  _cleanup_json_ struct json_object *failed = pod_status(gated, late, NULL, NULL, "i", "h", NOW);
  assert_holds(failed, "{'phase':'Failed','reason':'DeadlineExceeded','message':'m'}");
  _cleanup_json_ struct json_object *unbound = pod_status_unscheduled(gated, "Unschedulable", "0/1 nodes", NOW);
  assert_holds(json_find(json_get(unbound, "conditions"), "type", "PodScheduled"),
               "{'status':'False','reason':'Unschedulable','message':'0/1 nodes'}");
}

static void quality_of_service(void **state) {
  static const char *const cases[][2] = {
      {"{}", "BestEffort"},
      {"{'requests':{'cpu':'1'}}", "Burstable"},
      {"{'limits':{'cpu':'1','memory':'1Gi'}}", "Guaranteed"},
      {"{'limits':{'cpu':'1','memory':'1Gi'},'requests':{'cpu':'1000m','memory':'1024Mi'}}", "Guaranteed"},
      {"{'limits':{'cpu':'1','memory':'1Gi'},'requests':{'cpu':'500m','memory':'1Gi'}}", "Burstable"},
  };
  (void)state;

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_free_ char *text = str_printf("{'spec':{'containers':[{'resources':%s}]}}", cases[i][0]);
    _cleanup_json_ struct json_object *pod = doc(text);
    assert_string_equal(pod_qos(pod), cases[i][1]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(phases_and_conditions),
      cmocka_unit_test(nothing_runs_yet),
      cmocka_unit_test(times_move_with_the_status_only),
      cmocka_unit_test(gates_deadlines_and_refusals),
      cmocka_unit_test(quality_of_service),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
