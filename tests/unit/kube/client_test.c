/* Requests and their errors, kubeconfig files, and what every object has. */
#include "fake.h"

#include "base/str.h"
#include "kube/config.h"
#include "kube/meta.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- errors ---------------------------------------------------------------------------------------------------- */

#define STATUS(reason, message)                                                                                        \
  "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"reason\":\"" reason "\",\"message\":\"" message \
  "\"}"

static const struct {
  struct fake_answer answer;
  int32_t code;
  uint32_t retry_after_ms;
  const char *message; /* whole; NULL: whatever, but something */
} failures[] = {
    {{404, STATUS("NotFound", "pods \\\"p\\\" not found"), NULL}, OME_E_NOT_FOUND, 0, "pods \"p\" not found"},
    {{409, STATUS("AlreadyExists", "it exists"), NULL}, OME_E_EXISTS, 0, "it exists"},
    {{409, STATUS("Conflict", "was modified"), NULL}, OME_E_CONFLICT, 0, "was modified"},
    {{422, STATUS("Invalid", "spec: Required"), NULL}, OME_E_INVALID, 0, "spec: Required"},
    {{403, STATUS("Forbidden", "may not"), NULL}, OME_E_DENIED, 0, "may not"},
    {{401, STATUS("Unauthorized", "who"), NULL}, OME_E_DENIED, 0, "who"},
    {{429, STATUS("TooManyRequests", "slow down"), "3"}, OME_E_BUSY, 3000, "slow down"},
    {{504, STATUS("Timeout", "too long"), NULL}, OME_E_DEADLINE, 0, "too long"},
    {{500, STATUS("InternalError", "oh"), NULL}, OME_E_UNAVAILABLE, 0, "oh"},
    {{410, STATUS("Expired", "too old"), NULL}, OME_E_NOT_FOUND, 0, "too old"},
    {{404, STATUS("NotFound", ""), NULL}, OME_E_NOT_FOUND, 0, ""},
    {{503, "<html>busy</html>", "7"}, OME_E_UNAVAILABLE, 7000, NULL}, /* a proxy, not the API server */
    {{404, "", NULL}, OME_E_NOT_FOUND, 0, NULL},
    {{409, "[]", NULL}, OME_E_CONFLICT, 0, NULL},
    {{403, "{\"kind\":\"Other\",\"reason\":\"NotFound\"}", NULL}, OME_E_DENIED, 0, NULL},
};

static void test_failures(void **state) {
  struct fake *f = *state;
  struct kube_client *c = fake_client(f, "{}");

  for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
    struct ome_err err = ERR_INIT;
    struct json_object *o = NULL;
    fake_script(f, &failures[i].answer, 1);
    if (kube_get(c, &KUBE_PODS, "ns", "p", &o, &err) != failures[i].code || err.code != failures[i].code)
      fail_msg("answer %zu: code %d: %s", i, err.code, err.msg);
    assert_null(o);
    assert_int_equal(err.retry_after_ms, failures[i].retry_after_ms);
    if (failures[i].message)
      assert_string_equal(err.msg, failures[i].message);
    else
      assert_int_not_equal(strlen(err.msg), 0);
  }
  kube_client_free(c);
}

static void test_unreadable_answer(void **state) {
  struct fake *f = *state;
  struct kube_client *c = fake_client(f, "{}");
  struct ome_err err = ERR_INIT;
  struct json_object *o = NULL;

  fake_script(f, &(struct fake_answer){200, "{\"kind\":", NULL}, 1);
  assert_int_not_equal(kube_get(c, &KUBE_PODS, "ns", "p", &o, &err), OME_OK);
  assert_null(o);
  assert_true(has_prefix(err.msg, "GET /api/v1/namespaces/ns/pods/p: "));
  kube_client_free(c);
}

/* ---- requests -------------------------------------------------------------------------------------------------- */

