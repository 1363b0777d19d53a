/* What config.json alone gives, for configurations with the published numbers of real models. */
#include "files.h"

#include "model/families.h"

#include <inttypes.h>
#include <stdio.h>

static void read_file(const char *path, struct buf *out) {
  char block[8192];
  size_t n = 0;
  FILE *f = fopen(path, "rb");

  assert_non_null(f);
  while ((n = fread(block, 1, sizeof(block), f)) > 0)
    buf_add(out, block, n);
  (void)fclose(f);
}

static bool same_number(struct json_object *expect, const char *key, uint64_t is, const char *name) {
  struct json_object *v = json_get(expect, key);

  if (!v || (uint64_t)json_object_get_int64(v) == is)
    return true;
  print_error("%s: %s is %" PRIu64 ", not %" PRId64 "\n", name, key, is, json_object_get_int64(v));
  return false;
}

static bool same_text(struct json_object *expect, const char *key, const char *is, const char *name) {
  const char *wanted = json_str(expect, key, NULL);

  if (!wanted || streq(wanted, is))
    return true;
  print_error("%s: %s is %s, not %s\n", name, key, is, wanted);
  return false;
}

/* Counts are the published ones or those of the reference implementations, never what this program says. */
static bool check_model(struct json_object *model) {
  _cleanup_model_facts_ struct model_facts f = {0};
  _cleanup_free_ char *text = json_text(json_get(model, "config"));
  struct json_object *expect = json_get(model, "expect");
  const char *name = json_str(model, "name", "?");
  struct ome_err err = ERR_INIT;
  const struct memory_file files[] = {{"config.json", text, strlen(text)}};
  bool good = true;

  if (look(files, 1, &f, &err) != OME_OK) {
    print_error("%s: %s\n", name, err.msg);
    return false;
  }
  good &= same_number(expect, "parameters", f.parameters, name);
  good &= same_number(expect, "active", f.active_parameters, name);
  good &= same_number(expect, "context", f.context_length, name);
  good &= same_number(expect, "weightBytes", f.weight_bytes, name);
  good &= same_number(expect, "kvBytesPerToken", model_kv_bytes(&f), name);
  good &= same_number(expect, "estimated", f.estimated, name);
  good &= same_text(expect, "quantization", f.quantization, name);
  good &= same_text(expect, "dtype", f.dtype, name);
  good &= same_text(expect, "family", f.family, name);
  good &= same_text(expect, "capability", f.capabilities[0], name);
  good &= same_text(expect, "type", f.type, name);
  good &= same_text(expect, "architecture", f.architecture, name);
  return good;
}

static void test_published_models(void **state) {
  _cleanup_buf_ struct buf text = BUF_INIT;
  _cleanup_json_ struct json_object *models = NULL;
  struct ome_err err = ERR_INIT;
  size_t wrong = 0;

  (void)state;
  read_file(MODEL_FIXTURES, &text);
  if (json_parse(text.data, text.len, 0, &models, &err) != OME_OK)
    fail_msg("%s", err.msg);
  for (size_t i = 0; i < json_len(models); i++)
    wrong += !check_model(json_index(models, i));
  print_message("%zu models, %zu wrong\n", json_len(models), wrong);
  assert_true(json_len(models) > 100);
  assert_int_equal(wrong, 0);
}

static void test_unknown_family(void **state) {
  static const char config[] = "{\"model_type\":\"zeppelin\",\"hidden_size\":64,\"num_hidden_layers\":2,"
                               "\"num_attention_heads\":4,\"intermediate_size\":128,\"vocab_size\":100,"
                               "\"max_sequence_length\":512,\"dtype\":\"float16\"}";
  const struct memory_file files[] = {{"config.json", config, sizeof(config) - 1}};
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  assert_int_equal(look(files, 1, &f, &err), OME_OK);
  assert_string_equal(f.family, "unknown");
  assert_true(f.estimated);
  assert_int_equal(f.parameters, 2 * 100 * 64 + 2 * (4 * 64 * 64 + 3 * 64 * 128 + 2 * 64) + 64);
  assert_int_equal(f.weight_bytes, 2 * f.parameters);
  assert_int_equal(f.context_length, 512);
  assert_string_equal(f.dtype, "float16");
}

