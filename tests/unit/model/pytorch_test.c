/* PyTorch's archives: sizes from the zip index, types from the pickle, which is never run. */
#include "files.h"

struct zip {
  struct buf bytes, directory;
  uint64_t entries;
};

static void zip_add(struct zip *z, const char *name, const void *data, size_t len) {
  size_t at = z->bytes.len;

  add_little(&z->bytes, 0x04034b50, 4);
  add_little(&z->bytes, 0, 22);
  add_little(&z->bytes, strlen(name), 2);
  add_little(&z->bytes, 0, 2);
  buf_adds(&z->bytes, name);
  buf_add(&z->bytes, data, len);
  add_little(&z->directory, 0x02014b50, 4);
  add_little(&z->directory, 0, 16);
  add_little(&z->directory, len, 4);
  add_little(&z->directory, len, 4);
  add_little(&z->directory, strlen(name), 2);
  add_little(&z->directory, 0, 12);
  add_little(&z->directory, at, 4);
  buf_adds(&z->directory, name);
  z->entries++;
}

static void zip_end(struct zip *z, bool zip64) {
  uint64_t at = z->bytes.len, len = z->directory.len;

  buf_add(&z->bytes, z->directory.data, z->directory.len);
  if (zip64) {
    uint64_t end = z->bytes.len;
    add_little(&z->bytes, 0x06064b50, 4);
    add_little(&z->bytes, 44, 8);
    add_little(&z->bytes, 0, 8);
    add_little(&z->bytes, 0, 4);
    add_little(&z->bytes, z->entries, 8);
    add_little(&z->bytes, z->entries, 8);
    add_little(&z->bytes, len, 8);
    add_little(&z->bytes, at, 8);
    add_little(&z->bytes, 0x07064b50, 4);
    add_little(&z->bytes, 0, 4);
    add_little(&z->bytes, end, 8);
    add_little(&z->bytes, 1, 4);
  }
  add_little(&z->bytes, 0x06054b50, 4);
  add_little(&z->bytes, 0, 4);
  add_little(&z->bytes, zip64 ? 0xffff : z->entries, 2);
  add_little(&z->bytes, zip64 ? 0xffff : z->entries, 2);
  add_little(&z->bytes, zip64 ? 0xffffffffu : len, 4);
  add_little(&z->bytes, zip64 ? 0xffffffffu : at, 4);
  add_little(&z->bytes, 3, 2);
  buf_adds(&z->bytes, "end");
}

static void zip_fini(struct zip *z) {
  buf_fini(&z->bytes);
  buf_fini(&z->directory);
}

/* {"a": a float tensor of storage 0, "b": a half tensor of storage 1, "c": another float tensor, of storage 2} */
static const char pickle[] = "\x80\x02}q\x00(X\x01\x00\x00\x00"
                             "aq\x01"
                             "ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storageq\x03"
                             "ctorch\nFloatStorage\nq\x04X\x01\x00\x00\x00"
                             "0q\x05X\x03\x00\x00\x00"
                             "cpuq\x06K\x06tq\x07QK\x00K\x02K\x03\x86q\x08K\x03K\x01\x86q\x09\x89"
                             "ccollections\nOrderedDict\nq\x0a)Rq\x0btq\x0cRq\x0d"
                             "X\x01\x00\x00\x00"
                             "bq\x0eh\x02((h\x03"
                             "ctorch\nHalfStorage\nq\x0fX\x01\x00\x00\x00"
                             "1q\x10h\x06K\x05tq\x11QK\x00K\x05\x85q\x12K\x01\x85q\x13\x89h\x0a)Rq\x14tq\x15Rq\x16"
                             "X\x01\x00\x00\x00"
                             "cq\x17h\x02((h\x03h\x04X\x01\x00\x00\x00"
                             "2q\x18h\x06K\x02tq\x19QK\x00K\x02\x85q\x1aK\x01\x85q\x1b\x89h\x0a)Rq\x1ctq\x1dRq\x1eu.";

static void archive(struct zip *z, bool zip64) {
  static const char zeros[32];

  zip_add(z, "archive/data.pkl", pickle, sizeof(pickle) - 1);
  zip_add(z, "archive/data/0", zeros, 24);
  zip_add(z, "archive/data/1", zeros, 10);
  zip_add(z, "archive/data/2", zeros, 8);
  zip_add(z, "archive/version", "3\n", 2);
  zip_end(z, zip64);
}

static void test_counts(void **state) {
  (void)state;
  for (int zip64 = 0; zip64 < 2; zip64++) {
    _cleanup_(zip_fini) struct zip z = {.entries = 0};
    _cleanup_model_facts_ struct model_facts f = {0};
    struct ome_err err = ERR_INIT;
    archive(&z, zip64 == 1);
    const struct memory_file files[] = {{"config.json", "{}", 2}, {"pytorch_model.bin", z.bytes.data, z.bytes.len}};
    if (look(files, 2, &f, &err) != OME_OK)
      fail_msg("%s", err.msg);
    assert_int_equal(f.parameters, 6 + 5 + 2);
    assert_int_equal(f.weight_bytes, 42);
    assert_string_equal(f.parameter_source, "pytorch");
    assert_string_equal(f.format, "pytorch");
    assert_string_equal(f.dtype, "float32");
    assert_int_equal(f.warnings.len, 0);
  }
}

static void test_types_from_the_configuration(void **state) {
  static const char config[] = "{\"model_type\":\"x\",\"torch_dtype\":\"bfloat16\"}";
  _cleanup_(zip_fini) struct zip z = {.entries = 0};
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  zip_add(&z, "m/data.pkl", "\x80\x04.", 3);
  zip_add(&z, "m/data/0", "01234567", 8);
  zip_end(&z, false);
  const struct memory_file files[] = {{"config.json", config, sizeof(config) - 1},
                                      {"pytorch_model.bin", z.bytes.data, z.bytes.len}};
  assert_int_equal(look(files, 2, &f, &err), OME_OK);
  assert_int_equal(f.parameters, 4);
}

static void test_bare_pickle_has_a_size(void **state) {
  static const char old[64] = "\x80\x02\x8a\x0a";
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  const struct memory_file files[] = {{"config.json", "{}", 2}, {"pytorch_model.bin", old, sizeof(old)}};
  assert_int_equal(look(files, 2, &f, &err), OME_OK);
  assert_int_equal(f.parameters, 0);
  assert_int_equal(f.weight_bytes, 64);
  assert_non_null(strstr(f.warnings.items[0], "cannot be told"));
}

/* Every byte changed, every cut: an answer or an error, never more than that. */
static void test_broken_archives(void **state) {
  _cleanup_(zip_fini) struct zip z = {.entries = 0};

  (void)state;
  archive(&z, true);
  for (size_t i = 0; i < z.bytes.len; i++)
    for (int cut = 0; cut < 2; cut++) {
      struct model_facts f = {0};
      struct ome_err err = ERR_INIT;
      const struct memory_file files[] = {{"config.json", "{}", 2},
                                          {"pytorch_model.bin", z.bytes.data, cut ? i : z.bytes.len}};
      z.bytes.data[i] ^= (char)(cut ? 0 : 0xff);
      if (look(files, 2, &f, &err) == OME_OK)
        model_facts_fini(&f);
      else
        assert_non_null(strstr(err.msg, "pytorch_model.bin"));
      z.bytes.data[i] ^= (char)(cut ? 0 : 0xff);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_counts),
      cmocka_unit_test(test_types_from_the_configuration),
      cmocka_unit_test(test_bare_pickle_has_a_size),
      cmocka_unit_test(test_broken_archives),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