static void test_requests(void **state) {
  struct fake *f = *state;
  struct kube_client *c = fake_client(f, "{}");
  struct ome_err err = ERR_INIT;
  _cleanup_json_ struct json_object *o =
      json_tokener_parse("{\"kind\":\"Deployment\",\"metadata\":{\"namespace\":\"ns\",\"name\":\"d\"}}");

  assert_string_equal(kube_client_namespace(c), "space");
  assert_int_equal(kube_create(c, &KUBE_DEPLOYMENTS, o, NULL, &err), OME_OK);
  assert_string_equal(f->line, "POST /apis/apps/v1/namespaces/ns/deployments");
  assert_string_equal(f->content_type, "application/json");
  assert_int_equal(kube_update_status(c, &KUBE_DEPLOYMENTS, o, NULL, &err), OME_OK);
  assert_string_equal(f->line, "PUT /apis/apps/v1/namespaces/ns/deployments/d/status");
  assert_int_equal(kube_apply(c, &KUBE_DEPLOYMENTS, o, NULL, "me", true, NULL, &err), OME_OK);
  assert_string_equal(f->line, "PATCH /apis/apps/v1/namespaces/ns/deployments/d?fieldManager=me&force=true");
  assert_string_equal(f->content_type, "application/apply-patch+yaml");
  assert_int_equal(kube_patch(c, &KUBE_NODES, NULL, "n/../x", NULL, KUBE_PATCH_MERGE, o, NULL, &err), OME_OK);
  assert_string_equal(f->line, "PATCH /api/v1/nodes/n%2F..%2Fx"); /* a name cannot leave its place */
  assert_string_equal(f->content_type, "application/merge-patch+json");
  assert_int_equal(kube_delete(c, &KUBE_PODS, "ns", "p", "u-1", KUBE_FOREGROUND, &err), OME_OK);
  assert_string_equal(f->line, "DELETE /api/v1/namespaces/ns/pods/p");
  assert_non_null(strstr(buf_str(&f->body), "\"propagationPolicy\":\"Foreground\""));
  assert_non_null(strstr(buf_str(&f->body), "\"preconditions\":{\"uid\":\"u-1\"}"));
  kube_client_free(c);
}

/* An apply to the one object that is meant, or to none. */
static void test_apply_on(void **state) {
  static const char immutable[] =
      "{\"kind\":\"Status\",\"reason\":\"Invalid\",\"message\":\"ConfigMap \\\"d\\\" is invalid: "
      "metadata.uid: Invalid value: \\\"u-1\\\": field is immutable\"}";
  struct fake *f = *state;
  struct kube_client *c = fake_client(f, "{}");
  struct ome_err err = ERR_INIT;
  _cleanup_json_ struct json_object *o = json_object_new_object();

  (void)json_set_str(o, "metadata.name", "d");
  (void)json_set_str(o, "metadata.namespace", "ns");
  _cleanup_free_ char *before = json_text(o);
  assert_int_equal(kube_apply_on(c, &KUBE_CONFIGMAPS, o, NULL, "me", NULL, &err), OME_OK);
  assert_string_equal(f->line, "PATCH /api/v1/namespaces/ns/configmaps/d?fieldManager=me&force=true");
  assert_non_null(strstr(buf_str(&f->body), "\"resourceVersion\":\"1\""));
  assert_int_equal(kube_apply_on(c, &KUBE_CONFIGMAPS, o, "u-1", "me", NULL, &err), OME_OK);
  assert_non_null(strstr(buf_str(&f->body), "\"uid\":\"u-1\""));
  assert_null(strstr(buf_str(&f->body), "resourceVersion"));
  fake_script(f, &(struct fake_answer){422, immutable, NULL}, 1);
  assert_int_equal(kube_apply_on(c, &KUBE_CONFIGMAPS, o, "u-1", "me", NULL, &err), OME_E_CONFLICT);
  assert_int_equal(err.code, OME_E_CONFLICT);
  _cleanup_free_ char *after = json_text(o);
  assert_string_equal(after, before);
  kube_client_free(c);
}

static void test_list_takes_all_pages(void **state) {
  struct fake *f = *state;
  struct kube_client *c = fake_client(f, "{}");
  const struct fake_answer pages[] = {
      {200, "{\"metadata\":{\"resourceVersion\":\"5\",\"continue\":\"t&1\"},\"items\":[{\"a\":1},{\"a\":2}]}", NULL},
      {200, "{\"metadata\":{\"resourceVersion\":\"6\"},\"items\":[{\"a\":3}]}", NULL},
  };
  const struct kube_list_opts opts = {.labels = "k in (a,b)", .limit = 2};
  struct ome_err err = ERR_INIT;
  _cleanup_json_ struct json_object *list = NULL;

  fake_script(f, pages, 2);
  assert_int_equal(kube_list(c, &KUBE_PODS, NULL, &opts, &list, &err), OME_OK);
  assert_int_equal(json_len(json_at(list, "items")), 3);
  assert_string_equal(json_str(list, "metadata.resourceVersion", ""), "6");
  assert_string_equal(f->line, "GET /api/v1/pods?limit=2&labelSelector=k%20in%20%28a%2Cb%29&continue=t%261");
  kube_client_free(c);
}

