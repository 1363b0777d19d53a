/* The control plane against the embedded API server, in one process. */
#include "../unit.h"

#include "stand.h"

static int setup(void **state) {
  return stand_start(state, "http://%s.%s.localhost:8080");
}

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
  struct json_object *addresses = json_at(service, "status.addresses");
  assert_int_equal(json_len(addresses), 2);
  assert_string_equal(json_str(json_index(addresses, 0), "url", ""), "http://chat.default.localhost:8080");
  assert_string_equal(json_str(json_index(addresses, 1), "name", ""), "cluster-local");
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

static bool has_chain(struct json_object *o, const char *want) {
  struct json_object *chain = json_at(o, "status.inheritanceChain");

  return chain && streq(json_object_to_json_string_ext(chain, JSON_C_TO_STRING_PLAIN), want);
}

/* A runtime is what it is with its ancestors, and says who they are; a service follows all of them. */
static void follows_what_its_runtime_inherits(void **state) {
  struct stand *s = *state;

  create(s, &KUBE_CLUSTERSERVINGRUNTIMES,
         "{apiVersion: ome.io/v1beta1, kind: ClusterServingRuntime, metadata: {name: heir, annotations: "
         "{ome.io/inherit-from: profile}}, spec: {engineConfig: {minReplicas: 1}}}");
  await_done(s, &KUBE_CLUSTERSERVINGRUNTIMES, NULL, "heir", has_condition, "InheritanceReady=False/ParentNotFound");
  create(s, &KUBE_INFERENCESERVICES,
         "{apiVersion: ome.io/v1beta1, kind: InferenceService, metadata: {name: heir, namespace: default}, spec: "
         "{model: {name: tiny}, runtime: {name: heir}, engine: {}}}");
  await_done(s, &KUBE_INFERENCESERVICES, "default", "heir", has_condition,
             "RuntimeReady=False/RuntimeInheritanceError");
  create(s, &KUBE_CLUSTERSERVINGRUNTIMES,
         "{apiVersion: ome.io/v1beta1, kind: ClusterServingRuntime, metadata: {name: profile}, spec: {disabled: true, "
         "engineConfig: {runner: {name: ome-container, image: 'profile:1', ports: [{containerPort: 8080}]}}}}");
  await_done(s, &KUBE_CLUSTERSERVINGRUNTIMES, NULL, "heir", has_chain, "[\"profile\",\"heir\"]");
  await_done(s, &KUBE_CLUSTERSERVINGRUNTIMES, NULL, "heir", has_condition, "InheritanceReady=True/Resolved");
  await_done(s, &KUBE_DEPLOYMENTS, "default", "heir-engine", has_image, "profile:1");
  merge(s, &KUBE_CLUSTERSERVINGRUNTIMES, NULL, "profile", NULL,
        "{spec: {engineConfig: {runner: {name: ome-container, image: 'profile:2', ports: [{containerPort: 8080}]}}}}");
  await_done(s, &KUBE_DEPLOYMENTS, "default", "heir-engine", has_image, "profile:2");
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

/* An apply to an object that is not the one meant changes nothing. */
static void applies_to_the_one_that_is_meant(void **state) {
  struct json_object *mine =
      yaml("{apiVersion: v1, kind: ConfigMap, metadata: {name: meant, namespace: default}, data: "
           "{mine: 'yes'}}");
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  assert_int_equal(kube_apply_on(s->client, &KUBE_CONFIGMAPS, mine, "u-1", "me", NULL, &err), OME_E_CONFLICT);
  create(s, &KUBE_CONFIGMAPS,
         "{apiVersion: v1, kind: ConfigMap, metadata: {name: meant, namespace: default}, data: {theirs: 'yes'}}");
  assert_int_equal(kube_apply_on(s->client, &KUBE_CONFIGMAPS, mine, NULL, "me", NULL, &err), OME_E_CONFLICT);
  assert_int_equal(kube_apply_on(s->client, &KUBE_CONFIGMAPS, mine, "u-1", "me", NULL, &err), OME_E_CONFLICT);
  struct json_object *o = get(s, &KUBE_CONFIGMAPS, "default", "meant");
  assert_null(json_at(o, "data.mine"));
  ok(kube_apply_on(s->client, &KUBE_CONFIGMAPS, mine, meta_uid(o), "me", NULL, &err), &err);
  ok(kube_delete(s->client, &KUBE_CONFIGMAPS, "default", "meant", NULL, KUBE_BACKGROUND, &err), &err);
  ok(kube_apply_on(s->client, &KUBE_CONFIGMAPS, mine, NULL, "me", NULL, &err), &err);
  json_unref(o);
  json_unref(mine);
}

static void leaves_others_objects_alone(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  create(s, &KUBE_SERVICES,
         "{apiVersion: v1, kind: Service, metadata: {name: mine, namespace: default}, "
         "spec: {selector: {a: b}, ports: [{port: 80}]}}");
  create(s, &KUBE_INFERENCESERVICES, SERVICE("mine", "tiny"));
  await_done(s, &KUBE_INFERENCESERVICES, "default", "mine", has_condition, "EngineReady=False/NameConflict");
  struct json_object *o = get(s, &KUBE_SERVICES, "default", "mine");
  assert_string_equal(json_str(o, "spec.selector.a", ""), "b");
  json_unref(o);
  /* What was made before the name turned out to be taken is gone again; once it is free, all is made. */
  await_done(s, &KUBE_DEPLOYMENTS, "default", "mine-engine", absent, "its end");
  ok(kube_delete(s->client, &KUBE_SERVICES, "default", "mine", NULL, KUBE_BACKGROUND, &err), &err);
  merge(s, &KUBE_INFERENCESERVICES, "default", "mine", NULL, "{spec: {engine: {maxReplicas: 2}}}");
  await_done(s, &KUBE_DEPLOYMENTS, "default", "mine-engine", exists, "creation");
  await_done(s, &KUBE_INFERENCESERVICES, "default", "mine", has_condition, "Ready=Unknown");
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

/* ---- kinds of other projects ------------------------------------------------------------------------------------- */

#define KNATIVE_CRD                                                                                                    \
  "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: services.serving.knative."   \
  "dev}, spec: {group: serving.knative.dev, scope: Namespaced, names: {kind: Service, plural: services, singular: "    \
  "service, listKind: ServiceList}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: "     \
  "{type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}"

/* A service waits for the kind that it needs; where that goes, and comes back, so do its objects. */
static void follows_kinds_that_come_and_go(void **state) {
  const struct kube_resource knative = {"serving.knative.dev", "v1", "services", "Service", true};
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  create(s, &KUBE_INFERENCESERVICES,
         "{apiVersion: ome.io/v1beta1, kind: InferenceService, metadata: {name: late, namespace: default}, spec: "
         "{model: {name: tiny}, engine: {annotations: {ome.io/deploymentMode: Serverless}, minReplicas: 1}}}");
  for (int i = 0; i < 2; i++) {
    await_done(s, &KUBE_INFERENCESERVICES, "default", "late", has_condition, "EngineReady=False/APIMissing");
    create(s, &KUBE_CRDS, KNATIVE_CRD);
    await_done(s, &knative, "default", "late-engine", exists, "creation");
    ok(kube_delete(s->client, &KUBE_CRDS, NULL, "services.serving.knative.dev", NULL, KUBE_BACKGROUND, &err), &err);
  }
  await_done(s, &KUBE_INFERENCESERVICES, "default", "late", has_condition, "EngineReady=False/APIMissing");
  ok(kube_delete(s->client, &KUBE_INFERENCESERVICES, "default", "late", NULL, KUBE_BACKGROUND, &err), &err);
  await_done(s, &KUBE_INFERENCESERVICES, "default", "late", absent, "its end");
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
  assert_string_equal(json_str(m, "status.nodes", ""), "1/0/1");
  assert_int_equal(json_i64(m, "status.progress.percent", -1), 100);
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

#define NODE(name) "{apiVersion: v1, kind: Node, metadata: {name: " name "}}"
#define RECORD(node, model)                                                                                            \
  "{apiVersion: v1, kind: ConfigMap, metadata: {name: " node ", namespace: ome, labels: "                              \
  "{models.ome/basemodel-status: 'true'}}, data: {clusterbasemodel." model ": '{\"status\":\"Ready\"}'}}"

/* A node that is gone holds nothing, and its record goes; one that does not answer holds until the deadline. */
static void waits_for_nobody_for_ever(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  create(s, &KUBE_NODES, NODE("gone"));
  create(s, &KUBE_NODES, NODE("dead"));
  create(s, &KUBE_CLUSTERBASEMODELS, MODEL("held"));
  create(s, &KUBE_CONFIGMAPS, RECORD("gone", "held"));
  await_done(s, &KUBE_CLUSTERBASEMODELS, NULL, "held", has_state, "Ready");
  ok(kube_delete(s->client, &KUBE_CLUSTERBASEMODELS, NULL, "held", NULL, KUBE_BACKGROUND, &err), &err);
  ok(kube_delete(s->client, &KUBE_NODES, NULL, "gone", NULL, KUBE_BACKGROUND, &err), &err);
  await_done(s, &KUBE_CLUSTERBASEMODELS, NULL, "held", absent, "its end");
  await_done(s, &KUBE_CONFIGMAPS, "ome", "gone", absent, "its end");

  create(s, &KUBE_CLUSTERBASEMODELS, MODEL("stuck"));
  create(s, &KUBE_CONFIGMAPS, RECORD("dead", "stuck"));
  await_done(s, &KUBE_CLUSTERBASEMODELS, NULL, "stuck", has_state, "Ready");
  ok(kube_delete(s->client, &KUBE_CLUSTERBASEMODELS, NULL, "stuck", NULL, KUBE_BACKGROUND, &err), &err);
  struct json_object *m = get(s, &KUBE_CLUSTERBASEMODELS, NULL, "stuck");
  assert_true(meta_deleting(m));
  json_unref(m);
  merge(s, &KUBE_CLUSTERBASEMODELS, NULL, "stuck", NULL,
        "{metadata: {annotations: {ome.io/deletion-deadline-seconds: '1'}}}");
  await_done(s, &KUBE_CLUSTERBASEMODELS, NULL, "stuck", absent, "its end");
}

/* The record of a node goes with it where no model is left to look at it, also one that comes late. */
static void keeps_no_record_of_what_is_gone(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  create(s, &KUBE_NODES, NODE("leaves"));
  create(s, &KUBE_NODES, NODE("stays"));
  create(s, &KUBE_CONFIGMAPS, RECORD("stays", "none"));
  create(s, &KUBE_CONFIGMAPS, RECORD("leaves", "none"));
  ok(kube_delete(s->client, &KUBE_NODES, NULL, "leaves", NULL, KUBE_BACKGROUND, &err), &err);
  await_done(s, &KUBE_CONFIGMAPS, "ome", "leaves", absent, "its end");
  create(s, &KUBE_CONFIGMAPS, RECORD("leaves", "none"));
  await_done(s, &KUBE_CONFIGMAPS, "ome", "leaves", absent, "its end");
  json_unref(get(s, &KUBE_CONFIGMAPS, "ome", "stays"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(brings_a_service_about),
      cmocka_unit_test(tells_what_happened),
      cmocka_unit_test(keeps_a_good_configuration),
      cmocka_unit_test(follows_its_runtime),
      cmocka_unit_test(follows_what_its_runtime_inherits),
      cmocka_unit_test(heals_what_is_edited_by_hand),
      cmocka_unit_test(writes_nothing_when_settled),
      cmocka_unit_test(applies_to_the_one_that_is_meant),
      cmocka_unit_test(leaves_others_objects_alone),
      cmocka_unit_test(follows_kinds_that_come_and_go),
      cmocka_unit_test(prunes_and_ends),
      cmocka_unit_test(sums_up_and_lets_go_of_models),
      cmocka_unit_test(waits_for_nobody_for_ever),
      cmocka_unit_test(keeps_no_record_of_what_is_gone),
  };
  return cmocka_run_group_tests(tests, setup, stand_stop);
}
