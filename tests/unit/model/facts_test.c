/* Model files made here, whole and broken. */
#include "../unit.h"

#include "base/buf.h"
#include "base/str.h"
#include "model/facts.h"

#include <stdio.h>
#include <stdlib.h>

struct memory_file {
  const char *path;
  const void *data;
  size_t len;
};

struct memory {
  const struct memory_file *files;
  size_t n;
};

static int32_t read_memory(void *arg, const char *path, uint64_t offset, void *out, size_t len, struct ome_err *err) {
  const struct memory *m = arg;

  for (size_t i = 0; i < m->n; i++)
    if (streq(m->files[i].path, path) && offset <= m->files[i].len && len <= m->files[i].len - offset) {
      memcpy(out, (const char *)m->files[i].data + offset, len);
      return OME_OK;
    }
  return fail(err, OME_E_CORRUPT, "read beyond %s", path);
}

static int32_t look(const struct memory_file *files, size_t n, struct model_facts *out, struct ome_err *err) {
  struct memory m = {files, n};
  struct model_file list[8];

  for (size_t i = 0; i < n; i++)
    list[i] = (struct model_file){files[i].path, files[i].len};
  const struct model_source src = {.files = list, .nfiles = n, .read = read_memory, .arg = &m};
  return model_facts_read(&src, out, err);
}

/* ---- safetensors ------------------------------------------------------------------------------------------------- */

static void add_u64(struct buf *b, uint64_t v) {
  for (int i = 0; i < 8; i++)
    buf_addc(b, (char)(v >> (8 * i)));
}

static void safetensors(struct buf *b, const char *header, size_t data) {
  add_u64(b, strlen(header));
  buf_adds(b, header);
  for (size_t i = 0; i < data; i++)
    buf_addc(b, 0);
}

static const char llama[] =
    "{\"model_type\":\"llama\",\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":64,\"num_hidden_layers\":2,"
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"intermediate_size\":128,\"vocab_size\":100,"
    "\"max_position_embeddings\":2048,\"torch_dtype\":\"bfloat16\",\"transformers_version\":\"4.40.0\","
    "\"tie_word_embeddings\":true}";

static void test_safetensors(void **state) {
  _cleanup_buf_ struct buf weights = BUF_INIT;
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  safetensors(
      &weights,
      "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"BF16\",\"shape\":[10,3],\"data_offsets\":[0,60]},"
      "\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[60,64]}}",
      64);
  const struct memory_file files[] = {{"config.json", llama, sizeof(llama) - 1},
                                      {"model.safetensors", weights.data, weights.len}};
  if (look(files, 2, &f, &err) != OME_OK)
    fail_msg("%s", err.msg);
  assert_int_equal(f.parameters, 31); /* a scalar is one number */
  assert_int_equal(f.weight_bytes, 64);
  assert_string_equal(f.parameter_source, "safetensors");
  assert_string_equal(f.format, "safetensors");
  assert_string_equal(f.dtype, "bfloat16");
  assert_int_equal(f.context_length, 2048);
  assert_int_equal(model_kv_bytes(&f), 2 * 2 * 2 * 16 * 2);
  assert_string_equal(f.capabilities[0], "TEXT_TO_TEXT");
}

static void test_index_names_the_shards(void **state) {
  _cleanup_buf_ struct buf one = BUF_INIT;
  _cleanup_buf_ struct buf two = BUF_INIT;
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;
  static const char index[] =
      "{\"weight_map\":{\"a\":\"m1.safetensors\",\"b\":\"m2.safetensors\",\"c\":\"m1.safetensors\"}}";

  (void)state;
  safetensors(&one, "{\"a\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,8]}}", 8);
  safetensors(&two, "{\"b\":{\"dtype\":\"F16\",\"shape\":[5],\"data_offsets\":[0,10]}}", 10);
  const struct memory_file files[] = {{"config.json", llama, sizeof(llama) - 1},
                                      {"m1.safetensors", one.data, one.len},
                                      {"m2.safetensors", two.data, two.len},
                                      {"other.safetensors", one.data, one.len},
                                      {"model.safetensors.index.json", index, sizeof(index) - 1}};
  assert_int_equal(look(files, 5, &f, &err), OME_OK);
  assert_int_equal(f.parameters, 9);
}

static void test_config_alone(void **state) {
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;
  const struct memory_file files[] = {{"config.json", llama, sizeof(llama) - 1}};

  (void)state;
  assert_int_equal(look(files, 1, &f, &err), OME_OK);
  assert_string_equal(f.parameter_source, "config");
  /* embedding, two layers of q, k, v, o, gate, up, down and two norms, the last norm */
  assert_int_equal(f.parameters, 100 * 64 + 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128 + 2 * 64) + 64);
  assert_int_equal(f.warnings.len, 2);
}

