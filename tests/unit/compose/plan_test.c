/* The whole way from documents to objects, with the shipped plugins. */
#include "../unit.h"

#include "base/str.h"
#include "base/yaml.h"
#include "compose/offline.h"
#include "kube/meta.h"

#include <stdio.h>
#include <stdlib.h>

static struct plugins *plugins;

static void ok(int32_t rc, const struct ome_err *err) {
  if (rc != OME_OK)
    fail_msg("%s", err->msg);
}

static int load(void **state) {
  struct ome_err err = ERR_INIT;

  (void)state;
  ok(plugins_load(getenv("OME_TEST_PLUGINS_CONF"), NULL, 0, &plugins, &err), &err);
  return 0;
}

static int unload(void **state) {
  (void)state;
  plugins_free(plugins);
  return 0;
}

static int32_t collect(void *arg, struct json_object *doc, size_t line, struct ome_err *err) {
  (void)line, (void)err;
  return json_object_array_add(arg, doc) == 0 ? OME_OK : OME_E_NO_MEMORY;
}

static const char input[] =
    "apiVersion: ome.io/v1beta1\nkind: ClusterBaseModel\nmetadata: {name: m, labels: {a: b, c: d}}\n"
    "spec: {vendor: v, modelFormat: {name: gguf}, storage: {storageUri: 'hf://x', path: /m, parameters: {k: v, l: w}}}\n"
    "---\napiVersion: ome.io/v1beta1\nkind: ClusterServingRuntime\nmetadata: {name: r2}\n"
    "spec: {supportedModelFormats: [{modelFormat: {name: gguf}, autoSelect: true}], engineConfig: {runner: {name: c, "
    "image: i}}}\n"
    "---\napiVersion: ome.io/v1beta1\nkind: ClusterServingRuntime\nmetadata: {name: r1}\n"
    "spec: {supportedModelFormats: [{modelFormat: {name: gguf}, autoSelect: true}], nodeSelector: {x: y, z: w}, "
    "engineConfig: {labels: {l1: a, l2: b}, annotations: {a1: a, a2: b}, nodeSelector: {q: r}, runner: {name: "
    "ome-container, image: i, env: [{name: A, value: '1'}], resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: "
    "1}}}}, routerConfig: {config: {K: '1', B: '2', Z: '3'}, runner: {name: router, image: ri}}}\n"
    "---\napiVersion: ome.io/v1beta1\nkind: InferenceService\nmetadata: {name: s, namespace: n, labels: {t: u, v: w}, "
    "annotations: {p: q, r: s}}\n"
    "spec: {model: {name: m}, engine: {labels: {l3: c}, runner: {env: [{name: B, value: '2'}]}}, router: {config: {K: "
    "'9'}}}\n";

static struct json_object *documents(void) {
  struct json_object *docs = json_object_new_array();
  struct ome_err err = ERR_INIT;

  ok(yaml_parse("test", input, strlen(input), collect, docs, &err), &err);
  return docs;
}

/* The objects of the one service in DOCS, as text; new. */
static char *rendered(struct json_object *docs, bool embedded) {
  struct offline o;
  struct plan *plan = NULL;
  struct ome_err err = ERR_INIT;

  ok(offline_init(&o, docs, embedded, plugins, &err), &err);
  assert_int_equal(json_len(o.problems), 0);
  assert_int_equal(json_len(o.services), 1);
  ok(plan_service(&o.world, json_index(o.services, 0), &plan, &err), &err);
  if (plan->nproblems)
    fail_msg("%s", plan->problems[0].message);
  char *text = json_text(plan->objects);
  plan_free(plan);
  offline_fini(&o);
  return text;
}

/* A copy with the keys of every map in another order. */
static struct json_object *shuffled(struct json_object *o, unsigned *seed) {
  if (json_is(o, json_type_array)) {
    struct json_object *a = json_object_new_array();
    for (size_t i = 0; i < json_len(o); i++)
      (void)json_object_array_add(a, shuffled(json_index(o, i), seed));
    return a;
  }
  if (!json_is(o, json_type_object))
    return json_object_get(o);
  const char *keys[32];
  size_t n = 0;
  json_object_object_foreach (o, key, value) {
    (void)value;
    assert_true(n < ARRAY_LEN(keys));
    keys[n++] = key;
  }
  struct json_object *out = json_object_new_object();
  while (n > 0) {
    size_t i = (size_t)rand_r(seed) % n;
    (void)json_object_object_add(out, keys[i], shuffled(json_get(o, keys[i]), seed));
    keys[i] = keys[--n];
  }
  return out;
}

