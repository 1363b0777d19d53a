/* What the RayCluster controller decides. */
#include "../unit.h"

#include "docs.h"
#include "kube/meta.h"
#include "local/plan.h"

#define NOW 1800000000000

static const char cluster_text[] =
    "{'apiVersion':'ray.io/v1','kind':'RayCluster','metadata':{'name':'c','namespace':'default','uid':'r1','generation':3},"
    "'spec':{'headGroupSpec':{'headService':{'metadata':{'name':'meet'}},'rayStartParams':{'metrics-export-port':'8000',"
    "'no-monitor':'true','log-color':'false','verbose':'false'},'template':{'metadata':{'name':'h','labels':{'component':"
    "'engine'}},'spec':{'containers':[{'name':'e','image':'%s','command':['vllm'],'args':['serve','m'],'lifecycle':{'preStop':"
    "{'exec':{'command':['/bin/bash','-lc','ray stop']}}},'ports':[{'name':'http','containerPort':8080}],'resources':"
    "{'limits':{'cpu':'3500m','memory':'2Ki','nvidia.com/gpu':8}},'env':[{'name':'RAY_PORT','value':'1'},{'name':"
    "'FQ_RAY_IP','value':'x'}]}]}}},"
    "'workerGroupSpecs':[{'groupName':'wg','replicas':%d,'minReplicas':1,'maxReplicas':4,'rayStartParams':{},'template':"
    "{'spec':{'containers':[{'name':'w','command':['/bin/bash','-lc','--'],'args':['ulimit; $KUBERAY_GEN_RAY_START_CMD'],"
    "'volumeMounts':[{'name':'v','mountPath':'/m'}]}]}}}]}}";

static struct json_object *cluster_of(const char *image, int workers) {
  _cleanup_free_ char *text = str_printf(cluster_text, image, workers);

  return doc(text);
}

/* What the controller does with PODS; those that it makes are added to them, with ADDRESS, Running and READY. */
static void pass(struct json_object *cluster, struct json_object *pods, struct plan *p, const char *address,
                 bool ready) {
  plan_init(p);
  ray_plan(cluster, pods, NOW, p);
  for (size_t i = 0; i < json_len(p->create); i++) {
    struct json_object *pod = json_copy(json_index(p->create, i));
    (void)json_set_str(pod, "status.podIP", address);
    (void)json_set_str(pod, "status.phase", "Running");
    (void)meta_set_condition(pod, "Ready", ready ? "True" : "False", "", "", NOW);
    (void)json_object_array_add(pods, pod);
  }
}

#define START "--block --dashboard-agent-listen-port=52365"

