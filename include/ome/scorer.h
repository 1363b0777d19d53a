/* ome/scorer.h - the scorer kind: how well a runtime suits a model on an accelerator, and how to set it up.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * A scorer sees one candidate at a time as plain facts and pushes terms: points with a reason, or a rejection with a
 * reason.  The host adds the terms of all scorers, orders the candidates and keeps every term for the decision
 * record.  Scorers must not know of each other.
 */
#ifndef OME_SCORER_H
#define OME_SCORER_H

#include <ome/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OME_KIND_SCORER "ome.scorer/1"

/* Text members are never NULL: "" means not known.  Numeric members: 0 means not known. */

struct ome_model_facts { /* growable; host-owned */
  uint32_t struct_size;
  uint32_t flags;
  const char *name;
  const char *type;         /* config.json model_type: "llama" */
  const char *architecture; /* "LlamaForCausalLM" */
  const char *format;       /* "safetensors" */
  const char *format_version;
  const char *framework; /* "transformers" */
  const char *framework_version;
  const char *quantization;        /* "fp8", "" none */
  const char *dtype;               /* "bfloat16" */
  const char *const *capabilities; /* OME's vocabulary; NULL-terminated */
  uint64_t parameters;             /* exact count */
  uint64_t active_parameters;      /* of a mixture of experts */
  uint64_t weight_bytes;
  uint64_t kv_bytes_per_token;
  uint64_t context_length; /* tokens */
  uint32_t layers;
  uint32_t heads;
  uint32_t kv_heads;
  uint32_t head_size;
  uint64_t vocabulary;
  /* since 1.2 */
  uint32_t experts;      /* routed ones of a mixture of experts */
  uint32_t kv_latent;    /* rank of the compressed cache (MLA), which heads share: it cannot be divided among them */
  uint64_t hidden;       /* width of a layer */
  uint64_t intermediate; /* width of its widest product */
  /* since 1.4; a diffusion pipeline's parts: "className", and of each component "vae" (value ""), "vae.library" and
   * "vae.type" where they are stated.  Ends with a NULL key; NULL: none */
  const struct ome_kv *pipeline;
};

struct ome_supported_format { /* growable; host-owned; one entry of a runtime's supportedModelFormats */
  uint32_t struct_size;
  uint32_t flags; /* OME_FORMAT_* */
  const char *format;
  const char *format_version;
  const char *format_operator; /* Equal, GreaterThan, GreaterThanOrEqual */
  int64_t format_weight;
  const char *framework;
  const char *framework_version;
  const char *framework_operator;
  int64_t framework_weight;
  const char *architecture;
  const char *quantization;
  int64_t priority;              /* as given; OME_FORMAT_HAS_PRIORITY says whether */
  const struct ome_kv *pipeline; /* since 1.4; what it asks of a model's; NULL: nothing */
};

enum { OME_FORMAT_AUTO_SELECT = 1u, OME_FORMAT_HAS_PRIORITY = 2u };

struct ome_runtime_facts { /* growable; host-owned */
  uint32_t struct_size;
  uint32_t flags; /* OME_RUNTIME_* */
  const char *name;
  struct ome_list formats;      /* of struct ome_supported_format: the one under judgement, asked about one by one */
  uint64_t size_min;            /* parameters; 0: open */
  uint64_t size_max;            /* parameters; 0: open */
  const char *const *protocols; /* NULL-terminated */
  /* since 1.4 */
  const char *const *accelerators; /* AcceleratorClasses that it lists; NULL-terminated */
  uint32_t components;             /* OME_COMPONENT_*: what it has containers for */
  uint32_t devices;                /* that a pod of its engine asks for, for this service; 0: that is decided later */
  uint32_t nodes;                  /* pods of a replica of its engine: 1, or leader and workers */
  uint32_t reserved;
};

enum { OME_RUNTIME_CLUSTER_SCOPED = 1u, OME_RUNTIME_DISABLED = 2u };

/* ABI 1.4.  Components of a service. */
enum { OME_COMPONENT_ENGINE = 1u, OME_COMPONENT_DECODER = 2u, OME_COMPONENT_ROUTER = 4u };

/* ABI 1.4.  What a service asks of its runtime. */
struct ome_wish_facts { /* growable; host-owned */
  uint32_t struct_size;
  uint32_t flags;
  const char *const *accelerators; /* AcceleratorClasses that it names, for any component; NULL-terminated */
  const char *protocol;            /* "" any */
  uint32_t components;             /* OME_COMPONENT_* that it has */
  uint32_t own;                    /* of these: those that bring their own container */
};

