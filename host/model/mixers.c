/* Layers that mix tokens with something else than attention: state spaces, linear attention, short convolutions.  A
 * rule a kind reads how many there are, what one has of parameters and what one keeps of a sequence. */
#include "model/families.h"

#include "base/str.h"

#include <string.h>

#define MAX_WIDTH ((uint64_t)1 << 18)

/* A number that products of three stay below 2^63 with; what is larger is no layer's and counts as nothing. */
static uint64_t width(struct json_object *o, const char *key, uint64_t dflt) {
  uint64_t n = config_number(o, key, NULL);

  return n == 0 ? dflt : n < MAX_WIDTH ? n : 0;
}

static void put(struct shape *s, uint64_t layers, uint64_t parameters, uint64_t state) {
  s->mixers = layers;
  s->mixer = parameters;
  s->mixer_state = state;
}

/* What a convolution over KERNEL tokens looks back to, at 16 bits a number. */
static uint64_t look_back(uint64_t channels, uint64_t kernel) {
  return kernel ? channels * (kernel - 1) * 2 : 0;
}

/* Gated delta rule: queries, keys, values and gate, a short convolution, decay and step of each head. */
static void delta(struct json_object *o, struct shape *s) {
  size_t listed = config_layers_of_type(o, "linear_attention");
  uint64_t interval = width(o, "full_attention_interval", 4), heads = width(o, "linear_num_value_heads", 0);
  uint64_t size = width(o, "linear_value_head_dim", 0), key_size = width(o, "linear_key_head_dim", 0);
  uint64_t keys = width(o, "linear_num_key_heads", 0) * key_size, values = heads * size;
  uint64_t kernel = width(o, "linear_conv_kernel_dim", 0), channels = 2 * keys + values;

  if (heads == 0 || interval == 0 || keys >= MAX_WIDTH || values >= MAX_WIDTH)
    return;
  uint64_t n = s->hidden * (2 * keys + 2 * values) + s->hidden * 2 * heads + channels * kernel + 2 * heads + size +
               values * s->hidden;
  put(s, listed != SIZE_MAX ? listed : s->layers - s->layers / interval, n,
      values * key_size * 4 + look_back(channels, kernel));
  s->attentions = s->layers - s->mixers;
  s->gated_attention = true; /* of the layers that do attend, the queries have a gate */
}

/* Kimi's delta attention: a decay for each channel, gates through narrow matrices, three convolutions. */
static void kimi_delta(struct json_object *o, struct shape *s) {
  struct json_object *linear = json_get(o, "linear_attn_config");
  uint64_t heads = width(linear, "num_heads", 0), size = width(linear, "head_dim", 0), all = heads * size;
  uint64_t kernel = width(linear, "short_conv_kernel_size", 4);

  if (all == 0 || all >= MAX_WIDTH)
    return;
  uint64_t narrow = s->hidden * size + size * all;
  put(s, json_len(json_get(linear, "kda_layers")),
      4 * s->hidden * all + 3 * all * kernel + 2 * narrow + s->hidden * heads + all + heads + size,
      all * size * 4 + look_back(3 * all, kernel));
  s->attentions = s->layers - s->mixers;
}

/* Lightning attention: queries, keys and values of all heads, a norm and a gate on what comes out. */
static void lightning(struct json_object *o, struct shape *s) {
  struct json_object *kinds = json_get(o, "attn_type_list"); /* 0: lightning, 1: attention */
  size_t listed = config_layers_of_type(o, "linear_attention"), n = 0;
  uint64_t all = s->heads * s->head_size;

  for (size_t i = 0; i < json_len(kinds); i++)
    n += json_object_get_int64(json_index(kinds, i)) == 0;
  put(s, listed != SIZE_MAX ? listed : n, 5 * s->hidden * all + all, all * s->head_size * 4);
  s->attentions = s->layers - s->mixers;
}

/* The first state space model: a step, an input and an output matrix for each channel. */
static void mamba(struct json_object *o, struct shape *s) {
  uint64_t period = width(o, "attn_layer_period", 8), offset = width(o, "attn_layer_offset", 0);
  uint64_t in = width(o, "mamba_expand", 2) * s->hidden, state = width(o, "mamba_d_state", 16);
  uint64_t kernel = width(o, "mamba_d_conv", 4), rank = width(o, "mamba_dt_rank", (s->hidden + 15) / 16);

  if (period == 0 || in >= MAX_WIDTH)
    return;
  uint64_t n = in * state + in + in * kernel + (json_flag(o, "mamba_conv_bias", true) ? in : 0) + 3 * s->hidden * in +
               in * (rank + 2 * state) + rank * in + in + rank + 2 * state;
  if (json_flag(o, "mamba_proj_bias", false))
    n += 2 * in + s->hidden;
  uint64_t attend = s->layers > offset ? (s->layers - offset - 1) / period + 1 : 0;
  put(s, s->layers - attend, n, in * state * 4 + look_back(in, kernel));
  s->attentions = attend;
}

