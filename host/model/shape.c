/* The numbers that parameters are counted from.  The families name a thing differently, the thing is the same: names
 * are tried in turn, and a family's row says what it has without being told. */
#include "model/families.h"

#include "base/str.h"

#include <stdarg.h>
#include <string.h>

#define MAX_LISTED 4096u /* layers */

uint64_t config_number(struct json_object *o, ...) {
  uint64_t found = 0;
  const char *key;
  va_list ap;

  va_start(ap, o);
  while (found == 0 && (key = va_arg(ap, const char *))) {
    struct json_object *v = json_at(o, key);
    if (json_is(v, json_type_array)) /* one number a layer, the same in those that this is asked of */
      v = json_index(v, 0);
    int64_t n = json_is(v, json_type_int) ? json_object_get_int64(v) : 0;
    if (n > 0 && n < (int64_t)1 << 31)
      found = (uint64_t)n;
  }
  va_end(ap);
  return found;
}

size_t config_layers_of_type(struct json_object *text, const char *name) {
  struct json_object *list = json_get(text, "layer_types");
  size_t n = 0;

  if (!json_is(list, json_type_array))
    return SIZE_MAX;
  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *v = json_index(list, i);
    n += json_is(v, json_type_string) && streq(json_object_get_string(v), name);
  }
  return n;
}

static bool is(const struct shape *s, const char *name) {
  return streq(s->family->name, name);
}

static bool flag(struct json_object *o, const char *key) {
  return json_flag(o, key, false);
}

static void read_sizes(struct json_object *o, struct shape *s) {
  s->vocabulary = config_number(o, "padded_vocab_size", "vocab_size", NULL);
  s->hidden = config_number(o, "hidden_size", "n_embd", "d_model", "dim", NULL);
  s->layers = config_number(o, "num_hidden_layers", "n_layer", "n_layers", "num_layers", NULL);
  s->heads = config_number(o, "num_attention_heads", "n_head", "n_heads", NULL);
  s->kv_heads = config_number(o, "num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num",
                              "attn_config.kv_n_heads", NULL);
  s->head_size = config_number(o, "head_dim", "kv_channels", "attention_head_dim", NULL);
  s->intermediate = config_number(o, "intermediate_size_mlp", "intermediate_size", "n_inner", "ffn_hidden_size",
                                  "ffn_dim", "hidden_dim", NULL);
  if (s->intermediate == 0 && (s->family->traits & UNGATED))
    s->intermediate = 4 * s->hidden; /* what GPT-2's descendants do not write down */
  bool one = (s->family->traits & MULTI_QUERY) && json_flag(o, "multi_query", true);
  if ((one && !flag(o, "new_decoder_architecture")) || (is(s, "chatglm") && !flag(o, "multi_query_attention")))
    s->kv_heads = one;
  if (s->kv_heads == 0)
    s->kv_heads = s->heads;
  if (s->head_size == 0 && s->heads)
    s->head_size = s->hidden / s->heads;
  if (s->family->traits & HALF_MLP)
    s->intermediate /= 2;
  s->positions = config_number(o, "max_position_embeddings", "n_positions", "n_ctx", NULL) + (is(s, "opt") ? 2 : 0);
  s->token_types = config_number(o, "type_vocab_size", NULL);
}

static void read_latent(struct json_object *o, struct shape *s) {
  s->kv_latent = config_number(o, "kv_lora_rank", NULL);
  if (s->kv_latent == 0)
    return;
  s->q_latent = config_number(o, "q_lora_rank", NULL);
  s->rope_head_size = config_number(o, "qk_rope_head_dim", NULL);
  s->nope_head_size = config_number(o, "qk_nope_head_dim", NULL);
  s->value_size = config_number(o, "v_head_dim", NULL);
  if (s->value_size == 0)
    s->value_size = s->heads ? s->hidden / s->heads : 0;
  if (s->rope_head_size == 0)
    s->kv_latent = 0; /* a key that means something else */
}

bool shape_is_moe(struct json_object *o, const struct shape *s, uint64_t i) {
  uint64_t dense = config_number(o, "first_k_dense_replace", "moe_layer_start_index", "num_dense_layers", NULL);
  uint64_t step = config_number(o, "decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval",
                                "moe_layer_freq", NULL);
  struct json_object *without = json_get(o, "mlp_only_layers");
  uint64_t period = config_number(o, "expert_layer_period", NULL);
  struct json_object *kind = json_index(json_get(o, "mlp_layer_types"), (size_t)i);

  if (json_is(kind, json_type_string))
    return s->experts > 0 && streq(json_object_get_string(kind), "sparse");
  for (size_t k = 0; k < json_len(without) && k < MAX_LISTED; k++)
    if (json_object_get_int64(json_index(without, k)) == (int64_t)i)
      return false;
  if (period)
    return i % period == config_number(o, "expert_layer_offset", NULL) % period;
  if (i < dense || (step > 1 && (i + 1) % step != 0))
    return false;
  return s->experts > 0;
}

