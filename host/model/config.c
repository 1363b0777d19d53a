/* config.json of Hugging Face models.  What the families call a thing differs, the thing does not: one table of names,
 * looked up at the top and in the part that describes the language model. */
#include "model/internal.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* Names of one number, the most specific first. */
struct number {
  size_t offset;
  const char *names[5];
};

static const struct number numbers[] = {
    {offsetof(struct model_facts, hidden), {"hidden_size", "n_embd", "d_model", "dim", NULL}},
    {offsetof(struct model_facts, layers), {"num_hidden_layers", "n_layer", "n_layers", "num_layers", NULL}},
    {offsetof(struct model_facts, heads), {"num_attention_heads", "n_head", "n_heads", NULL}},
    {offsetof(struct model_facts, kv_heads), {"num_key_value_heads", "num_kv_heads", "n_head_kv", NULL}},
    {offsetof(struct model_facts, head_size), {"head_dim", NULL}},
    {offsetof(struct model_facts, intermediate), {"intermediate_size", "n_inner", "ffn_hidden_size", NULL}},
    {offsetof(struct model_facts, vocabulary), {"vocab_size", "padded_vocab_size", NULL}},
};

/* Families that name things their own way, and the architecture of a config that names none. */
struct dialect {
  const char *type;
  const char *architecture;
  const char *context[3];
};

static const struct dialect dialects[] = {
    {"llama", "LlamaForCausalLM", {"max_position_embeddings", NULL}},
    {"smollm3", "SmolLM3ForCausalLM", {"max_position_embeddings", NULL}},
    {"mistral", "MistralForCausalLM", {"max_position_embeddings", NULL}},
    {"qwen2", "Qwen2ForCausalLM", {"seq_length", "max_position_embeddings", NULL}},
    {"qwen3", "Qwen3ForCausalLM", {"seq_length", "max_position_embeddings", NULL}},
    {"qwen3_moe", "Qwen3MoeForCausalLM", {"seq_length", "max_position_embeddings", NULL}},
};
static const struct dialect any_dialect = {"", "", {"max_position_embeddings", "max_sequence_length", NULL}};

static const struct dialect *dialect_of(const char *type) {
  for (size_t i = 0; i < ARRAY_LEN(dialects); i++)
    if (streq(dialects[i].type, type))
      return &dialects[i];
  return &any_dialect;
}

static void copy_text(char *out, size_t size, const char *text) {
  if (out[0] == '\0' && text)
    (void)snprintf(out, size, "%s", text);
}

static uint64_t number_of(struct json_object *o, const char *const *names) {
  for (; *names; names++) {
    struct json_object *v = json_get(o, *names);
    int64_t n = json_is(v, json_type_int) ? json_object_get_int64(v) : 0;
    if (n > 0 && n < (int64_t)1 << 48)
      return (uint64_t)n;
  }
  return 0;
}

static void read_part(struct json_object *o, const struct dialect *d, struct model_facts *f) {
  for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
    uint64_t *to = (uint64_t *)(void *)((char *)f + numbers[i].offset);
    if (*to == 0)
      *to = number_of(o, numbers[i].names);
  }
  if (f->context_length == 0)
    f->context_length = number_of(o, d->context);
  copy_text(f->dtype, sizeof(f->dtype), json_str(o, "torch_dtype", json_str(o, "dtype", "")));
  f->tied = f->tied || json_flag(o, "tie_word_embeddings", false);
}

int32_t config_read(struct json_object *config, struct model_facts *f, struct ome_err *err) {
  static const char *const parts[] = {"text_config", "llm_config", "language_config"};

  if (!json_is(config, json_type_object))
    return fail(err, OME_E_CORRUPT, "model: config.json: is no object");
  copy_text(f->type, sizeof(f->type), json_str(config, "model_type", ""));
  const struct dialect *d = dialect_of(f->type);
  struct json_object *first = json_index(json_get(config, "architectures"), 0);
  copy_text(f->architecture, sizeof(f->architecture),
            json_is(first, json_type_string) ? json_object_get_string(first) : d->architecture);
  read_part(config, d, f);
  for (size_t i = 0; i < ARRAY_LEN(parts); i++)
    if (json_is(json_get(config, parts[i]), json_type_object))
      read_part(json_get(config, parts[i]), d, f);
  f->vision = json_is(json_get(config, "vision_config"), json_type_object);
  copy_text(f->quantization, sizeof(f->quantization), json_str(config, "quantization_config.quant_method", ""));
  copy_text(f->framework, sizeof(f->framework), "transformers");
  copy_text(f->framework_version, sizeof(f->framework_version), json_str(config, "transformers_version", ""));
  if (f->kv_heads == 0)
    f->kv_heads = f->heads;
  if (f->head_size == 0 && f->heads)
    f->head_size = f->hidden / f->heads;
  return OME_OK;
}

uint64_t config_parameters(const struct model_facts *f) {
  /* Far beyond any model, and products stay below 2^64. */
  const uint64_t wide = (uint64_t)1 << 20, deep = 4096;

  if (!f->hidden || !f->layers || !f->vocabulary || !f->intermediate || f->hidden > wide || f->layers > deep ||
      f->intermediate > wide || f->vocabulary > (wide << 4) || f->heads > wide || f->head_size > wide)
    return 0;
  uint64_t q = f->heads && f->heads * f->head_size <= wide ? f->heads * f->head_size : f->hidden;
  uint64_t kv = f->kv_heads && f->kv_heads <= f->heads ? f->kv_heads * f->head_size : q;
  uint64_t layer = 2 * f->hidden * q + 2 * f->hidden * kv + 3 * f->hidden * f->intermediate + 2 * f->hidden;
  return (f->tied ? 1 : 2) * f->vocabulary * f->hidden + f->layers * layer + f->hidden;
}
