/* Parameters of the parts that hear, and of Whisper, which is little else. */
#include "model/counting.h"
#include "model/families.h"

#include "base/str.h"

/* Whisper's encoder: two convolutions over a spectrogram, learned positions, layers whose keys have no bias. */
static uint64_t whisper_encoder(struct json_object *c) {
  uint64_t d = config_number(c, "d_model", NULL), mel = or_else(config_number(c, "num_mel_bins", NULL), 80);
  uint64_t layers = config_number(c, "encoder_layers", NULL), f = config_number(c, "encoder_ffn_dim", NULL);
  uint64_t heard = or_else(config_number(c, "max_source_positions", NULL), 1500);

  if (!d || !f || d >= MAX_SIDE || f >= MAX_SIDE || mel >= MAX_SIDE || layers > MAX_STACK || heard > MAX_WORDS)
    return 0;
  return linear(mel * 3, d) + linear(d * 3, d) + heard * d + layers * (plain_layer(d, f) - d) + 2 * d;
}

uint64_t whisper_count(struct json_object *c) {
  uint64_t d = config_number(c, "d_model", NULL), ffn = config_number(c, "decoder_ffn_dim", NULL);
  uint64_t layers = config_number(c, "decoder_layers", NULL), words = config_number(c, "vocab_size", NULL);
  uint64_t said = or_else(config_number(c, "max_target_positions", NULL), 448), encoder = whisper_encoder(c);

  if (encoder == 0 || ffn == 0 || ffn >= MAX_SIDE || layers > MAX_STACK || words > MAX_WORDS || said > MAX_WORDS)
    return 0;
  uint64_t cross = 4 * d * d + 3 * d + 2 * d; /* attention to what was heard, and its norm */
  return encoder + (words + said) * d + layers * (plain_layer(d, ffn) - d + cross) + 2 * d;
}

static uint64_t qwen2_audio(struct json_object *config, uint64_t width) {
  struct json_object *audio = json_get(config, "audio_config");
  uint64_t n = whisper_encoder(audio);

  return n ? n + linear(config_number(audio, "d_model", NULL), width) : 0;
}

/* Whisper's layers over windows, with positions that are computed; a beginning and an end. */
static uint64_t qwen2_5_omni(struct json_object *config, uint64_t width) {
  struct json_object *c = json_get(config, "audio_config");
  uint64_t d = config_number(c, "d_model", NULL), out = or_else(config_number(c, "output_dim", NULL), width);
  uint64_t heard = or_else(config_number(c, "max_source_positions", NULL), 1500), n = whisper_encoder(c);

  return n && out < MAX_SIDE ? n - heard * d + 2 * out + linear(d, out) : 0;
}

/* Whisper's encoder, and two matrices into the language model. */
static uint64_t minicpmo(struct json_object *config, uint64_t width) {
  struct json_object *c = json_get(config, "audio_config");
  uint64_t n = whisper_encoder(c), in = config_number(c, "encoder_ffn_dim", NULL) / 4;

  return n ? n + linear(in, width) + linear(width, width) : 0;
}

/* Three convolutions that halve time and pitch, layers with all biases, and two matrices into the language model. */
static uint64_t qwen3_omni(struct json_object *config, uint64_t width) {
  struct json_object *c = json_get(config, "audio_config");
  uint64_t d = config_number(c, "d_model", NULL), f = config_number(c, "encoder_ffn_dim", NULL);
  uint64_t layers = config_number(c, "encoder_layers", NULL),
           out = or_else(config_number(c, "output_dim", NULL), width);
  uint64_t mel = or_else(config_number(c, "num_mel_bins", NULL), 128);
  uint64_t narrow = or_else(config_number(c, "downsample_hidden_size", NULL), 480), pitches = (mel + 7) / 8;
  const uint64_t sides[] = {d, f, out, mel, narrow};

  if (!d || !f || layers > MAX_STACK || !are_below(MAX_SIDE, sides, sizeof(sides) / sizeof(*sides)))
    return 0;
  return linear(9, narrow) + 2 * linear(9 * narrow, narrow) + narrow * pitches * d + layers * plain_layer(d, f) +
         2 * d + linear(d, d) + linear(d, out);
}

