/* Adapters, pipelines, and what lies beside the weights. */
#include "files.h"

#define FILE_OF(path, text)                                                                                            \
  { path, text, sizeof(text) - 1 }

static void add_weights(struct buf *b) {
  safetensors(b, "{\"a\":{\"dtype\":\"F16\",\"shape\":[4,2],\"data_offsets\":[0,16]}}", 16);
}

static void test_adapter(void **state) {
  static const char config[] = "{\"peft_type\":\"LORA\",\"task_type\":\"CAUSAL_LM\",\"r\":16,\"lora_alpha\":32,"
                               "\"base_model_name_or_path\":\"org/base\",\"target_modules\":[\"q_proj\",\"v_proj\"]}";
  _cleanup_buf_ struct buf weights = BUF_INIT;
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  add_weights(&weights);
  const struct memory_file files[] = {FILE_OF("adapter_config.json", config),
                                      {"adapter_model.safetensors", weights.data, weights.len}};
  if (look(files, 2, &f, &err) != OME_OK)
    fail_msg("%s", err.msg);
  assert_string_equal(f.adapter.type, "LORA");
  assert_string_equal(f.adapter.base, "org/base");
  assert_string_equal(f.adapter.targets, "q_proj,v_proj");
  assert_int_equal(f.adapter.rank, 16);
  assert_int_equal(f.adapter.alpha, 32);
  assert_int_equal(f.parameters, 8);
  assert_string_equal(f.type, "lora");
  _cleanup_json_ struct json_object *doc = model_facts_json(&f);
  assert_int_equal(json_i64(doc, "adapter.rank", 0), 16);
}

static void test_pipeline(void **state) {
  static const char index[] =
      "{\"_class_name\":\"FluxPipeline\",\"_diffusers_version\":\"0.30.0\",\"scheduler\":[\"diffusers\",\"Euler\"],"
      "\"text_encoder\":[\"transformers\",\"CLIPTextModel\"],\"text_encoder_2\":[\"transformers\",\"T5EncoderModel\"],"
      "\"transformer\":[\"diffusers\",\"FluxTransformer2DModel\"],\"vae\":[\"diffusers\",\"AutoencoderKL\"],"
      "\"image_encoder\":[null,null]}";
  static const char parts[] = "{\"weight_map\":{\"a\":\"d-1.safetensors\"}}";
  static const char text[] = "{\"max_position_embeddings\":77}";
  _cleanup_buf_ struct buf weights = BUF_INIT;
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  add_weights(&weights);
  const struct memory_file files[] = {
      FILE_OF("model_index.json", index),
      FILE_OF("text_encoder/config.json", text),
      {"flux1-dev.safetensors", weights.data, weights.len},
      {"text_encoder/model.safetensors", weights.data, weights.len},
      {"text_encoder/model.fp16.safetensors", weights.data, weights.len},
      FILE_OF("transformer/diffusion_pytorch_model.safetensors.index.json", parts),
      {"transformer/d-1.safetensors", weights.data, weights.len},
      {"vae/diffusion_pytorch_model.safetensors", weights.data, weights.len},
  };
  if (look(files, ARRAY_LEN(files), &f, &err) != OME_OK)
    fail_msg("%s", err.msg);
  assert_string_equal(f.type, "diffusers");
  assert_string_equal(f.architecture, "FluxPipeline");
  assert_int_equal(f.parameters, 24);
  assert_int_equal(f.context_length, 77);
  assert_int_equal(f.components.len, 5);
  _cleanup_json_ struct json_object *spec = model_facts_config(&f);
  assert_string_equal(json_str(spec, "diffusionPipeline.className", ""), "FluxPipeline");
  assert_string_equal(json_str(spec, "diffusionPipeline.textEncoder.type", ""), "CLIPTextModel");
  assert_string_equal(json_str(spec, "diffusionPipeline.additionalComponents.text_encoder_2.library", ""),
                      "transformers");
}

static void test_what_lies_beside(void **state) {
  static const char card[] = "---\nlanguage: en\nlicense: other\nlicense_name: 'own-terms'\n---\n# x\nlicense: mit\n";
  static const char tokenizer[] = "{\"chat_template\":\"{{ messages }}\"}";
  static const char generation[] = "{\"temperature\":0.6,\"top_p\":0.95,\"top_k\":20,\"eos_token_id\":[1,2],"
                                   "\"repetition_penalty\":\"high\",\"max_new_tokens\":2048}";
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  const struct memory_file files[] = {FILE_OF("config.json", "{}"), FILE_OF("README.md", card),
                                      FILE_OF("tokenizer_config.json", tokenizer), FILE_OF("tokenizer.json", "{}"),
                                      FILE_OF("generation_config.json", generation)};
  assert_int_equal(look(files, 5, &f, &err), OME_OK);
  assert_string_equal(f.license, "own-terms");
  assert_true(f.tokenizer && f.chat_template && f.generation_config);
  _cleanup_json_ struct json_object *said = model_facts_json(&f);
  assert_string_equal(json_object_to_json_string_ext(json_get(said, "generationDefaults"), JSON_C_TO_STRING_PLAIN),
                      "{\"temperature\":0.6,\"topP\":0.95,\"topK\":20,\"maxNewTokens\":2048}");
}

/* None, one that is empty, several. */
static void test_chat_templates(void **state) {
  static const struct {
    const char *tokenizer;
    bool is;
  } table[] = {{"{}", false},
               {"{\"chat_template\":\"\"}", false},
               {"{\"chat_template\":null}", false},
               {"{\"chat_template\":[{\"name\":\"default\",\"template\":\"{{ messages }}\"}]}", true},
               {"{\"chat_template\":\"x\"}", true}};

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(table); i++) {
    const struct memory_file files[] = {FILE_OF("config.json", "{}"),
                                        {"tokenizer_config.json", table[i].tokenizer, strlen(table[i].tokenizer)}};
    _cleanup_model_facts_ struct model_facts f = {0};
    struct ome_err err = ERR_INIT;
    assert_int_equal(look(files, 2, &f, &err), OME_OK);
    assert_int_equal(f.chat_template, table[i].is);
  }
}

static void test_configurations_that_are_none(void **state) {
  static const struct memory_file bad[] = {
      FILE_OF("config.json", "[1,2]"),
      FILE_OF("config.json", "{\"a\":\"\xff\xfe\"}"),
      FILE_OF("config.json", ""),
      FILE_OF("model_index.json", "{}"),
      FILE_OF("model_index.json", "[]"),
      FILE_OF("adapter_config.json", "[]"),
      FILE_OF("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"../x\"}}"),
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
    struct model_facts f = {0};
    struct ome_err err = ERR_INIT;
    assert_int_equal(look(&bad[i], 1, &f, &err), OME_E_CORRUPT);
    if (!strstr(err.msg, bad[i].path))
      fail_msg("%s: %s", bad[i].path, err.msg);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_adapter),
      cmocka_unit_test(test_pipeline),
      cmocka_unit_test(test_what_lies_beside),
      cmocka_unit_test(test_chat_templates),
      cmocka_unit_test(test_configurations_that_are_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
