/* What the host does around a call: locks as the ceiling asks, a deadline, a cancel check, a sentence. */
#include "../unit.h"

#include "base/str.h"
#include "os/file.h"
#include "plugin/plugin.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#define THREADS 8
#define CALLS 500

static struct plugins *g_plugins;

static int32_t keep_points(struct ome_term_sink *s, int64_t points, const char *reason) {
  (void)reason;
  *(int64_t *)s->ctx = points;
  return OME_OK;
}

static int32_t score(const char *name, const struct plugin_call *call, int64_t *points, struct ome_err *err) {
  struct ome_term_sink sink = {.struct_size = sizeof(sink), .ctx = points, .points = keep_points};
  struct ome_score_req req = {.struct_size = sizeof(req)};

  return plugin_score(plugins_find(g_plugins, OME_KIND_SCORER, name), call, &req, &sink, err);
}

static void *call_often(void *arg) {
  struct ome_err err = ERR_INIT;
  int64_t points;

  for (int i = 0; i < CALLS; i++)
    if (score("count", NULL, &points, &err) != OME_OK)
      *(int *)arg = 1;
  return NULL;
}

static void serial_calls_do_not_overlap(void **state) {
  pthread_t threads[THREADS];
  struct ome_err err = ERR_INIT;
  int failed[THREADS] = {0};
  int64_t points = 0;

  (void)state;
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, call_often, &failed[i]), 0);
  for (int i = 0; i < THREADS; i++) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(failed[i], 0);
  }
  assert_int_equal(score("count", NULL, &points, &err), OME_OK);
  assert_int_equal(points, THREADS * CALLS + 1);
}

static bool yes(void *arg) {
  return *(bool *)arg;
}

static void calls_have_circumstances(void **state) {
  struct ome_err err = ERR_INIT;
  bool stop = true;
  int64_t points = -1;

  (void)state;
  assert_int_equal(score("circumstances", NULL, &points, &err), OME_OK);
  assert_int_equal(points, 0);
  assert_int_equal(score("circumstances", &(struct plugin_call){.timeout_ms = 1000}, &points, &err), OME_OK);
  assert_int_equal(points, 1);
  /* Whatever was in the error before, and although the plugin says nothing. */
  memset(&err, 'x', sizeof(err));
  assert_int_equal(score("circumstances", &(struct plugin_call){.cancelled = yes, .arg = &stop}, &points, &err),
                   OME_E_CANCELLED);
  assert_string_equal(err.msg, "plugin circumstances: score failed: Cancelled");
  stop = false;
  assert_int_equal(score("circumstances", &(struct plugin_call){.cancelled = yes, .arg = &stop}, &points, &err),
                   OME_OK);
}

static int set_up(void **state) {
  char folder[] = "/tmp/ome-calls-XXXXXX";
  struct ome_err err = ERR_INIT;
  static const char conf[] = "plugins: [{ file: \"" CALLS_PLUGIN "\", required: true }]\n";

  (void)state;
  if (!mkdtemp(folder))
    return -1;
  _cleanup_free_ char *path = path_join(folder, "plugins.conf");
  int32_t rc = file_write(path, conf, sizeof(conf) - 1, 0644, &err);
  if (rc == OME_OK)
    rc = plugins_load(path, NULL, 0, &g_plugins, &err);
  if (rc != OME_OK)
    print_error("%s\n", err.msg);
  (void)tree_remove(folder, &err);
  return rc;
}

static int tear_down(void **state) {
  (void)state;
  plugins_free(g_plugins);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(serial_calls_do_not_overlap),
      cmocka_unit_test(calls_have_circumstances),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
