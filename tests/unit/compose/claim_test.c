/* Addresses of persistent volume claims. */
#include "../unit.h"

#include "../documents.h"
#include "base/str.h"
#include "compose/claim_job.h"
#include "kube/meta.h"

static void reads_addresses(UNUSED void **state) {
  static const struct {
    const char *uri;
    const char *ns, *name, *path; /* name NULL: refused */
  } cases[] = {
      {"pvc://models", NULL, "models", ""},
      {"pvc://models/", NULL, "models", ""},
      {"pvc://models/a/b/", NULL, "models", "a/b"},
      {"pvc://models//a", NULL, "models", "a"},
      {"pvc://team:models/a:b", "team", "models", "a:b"},
      {"pvc://my.claim/..a/b..", NULL, "my.claim", "..a/b.."},
      {"pvc://", NULL, NULL, NULL},
      {"pvc:///a", NULL, NULL, NULL},
      {"pvc://team:/a", NULL, NULL, NULL},
      {"pvc://:models/a", NULL, NULL, NULL},
      {"pvc://Models/a", NULL, NULL, NULL},
      {"pvc://te.am:models", NULL, NULL, NULL},
      {"pvc://models/..", NULL, NULL, NULL},
      {"pvc://models/a/../../b", NULL, NULL, NULL},
      {"hf://models/a", NULL, NULL, NULL},
  };

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct claim c = {0};
    struct ome_err err = ERR_INIT;
    int32_t rc = claim_parse(cases[i].uri, &c, &err);
    if (!cases[i].name) {
      assert_int_equal(rc, OME_E_INVALID);
      assert_non_null(strstr(err.msg, "is no pvc://[NAMESPACE:]CLAIM[/PATH]"));
      assert_null(c.name);
      continue;
    }
    assert_int_equal(rc, OME_OK);
    assert_string_equal(c.name, cases[i].name);
    assert_string_equal(c.path, cases[i].path);
    assert_string_equal(c.ns ? c.ns : "", cases[i].ns ? cases[i].ns : "");
    claim_fini(&c);
  }
}

/* The claim of a model that is a KIND, for a service in "team"; "" when it is fine, else what is wrong. */
static const char *complaint(const char *kind, const char *uri) {
  static struct ome_err err;
  struct claim c = {0};
  char *text =
      str_printf("kind: %s\nmetadata: {name: m, namespace: team}\nspec: {storage: {storageUri: '%s'}}\n", kind, uri);
  struct json_object *model = yaml(text);

  err = (struct ome_err)ERR_INIT;
  (void)claim_of_model(model, "team", &c, &err);
  claim_fini(&c);
  json_unref(model);
  free(text);
  return err.msg;
}

static void keeps_to_the_namespace(UNUSED void **state) {
  assert_string_equal(complaint("ClusterBaseModel", "pvc://team:c/m"), "");
  assert_string_equal(complaint("BaseModel", "pvc://c/m"), "");
  assert_string_equal(complaint("FineTunedWeight", "pvc://c/m"), "");
  assert_string_equal(complaint("FineTunedWeight", "pvc://team:c/m"), "");
  assert_string_equal(complaint("ClusterBaseModel", "pvc://c/m"),
                      "ClusterBaseModel PVC URI must specify a namespace (format: "
                      "pvc://{namespace}:{pvc-name}/{sub-path}), got \"pvc://c/m\"");
  assert_non_null(strstr(complaint("BaseModel", "pvc://team:c/m"), "must not specify a namespace"));
  assert_non_null(strstr(complaint("ClusterBaseModel", "pvc://other:c/m"),
                         "ClusterBaseModel \"m\" references PVC in namespace other"));
  assert_non_null(strstr(complaint("BaseModel", "pvc://c/../m"), "BaseModel m: spec.storage.storageUri: "));
}

