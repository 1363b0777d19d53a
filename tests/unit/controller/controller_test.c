/* The control plane against the embedded API server, in one process. */
#include "../unit.h"

#include "api/schema.h"
#include "apiserver/apiserver.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/yaml.h"
#include "controller/controller.h"
#include "kube/meta.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEADLINE_MS 20000u

struct stand {
  char dir[64];
  struct apiserver *server;
  struct kube_client *client;
  struct plugins *plugins;
  struct controller *controller;
};

/* ---- kit --------------------------------------------------------------------------------------------------------- */

static void ok(int32_t rc, const struct ome_err *err) {
  if (rc != OME_OK)
    fail_msg("%s", err->msg);
}

static struct json_object *yaml(const char *text) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  ok(yaml_parse_one("test", text, strlen(text), &o, &err), &err);
  return o;
}

static void create(struct stand *s, const struct kube_resource *r, const char *text) {
  struct json_object *o = yaml(text);
  struct ome_err err = ERR_INIT;

  ok(kube_create(s->client, r, o, NULL, &err), &err);
  json_unref(o);
}

static void merge(struct stand *s, const struct kube_resource *r, const char *ns, const char *name,
                  const char *subresource, const char *text) {
  struct json_object *o = yaml(text);
  struct ome_err err = ERR_INIT;

  ok(kube_patch(s->client, r, ns, name, subresource, KUBE_PATCH_MERGE, o, NULL, &err), &err);
  json_unref(o);
}

/* new, or NULL: not there. */
static struct json_object *get(struct stand *s, const struct kube_resource *r, const char *ns, const char *name) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  if (kube_get(s->client, r, ns, name, &o, &err) != OME_OK)
    assert_int_equal(err.code, OME_E_NOT_FOUND);
  return o;
}

typedef bool test_fn(struct json_object *o, const char *want);

/* Asks again and again until TEST holds; new: the object then. */
static struct json_object *await(struct stand *s, const struct kube_resource *r, const char *ns, const char *name,
                                 test_fn *test, const char *want) {
  const struct timespec pause = {0, 10000000};

  for (uint64_t end = mono_ms() + DEADLINE_MS; mono_ms() < end; (void)nanosleep(&pause, NULL)) {
    struct json_object *o = get(s, r, ns, name);
    if (test(o, want))
      return o;
    json_unref(o);
  }
  struct json_object *o = get(s, r, ns, name);
  fail_msg("%s %s: waited in vain for %s; it is %s", r->kind, name, want, o ? json_object_to_json_string(o) : "absent");
  return NULL;
}

static void await_done(struct stand *s, const struct kube_resource *r, const char *ns, const char *name, test_fn *test,
                       const char *want) {
  json_unref(await(s, r, ns, name, test, want));
}

static bool exists(struct json_object *o, const char *want) {
  (void)want;
  return o != NULL;
}

static bool absent(struct json_object *o, const char *want) {
  (void)want;
  return o == NULL;
}

/* WANT is "Type=Status" or "Type=Status/Reason". */
static bool has_condition(struct json_object *o, const char *want) {
  char text[256];
  const char *eq = strchr(want, '=');
  _cleanup_free_ char *type = str_copy(want, (size_t)(eq - want));
  struct json_object *c = json_find(json_at(o, "status.conditions"), "type", type);

  (void)snprintf(text, sizeof(text), "%s/%s", json_str(c, "status", ""), json_str(c, "reason", ""));
  return c && strncmp(text, eq + 1, strlen(eq + 1)) == 0;
}

static bool has_image(struct json_object *o, const char *want) {
  struct json_object *c = json_index(json_at(o, "spec.template.spec.containers"), 0);

  return streq(json_str(c, "image", ""), want);
}

static bool has_state(struct json_object *o, const char *want) {
  return streq(json_str(o, "status.state", ""), want);
}

/* ---- stand ------------------------------------------------------------------------------------------------------- */

static void install_crds(struct stand *s) {
  struct json_object *crds = api_crds();
  struct ome_err err = ERR_INIT;

  for (size_t i = 0; i < json_len(crds); i++) {
    int32_t rc = kube_create(s->client, &KUBE_CRDS, json_index(crds, i), NULL, &err);
    if (rc != OME_E_EXISTS)
      ok(rc, &err);
  }
  json_unref(crds);
}

