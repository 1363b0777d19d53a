/* Parameters of the parts that see: a tower over patches of an image, and what makes its output the width of a token.
 * A rule a family; the numbers are config.json's, or those of the tower that it names. */
#include "model/counting.h"
#include "model/families.h"

#include "base/str.h"

#include <string.h>

struct tower {
  struct json_object *config, *vision; /* the whole, its vision_config */
  const char *type;                    /* of the tower */
  uint64_t width, layers, intermediate, patch, image, channels, temporal, merge, out, positions, side;
};

/* Another number of vision_config; 0 where it is absurd. */
static uint64_t more(const struct tower *t, const char *key, uint64_t dflt) {
  uint64_t n = or_else(config_number(t->vision, key, NULL), dflt);

  return n < MAX_SIDE ? n : 0;
}

/* Towers that a configuration only names. */
static const struct named_tower {
  const char *name;
  uint64_t width, layers, intermediate, patch, image;
} named[] = {
    {"siglip_so400m_patch14_384", 1152, 27, 4304, 14, 384},
    {"siglip_large_patch16_384", 1024, 24, 4096, 16, 384},
    {"clip-vit-large-patch14-336", 1024, 24, 4096, 14, 336},
    {"siglip-so400m-patch14-448", 1152, 27, 4304, 14, 448},
};

static bool name_tower(const char *name, struct tower *t) {
  for (size_t i = 0; i < ARRAY_LEN(named); i++) {
    const struct named_tower *n = &named[i];
    if (!has_suffix(name, n->name))
      continue;
    t->width = n->width;
    t->layers = n->layers;
    t->intermediate = n->intermediate;
    t->patch = n->patch;
    t->image = n->image;
    t->side = n->image / n->patch;
    return true;
  }
  return false;
}

static bool read_tower(struct json_object *config, struct tower *t) {
  struct json_object *v = json_get(config, "vision_config");
  const char *name = json_str(v, "model_name", json_str(v, "params.model_name", ""));

  *t = (struct tower){.config = config, .vision = v, .type = json_str(v, "model_type", "")};
  t->width = config_number(v, "embed_dim", "hidden_size", "width", NULL);
  t->layers = config_number(v, "depth", "num_hidden_layers", "layers", NULL);
  t->intermediate = config_number(v, "intermediate_size", NULL);
  t->patch = or_else(config_number(v, "patch_size", "spatial_patch_size", NULL), 14);
  t->image = config_number(v, "image_size", NULL);
  t->channels = or_else(config_number(v, "in_channels", "in_chans", NULL), 3);
  t->temporal = or_else(config_number(v, "temporal_patch_size", NULL), 2);
  t->merge = or_else(config_number(v, "spatial_merge_size", NULL), 2);
  t->out = config_number(v, "out_hidden_size", NULL);
  t->positions = config_number(v, "num_position_embeddings", NULL);
  t->side = t->image / t->patch;
  (void)name_tower(name, t);
  return t->width < MAX_SIDE && t->layers < MAX_STACK && t->intermediate < MAX_SIDE && t->patch <= 256 &&
         t->image < MAX_SIDE && t->channels <= 16 && t->temporal <= 16 && t->merge <= 16 && t->out < MAX_SIDE &&
         t->positions < MAX_WORDS;
}

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

static uint64_t patches(const struct tower *t, bool bias) {
  return t->channels * t->patch * t->patch * t->width + (bias ? t->width : 0);
}

/* Neighbouring patches side by side, through two matrices. */
static uint64_t merger(uint64_t in, uint64_t out, uint64_t norm) {
  return norm + linear(in, in) + linear(in, out);
}

/* Two matrices with biases from the tower's width to the token's. */
static uint64_t two_matrices(uint64_t in, uint64_t width) {
  return linear(in, width) + linear(width, width);
}

static uint64_t siglip(const struct tower *t) {
  return patches(t, true) + t->side * t->side * t->width + t->layers * plain_layer(t->width, t->intermediate) +
         2 * t->width;
}

/* One learned query that looks at all patches. */
static uint64_t attention_pool(const struct tower *t) {
  uint64_t d = t->width, i = t->intermediate;

  return d + 4 * linear(d, d) + 2 * d + linear(d, i) + linear(i, d);
}

static uint64_t clip(const struct tower *t, uint64_t layers) {
  return t->width + patches(t, false) + (t->side * t->side + 1) * t->width +
         layers * plain_layer(t->width, t->intermediate) + 4 * t->width;
}

/* ---- a rule a family --------------------------------------------------------------------------------------------- */

static uint64_t qwen2(const struct tower *t, uint64_t width) {
  uint64_t d = t->width, in = d * t->merge * t->merge;

  return patches(t, false) * t->temporal + t->layers * plain_layer(d, 4 * d) + merger(in, width, 2 * d);
}

