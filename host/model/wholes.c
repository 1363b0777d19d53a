/* Models that are counted as a whole: pairs of towers, encoders with decoders. */
#include "model/counting.h"
#include "model/families.h"

#include "base/str.h"

#include <string.h>

/* ---- CLIP and SigLIP --------------------------------------------------------------------------------------------- */

struct side {
  uint64_t width, layers, intermediate, words, positions, patch, image, projection;
};

static bool read_side(struct json_object *c, struct side *s) {
  *s = (struct side){.width = config_number(c, "hidden_size", NULL),
                     .layers = config_number(c, "num_hidden_layers", NULL),
                     .intermediate = config_number(c, "intermediate_size", NULL),
                     .words = config_number(c, "vocab_size", NULL),
                     .positions = config_number(c, "max_position_embeddings", NULL),
                     .patch = config_number(c, "patch_size", NULL),
                     .image = config_number(c, "image_size", NULL),
                     .projection = config_number(c, "projection_dim", "projection_size", NULL)};
  return s->width && s->width < MAX_SIDE && s->layers <= MAX_STACK && s->intermediate < MAX_SIDE &&
         s->words < MAX_WORDS && s->positions < MAX_WORDS && s->patch <= 256 && s->image < MAX_SIDE &&
         s->projection < MAX_SIDE;
}

static uint64_t stack(const struct side *s) {
  return s->layers * plain_layer(s->width, s->intermediate) + 2 * s->width;
}

static uint64_t reads(const struct side *s) {
  return s->words * s->width + s->positions * s->width + stack(s);
}

static uint64_t sees(const struct side *s, bool siglip) {
  uint64_t d = s->width, side = s->patch ? s->image / s->patch : 0, n = 3 * s->patch * s->patch * d + stack(s);

  if (!siglip) /* a token for the whole, and a norm before the layers */
    return n + d + (side * side + 1) * d + 2 * d;
  n += d + side * side * d;
  return n + d + 4 * linear(d, d) + 2 * d + linear(d, s->intermediate) + linear(s->intermediate, d);
}

static uint64_t clip(struct json_object *config, const char *architecture) {
  struct json_object *text = json_get(config, "text_config"), *vision = json_get(config, "vision_config");
  bool siglip = has_prefix(json_str(config, "model_type", ""), "siglip");
  struct side t, v;

  if (!vision) {
    if (!read_side(config, &v))
      return 0;
    bool projected = strstr(architecture, "WithProjection") != NULL;
    return sees(&v, siglip) + (projected ? v.width * or_else(v.projection, 512) : 0);
  }
  if (!read_side(text, &t) || !read_side(vision, &v))
    return 0;
  if (siglip)
    return reads(&t) + linear(t.width, or_else(t.projection, t.width)) + sees(&v, true) + 2;
  uint64_t shared = or_else(config_number(config, "projection_dim", NULL), 512);
  return shared < MAX_SIDE ? reads(&t) + sees(&v, false) + (t.width + v.width) * shared + 1 : 0;
}

/* ---- encoder and decoder ----------------------------------------------------------------------------------------- */

/* One table of distances a stack, or one a layer; no biases. */
static uint64_t t5(struct json_object *c, const char *architecture) {
  uint64_t d = config_number(c, "d_model", NULL), ff = config_number(c, "d_ff", NULL);
  uint64_t heads = config_number(c, "num_heads", NULL), all = heads * config_number(c, "d_kv", NULL);
  uint64_t enc = config_number(c, "num_layers", NULL), dec = or_else(config_number(c, "num_decoder_layers", NULL), enc);
  uint64_t words = config_number(c, "vocab_size", NULL);
  uint64_t distances = or_else(config_number(c, "relative_attention_num_buckets", NULL), 32) * heads;
  bool gated = has_prefix(json_str(c, "feed_forward_proj", "relu"), "gated");
  bool each = streq(json_str(c, "model_type", ""), "umt5"), tied = json_flag(c, "tie_word_embeddings", true);

  const uint64_t sides[] = {d, ff, all, heads}, stacks[] = {enc, dec};

  if (!d || !ff || !are_below(MAX_SIDE, sides, ARRAY_LEN(sides)) || !are_below(MAX_STACK, stacks, ARRAY_LEN(stacks)) ||
      words > MAX_WORDS || distances > MAX_WORDS)
    return 0;
  uint64_t attention = 4 * d * all, mlp = (gated ? 3 : 2) * d * ff;
  uint64_t n = words * d + enc * (attention + mlp + 2 * d) + distances * (each ? enc : 1) + d;
  if (strstr(architecture, "Encoder"))
    return n;
  n += dec * (2 * attention + mlp + 3 * d) + distances * (each ? dec : 1) + d;
  return tied || has_suffix(architecture, "Model") ? n : n + words * d;
}

uint64_t whole_count(struct json_object *config, const struct family *family, const char *architecture) {
  static const struct {
    const char *family;
    uint64_t (*count)(struct json_object *config, const char *architecture);
  } rules[] = {{"clip", clip}, {"t5", t5}};

  for (size_t i = 0; i < ARRAY_LEN(rules); i++)
    if (streq(family->name, rules[i].family))
      return rules[i].count(config, architecture);
  return streq(family->name, "whisper") ? whisper_count(config) : 0;
}
