#include "select/facts.h"

#include "base/str.h"
#include "select/accelerator.h"
#include "select/inherit.h"
#include "select/size.h"
#include "select/wish.h"

#include <stdio.h>
#include <string.h>

/* A NULL-terminated array of the strings of ARRAY, borrowed; new. */
static const char **strings_of(struct json_object *array) {
  size_t n = json_len(array);
  const char **out = calloc(n + 1, sizeof(*out));
  size_t k = 0;

  for (size_t i = 0; out && i < n; i++) {
    struct json_object *v = json_index(array, i);
    if (json_is(v, json_type_string))
      out[k++] = json_object_get_string(v);
  }
  return out;
}

/* "fp16" and its like name the precision of weights that are not quantized at all. */
static const char *quantization_of(struct json_object *o) {
  static const char *const plain[] = {"none", "fp32", "float32", "fp16", "float16", "bf16", "bfloat16"};
  const char *q = json_str(o, "quantization", "");

  for (size_t i = 0; i < ARRAY_LEN(plain); i++)
    if (streq(q, plain[i]))
      return "";
  return q;
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

/* A Hub repository whose architecture is known from a config.json holds a Transformers checkpoint, which the Hub
 * stores as safetensors; a repository of GGUF files says so in its name.  Good enough to plan with until the agent has
 * read the files. */
static void assume_format(struct select_model *m) {
  const char *uri = json_str(m->doc, "spec.storage.storageUri", "");

  if (*m->facts.format || !*m->facts.architecture || !has_prefix(uri, "hf://"))
    return;
  bool gguf = strstr(uri, "GGUF") || strstr(uri, "gguf");
  m->facts.format = gguf ? "gguf" : "safetensors";
  m->assumed = gguf ? "format gguf is assumed from the name of the repository until its files are read"
                    : "format safetensors is assumed of a Hub checkpoint until its files are read";
}

/* Bits of a weight by the name of its quantization, scales included; 16 where there is none. */
static double weight_bits(const char *quantization) {
  static const struct {
    const char *name;
    double bits;
  } known[] = {{"fp8", 8}, {"fbgemm_fp8", 8}, {"int8", 8}, {"int4", 4.5}, {"mxfp4", 4.25}, {"nvfp4", 4.5}};

  for (size_t i = 0; i < ARRAY_LEN(known); i++)
    if (streq(quantization, known[i].name))
      return known[i].bits;
  return 16;
}

static uint64_t number_at(struct json_object *o, const char *key) {
  int64_t n = json_i64(o, key, 0);

  return n > 0 ? (uint64_t)n : 0;
}

static uint32_t small_at(struct json_object *o, const char *key) {
  uint64_t n = number_at(o, key);

  return n <= UINT32_MAX ? (uint32_t)n : 0;
}

/* What the agent found in the model's files (model_facts_config()), as far as it has read them. */
static void read_configuration(struct select_model *m) {
  struct json_object *c = json_at(m->doc, "spec.modelConfiguration");
  struct ome_model_facts *f = &m->facts;

  f->weight_bytes = number_at(c, "model_size_bytes");
  f->kv_bytes_per_token = number_at(c, "kv_bytes_per_token");
  f->layers = small_at(c, "num_layers");
  f->heads = small_at(c, "num_attention_heads");
  f->kv_heads = small_at(c, "num_kv_heads");
  f->head_size = small_at(c, "head_size");
  f->vocabulary = number_at(c, "vocab_size");
  f->experts = small_at(c, "num_experts");
  f->kv_latent = small_at(c, "kv_lora_rank");
  f->hidden = number_at(c, "hidden_size");
  f->intermediate = number_at(c, "intermediate_size");
  if (!*f->dtype)
    f->dtype = json_str(c, "torch_dtype", "");
  if (f->context_length == 0)
    f->context_length = number_at(c, "context_length");
}

/* Weights that nobody has measured yet, by parameters and precision. */
static void estimate_weights(struct ome_model_facts *f) {
  if (f->weight_bytes == 0 && f->parameters < UINT64_MAX / 64)
    f->weight_bytes = (uint64_t)((double)f->parameters * weight_bits(f->quantization) / 8);
}

static void check_model(struct select_model *m) {
  const char *size = json_str(m->doc, "spec.modelParameterSize", "");

  if (!m->doc)
    return;
  if (*size && !size_parse(size, &m->facts.parameters))
    (void)snprintf(m->problem, sizeof(m->problem),
                   "invalid model specification: modelParameterSize: \"%.32s\" is no size; write 7B, 500M or 1.5T",
                   size);
  else if (!*m->facts.format) {
    m->unread = true;
    (void)snprintf(m->problem, sizeof(m->problem),
                   "invalid model specification: modelFormat.name: model format name is required; the agent fills it "
                   "in when it has read the files of model %.64s",
                   m->facts.name);
  }
}

int32_t select_model_init(struct select_model *m, struct json_object *doc, struct ome_err *err) {
  struct json_object *spec = json_get(doc, "spec");

  memset(m, 0, sizeof(*m));
  m->doc = doc;
  m->quantization = json_str(spec, "quantization", "");
  m->capabilities = strings_of(json_get(spec, "modelCapabilities"));
  if (!m->capabilities)
    return fail_memory(err);
  int32_t rc = select_pipeline_init(&m->pipeline, json_get(spec, "diffusionPipeline"), err);
  if (rc != OME_OK) {
    select_model_fini(m);
    return rc;
  }
  int64_t context = json_i64(spec, "maxTokens", 0);
  m->facts = (struct ome_model_facts){
      .struct_size = sizeof(m->facts),
      .name = json_str(doc, "metadata.name", ""),
      .type = json_str(spec, "modelType", ""),
      .architecture = json_str(spec, "modelArchitecture", ""),
      .format = json_str(spec, "modelFormat.name", ""),
      .format_version = json_str(spec, "modelFormat.version", ""),
      .framework = json_str(spec, "modelFramework.name", ""),
      .framework_version = json_str(spec, "modelFramework.version", ""),
      .quantization = quantization_of(spec),
      .dtype = json_str(spec, "dtype", ""),
      .capabilities = m->capabilities,
      .context_length = context > 0 ? (uint64_t)context : 0,
      .pipeline = m->pipeline.parts,
  };
  read_configuration(m);
  assume_format(m);
  check_model(m);
  estimate_weights(&m->facts);
  return OME_OK;
}

void select_model_fini(struct select_model *m) {
  free(m->capabilities);
  select_pipeline_fini(&m->pipeline);
  memset(m, 0, sizeof(*m));
}

/* ---- runtimes ---------------------------------------------------------------------------------------------------- */

/* One end of a size range; absent is open. */
static void read_bound(struct json_object *range, const char *end, uint64_t *out, char *problem, size_t cap) {
  const char *text = json_str(range, end, "");

  if (*text && !size_parse(text, out) && !*problem)
    (void)snprintf(problem, cap, "modelSizeRange.%s \"%.32s\" is no size; write 7B, 500M or 1.5T", end, text);
}

/* An entry's own range (the announcement's form) goes before the runtime's. */
static void read_range(struct select_entry *e, struct json_object *runtime_spec) {
  struct json_object *range = json_get(e->doc, "modelSizeRange");

  if (!range)
    range = json_get(runtime_spec, "modelSizeRange");
  read_bound(range, "min", &e->size_min, e->problem, sizeof(e->problem));
  read_bound(range, "max", &e->size_max, e->problem, sizeof(e->problem));
  if (e->size_max && e->size_min > e->size_max && !*e->problem)
    (void)snprintf(e->problem, sizeof(e->problem), "modelSizeRange.min %.32s is above max %.32s",
                   json_str(range, "min", ""), json_str(range, "max", ""));
}

/* Weights and priorities are bounded so that no sum or product of them overflows. */
static int64_t bounded(struct json_object *o, const char *path, int64_t limit) {
  int64_t v = json_i64(o, path, 1);

  return v > limit ? limit : v < -limit ? -limit : v;
}

static int32_t read_entry(struct select_entry *e, struct json_object *doc, struct json_object *runtime_spec,
                          struct ome_err *err) {
  struct json_object *automatic = json_get(doc, "autoSelect");
  struct json_object *priority = json_get(doc, "priority");

  e->doc = doc;
  e->quantization = json_str(doc, "quantization", "");
  if (json_is(automatic, json_type_boolean))
    e->auto_select = json_object_get_boolean(automatic) ? ENTRY_AUTO_TRUE : ENTRY_AUTO_FALSE;
  e->facts = (struct ome_supported_format){
      .struct_size = sizeof(e->facts),
      .flags =
          (e->auto_select == ENTRY_AUTO_TRUE ? OME_FORMAT_AUTO_SELECT : 0u) | (priority ? OME_FORMAT_HAS_PRIORITY : 0u),
      .format = json_str(doc, "modelFormat.name", ""),
      .format_version = json_str(doc, "modelFormat.version", ""),
      .format_operator = json_str(doc, "modelFormat.operator", "Equal"),
      .format_weight = bounded(doc, "modelFormat.weight", INT32_MAX),
      .framework = json_str(doc, "modelFramework.name", ""),
      .framework_version = json_str(doc, "modelFramework.version", ""),
      .framework_operator = json_str(doc, "modelFramework.operator", "Equal"),
      .framework_weight = bounded(doc, "modelFramework.weight", INT32_MAX),
      .architecture = json_str(doc, "modelArchitecture", ""),
      .quantization = quantization_of(doc),
      .priority = bounded(doc, "priority", 1000000),
  };
  read_range(e, runtime_spec);
  int32_t rc = select_pipeline_init(&e->pipeline, json_get(doc, "diffusionPipeline"), err);
  e->facts.pipeline = e->pipeline.parts;
  return rc;
}

/* What it inherits, if anything; a chain that cannot be followed is a problem of the runtime, not of those who ask. */
static int32_t read_heritage(struct select_runtime *r, struct json_object *doc, struct json_object *runtimes,
                             struct ome_err *err) {
  struct heritage heritage;

  r->doc = doc;
  if (!inherits(doc))
    return OME_OK;
  int32_t rc = inherit(doc, runtimes, &heritage, err);
  if (rc != OME_OK)
    return rc;
  (void)snprintf(r->problem, sizeof(r->problem), "%s", heritage.problem);
  r->heir = TAKE_PTR(heritage.doc);
  r->doc = r->heir ? r->heir : doc;
  json_unref(heritage.chain);
  return OME_OK;
}

/* Pods of one replica of the engine: a leader and its workers, or one. */
static uint32_t nodes_of(struct json_object *runtime) {
  struct json_object *config = json_at(runtime, "spec.engineConfig");

  return json_get(config, "leader") ? 1 + (uint32_t)small_at(json_get(config, "worker"), "size") : 1;
}

int32_t select_runtime_init(struct select_runtime *r, struct json_object *doc, struct json_object *runtimes,
                            struct ome_err *err) {
  memset(r, 0, sizeof(*r));
  int32_t rc = read_heritage(r, doc, runtimes, err);
  if (rc != OME_OK)
    return rc;
  doc = r->doc;
  struct json_object *spec = json_get(doc, "spec");
  struct json_object *formats = json_get(spec, "supportedModelFormats");
  r->ns = streq(json_str(doc, "kind", ""), "ServingRuntime") ? json_str(doc, "metadata.namespace", "default") : NULL;
  r->nentries = json_len(formats);
  r->entries = calloc(r->nentries + 1, sizeof(*r->entries));
  struct json_object *capabilities = json_get(json_at(doc, "metadata.annotations"), "ome.io/model-capabilities");
  r->capabilities = json_as_str(capabilities, "");
  r->protocols = strings_of(json_get(spec, "protocolVersions"));
  r->accelerators = strings_of(json_at(spec, "acceleratorRequirements.acceleratorClasses"));
  rc = r->entries && r->protocols && r->accelerators ? OME_OK : fail_memory(err);
  for (size_t i = 0; rc == OME_OK && i < r->nentries; i++) {
    rc = read_entry(&r->entries[i], json_index(formats, i), spec, err);
    r->any_auto |= r->entries[i].auto_select == ENTRY_AUTO_TRUE;
  }
  if (rc != OME_OK) {
    select_runtime_fini(r);
    return rc;
  }
  r->facts = (struct ome_runtime_facts){
      .struct_size = sizeof(r->facts),
      .flags =
          (r->ns ? 0u : OME_RUNTIME_CLUSTER_SCOPED) | (json_flag(spec, "disabled", false) ? OME_RUNTIME_DISABLED : 0u),
      .name = json_str(doc, "metadata.name", ""),
      .protocols = r->protocols,
      .accelerators = r->accelerators,
      .components = select_components_of(doc),
      .nodes = nodes_of(doc),
  };
  return OME_OK;
}

void select_runtime_fini(struct select_runtime *r) {
  json_unref(r->heir);
  for (size_t i = 0; r->entries && i < r->nentries; i++)
    select_pipeline_fini(&r->entries[i].pipeline);
  free(r->entries);
  free(r->protocols);
  free(r->accelerators);
  memset(r, 0, sizeof(*r));
}

const char *select_scope(const struct select_runtime *r) {
  return r->ns ? "Namespaced" : "Cluster";
}

bool select_by_intent(const struct select_entry *entry, const struct select_model *model) {
  const struct ome_supported_format *e = &entry->facts;
  const struct ome_model_facts *m = &model->facts;

  return !streq(entry->quantization, model->quantization) || (!*e->framework && *m->framework) ||
         (!*e->format_version && *m->format_version);
}

/* ---- accelerators ------------------------------------------------------------------------------------------------ */

void select_accelerator_facts(struct json_object *doc, struct ome_accelerator_facts *out) {
  struct json_object *spec = json_get(doc, "spec");
  int64_t available = json_i64(doc, "status.availableAccelerators", 0);
  *out = (struct ome_accelerator_facts){
      .struct_size = sizeof(*out),
      .name = json_str(doc, "metadata.name", ""),
      .vendor = json_str(spec, "vendor", ""),
      .family = json_str(spec, "family", ""),
      .model = json_str(spec, "model", ""),
      .compute_capability = json_str(spec, "capabilities.computeCapability", ""),
      .resource = json_str(json_index(json_get(spec, "resources"), 0), "name", ""),
      .memory_bytes = accelerator_memory(doc),
      .devices_free = available > 0 && available < UINT32_MAX ? (uint32_t)available : 0,
  };
}