static uint64_t qwen2_5(const struct tower *t, uint64_t width) {
  uint64_t d = t->width, i = t->intermediate, in = d * t->merge * t->merge;
  uint64_t layer = 2 * d + 4 * linear(d, d) + 2 * linear(d, i) + linear(i, d);

  return patches(t, false) * t->temporal + t->layers * layer + merger(in, or_else(t->out, width), d);
}

static uint64_t qwen3(const struct tower *t, uint64_t width) {
  uint64_t d = t->width, in = d * t->merge * t->merge, out = or_else(t->out, width);
  size_t deep = json_len(json_get(t->vision, "deepstack_visual_indexes")) % 64;

  return patches(t, false) * t->temporal + d + t->positions * d + t->layers * plain_layer(d, t->intermediate) +
         merger(in, out, 2 * d) + deep * merger(in, out, 2 * in);
}

static uint64_t gemma3(const struct tower *t, uint64_t width) {
  return siglip(t) + t->width * width + t->width;
}

/* MobileNet v5, whose shape its name stands for; then tokens of its own, normed and projected. */
static uint64_t gemma3n(const struct tower *t, uint64_t width) {
  static const uint64_t mobilenetv5_300m = 294126912;

  if (!streq(json_str(t->vision, "architecture", ""), "mobilenetv5_300m_enc"))
    return 0;
  return mobilenetv5_300m + more(t, "vocab_size", 128) * t->width + 2 * t->width + t->width * width;
}

/* Two towers, one over the tiles and one with gates over all of them, and positions of tiles by aspect ratio. */
static uint64_t mllama(const struct tower *t, uint64_t width) {
  uint64_t d = t->width, i = t->intermediate, tiles = more(t, "max_num_tiles", 4), places = t->side * t->side + 1;
  uint64_t ratios = or_else(json_len(json_get(t->vision, "supported_aspect_ratios")) % 1024, 8) + 1;
  uint64_t global = more(t, "num_global_layers", 8), layer = 4 * d * d + 2 * d * i + i + d + 4 * d;

  if (tiles > 64)
    return 0;
  return d + patches(t, false) + 1 + places * d + ratios * tiles * places * d + 2 * (1 + ratios * tiles * d) + 4 * d +
         t->layers * layer + global * (layer + 2) + linear(more(t, "vision_output_dim", 7680), width);
}

static uint64_t llama4(const struct tower *t, uint64_t width) {
  uint64_t in = more(t, "projector_input_dim", 4096), out = more(t, "projector_output_dim", 4096);

  return clip(t, t->layers) + t->intermediate * in + in * out + more(t, "vision_output_dim", 4096) * width;
}

/* Llama's layers over patches of images of any size. */
static uint64_t pixtral(const struct tower *t) {
  uint64_t d = t->width;

  return patches(t, false) + d + t->layers * (4 * d * d + 3 * d * t->intermediate + 2 * d);
}

static uint64_t mistral3(const struct tower *t, uint64_t width) {
  uint64_t d = t->width, merge = or_else(config_number(t->config, "spatial_merge_size", NULL), 2);

  if (!streq(t->type, "pixtral") || merge > 16)
    return 0;
  return pixtral(t) + d + merge * merge * d * d + d * width + width * width +
         (json_flag(t->config, "multimodal_projector_bias", false) ? 2 * width : 0);
}

/* The first layout of LLaVA names a tower, which is a model of its own; only the projector is among the weights. */
static uint64_t llava_projector(struct json_object *config, uint64_t width) {
  uint64_t in = config_number(config, "mm_hidden_size", NULL);
  const char *kind = json_str(config, "mm_projector_type", "linear");

  if (in == 0 || in >= MAX_SIDE)
    return 0;
  return streq(kind, "mlp2x_gelu") ? two_matrices(in, width) : streq(kind, "linear") ? linear(in, width) : 0;
}

static uint64_t llava(const struct tower *t, uint64_t width) {
  if (!t->vision)
    return llava_projector(t->config, width);
  bool next = streq(json_str(t->config, "model_type", ""), "llava_next");
  uint64_t tower = streq(t->type, "clip_vision_model")     ? clip(t, t->layers)
                   : streq(t->type, "pixtral")             ? pixtral(t)
                   : streq(t->type, "siglip_vision_model") ? siglip(t)
                                                           : 0;

  return tower ? tower + two_matrices(t->width, width) + (next ? width : 0) : 0;
}

static uint64_t idefics3(const struct tower *t, uint64_t width) {
  uint64_t scale = or_else(config_number(t->config, "scale_factor", NULL), 2);

  return scale > 16 ? 0 : siglip(t) + t->width * scale * scale * width;
}

