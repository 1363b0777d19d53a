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

static struct json_object *read_json(const char *path) {
  _cleanup_buf_ struct buf text = BUF_INIT;
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  read_file(path, &text);
  if (json_parse(text.data, text.len, 0, &o, &err) != OME_OK)
    fail_msg("%s: %s", path, err.msg);
  return o;
}

static void test_published_models(void **state) {
  _cleanup_json_ struct json_object *models = read_json(MODEL_FIXTURES);
  size_t wrong = 0;

  (void)state;
  for (size_t i = 0; i < json_len(models); i++)
    wrong += !check_model(json_index(models, i));
  print_message("%zu models, %zu wrong\n", json_len(models), wrong);
  assert_true(json_len(models) > 100);
  assert_int_equal(wrong, 0);
}

/* ---- what OME says of the same models ---------------------------------------------------------------------------- */

static bool is_listed(struct json_object *list, const char *word) {
  for (size_t i = 0; i < json_len(list); i++)
    if (streq(json_object_get_string(json_index(list, i)), word))
      return true;
  return false;
}

/* KEY of ROW is what is said here, or is named as a difference and is one. */
static bool agrees(struct json_object *row, const char *key, const char *is) {
  struct json_object *v = json_get(row, key);
  const char *observed = json_is(v, json_type_string) ? json_object_get_string(v) : json_object_to_json_string(v);
  bool same = streq(observed, is), differs = is_listed(json_get(row, "differs"), key);

  if (same == differs)
    print_error("%s: %s is %s, OME says %s%s\n", json_str(row, "row", ""), key, is, observed,
                differs ? ", which is no difference" : "");
  return same != differs;
}

static struct json_object *fixture(struct json_object *models, const char *name) {
  for (size_t i = 0; i < json_len(models); i++)
    if (streq(json_str(json_index(models, i), "name", ""), name))
      return json_get(json_index(models, i), "config");
  fail_msg("no fixture is called %s", name);
  return NULL;
}

/* Rows come from other revisions of a model's files too, which differ in the type of numbers, or are not quantized. */
static bool check_row(struct json_object *models, struct json_object *row) {
  _cleanup_json_ struct json_object *config = json_copy(fixture(models, json_str(row, "fixture", "")));
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;
  char context[32];

  if (*json_str(row, "dtype", "") && !streq(json_str(row, "dtype", ""), "float8"))
    (void)json_set_str(config, "torch_dtype", json_str(row, "dtype", ""));
  if (*json_str(row, "quantization", "") == '\0')
    json_object_object_del(config, "quantization_config");
  _cleanup_free_ char *text = json_text(config);
  const struct memory_file file = {"config.json", text, strlen(text)};
  if (look(&file, 1, &f, &err) != OME_OK)
    fail_msg("%s: %s", json_str(row, "row", ""), err.msg);
  (void)snprintf(context, sizeof(context), "%" PRIu64, f.context_length);
  const struct {
    const char *key, *found;
  } facts[] = {{"type", f.type},     {"architecture", f.architecture},
               {"context", context}, {"quantization", f.quantization},
               {"dtype", f.dtype},   {"capability", f.capabilities[0]}};
  bool good = true;
  for (size_t i = 0; i < ARRAY_LEN(facts); i++) /* all that differs is said, not the first */
    good = agrees(row, facts[i].key, facts[i].found) && good;
  return good;
}

/* Each model that OME's values were observed of: the same, or a difference that docs/model-facts.md gives the reason
 * of. Its counts are left out: they are rules of thumb. */
static void test_observed_by_ome(void **state) {
  _cleanup_json_ struct json_object *models = read_json(MODEL_FIXTURES);
  _cleanup_json_ struct json_object *rows = read_json(MODEL_OBSERVED);
  size_t wrong = 0;

  (void)state;
  for (size_t i = 0; i < json_len(rows); i++)
    wrong += !check_row(models, json_index(rows, i));
  print_message("%zu rows, %zu wrong\n", json_len(rows), wrong);
  assert_int_equal(json_len(rows), 69);
  assert_int_equal(wrong, 0);
}

