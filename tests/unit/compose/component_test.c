/* One component from runtime, model and service. */
#include "../unit.h"

#include "../documents.h"
#include "base/str.h"
#include "compose/cluster.h"
#include "compose/component.h"

static const char default_model[] = "kind: ClusterBaseModel\n"
                                    "metadata: {name: llama-3.1, annotations: {models.ome.io/category: LARGE}}\n"
                                    "spec: {vendor: meta, modelFormat: {name: safetensors, version: 1.0.0}, "
                                    "storage: {storageUri: 'hf://x', path: /models/llama}}\n";

static const char default_runtime[] = "kind: ClusterServingRuntime\n"
                                      "metadata: {name: srt}\n"
                                      "spec:\n"
                                      "  nodeSelector: {zone: a}\n"
                                      "  engineConfig:\n"
                                      "    labels: {from: runtime}\n"
                                      "    tolerations: [{key: gpu}]\n"
                                      "    volumes: [{name: dshm, emptyDir: {medium: Memory}}]\n"
                                      "    runner:\n"
                                      "      name: ome-container\n"
                                      "      image: engine:1\n"
                                      "      args: [--a, --b]\n"
                                      "      env: [{name: A, value: runtime}, {name: B, value: runtime}]\n"
                                      "      ports: [{containerPort: 8000, name: http1}]\n"
                                      "      resources: {limits: {nvidia.com/gpu: 4}, requests: {cpu: 2}}\n"
                                      "  routerConfig:\n"
                                      "    runner: {name: router, image: router:1}\n"
                                      "    config: {Z: '1', A: '2'}\n";

/* The component of SERVICE; new.  NULL with ERR filled when it cannot be composed. */
static struct json_object *compose_of(const char *kind, const char *service, const char *model, const char *runtime,
                                      const char *peers, bool embedded, struct ome_err *err) {
  struct json_object *s = yaml(service);
  struct json_object *m = yaml(model);
  struct json_object *r = yaml(runtime);
  struct json_object *p = peers ? yaml(peers) : NULL;
  struct json_object *cluster = NULL;
  struct json_object *out = NULL;
  const struct mode *mode = NULL;

  assert_int_equal(cluster_offline(embedded, NULL, &cluster, err), OME_OK);
  struct component_request req = {.kind = kind, .service = s, .model = m, .runtime = r, .cluster = cluster};
  req.peers = json_get(p, "peers");
  (void)component_compose(&req, &out, &mode, err);
  json_unref(s);
  json_unref(m);
  json_unref(r);
  json_unref(p);
  json_unref(cluster);
  return out;
}

static struct json_object *compose_beside(const char *kind, const char *service, const char *runtime, const char *peers,
                                          bool embedded, struct ome_err *err) {
  return compose_of(kind, service, default_model, runtime, peers, embedded, err);
}

static struct json_object *compose(const char *kind, const char *service, bool embedded, struct ome_err *err) {
  return compose_beside(kind, service, default_runtime, NULL, embedded, err);
}

static struct json_object *compose_ok(const char *kind, const char *service, bool embedded) {
  struct ome_err err = ERR_INIT;
  struct json_object *c = compose(kind, service, embedded, &err);

  if (!c)
    fail_msg("%s", err.msg);
  return c;
}

/* The element I of the array at PATH. */
static struct json_object *item(struct json_object *o, const char *path, size_t i) {
  return json_index(json_at(o, path), i);
}

#define SERVICE                                                                                                        \
  "metadata: {name: chat, namespace: team, labels: {l: service}, annotations: {n: service, "                           \
  "kubectl.kubernetes.io/last-applied-configuration: x, ome.io/runtime-selection: pinned, "                            \
  "ome.io/runtime-sync: again, ome.io/selection-record: full}}\n"