static void test_credentials(void **state) {
  struct fake *f = *state;
  struct ome_err err = ERR_INIT;
  static const char *const cases[][2] = {
      {"{}", ""},
      {"{token: abc}", "Bearer abc"},
      {"{tokenFile: token}", "Bearer from-file"},             /* relative to the kubeconfig, newline cut */
      {"{token: abc, tokenFile: token}", "Bearer from-file"}, /* the file wins: it may be newer */
      {"{username: me, password: pw}", "Basic bWU6cHc="},
  };

  fake_file(f, "token", "from-file\n");
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct kube_client *c = fake_client(f, cases[i][0]);
    assert_int_equal(kube_raw(c, "GET", "/version", NULL, NULL, &err), OME_OK);
    assert_string_equal(f->authorization, cases[i][1]);
    kube_client_free(c);
  }
  struct kube_client *c = fake_client(f, "{tokenFile: absent}");
  assert_int_equal(kube_raw(c, "GET", "/version", NULL, NULL, &err), OME_E_DENIED);
  assert_non_null(strstr(err.msg, "absent"));
  kube_client_free(c);
}

/* ---- kubeconfig ------------------------------------------------------------------------------------------------ */

#define CONFIG                                                                                                         \
  "apiVersion: v1\nkind: Config\ncurrent-context: one\n"                                                               \
  "clusters:\n"                                                                                                        \
  "- name: k1\n  cluster:\n    server: https://h1:6443//\n    certificate-authority-data: Q0EtT05F\n"                  \
  "    tls-server-name: other\n    proxy-url: http://proxy:1\n"                                                        \
  "- name: k2\n  cluster: {server: https://h2, certificate-authority: ca.pem, insecure-skip-tls-verify: true}\n"       \
  "- name: k3\n  cluster: {server: https://h3, certificate-authority-data: '*'}\n"                                     \
  "- name: k4\n  cluster: {}\n"                                                                                        \
  "contexts:\n"                                                                                                        \
  "- name: one\n  context: {cluster: k1, user: u1, namespace: n1}\n"                                                   \
  "- name: two\n  context: {cluster: k2, user: u2}\n"                                                                  \
  "- name: three\n  context: {cluster: k3, user: u1}\n"                                                                \
  "- name: four\n  context: {cluster: k4, user: u1}\n"                                                                 \
  "- name: five\n  context: {cluster: nowhere, user: u1}\n"                                                            \
  "- name: six\n  context: {cluster: k1, user: u3}\n"                                                                  \
  "users:\n"                                                                                                           \
  "- name: u1\n  user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}\n"                                   \
  "- name: u2\n  user: {tokenFile: sub/token, exec: {command: get-token}}\n"                                           \
  "- name: u3\n  user: {client-certificate: absent.pem}\n"

static void test_config_with_data(void **state) {
  struct fake *f = *state;
  struct kube_config c;
  struct ome_err err = ERR_INIT;

  fake_file(f, "config", CONFIG);
  assert_int_equal(kube_config_load(f->kubeconfig, NULL, &c, &err), OME_OK);
  assert_string_equal(c.server, "https://h1:6443");
  assert_string_equal(c.ns, "n1");
  assert_string_equal(c.ca_pem, "CA-ONE");
  assert_string_equal(c.cert_pem, "CERT");
  assert_string_equal(c.key_pem, "KEY");
  assert_string_equal(c.tls_server_name, "other");
  assert_string_equal(c.proxy_url, "http://proxy:1");
  assert_false(c.insecure);
  assert_null(c.token);
  kube_config_fini(&c);
}

static void test_config_with_files(void **state) {
  struct fake *f = *state;
  _cleanup_free_ char *token_file = str_printf("%s/sub/token", f->folder);
  struct kube_config c;
  struct ome_err err = ERR_INIT;

  fake_file(f, "config", CONFIG);
  fake_file(f, "ca.pem", "CA-FILE");
  assert_int_equal(kube_config_load(f->kubeconfig, "two", &c, &err), OME_OK);
  assert_string_equal(c.server, "https://h2");
  assert_string_equal(c.ns, "default");
  assert_string_equal(c.ca_pem, "CA-FILE");
  assert_string_equal(c.token_file, token_file);
  assert_string_equal(json_str(c.exec, "command", ""), "get-token");
  assert_true(c.insecure);
  kube_config_fini(&c);
  /* Without a name the environment says which file. */
  assert_int_equal(setenv("KUBECONFIG", f->kubeconfig, 1), 0);
  assert_int_equal(kube_config_load(NULL, "one", &c, &err), OME_OK);
  assert_string_equal(c.server, "https://h1:6443");
  kube_config_fini(&c);
  assert_int_equal(unsetenv("KUBECONFIG"), 0);
}