static void the_head_comes_first_and_tells_workers_where_to_meet(UNUSED void **state) {
  _cleanup_json_ struct json_object *cluster = cluster_of("i", 2), *pods = json_object_new_array();
  _cleanup_plan_ struct plan first, second, third;

  pass(cluster, pods, &first, "127.1.0.1", true);
  assert_int_equal(json_len(first.create), 1);
  assert_holds(
      json_index(first.create, 0),
      "{'metadata':{'name':'h','labels':{'component':'engine','ray.io/cluster':'c','ray.io/node-type':'head',"
      "'ray.io/group':'headgroup','ray.io/is-ray-node':'yes','ray.io/identifier':'c-head',"
      "'app.kubernetes.io/name':'kuberay','app.kubernetes.io/created-by':'kuberay-operator'}},"
      "'spec':{'containers':[{'command':['/bin/bash','-c','--'],'lifecycle':{},'args':['vllm serve m && ulimit -n "
      "65536; ray start --head " START " --dashboard-host=0.0.0.0 --log-color=false --memory=2048 "
      "--metrics-export-port=8000 --no-monitor --node-ip-address=$(RAY_NODE_IP) --num-cpus=4 --num-gpus=8'],"
      "'env':[{'name':'RAY_NODE_IP','valueFrom':{'fieldRef':{'fieldPath':'status.podIP'}}},{'name':"
      "'RAY_CLUSTER_NAME','value':'c'},{'name':'RAY_CLOUD_INSTANCE_ID','value':'h'},{'name':'RAY_NODE_TYPE_NAME'},"
      "{'name':'KUBERAY_GEN_RAY_START_CMD'},{'name':'RAY_ADDRESS','value':'$(RAY_NODE_IP):6379'},{'name':"
      "'RAY_USAGE_STATS_KUBERAY_IN_USE'},{'name':'RAY_PORT','value':'1'},{'name':'FQ_RAY_IP','value':'x'}]}]}}");
  assert_null(json_at(json_index(json_at(json_index(first.create, 0), "spec.containers"), 0), "lifecycle.preStop"));
  assert_holds(json_index(first.services, 0),
               "{'metadata':{'name':'meet'},'spec':{'clusterIP':'None','publishNotReadyAddresses':true,'selector':"
               "{'ray.io/cluster':'c','ray.io/node-type':'head'},'ports':[{'name':'http','port':8080},{'name':"
               "'gcs-server','port':6379}]}}");
  pass(cluster, pods, &second, "127.1.0.2", true);
  assert_int_equal(json_len(second.create), 2);
  assert_holds(
      json_index(second.create, 1),
      "{'metadata':{'name':'c-wg-worker-1','labels':{'ray.io/node-type':'worker','ray.io/group':'wg'}},'spec':"
      "{'containers':[{'command':['/bin/bash','-c','--'],'args':['/bin/bash -lc -- ulimit; "
      "$KUBERAY_GEN_RAY_START_CMD && ulimit -n 65536; ray start --address=127.1.0.1:6379 " START
      " --metrics-export-port=8080 --node-ip-address=$(RAY_NODE_IP)'],'env':[{},{},{},{},{},{'name':'RAY_PORT'},"
      "{'name':'RAY_ADDRESS','value':'127.1.0.1:6379'},{},{'name':'FQ_RAY_IP','value':'127.1.0.1'},{'name':"
      "'RAY_IP'}]}],'initContainers':[{'name':'wait-gcs-ready','volumeMounts':[{'mountPath':'/m'}],'args':['until "
      "ray health-check --address 127.1.0.1:6379 > /dev/null 2>&1; do sleep 1; done']}]}}");
  assert_holds(second.status, "{'conditions':[{'type':'HeadPodReady','status':'True'},{'type':'RayClusterProvisioned',"
                              "'status':'False'}],'desiredWorkerReplicas':2}");
  assert_null(json_get(second.status, "state"));
  pass(cluster, pods, &third, "", true);
  assert_int_equal(json_len(third.create) + json_len(third.remove), 0);
  assert_holds(third.status,
               "{'state':'ready','readyWorkerReplicas':2,'availableWorkerReplicas':2,'observedGeneration':3,"
               "'head':{'podIP':'127.1.0.1','podName':'h','serviceName':'meet'}}");
}

/* The annotation, or a command that starts Ray: nothing is put before or after it. */
static void leaves_a_command_that_starts_ray(UNUSED void **state) {
  for (int i = 0; i < 3; i++) {
    _cleanup_json_ struct json_object *cluster = cluster_of("i", 0), *pods = json_object_new_array();
    _cleanup_plan_ struct plan p;
    struct json_object *c = json_index(json_at(cluster, "spec.headGroupSpec.template.spec.containers"), 0);
    if (i == 0)
      meta_set_annotation(cluster, "ray.io/overwrite-container-cmd", "true");
    else if (i == 1)
      meta_set_annotation(json_at(cluster, "spec.headGroupSpec.template"), "ray.io/overwrite-container-cmd", "True");
    else
      (void)json_object_array_put_idx(json_get(c, "args"), 1, json_object_new_string("ray start --head"));
    pass(cluster, pods, &p, "", false);
    assert_holds(json_index(p.create, 0), i == 2
                                              ? "{'spec':{'containers':[{'args':['serve','ray start --head']}]}}"
                                              : "{'spec':{'containers':[{'command':['vllm'],'args':['serve','m']}]}}");
  }
}

static size_t removed(struct plan *p, const char *name) {
  size_t n = 0;

  for (size_t i = 0; i < json_len(p->remove); i++)
    n += !name || streq(meta_name(json_index(p->remove, i)), name);
  return n;
}