static void read_experts(struct json_object *o, struct shape *s) {
  s->experts = config_number(o, "n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts",
                             "ffn_config.moe_num_experts", NULL);
  if (s->experts < 2) {
    s->experts = 0;
    if (is(s, "granitemoehybrid")) /* what the experts would share is the MLP */
      s->intermediate = config_number(o, "shared_intermediate_size", NULL);
    return;
  }
  s->experts_per_token = config_number(o, "num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_k",
                                       "moe_topk", "num_selected_experts", "ffn_config.moe_top_k", NULL);
  if (s->experts_per_token == 0)
    s->experts_per_token = 1;
  s->expert_intermediate =
      config_number(o, "moe_intermediate_size", "ffn_config.ffn_hidden_size", "intermediate_size", NULL);
  uint64_t shared =
      config_number(o, "n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert", NULL);
  s->shared_intermediate = shared * s->expert_intermediate;
  if (shared == 0)
    s->shared_intermediate = config_number(o, "shared_expert_intermediate_size", "shared_intermediate_size", NULL);
  if (is(s, "llama4"))
    s->shared_intermediate = s->expert_intermediate;
  for (uint64_t i = 0; i < s->layers && i < 4096; i++)
    s->moe_layers += shape_is_moe(o, s, i);
}

static bool any_flag(struct json_object *o, const char *const *keys) {
  for (; *keys; keys++)
    if (flag(o, *keys))
      return true;
  return false;
}

static void read_biases(struct json_object *o, struct shape *s) {
  static const char *const all_keys[] = {"use_bias", "attention_bias", NULL};
  static const char *const qkv_keys[] = {"use_qkv_bias", "qkv_bias", "add_qkv_bias", NULL};
  static const char *const mlp_keys[] = {"mlp_bias", "use_bias", "add_bias_linear", NULL};
  uint32_t t = s->family->traits;
  bool bias = json_flag(o, "bias", is(s, "internlm")), all = any_flag(o, all_keys);
  bool third = is(s, "internlm3") && bias, falcon = is(s, "falcon") && bias;

  all = all || falcon || (is(s, "internlm") && bias);
  s->qkv_bias = (t & QKV_BIAS) || all || any_flag(o, qkv_keys);
  s->o_bias = (t & O_BIAS) || (all && !(t & BIAS_IS_QKV)) || flag(o, "attention_out_bias") || third;
  s->mlp_bias = (t & MLP_BIAS) || any_flag(o, mlp_keys) || third || falcon;
}

static void read_norms(struct json_object *o, struct shape *s) {
  uint32_t t = s->family->traits;

  s->gated = !(t & UNGATED);
  s->corrected =
      (t & CORRECTED) || streq(json_str(o, "topk_method", ""), "noaux_tc") || flag(o, "moe_router_enable_expert_bias");
  s->head_norms = (t & HEAD_NORMS) != 0;
  s->wide_norms = (t & WIDE_NORMS) || (flag(o, "qk_layernorm") && is(s, "stablelm")) ||
                  (flag(o, "attention_layer_norm") && is(s, "molmo"));
  if (is(s, "cohere"))
    s->wide_norms = flag(o, "use_qk_norm");
  else if (is(s, "glm4_moe") || is(s, "bailing_moe"))
    s->head_norms = flag(o, "use_qk_norm");
  s->one_norm = (t & NORM_ONE) || (is(s, "stablelm") && flag(o, "use_parallel_residual"));
  if (is(s, "falcon"))
    s->one_norm = json_flag(o, "parallel_attn", true) && !flag(o, "new_decoder_architecture");
}

/* What stands behind the last layer: by the architecture's name. */
static void read_head(struct json_object *config, struct json_object *o, const char *architecture, struct shape *s) {
  bool classifier = strstr(architecture, "SequenceClassification") != NULL;
  size_t named = json_is(json_get(config, "id2label"), json_type_object) ? json_count(json_get(config, "id2label")) : 2;
  bool tied = json_flag(o, "tie_word_embeddings", (s->family->traits & TIED) != 0);

  s->tied = json_flag(config, "tie_word_embeddings", tied);
  s->head_bias = (s->family->traits & HEAD_BIAS) || flag(o, "lm_head_bias");
  s->headless = has_suffix(architecture, "Model") && !strstr(architecture, "Reward") &&
                !strstr(architecture, "LMHead") && !strstr(architecture, "ChatGLM") && !strstr(architecture, "Chat") &&
                !strstr(architecture, "Omni");
  if (classifier)
    s->labels = named;
  else if (strstr(architecture, "RewardModel"))
    s->labels = 1;
  if (!(s->family->traits & ENCODER))
    return;
  s->labels_bias = true;
}

/* What encoders have in other places than BERT. */
static void read_encoder(const char *architecture, struct shape *s) {
  uint64_t h = s->hidden;

  if (s->vocabulary >= (uint64_t)1 << 24 || h >= (uint64_t)1 << 18)
    return;
  if (is(s, "mpnet")) /* positions by distance, 32 of them, and no kinds of tokens */
    s->extra = 32 * s->heads, s->token_types = 0;
  else if (is(s, "distilbert"))
    s->token_types = 0;
  else if (is(s, "nomic_bert"))
    s->extra = s->token_types % 4096 * h;
  else if (is(s, "modernbert")) /* a matrix and a norm before what is predicted */
    s->extra = strstr(architecture, "MaskedLM")                 ? h * h + h + s->vocabulary
               : strstr(architecture, "SequenceClassification") ? h * h + h
                                                                : 0;
}

void shape_read(struct json_object *config, struct json_object *text, const struct family *family,
                const char *architecture, struct shape *out) {
  struct shape s = {.family = family};

  read_sizes(text, &s);
  read_latent(text, &s);
  read_experts(text, &s);
  read_biases(text, &s);
  read_norms(text, &s);
  s.attentions = s.layers;
  s.mlps = s.layers - s.moe_layers;
  mixers_read(text, &s);
  read_head(config, text, architecture, &s);
  read_encoder(architecture, &s);
  *out = s;
}