static int setup(void **state) {
  struct stand *s = calloc(1, sizeof(*s));
  struct ome_err err = ERR_INIT;

  (void)snprintf(s->dir, sizeof(s->dir), "/tmp/ome-controller-XXXXXX");
  assert_non_null(mkdtemp(s->dir));
  struct apiserver_config server = {.data_dir = s->dir};
  ok(apiserver_start(&server, &s->server, &err), &err);
  ok(kube_client_new(apiserver_kubeconfig(s->server), NULL, &s->client, &err), &err);
  install_crds(s);
  create(s, &KUBE_NAMESPACES, "{apiVersion: v1, kind: Namespace, metadata: {name: ome}}");
  ok(plugins_load(getenv("OME_TEST_PLUGINS_CONF"), NULL, 0, &s->plugins, &err), &err);
  struct controller_config cfg = {
      .client = s->client, .plugins = s->plugins, .gateway_url = "http://%s.%s.localhost:8080"};
  ok(controller_start(&cfg, &s->controller, &err), &err);
  *state = s;
  return 0;
}

static int teardown(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  controller_stop(s->controller);
  kube_client_free(s->client);
  apiserver_stop(s->server);
  plugins_free(s->plugins);
  (void)tree_remove(s->dir, &err);
  free(s);
  return 0;
}

#define MODEL(name)                                                                                                    \
  "{apiVersion: ome.io/v1beta1, kind: ClusterBaseModel, metadata: {name: " name "}, spec: "                            \
  "{modelFormat: {name: gguf}, storage: {storageUri: 'hf://example/x', path: /models/" name "}}}"
#define RUNTIME(name, image)                                                                                           \
  "{apiVersion: ome.io/v1beta1, kind: ClusterServingRuntime, metadata: {name: " name "}, spec: "                       \
  "{supportedModelFormats: [{modelFormat: {name: gguf}, autoSelect: true}], engineConfig: {runner: "                   \
  "{name: ome-container, image: '" image "', ports: [{name: http1, containerPort: 8080}]}}}}"
#define SERVICE(name, model)                                                                                           \
  "{apiVersion: ome.io/v1beta1, kind: InferenceService, metadata: {name: " name ", namespace: "                        \
  "default}, spec: {model: {name: " model "}, engine: {minReplicas: 1, maxReplicas: 1}}}"
#define AVAILABLE                                                                                                      \
  "{status: {replicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [{type: Available, "                     \
  "status: 'True', reason: MinimumReplicasAvailable}]}}"

/* ---- a service's life -------------------------------------------------------------------------------------------- */

static void brings_a_service_about(void **state) {
  struct stand *s = *state;

  create(s, &KUBE_INFERENCESERVICES, SERVICE("chat", "tiny"));
  /* The service follows its model, then its runtime: neither has to be there first. */
  await_done(s, &KUBE_INFERENCESERVICES, "default", "chat", has_condition, "Ready=False/ModelNotFound");
  create(s, &KUBE_CLUSTERBASEMODELS, MODEL("tiny"));
  await_done(s, &KUBE_INFERENCESERVICES, "default", "chat", has_condition, "Ready=False/NoSupportingRuntime");
  create(s, &KUBE_CLUSTERSERVINGRUNTIMES, RUNTIME("engine", "server:1"));
  struct json_object *d = await(s, &KUBE_DEPLOYMENTS, "default", "chat-engine", exists, "creation");
  struct json_object *service = get(s, &KUBE_INFERENCESERVICES, "default", "chat");
  struct json_object *owner = meta_owner(d);
  assert_string_equal(json_str(owner, "kind", ""), "InferenceService");
  assert_string_equal(json_str(owner, "uid", ""), meta_uid(service));
  assert_int_equal(json_i64(d, "spec.replicas", 0), 1);
  json_unref(service);
  json_unref(d);
  await_done(s, &KUBE_SERVICES, "default", "chat-engine", exists, "creation");
  await_done(s, &KUBE_SERVICES, "default", "chat", exists, "creation");
  await_done(s, &KUBE_INFERENCESERVICES, "default", "chat", has_condition, "Ready=Unknown");
  merge(s, &KUBE_DEPLOYMENTS, "default", "chat-engine", "status", AVAILABLE);
  service = await(s, &KUBE_INFERENCESERVICES, "default", "chat", has_condition, "Ready=True");
  assert_string_equal(json_str(service, "status.url", ""), "http://chat.default.localhost:8080");
  assert_string_equal(json_str(service, "status.address.url", ""), "http://chat.default.svc.cluster.local:8080");
  assert_string_equal(json_str(service, "status.modelStatus.transitionStatus", ""), "UpToDate");
  assert_string_equal(json_str(service, "status.selection.selected.runtime", ""), "engine");
  json_unref(service);
}

