/* What a model's own files say about it.
 *
 * Bytes come through callbacks that read ranges, so that the same code looks at a folder and at a remote repository:
 * a few hundred kilobytes of headers are read, whatever the size of the weights.  The bytes are hostile: lengths,
 * counts and depths are bounded, sums are checked. */
#ifndef HOST_MODEL_FACTS_H
#define HOST_MODEL_FACTS_H

#include "base/json.h"
#include "base/vec.h"

struct model_file {
  const char *path;
  uint64_t size;
};

struct model_source {
  const struct model_file *files;
  size_t nfiles;
  /* Exactly LEN bytes at OFFSET of file PATH into OUT; a shorter file is an error. */
  int32_t (*read)(void *arg, const char *path, uint64_t offset, void *out, size_t len, struct ome_err *err);
  void *arg;
};

/* Text is "" and numbers are 0 where a thing is not known. */
struct model_facts {
  char type[64];          /* config.json model_type: "llama" */
  char architecture[128]; /* "LlamaForCausalLM" */
  char format[32];        /* "safetensors", "gguf" */
  char format_version[16];
  char framework[32]; /* "transformers" */
  char framework_version[32];
  char quantization[64];        /* as the files name it: "fp8", "Q4_K_M" */
  char dtype[32];               /* "bfloat16" */
  const char *parameter_source; /* safetensors, gguf, config, unknown */
  bool vision, embedding;
  bool tied; /* the output matrix is the embedding's */
  uint64_t parameters, active_parameters;
  uint64_t context_length; /* tokens */
  uint64_t weight_bytes;
  uint64_t hidden, intermediate, layers, heads, kv_heads, head_size, vocabulary;
  const char *capabilities[4];
  size_t ncapabilities;
  VEC(char *) warnings;
};
void model_facts_fini(struct model_facts *f);
#define _cleanup_model_facts_ _cleanup_(model_facts_fini)

/* OME_E_NOT_FOUND: nothing in it says what it is; OME_E_CORRUPT: a file that should is broken. */
int32_t model_facts_read(const struct model_source *src, struct model_facts *out, struct ome_err *err);
/* The same for a folder or a single file of this machine. */
int32_t model_facts_of_path(const char *path, struct model_facts *out, struct ome_err *err);

/* What `ome inspect -o json` prints; new. */
struct json_object *model_facts_json(const struct model_facts *f);
/* The "config" of a node's report (OME's ModelConfig), without artifact: what goes into a model's spec; new. */
struct json_object *model_facts_config(const struct model_facts *f);
/* spec.modelConfiguration, keys in OME's order; new. */
struct json_object *model_facts_configuration(const struct model_facts *f);

/* "7.24B", as OME writes parameter counts. */
void model_size_text(uint64_t parameters, char out[32]);
/* Bytes of the KV cache for one token, at 16 bits a number. */
uint64_t model_kv_bytes(const struct model_facts *f);

#endif
