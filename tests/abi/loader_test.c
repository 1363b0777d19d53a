/* Plugins built from the headers of 1.0, from later ones, and forged: what is good loads and answers, the rest gives
 * one line that names the file and the reason. */
#include "../unit/unit.h"

#include "base/str.h"
#include "os/file.h"
#include "plugin/plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char g_folder[] = "/tmp/ome-abi-XXXXXX"; /* of the plugins.conf files */

static int32_t load_text(const char *conf, struct plugins **out, struct ome_err *err) {
  _cleanup_free_ char *path = path_join(g_folder, "plugins.conf");

  assert_int_equal(file_write(path, conf, strlen(conf), 0644, err), OME_OK);
  return plugins_load(path, NULL, 0, out, err);
}

/* One file, required or not. */
static int32_t load_file(const char *file, const char *more, struct plugins **out, struct ome_err *err) {
  _cleanup_free_ char *conf = str_printf("plugins: [{ file: \"%s\", %s }]\n", file, more);

  return load_text(conf, out, err);
}

static int32_t on_points(struct ome_term_sink *s, int64_t points, const char *reason) {
  (void)reason;
  *(int64_t *)s->ctx += points;
  return OME_OK;
}

static void loads_what_is_good(void **state) {
  static const char *const names[] = {"good", "longer"};

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(names); i++) {
    _cleanup_(plugins_freep) struct plugins *p = NULL;
    _cleanup_free_ char *file = str_printf(ABI_PLUGINS "/%s.so", names[i]);
    struct ome_err err = ERR_INIT;
    int64_t points = 0;
    struct ome_term_sink sink = {.struct_size = sizeof(sink), .ctx = &points, .points = on_points};
    struct ome_score_req req = {.struct_size = sizeof(req)};
    if (load_file(file, "required: true", &p, &err) != OME_OK)
      fail_msg("%s", err.msg);
    struct plugin_instance *scorer = plugins_find(p, OME_KIND_SCORER, "frozen");
    assert_non_null(scorer);
    assert_int_equal(plugin_score(scorer, NULL, &req, &sink, &err), OME_OK);
    assert_int_equal(points, 7);
    /* What neither has is not there, whatever lies behind its table. */
    assert_int_equal(plugin_tune(scorer, NULL, &req, NULL, &err), OME_E_UNSUPPORTED);
  }
}

static void refuses_forgeries(void **state) {
  static const struct {
    const char *name, *says;
  } cases[] = {
      {"missing_import", "nobody_has_this"},
      {"small", "struct_size 12"},
      {"small_ops", "struct_size 8"},
      {"bad_key", "type 99"},
      {"bad_name", "[a-z0-9-]"},
      {"threads", "thread ceiling 9"},
      {"no_ops", "ops is NULL"},
      {"twice", "already"},
      {"epoch", "epoch 2"},
      {"host_minor", "1.4000"},
      {"no_plugin_name", "lacks name"},
      {"no_factories", "factories"},
      {"no_symbol", "ome_plugin_v1"},
      {"null", "gave NULL"},
      {"not_there", "No such file"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_(plugins_freep) struct plugins *p = NULL;
    _cleanup_free_ char *file = str_printf(ABI_PLUGINS "/%s.so", cases[i].name);
    struct ome_err err = ERR_INIT;
    /* Not required: one line, and the host goes on. */
    assert_int_equal(load_file(file, "required: false", &p, &err), OME_OK);
    _cleanup_json_ struct json_object *list = plugins_list(p);
    const char *error = json_str(json_index(list, 0), "error", "");
    if (!strstr(error, cases[i].says) || !strstr(error, file) || strchr(error, '\n'))
      fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].name, error, cases[i].says);
    assert_string_equal(json_str(json_index(list, 0), "state", ""), "refused");
    assert_null(plugins_find(p, OME_KIND_SCORER, "frozen"));
    /* Required: the same sentence, and no host. */
    struct plugins *none = NULL;
    assert_int_not_equal(load_file(file, "required: true", &none, &err), OME_OK);
    assert_non_null(strstr(err.msg, cases[i].says));
    assert_null(none);
  }
}

