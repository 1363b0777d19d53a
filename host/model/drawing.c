/* Parameters of a VQ-VAE, which codes a picture as tokens of a book and draws it from them: convolutions of 3 by 3 in
 * levels, each of them half as fine as the one before, and attention at the coarsest. */
#include "model/counting.h"
#include "model/families.h"

#define MAX_LEVELS 8u
#define MAX_CHANNELS 8192u

struct book {
  uint64_t base, blocks, latent, code, codes, in, out, levels, widths[MAX_LEVELS];
};

static uint64_t convolution(uint64_t in, uint64_t out) {
  return linear(9 * in, out);
}

static uint64_t residual(uint64_t in, uint64_t out) {
  return 2 * in + convolution(in, out) + 2 * out + convolution(out, out) + (in == out ? 0 : linear(in, out));
}

static uint64_t attention(uint64_t width) {
  return 2 * width + 4 * linear(width, width);
}

static uint64_t middle(uint64_t width) {
  return 2 * residual(width, width) + attention(width);
}

/* A level of so many blocks, from IN to WIDTH; the coarsest attends behind each. */
static uint64_t level(uint64_t blocks, uint64_t in, uint64_t width, bool coarsest) {
  return residual(in, width) + (blocks - 1) * residual(width, width) + (coarsest ? blocks * attention(width) : 0);
}

static uint64_t encoder(const struct book *b) {
  uint64_t width = b->base, n = convolution(b->in, b->base);

  for (uint64_t i = 0; i < b->levels; i++) {
    bool coarsest = i + 1 == b->levels;
    n += level(b->blocks, width, b->widths[i], coarsest);
    width = b->widths[i];
    n += coarsest ? 0 : convolution(width, width);
  }
  return n + middle(width) + 2 * width + convolution(width, b->latent);
}

static uint64_t decoder(const struct book *b) {
  uint64_t width = b->widths[b->levels - 1], n = convolution(b->latent, width) + middle(width);

  for (uint64_t i = b->levels; i-- > 0;) {
    n += level(b->blocks + 1, width, b->widths[i], i + 1 == b->levels);
    width = b->widths[i];
    n += i ? convolution(width, width) : 0;
  }
  return n + 2 * width + convolution(width, b->out);
}

/* What is not said is as in VQ-16, which Janus has. */
static bool read_book(struct json_object *c, struct book *b) {
  static const int64_t usual[] = {1, 1, 2, 2, 4};
  struct json_object *list = json_get(c, "channel_multiplier");

  *b = (struct book){.base = or_else(config_number(c, "base_channels", NULL), 128),
                     .blocks = or_else(config_number(c, "num_res_blocks", NULL), 2),
                     .latent = or_else(config_number(c, "latent_channels", NULL), 256),
                     .code = or_else(config_number(c, "embed_dim", "params.n_embed", NULL), 8),
                     .codes = or_else(config_number(c, "num_embeddings", "params.image_token_size", NULL), 16384),
                     .in = or_else(config_number(c, "in_channels", NULL), 3),
                     .out = or_else(config_number(c, "out_channels", NULL), 3),
                     .levels = json_len(list) ? json_len(list) : sizeof(usual) / sizeof(*usual)};
  if (b->levels > MAX_LEVELS || b->base > MAX_CHANNELS)
    return false;
  for (uint64_t i = 0; i < b->levels; i++) {
    int64_t times = json_len(list) ? json_object_get_int64(json_index(list, (size_t)i)) : usual[i];
    if (times < 1 || times > 64 || (uint64_t)times * b->base > MAX_CHANNELS)
      return false;
    b->widths[i] = (uint64_t)times * b->base;
  }
  const uint64_t sides[] = {b->blocks, b->latent, b->code, b->in, b->out};
  return are_below(MAX_CHANNELS, sides, sizeof(sides) / sizeof(*sides)) && b->codes < MAX_WORDS;
}

uint64_t picture_count(struct json_object *config) {
  struct book b;

  if (!read_book(config, &b))
    return 0;
  return encoder(&b) + decoder(&b) + linear(b.latent, b.code) + linear(b.code, b.latent) + b.codes * b.code;
}
