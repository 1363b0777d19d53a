/* config.json of Hugging Face models: whose family it is, and what follows. */
#include "model/families.h"
#include "model/internal.h"
#include "model/packing.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

static void copy_text(char *out, size_t size, const char *text) {
  if (out[0] == '\0' && text)
    (void)snprintf(out, size, "%s", text);
}

/* What the parts of composed models leave out, because it is the default of their type. */
static const struct {
  const char *type, *key;
  int64_t value;
} omitted[] = {
    {"llama", "hidden_size", 4096},
    {"llama", "num_hidden_layers", 32},
    {"llama", "num_attention_heads", 32},
    {"llama", "intermediate_size", 11008},
    {"llama", "vocab_size", 32000},
    {"llama", "max_position_embeddings", 2048},
    {"qwen2", "hidden_size", 4096},
    {"qwen2", "num_hidden_layers", 32},
    {"qwen2", "num_attention_heads", 32},
    {"qwen2", "num_key_value_heads", 32},
    {"mistral", "hidden_size", 4096},
    {"mistral", "num_hidden_layers", 32},
    {"mistral", "num_attention_heads", 32},
    {"mistral", "num_key_value_heads", 8},
    {"mistral", "intermediate_size", 14336},
    {"mistral", "vocab_size", 32000},
    {"gemma3_text", "num_attention_heads", 8},
    {"gemma3_text", "num_key_value_heads", 4},
    {"gemma3_text", "head_dim", 256},
    {"gemma3_text", "vocab_size", 262208},
    {"gemma3_text", "max_position_embeddings", 131072},
};

/* The part that describes the language model, with what it leaves to the whole; new. */
static struct json_object *language_part(struct json_object *config) {
  static const char *const parts[] = {"text_config", "llm_config", "language_config", "thinker_config.text_config"};
  struct json_object *part = NULL;

  for (size_t i = 0; i < ARRAY_LEN(parts) && !json_is(part, json_type_object); i++)
    part = json_at(config, parts[i]);
  if (!json_is(part, json_type_object))
    return json_copy(config);
  struct json_object *text = json_copy(part);
  const char *type = json_str(text, "model_type", "");
  json_object_object_foreach (config, key, value) {
    if (!json_has(text, key) && !json_is(value, json_type_object))
      (void)json_put(text, key, json_copy(value));
  }
  if (*type == '\0' || streq(json_str(config, "model_type", ""), "gemma3"))
    type = streq(json_str(config, "model_type", ""), "gemma3") ? "gemma3_text" : type;
  for (size_t i = 0; i < ARRAY_LEN(omitted); i++)
    if (streq(type, omitted[i].type) && !json_get(text, omitted[i].key))
      (void)json_put(text, omitted[i].key, json_object_new_int64(omitted[i].value));
  return text;
}

/* ---- context ----------------------------------------------------------------------------------------------------- */

/* Where it is said how positions are stretched: newer configurations say it in another place, and of each kind of layer
 * where these differ. */
static struct json_object *rope_of(struct json_object *config, struct json_object *text) {
  static const char *const places[] = {"rope_scaling", "rope_parameters.full_attention", "rope_parameters"};

  for (size_t i = 0; i < ARRAY_LEN(places); i++)
    if (json_is(json_at(text, places[i]), json_type_object))
      return json_at(text, places[i]);
  return config == text ? NULL : json_get(config, "rope_scaling");
}

/* YaRN stretches the context that the model was first trained for; other kinds are in max_position_embeddings. */
static void read_context(struct json_object *config, struct json_object *text, const struct family *family,
                         struct model_facts *f) {
  struct json_object *rope = rope_of(config, text);
  const char *kind = json_str(rope, "rope_type", json_str(rope, "type", ""));
  struct json_object *v = json_get(rope, "factor");
  double factor = json_is(v, json_type_int) || json_is(v, json_type_double) ? json_object_get_double(v) : 0;
  uint64_t original = config_number(rope, "original_max_position_embeddings", NULL);

  f->context_length = family->context ? config_number(text, family->context, NULL) : 0;
  if (f->context_length == 0)
    f->context_length =
        config_number(text, "max_position_embeddings", "max_sequence_length", "max_seq_len", "seq_length",
                      "n_positions", "n_ctx", "max_target_positions", "model_max_length", NULL);
  if (original == 0)
    original = config_number(text, "original_max_position_embeddings", NULL);
  if (streq(kind, "yarn") && factor > 1 && factor < 4096) {
    uint64_t from = original ? original : f->context_length, to = (uint64_t)((double)from * factor);
    if (to > f->context_length)
      f->context_length = to;
  }
  if (original && original < f->context_length)
    f->native_context = original;
}

