/* Parameters of the parts that speak: a decoder that writes codes of sound, and what makes waves of them.  What is not
 * said is as in the first models that had them. */
#include "model/counting.h"
#include "model/families.h"

#include "base/str.h"

#define MAX_KERNEL 256u
#define MAX_EXPERTS (1u << 14)
#define MAX_LEVELS 16u

/* A stack of decoder layers with a norm behind it; matrices without biases but for those of queries, keys, values. */
struct stack {
  uint64_t width, layers, heads, kv_heads, head_size, intermediate;
  uint64_t each; /* what a layer has beside */
  bool qkv_bias;
};

static bool read_stack(struct json_object *c, struct stack *s) {
  *s = (struct stack){.width = config_number(c, "hidden_size", NULL),
                      .layers = config_number(c, "num_hidden_layers", NULL),
                      .heads = config_number(c, "num_attention_heads", NULL),
                      .intermediate = config_number(c, "intermediate_size", NULL)};
  s->kv_heads = or_else(config_number(c, "num_key_value_heads", NULL), s->heads);
  s->head_size = or_else(config_number(c, "head_dim", NULL), s->heads ? s->width / s->heads : 0);
  const uint64_t sides[] = {s->width, s->intermediate, s->heads, s->kv_heads, s->head_size};
  return s->width && s->heads && s->layers <= MAX_STACK && are_below(MAX_SIDE, sides, ARRAY_LEN(sides)) &&
         s->heads * s->head_size < MAX_SIDE && s->kv_heads * s->head_size < MAX_SIDE;
}

static uint64_t stack(const struct stack *s) {
  uint64_t q = s->heads * s->head_size, kv = s->kv_heads * s->head_size;
  uint64_t attention = 2 * s->width * (q + kv) + (s->qkv_bias ? q + 2 * kv : 0);

  return s->layers * (attention + 3 * s->width * s->intermediate + 2 * s->width + s->each) + s->width;
}

static uint64_t convolution(uint64_t in, uint64_t out, uint64_t kernel) {
  return linear(in * kernel, out);
}

/* Activations that learn a frequency and a size for each channel. */
static uint64_t snake(uint64_t channels) {
  return 2 * channels;
}

/* A list of numbers from 1 to below BOUND; where there is none, the usual ones. */
struct numbers {
  uint64_t list[MAX_LEVELS];
  size_t n;
};

static bool read_numbers(struct json_object *c, const char *key, uint64_t bound, const struct numbers *usual,
                         struct numbers *out) {
  struct json_object *list = json_get(c, key);

  *out = *usual;
  if (!list)
    return true;
  out->n = json_len(list);
  if (out->n == 0 || out->n > MAX_LEVELS)
    return false;
  for (size_t i = 0; i < out->n; i++) {
    int64_t n = json_object_get_int64(json_index(list, i));
    if (n < 1 || (uint64_t)n >= bound)
      return false;
    out->list[i] = (uint64_t)n;
  }
  return true;
}

/* ---- Qwen2.5-Omni: a talker, a diffusion transformer from codes to a spectrogram, BigVGAN from that to a wave
 * -------- */

static uint64_t talker(struct json_object *c) {
  uint64_t words = or_else(config_number(c, "vocab_size", NULL), 8448);
  uint64_t hears = config_number(c, "embedding_size", NULL);
  struct stack s;

  if (!read_stack(c, &s) || hears == 0 || hears >= MAX_SIDE || words >= MAX_WORDS)
    return 0;
  s.qkv_bias = true;
  return linear(hears, s.width) + words * hears + stack(&s) + words * s.width;
}

