/* Manifests as people wrote them are taken.  They are no part of the sources: OME_SHARED_DIR, or ../shared beside the
 * sources, holds them; without either the test is skipped. */
#include "../unit.h"

#include "documents.h"

#include "base/yaml.h"
#include "os/file.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

enum { SKIPPED = 77 };

static size_t g_documents;
static size_t g_faults;

static int32_t check_document(void *arg, struct json_object *o, size_t line, UNUSED struct ome_err *err) {
  const char *path = arg;
  const char *version = json_str(o, "apiVersion", "");
  const struct schema *s = NULL;
  struct field_errors errors = {{0}};

  if (has_prefix(version, "ome.io/"))
    s = schema_builtin("ome.io", version + strlen("ome.io/"), json_str(o, "kind", ""));
  if (s) {
    g_documents++;
    schema_default(s, o);
    schema_validate(s, o, NULL, &errors);
  } else if (has_prefix(version, "ome.io/")) {
    print_error("%s:%zu: no such kind: %s\n", path, line, json_str(o, "kind", ""));
    g_faults++;
  }
  g_faults += errors.list.len;
  _cleanup_free_ char *text = error_text(&errors);
  if (*text)
    print_error("%s:%zu: %s\n", path, line, text);
  json_unref(o);
  return OME_OK;
}

static int check_file(const char *path, UNUSED const struct stat *st, int type) {
  _cleanup_free_ char *text = NULL;
  _cleanup_free_ char *name = strdup(path);
  struct ome_err err = ERR_INIT;
  size_t len = 0;

  if (type != FTW_F || !has_suffix(path, ".yaml"))
    return 0;
  if (file_read(path, JSON_MAX_BYTES, &text, &len, &err) != OME_OK ||
      yaml_parse(path, text, len, check_document, name, &err) != OME_OK) {
    print_error("%s\n", err.msg);
    g_faults++;
  }
  return 0;
}

static const char *g_folder;

static void test_samples(UNUSED void **state) {
  assert_int_equal(ftw(g_folder, check_file, 16), 0);
  assert_true(g_documents > 100);
  assert_int_equal(g_faults, 0);
}

int main(void) {
  const char *shared = getenv("OME_SHARED_DIR");
  _cleanup_free_ char *folder = str_printf("%s/samples", shared && *shared ? shared : OME_SOURCE_DIR "/../shared");
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_samples)};

  if (access(folder, R_OK) != 0) {
    fprintf(stderr, "skipped: no samples in %s (set OME_SHARED_DIR)\n", folder);
    return SKIPPED;
  }
  g_folder = folder;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
