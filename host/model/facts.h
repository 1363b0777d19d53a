/* What a model is, from its own files. */
#ifndef HOST_MODEL_FACTS_H
#define HOST_MODEL_FACTS_H

#include "base/json.h"

/* Bytes of one file of a model, wherever it is.  Reads at most LEN bytes at OFFSET into DATA; *GOT may be less at the
 * end of the file. */
struct model_file {
  const char *name; /* relative path */
  uint64_t size;
  int32_t (*read)(void *arg, uint64_t offset, void *data, size_t len, size_t *got, struct ome_err *err);
  void *arg;
};

enum model_count_source { MODEL_COUNT_UNKNOWN, MODEL_COUNT_CONFIG, MODEL_COUNT_SAFETENSORS, MODEL_COUNT_GGUF };

/* Text members are allocated and may be NULL: not known. */
struct model_facts {
  char *type;         /* config.json model_type, GGUF general.architecture: "llama" */
  char *architecture; /* "LlamaForCausalLM" */
  char *format, *format_version;
  char *framework, *framework_version;
  char *dtype;        /* "bfloat16" */
  char *quantization; /* "fp8", "Q4_1" */
  uint64_t parameters;
  enum model_count_source source;
  uint64_t context_length; /* tokens */
  uint64_t layers, heads, kv_heads, head_size, hidden_size, intermediate_size, vocabulary;
  uint64_t weight_bytes;
  bool tied;        /* the output matrix is the embedding */
  bool vision;
  struct json_object *warnings; /* array of sentences */
};

void model_facts_fini(struct model_facts *f);

/* Looks at FILES (config.json, *.safetensors with their index, *.gguf) and fills OUT.  OME_E_UNSUPPORTED when there is
 * nothing it knows.  Reads headers only. */
int32_t model_inspect(const struct model_file *files, size_t n, struct model_facts *out, struct ome_err *err);

/* The same of a folder. */
int32_t model_inspect_dir(const char *path, struct model_facts *out, struct ome_err *err);

/* Key and value bytes that one token takes in the cache, at two bytes a value. */
uint64_t model_kv_bytes(const struct model_facts *f);
/* "135M", "8.03B" as OME writes a parameter count. */
void model_size_text(uint64_t parameters, char out[32]);
/* OME's vocabulary; NULL-terminated. */
const char *const *model_capabilities(const struct model_facts *f);

/* The `ome inspect` document (see README); new. */
struct json_object *model_document(const struct model_facts *f);
/* The "config" of an agent's report: what the controller fills a model's spec with; new. */
struct json_object *model_report(const struct model_facts *f);

#endif
