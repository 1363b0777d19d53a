/* What a sequence keeps in memory while it is generated. */
#include "model/facts.h"

/* Numbers that one layer caches for one token. */
static uint64_t cached_numbers(const struct model_facts *f) {
  if (f->kv_latent) /* MLA: the latent and the rotated part, shared by all heads; sparse attention has a key beside */
    return f->kv_latent + f->rope_head_size + f->index_size;
  uint64_t value = f->value_size ? f->value_size : f->head_size, n = 0;
  return __builtin_mul_overflow(f->kv_heads, f->head_size + value, &n) ? 0 : n;
}

/* Layers that cache, each as wide as kv_heads says: a broken number where heads differ from layer to layer. */
static uint64_t scale_heads(const struct model_facts *f, uint64_t numbers, uint64_t layers) {
  uint64_t even = 0;

  if (f->kv_heads_sum == 0 || __builtin_mul_overflow(f->kv_heads, layers, &even) || even == 0)
    return numbers;
  return (uint64_t)((double)numbers * (double)f->kv_heads_sum / (double)even);
}

uint64_t model_sequence_bytes(const struct model_facts *f, uint64_t tokens, unsigned bits) {
  uint64_t cached = f->layers > f->uncached_layers ? f->layers - f->uncached_layers : 0;
  uint64_t sliding = f->sliding_window == 0 ? 0 : f->sliding_layers < cached ? f->sliding_layers : cached;
  uint64_t window = tokens < f->sliding_window ? tokens : f->sliding_window;
  uint64_t full = 0, part = 0, n = 0;

  if (__builtin_mul_overflow(cached - sliding, tokens, &full) || __builtin_mul_overflow(sliding, window, &part) ||
      __builtin_add_overflow(full, part, &n) || __builtin_mul_overflow(n, cached_numbers(f), &n) ||
      __builtin_mul_overflow(n, (uint64_t)bits, &n))
    return 0;
  return scale_heads(f, n / 8, cached) + f->state_bytes;
}

uint64_t model_kv_bytes(const struct model_facts *f) {
  uint64_t n = model_sequence_bytes(f, 1, 16);
  return n >= f->state_bytes ? n - f->state_bytes : 0;
}
