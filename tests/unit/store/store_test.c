/* Models in the store: shared, found only while they are whole, nobody else's files touched, room kept for others. */
#include "../unit.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "net/http_server.h"
#include "os/file.h"
#include "store/store.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define URI "test://a/b"

struct stand {
  char dir[64];
  struct model_store *store;
  struct loop *loop;
  struct http_server *server;
  atomic_int requests;
};

/* ---- kit --------------------------------------------------------------------------------------------------------- */

static void ok(int32_t rc, const struct ome_err *err) {
  if (rc != OME_OK)
    fail_msg("%s", err->msg);
}

static char *below(const struct stand *s, const char *name) {
  char *path = path_join(s->dir, name);

  assert_non_null(path);
  return path;
}

/* Every address is a file that holds its own path. */
static void on_request(void *arg, struct http_exchange *x) {
  struct stand *s = arg;
  const char *path = http_path(x);

  (void)atomic_fetch_add(&s->requests, 1);
  http_respond(x, 200, NULL, path, strlen(path));
}

static int setup(void **state) {
  struct stand *s = calloc(1, sizeof(*s));
  struct ome_err err = ERR_INIT;

  (void)snprintf(s->dir, sizeof(s->dir), "/tmp/ome-store-XXXXXX");
  assert_non_null(mkdtemp(s->dir));
  _cleanup_free_ char *root = below(s, "store");
  ok(model_store_open(root, &s->store, &err), &err);
  ok(loop_new("server", &s->loop, &err), &err);
  const struct http_server_config cfg = {.handler = on_request, .arg = s};
  ok(http_server_new(s->loop, &cfg, &s->server, &err), &err);
  *state = s;
  return 0;
}

static int teardown(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  http_server_free(s->server);
  loop_free(s->loop);
  model_store_close(s->store);
  (void)tree_remove(s->dir, &err);
  free(s);
  return 0;
}

/* Lists NAME as a file with the content "/CONTENT". */
static void list(struct stand *s, struct manifest *m, const char *name, const char *content) {
  _cleanup_free_ char *url = str_printf("http://127.0.0.1:%u/%s", http_server_port(s->server), content);
  _cleanup_free_ char *text = str_printf("/%s", content);
  char digest[65];
  struct ome_err err = ERR_INIT;

  sha256_hex(text, strlen(text), digest);
  const struct ome_model_file f = {.struct_size = sizeof(f),
                                   .path = name,
                                   .size = strlen(text),
                                   .digest_type = OME_DIGEST_SHA256,
                                   .digest = digest,
                                   .url = url};
  ok(manifest_add(m, &f, &err), &err);
}

static int32_t bring(struct stand *s, const struct store_job *job, struct ome_err *err) {
  _cleanup_manifest_ struct manifest m = {0};
  struct store_job whole = *job;

  list(s, &m, "weights", "shared");
  list(s, &m, "deep/er/own", job->name);
  ok(manifest_finish(&m, err), err);
  whole.uri = job->uri ? job->uri : URI;
  whole.manifest = &m;
  return model_store_bring(s->store, &whole, err);
}

static int32_t bring_to(struct stand *s, const char *name, const char *path, struct ome_err *err) {
  const struct store_job job = {.name = name, .path = path, .owned = true};

  return bring(s, &job, err);
}

static bool is_found(struct stand *s, const char *name, const char *uri, const char *path) {
  _cleanup_json_ struct json_object *o = model_store_find(s->store, name, uri, path);

  return o != NULL;
}

static struct stat look(const char *dir, const char *name) {
  _cleanup_free_ char *path = path_join(dir, name);
  struct stat st = {.st_ino = 0};

  assert_int_equal(lstat(path, &st), 0);
  return st;
}

/* ---- life of a model --------------------------------------------------------------------------------------------- */

static void shares_what_is_the_same(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  struct store_gc_result freed;
  _cleanup_free_ char *one = below(s, "one");
  _cleanup_free_ char *two = below(s, "two");

  ok(bring_to(s, "m1", one, &err), &err);
  ok(bring_to(s, "m2", two, &err), &err);
  assert_int_equal(atomic_load(&s->requests), 3);
  assert_int_equal(look(one, "weights").st_ino, look(two, "weights").st_ino);
  assert_true(is_found(s, "m1", URI, one));
  assert_false(is_found(s, "m1", "test://other", one));
  assert_false(is_found(s, "m1", URI, two));
  _cleanup_json_ struct json_object *all = model_store_list(s->store, &err);
  assert_int_equal(json_len(all), 2);
  assert_int_equal(json_i64(json_index(all, 0), "bytes", 0), 10);
  assert_int_equal(json_i64(json_index(all, 0), "uniqueBytes", 0), 3);
  ok(model_store_remove(s->store, "m1", &err), &err);
  assert_false(model_store_holds(s->store, "m1"));
  assert_false(file_exists(one));
  ok(model_store_gc(s->store, &freed, &err), &err);
  assert_int_equal(freed.blobs, 1);
  assert_int_equal(freed.bytes, 3);
  assert_true(is_found(s, "m2", URI, two));
  ok(model_store_remove(s->store, "m1", &err), &err); /* absent is fine */
}

