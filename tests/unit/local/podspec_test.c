/* From a pod's document to command lines, environments and probes. */
#include "../unit.h"

#include "docs.h"
#include "local/podspec.h"

#include <stdlib.h>

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static void variables_expand(void **state) {
  static const char *const cases[][2] = {
      {"", ""},
      {"plain", "plain"},
      {"$(A)", "one"},
      {"x$(A)y$(B)z", "xoney2 $z"},
      {"$(NOBODY)", "$(NOBODY)"},
      {"$$(A)", "$(A)"},
      {"$$$(A)", "$one"},
      {"$A $( $(A", "$A $( $(A"},
      {"$()", "$()"},
      {"$", "$"},
  };
  struct strv env = {0};
  (void)state;

  assert_true(strv_setenv(&env, "A", "one"));
  assert_true(strv_setenv(&env, "B", "2 $"));
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_free_ char *out = expand_variables(cases[i][0], &env);
    if (!streq(out, cases[i][1]))
      fail_msg("%s became %s", cases[i][0], out);
  }
  assert_true(strv_setenv(&env, "A", "two"));
  assert_int_equal(env.len, 2);
  assert_string_equal(strv_getenv(&env, "A"), "two");
  assert_null(strv_getenv(&env, "AA"));
  strv_fini(&env);
}

static void whole_paths_are_rewritten(void **state) {
  static const char *const cases[][2] = {
      {"/data", "/real/d"},
      {"/data/", "/real/d/"},
      {"/data/x", "/real/d/x"},
      {"--model=/data/m.gguf", "--model=/real/d/m.gguf"},
      {"cat '/data/x' \"/data\" </data", "cat '/real/d/x' \"/real/d\" </real/d"},
      {"PATH=/bin:/data/bin", "PATH=/bin:/real/d/bin"},
      {"/data/deep/x", "/other/x"}, /* the longest mount wins */
      {"/data/deeper", "/real/d/deeper"},
      {"/database", "/database"},
      {"/data-2", "/data-2"},
      {"/data.old", "/data.old"},
      {"see /data.", "see /real/d."},
      {"/mnt/data", "/mnt/data"},
      {"http://host/data/x", "http://host/data/x"},
      {"file:///data/x", "file:///data/x"},
      {"./data", "./data"},
      {"", ""},
  };
  struct mount_map maps[] = {{(char[]){"/data"}, (char[]){"/real/d"}}, {(char[]){"/data/deep"}, (char[]){"/other"}}};
  struct mount_maps all = {.list = {maps, ARRAY_LEN(maps), ARRAY_LEN(maps)}};
  (void)state;

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_free_ char *out = rewrite_paths(cases[i][0], &all);
    if (!streq(out, cases[i][1]))
      fail_msg("%s became %s", cases[i][0], out);
  }
}

static void the_downward_api_answers(void **state) {
  static const char *const cases[][2] = {
      {"metadata.name", "p"},
      {"metadata.namespace", "ns"},
      {"metadata.uid", "u"},
      {"metadata.labels['app.kubernetes.io/name']", "web"},
      {"metadata.labels['none']", ""},
      {"metadata.annotations['a']", "it's"},
      {"metadata.labels", "app.kubernetes.io/name=\"web\"\nx=\"1\""},
      {"status.podIP", "127.64.0.1"},
      {"spec.nodeName", "n"},
      {"status.phase", NULL},
      {"metadata.labels['x", NULL},
      {"spec.containers['x']", NULL},
      {"']", NULL},
      {"metadata.labels[']", NULL},
      {"", NULL},
  };
  _cleanup_json_ struct json_object *pod =
      doc("{'metadata':{'name':'p','namespace':'ns','uid':'u','labels':{'app.kubernetes.io/name':'web','x':'1'},"
          "'annotations':{'a':'it\\u0027s'}},'spec':{'nodeName':'n'},'status':{'podIP':'127.64.0.1'}}");
  (void)state;

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_free_ char *out = field_value(pod, cases[i][0]);
    if (!streq(out, cases[i][1]))
      fail_msg("%s: %s", cases[i][0], out ? out : "(nothing)");
  }
}

static void resources_are_divided(void **state) {
  static const struct {
    const char *ref, *value;
  } cases[] = {
      {"{'resource':'limits.memory'}", "1073741824"},
      {"{'resource':'limits.memory','divisor':'1Mi'}", "1024"},
      {"{'resource':'requests.cpu'}", "1"},
      {"{'resource':'requests.cpu','divisor':'1m'}", "250"},
      {"{'resource':'limits.cpu'}", "8"}, /* no limit: what the node has */
      {"{'resource':'requests.memory'}", "0"},
      {"{'resource':'limits.memory','containerName':'none'}", NULL},
      {"{'resource':'memory'}", NULL},
  };
  _cleanup_json_ struct json_object *pod =
      doc("{'spec':{'containers':[{'name':'c','resources':{'limits':{'memory':'1Gi'},"
          "'requests':{'cpu':'250m'}}}]}}");
  _cleanup_json_ struct json_object *node = doc("{'status':{'allocatable':{'cpu':'8'}}}");
  (void)state;

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_json_ struct json_object *ref = doc(cases[i].ref);
    _cleanup_free_ char *out = resource_value(pod, node, "c", ref);
    if (!streq(out, cases[i].value))
      fail_msg("%s: %s", cases[i].ref, out ? out : "(nothing)");
  }
}

