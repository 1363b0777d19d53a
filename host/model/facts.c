#include "model/internal.h"

#include "base/str.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_CONFIG ((size_t)8 << 20)

void model_facts_fini(struct model_facts *f) {
  for (size_t i = 0; i < f->warnings.len; i++)
    free(f->warnings.items[i]);
  VEC_FREE(&f->warnings);
}

void facts_warn(struct model_facts *f, const char *fmt, ...) {
  char *text = NULL;
  va_list ap;

  va_start(ap, fmt);
  int n = vasprintf(&text, fmt, ap);
  va_end(ap);
  if (n < 0 || !VEC_PUSH(&f->warnings, text))
    free(n < 0 ? NULL : text);
}

/* ---- capabilities ------------------------------------------------------------------------------------------------ */

static bool has_word(const char *text, const char *word) {
  return strcasestr(text, word) != NULL;
}

/* OME's rules for what a model can do, as far as the families here go: the first that applies. */
static void find_capabilities(struct model_facts *f) {
  static const char *const speech[] = {"whisper", "wav2vec2", "hubert", "forctc", "forspeechtotext"};
  const char *capability = "TEXT_TO_TEXT";

  if (has_word(f->architecture, "embedding") || has_word(f->architecture, "sentence") || has_word(f->type, "bert") ||
      has_word(f->architecture, "mistralmodel"))
    f->embedding = true;
  if (f->embedding)
    capability = "EMBEDDING";
  for (size_t i = 0; i < ARRAY_LEN(speech); i++)
    if (has_word(f->architecture, speech[i]))
      capability = "AUDIO_TO_TEXT";
  if (f->vision)
    capability = "IMAGE_TEXT_TO_TEXT";
  f->capabilities[0] = capability;
  f->ncapabilities = 1;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* The folder of config.json: the root, the usual ones below, then the first anywhere.  NULL: there is none. */
static const struct model_file *find_config(const struct model_source *src) {
  static const char *const usual[] = {"config.json", "safetensors/config.json", "pytorch_model/config.json",
                                      "model/config.json"};

  for (size_t i = 0; i < ARRAY_LEN(usual); i++)
    if (source_find(src, usual[i]))
      return source_find(src, usual[i]);
  for (size_t i = 0; i < src->nfiles; i++)
    if (has_suffix(src->files[i].path, "/config.json"))
      return &src->files[i];
  return NULL;
}

static int32_t read_config(const struct model_source *src, const struct model_file *config, struct model_facts *f,
                           struct ome_err *err) {
  _cleanup_json_ struct json_object *doc = NULL;
  _cleanup_json_ struct json_object *sentence = NULL;
  size_t folder = strlen(config->path) - strlen("config.json");
  char path[1100];
  int32_t rc = source_json(src, config->path, MAX_CONFIG, &doc, err);

  if (rc == OME_OK)
    rc = config_read(doc, f, err);
  if (rc != OME_OK)
    return rc;
  (void)snprintf(path, sizeof(path), "%.*sconfig_sentence_transformers.json", (int)folder, config->path);
  if (source_json(src, path, MAX_CONFIG, &sentence, err) == OME_OK && sentence)
    f->embedding = *json_str(sentence, "similarity_fn_name", "") != '\0';
  err_clear(err);
  return OME_OK;
}

static int32_t read_weights(const struct model_source *src, const struct model_file *config, struct model_facts *f,
                            struct ome_err *err) {
  char folder[1024] = "";

  if (config)
    (void)snprintf(folder, sizeof(folder), "%.*s", (int)(strlen(config->path) - strlen("config.json")), config->path);
  int32_t rc = safetensors_read(src, folder, f, err);
  if (rc != OME_OK || f->format[0] != '\0')
    return rc;
  struct model_facts from_gguf = {.parameter_source = "unknown"};
  rc = gguf_read(src, &from_gguf, err);
  if (rc == OME_OK && from_gguf.format[0] != '\0') {
    model_facts_fini(f);
    *f = from_gguf;
  } else {
    model_facts_fini(&from_gguf);
  }
  return rc;
}

int32_t model_facts_read(const struct model_source *src, struct model_facts *out, struct ome_err *err) {
  struct model_facts f = {.parameter_source = "unknown"};
  const struct model_file *config = find_config(src);
  int32_t rc = config ? read_config(src, config, &f, err) : OME_OK;

  if (rc == OME_OK)
    rc = read_weights(src, config, &f, err);
  if (rc == OME_OK && !config && f.format[0] == '\0')
    rc = fail(err, OME_E_NOT_FOUND, "model: no config.json, safetensors or GGUF file says what it is");
  if (rc != OME_OK) {
    model_facts_fini(&f);
    return rc;
  }
  if (f.parameters == 0 && (f.parameters = config_parameters(&f)) != 0) {
    f.parameter_source = "config";
    facts_warn(&f, "the number of parameters is worked out from config.json");
  }
  if (f.format[0] == '\0')
    facts_warn(&f, "there are no safetensors or GGUF weights");
  f.active_parameters = f.parameters;
  find_capabilities(&f);
  *out = f;
  return OME_OK;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

uint64_t model_kv_bytes(const struct model_facts *f) {
  uint64_t n = 0;

  if (__builtin_mul_overflow(f->layers, f->kv_heads, &n) || __builtin_mul_overflow(n, f->head_size, &n) ||
      __builtin_mul_overflow(n, (uint64_t)4, &n))
    return 0;
  return n; /* a key and a value, two bytes each */
}

static void put_text(struct json_object *o, const char *path, const char *text) {
  if (*text)
    (void)json_set_str(o, path, text);
}

static void put_number(struct json_object *o, const char *key, uint64_t n) {
  (void)json_object_object_add(o, key, json_object_new_uint64(n));
}

static struct json_object *capabilities(const struct model_facts *f) {
  struct json_object *list = json_object_new_array();

  for (size_t i = 0; i < f->ncapabilities; i++)
    (void)json_object_array_add(list, json_object_new_string(f->capabilities[i]));
  return list;
}

static struct json_object *pair(const char *name, const char *version) {
  struct json_object *o = json_object_new_object();

  put_text(o, "name", name);
  put_text(o, "version", version);
  return o;
}

struct json_object *model_facts_json(const struct model_facts *f) {
  struct json_object *o = json_object_new_object();
  struct json_object *warnings = json_object_new_array();
  char size[32];

  model_size_text(f->parameters, size);
  (void)json_set_str(o, "modelType", f->type);
  (void)json_set_str(o, "modelArchitecture", f->architecture);
  (void)json_object_object_add(o, "modelFormat", pair(f->format, f->format_version));
  (void)json_object_object_add(o, "modelFramework", pair(f->framework, f->framework_version));
  (void)json_set_str(o, "modelParameterSize", size);
  put_number(o, "parameterCount", f->parameters);
  put_number(o, "activeParameterCount", f->active_parameters);
  (void)json_set_str(o, "parameterCountSource", f->parameter_source);
  put_number(o, "contextLength", f->context_length);
  (void)json_set_str(o, "dtype", f->dtype);
  (void)json_set_str(o, "quantization", f->quantization);
  (void)json_object_object_add(o, "modelCapabilities", capabilities(f));
  put_number(o, "weightBytes", f->weight_bytes);
  put_number(o, "kvBytesPerToken", model_kv_bytes(f));
  for (size_t i = 0; i < f->warnings.len; i++)
    (void)json_object_array_add(warnings, json_object_new_string(f->warnings.items[i]));
  (void)json_object_object_add(o, "warnings", warnings);
  return o;
}

/* The two words of OME's vocabulary; other methods are left to people to state. */
static const char *spec_quantization(const struct model_facts *f) {
  return has_word(f->quantization, "int4") ? "int4" : has_word(f->quantization, "fp8") ? "fp8" : "";
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
    (void)json_object_object_add(o, "modelFramework", pair(f->framework, f->framework_version));
  if (*f->format)
    (void)json_object_object_add(o, "modelFormat", pair(f->format, gguf ? "" : f->format_version));
  if (f->context_length && f->context_length <= INT32_MAX)
    put_number(o, "maxTokens", f->context_length);
  (void)json_object_object_add(o, "modelCapabilities", capabilities(f));
  (void)json_object_object_add(o, "decodedModelConfiguration", model_facts_configuration(f));
  return o;
}

struct json_object *model_facts_configuration(const struct model_facts *f) {
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
  return o;
}
