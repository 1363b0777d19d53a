/* Bytes of weights from config.json alone: those of the safetensors files that each method writes for the same model.
 */
#include "files.h"

#include <inttypes.h>
#include <stdio.h>

enum { HIDDEN = 64, KEYS = 32, WIDE = 128, WORDS = 96, EXPERTS = 4, NARROW = 32 };

#define TAIL                                                                                                           \
  "\"hidden_size\":64,\"num_hidden_layers\":2,\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":16,"    \
  "\"intermediate_size\":128,\"vocab_size\":96,\"torch_dtype\":\"bfloat16\",\"quantization_config\":%s}"
static const char dense[] = "{\"model_type\":\"llama\",\"tie_word_embeddings\":false," TAIL;
static const char sparse[] = "{\"model_type\":\"qwen3_moe\",\"tie_word_embeddings\":false,\"num_experts\":4,"
                             "\"num_experts_per_tok\":2,\"moe_intermediate_size\":32," TAIL;

/* What a method stores of a matrix: %1 is its name, %2 the inputs, %3 the outputs; sizes are written as products. */
enum method { BF16, GPTQ, AWQ, FP8, FP8_BLOCKS, FBGEMM, PACKED, CHANNEL, NVFP4, NF4, NF4_TWICE, INT8, MXFP4 };

static void store(struct buf *b, enum method how, const char *name, unsigned in, unsigned out) {
  switch (how) {
  case BF16:
    buf_addf(b, "%s.weight BF16 %u,%u;", name, out, in);
    break;
  case GPTQ: /* 4 bits, groups of 32 */
    buf_addf(b, "%s.qweight I32 %u,%u;%s.qzeros I32 %u,%u;", name, in / 8, out, name, in / 32, out / 8);
    buf_addf(b, "%s.scales F16 %u,%u;%s.g_idx I32 %u;", name, in / 32, out, name, in);
    break;
  case AWQ:
    buf_addf(b, "%s.qweight I32 %u,%u;%s.qzeros I32 %u,%u;", name, in, out / 8, name, in / 32, out / 8);
    buf_addf(b, "%s.scales F16 %u,%u;", name, in / 32, out);
    break;
  case FP8:
    buf_addf(b, "%s.weight F8_E4M3 %u,%u;%s.weight_scale F32 1;", name, out, in, name);
    break;
  case FP8_BLOCKS: /* of 48 by 48 */
    buf_addf(b, "%s.weight F8_E4M3 %u,%u;%s.weight_scale_inv F32 %u,%u;", name, out, in, name, (out + 47) / 48,
             (in + 47) / 48);
    break;
  case FBGEMM:
    buf_addf(b, "%s.weight F8_E4M3 %u,%u;%s.weight_scale F32 %u,1;", name, out, in, name, out);
    break;
  case CHANNEL:
    buf_addf(b, "%s.weight F8_E4M3 %u,%u;%s.weight_scale BF16 %u,1;", name, out, in, name, out);
    break;
  case PACKED: /* 4 bits, groups of 32 */
    buf_addf(b, "%s.weight_packed I32 %u,%u;%s.weight_scale BF16 %u,%u;%s.weight_shape I64 2;", name, out, in / 8, name,
             out, in / 32, name);
    break;
  case NVFP4:
    buf_addf(b, "%s.weight U8 %u,%u;%s.weight_scale F8_E4M3 %u,%u;", name, out, in / 2, name, out, in / 16);
    buf_addf(b, "%s.weight_scale_2 F32 1;%s.input_scale F32 1;", name, name);
    break;
  case NF4:
    buf_addf(b, "%s.weight U8 %u,1;%s.weight.absmax F32 %u;%s.weight.quant_map F32 16;", name, in * out / 2, name,
             in * out / 64, name);
    break;
  case NF4_TWICE:
    buf_addf(b, "%s.weight U8 %u,1;%s.weight.absmax U8 %u;%s.weight.quant_map F32 16;", name, in * out / 2, name,
             in * out / 64, name);
    buf_addf(b, "%s.weight.nested_quant_map F32 256;", name);
    break;
  case INT8:
    buf_addf(b, "%s.weight I8 %u,%u;%s.SCB F32 %u;%s.weight_format U8 1;", name, out, in, name, out, name);
    break;
  case MXFP4:
    break; /* only experts, all of a layer together */
  }
}

static void store_part(struct buf *b, enum method how, unsigned layer, const char *part, unsigned in, unsigned out) {
  char name[96];

  (void)snprintf(name, sizeof(name), "model.layers.%u.%s", layer, part);
  store(b, how, name, in, out);
}

