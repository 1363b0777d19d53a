/* What the agent tells the cluster, against the embedded API server: the entry's schema, and what comes before what. */
#include "../unit.h"

#include "agent/record.h"
#include "apiserver/apiserver.h"
#include "base/json.h"
#include "base/str.h"
#include "kube/meta.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>

#define NODE "{\"apiVersion\": \"v1\", \"kind\": \"Node\", \"metadata\": {\"name\": \"n1\"}}"
#define OME "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"ome\"}}"

struct stand {
  char dir[64];
  struct apiserver *server;
  struct kube_client *client;
  struct record record;
};

static void ok(int32_t rc, const struct ome_err *err) {
  if (rc != OME_OK)
    fail_msg("%s", err->msg);
}

static struct json_object *parse(const char *text) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  ok(json_parse(text, strlen(text), 0, &o, &err), &err);
  return o;
}

static void create(struct stand *s, const struct kube_resource *r, const char *text) {
  _cleanup_json_ struct json_object *o = parse(text);
  struct ome_err err = ERR_INIT;

  ok(kube_create(s->client, r, o, NULL, &err), &err);
}

static int setup(void **state) {
  struct stand *s = calloc(1, sizeof(*s));
  struct ome_err err = ERR_INIT;

  (void)snprintf(s->dir, sizeof(s->dir), "/tmp/ome-record-XXXXXX");
  assert_non_null(mkdtemp(s->dir));
  struct apiserver_config server = {.data_dir = s->dir};
  ok(apiserver_start(&server, &s->server, &err), &err);
  ok(kube_client_new(apiserver_kubeconfig(s->server), NULL, &s->client, &err), &err);
  create(s, &KUBE_NODES, NODE);
  create(s, &KUBE_NAMESPACES, OME);
  s->record = (struct record){s->client, "n1", "ome"};
  *state = s;
  return 0;
}

static int teardown(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  kube_client_free(s->client);
  apiserver_stop(s->server);
  (void)tree_remove(s->dir, &err);
  free(s);
  return 0;
}

static struct json_object *node_of(struct stand *s) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  ok(kube_get(s->client, &KUBE_NODES, NULL, "n1", &o, &err), &err);
  return o;
}

static struct json_object *map_of(struct stand *s) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  ok(kube_get(s->client, &KUBE_CONFIGMAPS, "ome", "n1", &o, &err), &err);
  return o;
}

/* The entry at KEY, new; NULL: none. */
static struct json_object *entry_at(struct stand *s, const char *key) {
  _cleanup_json_ struct json_object *map = map_of(s);
  struct json_object *text = json_get(json_at(map, "data"), key);

  return text ? parse(json_object_get_string(text)) : NULL;
}

static void expect_label(struct stand *s, const char *key, const char *want) {
  _cleanup_json_ struct json_object *node = node_of(s);
  const char *value = meta_label(node, key);

  assert_string_equal(value ? value : "none", want);
}

static void writes_an_entry(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  const struct transfer_event progress = {
      .bytes = 5, .total_bytes = 10, .files = 1, .total_files = 2, .bytes_per_second = 2.5, .eta_ms = 2001};
  struct record_entry e = {.model = "m", .status = RECORD_UPDATING};

  ok(record_put(&s->record, &e, &err), &err);
  expect_label(s, "models.ome.io/clusterbasemodel.m", "Updating");
  e.progress = &progress;
  ok(record_put(&s->record, &e, &err), &err);
  _cleanup_json_ struct json_object *entry = entry_at(s, "clusterbasemodel.m");
  assert_string_equal(json_str(entry, "name", ""), "m");
  assert_string_equal(json_str(entry, "status", ""), "Updating");
  assert_string_equal(json_str(entry, "progress.phase", ""), "downloading");
  assert_int_equal(json_i64(entry, "progress.completedBytes", 0), 5);
  assert_int_equal(json_i64(entry, "progress.totalBytes", 0), 10);
  assert_int_equal(json_i64(entry, "progress.completedFiles", 0), 1);
  assert_int_equal(json_i64(entry, "progress.totalFiles", 0), 2);
  assert_int_equal(json_i64(entry, "progress.etaSeconds", 0), 3);
  assert_true(json_is(json_at(entry, "progress.speedBytesPerSec"), json_type_double));
  assert_int_equal(strlen(json_str(entry, "progress.lastUpdated", "")), strlen("2026-01-01T00:00:00Z"));
  assert_null(json_at(entry, "config"));
}

static void describes_the_map(void **state) {
  struct stand *s = *state;
  _cleanup_json_ struct json_object *map = map_of(s);

  assert_string_equal(meta_label(map, "models.ome/basemodel-status"), "true");
  assert_string_equal(meta_label(map, "node"), "n1");
  struct json_object *annotations = json_at(map, "metadata.annotations");
  assert_string_equal(json_object_get_string(json_get(annotations, "models.ome.io/node-name")), "n1");
  assert_string_equal(json_object_get_string(json_get(annotations, "models.ome.io/managed-by")), "model-agent");
}

static void says_ready(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  _cleanup_json_ struct json_object *config = parse("{\"modelType\": \"llama\"}");
  const struct record_entry e = {.model = "m", .status = RECORD_READY, .config = config};

  ok(record_put(&s->record, &e, &err), &err);
  expect_label(s, "models.ome.io/clusterbasemodel.m", "Ready");
  _cleanup_json_ struct json_object *entry = entry_at(s, "clusterbasemodel.m");
  assert_string_equal(json_str(entry, "config.modelType", ""), "llama");
  assert_null(json_at(entry, "progress"));
  _cleanup_json_ struct json_object *node = node_of(s);
  _cleanup_json_ struct json_object *map = map_of(s);
  struct record_entry other = e;
  assert_true(record_has(node, map, &e));
  assert_false(record_has(node, NULL, &e));
  assert_false(record_has(NULL, map, &e));
  other.model_ns = "ns";
  assert_false(record_has(node, map, &other));
  other = e;
  other.config = NULL;
  assert_false(record_has(node, map, &other));
  other = (struct record_entry){.model = "m", .status = RECORD_FAILED};
  assert_false(record_has(node, map, &other));
}

static void keeps_models_apart(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  const struct record_entry e = {.model_ns = "team", .model = "m", .status = RECORD_FAILED, .message = "no space"};

  ok(record_put(&s->record, &e, &err), &err);
  expect_label(s, "models.ome.io/team.basemodel.m", "Failed");
  expect_label(s, "models.ome.io/clusterbasemodel.m", "Ready");
  _cleanup_json_ struct json_object *entry = entry_at(s, "team.basemodel.m");
  assert_string_equal(json_str(entry, "message", ""), "no space");
}

static void takes_away_what_it_wrote(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  ok(record_unlabel(&s->record, "team", "m", &err), &err);
  expect_label(s, "models.ome.io/team.basemodel.m", "none");
  ok(record_remove(&s->record, "team", "m", &err), &err);
  assert_null(entry_at(s, "team.basemodel.m"));
  _cleanup_json_ struct json_object *other = entry_at(s, "clusterbasemodel.m");
  assert_non_null(other);
  ok(record_remove(&s->record, NULL, "m", &err), &err);
  ok(record_remove(&s->record, NULL, "m", &err), &err); /* absent is fine */
  expect_label(s, "models.ome.io/clusterbasemodel.m", "none");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(writes_an_entry),    cmocka_unit_test(describes_the_map),        cmocka_unit_test(says_ready),
      cmocka_unit_test(keeps_models_apart), cmocka_unit_test(takes_away_what_it_wrote),
  };

  return cmocka_run_group_tests(tests, setup, teardown);
}
