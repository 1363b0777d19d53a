/* Workloads end to end: the API server and the local room in a process of their own, which tests may kill; everything
 * is asked over HTTP, as kubectl would.
 *
 *   test_local_platform             the tests
 *   test_local_platform serve DIR   that process
 */
#include "../unit.h"

#include "apiserver/apiserver.h"
#include "base/clock.h"
#include "docs.h"
#include "gateway/gateway.h"
#include "kube/client.h"
#include "kube/meta.h"
#include "local/local.h"
#include "os/file.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 60000

extern char **environ;

/* ---- the process that serves ------------------------------------------------------------------------------------- */

/* As much of the InferenceService kind as the routes need, so that the test does not hang on its whole schema. */
static int32_t make_services_known(struct kube_client *client, struct ome_err *err) {
  _cleanup_json_ struct json_object *crd = doc(
      "{'apiVersion':'apiextensions.k8s.io/v1','kind':'CustomResourceDefinition','metadata':{'name':"
      "'inferenceservices.ome.io'},'spec':{'group':'ome.io','scope':'Namespaced','names':{'plural':'inferenceservices',"
      "'singular':'inferenceservice','kind':'InferenceService','listKind':'InferenceServiceList'},'versions':[{'name':"
      "'v1beta1','served':true,'storage':true,'subresources':{'status':{}},'schema':{'openAPIV3Schema':{'type':'object',"
      "'x-kubernetes-preserve-unknown-fields':true}}}]}}");

  return kube_apply(client, &KUBE_CRDS, crd, NULL, "test", true, NULL, err);
}

/* The kinds of other projects that the room has controllers for. */
static int32_t make_foreign_known(struct kube_client *client, struct ome_err *err) {
  _cleanup_json_ struct json_object *crds = local_crds();
  int32_t rc = OME_OK;

  for (size_t i = 0; i < json_len(crds) && rc == OME_OK; i++)
    rc = kube_apply(client, &KUBE_CRDS, json_index(crds, i), NULL, "test", true, NULL, err);
  return rc;
}

static int32_t note_port(const char *dir, uint16_t port, struct ome_err *err) {
  _cleanup_free_ char *path = path_join(dir, "gateway.port");
  _cleanup_free_ char *text = str_printf("%u", port);

  return file_write(path, text, strlen(text), 0644, err);
}

static int serve(const char *dir) {
  struct apiserver *api = NULL;
  struct kube_client *client = NULL;
  struct local *local = NULL;
  struct gateway *gateway = NULL;
  struct ome_err err = ERR_INIT;
  sigset_t set;
  int signal = 0;

  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  (void)sigprocmask(SIG_BLOCK, &set, NULL);
  int32_t rc = apiserver_start(&(struct apiserver_config){.data_dir = dir}, &api, &err);
  if (rc == OME_OK)
    rc = kube_client_new(apiserver_kubeconfig(api), NULL, &client, &err);
  if (rc == OME_OK)
    rc = make_services_known(client, &err);
  if (rc == OME_OK)
    rc = make_foreign_known(client, &err);
  if (rc == OME_OK)
    rc = gateway_start(&(struct gateway_config){0}, &gateway, &err);
  if (rc == OME_OK)
    rc = local_start(
        &(struct local_config){.client = client, .data_dir = dir, .node_name = "testnode", .gateway = gateway}, &local,
        &err);
  if (rc == OME_OK)
    rc = note_port(dir, gateway_port(gateway), &err);
  if (rc != OME_OK) {
    fprintf(stderr, "serve: %s\n", err.msg);
    return 1;
  }
  apiserver_set_logs(api, local_serve_logs, local);
  fprintf(stderr, "serving\n");
  (void)sigwait(&set, &signal);
  apiserver_set_logs(api, NULL, NULL);
  local_stop(local);
  gateway_stop(gateway);
  kube_client_free(client);
  apiserver_stop(api);
  return 0;
}

/* ---- fixture ----------------------------------------------------------------------------------------------------- */

struct fixture {
  char dir[64];
  char *kubeconfig, *mark;
  pid_t pid;
  struct kube_client *client;
};