static void does_not_depend_on_order(void **state) {
  struct json_object *docs = documents();
  char *want = rendered(docs, false);
  unsigned seed = 7;

  (void)state;
  for (int i = 0; i < 100; i++) {
    struct json_object *other = shuffled(docs, &seed);
    /* The documents come in another order too. */
    size_t from = (size_t)rand_r(&seed) % json_len(other);
    struct json_object *moved = json_object_get(json_index(other, from));
    (void)json_object_array_del_idx(other, from, 1);
    (void)json_object_array_add(other, moved);
    char *got = rendered(other, false);
    assert_string_equal(got, want);
    free(got);
    json_unref(other);
  }
  free(want);
  json_unref(docs);
}

static bool has_object(const char *text, const char *kind) {
  _cleanup_free_ char *key = str_printf("\"kind\":\"%s\"", kind);

  return strstr(text, key) != NULL;
}

static void renders_for_the_place(void **state) {
  struct json_object *docs = documents();
  char *cluster = rendered(docs, false);
  char *local = rendered(docs, true);

  (void)state;
  assert_true(has_object(cluster, "HorizontalPodAutoscaler"));
  assert_true(has_object(cluster, "PodDisruptionBudget"));
  assert_true(has_object(cluster, "RoleBinding"));
  assert_false(has_object(local, "HorizontalPodAutoscaler"));
  assert_false(has_object(local, "PodDisruptionBudget"));
  assert_false(has_object(local, "RoleBinding"));
  assert_true(has_object(local, "Deployment"));
  assert_non_null(strstr(local, "\"replicas\":1"));
  assert_null(strstr(cluster, "\"replicas\":"));
  free(cluster);
  free(local);
  json_unref(docs);
}

static void owns_what_it_renders(void **state) {
  struct json_object *docs = documents();
  struct offline o;
  struct plan *plan = NULL;
  struct ome_err err = ERR_INIT;

  (void)state;
  json_set_str(json_index(docs, 3), "metadata.uid", "u-1");
  ok(offline_init(&o, docs, false, plugins, &err), &err);
  ok(plan_service(&o.world, json_index(o.services, 0), &plan, &err), &err);
  assert_true(json_len(plan->objects) >= 10);
  for (size_t i = 0; i < json_len(plan->objects); i++) {
    struct json_object *x = json_index(plan->objects, i);
    assert_string_equal(json_str(meta_owner(x), "uid", ""), "u-1");
    assert_string_equal(meta_namespace(x), "n");
    assert_string_equal(meta_label(x, "ome.io/inferenceservice"), "s");
  }
  plan_free(plan);
  offline_fini(&o);
  json_unref(docs);
}

static void a_leader_needs_workers(void **state) {
  struct json_object *docs = documents();
  struct offline o;
  struct plan *plan = NULL;
  struct ome_err err = ERR_INIT;

  (void)state;
  json_set_str(json_index(docs, 3), "spec.engine.leader.runner.name", "c");
  ok(offline_init(&o, docs, false, plugins, &err), &err);
  ok(plan_service(&o.world, json_index(o.services, 0), &plan, &err), &err);
  assert_int_equal(plan->nproblems, 1);
  assert_string_equal(plan->problems[0].reason, "InvalidSpec");
  assert_non_null(strstr(plan->problems[0].message, "spec.engine.worker: a leader needs workers"));
  assert_int_equal(json_len(plan->objects), 0);
  plan_free(plan);
  offline_fini(&o);
  json_unref(docs);
}

static void a_virtual_service_has_nothing(void **state) {
  struct json_object *docs = documents();
  struct offline o;
  struct plan *plan = NULL;
  struct ome_err err = ERR_INIT;
  struct json_object *mode = json_object_new_string("VirtualDeployment");

  (void)state;
  (void)json_object_object_add(json_at(json_index(docs, 3), "metadata.annotations"), "ome.io/deploymentMode", mode);
  json_set_str(json_index(docs, 3), "spec.model.name", "not-there");
  ok(offline_init(&o, docs, false, plugins, &err), &err);
  ok(plan_service(&o.world, json_index(o.services, 0), &plan, &err), &err);
  assert_true(plan->is_virtual);
  assert_int_equal(plan->nproblems, 0);
  assert_int_equal(json_len(plan->objects), 0);
  plan_free(plan);
  offline_fini(&o);
  json_unref(docs);
}