/* How the two layers' attention, their MLPs or experts, and the output matrix are stored. */
struct mix {
  enum method attention[2], mlp[2], head;
};

static void store_experts(struct buf *b, enum method how, unsigned layer) {
  for (unsigned e = 0; e < EXPERTS; e++) {
    char part[3][64];
    static const char *const names[] = {"gate_proj", "up_proj", "down_proj"};
    for (int i = 0; i < 3; i++)
      (void)snprintf(part[i], sizeof(part[i]), "mlp.experts.%u.%s", e, names[i]);
    store_part(b, how, layer, part[0], HIDDEN, NARROW);
    store_part(b, how, layer, part[1], HIDDEN, NARROW);
    store_part(b, how, layer, part[2], NARROW, HIDDEN);
  }
  store_part(b, BF16, layer, "mlp.gate", HIDDEN, EXPERTS);
  buf_addf(b, "model.layers.%u.self_attn.q_norm.weight BF16 16;model.layers.%u.self_attn.k_norm.weight BF16 16;", layer,
           layer);
}

static void store_model(struct buf *b, const struct mix *m, bool experts) {
  buf_addf(b, "model.embed_tokens.weight BF16 %u,%u;model.norm.weight BF16 64", WORDS, HIDDEN);
  buf_adds(b, ";");
  store(b, m->head, "lm_head", HIDDEN, WORDS);
  for (unsigned i = 0; i < 2; i++) {
    buf_addf(b, "model.layers.%u.input_layernorm.weight BF16 64;", i);
    store_part(b, m->attention[i], i, "self_attn.q_proj", HIDDEN, HIDDEN);
    store_part(b, m->attention[i], i, "self_attn.k_proj", HIDDEN, KEYS);
    store_part(b, m->attention[i], i, "self_attn.v_proj", HIDDEN, KEYS);
    store_part(b, m->attention[i], i, "self_attn.o_proj", HIDDEN, HIDDEN);
    if (experts) {
      store_experts(b, m->mlp[i], i);
    } else {
      store_part(b, m->mlp[i], i, "mlp.gate_proj", HIDDEN, WIDE);
      store_part(b, m->mlp[i], i, "mlp.up_proj", HIDDEN, WIDE);
      store_part(b, m->mlp[i], i, "mlp.down_proj", WIDE, HIDDEN);
    }
    buf_addf(b, "model.layers.%u.post_attention_layernorm.weight BF16 64%s", i, i ? "" : ";");
  }
}

/* Bytes of the weights, and parameters, as CONFIG alone says and as the files say. */
static void compare(const char *what, const char *config, const char *tensors) {
  _cleanup_buf_ struct buf weights = BUF_INIT;
  _cleanup_model_facts_ struct model_facts said = {0};
  _cleanup_model_facts_ struct model_facts stored = {0};
  struct ome_err err = ERR_INIT;

  tensor_file(&weights, tensors);
  const struct memory_file files[] = {{"config.json", config, strlen(config)},
                                      {"model.safetensors", weights.data, weights.len}};
  if (look(files, 1, &said, &err) != OME_OK || look(files, 2, &stored, &err) != OME_OK)
    fail_msg("%s: %s", what, err.msg);
  if (said.parameters != stored.parameters || said.weight_bytes != stored.weight_bytes)
    fail_msg("%s: %" PRIu64 " parameters in %" PRIu64 " bytes, stored are %" PRIu64 " in %" PRIu64, what,
             said.parameters, said.weight_bytes, stored.parameters, stored.weight_bytes);
}

#define ALL(m)                                                                                                         \
  { {m, m}, {m, m}, BF16 }
#define FP8_GROUP                                                                                                      \
  "\"config_groups\":{\"group_0\":{\"targets\":[\"Linear\"],\"weights\":{\"num_bits\":8,\"type\":\"float\","           \
  "\"strategy\":\"channel\"},\"input_activations\":{\"dynamic\":true}}}"
#define INT4_GROUP                                                                                                     \
  "\"config_groups\":{\"group_0\":{\"targets\":[\"Linear\"],\"weights\":{\"num_bits\":4,\"type\":\"int\","             \
  "\"strategy\":\"group\",\"group_size\":32,\"symmetric\":true}}}"