/* What knows a voice again (ECAPA-TDNN): convolutions with short cuts and gates, all layers together, two moments. */
static uint64_t speaker(struct json_object *c, uint64_t mel, uint64_t out) {
  static const struct numbers usual_channels = {{256, 256, 256, 256, 768}, 5}, usual_kernels = {{5, 3, 3, 3, 1}, 5};
  uint64_t scale = or_else(config_number(c, "enc_res2net_scale", NULL), 2);
  uint64_t gate = or_else(config_number(c, "enc_se_channels", NULL), 64);
  uint64_t attention = or_else(config_number(c, "enc_attention_channels", NULL), 64), together = 0;
  struct numbers channels, kernels;

  if (!read_numbers(c, "enc_channels", MAX_SIDE, &usual_channels, &channels) ||
      !read_numbers(c, "enc_kernel_sizes", MAX_KERNEL, &usual_kernels, &kernels) || channels.n < 2 ||
      channels.n != kernels.n || scale > 64 || gate >= MAX_SIDE || attention >= MAX_SIDE)
    return 0;
  uint64_t last = channels.list[channels.n - 1], n = convolution(mel, channels.list[0], kernels.list[0]);
  for (size_t i = 1; i + 1 < channels.n; i++) {
    uint64_t w = channels.list[i], part = w / scale;
    n += linear(channels.list[i - 1], w) + (scale - 1) * convolution(part, part, kernels.list[i]) + linear(w, w) +
         linear(w, gate) + linear(gate, w);
    together += w;
  }
  return n + convolution(together, last, kernels.list[channels.n - 1]) + linear(3 * last, attention) +
         linear(attention, last) + linear(2 * last, out);
}

static uint64_t diffusion(struct json_object *c) {
  static const uint64_t times = 256; /* numbers that stand for a step */
  uint64_t d = or_else(config_number(c, "hidden_size", "dim", NULL), 1024);
  uint64_t layers = or_else(config_number(c, "num_hidden_layers", "depth", NULL), 22);
  uint64_t heads = or_else(config_number(c, "num_attention_heads", "heads", NULL), 16);
  uint64_t size = or_else(config_number(c, "head_dim", NULL), 64), all = heads * size;
  uint64_t wide = or_else(config_number(c, "ff_mult", NULL), 2) * d,
           mel = or_else(config_number(c, "mel_dim", NULL), 80);
  uint64_t codes = or_else(config_number(c, "num_embeds", NULL), 8193);
  uint64_t code = or_else(config_number(c, "emb_dim", NULL), 512);
  uint64_t known = or_else(config_number(c, "enc_dim", NULL), 128);
  uint64_t given = or_else(config_number(c, "enc_emb_dim", NULL), 192), voice = 0;
  const uint64_t sides[] = {d, heads, size, all, wide, mel, code, known, given};

  if (!are_below(MAX_SIDE, sides, ARRAY_LEN(sides)) || layers > MAX_STACK || codes >= MAX_WORDS)
    return 0;
  voice = speaker(c, mel, known);
  uint64_t layer = linear(d, 6 * d) + 3 * linear(d, all) + linear(all, d) + linear(d, wide) + linear(wide, d);
  return voice ? voice + linear(times, d) + linear(d, d) + (codes + 1) * code + linear(mel + known + given + code, d) +
                     layers * layer + linear(d, 2 * d) + linear(d, mel) + size / 2 /* frequencies, which are stored */
               : 0;
}

static uint64_t bigvgan(struct json_object *c) {
  static const struct numbers usual_rates = {{11, 7, 4, 4, 4, 4}, 6}, usual_kernels = {{3, 7, 11}, 3};
  uint64_t mel = or_else(config_number(c, "mel_dim", NULL), 80);
  uint64_t width = or_else(config_number(c, "upsample_initial_channel", NULL), 1536);
  size_t dilations = json_len(json_index(json_get(c, "resblock_dilation_sizes"), 0));
  struct numbers rates, kernels;

  if (!read_numbers(c, "upsample_kernel_sizes", MAX_KERNEL, &usual_rates, &rates) ||
      !read_numbers(c, "resblock_kernel_sizes", MAX_KERNEL, &usual_kernels, &kernels) || mel >= MAX_SIDE ||
      width >= MAX_SIDE || width >> rates.n == 0 || dilations > MAX_LEVELS)
    return 0;
  uint64_t n = convolution(mel, width, 7), pairs = dilations ? dilations : 3;
  for (size_t i = 0; i < rates.n; i++, width /= 2) {
    uint64_t next = width / 2;
    n += convolution(width, next, rates.list[i]);
    for (size_t k = 0; k < kernels.n; k++)
      n += 2 * pairs * (convolution(next, next, kernels.list[k]) + snake(next));
  }
  return n + snake(width) + 7 * width;
}