/* The universal speech model: convolutions, then conformers: two half MLPs, attention with relative positions, and a
 * convolution over time; tokens of its own behind them. */
static uint64_t gemma3n(struct json_object *config, uint64_t width) {
  struct json_object *c = json_get(config, "audio_config"), *sizes = json_get(c, "sscp_conv_channel_size");
  uint64_t d = or_else(config_number(c, "hidden_size", NULL), 1536),
           layers = config_number(c, "conf_num_hidden_layers", NULL);
  uint64_t kernel = or_else(config_number(c, "conf_conv_kernel_size", NULL), 5),
           heads = config_number(c, "conf_num_attention_heads", NULL);
  uint64_t mel = or_else(config_number(c, "input_feat_size", NULL), 128);
  uint64_t one = (uint64_t)json_object_get_int(json_index(sizes, 0)),
           two = (uint64_t)json_object_get_int(json_index(sizes, 1));
  uint64_t words = or_else(config_number(c, "vocab_size", NULL), 128);

  if (!c)
    return 0;
  layers = or_else(layers, 12);
  heads = or_else(heads, 8);
  one = one ? one : 128;
  two = two ? two : 32;
  if (d >= MAX_SIDE || layers > MAX_STACK || kernel > 256 || mel >= MAX_SIDE || one >= MAX_SIDE || two >= MAX_SIDE ||
      words >= MAX_SIDE)
    return 0;
  uint64_t half_mlp = 8 * d * d + 2 * d, attention = 5 * d * d + d / heads + 2 * d,
           convolution = 3 * d * d + (kernel + 2) * d;
  return one * 9 + one + two * one * 9 + two + mel / 4 * two * d +
         layers * (2 * half_mlp + attention + convolution + d) + words * d + 2 * d + d * width;
}

/* A conformer of 24 blocks, 1024 wide, and two ways into the language model: for speech, and for speech beside images.
 * The weights of the two adapters, for images and for speech, lie beside each matrix of the decoder. */
static uint64_t phi4mm(struct json_object *config, uint64_t width) {
  static const uint64_t d = 1024, half = 1536, blocks = 24, buckets = 1000, heads = 16, mel = 80;
  uint64_t in = linear(9, d) * 3 + 2 * linear(d, d) + linear(10 * d, d) + buckets * heads + 2 * mel;
  uint64_t mlp = 2 * d + linear(d, 2 * half) + linear(half, d);
  uint64_t convolution = 2 * d + 2 * d + linear(d, 2 * d) + linear(3, d) + 2 * linear(d, d);
  uint64_t rank = config_number(config, "vision_lora.r", NULL) + config_number(config, "speech_lora.r", NULL);
  uint64_t layers = config_number(config, "num_hidden_layers", NULL),
           wide = config_number(config, "intermediate_size", NULL);
  uint64_t q = config_number(config, "num_attention_heads", NULL),
           kv = config_number(config, "num_key_value_heads", NULL);

  if (rank >= MAX_SIDE || layers > MAX_STACK || wide >= MAX_SIDE || q == 0 || q > MAX_STACK || kv > q)
    return 0;
  uint64_t qkv = width + 2 * kv * (width / q);
  uint64_t adapters = rank * (width + qkv + 2 * width + width + 2 * wide + wide + width);
  return in + blocks * (2 * mlp + 4 * linear(d, d) + convolution + 4 * d) +
         2 * (linear(d, width) + linear(width, width)) + layers * adapters;
}

uint64_t audio_count(struct json_object *config, const struct family *family, uint64_t width) {
  static const struct {
    const char *family;
    uint64_t (*count)(struct json_object *config, uint64_t width);
  } rules[] = {{"qwen2_audio", qwen2_audio}, {"qwen2_5_omni", qwen2_5_omni},
               {"qwen3_omni", qwen3_omni},   {"gemma3n", gemma3n},
               {"phi4mm", phi4mm},           {"minicpmo", minicpmo}};

  for (size_t i = 0; i < ARRAY_LEN(rules) && width && width < MAX_SIDE; i++)
    if (streq(family->name, rules[i].family))
      return rules[i].count(config, width);
  return 0;
}