/* InternViT: layers with a scale on each half; the larger has other norms, on queries and keys too. */
static uint64_t internvl(const struct tower *t, uint64_t width) {
  uint64_t d = t->width, layer = plain_layer(d, t->intermediate) + 2 * d;

  if (!json_flag(t->vision, "qkv_bias", json_flag(t->vision, "attention_bias", true)))
    layer -= 3 * d;
  if (streq(json_str(t->vision, "norm_type", "layer_norm"), "rms_norm"))
    layer -= 2 * d;
  if (json_flag(t->vision, "qk_normalization", json_flag(t->vision, "use_qk_norm", false)))
    layer += 2 * d;
  return d + (t->side * t->side + 1) * d + patches(t, true) + t->layers * layer + 8 * d + two_matrices(4 * d, width);
}

static uint64_t glm4v(const struct tower *t, uint64_t width) {
  uint64_t d = t->width, out = or_else(t->out, width), i = t->intermediate;
  uint64_t layer = 2 * d + 4 * d * d + (json_flag(t->vision, "attention_bias", false) ? 4 * d : 0) + 3 * d * out;

  return t->side * t->side * d + patches(t, false) * t->temporal + d + t->layers * layer + out * out + 2 * out +
         3 * out * i + 2 * d + linear(d * t->merge * t->merge, out);
}

static uint64_t deepseek_vl2(const struct tower *t, uint64_t width) {
  struct json_object *projector = json_get(t->config, "projector_config");

  if (!streq(json_str(projector, "projector_type", "downsample_mlp_gelu"), "downsample_mlp_gelu") || t->side == 0)
    return 0;
  return siglip(t) + attention_pool(t) + two_matrices(4 * t->width, width) + 2 * width;
}

/* Janus draws too: a picture is tokens of a code book; which of them were used in training is stored with it. */
static uint64_t deepseek_vl(const struct tower *t, uint64_t width) {
  static const uint64_t used = 65536;
  struct json_object *draws = json_get(t->config, "gen_vision_config");
  uint64_t codes = config_number(draws, "params.image_token_size", NULL);
  uint64_t code = config_number(draws, "params.n_embed", NULL), n = siglip(t) + attention_pool(t);

  if (t->side == 0 || codes >= MAX_WORDS || code >= MAX_SIDE)
    return 0;
  n += two_matrices(t->width, width);
  return draws ? n + picture_count(draws) + used + codes * code + two_matrices(code, width) + linear(width, width) +
                     linear(width, codes)
               : n;
}

/* DEPTH matrices with biases, the first of them from IN to WIDTH. */
static uint64_t matrices(uint64_t in, uint64_t width, uint64_t depth) {
  return linear(in, width) + (depth - 1) * linear(width, width);
}

/* The same model in transformers: SigLIP without its pool, and parts whose usual sizes are not written down. */
static uint64_t janus(const struct tower *t, uint64_t width) {
  struct json_object *v = t->vision, *draws = json_get(t->config, "vq_config");
  double ratio = json_object_get_double(json_get(v, "mlp_ratio"));
  struct tower seen = {.width = or_else(t->width, 1024),
                       .layers =
                           or_else(config_number(v, "num_hidden_layers", NULL), 24), /* "depth" is the aligner's */
                       .patch = or_else(config_number(v, "patch_size", NULL), 16),
                       .image = or_else(t->image, 384),
                       .channels = or_else(config_number(v, "num_channels", NULL), 3)};
  uint64_t codes = or_else(config_number(draws, "num_embeddings", NULL), 16384);
  uint64_t code = or_else(config_number(draws, "embed_dim", NULL), 8);
  uint64_t token = or_else(config_number(draws, "image_token_embed_dim", NULL), 2048);
  uint64_t into = or_else(config_number(draws, "projection_dim", NULL), 2048), picture = picture_count(draws);
  uint64_t depth = or_else(more(t, "depth", 2), 2), deep = or_else(config_number(draws, "num_hidden_layers", NULL), 2);
  const uint64_t sides[] = {code,       token,    into, seen.layers * 16, seen.patch * 64, seen.channels * 64,
                            depth * 64, deep * 64};

  if (!are_below(MAX_SIDE, sides, ARRAY_LEN(sides)) || codes >= MAX_WORDS || picture == 0)
    return 0;
  seen.side = seen.image / seen.patch;
  seen.intermediate = ratio > 0 && ratio < 64 ? (uint64_t)((double)seen.width * ratio) : 4 * seen.width;
  uint64_t aligned = or_else(more(t, "projection_dim", width), width);
  uint64_t norms = json_flag(v, "use_qk_norm", false) ? seen.layers * 4 * seen.width : 0;
  uint64_t keyless = json_flag(v, "attention_bias", true) ? 0 : seen.layers * 3 * seen.width;
  return siglip(&seen) + norms - keyless + matrices(seen.width, aligned, depth) + picture + codes * code +
         matrices(code, into, deep) + linear(token, into) + linear(into, codes);
}

