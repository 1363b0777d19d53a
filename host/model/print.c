/* Model facts as documents: for `ome inspect`, for a node's report, for a model's spec. */
#include "model/facts.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static void put_text(struct json_object *o, const char *path, const char *text) {
  if (*text)
    (void)json_set_str(o, path, text);
}

static void put_number(struct json_object *o, const char *key, uint64_t n) {
  (void)json_put(o, key, json_object_new_uint64(n));
}

static struct json_object *words(const char *const *list, size_t n) {
  struct json_object *o = json_object_new_array();

  for (size_t i = 0; i < n; i++)
    (void)json_add_str(o, list[i]);
  return o;
}

static struct json_object *pair(const char *name, const char *version) {
  struct json_object *o = json_object_new_object();

  put_text(o, "name", name);
  put_text(o, "version", version);
  return o;
}

static struct json_object *adapter(const struct model_adapter *a) {
  struct json_object *o = json_object_new_object();

  (void)json_set_str(o, "type", a->type);
  (void)json_set_str(o, "baseModel", a->base);
  put_number(o, "rank", a->rank);
  put_number(o, "alpha", a->alpha);
  (void)json_set_str(o, "targetModules", a->targets);
  return o;
}

static struct json_object *components(const struct model_facts *f) {
  struct json_object *list = json_object_new_array();

  for (size_t i = 0; i < f->components.len; i++) {
    const struct model_component *c = &f->components.items[i];
    struct json_object *o = json_add_object(list);
    (void)json_set_str(o, "name", c->name);
    (void)json_set_str(o, "library", c->library);
    (void)json_set_str(o, "type", c->type);
    put_number(o, "parameterCount", c->parameters);
    put_number(o, "weightBytes", c->bytes);
  }
  return list;
}

static struct json_object *defaults(const struct model_facts *f) {
  struct json_object *o = json_object_new_object();

  for (size_t i = 0; i < f->ndefaults; i++) {
    char text[32]; /* as people write it: 0.6 has no exact double */
    (void)snprintf(text, sizeof(text), "%.10g", f->defaults[i].value);
    (void)json_put(o, f->defaults[i].name, json_object_new_double_s(f->defaults[i].value, text));
  }
  return o;
}

static void put_beside(struct json_object *o, const struct model_facts *f) {
  (void)json_set_str(o, "license", f->license);
  (void)json_set_bool(o, "tokenizer", f->tokenizer);
  (void)json_set_bool(o, "chatTemplate", f->chat_template);
  (void)json_set_bool(o, "generationConfig", f->generation_config);
  if (f->ndefaults)
    (void)json_put(o, "generationDefaults", defaults(f));
  if (f->adapter.type[0])
    (void)json_put(o, "adapter", adapter(&f->adapter));
  if (f->components.len)
    (void)json_put(o, "components", components(f));
}

/* Of the decoder, or the encoder where there is just that; what is not known is left out. */
static struct json_object *dimensions(const struct model_facts *f) {
  const struct {
    const char *key;
    uint64_t n;
  } numbers[] = {
      {"layers", f->layers},
      {"hiddenSize", f->hidden},
      {"intermediateSize", f->intermediate},
      {"attentionHeads", f->heads},
      {"kvHeads", f->kv_heads},
      {"headSize", f->head_size},
      {"vocabularySize", f->vocabulary},
      {"experts", f->experts},
      {"expertsPerToken", f->experts_per_token},
      {"sharedExperts", f->shared_experts},
      {"expertIntermediateSize", f->expert_intermediate},
      {"queryLatentSize", f->q_latent},
      {"kvLatentSize", f->kv_latent},
      {"indexSize", f->index_size},
      {"ropeHeadSize", f->rope_head_size},
      {"nopeHeadSize", f->nope_head_size},
      {"valueHeadSize", f->value_size},
      {"slidingWindow", f->sliding_window},
      {"slidingLayers", f->sliding_layers},
      {"uncachedLayers", f->uncached_layers},
      {"stateBytes", f->state_bytes},
      {"nativeContextLength", f->native_context},
  };
  struct json_object *o = json_object_new_object();