/* ---- caches ------------------------------------------------------------------------------------------------------ */

/* Families in which each so-manieth layer sees everything and the others have a window. */
static const struct {
  const char *family;
  uint64_t period;
} windowed[] = {
    {"gemma2", 2},  {"gpt_oss", 2}, {"gemma3", 6},  {"gemma3_text", 6}, {"gemma3n", 5},
    {"cohere2", 4}, {"olmo3", 4},   {"exaone4", 4}, {"exaone_moe", 4},
};

static uint64_t windowed_layers(struct json_object *text, const struct family *family, uint64_t layers) {
  size_t listed = config_layers_of_type(text, "sliding_attention");
  uint64_t period = config_number(text, "sliding_window_pattern", NULL);

  if (listed != SIZE_MAX)
    return listed;
  for (size_t i = 0; period == 0 && i < ARRAY_LEN(windowed); i++)
    if (streq(family->name, windowed[i].family))
      period = windowed[i].period;
  if (period)
    return layers - layers / period;
  return (family->traits & WINDOWED) || json_flag(text, "use_sliding_window", false) ? layers : 0;
}

static void read_windows(struct json_object *text, const struct family *family, struct model_facts *f) {
  uint64_t window = config_number(text, "sliding_window", NULL), keep = windowed_layers(text, family, f->layers);

  if (window == 0 || keep == 0 || (f->context_length && window >= f->context_length))
    return;
  f->sliding_layers = keep < f->layers ? keep : f->layers;
  f->sliding_window = window;
}

/* Layers of TEXT's layer_types that keep keys and values: every kind of attention but the linear one.  SIZE_MAX where
 * there is no such list. */
static size_t attending_layers(struct json_object *text) {
  struct json_object *list = json_get(text, "layer_types");
  size_t n = 0;

  if (!json_is(list, json_type_array))
    return SIZE_MAX;
  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *v = json_index(list, i);
    const char *kind = json_as_str(v, "");
    n += has_suffix(kind, "attention") && !streq(kind, "linear_attention");
  }
  return n;
}

/* Layers that keep keys and values, of a model in which not all do. */
static uint64_t cached_layers(struct json_object *text, const struct shape *s) {
  size_t full = attending_layers(text);
  uint64_t shared = config_number(text, "num_kv_shared_layers", NULL);

  if (s->family->traits & ENCODER)
    return 0;
  if (s->mixers || s->attentions < s->layers)
    return s->attentions;
  uint64_t n = full < s->layers ? full : s->layers, less = shared + json_len(json_get(text, "cross_attention_layers"));
  return less < n ? n - less : 0;
}