static void names_a_missing_api(void **state) {
  struct json_object *docs = documents();
  struct offline o;
  struct plan *plan = NULL;
  struct ome_err err = ERR_INIT;

  (void)state;
  json_set_str(json_index(docs, 3), "spec.deploymentMode", "MultiNodeRayVLLM");
  ok(offline_init(&o, docs, true, plugins, &err), &err);
  ok(plan_service(&o.world, json_index(o.services, 0), &plan, &err), &err);
  assert_int_equal(plan->nproblems, 1);
  assert_string_equal(plan->problems[0].condition, "EngineReady");
  assert_string_equal(plan->problems[0].reason, "APIMissing");
  assert_non_null(strstr(plan->problems[0].message, "ray renders RayCluster (ray.io/v1)"));
  plan_free(plan);
  offline_fini(&o);
  json_unref(docs);
}

/* ---- hostile manifests ------------------------------------------------------------------------------------------- */

static const char *const oddities[] = {"null", "\"x\"", "7", "[]", "{}", "[1]", "[null]", "{\"a\":{}}", "{\"name\":7}"};

static struct json_object *oddity(size_t i) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  ok(json_parse(oddities[i], strlen(oddities[i]), 0, &o, &err), &err);
  return o;
}

/* A copy of O in which node number *COUNTDOWN, in the order of a walk, is something else. */
static struct json_object *disturbed(struct json_object *o, size_t *countdown, size_t with) {
  if ((*countdown)-- == 0)
    return oddity(with);
  if (json_is(o, json_type_array)) {
    struct json_object *a = json_object_new_array();
    for (size_t i = 0; i < json_len(o); i++)
      (void)json_object_array_add(a, disturbed(json_index(o, i), countdown, with));
    return a;
  }
  if (!json_is(o, json_type_object))
    return json_object_get(o);
  struct json_object *out = json_object_new_object();
  json_object_object_foreach (o, key, value) {
    (void)json_object_object_add(out, key, disturbed(value, countdown, with));
  }
  return out;
}

static size_t count_nodes(struct json_object *o) {
  size_t n = 1;

  if (json_is(o, json_type_array))
    for (size_t i = 0; i < json_len(o); i++)
      n += count_nodes(json_index(o, i));
  if (json_is(o, json_type_object)) {
    json_object_object_foreach (o, key, value) {
      (void)key;
      n += count_nodes(value);
    }
  }
  return n;
}

/* Whatever stands wherever in a manifest: there is a plan, or a problem in words. */
static void survives_any_shape(void **state) {
  struct json_object *docs = documents();
  size_t nodes = count_nodes(docs);

  (void)state;
  for (size_t n = 0; n < nodes; n++) {
    for (size_t with = 0; with < ARRAY_LEN(oddities); with++) {
      size_t countdown = n;
      struct json_object *other = disturbed(docs, &countdown, with);
      struct offline o;
      struct ome_err err = ERR_INIT;
      ok(offline_init(&o, other, false, plugins, &err), &err);
      for (size_t i = 0; i < json_len(o.services); i++) {
        struct plan *plan = NULL;
        ok(plan_service(&o.world, json_index(o.services, i), &plan, &err), &err);
        for (size_t p = 0; p < plan->nproblems; p++)
          assert_true(*plan->problems[p].message && *plan->problems[p].reason);
        assert_true(plan->nproblems > 0 || json_len(plan->objects) > 0);
        json_unref(plan_record(plan, 0));
        plan_free(plan);
      }
      offline_fini(&o);
      json_unref(other);
    }
  }
  json_unref(docs);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(does_not_depend_on_order), cmocka_unit_test(renders_for_the_place),
      cmocka_unit_test(owns_what_it_renders),     cmocka_unit_test(names_a_missing_api),
      cmocka_unit_test(a_leader_needs_workers),   cmocka_unit_test(a_virtual_service_has_nothing),
      cmocka_unit_test(survives_any_shape),
  };
  return cmocka_run_group_tests(tests, load, unload);
}
