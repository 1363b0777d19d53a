#include "../unit.h"

#include "apiserver/store.h"
#include "base/buf.h"
#include "base/str.h"
#include "os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/store-test-XXXXXX";

static struct store *open_store(void) {
  struct store *s = NULL;
  struct ome_err err = ERR_INIT;

  if (store_open(dir, &s, &err) != OME_OK)
    fail_msg("%s", err.msg);
  return s;
}

static void put(struct store *s, const char *ns, const char *name, const char *label) {
  const struct store_key key = {"/configmaps", ns, name};
  _cleanup_json_ struct json_object *o = json_object_new_object();
  struct ome_err err = ERR_INIT;

  (void)json_set_str(o, "metadata.name", name);
  (void)json_set_str(o, "metadata.labels.l", label);
  (void)json_set_str(o, "kind", "ConfigMap");
  (void)json_set_str(o, "apiVersion", "v1");
  assert_int_equal(store_put(s, &key, o, &err), OME_OK);
}

static void delete (struct store *s, const char *ns, const char *name) {
  const struct store_key key = {"/configmaps", ns, name};
  _cleanup_json_ struct json_object *o = json_object_new_object();
  struct ome_err err = ERR_INIT;

  assert_int_equal(store_delete(s, &key, o, &err), OME_OK);
}

static void commit(struct store *s) {
  struct ome_err err = ERR_INIT;

  assert_int_equal(store_commit(s, &err), OME_OK);
  assert_int_equal(store_flush(s, &err), OME_OK);
  store_settle(s, true);
}

static bool add_name(void *arg, const char *ns, const char *name, const char *text, size_t len, const char *labels) {
  (void)labels;
  assert_int_equal(strlen(text), len);
  buf_addf(arg, "%s/%s ", ns, name);
  return true;
}

static void check_list(struct store *s, int64_t version, const char *ns, const char *after, const char *expected) {
  _cleanup_buf_ struct buf b = BUF_INIT;
  struct ome_err err = ERR_INIT;
  const struct store_part part = {.collection = "/configmaps", .ns = ns, .after_name = after, .version = version};

  assert_int_equal(store_list(s, &part, add_name, &b, &err), OME_OK);
  assert_string_equal(buf_str(&b), expected);
}