  for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
    if (numbers[i].n)
      put_number(o, numbers[i].key, numbers[i].n);
  (void)json_set_bool(o, "tiedEmbeddings", f->tied);
  (void)json_set_bool(o, "vision", f->vision);
  (void)json_set_bool(o, "audio", f->audio);
  return o;
}

struct json_object *model_facts_json(const struct model_facts *f) {
  struct json_object *o = json_object_new_object();
  struct json_object *warnings = json_object_new_array();
  char size[32];

  model_size_text(f->parameters, size);
  (void)json_set_str(o, "modelType", f->type);
  (void)json_set_str(o, "modelArchitecture", f->architecture);
  (void)json_set_str(o, "family", f->family);
  (void)json_put(o, "modelFormat", pair(f->format, f->format_version));
  (void)json_put(o, "modelFramework", pair(f->framework, f->framework_version));
  (void)json_set_str(o, "modelParameterSize", size);
  put_number(o, "parameterCount", f->parameters);
  put_number(o, "activeParameterCount", f->active_parameters);
  (void)json_set_str(o, "parameterCountSource", f->parameter_source);
  put_number(o, "contextLength", f->context_length);
  (void)json_set_str(o, "dtype", f->dtype);
  (void)json_set_str(o, "quantization", f->quantization);
  (void)json_put(o, "modelCapabilities", words(f->capabilities, f->ncapabilities));
  (void)json_put(o, "apiCapabilities", words(f->apis, f->napis));
  (void)json_put(o, "dimensions", dimensions(f));
  put_number(o, "weightBytes", f->weight_bytes);
  put_number(o, "kvBytesPerToken", model_kv_bytes(f));
  put_beside(o, f);
  for (size_t i = 0; i < f->warnings.len; i++)
    (void)json_add_str(warnings, f->warnings.items[i]);
  (void)json_put(o, "warnings", warnings);
  return o;
}

/* The two words of OME's vocabulary; other methods are left to people to state. */
static const char *spec_quantization(const struct model_facts *f) {
  return strcasestr(f->quantization, "int4") ? "int4" : strcasestr(f->quantization, "fp8") ? "fp8" : "";
}

/* spec.diffusionPipeline: five components have places of their own. */
static struct json_object *pipeline(const struct model_facts *f) {
  static const char *const places[][2] = {{"scheduler", "scheduler"}, {"text_encoder", "textEncoder"},
                                          {"tokenizer", "tokenizer"}, {"transformer", "transformer"},
                                          {"unet", "transformer"},    {"vae", "vae"}};
  struct json_object *o = json_object_new_object();

  (void)json_set_str(o, "className", f->architecture);
  for (size_t i = 0; i < f->components.len; i++) {
    const struct model_component *c = &f->components.items[i];
    struct json_object *part = json_object_new_object(), *to = o;
    const char *place = NULL;
    for (size_t k = 0; k < ARRAY_LEN(places); k++)
      place = strcasecmp(c->name, places[k][0]) == 0 ? places[k][1] : place;
    put_text(part, "library", c->library);
    put_text(part, "type", c->type);
    to = place ? o : json_ensure(o, "additionalComponents");
    (void)json_put(to, place ? place : c->name, part);
  }
  return o;
}

/* OME knows no format for PyTorch's archives and calls them safetensors; runtimes that load one load the other. */
static struct json_object *spec_format(const struct model_facts *f) {
  if (streq(f->format, "pytorch"))
    return pair("safetensors", "1.0.0");
  return pair(f->format, streq(f->format, "gguf") ? "" : f->format_version);
}

/* Names as a list, a pattern as the text that it is. */
static struct json_object *target_modules(const char *text) {
  struct json_object *list = json_object_new_array();

  if (strpbrk(text, "*+?^$|()[]{}\\")) {
    json_unref(list);
    return json_object_new_string(text);
  }
  for (const char *at = text; *at;) {
    size_t n = strcspn(at, ",");
    (void)json_add(list, json_object_new_string_len(at, (int)n));
    at += n + (at[n] == ',');
  }
  return list;
}