static void test_config_refusals(void **state) {
  struct fake *f = *state;
  static const struct {
    const char *context;
    int32_t code;
    const char *says;
  } cases[] = {
      {"three", OME_E_INVALID, "certificate-authority-data"},
      {"four", OME_E_INVALID, "no server"},
      {"five", OME_E_INVALID, "no server"},
      {"six", OME_E_NOT_FOUND, "absent.pem"},
      {"seven", OME_E_NOT_FOUND, "seven"},
  };

  fake_file(f, "config", CONFIG);
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct ome_err err = ERR_INIT;
    struct kube_config c;
    if (kube_config_load(f->kubeconfig, cases[i].context, &c, &err) != cases[i].code || !strstr(err.msg, cases[i].says))
      fail_msg("%s: code %d: %s", cases[i].context, err.code, err.msg);
  }
  static const char *const texts[] = {"", "[]", "a: [", "current-context: x", "contexts: 7\ncurrent-context: x"};
  for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
    struct ome_err err = ERR_INIT;
    struct kube_config c;
    fake_file(f, "config", texts[i]);
    assert_int_not_equal(kube_config_load(f->kubeconfig, NULL, &c, &err), OME_OK);
    assert_int_not_equal(strlen(err.msg), 0);
  }
}

/* ---- meta ------------------------------------------------------------------------------------------------------ */

static void test_conditions(void **state) {
  _cleanup_json_ struct json_object *o = json_object_new_object();
  (void)state;

  assert_null(meta_condition(o, "Ready"));
  assert_true(meta_set_condition(o, "Ready", "False", "Starting", "soon", 1000));
  assert_false(meta_set_condition(o, "Ready", "False", "Starting", "soon", 2000));
  assert_true(meta_set_condition(o, "Other", "True", NULL, NULL, 3000));
  struct json_object *ready = json_index(json_at(o, "status.conditions"), 0);
  assert_string_equal(json_str(ready, "lastTransitionTime", ""), "1970-01-01T00:00:01Z");
  /* Another reason is a change, but no transition. */
  assert_true(meta_set_condition(o, "Ready", "False", "Waiting", NULL, 4000));
  assert_string_equal(json_str(ready, "lastTransitionTime", ""), "1970-01-01T00:00:01Z");
  assert_string_equal(json_str(ready, "reason", ""), "Waiting");
  assert_null(json_at(ready, "message"));
  assert_true(meta_set_condition(o, "Ready", "True", "Waiting", NULL, 5000));
  assert_string_equal(json_str(ready, "lastTransitionTime", ""), "1970-01-01T00:00:05Z");
  assert_string_equal(meta_condition(o, "Ready"), "True");
  assert_string_equal(meta_condition(o, "Other"), "True");
  assert_int_equal(json_len(json_at(o, "status.conditions")), 2);
}

static void test_finalizers(void **state) {
  _cleanup_json_ struct json_object *o = json_object_new_object();
  (void)state;

  assert_false(meta_remove_finalizer(o, "a/b"));
  assert_true(meta_add_finalizer(o, "a/b"));
  assert_false(meta_add_finalizer(o, "a/b"));
  assert_true(meta_add_finalizer(o, "c"));
  assert_true(meta_remove_finalizer(o, "a/b"));
  assert_false(meta_has_finalizer(o, "a/b"));
  assert_true(meta_has_finalizer(o, "c"));
  assert_int_equal(json_len(json_at(o, "metadata.finalizers")), 1);
}

static void test_names_and_owners(void **state) {
  _cleanup_json_ struct json_object *o = json_object_new_object();
  _cleanup_json_ struct json_object *owner = json_tokener_parse(
      "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d\",\"uid\":\"u\",\"generation\":4}}");
  (void)state;

  assert_string_equal(meta_name(o), "");
  assert_string_equal(meta_uid(owner), "u");
  assert_int_equal(meta_generation(owner), 4);
  assert_false(meta_deleting(owner));
  assert_null(meta_owner(o));
  meta_set_owner(o, owner);
  assert_string_equal(json_str(meta_owner(o), "apiVersion", ""), "apps/v1");
  assert_string_equal(json_str(meta_owner(o), "uid", ""), "u");
  assert_null(meta_label(o, "app.kubernetes.io/name"));
  meta_set_label(o, "app.kubernetes.io/name", "x"); /* the dots are no path */
  meta_set_annotation(o, "a.b/c", "y");
  assert_string_equal(meta_label(o, "app.kubernetes.io/name"), "x");
  assert_string_equal(meta_annotation(o, "a.b/c"), "y");
  assert_null(meta_annotation(o, "app.kubernetes.io/name"));
}

#define WITH_FAKE(t) cmocka_unit_test_setup_teardown(t, fake_setup, fake_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_FAKE(test_failures),          WITH_FAKE(test_unreadable_answer),    WITH_FAKE(test_requests),
      WITH_FAKE(test_apply_on),          WITH_FAKE(test_list_takes_all_pages), WITH_FAKE(test_credentials),
      WITH_FAKE(test_config_with_data),  WITH_FAKE(test_config_with_files),    WITH_FAKE(test_config_refusals),
      cmocka_unit_test(test_conditions), cmocka_unit_test(test_finalizers),    cmocka_unit_test(test_names_and_owners),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