static void begin(struct fixture *f) {
  char *const argv[] = {(char[]){"test_local_platform"}, (char[]){"serve"}, f->dir, NULL};
  uint64_t until = mono_ms() + DEADLINE_MS;
  struct ome_err err = ERR_INIT;
  struct json_object *version = NULL;

  assert_int_equal(posix_spawn(&f->pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
  for (;;) { /* until it answers */
    if (file_exists(f->kubeconfig) && kube_client_new(f->kubeconfig, NULL, &f->client, &err) == OME_OK) {
      if (kube_raw(f->client, "GET", "/version", NULL, &version, &err) == OME_OK)
        break;
      kube_client_free(f->client);
      f->client = NULL;
    }
    if (mono_ms() > until || waitpid(f->pid, NULL, WNOHANG) != 0)
      fail_msg("the API server does not come up: %s", err.msg);
    usleep(20000);
  }
  json_unref(version);
}

/* Ends the process by SIGNAL; that it ran until then, and ended as that signal asks. */
static void finish(struct fixture *f, int signal) {
  int status = 0;

  if (f->client)
    kube_client_free(f->client);
  f->client = NULL;
  assert_int_equal(kill(f->pid, signal), 0);
  assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
  assert_int_equal(status, signal == SIGKILL ? SIGKILL : 0);
}

/* How many processes carry the mark of this data folder. */
static int processes(struct fixture *f) {
  char line[64] = "0";
  _cleanup_free_ char *command = str_printf(
      "id=$(cat %s/run/id); n=0; for e in /proc/[0-9]*/environ; do grep -zqs \"^OME_RUN=$id\" $e && n=$((n+1)); done; echo $n",
      f->dir);
  FILE *p = popen(command, "r");

  if (!fgets(line, sizeof(line), p))
    fail_msg("cannot count processes");
  (void)pclose(p);
  return atoi(line);
}

static void await_no_process(struct fixture *f) {
  for (uint64_t until = mono_ms() + DEADLINE_MS; processes(f) != 0; usleep(50000))
    if (mono_ms() > until)
      fail_msg("%d processes are left", processes(f));
}

static int setup(void **state) {
  struct fixture *f = calloc(1, sizeof(*f));

  (void)snprintf(f->dir, sizeof(f->dir), "/tmp/ome-platform-XXXXXX");
  assert_non_null(mkdtemp(f->dir));
  f->kubeconfig = str_printf("%s/kubeconfig", f->dir);
  begin(f);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  struct ome_err err = ERR_INIT;

  finish(f, SIGTERM);
  assert_int_equal(processes(f), 0);
  (void)tree_remove(f->dir, &err);
  free(f->kubeconfig);
  free(f);
  return 0;
}

/* ---- asking
 * ----------------------------------------------------------------------------------------------------------------------
 */

static void create(struct fixture *f, const struct kube_resource *r, const char *text) {
  _cleanup_json_ struct json_object *o = doc(text);
  struct ome_err err = ERR_INIT;

  if (kube_create(f->client, r, o, NULL, &err) != OME_OK)
    fail_msg("%s: %s", text, err.msg);
}

static void patch(struct fixture *f, const struct kube_resource *r, const char *name, const char *text) {
  _cleanup_json_ struct json_object *o = doc(text);
  struct ome_err err = ERR_INIT;

  if (kube_patch(f->client, r, "default", name, NULL, KUBE_PATCH_MERGE, o, NULL, &err) != OME_OK)
    fail_msg("%s: %s", text, err.msg);
}

/* Waits until NAME holds WANTED; the object, new. */
static struct json_object *await(struct fixture *f, const struct kube_resource *r, const char *name,
                                 const char *wanted_text) {
  _cleanup_json_ struct json_object *wanted = doc(wanted_text);
  uint64_t until = mono_ms() + DEADLINE_MS;
  struct ome_err err = ERR_INIT;

  for (;; usleep(20000)) {
    struct json_object *o = NULL;
    if (kube_get(f->client, r, r->namespaced ? "default" : NULL, name, &o, &err) == OME_OK && holds(o, wanted))
      return o;
    if (mono_ms() > until)
      fail_msg("%s is not in %s", wanted_text, o ? json_object_to_json_string(o) : err.msg);
    json_unref(o);
  }
}

static void await_gone(struct fixture *f, const struct kube_resource *r, const char *name) {
  struct ome_err err = ERR_INIT;
  struct json_object *o = NULL;

  for (uint64_t until = mono_ms() + DEADLINE_MS; kube_get(f->client, r, "default", name, &o, &err) != OME_E_NOT_FOUND;
       usleep(20000)) {
    json_unref(o);
    o = NULL;
    assert_true(mono_ms() < until);
  }
}

static struct json_object *pods_of(struct fixture *f, const char *labels) {
  struct json_object *list = NULL;
  struct ome_err err = ERR_INIT;
  const struct kube_list_opts opts = {.labels = labels};

  assert_int_equal(kube_list(f->client, &KUBE_PODS, "default", &opts, &list, &err), OME_OK);
  return list;
}

/* The first pod with LABELS once its first container's status holds WANTED; new. */
static struct json_object *await_container(struct fixture *f, const char *labels, const char *wanted_text) {
  _cleanup_json_ struct json_object *wanted = doc(wanted_text);

  for (uint64_t until = mono_ms() + DEADLINE_MS;; usleep(20000)) {
    _cleanup_json_ struct json_object *list = pods_of(f, labels);
    struct json_object *pod = json_index(json_get(list, "items"), 0);
    if (holds(json_index(json_at(pod, "status.containerStatuses"), 0), wanted))
      return json_object_get(pod);
    if (mono_ms() > until)
      fail_msg("%s is not in %s", wanted_text, json_object_to_json_string(list));
  }
}

/* GET of URL; the status, 0: no answer.  BODY may be NULL. */
static int fetch(struct fixture *f, const char *url, struct buf *body) {
  const struct http_request req = {.url = url, .proxy = "", .timeout_ms = 10000};
  _cleanup_http_response_ struct http_response r = {0};
  struct ome_err err = ERR_INIT;

  if (http_do(kube_client_http(f->client), &req, NULL, NULL, &r, &err) != OME_OK)
    return 0;
  if (body)
    buf_add(body, buf_str(&r.body), r.body.len);
  return r.status;
}

static const char web[] =
    "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'web','namespace':'default'},'spec':{'replicas':2,"
    "'selector':{'matchLabels':{'app':'web'}},'strategy':{'type':'RollingUpdate','rollingUpdate':{'maxSurge':1,"
    "'maxUnavailable':0}},'template':{'metadata':{'labels':{'app':'web'}},'spec':{'terminationGracePeriodSeconds':5,"
    "'containers':[{'name':'c','image':'none','command':['sh','-c','echo starting $VERSION; exec python3 -m http.server 18080'],"
    "'workingDir':'/www','env':[{'name':'VERSION','value':'one'}],"
    "'volumeMounts':[{'name':'www','mountPath':'/www'}],'ports':[{'name':'http','containerPort':18080}],"
    "'readinessProbe':{'httpGet':{'path':'/index.html','port':'http'},'periodSeconds':1}}],"
    "'volumes':[{'name':'www','configMap':{'name':'www'}}]}}}}";

static const char www[] = "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'www','namespace':'default'},"
                          "'data':{'index.html':'hello from a pod'}}";

static const char service[] =
    "{'apiVersion':'v1','kind':'Service','metadata':{'name':'web','namespace':'default'},"
    "'spec':{'selector':{'app':'web'},'ports':[{'name':'http','port':80,'targetPort':'http'}]}}";

#define AVAILABLE(n)                                                                                                   \
  "{'status':{'replicas':" n ",'updatedReplicas':" n ",'readyReplicas':" n ",'availableReplicas':" n "}}"

static void web_up(struct fixture *f) {
  create(f, &KUBE_CONFIGMAPS, www);
  create(f, &KUBE_SERVICES, service);
  create(f, &KUBE_DEPLOYMENTS, web);
  json_unref(await(f, &KUBE_DEPLOYMENTS, "web", AVAILABLE("2")));
}

static char *web_url(struct fixture *f) {
  for (uint64_t until = mono_ms() + DEADLINE_MS;; usleep(20000)) {
    _cleanup_json_ struct json_object *s = await(f, &KUBE_SERVICES, "web", "{}");
    const char *address = meta_annotation(s, "local.ome.io/address");
    char *url = address ? str_printf("http://%s/index.html", address) : NULL;
    if (url && fetch(f, url, NULL) == 200)
      return url;
    free(url);
    assert_true(mono_ms() < until);
  }
}

/* ---- tests
 * ---------------------------------------------------------------------------------------------------------------------------
 */

static void a_deployment_serves_updates_scales_and_goes(void **state) {
  struct fixture *f = *state;
  _cleanup_buf_ struct buf body = BUF_INIT;

  web_up(f);
  _cleanup_free_ char *url = web_url(f);
  assert_int_equal(fetch(f, url, &body), 200);
  assert_string_equal(buf_str(&body), "hello from a pod");
  _cleanup_json_ struct json_object *pods = pods_of(f, "app=web");
  struct json_object *a = json_index(json_get(pods, "items"), 0), *b = json_index(json_get(pods, "items"), 1);
  assert_string_not_equal(json_str(a, "status.podIP", ""), json_str(b, "status.podIP", ""));

  patch(f, &KUBE_DEPLOYMENTS, "web", "{'spec':{'template':{'metadata':{'annotations':{'again':'1'}}}}}");
  for (bool done = false; !done;) { /* not one request fails while it rolls */
    assert_int_equal(fetch(f, url, NULL), 200);
    _cleanup_json_ struct json_object *d = await(f, &KUBE_DEPLOYMENTS, "web", "{}"), *wanted = doc(AVAILABLE("2"));
    done = holds(d, wanted) && json_i64(d, "status.observedGeneration", 0) == meta_generation(d);
  }
  json_unref(
      await(f, &KUBE_DEPLOYMENTS, "web", "{'metadata':{'annotations':{'deployment.kubernetes.io/revision':'2'}}}"));

  patch(f, &KUBE_DEPLOYMENTS, "web", "{'spec':{'replicas':3}}");
  json_unref(await(f, &KUBE_DEPLOYMENTS, "web", AVAILABLE("3")));
  patch(f, &KUBE_DEPLOYMENTS, "web", "{'spec':{'replicas':1}}");
  json_unref(await(f, &KUBE_DEPLOYMENTS, "web", AVAILABLE("1")));
  assert_int_equal(fetch(f, url, NULL), 200);

  struct ome_err err = ERR_INIT;
  assert_int_equal(kube_delete(f->client, &KUBE_DEPLOYMENTS, "default", "web", NULL, KUBE_BACKGROUND, &err), OME_OK);
  await_gone(f, &KUBE_DEPLOYMENTS, "web");
  await_no_process(f);
  assert_int_equal(fetch(f, url, NULL), 0);
}

static void a_kill_leaves_nothing_and_loses_nothing(void **state) {
  struct fixture *f = *state;

  create(
      f, &KUBE_JOBS,
      "{'apiVersion':'batch/v1','kind':'Job','metadata':{'name':'long','namespace':'default'},'spec':{'template':{'spec':{"
      "'restartPolicy':'Never','containers':[{'name':'c','image':'x','command':['sleep','1000']}]}}}}");
  web_up(f);
  json_unref(await(f, &KUBE_JOBS, "long", "{'status':{'active':1,'ready':1}}"));
  free(web_url(f));
  assert_true(processes(f) >= 3);
  finish(f, SIGKILL);
  await_no_process(f);
  begin(f);
  json_unref(
      await_container(f, "app=web", "{'ready':true,'restartCount':1,'lastState':{'terminated':{'exitCode':137}}}"));
  json_unref(await(f, &KUBE_DEPLOYMENTS, "web", AVAILABLE("2")));
  _cleanup_free_ char *url = web_url(f);
  assert_int_equal(fetch(f, url, NULL), 200);
  json_unref(await(f, &KUBE_JOBS, "long", "{'status':{'failed':1}}")); /* its pod must not start a second time */
}

static void pods_without_a_controller_are_adopted(void **state) {
  struct fixture *f = *state;
  struct ome_err err = ERR_INIT;

  web_up(f);
  assert_int_equal(kube_delete(f->client, &KUBE_DEPLOYMENTS, "default", "web", NULL, KUBE_ORPHAN, &err), OME_OK);
  await_gone(f, &KUBE_DEPLOYMENTS, "web");
  _cleanup_json_ struct json_object *before = pods_of(f, "app=web");
  assert_int_equal(json_len(json_get(before, "items")), 2);
  create(f, &KUBE_DEPLOYMENTS, web);
  json_unref(await(f, &KUBE_DEPLOYMENTS, "web", AVAILABLE("2")));
  _cleanup_json_ struct json_object *after = pods_of(f, "app=web");
  assert_int_equal(json_len(json_get(after, "items")), 2);
  for (size_t i = 0; i < 2; i++) {
    struct json_object *a = json_index(json_get(before, "items"), i), *b = json_index(json_get(after, "items"), i);
    if (!streq(meta_uid(a), meta_uid(b)))
      fail_msg("%s became %s", json_object_to_json_string(a), json_object_to_json_string(b));
  }
}

static void jobs_complete_or_fail(void **state) {
  struct fixture *f = *state;

  create(
      f, &KUBE_JOBS,
      "{'apiVersion':'batch/v1','kind':'Job','metadata':{'name':'good','namespace':'default'},'spec':{'completions':2,"
      "'template':{'spec':{'restartPolicy':'Never','containers':[{'name':'c','image':'x','command':['true']}]}}}}");
  create(
      f, &KUBE_JOBS,
      "{'apiVersion':'batch/v1','kind':'Job','metadata':{'name':'bad','namespace':'default'},'spec':{'backoffLimit':0,"
      "'template':{'spec':{'restartPolicy':'Never','containers':[{'name':'c','image':'x','command':['false']}]}}}}");
  json_unref(
      await(f, &KUBE_JOBS, "good", "{'status':{'succeeded':2,'conditions':[{'type':'Complete','status':'True'}]}}"));
  json_unref(await(f, &KUBE_JOBS, "bad",
                   "{'status':{'failed':1,'conditions':[{'type':'Failed','status':'True',"
                   "'reason':'BackoffLimitExceeded'}]}}"));
}

static void pods_that_cannot_run_say_why(void **state) {
  static const struct {
    const char *name, *spec, *reason, *message;
  } cases[] = {
      {"no-command", "'containers':[{'name':'c','image':'vllm/vllm-openai:v1'}]", "ErrImageNeverPull",
       "vllm/vllm-openai:v1"},
      {"no-binary", "'containers':[{'name':'c','image':'x','command':['no-such-engine']}]", "RunContainerError",
       "no-such-engine"},
      {"no-config",
       "'containers':[{'name':'c','image':'x','command':['true'],'envFrom':[{'configMapRef':{'name':'nope'}}]}]",
       "CreateContainerConfigError", "configmap \"nope\" not found"},
      {"no-volume",
       "'containers':[{'name':'c','image':'x','command':['true']}],'volumes':[{'name':'v','secret':{"
       "'secretName':'nope'}}]",
       "ContainerCreating", "secret \"nope\" not found"},
  };
  struct fixture *f = *state;

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_free_ char *pod =
        str_printf("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'default',"
                   "'labels':{'case':'%s'}},'spec':{%s}}",
                   cases[i].name, cases[i].name, cases[i].spec);
    _cleanup_free_ char *labels = str_printf("case=%s", cases[i].name);
    _cleanup_free_ char *wanted = str_printf("{'state':{'waiting':{'reason':'%s'}}}", cases[i].reason);
    create(f, &KUBE_PODS, pod);
    uint64_t until = mono_ms() + DEADLINE_MS;
    const char *message = "";
    struct json_object *got = NULL;
    while (!strstr(message, cases[i].message)) {
      json_unref(got);
      got = await_container(f, labels, wanted);
      message = json_str(json_index(json_at(got, "status.containerStatuses"), 0), "state.waiting.message", "");
      if (mono_ms() > until)
        fail_msg("%s: %s", cases[i].name, message);
    }
    json_unref(got);
  }
  create(f, &KUBE_PODS,
         "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'far','namespace':'default'},'spec':{"
         "'nodeSelector':{'models.ome.io/x':'Ready'},'containers':[{'name':'c','image':'x','command':['true']}]}}");
  json_unref(await(f, &KUBE_PODS, "far",
                   "{'status':{'phase':'Pending','conditions':[{'type':'PodScheduled','status':'False',"
                   "'reason':'Unschedulable'}]}}"));
  _cleanup_json_ struct json_object *label = doc("{'metadata':{'labels':{'models.ome.io/x':'Ready'}}}");
  struct ome_err err = ERR_INIT;
  assert_int_equal(kube_patch(f->client, &KUBE_NODES, NULL, "testnode", NULL, KUBE_PATCH_MERGE, label, NULL, &err),
                   OME_OK);
  json_unref(
      await(f, &KUBE_PODS, "far", "{'status':{'containerStatuses':[{'lastState':{'terminated':{'exitCode':0}}}]}}"));
}

static void the_node_says_what_it_has(void **state) {
  _cleanup_json_ struct json_object *node = await(*state, &KUBE_NODES, "testnode",
                                                  "{'metadata':{'labels':{'kubernetes.io/hostname':'testnode',"
                                                  "'kubernetes.io/os':'linux'}},'status':{'capacity':{'pods':'110'}}}");

  assert_string_equal(meta_condition(node, "Ready"), "True");
  assert_non_null(json_at(node, "status.capacity.memory"));
}

/* The gateway's answer for the service "chat"; its status. */
static int ask_gateway(struct fixture *f, struct buf *body) {
  static const char *const headers[] = {"Host: chat.default.localhost", NULL};
  _cleanup_free_ char *path = path_join(f->dir, "gateway.port");
  _cleanup_free_ char *port = NULL;
  _cleanup_http_response_ struct http_response r = {0};
  struct ome_err err = ERR_INIT;

  if (file_read(path, 16, &port, NULL, &err) != OME_OK)
    return 0;
  _cleanup_free_ char *url = str_printf("http://127.0.0.1:%s/index.html", port);
  const struct http_request req = {.url = url, .headers = headers, .proxy = "", .timeout_ms = 10000};
  if (http_do(kube_client_http(f->client), &req, NULL, NULL, &r, &err) != OME_OK)
    return 0;
  buf_clear(body);
  buf_add(body, buf_str(&r.body), r.body.len);
  return r.status;
}

static void await_gateway(struct fixture *f, int status, const char *text) {
  _cleanup_buf_ struct buf body = BUF_INIT;

  for (uint64_t until = mono_ms() + DEADLINE_MS; ask_gateway(f, &body) != status || !strstr(buf_str(&body), text);
       usleep(20000))
    if (mono_ms() > until)
      fail_msg("the gateway says: %s", buf_str(&body));
}

static void the_gateway_knows_the_services(void **state) {
  struct fixture *f = *state;

  await_gateway(f, 404, "no services are known");
  create(f, &KUBE_INFERENCESERVICES,
         "{'apiVersion':'ome.io/v1beta1','kind':'InferenceService','metadata':{'name':'chat','namespace':'default'},"
         "'spec':{'engine':{}}}");
  await_gateway(f, 503, "none of its pods is ready yet");
  _cleanup_free_ char *deployment = str_printf("%s", web), *engine = str_printf("%s", service);
  for (char *at; (at = strstr(engine, "'name':'web'"));) /* the engine's Service, as the controller names it */
    memcpy(at, "'name':'NAM'", 12);
  char *name = strstr(engine, "'NAM'");
  _cleanup_free_ char *named = str_printf("%.*s'chat-engine'%s", (int)(name - engine), engine, name + 5);
  create(f, &KUBE_CONFIGMAPS, www);
  create(f, &KUBE_SERVICES, named);
  create(f, &KUBE_DEPLOYMENTS, deployment);
  await_gateway(f, 200, "hello from a pod");
  patch(f, &KUBE_DEPLOYMENTS, "web", "{'spec':{'template':{'metadata':{'annotations':{'again':'1'}}}}}");
  _cleanup_buf_ struct buf body = BUF_INIT;
  for (bool done = false; !done;) { /* not one request fails while it rolls */
    assert_int_equal(ask_gateway(f, &body), 200);
    _cleanup_json_ struct json_object *d = await(f, &KUBE_DEPLOYMENTS, "web", "{}"), *wanted = doc(AVAILABLE("2"));
    done = holds(d, wanted) && json_i64(d, "status.observedGeneration", 0) == meta_generation(d);
  }
  patch(f, &KUBE_DEPLOYMENTS, "web", "{'spec':{'replicas':0}}");
  await_gateway(f, 503, "not ready");
  struct ome_err err = ERR_INIT;
  assert_int_equal(kube_delete(f->client, &KUBE_INFERENCESERVICES, "default", "chat", NULL, KUBE_BACKGROUND, &err),
                   OME_OK);
  await_gateway(f, 404, "no service chat in namespace default");
}

/* Standard output of a shell command with KUBECONFIG set; new. */
static char *shell(struct fixture *f, const char *command) {
  _cleanup_free_ char *line = str_printf("export KUBECONFIG=%s; %s 2>&1", f->kubeconfig, command);
  FILE *p = popen(line, "r");
  _cleanup_buf_ struct buf out = BUF_INIT;
  char text[4096];

  for (size_t n; (n = fread(text, 1, sizeof(text), p)) > 0;)
    buf_add(&out, text, n);
  (void)pclose(p);
  buf_adds(&out, "");
  return strdup(buf_str(&out));
}

static void kubectl_sees_it(void **state) {
  struct fixture *f = *state;

  if (system("command -v kubectl > /dev/null") != 0) {
    print_message("kubectl is not installed\n");
    skip();
  }
  web_up(f);
  _cleanup_free_ char *rollout = shell(f, "kubectl rollout status deployment/web --timeout=30s");
  assert_non_null(strstr(rollout, "successfully rolled out"));
  _cleanup_free_ char *scaled =
      shell(f, "kubectl scale deployment/web --replicas=1 && kubectl rollout status deployment/web");
  assert_non_null(strstr(scaled, "successfully rolled out"));
  _cleanup_free_ char *logs = shell(f, "kubectl logs deployment/web --tail=-1");
  if (!strstr(logs, "starting one"))
    fail_msg("%s", logs);
  create(
      f, &KUBE_PODS,
      "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'talk','namespace':'default'},'spec':{'restartPolicy':'Never',"
      "'containers':[{'name':'c','image':'x','command':['sh','-c','for i in 1 2 3 4 5; do echo line $i; sleep 0.1; done']}]}}");
  json_unref(await_container(f, "", "{}"));
  _cleanup_free_ char *followed =
      shell(f, "until kubectl logs talk >/dev/null 2>&1; do sleep 0.05; done; kubectl logs -f talk");
  assert_string_equal(followed, "line 1\nline 2\nline 3\nline 4\nline 5\n");
  _cleanup_free_ char *tail = shell(
      f, "kubectl logs talk --tail=2; kubectl logs talk --limit-bytes=6; kubectl logs talk --timestamps --tail=1");
  assert_true(has_prefix(tail, "line 4\nline 5\nline 1"));
  assert_non_null(strstr(tail, "Z line 5\n"));
  _cleanup_free_ char *none = shell(f, "kubectl logs talk --previous");
  assert_non_null(strstr(none, "previous terminated container \"c\" in pod \"talk\" not found"));
}

int main(int argc, char **argv) {
  if (argc == 3 && streq(argv[1], "serve"))
    return serve(argv[2]);
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(a_deployment_serves_updates_scales_and_goes),
      T(a_kill_leaves_nothing_and_loses_nothing),
      T(pods_without_a_controller_are_adopted),
      T(jobs_complete_or_fail),
      T(pods_that_cannot_run_say_why),
      T(the_node_says_what_it_has),
      T(the_gateway_knows_the_services),
      T(kubectl_sees_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
