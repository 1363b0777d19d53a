/* Safetensors: packed weights count as what they stand for, and headers that lie are refused. */
#include "files.h"

#include <stdio.h>

static void test_packed_weights(void **state) {
  static const struct {
    const char *what, *config, *tensors, *quantization;
    uint64_t parameters;
  } table[] = {
      {"plain", "{}", "a.weight F16 8,4;norm.weight F32 4", "", 36},
      {"no matrix hides another", "{}", "a.scales F16 8;a.weight F16 8,4;b.biases F16 2", "", 42},
      {"gptq, 4 bits by its zero points", "{\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":8}}",
       "l.qweight I32 16,64;l.qzeros I32 1,8;l.scales F16 1,64;l.g_idx I32 128;l.bias F16 64", "gptq", 128 * 64 + 64},
      {"gptq, 3 bits", "{\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":3}}",
       "l.qweight I32 12,32;l.qzeros I32 1,3;l.scales F16 1,32", "gptq", 128 * 32},
      {"gptq, 8 bits", "{\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":8}}",
       "l.qweight I32 32,64;l.scales F16 1,64", "gptq", 128 * 64},
      {"awq", "{\"quantization_config\":{\"quant_method\":\"awq\",\"bits\":4}}",
       "l.qweight I32 128,8;l.qzeros I32 1,8;l.scales F16 1,64", "awq", 128 * 64},
      {"compressed-tensors, 8 bits",
       "{\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"config_groups\":{\"group_0\":"
       "{\"weights\":{\"num_bits\":8}}}}}",
       "l.weight_packed I32 64,32;l.weight_scale BF16 64,1;l.weight_shape I64 2", "compressed-tensors", 64 * 128},
      {"compressed-tensors, nvfp4", "{\"quantization_config\":{\"quant_method\":\"compressed-tensors\"}}",
       "l.weight_packed U8 64,64;l.weight_scale F8_E4M3 64,8;l.weight_global_scale F32 1;l.input_global_scale F32 1",
       "compressed-tensors", 64 * 128},
      {"nvfp4", "{}", "l.weight U8 64,64;l.weight_scale F8_E4M3 64,8;l.weight_scale_2 F32 1;l.input_scale F32 1",
       "nvfp4", 64 * 128},
      {"mxfp4", "{}",
       "m.experts.down_proj_blocks U8 2,32,4,16;m.experts.down_proj_scales U8 2,32,4;m.experts.down_proj_bias BF16 2,32",
       "mxfp4", 2 * 32 * 128 + 64},
      {"mxfp4 of Quark", "{}", "l.weight U8 64,64;l.weight_scale U8 64,4", "mxfp4", 64 * 128},
      {"bitsandbytes, nf4", "{}",
       "l.weight U8 4096,1;l.weight.absmax U8 128;l.weight.nested_absmax F32 1;l.weight.nested_quant_map F32 256;"
       "l.weight.quant_map F32 16;l.weight.quant_state.bitsandbytes__nf4 U8 99;n.weight F16 8",
       "bitsandbytes", 8192 + 8},
      {"bitsandbytes, int8", "{}", "l.weight I8 64,32;l.SCB F32 64;l.weight_format U8 1", "bitsandbytes", 64 * 32},
      {"fp8 with block scales", "{}", "l.weight F8_E4M3 128,256;l.weight_scale_inv F32 1,2;n.weight BF16 128", "fp8",
       128 * 256 + 128},
      {"fp8 with scales for the cache", "{}",
       "a.k_proj.weight F8_E4M3 8,8;a.k_proj.weight_scale F32 1;a.k_proj.input_scale F32 1;a.k_scale F32 1", "fp8", 64},
      {"mlx, 4 bits", "{\"quantization\":{\"group_size\":64,\"bits\":4}}",
       "l.weight U32 64,16;l.scales F16 64,2;l.biases F16 64,2", "", 64 * 128},
      {"a type of four bits", "{}", "l.weight F4 64,64", "", 64 * 64},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(table); i++) {
    _cleanup_buf_ struct buf weights = BUF_INIT;
    _cleanup_model_facts_ struct model_facts f = {0};
    struct ome_err err = ERR_INIT;
    tensor_file(&weights, table[i].tensors);
    const struct memory_file files[] = {{"config.json", table[i].config, strlen(table[i].config)},
                                        {"model.safetensors", weights.data, weights.len}};
    if (look(files, 2, &f, &err) != OME_OK)
      fail_msg("%s: %s", table[i].what, err.msg);
    if (f.parameters != table[i].parameters || !streq(f.quantization, table[i].quantization))
      fail_msg("%s: %llu parameters of %s", table[i].what, (unsigned long long)f.parameters, f.quantization);
  }
}

static void test_tied_matrix_counts_once(void **state) {
  static const char config[] = "{\"model_type\":\"llama\",\"tie_word_embeddings\":true}";
  _cleanup_buf_ struct buf weights = BUF_INIT;
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  tensor_file(&weights, "model.embed_tokens.weight F16 10,4;lm_head.weight F16 10,4;model.norm.weight F16 4");
  const struct memory_file files[] = {{"config.json", config, sizeof(config) - 1},
                                      {"model.safetensors", weights.data, weights.len}};
  assert_int_equal(look(files, 2, &f, &err), OME_OK);
  assert_int_equal(f.parameters, 44);
  assert_int_equal(f.weight_bytes, 168);
}

