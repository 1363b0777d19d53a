#include "model/gguf_names.h"

#include "base/str.h"

/* enum ggml_type and its traits (github.com/ggml-org/ggml, include/ggml.h and src/ggml.c).  Those with rows side by
 * side (Q4_0_4_4 and what is like it) are read no more by llama.cpp, and are in files of 2024. */
static const struct gguf_type types[] = {
    [0] = {"F32", 1, 4},           [1] = {"F16", 1, 2},           [2] = {"Q4_0", 32, 18},
    [3] = {"Q4_1", 32, 20},        [6] = {"Q5_0", 32, 22},        [7] = {"Q5_1", 32, 24},
    [8] = {"Q8_0", 32, 34},        [9] = {"Q8_1", 32, 36},        [10] = {"Q2_K", 256, 84},
    [11] = {"Q3_K", 256, 110},     [12] = {"Q4_K", 256, 144},     [13] = {"Q5_K", 256, 176},
    [14] = {"Q6_K", 256, 210},     [15] = {"Q8_K", 256, 292},     [16] = {"IQ2_XXS", 256, 66},
    [17] = {"IQ2_XS", 256, 74},    [18] = {"IQ3_XXS", 256, 98},   [19] = {"IQ1_S", 256, 50},
    [20] = {"IQ4_NL", 32, 18},     [21] = {"IQ3_S", 256, 110},    [22] = {"IQ2_S", 256, 82},
    [23] = {"IQ4_XS", 256, 136},   [24] = {"I8", 1, 1},           [25] = {"I16", 1, 2},
    [26] = {"I32", 1, 4},          [27] = {"I64", 1, 8},          [28] = {"F64", 1, 8},
    [29] = {"IQ1_M", 256, 56},     [30] = {"BF16", 1, 2},         [31] = {"Q4_0_4_4", 32, 18},
    [32] = {"Q4_0_4_8", 32, 18},   [33] = {"Q4_0_8_8", 32, 18},   [34] = {"TQ1_0", 256, 54},
    [35] = {"TQ2_0", 256, 66},     [36] = {"IQ4_NL_4_4", 32, 18}, [37] = {"IQ4_NL_4_8", 32, 18},
    [38] = {"IQ4_NL_8_8", 32, 18}, [39] = {"MXFP4", 32, 17},      [40] = {"NVFP4", 64, 36},
    [41] = {"Q1_0", 128, 18},      [42] = {"Q2_0", 64, 18},
};

/* enum llama_ftype (github.com/ggml-org/llama.cpp, include/llama.h). */
static const char *const file_types[] = {
    [0] = "F32",       [1] = "F16",       [2] = "Q4_0",      [3] = "Q4_1",    [7] = "Q8_0",     [8] = "Q5_0",
    [9] = "Q5_1",      [10] = "Q2_K",     [11] = "Q3_K_S",   [12] = "Q3_K_M", [13] = "Q3_K_L",  [14] = "Q4_K_S",
    [15] = "Q4_K_M",   [16] = "Q5_K_S",   [17] = "Q5_K_M",   [18] = "Q6_K",   [19] = "IQ2_XXS", [20] = "IQ2_XS",
    [21] = "Q2_K_S",   [22] = "IQ3_XS",   [23] = "IQ3_XXS",  [24] = "IQ1_S",  [25] = "IQ4_NL",  [26] = "IQ3_S",
    [27] = "IQ3_M",    [28] = "IQ2_S",    [29] = "IQ2_M",    [30] = "IQ4_XS", [31] = "IQ1_M",   [32] = "BF16",
    [33] = "Q4_0_4_4", [34] = "Q4_0_4_8", [35] = "Q4_0_8_8", [36] = "TQ1_0",  [37] = "TQ2_0",   [38] = "MXFP4",
    [39] = "NVFP4",    [40] = "Q1_0",     [41] = "Q2_0",
};

