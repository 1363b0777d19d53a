#include "../unit.h"

#include "documents.h"

#include "base/yaml.h"
#include "os/file.h"

static const struct {
  const char *group, *version, *kind;
} kinds[] = {
    {"", "v1", "ConfigMap"},
    {"", "v1", "Endpoints"},
    {"", "v1", "Event"},
    {"", "v1", "Namespace"},
    {"", "v1", "Node"},
    {"", "v1", "PersistentVolume"},
    {"", "v1", "PersistentVolumeClaim"},
    {"", "v1", "Pod"},
    {"", "v1", "Secret"},
    {"", "v1", "Service"},
    {"", "v1", "ServiceAccount"},
    {"admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration"},
    {"admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration"},
    {"apiextensions.k8s.io", "v1", "CustomResourceDefinition"},
    {"apps", "v1", "DaemonSet"},
    {"apps", "v1", "Deployment"},
    {"apps", "v1", "ReplicaSet"},
    {"apps", "v1", "StatefulSet"},
    {"autoscaling", "v1", "HorizontalPodAutoscaler"},
    {"autoscaling", "v2", "HorizontalPodAutoscaler"},
    {"batch", "v1", "CronJob"},
    {"batch", "v1", "Job"},
    {"coordination.k8s.io", "v1", "Lease"},
    {"discovery.k8s.io", "v1", "EndpointSlice"},
    {"events.k8s.io", "v1", "Event"},
    {"ome.io", "v1beta1", "AcceleratorClass"},
    {"ome.io", "v1beta1", "BaseModel"},
    {"ome.io", "v1beta1", "BenchmarkJob"},
    {"ome.io", "v1beta1", "ClusterBaseModel"},
    {"ome.io", "v1beta1", "ClusterServingRuntime"},
    {"ome.io", "v1beta1", "FineTunedWeight"},
    {"ome.io", "v1beta1", "InferenceService"},
    {"ome.io", "v1beta1", "ServingRuntime"},
    {"policy", "v1", "PodDisruptionBudget"},
    {"rbac.authorization.k8s.io", "v1", "ClusterRoleBinding"},
    {"rbac.authorization.k8s.io", "v1", "Role"},
};

static void test_known(UNUSED void **state) {
  for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
    const struct schema *s = schema_builtin(kinds[i].group, kinds[i].version, kinds[i].kind);
    if (!s || !schema_field(s, "metadata") || !schema_field(s, "apiVersion"))
      fail_msg("%s/%s %s is not known", kinds[i].group, kinds[i].version, kinds[i].kind);
    assert_ptr_equal(s, schema_builtin(kinds[i].group, kinds[i].version, kinds[i].kind));
  }
  assert_null(schema_builtin("apps", "v1", "Pod"));
  assert_null(schema_builtin("", "v2", "Pod"));
  assert_null(schema_builtin("ome.io", "v1", "BaseModel"));
}

/* What merging by key stands on. */
static void test_lists(UNUSED void **state) {
  const struct schema *pod = schema_field(schema_builtin("", "v1", "Pod"), "spec");
  const struct schema *containers = schema_field(pod, "containers");
  const struct schema *ports = schema_field(containers->items, "ports");
  const struct schema *claim = schema_field(schema_builtin("", "v1", "PersistentVolumeClaim"), "spec");

  assert_int_equal(containers->list_type, SCHEMA_LIST_MAP);
  assert_string_equal(containers->list_map_keys[0], "name");
  assert_string_equal(containers->patch_merge_key, "name");
  assert_string_equal(ports->list_map_keys[1], "protocol");
  assert_string_equal(ports->patch_merge_key, "containerPort");
  assert_true(schema_field(pod, "nodeSelector")->map_atomic);
  /* An enum is of the elements, not of the list. */
  assert_null(schema_field(claim, "accessModes")->enumeration);
  assert_non_null(schema_field(claim, "accessModes")->items->enumeration);
}

/* Runtimes and services are merged, so nothing may be filled in below their pods but what keys need. */
static void test_no_pod_defaults(UNUSED void **state) {
  _cleanup_json_ struct json_object *o =
      doc("{'spec':{'engine':{'runner':{'name':'r','image':'i','ports':[{'containerPort':80}],'livenessProbe':{}},"
          "'volumes':[{'name':'v','emptyDir':{}}],'deploymentStrategy':{}}}}");

  schema_default(schema_builtin("ome.io", "v1beta1", "InferenceService"), o);
  assert_document(o,
                  "{'spec':{'engine':{'runner':{'name':'r','image':'i','ports':[{'containerPort':80,'protocol':'TCP'}],"
                  "'livenessProbe':{}},'volumes':[{'name':'v','emptyDir':{}}],'deploymentStrategy':{}}}}");
}

/* manifests/crds holds what `ome crds --write manifests/crds` writes, each small enough for client-side apply. */
static void test_manifests(UNUSED void **state) {
  _cleanup_json_ struct json_object *crds = api_crds();

  assert_int_equal(json_len(crds), 8);
  for (size_t i = 0; i < json_len(crds); i++) {
    struct json_object *crd = json_index(crds, i);
    const char *plural = json_str(crd, "spec.names.plural", "");
    _cleanup_buf_ struct buf wanted = BUF_INIT;
    _cleanup_free_ char *path = str_printf("%s/manifests/crds/ome.io_%s.yaml", OME_SOURCE_DIR, plural);
    _cleanup_free_ char *text = NULL;
    struct ome_err err = ERR_INIT;
    size_t len = 0;
    yaml_write(&wanted, crd);
    if (file_read(path, JSON_MAX_BYTES, &text, &len, &err) != OME_OK)
      fail_msg("%s", err.msg);
    if (!streq(text, buf_str(&wanted)))
      fail_msg("%s is not current; run `ome crds --write manifests/crds`", path);
    assert_true(len < 200 * 1000);
  }
}

/* Every CRD reads back as a structural schema. */
static void test_structural(UNUSED void **state) {
  _cleanup_json_ struct json_object *crds = api_crds();

  for (size_t i = 0; i < json_len(crds); i++) {
    struct json_object *version = json_index(json_at(json_index(crds, i), "spec.versions"), 0);
    struct schema_doc *d = NULL;
    struct ome_err err = ERR_INIT;
    if (schema_from_openapi(json_at(version, "schema.openAPIV3Schema"), &d, &err) != OME_OK)
      fail_msg("%s: %s", json_str(json_index(crds, i), "metadata.name", ""), err.msg);
    _cleanup_json_ struct json_object *again = schema_to_openapi(schema_root(d), true);
    assert_true(json_equal(again, json_at(version, "schema.openAPIV3Schema")));
    schema_doc_free(d);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_known),     cmocka_unit_test(test_lists),      cmocka_unit_test(test_no_pod_defaults),
      cmocka_unit_test(test_manifests), cmocka_unit_test(test_structural),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
