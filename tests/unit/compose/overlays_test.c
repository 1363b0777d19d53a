/* Further models of a service: where they are seen, and which are left out. */
#include "../unit.h"

#include "edges.h"

#include "compose/overlays.h"
#include "kube/meta.h"

#include <string.h>

static const char models[] =
    "apiVersion: ome.io/v1beta1\nkind: ClusterBaseModel\nmetadata: {name: style-a}\n"
    "spec: {modelFormat: {name: safetensors}, storage: {storageUri: 'hf://example/a', path: /models/a}}\n---\n"
    "apiVersion: ome.io/v1beta1\nkind: BaseModel\nmetadata: {name: draft.b, namespace: team}\n"
    "spec: {modelFormat: {name: safetensors}, storage: {storageUri: 'pvc://drafts/b'}}\n---\n"
    "apiVersion: ome.io/v1beta1\nkind: ClusterBaseModel\nmetadata: {name: off}\n"
    "spec: {disabled: true, modelFormat: {name: safetensors}, storage: {storageUri: 'hf://example/o', path: /models/o}}\n"
    "---\n"
    "apiVersion: ome.io/v1beta1\nkind: InferenceService\nmetadata: {name: s, namespace: team}\n";

static void plan_with(struct edges *e, struct json_object **docs, const char *spec) {
  _cleanup_free_ char *text = str_printf("%sspec: %s\n", models, spec);
  struct ome_err err = ERR_INIT;

  *docs = json_object_new_array();
  edges_read(EDGES_BASE, *docs);
  ok(yaml_parse("case", text, strlen(text), edges_collect, *docs, &err), &err);
  edges_plan(e, *docs);
  if (e->plan->nproblems)
    fail_msg("%s", e->plan->problems[0].message);
}

static struct json_object *pod_of(struct edges *e, const char *name) {
  for (size_t i = 0; i < json_len(e->plan->objects); i++) {
    struct json_object *o = json_index(e->plan->objects, i);
    if (streq(json_str(o, "kind", ""), "Deployment") && streq(meta_name(o), name))
      return json_at(o, "spec.template.spec");
  }
  return NULL;
}

/* What the service's status says of overlays; new. */
static struct json_object *status_of(struct edges *e) {
  struct json_object *holder = json_object_new_object();

  (void)json_set(holder, "status", json_object_new_object());
  assert_true(overlays_put_status(e->plan, holder, 0));
  return holder;
}

static void check_sees(struct json_object *pod, const char *variable, const char *path, const char *inside) {
  struct json_object *c = json_find(json_get(pod, "containers"), "name", "ome-container");
  struct json_object *mount = json_find(json_get(c, "volumeMounts"), "mountPath", path);

  assert_string_equal(json_str(json_find(json_get(c, "env"), "name", variable), "value", ""), path);
  assert_true(json_flag(mount, "readOnly", false));
  assert_string_equal(json_str(mount, "subPath", ""), inside);
  assert_non_null(json_find(json_get(pod, "volumes"), "name", json_str(mount, "name", "")));
}

static void mounts_them(UNUSED void **state) {
  static const char *const components[] = {"s-engine", "s-decoder"};
  struct json_object *docs = NULL;
  struct edges e;

  plan_with(&e, &docs,
            "{model: {name: m, overlays: [{name: style-a}, {name: draft.b}]}, engine: {}, decoder: {}, router: {}}");
  for (size_t i = 0; i < ARRAY_LEN(components); i++) {
    struct json_object *pod = pod_of(&e, components[i]);
    check_sees(pod, "OVERLAY_STYLE_A_MODEL_PATH", "/opt/ml/model-overlays/style-a", "");
    check_sees(pod, "OVERLAY_DRAFT_B_MODEL_PATH", "/opt/ml/model-overlays/draft.b", "b");
    /* Nodes have what is on nodes. */
    assert_non_null(json_get(json_get(pod, "nodeSelector"), "models.ome.io/clusterbasemodel.style-a"));
    assert_non_null(json_get(json_get(pod, "nodeSelector"), "models.ome.io/clusterbasemodel.m"));
    assert_int_equal(json_object_object_length(json_get(pod, "nodeSelector")), 2);
  }
  assert_null(strstr(json_object_to_json_string(pod_of(&e, "s-router")), "OVERLAY_"));
  assert_int_equal(json_len(e.plan->warnings), 0);
  _cleanup_json_ struct json_object *holder = status_of(&e);
  assert_string_equal(meta_condition(holder, "OverlaysReady"), "True");
  assert_string_equal(json_str(json_index(json_at(holder, "status.mountedOverlays"), 1), "envVar", ""),
                      "OVERLAY_DRAFT_B_MODEL_PATH");
  edges_fini(&e);
  json_unref(docs);
}

static void leaves_out_what_is_not_there(UNUSED void **state) {
  struct json_object *docs = NULL;
  struct edges e;

  plan_with(&e, &docs, "{model: {name: m, overlays: [{name: none}, {name: style-a}, {name: off}]}, engine: {}}");
  check_sees(pod_of(&e, "s-engine"), "OVERLAY_STYLE_A_MODEL_PATH", "/opt/ml/model-overlays/style-a", "");
  _cleanup_json_ struct json_object *holder = status_of(&e);
  struct json_object *c = json_find(json_at(holder, "status.conditions"), "type", "OverlaysReady");
  assert_string_equal(json_str(c, "reason", ""), "OverlaysSkipped");
  assert_string_equal(json_str(c, "message", ""),
                      "spec.model.overlays[0]: none is left out: there is no such ClusterBaseModel or BaseModel; "
                      "spec.model.overlays[2]: off is left out: it is disabled");
  assert_int_equal(json_len(e.plan->warnings), 1);
  assert_int_equal(json_len(json_at(holder, "status.mountedOverlays")), 1);
  edges_fini(&e);
  json_unref(docs);
}

static void says_nothing_without_any(UNUSED void **state) {
  struct json_object *docs = NULL;
  struct edges e;

  plan_with(&e, &docs, "{model: {name: m}, engine: {}}");
  _cleanup_json_ struct json_object *holder = status_of(&e);
  assert_null(meta_condition(holder, "OverlaysReady"));
  assert_null(json_at(holder, "status.mountedOverlays"));
  edges_fini(&e);
  json_unref(docs);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(mounts_them),
      cmocka_unit_test(leaves_out_what_is_not_there),
      cmocka_unit_test(says_nothing_without_any),
  };

  return cmocka_run_group_tests(tests, edges_load, edges_unload);
}