static void read_caches(struct json_object *text, const struct shape *s, struct model_facts *f) {
  uint64_t cached = cached_layers(text, s);

  f->uncached_layers = cached < f->layers ? f->layers - cached : 0;
  f->kv_heads_sum = s->kv_heads_sum;
  read_windows(text, s->family, f);
  if (__builtin_mul_overflow(s->mixers, s->mixer_state, &f->state_bytes))
    f->state_bytes = 0;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static void copy_shape(const struct shape *s, struct model_facts *f) {
  f->hidden = s->hidden;
  f->intermediate = s->intermediate;
  f->layers = s->layers;
  f->heads = s->heads;
  f->kv_heads = s->kv_heads;
  f->head_size = s->head_size;
  f->vocabulary = s->vocabulary;
  f->experts = s->experts;
  f->experts_per_token = s->experts_per_token;
  f->expert_intermediate = s->experts ? s->expert_intermediate : 0;
  f->shared_experts = s->shared_intermediate && s->expert_intermediate
                          ? (s->shared_intermediate + s->expert_intermediate - 1) / s->expert_intermediate
                          : 0;
  f->q_latent = s->q_latent;
  f->kv_latent = s->kv_latent;
  f->index_size = s->index_size;
  f->rope_head_size = s->rope_head_size;
  f->nope_head_size = s->nope_head_size;
  f->value_size = s->kv_latent ? s->value_size : 0;
  f->tied = s->tied;
}

/* Models for speech are there without it too: as it says, or as the thinker alone. */
static bool has_voice(struct json_object *config, const struct family *family, const char *type) {
  return (family->traits & SPEAKS) && json_flag(config, "enable_audio_output", true) &&
         json_flag(config, "init_tts", true) && !has_suffix(type, "_thinker");
}

/* Returns those of the parts that see, hear and speak. */
static uint64_t count_parameters(struct json_object *config, const struct family *whole, struct shape *s,
                                 struct model_facts *f) {
  uint64_t all = whole_count(config, whole, f->architecture);
  struct json_object *thinker = json_get(config, "thinker_config"), *senses = thinker ? thinker : config;
  uint64_t seen = f->vision ? vision_count(senses, whole, s->hidden) : 0;
  uint64_t heard = f->audio ? audio_count(senses, whole, s->hidden) : 0;
  bool speaks = has_voice(config, whole, f->type);
  struct voice voice = {0};

  if (speaks)
    voice_read(config, whole, s->hidden, &voice);
  if (all) {
    f->config_parameters = f->config_active = all;
    return 0;
  }
  f->estimated = ((whole->traits | s->family->traits) & ESTIMATE) || (f->vision && seen == 0) ||
                 (f->audio && heard == 0) || (speaks && voice.parameters == 0);
  s->extra += seen + heard + voice.parameters;
  s->idle = voice.idle;
  s->wide = voice.wide;
  if (!shape_count(s, &f->config_parameters, &f->config_active))
    f->config_parameters = f->config_active = 0;
  return seen + heard + voice.parameters;
}

static bool sees(struct json_object *config, const struct family *family, const char *type) {
  return json_is(json_get(config, "vision_config"), json_type_object) ||
         json_is(json_get(config, "img_processor"), json_type_object) ||
         ((family->traits & VISION) && !has_suffix(type, "_text"));
}

int32_t config_read(struct json_object *config, struct model_facts *f, struct ome_err *err) {
  struct packing_plan plan;
  struct shape s;

  if (!json_is(config, json_type_object))
    return fail(err, OME_E_CORRUPT, "model: config.json: is no object");
  _cleanup_json_ struct json_object *text = language_part(config);
  if (!text)
    return fail_memory(err);
  copy_text(f->type, sizeof(f->type), json_str(config, "model_type", ""));
  const struct family *whole = family_of(f->type), *family = family_of(json_str(text, "model_type", ""));
  if (streq(family->name, "unknown"))
    family = whole;
  struct json_object *first = json_index(json_get(config, "architectures"), 0);
  copy_text(f->family, sizeof(f->family), whole->name);
  copy_text(f->architecture, sizeof(f->architecture),
            json_is(first, json_type_string) ? json_object_get_string(first) : whole->architecture);
  shape_read(config, text, family, f->architecture, &s);
  s.headless = s.headless || f->embedding; /* what embeds leaves the output matrix out, whatever it calls itself */
  copy_shape(&s, f);
  copy_text(f->dtype, sizeof(f->dtype), json_str(text, "torch_dtype", json_str(text, "dtype", "")));
  f->vision = sees(config, whole, f->type);
  f->audio = (whole->traits & AUDIO) || json_is(json_get(config, "audio_config"), json_type_object);
  f->rerank = (family->traits & ENCODER) && strstr(f->architecture, "SequenceClassification");
  f->embedding = !f->rerank && (f->embedding || (family->traits & ENCODER) || (s.headless && !f->vision && !f->audio));
  read_context(config, text, family, f);
  read_caches(text, &s, f);
  quantization_read(config, f, &plan);
  uint64_t towers = count_parameters(config, whole, &s, f);
  f->config_bytes = packed_bytes(&plan, &s, text, f->config_parameters, towers);
  copy_text(f->framework, sizeof(f->framework), "transformers");
  copy_text(f->framework_version, sizeof(f->framework_version), json_str(text, "transformers_version", ""));
  return OME_OK;
}