static void test_dense(void **state) {
  static const struct {
    const char *what, *config;
    struct mix mix;
  } table[] = {
      {"gptq", "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32}", ALL(GPTQ)},
      {"gptq, output matrix too",
       "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32,\"lm_head\":true}",
       {{GPTQ, GPTQ}, {GPTQ, GPTQ}, GPTQ}},
      {"gptq, a part left out",
       "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32,\"dynamic\":{\"-:.*self_attn.*\":{},"
       "\"+:.*mlp.*\":{}}}",
       {{BF16, BF16}, {GPTQ, GPTQ}, BF16}},
      {"awq", "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":32,\"modules_to_not_convert\":null}", ALL(AWQ)},
      {"awq, by word",
       "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":32,\"modules_to_not_convert\":"
       "[\"mlp\",\"visual\"]}",
       {{AWQ, AWQ}, {BF16, BF16}, BF16}},
      {"fp8", "{\"quant_method\":\"fp8\",\"activation_scheme\":\"dynamic\"}", ALL(FP8)},
      {"fp8 in blocks, the first layer left out",
       "{\"quant_method\":\"fp8\",\"weight_block_size\":[48,48],\"modules_to_not_convert\":[\"model.layers.0.mlp."
       "gate_proj\",\"model.layers.0.mlp.down_proj\",\"model.layers.0.self_attn\",\"lm_head\"]}",
       {{BF16, FP8_BLOCKS}, {BF16, FP8_BLOCKS}, BF16}},
      {"fbgemm",
       "{\"quant_method\":\"fbgemm_fp8\",\"modules_to_not_convert\":[\"model.layers.1.self_attn\","
       "\"model.layers.1.mlp\"]}",
       {{FBGEMM, BF16}, {FBGEMM, BF16}, BF16}},
      {"compressed-tensors, fp8 a channel",
       "{\"quant_method\":\"compressed-tensors\",\"format\":\"float-quantized\"," FP8_GROUP
       ",\"ignore\":[\"lm_head\"]}",
       ALL(CHANNEL)},
      {"compressed-tensors, nothing left out",
       "{\"quant_method\":\"compressed-tensors\",\"format\":\"float-quantized\"," FP8_GROUP ",\"ignore\":[]}",
       {{CHANNEL, CHANNEL}, {CHANNEL, CHANNEL}, CHANNEL}},
      {"compressed-tensors, by expressions",
       "{\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\"," INT4_GROUP ",\"ignore\":[\"lm_head\","
       "\"re:.*layers\\\\.[0]\\\\.self_attn.*\",\"re:.*[broken\",\"re:self_attn.*\"]}",
       {{BF16, PACKED}, {PACKED, PACKED}, BF16}},
      {"compressed-tensors, only what is named",
       "{\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\",\"config_groups\":{\"g\":{\"targets\":"
       "[\"re:.*down_proj$\",\"re:.*gate_proj$\",\"re:.*up_proj$\"],\"weights\":{\"num_bits\":4,\"type\":\"int\","
       "\"group_size\":32}}}}",
       {{BF16, BF16}, {PACKED, PACKED}, BF16}},
      {"compressed-tensors, two groups",
       "{\"quant_method\":\"compressed-tensors\",\"format\":\"mixed-precision\",\"config_groups\":{\"a\":{\"targets\":"
       "[\"re:.*self_attn.*\"],\"format\":\"float-quantized\",\"weights\":{\"num_bits\":8,\"type\":\"float\",\"strategy\":"
       "\"channel\"}},\"b\":{\"targets\":[\"Linear\"],\"format\":\"pack-quantized\",\"weights\":{\"num_bits\":4,\"type\":"
       "\"int\",\"group_size\":32}}},\"ignore\":[\"lm_head\"]}",
       {{CHANNEL, CHANNEL}, {PACKED, PACKED}, BF16}},
      {"modelopt, nvfp4",
       "{\"quant_method\":\"modelopt\",\"quant_algo\":\"NVFP4\",\"group_size\":16,\"ignore\":[\"lm_head\","
       "\"model.layers.0.self_attn*\"]}",
       {{BF16, NVFP4}, {NVFP4, NVFP4}, BF16}},
      {"bitsandbytes, nf4", "{\"quant_method\":\"bitsandbytes\",\"load_in_4bit\":true,\"bnb_4bit_quant_type\":\"nf4\"}",
       ALL(NF4)},
      {"bitsandbytes, scales quantized too",
       "{\"quant_method\":\"bitsandbytes\",\"load_in_4bit\":true,\"bnb_4bit_use_double_quant\":true,"
       "\"llm_int8_skip_modules\":[\"lm_head\",\"mlp\"]}",
       {{NF4_TWICE, NF4_TWICE}, {BF16, BF16}, BF16}},
      {"bitsandbytes, int8", "{\"quant_method\":\"bitsandbytes\",\"load_in_8bit\":true}", ALL(INT8)},
      {"none", "null", ALL(BF16)},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(table); i++) {
    _cleanup_buf_ struct buf tensors = BUF_INIT;
    _cleanup_free_ char *config = str_printf(dense, table[i].config);
    store_model(&tensors, &table[i].mix, false);
    compare(table[i].what, config, buf_str(&tensors));
  }
}