static void mounts_and_places_the_model(void **state) {
  struct json_object *c = compose_ok("engine", SERVICE "spec: {engine: {}}", false);
  struct json_object *main = item(c, "podSpec.containers", 0);

  (void)state;
  assert_string_equal(json_str(c, "name", ""), "chat-engine");
  assert_string_equal(json_str(c, "mode", ""), "RawDeployment");
  assert_string_equal(json_str(c, "container", ""), "ome-container");
  assert_string_equal(json_str(json_find(json_get(main, "env"), "name", "MODEL_PATH"), "value", ""), "/models/llama");
  assert_string_equal(json_str(json_find(json_get(main, "env"), "name", "PARALLELISM_SIZE"), "value", ""), "4");
  /* A model's name may hold dots, a volume's may not. */
  struct json_object *mount = json_find(json_get(main, "volumeMounts"), "name", "llama-3-1");
  assert_string_equal(json_str(mount, "mountPath", ""), "/models/llama");
  assert_true(json_flag(mount, "readOnly", false));
  struct json_object *volume = json_find(json_at(c, "podSpec.volumes"), "name", "llama-3-1");
  assert_string_equal(json_str(volume, "hostPath.path", ""), "/models/llama");
  assert_non_null(json_find(json_at(c, "podSpec.volumes"), "name", "dshm"));
  struct json_object *selector = json_at(c, "podSpec.nodeSelector");
  assert_string_equal(json_object_get_string(json_get(selector, "models.ome.io/clusterbasemodel.llama-3.1")), "Ready");
  assert_string_equal(json_str(selector, "zone", ""), "a");
  assert_int_equal(json_i64(item(c, "ports", 0), "port", 0), 8000);
  json_unref(c);
}

static void mounts_a_claim(void **state) {
  static const char model[] = "kind: ClusterBaseModel\nmetadata: {name: big.one}\nspec: {modelFormat: {name: "
                              "safetensors}, storage: {storageUri: 'pvc://team:models/a/b/'}}\n";
  struct ome_err err = ERR_INIT;
  struct json_object *c = compose_of("engine", SERVICE "spec: {engine: {}}", model, default_runtime, NULL, false, &err);
  struct json_object *main = item(c, "podSpec.containers", 0);
  struct json_object *mount = json_find(json_get(main, "volumeMounts"), "name", "big-one");
  struct json_object *volume = json_find(json_at(c, "podSpec.volumes"), "name", "big-one");

  (void)state;
  assert_string_equal(json_str(mount, "mountPath", ""), "/opt/ml/model");
  assert_string_equal(json_str(mount, "subPath", ""), "a/b");
  assert_true(json_flag(mount, "readOnly", false));
  assert_string_equal(json_str(volume, "persistentVolumeClaim.claimName", ""), "models");
  assert_true(json_flag(volume, "persistentVolumeClaim.readOnly", false));
  assert_null(json_get(volume, "hostPath"));
  assert_string_equal(json_str(json_find(json_get(main, "env"), "name", "MODEL_PATH"), "value", ""), "/opt/ml/model");
  assert_string_equal(json_str(c, "model.path", ""), "/opt/ml/model");
  /* Any node will do, but for what the runtime says. */
  assert_int_equal(json_object_object_length(json_at(c, "podSpec.nodeSelector")), 1);
  json_unref(c);
  /* What reads no model does not bind its pods to the claim. */
  c = compose_of("router", SERVICE "spec: {engine: {}, router: {}}", model, default_runtime, NULL, false, &err);
  assert_null(json_at(c, "podSpec.volumes"));
  json_unref(c);
}

static void labels_as_ome(void **state) {
  static const char *const labels[][2] = {{"ome.io/inferenceservice", "chat"},
                                          {"component", "engine"},
                                          {"serving-runtime", "srt"},
                                          {"fine-tuned-serving", "false"},
                                          {"base-model-name", "llama-3.1"},
                                          {"base-model-size", "LARGE"},
                                          {"base-model-type", "Serving"},
                                          {"base-model-vendor", "meta"},
                                          {"l", "service"},
                                          {"from", "runtime"}};
  static const char *const annotations[][2] = {
      {"ome.io/base-model-name", "llama-3.1"},     {"ome.io/base-model-vendor", "meta"},
      {"ome.io/base-model-format", "safetensors"}, {"ome.io/base-model-format-version", "1.0.0"},
      {"ome.io/serving-runtime", "srt"},           {"n", "component"}};
  struct json_object *c = compose_ok("engine", SERVICE "spec: {engine: {annotations: {n: component}}}", false);

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(labels); i++)
    assert_string_equal(json_object_get_string(json_get(json_get(c, "labels"), labels[i][0])), labels[i][1]);
  for (size_t i = 0; i < ARRAY_LEN(annotations); i++)
    assert_string_equal(json_object_get_string(json_get(json_get(c, "annotations"), annotations[i][0])),
                        annotations[i][1]);
  assert_null(json_get(json_get(c, "annotations"), "kubectl.kubernetes.io/last-applied-configuration"));
  assert_null(json_get(json_get(c, "annotations"), "ome.io/runtime-selection"));
  assert_null(json_get(json_get(c, "annotations"), "ome.io/runtime-sync"));
  assert_null(json_get(json_get(c, "annotations"), "ome.io/selection-record"));
  json_unref(c);
}