struct mamba2 {
  uint64_t in, heads, groups, state, kernel;
  bool norm, bias, conv_bias;
};

/* The second: a step a head, the input and output matrices shared by a group of heads. */
static void put_mamba2(struct shape *s, uint64_t layers, const struct mamba2 *m) {
  uint64_t channels = m->in + 2 * m->groups * m->state, all = m->in + channels + m->heads;

  if (m->in >= MAX_WIDTH || channels >= MAX_WIDTH)
    return;
  uint64_t n = s->hidden * all + channels * m->kernel + (m->conv_bias ? channels : 0) + 3 * m->heads +
               (m->norm ? m->in : 0) + m->in * s->hidden + (m->bias ? all + s->hidden : 0);
  put(s, layers, n, m->in * m->state * 4 + look_back(channels, m->kernel));
}

static struct mamba2 read_mamba2(struct json_object *o, const struct shape *s) {
  uint64_t heads = width(o, "mamba_n_heads", 128), size = width(o, "mamba_d_head", 0);

  return (struct mamba2){.in = width(o, "mamba_d_ssm", size ? heads * size : width(o, "mamba_expand", 2) * s->hidden),
                         .heads = heads,
                         .groups = width(o, "mamba_n_groups", 1),
                         .state = width(o, "mamba_d_state", 256),
                         .kernel = width(o, "mamba_d_conv", 4),
                         .norm = true,
                         .bias = json_flag(o, "mamba_proj_bias", false),
                         .conv_bias = json_flag(o, "mamba_conv_bias", true)};
}

static void granite(struct json_object *o, struct shape *s) {
  const struct mamba2 m = read_mamba2(o, s);
  size_t listed = config_layers_of_type(o, "mamba");

  put_mamba2(s, listed != SIZE_MAX ? listed : s->layers, &m);
  s->attentions = s->layers - s->mixers;
}

/* State space and attention side by side in every layer. */
static void falcon(struct json_object *o, struct shape *s) {
  struct mamba2 m = read_mamba2(o, s);

  m.norm = json_flag(o, "mamba_rms_norm", false);
  put_mamba2(s, s->layers, &m);
}

static size_t count_of(const char *pattern, char c) {
  size_t n = 0;

  for (; *pattern; pattern++)
    n += *pattern == c;
  return n;
}

/* Each layer is one thing, with one norm: M a state space, * attention, - an MLP, E experts. */
static void nemotron(struct json_object *o, struct shape *s) {
  const char *pattern = json_str(o, "hybrid_override_pattern", "");
  uint64_t heads = width(o, "mamba_num_heads", 128), size = width(o, "mamba_head_dim", 64);
  const struct mamba2 m = {.in = heads * size,
                           .heads = heads,
                           .groups = width(o, "n_groups", 8),
                           .state = width(o, "ssm_state_size", 128),
                           .kernel = width(o, "conv_kernel", 4),
                           .norm = true,
                           .bias = json_flag(o, "mamba_proj_bias", false),
                           .conv_bias = json_flag(o, "use_conv_bias", true)};

  if (strlen(pattern) != s->layers)
    return;
  put_mamba2(s, count_of(pattern, 'M'), &m);
  s->attentions = count_of(pattern, '*');
  s->mlps = count_of(pattern, '-');
  s->moe_layers = count_of(pattern, 'E');
  s->shared_intermediate = width(o, "moe_shared_expert_intermediate_size", s->shared_intermediate);
}

/* A short convolution between two gates.  The width of the MLP is two thirds of the stated one, rounded up. */
static void short_convolution(struct json_object *o, struct shape *s) {
  size_t listed = config_layers_of_type(o, "conv"), attend = json_len(json_get(o, "full_attn_idxs"));
  uint64_t kernel = width(o, "conv_L_cache", 3), multiple = width(o, "block_multiple_of", 256);
  bool bias = json_flag(o, "conv_bias", false);

  put(s, listed != SIZE_MAX ? listed : s->layers - (attend < s->layers ? attend : s->layers),
      4 * s->hidden * s->hidden + s->hidden * kernel + (bias ? 5 * s->hidden : 0), look_back(s->hidden, kernel));
  s->attentions = s->layers - s->mixers;
  s->intermediate = width(o, "block_ff_dim", s->intermediate);
  if (json_flag(o, "block_auto_adjust_ff_dim", true) && multiple)
    s->intermediate = (2 * s->intermediate / 3 + multiple - 1) / multiple * multiple;
}

/* Cross attention to an image: the norms of its heads, two gates; and eight more tokens in the embedding only. */
static void cross_attention(struct json_object *o, struct shape *s) {
  s->extra += json_len(json_get(o, "cross_attention_layers")) * (2 * s->head_size + 2) + 8 * s->hidden;
}