static void pods_that_do_not_fit_are_made_again(UNUSED void **state) {
  static const struct {
    const char *image;
    int workers;
    bool suspend, other_head, finished;
    size_t all;
    const char *one;
  } cases[] = {
      {"i", 2, false, false, false, 0, NULL},
      {"new", 2, false, false, false, 1, "h"},
      {"i", 1, false, false, false, 1, "c-wg-worker-1"},
      {"i", 2, true, false, false, 3, "h"},
      {"i", 2, false, true, false, 2, "c-wg-worker-0"},
      {"i", 2, false, false, true, 1, "c-wg-worker-1"},
  };

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_json_ struct json_object *before = cluster_of("i", 2), *now = cluster_of(cases[i].image, cases[i].workers);
    _cleanup_json_ struct json_object *pods = json_object_new_array();
    _cleanup_plan_ struct plan first, second, last;
    pass(before, pods, &first, "127.1.0.1", true);
    pass(before, pods, &second, "127.1.0.2", true);
    if (cases[i].other_head)
      (void)json_set_str(json_index(pods, 0), "status.podIP", "127.1.0.9");
    if (cases[i].finished)
      (void)json_set_str(json_index(pods, 2), "status.phase", "Failed");
    (void)json_set_bool(now, "spec.suspend", cases[i].suspend);
    pass(now, pods, &last, "", false);
    assert_int_equal(json_len(last.create), 0);
    assert_int_equal(removed(&last, NULL), cases[i].all);
    assert_int_equal(removed(&last, cases[i].one), cases[i].one ? 1 : cases[i].all);
    if (cases[i].suspend)
      assert_holds(last.status, "{'state':'suspended','conditions':[{},{'status':'False'}]}");
  }
}

/* "ready" is said once and stays, as KubeRay has it; the condition tells of the head. */
static void a_head_that_is_not_ready_is_said(UNUSED void **state) {
  _cleanup_json_ struct json_object *cluster = cluster_of("i", 1), *pods = json_object_new_array();
  _cleanup_plan_ struct plan first, second, third, last;

  pass(cluster, pods, &first, "127.1.0.1", true);
  pass(cluster, pods, &second, "127.1.0.2", true);
  pass(cluster, pods, &third, "", true);
  (void)json_set(cluster, "status", json_object_get(third.status));
  (void)meta_set_condition(json_index(pods, 0), "Ready", "False", "", "", NOW);
  pass(cluster, pods, &last, "", false);
  assert_holds(last.status, "{'state':'ready','conditions':[{'type':'HeadPodReady','status':'False','reason':"
                            "'ContainersNotReady'},{'type':'RayClusterProvisioned','status':'True'}]}");
  assert_int_equal(removed(&last, NULL), 0);
}

/* The schema is open: anything may be anywhere. */
static void survives_any_shape(UNUSED void **state) {
  static const char *const specs[] = {
      "{}",
      "{'headGroupSpec':'x','workerGroupSpecs':{}}",
      "{'headGroupSpec':{'template':[],'rayStartParams':[1],'headService':1},'workerGroupSpecs':['w',1,null]}",
      "{'headGroupSpec':{'rayStartParams':'x','template':{'metadata':1,'spec':{'containers':[{'command':'x','args':{},'env':1,"
      "'ports':'p','lifecycle':[],'resources':{'limits':[],'requests':'r'}}]}}},'workerGroupSpecs':[{'groupName':1,'replicas':"
      "99999999999,'numOfHosts':-1},{'groupName':'g','replicas':1,'rayStartParams':7,'template':{'spec':{'initContainers':"
      "'i','containers':[{'command':[1],'volumeMounts':2},'c']}}}]}",
      "{'headGroupSpec':{'template':{'spec':{'containers':[]}}},'workerGroupSpecs':[{'replicas':1,'template':'t'}]}",
  };

  for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
    _cleanup_free_ char *text = str_printf("{'metadata':{'name':'c','namespace':'n','uid':'u'},'spec':%s}", specs[i]);
    _cleanup_json_ struct json_object *cluster = doc(text), *pods = json_object_new_array();
    _cleanup_plan_ struct plan first, second;
    pass(cluster, pods, &first, "127.1.0.1", true);
    pass(cluster, pods, &second, "127.1.0.2", true);
    assert_non_null(second.status);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_head_comes_first_and_tells_workers_where_to_meet),
      cmocka_unit_test(leaves_a_command_that_starts_ray),
      cmocka_unit_test(pods_that_do_not_fit_are_made_again),
      cmocka_unit_test(a_head_that_is_not_ready_is_said),
      cmocka_unit_test(survives_any_shape),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
