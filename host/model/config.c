#include "base/str.h"
#include "model/formats.h"

#include <string.h>

#define CONFIG_MAX ((size_t)8 << 20)

static int32_t load(const struct model_file *file, struct json_object **out, struct ome_err *err) {
  _cleanup_free_ char *text = NULL;
  size_t got = 0;

  if (file->size > CONFIG_MAX)
    return fail(err, OME_E_INVALID, "%s: larger than %zu bytes", file->name, CONFIG_MAX);
  text = malloc((size_t)file->size + 1);
  if (!text)
    return fail_memory(err);
  int32_t rc = file->read(file->arg, 0, text, (size_t)file->size, &got, err);
  if (rc == OME_OK)
    rc = json_parse(text, got, CONFIG_MAX, out, err);
  if (rc == OME_OK && !json_is(*out, json_type_object)) {
    json_unref(*out);
    *out = NULL;
    rc = fail(err, OME_E_INVALID, "not an object");
  }
  return rc == OME_OK ? rc : fail_prefix(err, "%s", file->name);
}

/* A positive number under any of NAMES, here or in the part that describes the language model. */
static uint64_t number(struct json_object *config, const char *const *names) {
  static const char *const parts[] = {"text_config", "llm_config", "language_config"};

  for (; *names; names++) {
    int64_t n = json_i64(config, *names, 0);
    for (size_t i = 0; n <= 0 && i < ARRAY_LEN(parts); i++)
      n = json_i64(json_at(config, parts[i]), *names, 0);
    if (n > 0)
      return (uint64_t)n;
  }
  return 0;
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The context that RoPE scaling stretches a model to (transformers: "yarn", "linear", "dynamic"; llama3 and longrope
 * state the stretched length already). */
static uint64_t scaled_context(struct json_object *config, uint64_t context) {
  struct json_object *scaling = json_at(config, "rope_scaling");
  const char *type = json_str(scaling, "rope_type", json_str(scaling, "type", ""));
  struct json_object *factor = json_at(scaling, "factor");
  int64_t original = json_i64(scaling, "original_max_position_embeddings", 0);

  if (!factor || streq(type, "llama3") || streq(type, "longrope") || streq(type, "default"))
    return context;
  double f = json_object_get_double(factor);
  if (!(f > 1) || f > 1024)
    return context;
  uint64_t stretched = (uint64_t)((double)(original > 0 ? (uint64_t)original : context) * f);
  return stretched > context ? stretched : context;
}

static void read_quantization(struct json_object *config, struct model_facts *f) {
  struct json_object *q = json_at(config, "quantization_config");
  const char *method = json_str(q, "quant_method", "");
  int64_t bits = json_i64(q, "bits", 0);

  if (!q)
    return;
  if (json_flag(q, "load_in_4bit", false) || ((streq(method, "awq") || streq(method, "gptq")) && bits == 4))
    model_set(&f->quantization, *method ? method : "int4");
  else
    model_set(&f->quantization, *method ? method : "unknown");
}

int32_t config_read(const struct model_file *file, struct model_facts *f, struct ome_err *err) {
  _cleanup_json_ struct json_object *config = NULL;
  int32_t rc = load(file, &config, err);

  if (rc != OME_OK)
    return rc;
  struct json_object *architecture = json_index(json_at(config, "architectures"), 0);
  model_set(&f->type, json_str(config, "model_type", NULL));
  model_set(&f->architecture, architecture ? json_object_get_string(architecture) : NULL);
  model_set(&f->framework, "transformers");
  model_set(&f->framework_version, json_str(config, "transformers_version", NULL));
  model_set(&f->dtype, json_str(config, "torch_dtype", json_str(config, "dtype", NULL)));
  f->layers = number(config, NAMES("num_hidden_layers", "n_layer", "num_layers"));
  f->heads = number(config, NAMES("num_attention_heads", "n_head"));
  f->kv_heads = number(config, NAMES("num_key_value_heads", "multi_query_group_num"));
  f->hidden_size = number(config, NAMES("hidden_size", "n_embd", "d_model"));
  f->intermediate_size = number(config, NAMES("intermediate_size", "ffn_dim", "n_inner"));
  f->vocabulary = number(config, NAMES("vocab_size"));
  f->head_size = number(config, NAMES("head_dim"));
  if (!f->head_size && f->heads)
    f->head_size = f->hidden_size / f->heads;
  if (!f->kv_heads)
    f->kv_heads = f->heads;
  f->tied = json_flag(config, "tie_word_embeddings", false);
  f->vision = json_at(config, "vision_config") != NULL;
  f->context_length = scaled_context(
      config, number(config, NAMES("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")));
  read_quantization(config, f);
  return OME_OK;
}
