/* What is listed for a URI that may be a folder or an object. */
#include "../unit.h"

#include "../../../plugins/common/bucket.h"

#include <ome-sdk/error.h>

struct fake {
  uint64_t pages;          /* there are so many */
  uint64_t files_per_page; /* in each */
  int32_t list_rc, object_rc;
  uint64_t pages_read, objects_read;
};

static int32_t page(void *arg, uint64_t *files, int *is_last, struct ome_err *err) {
  struct fake *f = arg;

  f->pages_read++;
  if (f->list_rc != OME_OK)
    return ome_fail(err, f->list_rc, "the list was refused");
  *files += f->files_per_page;
  *is_last = f->pages_read == f->pages;
  return OME_OK;
}

static int32_t object(void *arg, struct ome_err *err) {
  struct fake *f = arg;

  f->objects_read++;
  return f->object_rc == OME_OK ? OME_OK : ome_fail(err, f->object_rc, "the object was refused");
}

static int32_t list(struct fake *f, int may_be_object, const char *version, struct ome_err *err) {
  const struct ome_call call = {.struct_size = sizeof(call)};
  const struct bucket b = {.plugin = "x",
                           .things = "objects",
                           .uri = "x://bucket/name",
                           .may_be_object = may_be_object,
                           .version = version,
                           .call = &call,
                           .arg = f,
                           .page = page,
                           .object = object};

  return bucket_list(&b, err);
}

static void test_list(void **state) {
  static const struct {
    struct fake fake;
    int may_be_object;
    int32_t rc;
    const char *text;
    uint64_t pages, objects;
  } rows[] = {
      {{.pages = 3, .files_per_page = 2}, 1, OME_OK, "", 3, 0},
      {{.pages = 3}, 1, OME_OK, "", 3, 1},
      {{.pages = 1}, 0, OME_E_NOT_FOUND, "x: x://bucket/name: there are no objects below it; check the name", 1, 0},
      {{.pages = 1, .object_rc = OME_E_NOT_FOUND}, 1, OME_E_NOT_FOUND, "the object was refused", 1, 1},
      {{.pages = 1, .list_rc = OME_E_DENIED}, 1, OME_OK, "", 1, 1},
      {{.pages = 1, .list_rc = OME_E_DENIED, .object_rc = OME_E_DENIED}, 1, OME_E_DENIED, "the list was refused", 1, 1},
      {{.pages = 1, .list_rc = OME_E_DENIED}, 0, OME_E_DENIED, "the list was refused", 1, 0},
      {{.pages = 1, .list_rc = OME_E_UNAVAILABLE}, 1, OME_E_UNAVAILABLE, "the list was refused", 1, 0},
      {{.pages = UINT64_MAX}, 1, OME_E_INVALID, "x: x://bucket/name: its list does not end", 10000, 0},
  };

  (void)state;
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    struct fake f = rows[i].fake;
    struct ome_err err = {0};
    assert_int_equal(list(&f, rows[i].may_be_object, NULL, &err), rows[i].rc);
    assert_string_equal(err.msg, rows[i].text);
    assert_int_equal(f.pages_read, rows[i].pages);
    assert_int_equal(f.objects_read, rows[i].objects);
  }
}

static void test_versions(void **state) {
  struct fake f = {.pages = 1, .files_per_page = 1};
  struct ome_err err = {0};

  (void)state;
  assert_int_equal(list(&f, 1, "generation is one of an object", &err), OME_OK);
  assert_int_equal(list(&f, 0, "generation is one of an object", &err), OME_E_INVALID);
  assert_string_equal(err.msg, "x: x://bucket/name: a generation is one of an object, not of a folder; leave it out");
  assert_int_equal(f.pages_read, 0);
  assert_int_equal(f.objects_read, 1);
}

static void test_paths(void **state) {
  (void)state;
  assert_string_equal(bucket_path("llama/8b/a/b", 1, "llama/8b"), "a/b");
  assert_string_equal(bucket_path("a/b", 1, ""), "a/b");
  assert_null(bucket_path("llama/8b/", 0, "llama/8b"));
  assert_null(bucket_path("llama/8b/dir/", 0, "llama/8b"));
  assert_null(bucket_path("llama/8b2/a", 1, "llama/8b"));
  assert_null(bucket_path("llama/8b/dir_$folder$", 0, "llama/8b"));
  assert_string_equal(bucket_path("llama/8b/dir_$folder$", 1, "llama/8b"), "dir_$folder$");
  assert_null(bucket_path("", 0, ""));
  assert_string_equal(bucket_base_name("a/b/c.gguf"), "c.gguf");
  assert_string_equal(bucket_base_name("c.gguf"), "c.gguf");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_list), cmocka_unit_test(test_versions),
                                     cmocka_unit_test(test_paths)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