/* Bytes that are no plugin, or the beginning of one. */
static void refuses_files_that_are_none(void **state) {
  _cleanup_free_ char *good = NULL;
  _cleanup_free_ char *file = path_join(g_folder, "bytes.so");
  struct ome_err err = ERR_INIT;
  size_t len;

  (void)state;
  assert_int_equal(file_read(ABI_PLUGINS "/good.so", (size_t)1 << 20, &good, &len, &err), OME_OK);
  const size_t lengths[] = {0, 1, 15, 63, 64, 200, 1000, len / 2};
  for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
    _cleanup_(plugins_freep) struct plugins *p = NULL;
    assert_int_equal(file_write(file, good, lengths[i], 0644, &err), OME_OK);
    assert_int_not_equal(load_file(file, "required: true", &p, &err), OME_OK);
    assert_non_null(strstr(err.msg, file));
  }
  _cleanup_(plugins_freep) struct plugins *p = NULL;
  good[18] = 0x28; /* e_machine: 32-bit ARM */
  assert_int_equal(file_write(file, good, len, 0644, &err), OME_OK);
  assert_int_not_equal(load_file(file, "required: true", &p, &err), OME_OK);
  assert_non_null(strstr(err.msg, "another machine"));
}

static void trusts_nobody_else(void **state) {
  _cleanup_(plugins_freep) struct plugins *p = NULL;
  _cleanup_free_ char *good = NULL;
  _cleanup_free_ char *file = path_join(g_folder, "own.so");
  _cleanup_free_ char *link = path_join(g_folder, "link.so");
  struct ome_err err = ERR_INIT;
  size_t len;

  (void)state;
  assert_int_equal(file_read(ABI_PLUGINS "/good.so", (size_t)1 << 20, &good, &len, &err), OME_OK);
  assert_int_equal(file_write(file, good, len, 0644, &err), OME_OK);
  assert_int_equal(chmod(file, 0666), 0);
  assert_int_equal(load_file(file, "required: true", &p, &err), OME_E_DENIED);
  assert_non_null(strstr(err.msg, "written by others"));
  /* A link does not hide it. */
  assert_int_equal(symlink(file, link), 0);
  assert_int_equal(load_file(link, "required: true", &p, &err), OME_E_DENIED);
  assert_int_equal(chmod(file, 0644), 0);
  assert_int_equal(chmod(g_folder, 0777), 0);
  assert_int_equal(load_file(file, "required: true", &p, &err), OME_E_DENIED);
  assert_int_equal(chmod(g_folder, 0755), 0);
  assert_int_equal(load_file(file,
                             "required: true, sha256: "
                             "'0000000000000000000000000000000000000000000000000000000000000000'",
                             &p, &err),
                   OME_E_CORRUPT);
  char digest[65];
  sha256_hex(good, len, digest);
  _cleanup_free_ char *right = str_printf("required: true, sha256: \"%s\"", digest);
  assert_int_equal(load_file(file, right, &p, &err), OME_OK);
}

static void checks_settings(void **state) {
  static const struct {
    const char *settings;
    int32_t rc;
    const char *says;
  } cases[] = {
      {"settings: { frozen: { size: 4Mi } }", OME_OK, ""},
      {"settings: { frozen: { size: lots } }", OME_E_INVALID, "is no size"},
      {"settings: { frozen: { colour: red } }", OME_E_INVALID, "unknown setting \"colour\""},
      {"settings: { thawed: {} }", OME_E_INVALID, "\"thawed\""},
      {"setings: {}", OME_E_INVALID, "unknown key \"setings\""},
      {"sha256: abc", OME_E_INVALID, "64 hex digits"},
      /* A number to YAML: it must not pass for "no digest". */
      {"sha256: 0000000000000000000000000000000000000000000000000000000000000000", OME_E_INVALID, "in quotes"},
      {"settings: [frozen]", OME_E_INVALID, "type object"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_(plugins_freep) struct plugins *p = NULL;
    _cleanup_free_ char *more = str_printf("required: true, %s", cases[i].settings);
    struct ome_err err = ERR_INIT;
    int32_t rc = load_file(ABI_PLUGINS "/good.so", more, &p, &err);
    if (rc != cases[i].rc || !strstr(err.msg, cases[i].says))
      fail_msg("%s: %d %s", cases[i].settings, rc, err.msg);
  }
}

static int set_up(void **state) {
  (void)state;
  return mkdtemp(g_folder) && chmod(g_folder, 0755) == 0 ? 0 : -1;
}

static int tear_down(void **state) {
  struct ome_err err = ERR_INIT;

  (void)state;
  return tree_remove(g_folder, &err) == OME_OK ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(loads_what_is_good),
      cmocka_unit_test(refuses_forgeries),
      cmocka_unit_test(refuses_files_that_are_none),
      cmocka_unit_test(trusts_nobody_else),
      cmocka_unit_test(checks_settings),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
