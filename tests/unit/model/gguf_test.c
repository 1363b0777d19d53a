/* GGUF: tables of tensors counted and checked, keys that differ from layer to layer, parts, lies. */
#include "files.h"

#include "model/gguf_names.h"

#include <stdio.h>

enum { U32 = 4, STRING = 8, ARRAY = 9 };

static void add_text(struct buf *b, const char *s) {
  add_little(b, strlen(s), 8);
  buf_adds(b, s);
}

static void add_number(struct buf *b, const char *key, uint32_t v) {
  add_text(b, key);
  add_little(b, U32, 4);
  add_little(b, v, 4);
}

static void add_string(struct buf *b, const char *key, const char *v) {
  add_text(b, key);
  add_little(b, STRING, 4);
  add_text(b, v);
}

static void add_numbers(struct buf *b, const char *key, const uint32_t *v, size_t n) {
  add_text(b, key);
  add_little(b, ARRAY, 4);
  add_little(b, U32, 4);
  add_little(b, n, 8);
  for (size_t i = 0; i < n; i++)
    add_little(b, v[i], 4);
}

static void add_tensor(struct buf *b, const char *name, uint64_t rows, uint64_t columns, uint32_t type, uint64_t at) {
  add_text(b, name);
  add_little(b, 2, 4);
  add_little(b, columns, 8);
  add_little(b, rows, 8);
  add_little(b, type, 4);
  add_little(b, at, 8);
}

static void begin(struct buf *b, uint64_t tensors, uint64_t pairs) {
  buf_adds(b, "GGUF");
  add_little(b, 3, 4);
  add_little(b, tensors, 8);
  add_little(b, pairs, 8);
}

static void end(struct buf *b, size_t data) {
  while (b->len % 32)
    buf_addc(b, 0);
  for (size_t i = 0; i < data; i++)
    buf_addc(b, 0);
}

#define Q4_K 12u
#define ROW ((size_t)1024 / 256 * 144)

static void qwen(struct buf *b) {
  begin(b, 2, 8);
  add_string(b, "general.architecture", "qwen2");
  add_number(b, "general.file_type", 15);
  add_number(b, "qwen2.context_length", 32768);
  add_number(b, "qwen2.block_count", 24);
  add_number(b, "qwen2.embedding_length", 896);
  add_number(b, "qwen2.attention.head_count", 14);
  add_number(b, "qwen2.attention.head_count_kv", 2);
  add_text(b, "tokenizer.ggml.tokens");
  add_little(b, ARRAY, 4);
  add_little(b, STRING, 4);
  add_little(b, 2, 8);
  add_text(b, "a");
  add_text(b, "bc");
  add_tensor(b, "token_embd.weight", 10, 1024, Q4_K, 0);
  add_tensor(b, "output.weight", 10, 1024, Q4_K, 10 * ROW);
  end(b, 20 * ROW);
}

static int32_t look_at(const struct buf *b, struct model_facts *f, struct ome_err *err) {
  const struct memory_file files[] = {{"m.gguf", b->data, b->len}};

  return look(files, 1, f, err);
}

static void test_facts(void **state) {
  _cleanup_buf_ struct buf b = BUF_INIT;
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  qwen(&b);
  if (look_at(&b, &f, &err) != OME_OK)
    fail_msg("%s", err.msg);
  assert_string_equal(f.architecture, "Qwen2ForCausalLM");
  assert_string_equal(f.quantization, "Q4_K_M");
  assert_int_equal(f.parameters, 2 * 10240);
  assert_int_equal(f.context_length, 32768);
  assert_int_equal(f.vocabulary, 2);
  assert_true(f.tokenizer && !f.chat_template);
  assert_int_equal(model_kv_bytes(&f), 24 * 2 * 64 * 4);
}

static void test_cut_anywhere(void **state) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  (void)state;
  qwen(&b);
  for (size_t cut = 0; cut < b.len; cut += cut < 900 ? 1 : 517) {
    struct model_facts f = {0};
    struct ome_err err = ERR_INIT;
    const struct memory_file files[] = {{"m.gguf", b.data, cut}};
    assert_int_equal(look(files, 1, &f, &err), OME_E_CORRUPT);
  }
}

static void test_every_type(void **state) {
  (void)state;
  for (uint32_t type = 0; type < 64; type++) {
    const struct gguf_type *t = gguf_type_of(type);
    _cleanup_buf_ struct buf b = BUF_INIT;
    _cleanup_model_facts_ struct model_facts f = {0};
    struct ome_err err = ERR_INIT;
    if (!t)
      continue;
    begin(&b, 1, 1);
    add_string(&b, "general.architecture", "llama");
    add_tensor(&b, "a", 3, 512, type, 0);
    end(&b, (size_t)3 * 512 / t->block * t->bytes);
    if (look_at(&b, &f, &err) != OME_OK)
      fail_msg("%s: %s", t->name, err.msg);
    assert_int_equal(f.parameters, 3 * 512);
    b.len--;
    struct model_facts none = {0};
    assert_int_equal(look_at(&b, &none, &err), OME_E_CORRUPT);
  }
}