static void test_experts(void **state) {
  static const struct {
    const char *what, *config;
    struct mix mix;
  } table[] = {
      {"fp8, the router never", "{\"quant_method\":\"fp8\",\"weight_block_size\":[48,48]}", ALL(FP8_BLOCKS)},
      {"the router by name is no expert",
       "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":32,\"modules_to_not_convert\":[\"mlp.gate.\"]}", ALL(AWQ)},
      {"experts left out",
       "{\"quant_method\":\"compressed-tensors\",\"format\":\"float-quantized\"," FP8_GROUP ",\"ignore\":[\"lm_head\","
       "\"re:.*mlp.gate$\",\"re:.*mlp.experts.*\"]}",
       {{CHANNEL, CHANNEL}, {BF16, BF16}, BF16}},
      {"nothing but experts",
       "{\"quant_method\":\"modelopt\",\"quant_algo\":\"NVFP4\",\"exclude_modules\":[\"lm_head\","
       "\"*self_attn*\",\"*router*\"]}",
       {{BF16, BF16}, {NVFP4, NVFP4}, BF16}},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(table); i++) {
    _cleanup_buf_ struct buf tensors = BUF_INIT;
    _cleanup_free_ char *config = str_printf(sparse, table[i].config);
    store_model(&tensors, &table[i].mix, true);
    compare(table[i].what, config, buf_str(&tensors));
  }
}

/* gpt-oss, one layer of 64 with 4 experts of 32: blocks of 32 numbers in 16 bytes, a byte of scale for each; biases,
 * sinks, attention and router in 16 bits.  The published models, in families.json, are these sums:
 *   a layer of 20B: attention 26,550,144 and norms 5,760 and router 92,192 of two bytes, 53,296,192;
 *     experts 32 * (5,760 + 2,880) * 90 blocks * 17 bytes and biases 32 * 8,640 * 2, 423,567,360
 *   24 layers, two matrices of 201,088 * 2,880 and a norm of 2,880 in two bytes: 13,761,264,768 */
static void test_gpt_oss(void **state) {
  static const char config[] =
      "{\"model_type\":\"gpt_oss\",\"hidden_size\":64,\"num_hidden_layers\":1,\"num_attention_heads\":4,"
      "\"num_key_value_heads\":2,\"head_dim\":16,\"intermediate_size\":32,\"vocab_size\":96,\"num_local_experts\":4,"
      "\"num_experts_per_tok\":2,\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\",\"quantization_config\":"
      "{\"quant_method\":\"mxfp4\",\"modules_to_not_convert\":[\"model.layers.*.self_attn\",\"model.layers.*.mlp.router\","
      "\"model.embed_tokens\",\"lm_head\"]}}";
  static const char tensors[] =
      "model.embed_tokens.weight BF16 96,64;lm_head.weight BF16 96,64;model.norm.weight BF16 64;"
      "l.input_layernorm.weight BF16 64;l.post_attention_layernorm.weight BF16 64;"
      "l.self_attn.q_proj.weight BF16 64,64;l.self_attn.q_proj.bias BF16 64;"
      "l.self_attn.k_proj.weight BF16 32,64;l.self_attn.k_proj.bias BF16 32;"
      "l.self_attn.v_proj.weight BF16 32,64;l.self_attn.v_proj.bias BF16 32;"
      "l.self_attn.o_proj.weight BF16 64,64;l.self_attn.o_proj.bias BF16 64;l.self_attn.sinks BF16 4;"
      "l.mlp.router.weight BF16 4,64;l.mlp.router.bias BF16 4;"
      "l.mlp.experts.gate_up_proj_blocks U8 4,64,2,16;l.mlp.experts.gate_up_proj_scales U8 4,64,2;"
      "l.mlp.experts.gate_up_proj_bias BF16 4,64;"
      "l.mlp.experts.down_proj_blocks U8 4,64,1,16;l.mlp.experts.down_proj_scales U8 4,64,1;"
      "l.mlp.experts.down_proj_bias BF16 4,64";

  (void)state;
  compare("gpt-oss", config, tensors);
}