/* MoonViT.  The language model's weights hold the frequencies of its positions too, for each layer. */
static uint64_t kimi_vl(const struct tower *t, uint64_t width) {
  struct json_object *text = json_get(t->config, "text_config");
  uint64_t stored = config_number(text, "num_hidden_layers", NULL) * config_number(text, "qk_rope_head_dim", NULL);
  uint64_t d = t->width, in = 4 * d;
  uint64_t places = more(t, "init_pos_emb_height", 64) * more(t, "init_pos_emb_width", 64);

  return patches(t, true) + places * d + t->layers * plain_layer(d, t->intermediate) + 2 * d + 2 * d + linear(in, in) +
         linear(in, width) + stored;
}

/* SigLIP for images up to 70 patches wide, and learned queries that look at them. */
static uint64_t minicpmv(const struct tower *t, uint64_t width) {
  uint64_t d = t->width, queries = or_else(config_number(t->config, "query_num", NULL), 64);
  struct tower seen = *t;

  seen.layers -= json_flag(t->config, "drop_vision_last_layer", true) && seen.layers;
  if (queries >= MAX_SIDE)
    return 0;
  return siglip(&seen) + queries * width + d * width + 4 * linear(width, width) + 6 * width + width * width;
}

/* Phi's towers are in its code: the configuration names them, or not even that. */
static uint64_t phi3_v(const struct tower *t, uint64_t width) {
  struct tower seen = *t;

  (void)name_tower("clip-vit-large-patch14-336", &seen);
  return clip(&seen, seen.layers) + 2 * 4 * seen.width + two_matrices(4 * seen.width, width);
}

static uint64_t phi4mm(const struct tower *t, uint64_t width) {
  struct tower seen = *t;

  (void)name_tower("siglip-so400m-patch14-448", &seen);
  return siglip(&seen) + attention_pool(&seen) + 2 * seen.width + two_matrices(seen.width, width);
}

/* CLIP without its last layer and last norm; of two of its layers, four patches are pooled by attention. */
static uint64_t molmo(const struct tower *t, uint64_t width) {
  uint64_t wide = config_number(t->config, "intermediate_size", NULL) / 2;
  struct tower seen = *t;

  (void)name_tower("clip-vit-large-patch14-336", &seen);
  uint64_t d = seen.width, two = 2 * d;
  return clip(&seen, seen.layers - 1) - 2 * d + 3 * linear(two, d) + linear(d, d) + 2 * two +
         (wide < MAX_SIDE ? 2 * d * wide + wide * width : 0);
}

uint64_t vision_count(struct json_object *config, const struct family *family, uint64_t width) {
  static const struct {
    const char *family;
    uint64_t (*count)(const struct tower *t, uint64_t width);
    bool own; /* the tower need not be in vision_config */
  } rules[] = {
      {"qwen2_vl", qwen2, false},
      {"qwen2_5_vl", qwen2_5, false},
      {"qwen2_5_omni", qwen2_5, false},
      {"qwen3_omni", qwen3, false},
      {"qwen3_vl", qwen3, false},
      {"qwen3_vl_moe", qwen3, false},
      {"qwen3_5", qwen3, false},
      {"qwen3_5_moe", qwen3, false},
      {"gemma3", gemma3, false},
      {"gemma3n", gemma3n, false},
      {"mllama", mllama, false},
      {"llama4", llama4, false},
      {"mistral3", mistral3, false},
      {"llava", llava, true},
      {"idefics3", idefics3, false},
      {"internvl", internvl, false},
      {"glm4v", glm4v, false},
      {"glm4v_moe", glm4v, false},
      {"deepseek_vl2", deepseek_vl2, false},
      {"deepseek_vl", deepseek_vl, false},
      {"janus", janus, true},
      {"kimi_vl", kimi_vl, false},
      {"minicpmv", minicpmv, false},
      {"minicpmo", minicpmv, false},
      {"phi3_v", phi3_v, true},
      {"phi4mm", phi4mm, true},
      {"molmo", molmo, true},
  };
  struct tower t;

  for (size_t i = 0; i < ARRAY_LEN(rules) && width && width < MAX_SIDE; i++)
    if (streq(family->name, rules[i].family) && read_tower(config, &t) && (rules[i].own || t.width))
      return rules[i].count(&t, width);
  return 0;
}