/* What makes sound is kept in 32 bits, whatever the rest is in. */
static uint64_t qwen2_5_omni(struct json_object *config, UNUSED uint64_t width, struct voice *v) {
  struct json_object *wave = json_get(config, "token2wav_config");
  uint64_t says = talker(json_get(config, "talker_config")), mel = diffusion(json_get(wave, "dit_config"));
  uint64_t sound = bigvgan(json_get(wave, "bigvgan_config"));

  v->wide = mel + sound;
  return wave && says && mel && sound ? says + mel + sound : 0;
}

/* ---- Qwen3-Omni: a talker with experts, a predictor of the finer codes, a decoder of convolutions ---------------- */

static uint64_t experts_talker(struct json_object *c, uint64_t width, uint64_t *idle) {
  struct json_object *text = json_get(c, "text_config");
  uint64_t experts = config_number(text, "num_experts", "num_local_experts", NULL);
  uint64_t used = config_number(text, "num_experts_per_tok", NULL), words = config_number(text, "vocab_size", NULL);
  uint64_t narrow = config_number(text, "moe_intermediate_size", NULL);
  uint64_t shared = config_number(text, "shared_expert_intermediate_size", NULL);
  uint64_t hears = or_else(config_number(c, "thinker_hidden_size", NULL), width);
  struct stack s;

  if (!read_stack(text, &s) || experts == 0 || experts >= MAX_EXPERTS || used > experts || narrow >= MAX_SIDE ||
      shared >= MAX_SIDE || hears >= MAX_SIDE || words >= MAX_WORDS)
    return 0;
  uint64_t through = s.intermediate, expert = 3 * s.width * narrow;
  s.intermediate = 0;
  s.each = 2 * s.head_size + experts * (s.width + expert) + 3 * s.width * shared + s.width;
  *idle = s.layers * (experts - used) * expert;
  return stack(&s) + 2 * words * s.width + 2 * (linear(hears, through) + linear(through, s.width));
}

/* A table of codes and an output matrix for each group of codes but the first. */
static uint64_t predictor(struct json_object *c) {
  uint64_t groups = or_else(config_number(c, "num_code_groups", NULL), 16);
  uint64_t words = or_else(config_number(c, "vocab_size", NULL), 2048);
  struct stack s;

  if (!read_stack(c, &s) || groups > MAX_KERNEL || words >= MAX_WORDS)
    return 0;
  s.each = 2 * s.head_size;
  return stack(&s) + 2 * (groups - 1) * words * s.width;
}

static uint64_t upsampling(uint64_t width, const struct numbers *ratios) {
  uint64_t n = 0;

  for (size_t i = 0; i < ratios->n; i++)
    n += convolution(width, width, ratios->list[i]) + 8 * width + 3 * width + linear(width, 4 * width) +
         linear(4 * width, width);
  return n;
}

static uint64_t waves(uint64_t in, uint64_t width, const struct numbers *rates) {
  uint64_t n = convolution(in, width, 7);

  for (size_t i = 0; i < rates->n; i++, width /= 2) {
    uint64_t next = width / 2;
    n += snake(width) + convolution(width, next, 2 * rates->list[i]) +
         3 * (2 * snake(next) + convolution(next, next, 7) + linear(next, next));
  }
  return n + snake(width) + convolution(width, 1, 7);
}

static uint64_t code_to_wave(struct json_object *c) {
  static const struct numbers usual_rates = {{8, 5, 4, 3}, 4}, usual_ratios = {{2, 2}, 2};
  uint64_t book = or_else(config_number(c, "codebook_size", NULL), 2048);
  uint64_t books = or_else(config_number(c, "num_quantizers", NULL), 16);
  uint64_t width = or_else(config_number(c, "decoder_dim", NULL), 1536);
  struct numbers rates, ratios;
  struct stack s;

  if (!read_stack(c, &s) || !read_numbers(c, "upsample_rates", MAX_KERNEL, &usual_rates, &rates) ||
      !read_numbers(c, "upsampling_ratios", MAX_KERNEL, &usual_ratios, &ratios) || book >= MAX_WORDS ||
      books > MAX_KERNEL || width >= MAX_SIDE || width >> rates.n == 0)
    return 0;
  s.each = 2 * s.width; /* a scale behind attention and MLP */
  return stack(&s) + book * books * s.width + upsampling(s.width, &ratios) + waves(s.width, width, &rates);
}