static void notices_changed_files(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *path = below(s, "m");
  _cleanup_free_ char *file = path_join(path, "weights");

  ok(bring_to(s, "m", path, &err), &err);
  ok(file_write(file, "/sharee", 7, 0644, &err), &err); /* another file of the same size */
  assert_false(is_found(s, "m", URI, path));
  ok(bring_to(s, "m", path, &err), &err);
  assert_int_equal(atomic_load(&s->requests), 2);
  assert_true(is_found(s, "m", URI, path));
  assert_int_equal(chmod(file, 0644), 0);
  int fd = open(file, O_WRONLY | O_CLOEXEC); /* the blob itself */
  assert_int_equal(pwrite(fd, "X", 1, 0), 1);
  (void)close(fd);
  assert_false(is_found(s, "m", URI, path));
  ok(bring_to(s, "m", path, &err), &err);
  assert_int_equal(atomic_load(&s->requests), 3);
  assert_true(is_found(s, "m", URI, path));
  assert_int_equal(unlink(file), 0);
  assert_int_equal(symlink("/etc/hostname", file), 0);
  assert_false(is_found(s, "m", URI, path));
  ok(bring_to(s, "m", path, &err), &err);
  assert_true(is_found(s, "m", URI, path));
  assert_int_equal(atomic_load(&s->requests), 3);
}

static void refuses_bad_places(void **state) {
  static const char *const bad[] = {"/tmp/../etc/x", "/tmp//x", "/tmp/./x", "x"};
  static const char *const names[] = {"", "../x", ".x", "a/b"};
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *others = below(s, "others");
  _cleanup_free_ char *precious = path_join(others, "precious");

  for (size_t i = 0; i < ARRAY_LEN(bad); i++)
    assert_int_equal(bring_to(s, "m", bad[i], &err), OME_E_INVALID);
  for (size_t i = 0; i < ARRAY_LEN(names); i++)
    assert_int_equal(bring_to(s, names[i], others, &err), OME_E_INVALID);
  assert_int_equal(bring_to(s, "m", model_store_root(s->store), &err), OME_E_INVALID);
  ok(dir_make(others, 0755, &err), &err);
  ok(file_write(precious, "x", 1, 0644, &err), &err);
  assert_int_equal(bring_to(s, "m", others, &err), OME_E_EXISTS);
  assert_non_null(strstr(err.msg, "spec.storage.path"));
  ok(model_store_remove(s->store, "m", &err), &err);
  assert_true(file_exists(precious));
  /* A folder that is not owned keeps what is there. */
  const struct store_job job = {.name = "m", .path = others};
  ok(bring(s, &job, &err), &err);
  ok(model_store_remove(s->store, "m", &err), &err);
  assert_true(file_exists(precious));
}

static void leaves_its_old_place(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *one = below(s, "one");
  _cleanup_free_ char *two = below(s, "deeper/two");

  ok(bring_to(s, "m", one, &err), &err);
  ok(bring_to(s, "m", two, &err), &err);
  assert_int_equal(atomic_load(&s->requests), 2);
  assert_false(file_exists(one));
  assert_true(is_found(s, "m", URI, two));
}

static void keeps_the_folder_to_the_manifest(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *path = below(s, "m");
  _cleanup_free_ char *stranger = path_join(path, "deep/stranger");
  _cleanup_manifest_ struct manifest m = {0};
  struct store_job job = {.name = "m", .uri = URI, .path = path, .owned = true, .manifest = &m};

  ok(bring_to(s, "m", path, &err), &err);
  ok(file_write(stranger, "x", 1, 0644, &err), &err);
  list(s, &m, "other", "shared");
  ok(model_store_bring(s->store, &job, &err), &err);
  assert_int_equal(look(path, "other").st_size, 7);
  _cleanup_free_ char *deep = path_join(path, "deep");
  assert_false(file_exists(deep));
}