/* What was committed is there after the end of the process, what was not is gone, and versions only grow. */
static void test_survives_a_kill(void **state) {
  int64_t version;
  int status;

  (void)state;
  pid_t child = fork();
  if (child == 0) {
    struct store *s = open_store();
    put(s, "a", "kept", "1");
    commit(s);
    put(s, "a", "lost", "1");
    _exit(store_dirty(s) ? 0 : 1); /* as a kill would: nothing is closed */
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  struct store *s = open_store();
  check_list(s, 0, NULL, NULL, "a/kept ");
  version = store_version(s);
  assert_int_equal(store_compacted(s), version); /* the past went with the process */
  put(s, "a", "kept", "2");
  assert_true(store_version(s) > version);
  commit(s);
  store_close(s);
  s = open_store();
  assert_int_equal(store_version(s), version + 1);
  store_close(s);
}

static void test_rollback_leaves_nothing(void **state) {
  struct store *s = open_store();
  int64_t version = store_version(s);

  (void)state;
  put(s, "b", "x", "1");
  store_rollback(s);
  assert_int_equal(store_version(s), version);
  assert_null(store_event_after(s, version));
  check_list(s, 0, "b", NULL, "");
  store_close(s);
}

/* Events come out in order, each once, with the text before and after; uncommitted ones not at all. */
static void test_events(void **state) {
  struct store *s = open_store();
  int64_t version = store_version(s);

  (void)state;
  put(s, "c", "x", "1");
  put(s, "c", "x", "2");
  assert_null(store_event_after(s, version));
  delete (s, "c", "x");
  commit(s);
  static const enum store_event_type types[] = {STORE_ADDED, STORE_MODIFIED, STORE_DELETED};
  for (size_t i = 0; i < 3; i++) {
    const struct store_event *e = store_event_after(s, version);
    assert_non_null(e);
    assert_int_equal(e->version, version + 1);
    assert_int_equal(e->type, types[i]);
    assert_int_equal(e->before != NULL, i > 0);
    version = e->version;
  }
  assert_null(store_event_after(s, version));
  store_close(s);
}

/* While the disk takes one transaction the next one is open: neither is told of, a list of the past shows neither, and
 * a rollback ends the second alone. */
static void test_transactions_overlap(void **state) {
  struct store *s = open_store();
  int64_t version = store_version(s);
  struct ome_err err = ERR_INIT;

  (void)state;
  put(s, "o", "x", "1");
  assert_int_equal(store_commit(s, &err), OME_OK);
  put(s, "o", "y", "1");
  assert_null(store_event_after(s, version));
  check_list(s, version, "o", NULL, "");
  check_list(s, version + 1, "o", NULL, "o/x ");
  assert_int_equal(store_flush(s, &err), OME_OK);
  store_settle(s, true);
  const struct store_event *e = store_event_after(s, version);
  assert_string_equal(e->name, "x");
  assert_null(store_event_after(s, e->version));
  store_rollback(s);
  check_list(s, 0, "o", NULL, "o/x ");
  put(s, "o", "z", "1");
  commit(s);
  assert_string_equal(store_event_after(s, version + 1)->name, "z");
  store_close(s);
}

/* What the disk may not have is told of when it was written anew, before anything else is. */
static void test_a_failed_flush_is_made_good(void **state) {
  struct store *s = open_store();
  int64_t version = store_version(s);
  struct ome_err err = ERR_INIT;

  (void)state;
  put(s, "p", "x", "1");
  assert_int_equal(store_commit(s, &err), OME_OK);
  store_settle(s, false);
  assert_null(store_event_after(s, version));
  put(s, "p", "y", "1");
  assert_string_equal(store_event_after(s, version)->name, "x");
  commit(s);
  store_close(s);
  s = open_store();
  check_list(s, 0, "p", NULL, "p/x p/y ");
  store_close(s);
}

/* The same where the next transaction was open when the flush failed: its commit does not stand on a log with a hole.
 */
static void test_a_commit_after_a_failed_flush_is_whole(void **state) {
  struct store *s = open_store();
  int64_t version = store_version(s);
  struct ome_err err = ERR_INIT;

  (void)state;
  put(s, "q", "x", "1");
  assert_int_equal(store_commit(s, &err), OME_OK);
  put(s, "q", "y", "1");
  store_settle(s, false);
  assert_null(store_event_after(s, version));
  assert_int_equal(store_commit(s, &err), OME_OK);
  assert_string_equal(store_event_after(s, version)->name, "x");
  assert_string_equal(store_event_after(s, version + 1)->name, "y");
  _cleanup_free_ char *log = path_join(dir, "store.db-wal");
  struct stat st;
  assert_int_equal(stat(log, &st), 0);
  assert_int_equal(st.st_size, 0); /* all of it is in the database */
  store_close(s);
}

/* A list as of a version shows what was there then: not the new, still the deleted. */
static void test_lists_of_the_past(void **state) {
  struct store *s = open_store();

  (void)state;
  put(s, "d", "a", "1");
  put(s, "d", "b", "1");
  put(s, "d", "d", "1");
  commit(s);
  int64_t then = store_version(s);
  put(s, "d", "c", "1");
  put(s, "d", "b", "2");
  delete (s, "d", "a");
  delete (s, "d", "d");
  commit(s);
  check_list(s, 0, "d", NULL, "d/b d/c ");
  check_list(s, then, "d", NULL, "d/a d/b d/d ");
  assert_int_equal(store_count_after(s, "/configmaps", "d", "d", "b"), 1);
  store_close(s);
}

/* The past is bounded: old events go, and what is too old is known to be. */
static void test_history_is_bounded(void **state) {
  struct store *s = open_store();
  int64_t version = store_version(s);

  (void)state;
  for (size_t i = 0; i < HISTORY_EVENTS + 10; i++)
    put(s, "e", "x", "1");
  commit(s);
  assert_int_equal(store_compacted(s), version + 10);
  const struct store_event *e = store_event_after(s, store_compacted(s));
  assert_int_equal(e->version, version + 11);
  store_close(s);
}

static void test_text_rest(void **state) {
  static const struct {
    const char *text, *rest;
  } cases[] = {{"{\"apiVersion\":\"v1\",\"kind\":\"A\",\"x\":1}", ",\"x\":1}"},
               {"{\"apiVersion\":\"a/v1\",\"kind\":\"B\"}", "}"}};

  (void)state;
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    assert_string_equal(store_text_rest(cases[i].text), cases[i].rest);
  const struct store_key key = {"/configmaps", "f", "x"};
  struct store *s = open_store();
  put(s, "f", "x", "1");
  _cleanup_free_ char *text = store_get(s, &key);
  assert_true(has_prefix(text, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\""));
  store_close(s);
}

/* A damaged file is refused with its name and stays as it is. */
static void test_damage_is_told(void **state) {
  _cleanup_free_ char *path = path_join(dir, "store.db");
  struct store *s = NULL;
  struct ome_err err = ERR_INIT;
  char before[64] = "this is no database, whatever its name says, and it is long";
  char after[64] = "";

  (void)state;
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_int_equal(fwrite(before, 1, sizeof(before), f), sizeof(before));
  assert_int_equal(fclose(f), 0);
  assert_int_equal(store_open(dir, &s, &err), OME_E_CORRUPT);
  assert_non_null(strstr(err.msg, "store.db"));
  assert_non_null(strstr(err.msg, "damaged"));
  f = fopen(path, "r");
  assert_non_null(f);
  assert_int_equal(fread(after, 1, sizeof(after), f), sizeof(after));
  assert_int_equal(fclose(f), 0);
  assert_memory_equal(before, after, sizeof(before));
}

static int make_dir(void **state) {
  (void)state;
  return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
  static const char *const names[] = {"store.db", "store.db-wal", "store.db-shm"};

  (void)state;
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    _cleanup_free_ char *path = path_join(dir, names[i]);
    (void)unlink(path);
  }
  return rmdir(dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_survives_a_kill),
      cmocka_unit_test(test_rollback_leaves_nothing),
      cmocka_unit_test(test_events),
      cmocka_unit_test(test_transactions_overlap),
      cmocka_unit_test(test_a_failed_flush_is_made_good),
      cmocka_unit_test(test_a_commit_after_a_failed_flush_is_whole),
      cmocka_unit_test(test_lists_of_the_past),
      cmocka_unit_test(test_history_is_bounded),
      cmocka_unit_test(test_text_rest),
      cmocka_unit_test(test_damage_is_told),
  };

  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
