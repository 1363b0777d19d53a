/* Models on disk: published whole or not at all, found only while they are whole, nobody else's files touched. */
#include "../unit.h"

#include "agent/shelf.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY "clusterbasemodel.m"
#define URI "hf://a/b"

struct stand {
  char dir[64];
  struct shelf shelf;
  struct manifest manifest;
};

static void ok(int32_t rc, const struct ome_err *err) {
  if (rc != OME_OK)
    fail_msg("%s", err->msg);
}

static char *below(const struct stand *s, const char *name) {
  char *path = path_join(s->dir, name);

  assert_non_null(path);
  return path;
}

static void put(const char *dir, const char *name, const char *text) {
  _cleanup_free_ char *path = path_join(dir, name);
  struct ome_err err = ERR_INIT;

  ok(dir_make(dir, 0755, &err), &err);
  ok(file_write(path, text, strlen(text), 0644, &err), &err);
}

static int setup(void **state) {
  struct stand *s = calloc(1, sizeof(*s));
  struct ome_err err = ERR_INIT;
  const struct ome_model_file file = {.struct_size = sizeof(file), .path = "weights", .size = 5};

  (void)snprintf(s->dir, sizeof(s->dir), "/tmp/ome-shelf-XXXXXX");
  assert_non_null(mkdtemp(s->dir));
  _cleanup_free_ char *root = below(s, "store");
  ok(shelf_open(root, &s->shelf, &err), &err);
  ok(manifest_add(&s->manifest, &file, &err), &err);
  ok(manifest_finish(&s->manifest, &err), &err);
  *state = s;
  return 0;
}

static int teardown(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  shelf_close(&s->shelf);
  manifest_fini(&s->manifest);
  (void)tree_remove(s->dir, &err);
  free(s);
  return 0;
}

/* Brings a model in, as a transfer would, and publishes it at PATH. */
static int32_t publish(struct stand *s, const char *path, struct ome_err *err) {
  _cleanup_json_ struct json_object *report = json_object_new_object();
  _cleanup_free_ char *staging = NULL;

  ok(shelf_stage(&s->shelf, KEY, path, &staging, err), err);
  put(staging, "weights", "12345");
  (void)json_set_str(report, "modelType", "llama");
  return shelf_publish(&s->shelf, KEY, URI, path, staging, &s->manifest, report, err);
}

static bool is_found(struct stand *s, const char *uri, const char *path) {
  _cleanup_json_ struct json_object *record = shelf_find(&s->shelf, KEY, uri, path);

  return record != NULL;
}

static void finds_what_it_published(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *path = shelf_path(&s->shelf, KEY, "");

  assert_false(shelf_holds(&s->shelf, KEY));
  assert_false(is_found(s, URI, path));
  ok(publish(s, path, &err), &err);
  _cleanup_json_ struct json_object *record = shelf_find(&s->shelf, KEY, URI, path);
  assert_string_equal(json_str(record, "report.modelType", ""), "llama");
  assert_false(is_found(s, "hf://a/c", path));
  assert_false(is_found(s, URI, "/elsewhere"));
  assert_true(shelf_holds(&s->shelf, KEY));
}

static void notices_changed_files(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *path = shelf_path(&s->shelf, KEY, "");
  _cleanup_free_ char *file = path_join(path, "weights");

  ok(publish(s, path, &err), &err);
  put(path, "weights", "54321"); /* same size, another time */
  assert_false(is_found(s, URI, path));
  ok(publish(s, path, &err), &err);
  assert_true(is_found(s, URI, path));
  assert_int_equal(truncate(file, 3), 0);
  assert_false(is_found(s, URI, path));
  assert_int_equal(unlink(file), 0);
  assert_int_equal(symlink("/etc/hostname", file), 0);
  assert_false(is_found(s, URI, path));
}