static void services_become_variables(void **state) {
  static const char *const wanted[][2] = {
      {"MY_DB_SERVICE_HOST", "127.128.0.5"},       {"MY_DB_SERVICE_PORT", "5432"},
      {"MY_DB_SERVICE_PORT_SQL", "5432"},          {"MY_DB_SERVICE_PORT_METRICS", "9090"},
      {"MY_DB_PORT", "tcp://127.128.0.5:5432"},    {"MY_DB_PORT_5432_TCP", "tcp://127.128.0.5:5432"},
      {"MY_DB_PORT_5432_TCP_PROTO", "tcp"},        {"MY_DB_PORT_9090_TCP_PORT", "9090"},
      {"MY_DB_PORT_9090_TCP_ADDR", "127.128.0.5"}, {"HEADLESS_SERVICE_HOST", NULL},
  };
  _cleanup_json_ struct json_object *services =
      doc("[{'metadata':{'name':'my-db','annotations':{'local.ome.io/address':'127.128.0.5'}},'spec':{'ports':["
          "{'name':'sql','port':5432},{'name':'metrics','port':9090}]}},"
          "{'metadata':{'name':'headless'},'spec':{'ports':[{'port':1}]}}]");
  struct strv env = {0};
  (void)state;

  service_variables(services, &env);
  for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
    if (!streq(strv_getenv(&env, wanted[i][0]), wanted[i][1]))
      fail_msg("%s is %s", wanted[i][0], strv_getenv(&env, wanted[i][0]));
  strv_fini(&env);
}

/* ---- whole pods -------------------------------------------------------------------------------------------------- */

static int lookup(void *arg, const char *kind, const char *name, struct json_object **out) {
  (void)arg;
  if (streq(kind, "ConfigMap") && streq(name, "cm"))
    *out = doc("{'kind':'ConfigMap','metadata':{'name':'cm'},'data':{'k':'v','long':'x y'}}");
  else if (streq(kind, "Secret") && streq(name, "s"))
    *out = doc("{'kind':'Secret','metadata':{'name':'s'},'data':{'token':'aHVudGVyMg=='}}");
  return *out ? 1 : streq(name, "later") ? -1 : 0;
}

static char *volume(void *arg, const char *name, const char *sub) {
  (void)arg;
  return streq(name, "gone") ? NULL : str_printf("/vol/%s%s%s", name, *sub ? "/" : "", sub);
}

static struct pod_spec *build(const char *text) {
  _cleanup_json_ struct json_object *pod = doc(text);
  struct strv base = {0};

  assert_true(strv_setenv(&base, "PATH", "/bin"));
  const struct pod_inputs in = {.pod = pod,
                                .pod_ip = "127.64.0.9",
                                .node_ip = "10.0.0.1",
                                .node_name = "n1",
                                .base_env = &base,
                                .lookup = lookup,
                                .volume = volume};
  struct pod_spec *spec = pod_spec_build(&in);
  assert_non_null(spec);
  strv_fini(&base);
  return spec;
}

