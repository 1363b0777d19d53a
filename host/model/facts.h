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

/* The first LEN bytes of a file. */
struct model_range {
  const char *path;
  size_t len;
};

struct model_source {
  const struct model_file *files;
  size_t nfiles;
  /* Exactly LEN bytes at OFFSET of file PATH into OUT; a shorter file is an error. */
  int32_t (*read)(void *arg, const char *path, uint64_t offset, void *out, size_t len, struct ome_err *err);
  /* May be NULL.  Says that these will be read next, so that they can be fetched together; what cannot be had is no
   * error until it is read. */
  int32_t (*prepare)(void *arg, const struct model_range *ranges, size_t n, struct ome_err *err);
  void *arg;
};

/* A LoRA or another adapter of the PEFT library; type "" is none. */
struct model_adapter {
  char type[32];     /* "LORA" */
  char base[256];    /* the model that it is for */
  char targets[512]; /* modules it changes, comma-separated, or a pattern */
  uint64_t rank, alpha;
};

/* One part of a diffusers pipeline. */
struct model_component {
  char name[64]; /* "transformer" */
  char library[64], type[96];
  uint64_t parameters, bytes;
};

/* What generation_config.json sets unless a request says otherwise. */
struct model_default {
  const char *name; /* as printed: "temperature"; of a constant */
  double value;
};

/* Text is "" and numbers are 0 where a thing is not known. */
struct model_facts {
  char family[32];        /* row of the families' table: "llama"; "diffusers"; "unknown" where it is of none */
  char type[64];          /* config.json model_type: "llama" */
  char architecture[128]; /* "LlamaForCausalLM" */
  char format[32];        /* "safetensors", "gguf" */
  char format_version[16];
  char framework[32]; /* "transformers" */
  char framework_version[32];
  char quantization[64];        /* as the files name it: "fp8", "Q4_K_M" */
  char dtype[32];               /* "bfloat16": what weights are that are not quantized, and what is computed in */
  const char *parameter_source; /* safetensors, gguf, pytorch, config, unknown */
  bool vision, audio, embedding, rerank;
  bool tied;      /* the output matrix is the embedding's */
  bool estimated; /* parameters worked out by a rule of thumb, not from the architecture */

  uint64_t parameters, active_parameters;    /* active: those that one token uses, of a mixture of experts */
  uint64_t config_parameters, config_active; /* the same from config.json alone */
  uint64_t config_bytes;                     /* of weights, from config.json alone; 0: not known */
  uint64_t context_length;                   /* tokens, RoPE scaling applied */
  uint64_t native_context;                   /* tokens before RoPE scaling, where it differs */
  uint64_t weight_bytes;                     /* from the files; without them config_bytes */
  double weight_bits;                        /* bits a parameter takes, scales included: 16, 8, 4.25 */

  /* the decoder, or the encoder where there is just that */
  uint64_t hidden, intermediate, layers, heads, kv_heads, head_size, vocabulary;
  uint64_t experts, experts_per_token, shared_experts, expert_intermediate;
  uint64_t index_size;                                 /* sparse attention: numbers of the key that picks tokens */
  uint64_t q_latent, kv_latent;                        /* MLA: ranks of the compressed queries, keys and values */
  uint64_t rope_head_size, nope_head_size, value_size; /* MLA: parts of a head */
  uint64_t sliding_window, sliding_layers;             /* tokens; layers that keep no more than so many */
  uint64_t uncached_layers;                            /* layers without keys and values: linear, state space, cross */
  uint64_t state_bytes;                                /* what those keep for a sequence, whatever its length */
  uint64_t kv_heads_sum;                               /* over all layers, where they differ; 0: kv_heads in each */

  /* what lies beside the weights */
  char license[64]; /* as README.md or the weights name it: "apache-2.0" */
  bool tokenizer, chat_template, generation_config;
  struct model_default defaults[8];
  size_t ndefaults;
  struct model_adapter adapter;
  VEC(struct model_component) components;

  const char *capabilities[8];
  size_t ncapabilities;
  const char *apis[8]; /* of OpenAI that it can be served under: "OPENAI_V1_EMBEDDINGS" */
  size_t napis;
  VEC(char *) warnings;
};
void model_facts_fini(struct model_facts *f);
#define _cleanup_model_facts_ _cleanup_(model_facts_fini)

/* OME_E_NOT_FOUND: nothing in it says what it is; OME_E_CORRUPT: a file that should is broken. */
int32_t model_facts_read(const struct model_source *src, struct model_facts *out, struct ome_err *err);
/* The same for a folder or a single file of this machine. */
int32_t model_facts_of_path(const char *path, struct model_facts *out, struct ome_err *err);

/* The folders at or below PATH that hold a model, in the order of their names; what is below a model is not looked at.
 */
struct model_folders {
  VEC(char *) list;
};
int32_t model_folders_find(const char *path, struct model_folders *out, struct ome_err *err);
void model_folders_fini(struct model_folders *f);
#define _cleanup_model_folders_ _cleanup_(model_folders_fini)

/* What `ome inspect -o json` prints; new. */
struct json_object *model_facts_json(const struct model_facts *f);
/* The "config" of a node's report (OME's ModelConfig), without artifact: what goes into a model's spec; new. */
struct json_object *model_facts_config(const struct model_facts *f);

/* "7.24B", as OME writes parameter counts. */
void model_size_text(uint64_t parameters, char out[32]);
/* Bytes of the KV cache for one token while no window is full, at 16 bits a number; 0: not known. */
uint64_t model_kv_bytes(const struct model_facts *f);
/* What a sequence of TOKENS keeps: full and windowed layers and fixed states; BITS of one cached number (16, 8). */
uint64_t model_sequence_bytes(const struct model_facts *f, uint64_t tokens, unsigned bits);

#endif