/* Molmo keeps the tokens that it adds to its language model apart. */
static void added_tokens(struct json_object *o, struct shape *s) {
  s->extra += width(o, "additional_vocab_size", 128) * s->hidden;
}

/* Gemma 3n: an embedding for each layer, several streams side by side of which one is predicted, a narrow shortcut. */
static void streams(struct json_object *o, struct shape *s) {
  uint64_t h = s->hidden, each = width(o, "hidden_size_per_layer_input", 256), rank = width(o, "laurel_rank", 64);
  uint64_t words = config_number(o, "vocab_size_per_layer_input", NULL), n = width(o, "altup_num_inputs", 4);

  if (n == 0 || n > 64 || each >= 4096 || words > (uint64_t)1 << 24)
    return;
  uint64_t shortcut = 2 * rank * h + h, streams = h + n * n + n * n * n + n * h + h;
  s->extra += words * s->layers * each + s->layers * each * h + each + 2 * (n - 1) * h * h +
              s->layers * (shortcut + streams + 2 * each * h + h);
}

/* Sparse attention: what picks the tokens that a query attends to, by a key of its own. */
static void indexer(struct json_object *o, struct shape *s) {
  uint64_t heads = width(o, "index_n_heads", 64), size = width(o, "index_head_dim", 128);

  if (s->q_latent >= MAX_WIDTH || s->hidden >= MAX_WIDTH || heads * size >= MAX_WIDTH)
    return;
  s->index_size = size;
  s->extra += s->layers % 4096 * (s->q_latent * heads * size + s->hidden * (size + heads) + 2 * size);
}

/* xIELU: two learned numbers for each layer, and two that are stored with them. */
static void activation(UNUSED struct json_object *o, struct shape *s) {
  s->extra += 4 * s->layers;
}

/* Layers of different widths, found by a search: attention or MLP can be a matrix, or be gone. */
static void searched(struct json_object *o, struct shape *s) {
  struct json_object *blocks = json_get(o, "block_configs");
  uint64_t n = 0;

  if (json_len(blocks) == 0 || s->hidden >= MAX_WIDTH || s->heads * s->head_size >= MAX_WIDTH || s->layers > 4096)
    return;
  s->attentions = s->mlps = 0;
  for (size_t i = 0; i < json_len(blocks) && i < s->layers; i++) {
    struct json_object *a = json_get(json_index(blocks, i), "attention"), *f = json_get(json_index(blocks, i), "ffn");
    uint64_t group = width(a, "n_heads_in_group", 1), square = s->hidden * s->hidden;
    double mult = json_object_get_double(json_get(f, "ffn_mult"));
    if (!json_flag(a, "no_op", false)) {
      uint64_t kv = json_flag(a, "replace_with_linear", false) || group == 0 ? 0 : s->heads / group;
      n += s->hidden + (kv ? 2 * s->hidden * (s->heads + kv) * s->head_size : square);
      s->attentions += kv > 0;
      s->kv_heads_sum += kv;
    }
    if (!json_flag(f, "no_op", false)) {
      uint64_t wide = mult > 0 && mult < 64 ? ((uint64_t)(2 * mult * (double)s->hidden / 3) + 255) / 256 * 256 : 0;
      n += s->hidden + (json_flag(f, "replace_with_linear", false) ? square : 3 * s->hidden * wide);
    }
  }
  s->extra += n;
  s->summed = true;
}

void mixers_read(struct json_object *text, struct shape *s) {
  static const struct {
    const char *family;
    void (*read)(struct json_object *text, struct shape *s);
  } rules[] = {
      {"qwen3_next", delta},         {"qwen3_5", delta},          {"qwen3_5_moe", delta},
      {"kimi_linear", kimi_delta},   {"minimax_m1", lightning},   {"jamba", mamba},
      {"granitemoehybrid", granite}, {"falcon_h1", falcon},       {"nemotron_h", nemotron},
      {"lfm2", short_convolution},   {"mllama", cross_attention}, {"molmo", added_tokens},
      {"gemma3n", streams},          {"deepseek_v32", indexer},   {"glm_moe_dsa", indexer},
      {"apertus", activation},       {"nemotron_nas", searched},
  };

  for (size_t i = 0; i < ARRAY_LEN(rules) && s->hidden < MAX_WIDTH && s->layers <= 4096; i++)
    if (streq(s->family->name, rules[i].family))
      rules[i].read(text, s);
  if (s->mixers <= s->layers && s->attentions <= s->layers && s->mlps <= s->layers && s->moe_layers <= s->layers)
    return;
  put(s, 0, 0, 0); /* lists that are longer than the model */
  s->attentions = s->layers;
  s->mlps = s->layers - (s->moe_layers <= s->layers ? s->moe_layers : 0);
}
