/* Model facts as documents: for `ome inspect`, for a node's report, for a model's spec. */
#include "model/facts.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

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
  return strcasestr(f->quantization, "int4") ? "int4" : strcasestr(f->quantization, "fp8") ? "fp8" : "";
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