static void lets_the_service_win(void **state) {
  struct json_object *c = compose_ok("engine",
                                     SERVICE "spec: {engine: {runner: {image: 'engine:2', args: [--c], env: [{name: A, "
                                             "value: service}], resources: {requests: {cpu: 1}}}, tolerations: null}}",
                                     false);
  struct json_object *main = item(c, "podSpec.containers", 0);

  (void)state;
  /* A nameless runner is the runtime's. */
  assert_string_equal(json_str(main, "name", ""), "ome-container");
  assert_int_equal(json_len(json_at(c, "podSpec.containers")), 1);
  assert_string_equal(json_str(main, "image", ""), "engine:2");
  assert_int_equal(json_len(json_get(main, "args")), 1);
  assert_string_equal(json_object_get_string(item(main, "args", 0)), "--c");
  assert_string_equal(json_str(json_find(json_get(main, "env"), "name", "A"), "value", ""), "service");
  assert_string_equal(json_str(json_find(json_get(main, "env"), "name", "B"), "value", ""), "runtime");
  assert_int_equal(json_i64(main, "resources.requests.cpu", 0), 1);
  assert_int_equal(json_len(json_at(c, "podSpec.tolerations")), 1);
  json_unref(c);
}

static void puts_the_runner_over_its_container(void **state) {
  struct json_object *c =
      compose_ok("engine",
                 SERVICE "spec: {engine: {containers: [{name: side, image: s}, {name: ome-container, args: "
                         "[--first], workingDir: /w}]}}",
                 false);
  struct json_object *main = json_find(json_at(c, "podSpec.containers"), "name", "ome-container");

  (void)state;
  assert_int_equal(json_len(json_at(c, "podSpec.containers")), 2);
  assert_string_equal(json_str(main, "workingDir", ""), "/w");
  assert_int_equal(json_len(json_get(main, "args")), 3);
  assert_string_equal(json_object_get_string(item(main, "args", 0)), "--first");
  /* The serving container's ports count, wherever it stands. */
  assert_int_equal(json_i64(item(c, "ports", 0), "port", 0), 8000);
  json_unref(c);
}

static void gives_the_replicas_one_owner(void **state) {
  struct json_object *cluster = compose_ok("engine", SERVICE "spec: {engine: {minReplicas: 2, maxReplicas: 5}}", false);
  struct json_object *local = compose_ok("engine", SERVICE "spec: {engine: {minReplicas: 2, maxReplicas: 5}}", true);
  struct json_object *outside = compose_ok(
      "engine", SERVICE "spec: {engine: {annotations: {ome.io/autoscalerClass: external}, minReplicas: 2}}", false);

  (void)state;
  assert_string_equal(json_str(cluster, "autoscaler", ""), "hpa");
  assert_null(json_get(cluster, "replicas"));
  assert_string_equal(json_str(local, "autoscaler", ""), "none");
  assert_int_equal(json_i64(local, "replicas", 0), 2);
  assert_string_equal(json_str(outside, "autoscaler", ""), "external");
  assert_null(json_get(outside, "replicas"));
  assert_int_equal(json_i64(outside, "maxReplicas", 0), 3);
  json_unref(cluster);
  json_unref(local);
  json_unref(outside);
}