static uint64_t qwen3_omni(struct json_object *config, uint64_t width, struct voice *v) {
  struct json_object *c = json_get(config, "talker_config");
  uint64_t says = experts_talker(c, width, &v->idle), finer = predictor(json_get(c, "code_predictor_config"));
  uint64_t sound = code_to_wave(json_get(config, "code2wav_config"));

  return says && finer && sound ? says + finer + sound : 0;
}

/* ---- MiniCPM-o: ChatTTS under the language model ----------------------------------------------------------------- */

/* ChatTTS codes sound by a variational autoencoder that always has these sizes. */
static uint64_t autoencoder(uint64_t mel) {
  static const uint64_t fine = 512, coarse = 1024, narrow = 128, width = 256, layers = 12, groups = 2, levels = 4;
  uint64_t layer = 8 * width + 2 * width + linear(width, 4 * width) + linear(4 * width, width) + width;
  uint64_t half = convolution(fine, narrow, 3) + convolution(narrow, width, 3) + layers * layer;
  uint64_t group = coarse / groups;

  return mel + convolution(mel, fine, 3) + convolution(fine, fine, 4) + 2 * half + width * coarse + width * fine +
         3 * fine * mel + groups * (linear(group, levels) + linear(levels, group));
}

static uint64_t minicpmo(struct json_object *config, uint64_t width, UNUSED struct voice *v) {
  static const uint64_t llama_words = 32000; /* a table that is there and not used */
  struct json_object *c = json_get(config, "tts_config");
  uint64_t d = or_else(config_number(c, "hidden_size", NULL), 768),
           hears = or_else(config_number(c, "llm_dim", NULL), width);
  uint64_t codes = or_else(config_number(c, "num_audio_tokens", NULL), 626);
  uint64_t words = or_else(config_number(c, "num_text_tokens", NULL), 21178);
  uint64_t groups = or_else(config_number(c, "num_vq", NULL), 4),
           mel = or_else(config_number(c, "num_mel_bins", NULL), 100);
  const uint64_t heads = or_else(config_number(c, "num_attention_heads", NULL), 12);
  const struct stack s = {.width = d,
                          .layers = or_else(config_number(c, "num_hidden_layers", NULL), 20),
                          .heads = heads,
                          .kv_heads = heads,
                          .head_size = d / heads,
                          .intermediate = or_else(config_number(c, "intermediate_size", NULL), 3072)};
  const uint64_t sides[] = {d, hears, codes, mel, s.heads, s.intermediate};

  if (!c || !are_below(MAX_SIDE, sides, ARRAY_LEN(sides)) || s.layers > MAX_STACK || groups > MAX_KERNEL ||
      words >= MAX_WORDS)
    return 0;
  uint64_t into = json_flag(c, "use_mlp", true) ? linear(hears, d) + linear(d, d) : hears * d;
  uint64_t codebooks = groups * (2 * codes * d + codes); /* tables, and matrices with a length for each row */
  return into + codebooks + (words + llama_words) * d + stack(&s) + autoencoder(mel);
}

void voice_read(struct json_object *config, const struct family *family, uint64_t width, struct voice *out) {
  static const struct {
    const char *family;
    uint64_t (*count)(struct json_object *config, uint64_t width, struct voice *v);
  } rules[] = {{"qwen2_5_omni", qwen2_5_omni}, {"qwen3_omni", qwen3_omni}, {"minicpmo", minicpmo}};
  struct voice v = {0};

  for (size_t i = 0; i < ARRAY_LEN(rules) && width && width < MAX_SIDE; i++)
    if (streq(family->name, rules[i].family))
      v.parameters = rules[i].count(config, width, &v);
  *out = v.parameters ? v : (struct voice){0};
}