/* What is there, in words of the cluster, and what that means for the pods of "team". */
static void looks_at_claims(UNUSED void **state) {
  static const struct {
    const char *claims; /* NULL: nobody has looked */
    int32_t rc;
    const char *says;
  } cases[] = {
      {NULL, OME_OK, ""},
      {"[]", OME_E_NOT_FOUND, "PersistentVolumeClaim team/c is not there"},
      {"[{metadata: {name: c, namespace: other}, status: {phase: Bound}}]", OME_E_NOT_FOUND, "team/c is not there"},
      {"[{metadata: {name: c, namespace: team}, status: {phase: Bound}}]", OME_OK, ""},
      {"[{metadata: {name: c, namespace: team}}]", OME_E_UNAVAILABLE, "team/c is Pending, not Bound"},
      {"[{metadata: {name: b, namespace: team}}, {metadata: {name: c, namespace: team}, status: {phase: Lost}}]",
       OME_E_UNAVAILABLE, "team/c is Lost, not Bound"},
  };
  char name[] = "c";
  const struct claim claim = {.name = name};

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    char *text = cases[i].claims ? str_printf("claims: %s\n", cases[i].claims) : NULL;
    struct json_object *o = text ? yaml(text) : NULL;
    struct ome_err err = ERR_INIT;
    assert_int_equal(claim_check(&claim, "team", json_get(o, "claims"), &err), cases[i].rc);
    assert_non_null(strstr(err.msg, cases[i].says));
    json_unref(o);
    free(text);
  }
}

/* ---- the Job that reads one -------------------------------------------------------------------------------------- */

static const char on_claim[] =
    "apiVersion: ome.io/v1beta1\nkind: ClusterBaseModel\nmetadata: {name: llama.8b, uid: u1}\n"
    "spec: {storage: {storageUri: 'pvc://team:models/a/b'}}\n";

/* It has no account, may write nothing, and mounts no more than the claim. */
static void reads_with_a_job(UNUSED void **state) {
  _cleanup_json_ struct json_object *model = yaml(on_claim);
  const struct claim claim = {.ns = (char[]){"team"}, .name = (char[]){"models"}, .path = (char[]){"a/b"}};
  const struct claim_job_facts facts = {.model = model, .claim = &claim, .ns = "team"};
  _cleanup_json_ struct json_object *job = claim_job(&facts);
  _cleanup_free_ char *name = claim_job_name(model);
  struct json_object *pod = json_at(job, "spec.template.spec"), *c = json_index(json_at(pod, "containers"), 0);
  _cleanup_free_ char *command = json_text(json_get(c, "command")), *volumes = json_text(json_get(pod, "volumes"));

  assert_string_equal(json_str(job, "metadata.name", ""), name);
  assert_int_equal(strlen(name), strlen("llama.8b-metadata-01234567"));
  assert_string_equal(json_str(job, "metadata.namespace", ""), "team");
  assert_string_equal(meta_label(job, "models.ome/model-scope"), "cluster");
  assert_string_equal(command, "[\"ome\",\"inspect\",\"--report\",\"/run/ome-model/a/b\"]");
  assert_string_equal(volumes,
                      "[{\"name\":\"model\",\"persistentVolumeClaim\":{\"claimName\":\"models\",\"readOnly\":true}}]");
  assert_false(json_flag(pod, "automountServiceAccountToken", true));
  assert_true(json_flag(pod, "securityContext.runAsNonRoot", false));
  assert_null(json_at(pod, "securityContext.fsGroup"));
  assert_true(json_flag(c, "securityContext.readOnlyRootFilesystem", false));
  assert_true(json_set_str(model, "spec.storage.storageUri", "pvc://team:models/c"));
  _cleanup_free_ char *other = claim_job_name(model);
  assert_string_not_equal(other, name);
}

static void understands_what_it_said(UNUSED void **state) {
  static const struct {
    const char *event;
    int32_t rc;
    const char *says;
  } cases[] = {
      {"{event: done, config: {modelType: llama}}", OME_OK, NULL},
      {"{event: done}", OME_E_UNAVAILABLE, "said nothing"},
      {"{event: error, code: NotFound, message: gone}", OME_E_NOT_FOUND, "gone"},
      {"{event: error, code: Unsupported, message: what}", OME_E_UNSUPPORTED, "what"},
      {"{event: error, code: Corrupt, message: bad}", OME_E_INVALID, "bad"},
      {"{event: error}", OME_E_INVALID, "does not say why"},
      {NULL, OME_E_UNAVAILABLE, "said nothing"},
  };

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_json_ struct json_object *event = cases[i].event ? yaml(cases[i].event) : NULL;
    _cleanup_json_ struct json_object *config = NULL;
    struct ome_err err = ERR_INIT;
    assert_int_equal(claim_job_result(event, &config, &err), cases[i].rc);
    if (cases[i].says)
      assert_non_null(strstr(err.msg, cases[i].says));
    else
      assert_string_equal(json_str(config, "modelType", ""), "llama");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_addresses),  cmocka_unit_test(keeps_to_the_namespace),   cmocka_unit_test(looks_at_claims),
      cmocka_unit_test(reads_with_a_job), cmocka_unit_test(understands_what_it_said),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