static void leaves_routers_alone(void **state) {
  struct json_object *c = compose_ok("router", SERVICE "spec: {engine: {}, router: {config: {B: '3'}}}", false);
  struct json_object *env = json_get(item(c, "podSpec.containers", 0), "env");

  (void)state;
  assert_string_equal(json_str(c, "podSpec.serviceAccountName", ""), "chat-router");
  assert_null(json_at(c, "podSpec.nodeSelector"));
  assert_null(json_find(env, "name", "MODEL_PATH"));
  assert_int_equal(json_len(env), 3);
  assert_string_equal(json_str(json_index(env, 0), "name", ""), "A");
  assert_string_equal(json_str(json_index(env, 1), "name", ""), "B");
  assert_string_equal(json_str(json_index(env, 2), "name", ""), "Z");
  assert_int_equal(json_i64(c, "maxReplicas", 0), 2);
  json_unref(c);
}

static const char bare_runtime[] = "kind: ClusterServingRuntime\nmetadata: {name: bare}\nspec: {}\n";

/* The words of the serving container's command, in one line; new. */
static char *command_of(struct json_object *c) {
  struct json_object *command = json_get(item(c, "podSpec.containers", 0), "command");
  char *line = strdup("");

  for (size_t i = 0; i < json_len(command); i++) {
    char *longer = str_printf("%s%s%s", line, i ? " " : "", json_object_get_string(json_index(command, i)));
    free(line);
    line = longer;
  }
  return line;
}

