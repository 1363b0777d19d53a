/* Parameters counted from a shape: matrix by matrix, as the architecture has them. */
#include "model/families.h"

#include "base/str.h"

/* Far beyond any model; numbers read are below 2^31, products of two are whole, and those of four of them that are made
 * here stay below 2^63. */
#define MAX_WIDTH ((uint64_t)1 << 18)
#define MAX_VOCABULARY ((uint64_t)1 << 24)
#define MAX_LAYERS 4096u
#define MAX_EXPERTS ((uint64_t)1 << 14)

static uint64_t matrix(uint64_t in, uint64_t out, bool bias) {
  return in * out + (bias ? out : 0);
}

static bool has(const struct shape *s, enum family_trait t) {
  return (s->family->traits & (uint32_t)t) != 0;
}

static uint64_t norm(const struct shape *s, uint64_t width) {
  return has(s, NORM_NONE) ? 0 : has(s, NORM_BIAS) ? 2 * width : width;
}

/* Multi-head latent attention: queries may be compressed, keys and values are. */
static uint64_t latent_attention(const struct shape *s) {
  uint64_t q = s->heads * (s->nope_head_size + s->rope_head_size);
  uint64_t n = s->q_latent ? matrix(s->hidden, s->q_latent, s->o_bias) + s->q_latent + s->q_latent * q : s->hidden * q;

  n += matrix(s->hidden, s->kv_latent + s->rope_head_size, s->o_bias) + s->kv_latent;
  n += s->kv_latent * s->heads * (s->nope_head_size + s->value_size);
  return n + matrix(s->heads * s->value_size, s->hidden, s->o_bias);
}

static uint64_t attention(const struct shape *s) {
  if (s->kv_latent)
    return latent_attention(s);
  uint64_t q = s->heads * s->head_size, kv = s->kv_heads * s->head_size;
  uint64_t n = matrix(s->hidden, s->gated_attention ? 2 * q : q, s->qkv_bias) + 2 * matrix(s->hidden, kv, s->qkv_bias) +
               matrix(q, s->hidden, s->o_bias);
  if (s->head_norms)
    n += 2 * s->head_size;
  if (s->wide_norms)
    n += q + kv;
  return has(s, SINKS) ? n + s->heads : n;
}

static uint64_t mlp(const struct shape *s, uint64_t width, bool bias) {
  return (s->gated ? 2 : 1) * matrix(s->hidden, width, bias) + matrix(width, s->hidden, bias);
}

/* Norms of a layer; a family can have its query and key norms elsewhere. */
static uint64_t norms(const struct shape *s) {
  return (has(s, NORM_FOUR) ? 4 : s->one_norm ? 1 : 2) * norm(s, s->hidden);
}

static uint64_t embeddings(const struct shape *s) {
  uint64_t n = s->vocabulary * s->hidden;

  if (has(s, POSITIONS))
    n += (s->positions + s->token_types) * s->hidden;
  return has(s, EMBED_NORM) ? n + norm(s, s->hidden) : n;
}

static uint64_t output(const struct shape *s) {
  uint64_t n = has(s, FINAL_NORM_NONE) ? 0 : norm(s, s->hidden);

  if (has(s, POOLER))
    n += matrix(s->hidden, s->hidden, true);
  if (s->labels)
    return n + matrix(s->hidden, s->labels, s->labels_bias);
  if (s->headless || has(s, ENCODER))
    return n;
  if (s->head_bias)
    n += s->vocabulary;
  return s->tied ? n : n + s->vocabulary * s->hidden;
}

static bool sane(const struct shape *s) {
  const struct {
    uint64_t value, most;
  } bounds[] = {
      {s->vocabulary, MAX_VOCABULARY},
      {s->positions, MAX_VOCABULARY},
      {s->layers, MAX_LAYERS},
      {s->moe_layers, s->layers},
      {s->attentions, s->layers},
      {s->mlps, s->layers},
      {s->mixers, s->layers},
      {s->mixer, (uint64_t)1 << 42},
      {s->experts, MAX_EXPERTS},
      {s->experts_per_token, s->experts},
      {s->hidden, MAX_WIDTH},
      {s->intermediate, MAX_WIDTH},
      {s->expert_intermediate, MAX_WIDTH},
      {s->shared_intermediate, MAX_WIDTH},
      {s->q_latent, MAX_WIDTH},
      {s->kv_latent, MAX_WIDTH},
      {s->labels, MAX_WIDTH},
      {s->token_types, MAX_WIDTH},
      {s->heads * s->head_size, MAX_WIDTH},
      {s->kv_heads * s->head_size, MAX_WIDTH},
      {s->heads * (s->nope_head_size + s->rope_head_size), MAX_WIDTH},
      {s->heads * s->value_size, MAX_WIDTH},
  };

  for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
    if (bounds[i].value > bounds[i].most)
      return false;
  return s->hidden && s->layers && s->vocabulary && (s->intermediate || s->mlps == 0);
}

/* Products of sane numbers are below 2^62 for a layer; their sums over the layers may not be. */
static bool add_layers(uint64_t *sum, uint64_t layers, uint64_t each) {
  uint64_t n = 0;

  return !__builtin_mul_overflow(layers, each, &n) && !__builtin_add_overflow(*sum, n, sum) && *sum < (uint64_t)1 << 62;
}

bool shape_count(const struct shape *s, uint64_t *all, uint64_t *active) {
  if (!sane(s))
    return false;
  bool expert_bias = has(s, EXPERT_BIAS);
  uint64_t n = embeddings(s) + output(s), normed = s->summed ? 0 : s->layers;
  uint64_t expert = mlp(s, s->expert_intermediate, expert_bias), moe = s->experts * expert;

  moe += matrix(s->hidden, s->experts, expert_bias) + (s->corrected ? s->experts : 0);
  if (s->shared_intermediate)
    moe += mlp(s, s->shared_intermediate, false) + (has(s, SHARED_GATE) ? s->hidden : 0);
  if (!add_layers(&n, normed, norms(s)) || !add_layers(&n, s->summed ? 0 : s->attentions, attention(s)) ||
      !add_layers(&n, s->mixers, s->mixer) || !add_layers(&n, s->mlps, mlp(s, s->intermediate, s->mlp_bias)) ||
      !add_layers(&n, s->moe_layers, moe) || !add_layers(&n, 1, s->extra))
    return false;
  *all = n;
  *active = n - s->moe_layers * (s->experts - s->experts_per_token) * expert - s->idle;
  return true;
}