struct ome_accelerator_facts { /* growable; host-owned */
  uint32_t struct_size;
  uint32_t flags;
  const char *name; /* AcceleratorClass */
  const char *vendor;
  const char *family;
  const char *model;
  const char *compute_capability;
  const char *resource;  /* "nvidia.com/gpu" */
  uint64_t memory_bytes; /* per device */
  uint32_t devices_per_node;
  uint32_t devices_free;
};

/* ABI 1.1.  The host only counts: the sink ends the call at the first rejection and takes NULL for a reason.  A scorer
 * may ignore this; one that obeys it saves the time to write sentences that nobody reads. */
enum { OME_SCORE_NO_REASONS = 1u };

/* ABI 1.2.  What tune() sets up: one component of a service. */
struct ome_deployment_facts { /* growable; host-owned */
  uint32_t struct_size;
  uint32_t flags;
  const char *image;    /* of the container that serves */
  const char *command;  /* its command and arguments, joined by blanks: what runtime and person have set */
  uint64_t context;     /* tokens of a sequence, as the service wants; 0: what the model can */
  uint32_t concurrency; /* sequences of that length at a time, as the service wants; 0: it does not say */
  uint32_t devices;     /* of one pod, as runtime or person have set; 0: to be decided */
  uint32_t nodes;       /* pods of one replica: 1, or leader and workers */
  uint32_t reserved;
};

struct ome_score_req { /* growable; host-owned */
  uint32_t struct_size;
  uint32_t flags; /* OME_SCORE_* */
  const struct ome_model_facts *model;
  const struct ome_runtime_facts *runtime;
  const struct ome_accelerator_facts *accelerator; /* NULL: none */
  struct ome_bytes service;                        /* InferenceService JSON; len 0 when a bare model is asked about */
  const struct ome_deployment_facts *deployment;   /* since 1.2; of tune() only */
  const struct ome_wish_facts *wish; /* since 1.4; of score() only; NULL when a bare model is asked about */
};

struct ome_term_sink { /* growable; host-owned */
  uint32_t struct_size;
  uint32_t reserved;
  void *ctx;
  int32_t (*points)(struct ome_term_sink *s, int64_t points, const char *reason);
  int32_t (*reject)(struct ome_term_sink *s, const char *reason); /* the candidate cannot serve this model */
};

struct ome_setting_sink { /* growable; host-owned; a setting loses against what a person or the runtime wrote */
  uint32_t struct_size;
  uint32_t reserved;
  void *ctx;
  int32_t (*arg)(struct ome_setting_sink *s, const char *flag, const char *value, const char *reason);
  int32_t (*env)(struct ome_setting_sink *s, const char *name, const char *value, const char *reason);
  int32_t (*resource)(struct ome_setting_sink *s, const char *name, const char *quantity, const char *reason);
  /* Since 1.2.  The model does not fit as asked: why, and what would. */
  int32_t (*unfit)(struct ome_setting_sink *s, const char *reason);
};

/* ABI 1.1, a scorer's promise: score() looks at nothing but req->model and the entry in req->runtime->formats.  The
 * host asks it once for all runtimes that have the same entry. */
enum { OME_SCORER_BY_ENTRY = 1u };

/* ABI 1.4, the other promise: score() does not look at req->runtime->formats, size_min and size_max.  The host asks it
 * once for a runtime, before all entries. */
enum { OME_SCORER_BY_RUNTIME = 2u };

struct ome_scorer_ops { /* growable */
  uint32_t struct_size;
  uint32_t caps; /* OME_SCORER_* */
  /* [serial][no-block][no-io] */
  int32_t (*score)(void *self, const struct ome_call *call, const struct ome_score_req *req, struct ome_term_sink *out,
                   struct ome_err *err);
  /* Optional: settings of the chosen candidate's engine; OME_E_UNSUPPORTED: the engine is another's.  An arg without a
   * value has "" for one.  [serial][no-block][no-io] */
  int32_t (*tune)(void *self, const struct ome_call *call, const struct ome_score_req *req,
                  struct ome_setting_sink *out, struct ome_err *err);
};

#ifdef __cplusplus
}
#endif
#endif