/* Numbers no model has: no count, and no error. */
static void test_absurd_numbers(void **state) {
  static const char *const configs[] = {
      "{\"model_type\":\"llama\",\"hidden_size\":2147483647,\"num_hidden_layers\":2147483647,\"vocab_size\":2147483647,"
      "\"intermediate_size\":2147483647,\"num_attention_heads\":1}",
      "{\"model_type\":\"mixtral\",\"hidden_size\":262144,\"num_hidden_layers\":4096,\"vocab_size\":32000,"
      "\"intermediate_size\":262144,\"num_attention_heads\":1,\"num_local_experts\":16384,\"num_experts_per_tok\":2}",
      "{\"model_type\":\"llama\",\"hidden_size\":-1,\"num_hidden_layers\":true,\"vocab_size\":\"many\"}",
      "{\"model_type\":\"qwen2_vl\",\"vision_config\":{\"depth\":1e9},\"hidden_size\":[]}",
      "{\"model_type\":7,\"architectures\":{},\"rope_scaling\":[],\"quantization_config\":\"fp8\"}",
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
    const struct memory_file files[] = {{"config.json", configs[i], strlen(configs[i])}};
    _cleanup_model_facts_ struct model_facts f = {0};
    struct ome_err err = ERR_INIT;
    if (look(files, 1, &f, &err) != OME_OK)
      fail_msg("%zu: %s", i, err.msg);
    assert_int_equal(f.parameters, 0);
  }
}

static void test_quantization(void **state) {
  static const struct {
    const char *config, *name;
    double bits;
  } table[] = {
      {"{\"quant_method\":\"fp8\"}", "fp8", 8},
      {"{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":128}", "awq", 4.15625},
      {"{\"quant_method\":\"gptq\",\"bits\":8,\"group_size\":-1}", "gptq", 8},
      {"{\"quant_method\":\"bitsandbytes\",\"load_in_4bit\":true}", "bitsandbytes", 4.5},
      {"{\"quant_method\":\"mxfp4\"}", "mxfp4", 4.25},
      {"{\"quant_method\":\"modelopt\",\"quant_algo\":\"NVFP4\"}", "nvfp4", 4.5},
      {"{\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\",\"config_groups\":{\"group_0\":"
       "{\"weights\":{\"num_bits\":4,\"type\":\"int\",\"group_size\":128}}}}",
       "compressed-tensors", 4.125},
      {"{\"quant_method\":\"compressed-tensors\",\"format\":\"float-quantized\"}", "float-quantized", 8},
      {"{\"quant_method\":\"quark\"}", "quark", 8},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(table); i++) {
    _cleanup_model_facts_ struct model_facts f = {0};
    struct ome_err err = ERR_INIT;
    char config[512];
    (void)snprintf(config, sizeof(config),
                   "{\"model_type\":\"llama\",\"torch_dtype\":\"bfloat16\",\"quantization_config\":%s}",
                   table[i].config);
    const struct memory_file files[] = {{"config.json", config, strlen(config)}};
    assert_int_equal(look(files, 1, &f, &err), OME_OK);
    assert_string_equal(f.quantization, table[i].name);
    assert_true(f.weight_bits == table[i].bits);
  }
}

/* Windows fill up, latents and states stay small. */
static void test_memory_of_a_sequence(void **state) {
  const struct model_facts windowed = {
      .layers = 6, .kv_heads = 2, .head_size = 64, .sliding_window = 100, .sliding_layers = 5};
  const struct model_facts latent = {
      .layers = 61, .heads = 128, .kv_heads = 128, .kv_latent = 512, .rope_head_size = 64};
  const struct model_facts hybrid = {
      .layers = 4, .kv_heads = 1, .head_size = 64, .uncached_layers = 3, .state_bytes = 1000};

  (void)state;
  assert_int_equal(model_kv_bytes(&windowed), 6 * 2 * 128 * 2);
  assert_int_equal(model_sequence_bytes(&windowed, 1000, 16), (1000 + 5 * 100) * 2 * 128 * 2);
  assert_int_equal(model_kv_bytes(&latent), 61 * (512 + 64) * 2);
  assert_int_equal(model_sequence_bytes(&hybrid, 10, 8), 10 * 128 + 1000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_published_models),     cmocka_unit_test(test_unknown_family),
      cmocka_unit_test(test_absurd_numbers),       cmocka_unit_test(test_quantization),
      cmocka_unit_test(test_memory_of_a_sequence),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