static const struct gguf_family families[] = {
    {"llama", "llama", "LlamaForCausalLM"},
    {"llama4", "llama4", "Llama4ForConditionalGeneration"},
    {"mistral3", "mistral3", "Mistral3ForConditionalGeneration"},
    {"smollm3", "smollm3", "SmolLM3ForCausalLM"},
    {"qwen", "qwen", "QWenLMHeadModel"},
    {"qwen2", "qwen2", "Qwen2ForCausalLM"},
    {"qwen2moe", "qwen2_moe", "Qwen2MoeForCausalLM"},
    {"qwen2vl", "qwen2_vl", "Qwen2VLForConditionalGeneration"},
    {"qwen3", "qwen3", "Qwen3ForCausalLM"},
    {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM"},
    {"qwen3next", "qwen3_next", "Qwen3NextForCausalLM"},
    {"qwen3vl", "qwen3_vl", "Qwen3VLForConditionalGeneration"},
    {"qwen3vlmoe", "qwen3_vl_moe", "Qwen3VLMoeForConditionalGeneration"},
    {"qwen35", "qwen3_5", "Qwen3_5ForConditionalGeneration"},
    {"qwen35moe", "qwen3_5_moe", "Qwen3_5MoeForConditionalGeneration"},
    {"gemma", "gemma", "GemmaForCausalLM"},
    {"gemma2", "gemma2", "Gemma2ForCausalLM"},
    {"gemma3", "gemma3", "Gemma3ForCausalLM"},
    {"gemma3n", "gemma3n", "Gemma3nForConditionalGeneration"},
    {"gemma-embedding", "gemma3_text", "Gemma3TextModel"},
    {"phi2", "phi", "PhiForCausalLM"},
    {"phi3", "phi3", "Phi3ForCausalLM"},
    {"phimoe", "phimoe", "PhiMoEForCausalLM"},
    {"deepseek", "deepseek", "DeepseekForCausalLM"},
    {"deepseek2", "deepseek_v3", "DeepseekV3ForCausalLM"},
    {"kimi-linear", "kimi_linear", "KimiLinearForCausalLM"},
    {"gpt-oss", "gpt_oss", "GptOssForCausalLM"},
    {"gpt2", "gpt2", "GPT2LMHeadModel"},
    {"gptj", "gptj", "GPTJForCausalLM"},
    {"gptneox", "gpt_neox", "GPTNeoXForCausalLM"},
    {"falcon", "falcon", "FalconForCausalLM"},
    {"falcon-h1", "falcon_h1", "FalconH1ForCausalLM"},
    {"mpt", "mpt", "MPTForCausalLM"},
    {"bloom", "bloom", "BloomForCausalLM"},
    {"starcoder", "gpt_bigcode", "GPTBigCodeForCausalLM"},
    {"starcoder2", "starcoder2", "Starcoder2ForCausalLM"},
    {"stablelm", "stablelm", "StableLmForCausalLM"},
    {"command-r", "cohere", "CohereForCausalLM"},
    {"cohere2", "cohere2", "Cohere2ForCausalLM"},
    {"dbrx", "dbrx", "DbrxForCausalLM"},
    {"olmo", "olmo", "OlmoForCausalLM"},
    {"olmo2", "olmo2", "Olmo2ForCausalLM"},
    {"olmoe", "olmoe", "OlmoeForCausalLM"},
    {"granite", "granite", "GraniteForCausalLM"},
    {"granitemoe", "granitemoe", "GraniteMoeForCausalLM"},
    {"granitehybrid", "granitemoehybrid", "GraniteMoeHybridForCausalLM"},
    {"nemotron", "nemotron", "NemotronForCausalLM"},
    {"nemotron_h", "nemotron_h", "NemotronHForCausalLM"},
    {"exaone", "exaone", "ExaoneForCausalLM"},
    {"exaone4", "exaone4", "Exaone4ForCausalLM"},
    {"internlm2", "internlm2", "InternLM2ForCausalLM"},
    {"minicpm", "minicpm", "MiniCPMForCausalLM"},
    {"minicpm3", "minicpm3", "MiniCPM3ForCausalLM"},
    {"baichuan", "baichuan", "BaichuanForCausalLM"},
    {"chatglm", "chatglm", "ChatGLMModel"},
    {"glm4", "glm4", "Glm4ForCausalLM"},
    {"glm4moe", "glm4_moe", "Glm4MoeForCausalLM"},
    {"xverse", "xverse", "XverseForCausalLM"},
    {"ernie4_5", "ernie4_5", "Ernie4_5ForCausalLM"},
    {"ernie4_5-moe", "ernie4_5_moe", "Ernie4_5_MoeForCausalLM"},
    {"hunyuan-moe", "hunyuan_v1_moe", "HunYuanMoEV1ForCausalLM"},
    {"hunyuan-dense", "hunyuan_v1_dense", "HunYuanDenseV1ForCausalLM"},
    {"seed_oss", "seed_oss", "SeedOssForCausalLM"},
    {"lfm2", "lfm2", "Lfm2ForCausalLM"},
    {"lfm2moe", "lfm2_moe", "Lfm2MoeForCausalLM"},
    {"minimax-m2", "minimax_m2", "MiniMaxM2ForCausalLM"},
    {"apertus", "apertus", "ApertusForCausalLM"},
    {"mamba", "mamba", "MambaForCausalLM"},
    {"mamba2", "mamba2", "Mamba2ForCausalLM"},
    {"jamba", "jamba", "JambaForCausalLM"},
    {"bert", "bert", "BertModel"},
    {"modern-bert", "modernbert", "ModernBertModel"},
    {"nomic-bert", "nomic_bert", "NomicBertModel"},
    {"jina-bert-v2", "jina_bert_v2", "JinaBertModel"},
    {"t5", "t5", "T5ForConditionalGeneration"},
    {"t5encoder", "t5", "T5EncoderModel"},
};

const struct gguf_type *gguf_type_of(uint32_t type) {
  return type < ARRAY_LEN(types) && types[type].name ? &types[type] : NULL;
}

const char *gguf_file_type(uint64_t type) {
  return type < ARRAY_LEN(file_types) ? file_types[type] : NULL;
}

const struct gguf_family *gguf_family_of(const char *architecture) {
  for (size_t i = 0; i < ARRAY_LEN(families); i++)
    if (streq(families[i].gguf, architecture))
      return &families[i];
  return NULL;
}