static bool has_event(struct stand *s, const char *reason) {
  struct json_object *list = NULL;
  struct ome_err err = ERR_INIT;
  bool found = false;

  ok(kube_list(s->client, &KUBE_EVENTS, "default", NULL, &list, &err), &err);
  for (size_t i = 0; i < json_len(json_get(list, "items")); i++) {
    struct json_object *e = json_index(json_get(list, "items"), i);
    found |= streq(json_str(e, "reason", ""), reason) && streq(json_str(e, "involvedObject.name", ""), "chat");
  }
  json_unref(list);
  return found;
}

static void tells_what_happened(void **state) {
  static const char *const reasons[] = {"ModelNotFound", "NoSupportingRuntime", "InferenceServiceReady"};
  const struct timespec pause = {0, 10000000};
  struct stand *s = *state;

  for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
    uint64_t end = mono_ms() + DEADLINE_MS;
    while (!has_event(s, reasons[i]) && mono_ms() < end)
      (void)nanosleep(&pause, NULL);
    if (!has_event(s, reasons[i]))
      fail_msg("no event %s", reasons[i]);
  }
}

static void keeps_a_good_configuration(void **state) {
  struct stand *s = *state;

  create(s, &KUBE_CONFIGMAPS,
         "{apiVersion: v1, kind: ConfigMap, metadata: {name: inferenceservice-config, namespace: ome}, data: {deploy: "
         "'{\"defaultDeploymentMode\":'}}");
  create(s, &KUBE_INFERENCESERVICES, SERVICE("after-a-slip", "nobody"));
  await_done(s, &KUBE_INFERENCESERVICES, "default", "after-a-slip", has_condition, "Ready=False/ModelNotFound");
}

static void follows_its_runtime(void **state) {
  struct stand *s = *state;

  merge(s, &KUBE_CLUSTERSERVINGRUNTIMES, NULL, "engine", NULL,
        "{spec: {engineConfig: {runner: {name: ome-container, image: 'server:2', ports: [{name: http1, containerPort: "
        "8080}]}}}}");
  await_done(s, &KUBE_DEPLOYMENTS, "default", "chat-engine", has_image, "server:2");
}

static bool has_type(struct json_object *o, const char *want) {
  return streq(json_str(o, "spec.type", ""), want);
}

static void heals_what_is_edited_by_hand(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  merge(s, &KUBE_SERVICES, "default", "chat", NULL, "{spec: {type: NodePort}}");
  await_done(s, &KUBE_SERVICES, "default", "chat", has_type, "ClusterIP");
  ok(kube_delete(s->client, &KUBE_SERVICES, "default", "chat-engine", NULL, KUBE_BACKGROUND, &err), &err);
  await_done(s, &KUBE_SERVICES, "default", "chat-engine", exists, "being made again");
}

/* Nothing of a settled service is written again, whatever makes the controller look at it. */
static void writes_nothing_when_settled(void **state) {
  struct stand *s = *state;
  struct json_object *before[] = {
      get(s, &KUBE_DEPLOYMENTS, "default", "chat-engine"), get(s, &KUBE_SERVICES, "default", "chat-engine"),
      get(s, &KUBE_SERVICES, "default", "chat"), get(s, &KUBE_INFERENCESERVICES, "default", "chat")};
  static const char *const names[] = {"chat-engine", "chat-engine", "chat", "chat"};
  const struct kube_resource *const resources[] = {&KUBE_DEPLOYMENTS, &KUBE_SERVICES, &KUBE_SERVICES,
                                                   &KUBE_INFERENCESERVICES};

  for (int i = 0; i < 20; i++) {
    char patch[64];
    (void)snprintf(patch, sizeof(patch), "{metadata: {labels: {round: r%d}}}", i);
    merge(s, &KUBE_CLUSTERSERVINGRUNTIMES, NULL, "engine", NULL, patch);
  }
  /* A service that comes later has been looked at after all that. */
  create(s, &KUBE_INFERENCESERVICES, SERVICE("later", "nobody"));
  await_done(s, &KUBE_INFERENCESERVICES, "default", "later", has_condition, "Ready=False/ModelNotFound");
  for (size_t i = 0; i < ARRAY_LEN(before); i++) {
    struct json_object *now = get(s, resources[i], "default", names[i]);
    assert_string_equal(json_str(now, "metadata.resourceVersion", ""),
                        json_str(before[i], "metadata.resourceVersion", "x"));
    json_unref(now);
    json_unref(before[i]);
  }
}