static void test_heads_that_differ(void **state) {
  static const uint32_t heads[] = {0, 4, 0, 8};
  _cleanup_buf_ struct buf b = BUF_INIT;
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  begin(&b, 0, 5);
  add_string(&b, "general.architecture", "lfm2");
  add_number(&b, "lfm2.block_count", 4);
  add_number(&b, "lfm2.attention.head_count", 8);
  add_number(&b, "lfm2.attention.key_length", 64);
  add_numbers(&b, "lfm2.attention.head_count_kv", heads, 4);
  assert_int_equal(look_at(&b, &f, &err), OME_OK);
  assert_int_equal(f.uncached_layers, 2);
  assert_int_equal(model_kv_bytes(&f), (4 + 8) * 64 * 2 * 2);
}

static void test_experts(void **state) {
  _cleanup_buf_ struct buf b = BUF_INIT;
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  begin(&b, 2, 3);
  add_string(&b, "general.architecture", "qwen3moe");
  add_number(&b, "qwen3moe.expert_count", 8);
  add_number(&b, "qwen3moe.expert_used_count", 2);
  add_tensor(&b, "blk.0.ffn_up_exps.weight", 8, 64, 0, 0);
  add_tensor(&b, "token_embd.weight", 1, 64, 0, 2048);
  end(&b, 2048 + 256);
  assert_int_equal(look_at(&b, &f, &err), OME_OK);
  assert_int_equal(f.parameters, 9 * 64);
  assert_int_equal(f.active_parameters, 3 * 64);
}

static void test_parts(void **state) {
  _cleanup_buf_ struct buf one = BUF_INIT;
  _cleanup_buf_ struct buf two = BUF_INIT;
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  begin(&one, 1, 2);
  add_string(&one, "general.architecture", "llama");
  add_number(&one, "split.count", 3);
  add_tensor(&one, "a", 2, 32, 0, 0);
  end(&one, 256);
  begin(&two, 1, 0);
  add_tensor(&two, "b", 1, 32, 0, 0);
  end(&two, 128);
  const struct memory_file files[] = {{"m-00001-of-00003.gguf", one.data, one.len},
                                      {"m-00002-of-00003.gguf", two.data, two.len},
                                      {"mmproj-m.gguf", two.data, two.len}};
  assert_int_equal(look(files, 3, &f, &err), OME_OK);
  assert_int_equal(f.parameters, 96);
  assert_true(f.vision);
  assert_int_equal(f.warnings.len, 1);
  assert_non_null(strstr(f.warnings.items[0], "2 of 3 parts"));
}

static void refuse(struct buf *b, const char *says) {
  struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  assert_int_equal(look_at(b, &f, &err), OME_E_CORRUPT);
  if (!strstr(err.msg, "m.gguf") || !strstr(err.msg, says))
    fail_msg("%s instead of %s", err.msg, says);
  buf_clear(b);
}

static void test_lies(void **state) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  (void)state;
  begin(&b, 1, (uint64_t)1 << 40);
  refuse(&b, "1099511627776 keys are more");
  begin(&b, (uint64_t)1 << 40, 0);
  refuse(&b, "1099511627776 tensors");
  begin(&b, 0, 1);
  add_text(&b, "k");
  add_little(&b, ARRAY, 4);
  add_little(&b, STRING, 4);
  add_little(&b, (uint64_t)1 << 40, 8);
  refuse(&b, "an array of 1099511627776");
  begin(&b, 0, 2);
  add_number(&b, "k", 1);
  add_number(&b, "k", 2);
  refuse(&b, "key k is there twice");
  begin(&b, 2, 0);
  add_tensor(&b, "a", 1, 32, 0, 0);
  add_tensor(&b, "a", 1, 32, 0, 128);
  end(&b, 256);
  refuse(&b, "tensor a is there twice");
  begin(&b, 1, 0);
  add_tensor(&b, "a", (uint64_t)1 << 63, 2, 0, 0);
  refuse(&b, "too large");
  begin(&b, 1, 0);
  add_tensor(&b, "a", 1, 48, Q4_K, 0);
  refuse(&b, "no whole blocks of Q4_K");
  begin(&b, 1, 0);
  add_tensor(&b, "a", 1, 32, 0, 0xffffffffffffffe0u);
  refuse(&b, "lies at byte 18446744073709551584");
  begin(&b, 0, 1);
  add_text(&b, "k");
  for (int i = 0; i < 6; i++) {
    add_little(&b, ARRAY, 4);
    add_little(&b, 1, 8);
  }
  refuse(&b, "at byte");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_facts),   cmocka_unit_test(test_cut_anywhere),      cmocka_unit_test(test_every_type),
      cmocka_unit_test(test_experts), cmocka_unit_test(test_heads_that_differ), cmocka_unit_test(test_parts),
      cmocka_unit_test(test_lies),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