static void a_pod_becomes_processes(void **state) {
  _cleanup_(pod_spec_freep) struct pod_spec *spec = build(
      "{'metadata':{'name':'p','namespace':'ns','uid':'u'},'spec':{'restartPolicy':'OnFailure',"
      "'terminationGracePeriodSeconds':7,'initContainers':[{'name':'i','image':'x','command':['true']},"
      "{'name':'side','image':'x','command':['sleep'],'restartPolicy':'Always'}],'containers':[{'name':'c','image':'img',"
      "'command':['srv','--ip','$(IP)'],'args':['--model=/models/m','$(FROM_CM)'],'workingDir':'/models',"
      "'env':[{'name':'IP','valueFrom':{'fieldRef':{'fieldPath':'status.podIP'}}},"
      "{'name':'FROM_CM','valueFrom':{'configMapKeyRef':{'name':'cm','key':'long'}}},"
      "{'name':'SECRET','valueFrom':{'secretKeyRef':{'name':'s','key':'token'}}},"
      "{'name':'BOTH','value':'$(IP)/$(LATER)'},{'name':'LATER','value':'1'},{'name':'DIR','value':'/models/a'},"
      "{'name':'NONE','valueFrom':{'configMapKeyRef':{'name':'no','key':'k','optional':true}}}],"
      "'envFrom':[{'prefix':'P_','configMapRef':{'name':'cm'}},{'secretRef':{'name':'nope','optional':true}}],"
      "'volumeMounts':[{'name':'m','mountPath':'/models','subPath':'sub'},{'name':'shm','mountPath':'/dev/shm'}],"
      "'ports':[{'name':'http','containerPort':8080}],'resources':{'limits':{'memory':'64Mi','cpu':'1500m'}},"
      "'readinessProbe':{'httpGet':{'path':'health','port':'http','httpHeaders':[{'name':'A','value':'b'}]},"
      "'periodSeconds':2},'livenessProbe':{'tcpSocket':{'port':8080},'failureThreshold':5},"
      "'startupProbe':{'exec':{'command':['test','-f','/models/ok']}}}]}}");
  (void)state;

  assert_int_equal(spec->containers.len, 3);
  assert_int_equal(spec->restart, RESTART_ON_FAILURE);
  assert_int_equal(spec->grace_s, 7);
  assert_int_equal(spec->containers.items[0].role, CONTAINER_INIT);
  assert_int_equal(spec->containers.items[1].role, CONTAINER_SIDECAR);
  const struct container_spec *c = &spec->containers.items[2];
  if (c->reason)
    fail_msg("%s: %s", c->reason, c->message);
  static const char *const argv[] = {"srv", "--ip", "127.64.0.9", "--model=/vol/m/sub/m", "x y"};
  assert_int_equal(c->argv.len, ARRAY_LEN(argv));
  for (size_t i = 0; i < ARRAY_LEN(argv); i++)
    assert_string_equal(c->argv.items[i], argv[i]);
  assert_string_equal(c->dir, "/vol/m/sub");
  static const char *const env[][2] = {
      {"PATH", "/bin"},        {"HOSTNAME", "p"}, {"P_k", "v"}, {"SECRET", "hunter2"}, {"BOTH", "127.64.0.9/$(LATER)"},
      {"DIR", "/vol/m/sub/a"}, {"NONE", NULL}};
  for (size_t i = 0; i < ARRAY_LEN(env); i++)
    if (!streq(strv_getenv(&c->env, env[i][0]), env[i][1]))
      fail_msg("%s is %s", env[i][0], strv_getenv(&c->env, env[i][0]));
  assert_int_equal(c->memory_bytes, 64 << 20);
  assert_int_equal(c->cpu_milli, 1500);
  assert_string_equal(c->readiness.action.url, "http://127.64.0.9:8080/health");
  assert_string_equal(c->readiness.action.headers.items[0], "A: b");
  assert_int_equal(c->readiness.period_s, 2);
  assert_int_equal(c->liveness.action.port, 8080);
  assert_int_equal(c->liveness.failure, 5);
  assert_string_equal(c->startup.action.argv.items[2], "/vol/m/sub/ok");
}

static void what_cannot_start_says_why(void **state) {
  static const struct {
    const char *container, *reason, *message;
  } cases[] = {
      {"'image':'vllm:1'", "ErrImageNeverPull", "image \"vllm:1\" cannot be run"},
      {"'image':'vllm:1','args':['--x']", "ErrImageNeverPull", "has no entry point"},
      {"'command':['x'],'env':[{'name':'E','valueFrom':{'configMapKeyRef':{'name':'no','key':'k'}}}]",
       "CreateContainerConfigError", "configmap \"no\" not found"},
      {"'command':['x'],'env':[{'name':'E','valueFrom':{'configMapKeyRef':{'name':'cm','key':'no'}}}]",
       "CreateContainerConfigError", "couldn't find key no"},
      {"'command':['x'],'envFrom':[{'secretRef':{'name':'no'}}]", "CreateContainerConfigError",
       "secret \"no\" not found"},
      {"'command':['x'],'env':[{'name':'E','valueFrom':{'secretKeyRef':{'name':'later','key':'k'}}}]",
       "CreateContainerConfigError", "could not be read"},
      {"'command':['x'],'env':[{'name':'E','valueFrom':{'fieldRef':{'fieldPath':'spec.x'}}}]",
       "CreateContainerConfigError", "fieldPath \"spec.x\""},
      {"'command':['x'],'volumeMounts':[{'name':'gone','mountPath':'/x'}]", "CreateContainerConfigError",
       "no volume of that name"},
      {"'command':['x'],'volumeMounts':[{'name':'v','mountPath':'/x','subPath':'../y'}]", "CreateContainerConfigError",
       "subPath"},
      {"'command':['x'],'readinessProbe':{'httpGet':{'port':'nope'}}", "CreateContainerConfigError", "httpGet.port"},
  };
  (void)state;

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_free_ char *text =
        str_printf("{'metadata':{'name':'p','namespace':'ns','uid':'u'},'spec':{'containers':[{'name':'c',%s}]}}",
                   cases[i].container);
    _cleanup_(pod_spec_freep) struct pod_spec *spec = build(text);
    const struct container_spec *c = &spec->containers.items[0];
    if (!streq(c->reason, cases[i].reason) || !strstr(c->message, cases[i].message))
      fail_msg("%s: %s: %s", cases[i].container, c->reason, c->message);
    if (strstr(c->message, "hunter2"))
      fail_msg("a secret is in the message");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(variables_expand),           cmocka_unit_test(whole_paths_are_rewritten),
      cmocka_unit_test(the_downward_api_answers),   cmocka_unit_test(resources_are_divided),
      cmocka_unit_test(services_become_variables),  cmocka_unit_test(a_pod_becomes_processes),
      cmocka_unit_test(what_cannot_start_says_why),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
