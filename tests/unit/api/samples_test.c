/* Manifests as people wrote them are taken, and the CRDs of other projects.  They are no part of the sources:
 * OME_SHARED_DIR, or ../shared beside the sources, holds them; without either the test is skipped. */
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

/* Every version of a CRD has a structural schema. */
static void check_crd(const char *path, struct json_object *crd) {
  struct json_object *versions = json_at(crd, "spec.versions");

  for (size_t i = 0; i < json_len(versions); i++) {
    struct schema_doc *d = NULL;
    struct ome_err err = ERR_INIT;
    g_documents++;
    if (schema_from_openapi(json_at(json_index(versions, i), "schema.openAPIV3Schema"), &d, &err) != OME_OK) {
      print_error("%s: %s: %s\n", path, json_str(crd, "metadata.name", ""), err.msg);
      g_faults++;
    }
    schema_doc_free(d);
  }
}

static int32_t check_document(void *arg, struct json_object *o, size_t line, UNUSED struct ome_err *err) {
  const char *path = arg;
  const char *version = json_str(o, "apiVersion", "");
  const struct schema *s = NULL;
  struct field_errors errors = {{0}};

  if (streq(json_str(o, "kind", ""), "CustomResourceDefinition"))
    check_crd(path, o);
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

static void check_folder(const char *name, size_t least) {
  _cleanup_free_ char *folder = str_printf("%s/%s", g_folder, name);

  g_documents = g_faults = 0;
  assert_int_equal(ftw(folder, check_file, 16), 0);
  assert_true(g_documents >= least);
  assert_int_equal(g_faults, 0);
}

static void test_samples(UNUSED void **state) {
  check_folder("samples", 100);
}

static void test_crds(UNUSED void **state) {
  check_folder("crds", 20);
}

int main(void) {
  const char *shared = getenv("OME_SHARED_DIR");
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_samples), cmocka_unit_test(test_crds)};

  g_folder = shared && *shared ? shared : OME_SOURCE_DIR "/../shared";
  _cleanup_free_ char *samples = str_printf("%s/samples", g_folder);
  if (access(samples, R_OK) != 0) {
    fprintf(stderr, "skipped: no samples in %s (set OME_SHARED_DIR)\n", g_folder);
    return SKIPPED;
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