/* What OME has a parser for is in the table of families here. */
static void test_types_that_ome_knows(void **state) {
  static const char types[] =
      "baichuan bert chatglm cohere command-r dbrx deepseek_v3 deepseek_vl_v2 exaone gemma gemma2 gemma3 gemma3_text "
      "gpt_oss internlm internlm2 janus kimi_k2 llama llama4 llava minicpm minicpm3 mistral mixtral mllama multi_modality "
      "phi phi3 phi3_v phi3small phimoe qwen qwen2 qwen2_5_vl qwen2_vl qwen3 qwen3_5 qwen3_5_moe qwen3_moe qwen3_vl "
      "qwen3_vl_moe stablelm xverse ";
  char type[32];
  size_t n = 0;

  (void)state;
  for (const char *at = types; *at; at += strcspn(at, " ") + 1, n++) {
    (void)snprintf(type, sizeof(type), "%.*s", (int)strcspn(at, " "), at);
    if (streq(family_of(type)->name, "unknown"))
      fail_msg("%s is in no row", type);
  }
  assert_int_equal(n, 44);
}

/* ---- context ----------------------------------------------------------------------------------------------------- */

static void test_stretched_contexts(void **state) {
  static const struct {
    const char *rope;
    uint64_t context, native;
  } table[] = {
      {"\"rope_scaling\":null", 8192, 0},
      {"\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4.0,\"original_max_position_embeddings\":8192}", 32768, 8192},
      {"\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4.0}", 32768, 0},
      {"\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":2,\"original_max_position_embeddings\":8192}", 16384,
       8192},
      {"\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"yarn\",\"factor\":2.5},\"sliding_attention\":"
       "{\"rope_type\":\"default\"}}",
       20480, 0},
      {"\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":1e6}", 8192, 0},
      /* the number is the stretched one already */
      {"\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"original_max_position_embeddings\":1024}", 8192,
       1024},
      {"\"rope_scaling\":{\"type\":\"longrope\",\"long_factor\":[1],\"short_factor\":[1]},"
       "\"original_max_position_embeddings\":4096",
       8192, 4096},
      {"\"rope_scaling\":{\"type\":\"linear\",\"factor\":4.0}", 8192, 0},
      {"\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2.0}", 8192, 0},
      {"\"rope_scaling\":{\"type\":\"mrope\",\"mrope_section\":[16,24,24]}", 8192, 0},
      {"\"rope_scaling\":{\"type\":\"yarn\",\"factor\":1e99}", 8192, 0},
      {"\"rope_scaling\":[4]", 8192, 0},
      {"\"text_config\":{\"model_type\":\"llama\",\"max_position_embeddings\":4096},\"rope_scaling\":{\"type\":"
       "\"yarn\",\"factor\":2}",
       8192, 0},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(table); i++) {
    _cleanup_free_ char *text =
        str_printf("{\"model_type\":\"llama\",\"max_position_embeddings\":8192,%s}", table[i].rope);
    const struct memory_file file = {"config.json", text, strlen(text)};
    _cleanup_model_facts_ struct model_facts f = {0};
    struct ome_err err = ERR_INIT;
    if (look(&file, 1, &f, &err) != OME_OK)
      fail_msg("%s: %s", table[i].rope, err.msg);
    if (f.context_length != table[i].context || f.native_context != table[i].native)
      fail_msg("%s: %" PRIu64 " of %" PRIu64, table[i].rope, f.context_length, f.native_context);
  }
}

/* ---- capabilities ------------------------------------------------------------------------------------------------ */