/* The numbers of two methods by hand, for the tiny model above, of 86,336 parameters: 2 * 96 * 64 in the embedding and
 * the output, 2 * (64 * (64 + 32 + 32 + 64) + 3 * 64 * 128 + 2 * 64) in the layers, 64 in the last norm.  73,728 of
 * them are in the layers' matrices; 12,608 are not and take 25,216 bytes. fp8, a scale of four bytes for each of 14
 * matrices: 73,728 + 56 + 25,216 = 99,000 gptq, 4 bits, groups of 32: half a byte a number, 36,864; 2,304 groups with
 * scales of two bytes, 4,608, and zero points of half a byte, 1,152; g_idx of four bytes for (4 * 64 + 2 * 64 + 128)
 * inputs a layer, 4,096: in all 71,936 */
static void test_by_hand(void **state) {
  static const struct {
    const char *config;
    uint64_t bytes;
  } table[] = {{"{\"quant_method\":\"fp8\"}", 99000},
               {"{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32}", 71936},
               {"null", 172672}};

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(table); i++) {
    _cleanup_model_facts_ struct model_facts f = {0};
    _cleanup_free_ char *config = str_printf(dense, table[i].config);
    struct ome_err err = ERR_INIT;
    const struct memory_file file = {"config.json", config, strlen(config)};
    assert_int_equal(look(&file, 1, &f, &err), OME_OK);
    assert_int_equal(f.parameters, 86336);
    assert_int_equal(f.weight_bytes, table[i].bytes);
  }
}

/* What ModelOpt wrote into a file of its own, before it wrote it into config.json. */
static void test_modelopt_file(void **state) {
  static const char said[] = "{\"producer\":{\"name\":\"modelopt\"},\"quantization\":{\"quant_algo\":\"NVFP4\","
                             "\"group_size\":16,\"exclude_modules\":[\"lm_head\"]}}";
  _cleanup_free_ char *config = str_printf(dense, "null");
  _cleanup_buf_ struct buf whole = BUF_INIT;
  _cleanup_model_facts_ struct model_facts apart = {0};
  _cleanup_model_facts_ struct model_facts within = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  char *null = strstr(config, ",\"quantization_config\"");
  assert_non_null(null);
  *null = '\0';
  buf_addf(&whole,
           "%s,\"quantization_config\":{\"quant_method\":\"modelopt\",\"quant_algo\":\"NVFP4\","
           "\"ignore\":[\"lm_head\"]}}",
           config);
  _cleanup_free_ char *bare = str_printf("%s}", config);
  const struct memory_file files[] = {{"config.json", bare, strlen(bare)},
                                      {"hf_quant_config.json", said, sizeof(said) - 1}};
  const struct memory_file file = {"config.json", whole.data, whole.len};
  assert_int_equal(look(files, 2, &apart, &err), OME_OK);
  assert_int_equal(look(&file, 1, &within, &err), OME_OK);
  assert_string_equal(apart.quantization, "nvfp4");
  assert_int_equal(apart.weight_bytes, within.weight_bytes);
  assert_true(apart.weight_bytes < 100000);
}

/* Patterns of strangers end soon, and long lists too. */
static void test_hostile_lists(void **state) {
  _cleanup_buf_ struct buf list = BUF_INIT;

  (void)state;
  buf_adds(&list, "{\"quant_method\":\"compressed-tensors\"," INT4_GROUP ",\"ignore\":[\"re:(a*)*(a|.)*(a*)*b$\"");
  for (int i = 0; i < 20000; i++)
    buf_addf(&list, ",\"*a*b*c*%d*\"", i);
  buf_adds(&list, ",7,null,[],\"\"]}");
  _cleanup_free_ char *config = str_printf(dense, buf_str(&list));
  _cleanup_model_facts_ struct model_facts f = {0};
  struct ome_err err = ERR_INIT;
  const struct memory_file file = {"config.json", config, strlen(config)};
  assert_int_equal(look(&file, 1, &f, &err), OME_OK);
  assert_true(f.weight_bytes > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_dense),   cmocka_unit_test(test_experts),       cmocka_unit_test(test_gpt_oss),
      cmocka_unit_test(test_by_hand), cmocka_unit_test(test_modelopt_file), cmocka_unit_test(test_hostile_lists),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