/* What a kill leaves: half a reference, a reference without a folder, staging that nobody has. */
static void survives_kills(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  struct store_gc_result freed;
  _cleanup_free_ char *path = below(s, "m");
  _cleanup_free_ char *reference = below(s, "store/references/m.json");
  _cleanup_free_ char *staging = below(s, "store/staging/gone/files");

  ok(bring_to(s, "m", path, &err), &err);
  ok(tree_remove(path, &err), &err);
  assert_false(is_found(s, "m", URI, path));
  ok(bring_to(s, "m", path, &err), &err);
  assert_true(is_found(s, "m", URI, path));
  ok(file_write(reference, "{\"uri\": \"tes", 12, 0644, &err), &err);
  assert_false(is_found(s, "m", URI, path));
  ok(tree_remove(path, &err), &err); /* half a reference cannot say that it is the model's */
  ok(bring_to(s, "m", path, &err), &err);
  assert_true(is_found(s, "m", URI, path));
  assert_int_equal(atomic_load(&s->requests), 2);
  ok(dir_make(staging, 0700, &err), &err);
  ok(model_store_gc(s->store, &freed, &err), &err);
  assert_int_equal(freed.stagings, 1);
  assert_int_equal(freed.blobs, 0);
}

/* Needs a second file system that can be written to. */
static void copies_to_other_file_systems(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  char other[] = "/dev/shm/ome-store-XXXXXX";

  if (!mkdtemp(other))
    skip();
  _cleanup_free_ char *path = path_join(other, "m/deep");
  _cleanup_free_ char *file = path_join(path, "weights");
  ok(bring_to(s, "m", path, &err), &err);
  assert_true(is_found(s, "m", URI, path));
  ok(file_write(file, "/sharee", 7, 0644, &err), &err);
  assert_false(is_found(s, "m", URI, path));
  ok(bring_to(s, "m", path, &err), &err);
  assert_true(is_found(s, "m", URI, path));
  assert_int_equal(atomic_load(&s->requests), 2);
  ok(model_store_remove(s->store, "m", &err), &err);
  assert_false(file_exists(path));
  ok(tree_remove(other, &err), &err);
}

/* ---- room and company -------------------------------------------------------------------------------------------- */

static void says_what_room_is_missing(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *path = below(s, "m");
  const struct store_job job = {.name = "m", .path = path, .owned = true, .reserve_bytes = (uint64_t)1 << 60};

  assert_int_equal(bring(s, &job, &err), OME_E_NO_SPACE);
  assert_non_null(strstr(err.msg, "(9 bytes)"));
  assert_non_null(strstr(err.msg, "reserved"));
  assert_int_equal(atomic_load(&s->requests), 0);
}

struct worker {
  struct stand *s;
  char name[16], path[100];
  pthread_t thread;
};

static void *work(void *arg) {
  struct worker *w = arg;
  struct ome_err err = ERR_INIT;

  ok(bring_to(w->s, w->name, w->path, &err), &err);
  return NULL;
}

static void threads_share(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  struct worker workers[4];

  for (size_t i = 0; i < ARRAY_LEN(workers); i++) {
    workers[i].s = s;
    (void)snprintf(workers[i].name, sizeof(workers[i].name), "m%zu", i / 2); /* two for each name */
    (void)snprintf(workers[i].path, sizeof(workers[i].path), "%s/m%zu", s->dir, i / 2);
    assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
  }
  for (size_t i = 0; i < ARRAY_LEN(workers); i++)
    assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
  assert_int_equal(atomic_load(&s->requests), 3);
  assert_true(is_found(s, "m0", URI, workers[0].path));
  assert_true(is_found(s, "m1", URI, workers[3].path));
  ok(model_store_destroy(s->store, &err), &err);
  assert_false(file_exists(model_store_root(s->store)));
}

/* One process of several that pass through a store of their own: each begins and removes it, whatever the others do. */
static void *pass_through(void *arg) {
  struct ome_err err = ERR_INIT;

  for (size_t i = 0; i < 200; i++) {
    struct model_store *store = NULL;
    if (model_store_open(arg, &store, &err) == OME_OK)
      (void)model_store_destroy(store, &err);
    model_store_close(store);
    if (err.code != OME_OK)
      return strdup(err.msg);
  }
  return NULL;
}

static void begins_anew_while_it_is_removed(void **state) {
  _cleanup_free_ char *root = below(*state, "passing");
  pthread_t threads[3];

  for (size_t i = 0; i < ARRAY_LEN(threads); i++)
    assert_int_equal(pthread_create(&threads[i], NULL, pass_through, root), 0);
  for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
    void *said = NULL;
    assert_int_equal(pthread_join(threads[i], &said), 0);
    if (said)
      fail_msg("%s", (char *)said);
  }
  assert_false(file_exists(root));
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(shares_what_is_the_same),
      TEST(notices_changed_files),
      TEST(refuses_bad_places),
      TEST(leaves_its_old_place),
      TEST(keeps_the_folder_to_the_manifest),
      TEST(survives_kills),
      TEST(copies_to_other_file_systems),
      TEST(says_what_room_is_missing),
      TEST(threads_share),
      TEST(begins_anew_while_it_is_removed),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
