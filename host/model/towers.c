/* Parameters of the parts that see and hear. */
#include "model/families.h"

#include "base/str.h"

#define MAX_SIDE 65536u

struct tower {
  uint64_t width, layers, intermediate, patch, image, channels, temporal, merge, out, positions;
};

static uint64_t or_else(uint64_t n, uint64_t dflt) {
  return n ? n : dflt;
}

static bool read_tower(struct json_object *v, struct tower *t) {
  t->width = config_number(v, "embed_dim", "hidden_size", NULL);
  t->layers = config_number(v, "depth", "num_hidden_layers", NULL);
  t->intermediate = config_number(v, "intermediate_size", NULL);
  t->patch = or_else(config_number(v, "patch_size", "spatial_patch_size", NULL), 14);
  t->image = config_number(v, "image_size", NULL);
  t->channels = or_else(config_number(v, "in_channels", "in_chans", NULL), 3);
  t->temporal = or_else(config_number(v, "temporal_patch_size", NULL), 2);
  t->merge = or_else(config_number(v, "spatial_merge_size", NULL), 2);
  t->out = config_number(v, "out_hidden_size", NULL);
  t->positions = config_number(v, "num_position_embeddings", NULL);
  return t->width && t->layers && t->width < MAX_SIDE && t->layers < 4096 && t->intermediate < MAX_SIDE &&
         t->patch <= 256 && t->image < MAX_SIDE && t->channels <= 16 && t->temporal <= 16 && t->merge <= 16 &&
         t->out < MAX_SIDE && t->positions < (uint64_t)1 << 24;
}

/* A layer of an image transformer: biases everywhere, two norms with theirs. */
static uint64_t plain_layer(uint64_t d, uint64_t i) {
  return 4 * (d * d + d) + 2 * d * i + i + d + 4 * d;
}

/* Neighbouring patches side by side, through two matrices. */
static uint64_t merger(uint64_t in, uint64_t out, uint64_t norm) {
  return norm + in * in + in + in * out + out;
}

static uint64_t qwen2(const struct tower *t, uint64_t width) {
  uint64_t d = t->width, in = d * t->merge * t->merge;

  return t->channels * t->temporal * t->patch * t->patch * d + t->layers * plain_layer(d, 4 * d) +
         merger(in, width, 2 * d);
}

static uint64_t qwen2_5(const struct tower *t, uint64_t width) {
  uint64_t d = t->width, i = t->intermediate, in = d * t->merge * t->merge;
  uint64_t layer = 2 * d + 4 * (d * d + d) + 2 * (d * i + i) + i * d + d;

  return t->channels * t->temporal * t->patch * t->patch * d + t->layers * layer + merger(in, width, d);
}

static uint64_t qwen3(const struct tower *t, uint64_t width, size_t deep) {
  uint64_t d = t->width, in = d * t->merge * t->merge;

  return t->channels * t->temporal * t->patch * t->patch * d + d + t->positions * d +
         t->layers * plain_layer(d, t->intermediate) + merger(in, width, 2 * d) + deep * merger(in, width, 2 * in);
}

static uint64_t siglip(const struct tower *t) {
  uint64_t d = t->width, side = t->image / t->patch;

  return t->channels * t->patch * t->patch * d + d + side * side * d + t->layers * plain_layer(d, t->intermediate) +
         2 * d;
}

static uint64_t clip(const struct tower *t) {
  uint64_t d = t->width, side = t->image / t->patch;

  return d + t->channels * t->patch * t->patch * d + (side * side + 1) * d +
         t->layers * plain_layer(d, t->intermediate) + 4 * d;
}

uint64_t vision_count(struct json_object *config, const struct family *family, uint64_t width) {
  struct json_object *v = json_get(config, "vision_config");
  const char *name = family->name, *type = json_str(v, "model_type", "");
  struct tower t;

  if (width == 0 || width >= MAX_SIDE || !json_is(v, json_type_object) || !read_tower(v, &t))
    return 0;
  if (streq(name, "qwen2_vl"))
    return qwen2(&t, width);
  if (streq(name, "qwen2_5_vl"))
    return qwen2_5(&t, or_else(t.out, width));
  if (has_prefix(name, "qwen3_"))
    return qwen3(&t, or_else(t.out, width), json_len(json_get(v, "deepstack_visual_indexes")) % 64);
  if (streq(name, "gemma3"))
    return siglip(&t) + t.width * width + t.width;
  if (streq(name, "llava") && streq(type, "clip_vision_model")) {
    bool next = streq(json_str(config, "model_type", ""), "llava_next");
    return clip(&t) + t.width * width + width + width * width + width + (next ? width : 0);
  }
  return 0;
}

uint64_t whisper_count(struct json_object *c) {
  uint64_t d = config_number(c, "d_model", NULL), mel = or_else(config_number(c, "num_mel_bins", NULL), 80);
  uint64_t enc = config_number(c, "encoder_layers", NULL), dec = config_number(c, "decoder_layers", NULL);
  uint64_t f = config_number(c, "encoder_ffn_dim", NULL), g = config_number(c, "decoder_ffn_dim", NULL);
  uint64_t vocabulary = config_number(c, "vocab_size", NULL);
  uint64_t heard = or_else(config_number(c, "max_source_positions", NULL), 1500);
  uint64_t said = or_else(config_number(c, "max_target_positions", NULL), 448);

  if (!d || !f || !g || d >= MAX_SIDE || f >= MAX_SIDE || g >= MAX_SIDE || mel >= MAX_SIDE || enc > 4096 ||
      dec > 4096 || vocabulary > 1u << 24 || heard > 1u << 24 || said > 1u << 24)
    return 0;
  uint64_t attention = 4 * d * d + 3 * d; /* keys have no bias */
  uint64_t encoder = attention + 2 * d * f + f + d + 4 * d, decoder = 2 * attention + 2 * d * g + g + d + 6 * d;
  return mel * d * 3 + d + d * d * 3 + d + heard * d + enc * encoder + 2 * d + (vocabulary + said) * d + dec * decoder +
         2 * d;
}