static void refuses_bad_places(void **state) {
  static const char *const bad[] = {"/tmp/../etc/x", "/tmp//x", "/tmp/./x"};
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *others = below(s, "others");

  for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
    assert_int_equal(publish(s, bad[i], &err), OME_E_INVALID);
    err = (struct ome_err)ERR_INIT;
  }
  put(others, "precious", "x");
  assert_int_equal(publish(s, others, &err), OME_E_EXISTS);
  assert_non_null(strstr(err.msg, "spec.storage.path"));
  err = (struct ome_err)ERR_INIT;
  ok(shelf_remove(&s->shelf, KEY, &err), &err);
  _cleanup_free_ char *precious = path_join(others, "precious");
  assert_true(file_exists(precious));
}

static void leaves_its_old_place(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *one = below(s, "one");
  _cleanup_free_ char *two = below(s, "deeper/two");
  _cleanup_free_ char *inside = below(s, "deeper/two/inside");

  ok(publish(s, one, &err), &err);
  ok(publish(s, two, &err), &err);
  assert_false(file_exists(one));
  assert_true(is_found(s, URI, two));
  ok(publish(s, inside, &err), &err);
  assert_true(is_found(s, URI, inside));
  ok(shelf_remove(&s->shelf, KEY, &err), &err);
  assert_false(file_exists(inside));
  assert_false(shelf_holds(&s->shelf, KEY));
  ok(shelf_remove(&s->shelf, KEY, &err), &err); /* absent is fine */
}

/* Every state that a kill between two steps of publishing leaves: the record without the folder, or half a record. */
static void survives_kills(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *path = shelf_path(&s->shelf, KEY, "");
  _cleanup_free_ char *away = below(s, "away");

  ok(publish(s, path, &err), &err);
  assert_int_equal(rename(path, away), 0); /* the record was written, the folder not yet moved */
  assert_false(is_found(s, URI, path));
  ok(publish(s, path, &err), &err);
  assert_true(is_found(s, URI, path));
  _cleanup_free_ char *records = path_join(s->shelf.root, "records");
  put(records, KEY ".json", "{\"uri\": \"hf:");
  assert_false(is_found(s, URI, path));
  ok(publish(s, path, &err), &err);
  assert_true(is_found(s, URI, path));
}

static void prunes_strangers(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *dir = below(s, "staging");
  _cleanup_free_ char *sub = path_join(dir, "sub");
  _cleanup_free_ char *weights = path_join(dir, "weights");
  _cleanup_free_ char *stranger = path_join(dir, "old.gguf");

  put(dir, "weights", "12345");
  put(dir, "old.gguf", "x");
  put(sub, "more", "x");
  ok(shelf_prune(dir, &s->manifest, &err), &err);
  assert_true(file_exists(weights));
  assert_false(file_exists(stranger));
  assert_false(file_exists(sub));
}

/* Needs a second file system that can be written to. */
static void stages_beside_other_file_systems(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  char other[] = "/dev/shm/ome-shelf-XXXXXX";
  struct stat here;
  struct stat there;

  if (!mkdtemp(other))
    skip();
  assert_int_equal(stat(s->dir, &here), 0);
  assert_int_equal(stat(other, &there), 0);
  if (here.st_dev == there.st_dev) {
    (void)rmdir(other);
    skip();
  }
  _cleanup_free_ char *path = path_join(other, "m/deep");
  _cleanup_free_ char *incoming = path_join(other, "m/." KEY ".incoming");
  ok(publish(s, path, &err), &err);
  assert_true(is_found(s, URI, path));
  assert_false(file_exists(incoming));
  /* A transfer that was given up leaves nothing there either. */
  _cleanup_free_ char *staging = NULL;
  ok(shelf_stage(&s->shelf, KEY, path, &staging, &err), &err);
  assert_string_equal(staging, incoming);
  put(staging, "weights", "1");
  ok(shelf_remove(&s->shelf, KEY, &err), &err);
  assert_false(file_exists(incoming));
  assert_false(file_exists(path));
  ok(tree_remove(other, &err), &err);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(finds_what_it_published),
      TEST(notices_changed_files),
      TEST(refuses_bad_places),
      TEST(leaves_its_old_place),
      TEST(survives_kills),
      TEST(prunes_strangers),
      TEST(stages_beside_other_file_systems),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