/* Python's json writes numbers that JSON has not; state space models have them in their configurations. */
static void test_numbers_that_are_none(void **state) {
  static const struct {
    const char *config;
    uint64_t context; /* 0: no JSON even so */
  } table[] = {
      {"{\"model_type\":\"mamba\",\"limit\":[0.0,Infinity],\"max_position_embeddings\":4096}", 4096},
      {"{\"model_type\":\"mamba\",\"a\":[NaN,NaN,-Infinity,1],\"max_position_embeddings\":4096}", 4096},
      {"{\"model_type\":\"NaN \\\"Infinity\",\"a\":NaN,\"max_position_embeddings\":4096}", 4096},
      {"{\"max_position_embeddings\":NaN,\"max_sequence_length\":2048}", 2048},
      {"{\"model_type\":\"mamba\",\"a\":NaNs}", 0},
      {"{\"model_type\":\"mamba\",\"a\":Inf}", 0},
      {"{\"model_type\":\"mamba\",\"a\":Infinity", 0},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(table); i++) {
    _cleanup_model_facts_ struct model_facts f = {0};
    struct ome_err err = ERR_INIT;
    const struct memory_file file = {"config.json", table[i].config, strlen(table[i].config)};
    assert_int_equal(look(&file, 1, &f, &err), table[i].context ? OME_OK : OME_E_CORRUPT);
    assert_int_equal(f.context_length, table[i].context);
    if (table[i].context == 0)
      assert_non_null(strstr(err.msg, "config.json"));
  }
}

/* The last of equal keys counts, and it is said; keys in different objects, and texts that look like keys, are none. */
static void test_keys_that_are_there_twice(void **state) {
  static const struct {
    const char *config;
    bool twice;
  } table[] = {
      {"{\"model_type\":\"bert\",\"model_type\":\"llama\"}", true},
      {"{\"model_type\":\"llama\",\"a\":[{\"b\":1,\"b\":{\"b\":2}}]}", true},
      {"{\"model_type\":\"llama\",\"a\":{\"model_type\":1},\"b\":[{\"c\":1},{\"c\":2}]}", false},
      {"{\"model_type\":\"llama\",\"a\":\"{\\\"a\\\":1,\\\"a\\\":2}\",\"b\":\"a\"}", false},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(table); i++) {
    _cleanup_model_facts_ struct model_facts f = {0};
    struct ome_err err = ERR_INIT;
    const struct memory_file file = {"config.json", table[i].config, strlen(table[i].config)};
    bool said = false;
    assert_int_equal(look(&file, 1, &f, &err), OME_OK);
    assert_string_equal(f.type, "llama");
    for (size_t k = 0; k < f.warnings.len; k++)
      said = said || strstr(f.warnings.items[k], "config.json has a key twice");
    assert_int_equal(said, table[i].twice);
  }
}

static void test_broken_headers(void **state) {
  static const char *const headers[] = {
      "{\"a\":{\"dtype\":\"F16\",\"shape\":[-4],\"data_offsets\":[0,8]}}",
      "{\"a\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,9]}}",
      "{\"a\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[8,0]}}",
      "{\"a\":{\"dtype\":\"F16\",\"shape\":[4611686018427387904,8],\"data_offsets\":[0,8]}}",
      "{\"a\":7}",
      "[]",
      "{",
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
    _cleanup_buf_ struct buf weights = BUF_INIT;
    struct model_facts f = {0};
    struct ome_err err = ERR_INIT;
    safetensors(&weights, headers[i], 8);
    const struct memory_file files[] = {{"model.safetensors", weights.data, weights.len}};
    assert_int_equal(look(files, 1, &f, &err), OME_E_CORRUPT);
  }
}

/* ---- size -------------------------------------------------------------------------------------------------------- */

/* As OME writes them, oddities included. */
static void test_size_texts(void **state) {
  static const struct {
    uint64_t n;
    const char *text;
  } table[] = {
      {0, "0"},
      {999, "999"},
      {1000, "1K"},
      {1500, "1.5K"},
      {10500, "10.5K"},
      {151500, "151.5K"},
      {999999, "1000.00K"},
      {1234567, "1.23M"},
      {92564, "92.56K"},
      {137022720, "137.02M"},
      {494032768, "494.03M"},
      {151500000, "151.5M"},
      {999999999, "1000.00M"},
      {1000000000, "1B"},
      {1050000000, "1.1B"},
      {1005000000, "1.00B"},
      {1015000000, "1.01B"},
      {1100000000, "1.10B"},
      {2300000000, "2.30B"},
      {7240000000, "7.2B"},
      {7241748480, "7.24B"},
      {7250000000, "7.2B"},
      {8030261248, "8.03B"},
      {8190000000, "8.2B"},
      {46700000000, "46.7B"},
      {70553706496, "70.55B"},
      {70600000000, "70.60B"},
      {151500000000, "151.5B"},
      {235093634560, "235.09B"},
      {671026419200, "671.03B"},
      {684531386000, "684.53B"},
      {685000000000, "685B"},
      {1000000000000, "1T"},
      {1026470731056, "1.03T"},
      {1500000000000, "1.5T"},
      {1512300000000, "1.51T"},
  };
  char text[32];

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(table); i++) {
    model_size_text(table[i].n, text);
    assert_string_equal(text, table[i].text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_safetensors),
      cmocka_unit_test(test_index_names_the_shards),
      cmocka_unit_test(test_config_alone),
      cmocka_unit_test(test_broken_headers),
      cmocka_unit_test(test_size_texts),
      cmocka_unit_test(test_numbers_that_are_none),
      cmocka_unit_test(test_keys_that_are_there_twice),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