/* What a FineTunedWeight's spec.configuration gets, in the words of the PEFT library; what is not known is left out. */
static struct json_object *adapter_config(const struct model_facts *f) {
  const struct model_adapter *a = &f->adapter;
  struct json_object *o = json_object_new_object();
  const struct {
    const char *key;
    uint64_t n;
  } numbers[] = {{"r", a->rank},
                 {"lora_alpha", a->alpha},
                 {"parameter_count", f->parameters},
                 {"model_size_bytes", f->weight_bytes}};

  put_text(o, "peft_type", a->type);
  put_text(o, "base_model_name_or_path", a->base);
  if (a->targets[0])
    (void)json_put(o, "target_modules", target_modules(a->targets));
  for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
    if (numbers[i].n)
      put_number(o, numbers[i].key, numbers[i].n);
  return o;
}

/* Ours, after OME's: what settings for engines are computed from (host/select/facts.c).  Absent is not known. */
static void put_dimensions(struct json_object *o, const struct model_facts *f) {
  uint64_t experts = f->experts_per_token + f->shared_experts;
  uint64_t wide = experts * f->expert_intermediate;
  const struct {
    const char *key;
    uint64_t n;
  } dimensions[] = {
      {"num_layers", f->layers},      {"num_attention_heads", f->heads},
      {"num_kv_heads", f->kv_heads},  {"head_size", f->head_size},
      {"hidden_size", f->hidden},     {"intermediate_size", f->intermediate > wide ? f->intermediate : wide},
      {"vocab_size", f->vocabulary},  {"num_experts", f->experts},
      {"kv_lora_rank", f->kv_latent}, {"kv_bytes_per_token", model_kv_bytes(f)},
  };

  for (size_t i = 0; i < ARRAY_LEN(dimensions); i++)
    if (dimensions[i].n)
      put_number(o, dimensions[i].key, dimensions[i].n);
}

/* spec.modelConfiguration, keys in OME's order; new. */
static struct json_object *configuration(const struct model_facts *f) {
  struct json_object *o = json_object_new_object();
  char size[32];

  model_size_text(f->parameters, size);
  (void)json_set_str(o, "model_type", f->type);
  (void)json_set_str(o, "architecture", f->architecture);
  put_number(o, "context_length", f->context_length);
  (void)json_set_str(o, "parameter_count", size);
  (void)json_set_bool(o, "has_vision", f->vision);
  (void)json_set_bool(o, "is_embedding", f->embedding);
  (void)json_set_str(o, "transformers_version", f->framework_version);
  (void)json_set_str(o, "torch_dtype", f->dtype);
  put_number(o, "model_size_bytes", f->weight_bytes);
  put_dimensions(o, f);
  return o;
}

struct json_object *model_facts_config(const struct model_facts *f) {
  struct json_object *o = json_object_new_object();
  bool gguf = streq(f->format, "gguf");
  char size[32];

  model_size_text(f->parameters, size);
  put_text(o, "modelType", f->type);
  put_text(o, "modelArchitecture", f->architecture);
  if (f->parameters)
    put_text(o, "modelParameterSize", size);
  put_text(o, "quantization", spec_quantization(f));
  /* Runtimes for GGUF name neither a version nor a framework; one that is named here would have to match. */
  if (*f->framework && !gguf)
    (void)json_put(o, "modelFramework", pair(f->framework, f->framework_version));
  if (*f->format)
    (void)json_put(o, "modelFormat", spec_format(f));
  if (f->context_length && f->context_length <= INT32_MAX)
    put_number(o, "maxTokens", f->context_length);
  (void)json_put(o, "modelCapabilities", words(f->capabilities, f->ncapabilities));
  if (f->napis)
    (void)json_put(o, "apiCapabilities", words(f->apis, f->napis));
  if (f->components.len)
    (void)json_put(o, "diffusionPipeline", pipeline(f));
  if (f->adapter.type[0])
    (void)json_put(o, "adapter", adapter_config(f));
  (void)json_put(o, "decodedModelConfiguration", configuration(f));
  return o;
}