static void test_capabilities(void **state) {
  static const char pipeline[] = "{\"_class_name\":\"%s\",\"vae\":[\"diffusers\",\"AutoencoderKL\"]}";
  static const char model[] = "{\"model_type\":\"%s\",\"architectures\":[\"%s\"]%s}";
  static const struct {
    const char *type; /* NULL: a pipeline */
    const char *class_name, *more, *capabilities;
  } table[] = {
      {NULL, "StableDiffusionPipeline", "", "TEXT_TO_IMAGE"},
      {NULL, "StableDiffusionXLPipeline", "", "TEXT_TO_IMAGE"},
      {NULL, "QwenImagePipeline", "", "TEXT_TO_IMAGE"},
      {NULL, "PixArtSigmaPipeline", "", "TEXT_TO_IMAGE"},
      {NULL, "FluxPipeline", "", "TEXT_TO_IMAGE"},
      {NULL, "SanaPipeline", "", "TEXT_TO_IMAGE"},
      {NULL, "QwenImageEditPlusPipeline", "", "IMAGE_TEXT_TO_IMAGE"},
      {NULL, "StableDiffusionInstructPix2PixPipeline", "", "IMAGE_TEXT_TO_IMAGE"},
      {NULL, "StableDiffusionXLImg2ImgPipeline", "", "IMAGE_TEXT_TO_IMAGE"},
      {NULL, "FluxInpaintPipeline", "", "IMAGE_TEXT_TO_IMAGE"},
      {NULL, "FluxKontextPipeline", "", "IMAGE_TEXT_TO_IMAGE"},
      {NULL, "TextToVideoSDPipeline", "", "TEXT_TO_VIDEO"},
      {NULL, "WanPipeline", "", "TEXT_TO_VIDEO"},
      {NULL, "HunyuanVideoPipeline", "", "TEXT_TO_VIDEO"},
      {NULL, "WanImageToVideoPipeline", "", "IMAGE_TEXT_TO_VIDEO"},
      {NULL, "StableVideoDiffusionPipeline", "", "IMAGE_TEXT_TO_VIDEO"},
      {NULL, "SomeVideoPipeline", "", "IMAGE_TEXT_TO_VIDEO"},
      {NULL, "StableAudioPipeline", "", "TEXT_TO_AUDIO"},
      {"NemotronH_Nano_Omni_Reasoning_V3", "NemotronH_Nano_Omni_Reasoning_V3", ",\"vision_config\":{}",
       "IMAGE_TEXT_TO_TEXT,TEXT_TO_TEXT,AUDIO_TO_TEXT"},
      {"some", "CLIPModel", ",\"vision_config\":{}", "IMAGE_TEXT_TO_TEXT"},
      {"qwen3_omni_moe", "Qwen3OmniMoeForConditionalGeneration", "",
       "TEXT_TO_AUDIO,IMAGE_TEXT_TO_AUDIO,VIDEO_TEXT_TO_AUDIO,AUDIO_TO_TEXT,AUDIO_TO_AUDIO"},
      {"whisper", "WhisperForConditionalGeneration", "", "AUDIO_TO_TEXT"},
      {"wav2vec2", "Wav2Vec2ForCTC", "", "AUDIO_TO_TEXT"},
      {"hubert", "HubertForCTC", "", "AUDIO_TO_TEXT"},
      {"seamless_m4t", "SeamlessM4TForSpeechToText", "", "AUDIO_TO_TEXT"},
      {"bert", "BertModel", "", "EMBEDDING"},
      {"some", "SentenceTransformerModel", "", "EMBEDDING"},
      {"some", "QuiteAnEmbeddingModel", "", "EMBEDDING"},
      {"mistral", "MistralModel", "", "EMBEDDING"},
      {"mistral", "MistralForCausalLM", "", "TEXT_TO_TEXT"},
      {"xlm-roberta", "XLMRobertaForSequenceClassification", "", "RERANK"},
      {"llama", "LlamaForCausalLM", "", "TEXT_TO_TEXT"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(table); i++) {
    _cleanup_free_ char *text = table[i].type ? str_printf(model, table[i].type, table[i].class_name, table[i].more)
                                              : str_printf(pipeline, table[i].class_name);
    const struct memory_file file = {table[i].type ? "config.json" : "model_index.json", text, strlen(text)};
    _cleanup_model_facts_ struct model_facts f = {0};
    _cleanup_buf_ struct buf said = BUF_INIT;
    struct ome_err err = ERR_INIT;
    if (look(&file, 1, &f, &err) != OME_OK)
      fail_msg("%s: %s", table[i].class_name, err.msg);
    for (size_t k = 0; k < f.ncapabilities; k++)
      buf_addf(&said, "%s%s", k ? "," : "", f.capabilities[k]);
    if (!streq(buf_str(&said), table[i].capabilities))
      fail_msg("%s: %s, not %s", table[i].class_name, buf_str(&said), table[i].capabilities);
  }
}

static void test_interfaces(void **state) {
  static const char chat[] = "{\"chat_template\":\"x\"}";
  static const struct {
    const char *path, *config;
    bool talks;
    const char *family, *apis;
  } table[] = {
      {"config.json", "{\"model_type\":\"llama\"}", true, "llama", "OPENAI_V1_CHAT_COMPLETIONS,OPENAI_V1_RESPONSES"},
      {"config.json", "{\"model_type\":\"llama\"}", false, "llama", ""},
      {"config.json", "{\"model_type\":\"qwen2_vl\",\"vision_config\":{}}", true, "qwen2_vl",
       "OPENAI_V1_CHAT_COMPLETIONS,OPENAI_V1_RESPONSES"},
      {"config.json", "{\"model_type\":\"bert\"}", true, "bert", "OPENAI_V1_EMBEDDINGS"},
      {"config.json", "{\"model_type\":\"roberta\",\"architectures\":[\"RobertaForSequenceClassification\"]}", false,
       "roberta", ""},
      {"config.json", "{\"model_type\":\"whisper\"}", false, "whisper",
       "OPENAI_V1_AUDIO_TRANSCRIPTIONS,OPENAI_V1_AUDIO_TRANSLATIONS"},
      {"config.json", "{\"model_type\":\"zeppelin\"}", true, "unknown",
       "OPENAI_V1_CHAT_COMPLETIONS,OPENAI_V1_RESPONSES"},
      {"model_index.json", "{\"_class_name\":\"FluxPipeline\"}", false, "diffusers", "OPENAI_V1_IMAGES_GENERATIONS"},
      {"model_index.json", "{\"_class_name\":\"FluxKontextPipeline\"}", false, "diffusers", "OPENAI_V1_IMAGES_EDITS"},
      {"model_index.json", "{\"_class_name\":\"StableAudioPipeline\"}", false, "diffusers", "OPENAI_V1_AUDIO_SPEECH"},
      {"model_index.json", "{\"_class_name\":\"WanPipeline\"}", false, "diffusers", ""},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(table); i++) {
    const struct memory_file files[] = {{table[i].path, table[i].config, strlen(table[i].config)},
                                        {"tokenizer_config.json", chat, sizeof(chat) - 1}};
    _cleanup_model_facts_ struct model_facts f = {0};
    _cleanup_buf_ struct buf said = BUF_INIT;
    struct ome_err err = ERR_INIT;
    if (look(files, table[i].talks ? 2 : 1, &f, &err) != OME_OK)
      fail_msg("%s: %s", table[i].config, err.msg);
    _cleanup_json_ struct json_object *doc = model_facts_json(&f);
    struct json_object *apis = json_get(doc, "apiCapabilities");
    for (size_t k = 0; k < json_len(apis); k++)
      buf_addf(&said, "%s%s", k ? "," : "", json_object_get_string(json_index(apis, k)));
    assert_string_equal(buf_str(&said), table[i].apis);
    assert_string_equal(json_str(doc, "family", ""), table[i].family);
    _cleanup_json_ struct json_object *config = model_facts_config(&f);
    assert_int_equal(json_len(json_get(config, "apiCapabilities")), json_len(apis));
  }
}

static void test_dimensions_are_printed(void **state) {
  static const char config[] =
      "{\"model_type\":\"mixtral\",\"hidden_size\":64,\"num_hidden_layers\":2,\"num_attention_heads\":4,"
      "\"num_key_value_heads\":2,\"intermediate_size\":128,\"vocab_size\":100,\"num_local_experts\":8,"
      "\"num_experts_per_tok\":2,\"max_position_embeddings\":512,\"sliding_window\":128}";
  static const struct {
    const char *key;
    int64_t n;
  } table[] = {{"layers", 2},          {"hiddenSize", 64},      {"attentionHeads", 4}, {"kvHeads", 2},
               {"headSize", 16},       {"vocabularySize", 100}, {"experts", 8},        {"expertsPerToken", 2},
               {"slidingWindow", 128}, {"slidingLayers", 2},    {"kvLatentSize", -1}};
  const struct memory_file file = {"config.json", config, sizeof(config) - 1};
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  assert_int_equal(look(&file, 1, &f, &err), OME_OK);
  _cleanup_json_ struct json_object *doc = model_facts_json(&f);
  for (size_t i = 0; i < ARRAY_LEN(table); i++)
    assert_int_equal(json_i64(json_get(doc, "dimensions"), table[i].key, -1), table[i].n);
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
      "{\"model_type\":\"qwen3_omni_moe\",\"talker_config\":{\"text_config\":{\"hidden_size\":65535,\"num_experts\":16383,"
      "\"num_hidden_layers\":4096,\"num_attention_heads\":1,\"moe_intermediate_size\":65535}},"
      "\"code2wav_config\":{\"upsample_rates\":[1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8],\"hidden_size\":1}}",
      "{\"model_type\":\"qwen2_5_omni\",\"talker_config\":{\"hidden_size\":1},\"token2wav_config\":{\"dit_config\":"
      "{\"enc_channels\":[-1,\"x\"],\"ff_mult\":2147483647},\"bigvgan_config\":{\"resblock_kernel_sizes\":[]}}}",
      "{\"model_type\":\"minicpmo\",\"tts_config\":{\"num_attention_heads\":2147483647,\"num_vq\":2147483647}}",
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
      cmocka_unit_test(test_memory_of_a_sequence), cmocka_unit_test(test_observed_by_ome),
      cmocka_unit_test(test_types_that_ome_knows), cmocka_unit_test(test_capabilities),
      cmocka_unit_test(test_interfaces),           cmocka_unit_test(test_dimensions_are_printed),
      cmocka_unit_test(test_stretched_contexts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