static void leaves_others_objects_alone(void **state) {
  struct stand *s = *state;

  create(s, &KUBE_SERVICES,
         "{apiVersion: v1, kind: Service, metadata: {name: mine, namespace: default}, "
         "spec: {selector: {a: b}, ports: [{port: 80}]}}");
  create(s, &KUBE_INFERENCESERVICES, SERVICE("mine", "tiny"));
  await_done(s, &KUBE_INFERENCESERVICES, "default", "mine", has_condition, "EngineReady=False/NameConflict");
  struct json_object *o = get(s, &KUBE_SERVICES, "default", "mine");
  assert_string_equal(json_str(o, "spec.selector.a", ""), "b");
  json_unref(o);
}

static void prunes_and_ends(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  merge(s, &KUBE_INFERENCESERVICES, "default", "chat", NULL,
        "{spec: {router: {runner: {name: router, image: 'router:1'}}}}");
  await_done(s, &KUBE_DEPLOYMENTS, "default", "chat-router", exists, "creation");
  await_done(s, &KUBE_INFERENCESERVICES, "default", "chat", has_condition, "RouterReady=Unknown");
  merge(s, &KUBE_INFERENCESERVICES, "default", "chat", NULL, "{spec: {router: null}}");
  await_done(s, &KUBE_DEPLOYMENTS, "default", "chat-router", absent, "its end");
  ok(kube_delete(s->client, &KUBE_INFERENCESERVICES, "default", "chat", NULL, KUBE_BACKGROUND, &err), &err);
  await_done(s, &KUBE_INFERENCESERVICES, "default", "chat", absent, "its end");
  await_done(s, &KUBE_DEPLOYMENTS, "default", "chat-engine", absent, "its end");
  await_done(s, &KUBE_SERVICES, "default", "chat", absent, "its end");
}

/* ---- a model's life ---------------------------------------------------------------------------------------------- */

static void sums_up_and_lets_go_of_models(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  create(s, &KUBE_CLUSTERBASEMODELS, MODEL("kept"));
  await_done(s, &KUBE_CLUSTERBASEMODELS, NULL, "kept", has_state, "In_Transit");
  create(s, &KUBE_NODES, "{apiVersion: v1, kind: Node, metadata: {name: n1}}");
  create(s, &KUBE_CONFIGMAPS,
         "{apiVersion: v1, kind: ConfigMap, metadata: {name: n1, namespace: ome, labels: "
         "{models.ome/basemodel-status: 'true'}}, data: {clusterbasemodel.kept: '{\"name\":\"kept\",\"status\":"
         "\"Failed\"}'}}");
  await_done(s, &KUBE_CLUSTERBASEMODELS, NULL, "kept", has_state, "Failed");
  merge(s, &KUBE_CONFIGMAPS, "ome", "n1", NULL, "{data: {clusterbasemodel.kept: '{\"status\":\"Ready\"}'}}");
  struct json_object *m = await(s, &KUBE_CLUSTERBASEMODELS, NULL, "kept", has_state, "Ready");
  assert_string_equal(json_object_get_string(json_index(json_at(m, "status.nodesReady"), 0)), "n1");
  assert_null(json_at(m, "status.nodesFailed"));
  assert_true(meta_has_finalizer(m, "clusterbasemodels.ome.io/finalizer"));
  json_unref(m);
  ok(kube_delete(s->client, &KUBE_CLUSTERBASEMODELS, NULL, "kept", NULL, KUBE_BACKGROUND, &err), &err);
  /* It stays until the node has let go of it. */
  m = get(s, &KUBE_CLUSTERBASEMODELS, NULL, "kept");
  assert_true(meta_deleting(m));
  json_unref(m);
  merge(s, &KUBE_CONFIGMAPS, "ome", "n1", NULL, "{data: {clusterbasemodel.kept: '{\"status\":\"Deleted\"}'}}");
  await_done(s, &KUBE_CLUSTERBASEMODELS, NULL, "kept", absent, "its end");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(brings_a_service_about),        cmocka_unit_test(tells_what_happened),
      cmocka_unit_test(keeps_a_good_configuration),    cmocka_unit_test(follows_its_runtime),
      cmocka_unit_test(heals_what_is_edited_by_hand),  cmocka_unit_test(writes_nothing_when_settled),
      cmocka_unit_test(leaves_others_objects_alone),   cmocka_unit_test(prunes_and_ends),
      cmocka_unit_test(sums_up_and_lets_go_of_models),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