static void test_a_tensor_of_two_shards_counts_once(void **state) {
  static const char index[] =
      "{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\",\"c\":\"2.safetensors\"}}";
  _cleanup_buf_ struct buf one = BUF_INIT;
  _cleanup_buf_ struct buf two = BUF_INIT;
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  tensor_file(&one, "a F16 4");
  tensor_file(&two, "b F16 5;a F16 4");
  const struct memory_file files[] = {{"1.safetensors", one.data, one.len},
                                      {"2.safetensors", two.data, two.len},
                                      {"model.safetensors.index.json", index, sizeof(index) - 1}};
  assert_int_equal(look(files, 3, &f, &err), OME_OK);
  assert_int_equal(f.parameters, 9);
  bool twice = false, missing = false;
  for (size_t i = 0; i < f.warnings.len; i++) {
    twice = twice || strstr(f.warnings.items[i], "more than one file");
    missing = missing || strstr(f.warnings.items[i], "in no file, c for one");
  }
  assert_true(twice && missing);
}

static void test_the_makers_own_files_are_no_second_model(void **state) {
  _cleanup_buf_ struct buf one = BUF_INIT;
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  tensor_file(&one, "a F16 4");
  const struct memory_file files[] = {{"consolidated.safetensors", one.data, one.len},
                                      {"model-00001-of-00001.safetensors", one.data, one.len}};
  assert_int_equal(look(files, 2, &f, &err), OME_OK);
  assert_int_equal(f.parameters, 4);
  assert_int_equal(f.weight_bytes, 8);
}

#define T "\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":"

static void test_headers_that_lie(void **state) {
  static const struct {
    const char *header, *says;
  } table[] = {
      {"{\"a\":{" T "[0,8]},\"b\":{" T "[4,12]}}", "overlap at byte 4"},
      {"{\"a\":{" T "[0,8]},\"b\":{" T "[0,8]}}", "overlap at byte 0"},
      {"{\"a\":{" T "[0,8]},\"a\":{" T "[8,16]}}", "names tensor a twice, again at byte 62"},
      {"{\"a\":{\"dtype\":\"F16\"," T "[0,8]}}", "a property of a tensor twice"},
      {"{\"a\":{\"dtype\":\"F16\",\"shape\":[9223372036854775808],\"data_offsets\":[0,8]}}", "tensor a has no dtype"},
      {"{\"a\":{\"dtype\":\"F16\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}", "tensor a has no dtype"},
      {"{\"a\":{" T "[0,18446744073709551615]}}", "lies at 0 to"},
      {"{\"a\":{" T "[8,99]}}", "lies at 8 to 99 of 16 bytes"},
      {"{\"a\":{" T "[0,10]}}", "tensor a of 4 F16 has 10 bytes; its entry is at byte 9"},
      {"{\"a\":{\"shape\":[4],\"data_offsets\":[0,8]}}", "tensor a has no dtype"},
      {"{\"a\":{" T "[0,8]}", "header at byte 8"},
      {"{\"\xff\":1}", "header at byte 8"},
      {"[1]", "no JSON object"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(table); i++) {
    _cleanup_buf_ struct buf weights = BUF_INIT;
    struct model_facts f = {0};
    struct ome_err err = ERR_INIT;
    safetensors(&weights, table[i].header, 16);
    const struct memory_file files[] = {{"model.safetensors", weights.data, weights.len}};
    assert_int_equal(look(files, 1, &f, &err), OME_E_CORRUPT);
    if (!strstr(err.msg, "model.safetensors") || !strstr(err.msg, table[i].says))
      fail_msg("%s: %s", table[i].header, err.msg);
  }
}

static void test_header_longer_than_file(void **state) {
  _cleanup_buf_ struct buf weights = BUF_INIT;
  struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  add_little(&weights, UINT64_MAX, 8);
  buf_adds(&weights, "{}");
  const struct memory_file files[] = {{"model.safetensors", weights.data, weights.len}};
  assert_int_equal(look(files, 1, &f, &err), OME_E_CORRUPT);
  assert_non_null(strstr(err.msg, "longer than the file"));
}

static void test_type_never_seen(void **state) {
  _cleanup_buf_ struct buf weights = BUF_INIT;
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  safetensors(&weights, "{\"a\":{\"dtype\":\"Q3_X\",\"shape\":[4,4],\"data_offsets\":[0,6]}}", 6);
  const struct memory_file files[] = {{"model.safetensors", weights.data, weights.len}};
  assert_int_equal(look(files, 1, &f, &err), OME_OK);
  assert_int_equal(f.parameters, 16);
  assert_int_equal(f.weight_bytes, 6);
  assert_int_equal(f.warnings.len, 1);
  assert_non_null(strstr(f.warnings.items[0], "Q3_X"));
}

static void test_very_many_tensors(void **state) {
  _cleanup_buf_ struct buf header = BUF_INIT;
  _cleanup_buf_ struct buf weights = BUF_INIT;
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  for (unsigned i = 0; i < 100000; i++)
    buf_addf(&header, "%c\"t%u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%u,%u]}", i ? ',' : '{', i, i,
             i + 1);
  buf_adds(&header, "}");
  safetensors(&weights, buf_str(&header), 100000);
  const struct memory_file files[] = {{"model.safetensors", weights.data, weights.len}};
  assert_int_equal(look(files, 1, &f, &err), OME_OK);
  assert_int_equal(f.parameters, 100000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_packed_weights),
      cmocka_unit_test(test_tied_matrix_counts_once),
      cmocka_unit_test(test_a_tensor_of_two_shards_counts_once),
      cmocka_unit_test(test_the_makers_own_files_are_no_second_model),
      cmocka_unit_test(test_headers_that_lie),
      cmocka_unit_test(test_header_longer_than_file),
      cmocka_unit_test(test_type_never_seen),
      cmocka_unit_test(test_very_many_tensors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