static void brings_a_router_where_nobody_does(void **state) {
  static const struct {
    const char *spec;
    const char *peers;
    const char *tail; /* of the command */
  } cases[] = {
      {"{engine: {}, router: {}}", "peers: [{component: engine, mode: RawDeployment, ports: [{port: 8000}]}]",
       " --port 8080 --policy cache_aware --service-discovery --service-discovery-namespace team --service-discovery-port "
       "8000 --selector component=engine ome.io/inferenceservice=chat"},
      {"{engine: {}, decoder: {}, router: {}}",
       "peers: [{component: engine, mode: MultiNode, ports: [{port: 8080}]}, {component: decoder, mode: RawDeployment, "
       "ports: [{port: 8080}]}]",
       " --policy power_of_two --service-discovery --service-discovery-namespace team --service-discovery-port 8080 "
       "--pd-disaggregation --prefill-selector component=engine ome.io/inferenceservice=chat "
       "leaderworkerset.sigs.k8s.io/worker-index=0 --decode-selector component=decoder ome.io/inferenceservice=chat"},
      {"{engine: {}, router: {}}", "peers: [{component: engine, mode: MultiNodeRayVLLM, ports: [{port: 8080}]}]",
       " ome.io/inferenceservice=chat ray.io/node-type=head"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct ome_err err = ERR_INIT;
    char *text = str_printf("metadata: {name: chat, namespace: team}\nspec: %s\n", cases[i].spec);
    struct json_object *c = compose_beside("router", text, bare_runtime, cases[i].peers, false, &err);
    assert_non_null(c);
    char *command = command_of(c);
    if (!has_suffix(command, cases[i].tail))
      fail_msg("%s", command);
    struct json_object *main = item(c, "podSpec.containers", 0);
    assert_non_null(strstr(json_str(main, "image", ""), "sgl-model-gateway"));
    assert_string_equal(json_str(main, "readinessProbe.httpGet.path", ""), "/readiness");
    assert_string_equal(json_str(c, "podSpec.serviceAccountName", ""), "chat-router");
    assert_int_equal(json_i64(item(c, "ports", 0), "port", 0), 8080);
    free(command);
    free(text);
    json_unref(c);
  }
}

/* What the service adds to the default router is added; what it brings itself stays alone. */
static void lets_a_service_have_its_router(void **state) {
  static const char peers[] = "peers: [{component: engine, mode: RawDeployment, ports: [{port: 8080}]}]";
  struct ome_err err = ERR_INIT;
  struct json_object *more = compose_beside(
      "router", SERVICE "spec: {engine: {}, router: {config: {K: v}, runner: {args: [--policy, random]}}}",
      bare_runtime, peers, false, &err);
  struct json_object *own =
      compose_beside("router", SERVICE "spec: {engine: {}, router: {containers: [{name: mine, image: i}]}}",
                     bare_runtime, peers, false, &err);

  (void)state;
  assert_int_equal(json_len(json_get(item(more, "podSpec.containers", 0), "args")), 2);
  char *command = command_of(more);
  assert_true(has_prefix(command, "python3 -m sglang_router.launch_router --host 0.0.0.0 "));
  free(command);
  assert_string_equal(
      json_str(json_find(json_get(item(more, "podSpec.containers", 0), "env"), "name", "K"), "value", ""), "v");
  assert_int_equal(json_len(json_at(own, "podSpec.containers")), 1);
  assert_string_equal(json_str(item(own, "podSpec.containers", 0), "image", ""), "i");
  json_unref(more);
  json_unref(own);
  assert_null(compose_beside("router", SERVICE "spec: {engine: {}, decoder: {}, router: {}}", bare_runtime,
                             "peers: [{component: engine, ports: [{port: 8080}]}, {component: decoder, ports: [{port: "
                             "8081}]}]",
                             false, &err));
  assert_non_null(strstr(err.msg, "spec.decoder: its first port is 8081 and the engine's is 8080"));
}

static void finds_the_mode(void **state) {
  static const struct {
    const char *kind;
    const char *spec;
    const char *mode;
  } cases[] = {
      {"engine", "{engine: {}}", "RawDeployment"},
      {"engine", "{engine: {leader: {runner: {name: l}}, worker: {size: 1, runner: {name: w}}}}", "MultiNode"},
      {"engine", "{engine: {minReplicas: 0}}", "Serverless"},
      {"engine", "{engine: {minReplicas: 0}, decoder: {}}", "RawDeployment"},
      {"engine", "{engine: {annotations: {ome.io/deploymentMode: MultiNodeRayVLLM}}}", "MultiNodeRayVLLM"},
      {"engine", "{engine: {annotations: {ome.io/deploymentMode: Nonsense}}}", "RawDeployment"},
      {"engine", "{deploymentMode: OMENative, engine: {}}", "OMENative"},
      {"router", "{deploymentMode: OMENative, engine: {}, router: {}}", "RawDeployment"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    char *text = str_printf("metadata: {name: s}\nspec: %s\n", cases[i].spec);
    struct json_object *c = compose_ok(cases[i].kind, text, false);
    assert_string_equal(json_str(c, "mode", ""), cases[i].mode);
    json_unref(c);
    free(text);
  }
}

static void names_the_protocols_of_ports(void **state) {
  static const char runtime[] = "kind: ClusterServingRuntime\nmetadata: {name: r}\nspec:\n  engineConfig:\n"
                                "    servicePortAppProtocols: {grpc: kubernetes.io/h2c, http: http, absent: x}\n"
                                "    runner: {name: ome-container, image: i, "
                                "ports: [{name: http, containerPort: 1}, {name: grpc, containerPort: 2}]}\n";
  static const char portless[] = "kind: ClusterServingRuntime\nmetadata: {name: r}\nspec:\n  engineConfig:\n"
                                 "    servicePortAppProtocols: {ome-container: http}\n"
                                 "    runner: {name: ome-container, image: i}\n";
  static const char service[] = SERVICE "spec: {engine: {servicePortAppProtocols: {http: ''}}}";
  struct ome_err err = ERR_INIT;
  struct json_object *c = compose_beside("engine", service, runtime, NULL, false, &err);

  (void)state;
  assert_non_null(c);
  assert_null(json_get(item(c, "ports", 0), "appProtocol"));
  assert_string_equal(json_str(item(c, "ports", 1), "appProtocol", ""), "kubernetes.io/h2c");
  json_unref(c);
  c = compose_beside("engine", SERVICE "spec: {engine: {}}", portless, NULL, false, &err);
  assert_non_null(c);
  assert_string_equal(json_str(item(c, "ports", 0), "appProtocol", ""), "http");
  json_unref(c);
}

static void spreads_replicas(void **state) {
  static const char raw[] = SERVICE "spec: {engine: {topologySpread: Required, topologyKey: rack, "
                                    "topologySpreadKey: zone}}";
  static const char groups[] = SERVICE "spec: {engine: {topologySpread: Preferred, topologyKey: rack, "
                                       "leader: {runner: {name: l}}, worker: {size: 1, runner: {name: w}}}}";
  struct json_object *c = compose_ok("engine", raw, false);
  struct json_object *one = item(c, "podSpec.topologySpreadConstraints", 0);

  (void)state;
  assert_string_equal(json_str(one, "topologyKey", ""), "zone");
  assert_string_equal(json_str(one, "whenUnsatisfiable", ""), "DoNotSchedule");
  assert_string_equal(json_str(one, "labelSelector.matchLabels.app", ""), "chat-engine");
  assert_int_equal(json_i64(one, "maxSkew", 0), 1);
  json_unref(c);
  c = compose_ok("engine", groups, false);
  one = item(c, "podSpec.topologySpreadConstraints", 0);
  assert_string_equal(json_str(one, "topologyKey", ""), "rack");
  assert_string_equal(json_str(one, "whenUnsatisfiable", ""), "ScheduleAnyway");
  assert_null(json_at(c, "worker.podSpec.topologySpreadConstraints"));
  /* Workers go where their own leader is. */
  one = item(c, "worker.podSpec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution", 0);
  assert_string_equal(json_object_to_json_string_ext(one, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
                      "{\"labelSelector\":{\"matchLabels\":{\"leaderworkerset.sigs.k8s.io/worker-index\":\"0\"}},"
                      "\"matchLabelKeys\":[\"leaderworkerset.sigs.k8s.io/group-key\"],\"topologyKey\":\"rack\"}");
  assert_null(json_at(c, "podSpec.affinity"));
  json_unref(c);
}

static void gives_pods_the_time_of_the_site(void **state) {
  struct json_object *config =
      yaml("metadata: {name: inferenceservice-config}\ndata: {deploy: '{\"terminationGracePeriodSeconds\": 600}'}\n");
  struct json_object *service = yaml(SERVICE "spec: {engine: {}, router: {terminationGracePeriodSeconds: 5}}");
  struct json_object *runtime = yaml(default_runtime);
  static const int64_t seconds[] = {600, 5};
  static const char *const kinds[] = {"engine", "router"};
  struct component_request req = {.service = service, .runtime = runtime};
  struct ome_err err = ERR_INIT;

  (void)state;
  assert_int_equal(cluster_offline(false, config, &req.cluster, &err), OME_OK);
  for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
    struct json_object *c = NULL;
    const struct mode *mode = NULL;
    req.kind = kinds[i];
    assert_int_equal(component_compose(&req, &c, &mode, &err), OME_OK);
    assert_int_equal(json_i64(c, "podSpec.terminationGracePeriodSeconds", 0), seconds[i]);
    json_unref(c);
  }
  json_unref(req.cluster);
  json_unref(runtime);
  json_unref(service);
  json_unref(config);
}

static void says_what_is_wrong(void **state) {
  struct ome_err err = ERR_INIT;

  (void)state;
  assert_null(compose("engine", SERVICE "spec: {engine: {minReplicas: 5, maxReplicas: 2}}", false, &err));
  assert_non_null(strstr(err.msg, "spec.engine: minReplicas 5 must not exceed maxReplicas 2"));
  assert_null(compose("decoder", SERVICE "spec: {engine: {}, decoder: {}}", false, &err));
  assert_non_null(strstr(err.msg, "no containers found"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(mounts_and_places_the_model),
      cmocka_unit_test(mounts_a_claim),
      cmocka_unit_test(labels_as_ome),
      cmocka_unit_test(lets_the_service_win),
      cmocka_unit_test(puts_the_runner_over_its_container),
      cmocka_unit_test(gives_the_replicas_one_owner),
      cmocka_unit_test(leaves_routers_alone),
      cmocka_unit_test(brings_a_router_where_nobody_does),
      cmocka_unit_test(lets_a_service_have_its_router),
      cmocka_unit_test(finds_the_mode),
      cmocka_unit_test(names_the_protocols_of_ports),
      cmocka_unit_test(spreads_replicas),
      cmocka_unit_test(gives_pods_the_time_of_the_site),
      cmocka_unit_test(says_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
