/* The families of models: what config.json of each means, as a table. */
#ifndef HOST_MODEL_FAMILIES_H
#define HOST_MODEL_FAMILIES_H

#include "model/facts.h"

/* How the layers of a family differ from a decoder with two norms, a gated MLP and matrices without biases. */
enum family_trait {
  TIED = 1u << 0,         /* the output matrix is the embedding's unless config.json says otherwise */
  QKV_BIAS = 1u << 1,     /* queries, keys and values always have biases */
  O_BIAS = 1u << 2,       /* the attention's output has one */
  MLP_BIAS = 1u << 3,     /* the MLP's matrices have them */
  BIAS_IS_QKV = 1u << 4,  /* the key attention_bias is about queries, keys and values only */
  UNGATED = 1u << 5,      /* two matrices in the MLP */
  NORM_BIAS = 1u << 6,    /* norms have a bias */
  NORM_NONE = 1u << 7,    /* norms without weights */
  NORM_ONE = 1u << 8,     /* attention and MLP side by side under one norm */
  NORM_FOUR = 1u << 9,    /* norms before and after both */
  HEAD_NORMS = 1u << 10,  /* queries and keys are normed head by head */
  WIDE_NORMS = 1u << 11,  /* ... over all heads together */
  POSITIONS = 1u << 12,   /* learned positions */
  HEAD_BIAS = 1u << 13,   /* the output matrix has a bias */
  EMBED_NORM = 1u << 14,  /* a norm behind the embedding */
  SINKS = 1u << 15,       /* a learned number a head */
  EXPERT_BIAS = 1u << 16, /* the router and the experts have biases */
  SHARED_GATE = 1u << 17, /* the shared expert has a gate of its own */
  CORRECTED = 1u << 18,   /* a correction of the router's scores, a number an expert */
  MULTI_QUERY = 1u << 19, /* one head of keys and values unless config.json says otherwise */
  FINAL_NORM_NONE = 1u << 20,
  MLA = 1u << 21,     /* keys and values are kept as a latent vector */
  ENCODER = 1u << 22, /* embeddings or scores, no cache */
  VISION = 1u << 23,
  AUDIO = 1u << 24,
  ESTIMATE = 1u << 25, /* has parts that the counter does not know */
  WINDOWED = 1u << 26, /* every layer has the sliding window, if config.json gives one */
  POOLER = 1u << 27,   /* an encoder's first token goes through one more matrix */
  HALF_MLP = 1u << 28, /* the MLP is half as wide as config.json says */
  SPEAKS = 1u << 29    /* has a voice unless config.json says otherwise */
};

struct family {
  const char *name;
  const char *types;        /* values of model_type, "|" between */
  const char *architecture; /* of a config.json that names none */
  uint32_t traits;
  const char *context; /* the key that says the context length, before the usual ones; NULL: none */
  const char *notes;
};

/* Never NULL: the row of what is in none has the name "unknown". */
const struct family *family_of(const char *type);
extern const struct family families[];
extern const size_t nfamilies;

/* What parameters are counted from; 0 and false where config.json says nothing. */
struct shape {
  const struct family *family;
  uint64_t vocabulary, hidden, layers, heads, kv_heads, head_size, intermediate, positions, token_types;
  uint64_t experts, experts_per_token, expert_intermediate, shared_intermediate, moe_layers;
  uint64_t q_latent, kv_latent, rope_head_size, nope_head_size, value_size; /* MLA */
  uint64_t index_size;                 /* of the key by which sparse attention picks tokens */
  uint64_t attentions, mlps;           /* layers with attention, with a dense MLP */
  uint64_t mixers, mixer, mixer_state; /* layers with another mixer; its parameters, bytes it keeps of a sequence */
  uint64_t kv_heads_sum;               /* over all layers, where they differ; else 0 */
  uint64_t labels;                     /* of a classifier in place of the output matrix */
  uint64_t extra;                      /* towers, projectors, voices, and what else has no place above */
  uint64_t idle;                       /* of those, experts that a token does not visit */
  uint64_t wide;                       /* of those, what is kept in 32 bits, whatever the rest is in */
  bool summed;                         /* the layers are in EXTRA, one by one */
  bool tied, qkv_bias, o_bias, mlp_bias, gated, head_norms, wide_norms, one_norm, gated_attention;
  bool headless, head_bias, labels_bias, corrected;
};

/* The shape of the model that CONFIG describes; TEXT is the part that describes its language model. */
void shape_read(struct json_object *config, struct json_object *text, const struct family *family,
                const char *architecture, struct shape *out);
/* Whether layer I is a mixture of experts, as TEXT says. */
bool shape_is_moe(struct json_object *text, const struct shape *s, uint64_t i);
/* Parameters of all and of what one token uses.  False: the shape is not one of a model. */
bool shape_count(const struct shape *s, uint64_t *all, uint64_t *active);
/* Layers with other mixers than attention, by the family's rule. */
void mixers_read(struct json_object *text, struct shape *s);
/* Parameters of the towers for images and for sound, with their projectors to WIDTH numbers a token; 0: not known. */
uint64_t vision_count(struct json_object *config, const struct family *family, uint64_t width);
uint64_t audio_count(struct json_object *config, const struct family *family, uint64_t width);
/* What speaks: its parameters, 0 where they are not known; of those, what a token does not use, and what is kept in 32
 * bits. */
struct voice {
  uint64_t parameters, idle, wide;
};
void voice_read(struct json_object *config, const struct family *family, uint64_t width, struct voice *out);
/* Of what codes pictures as tokens and draws them, a VQ-VAE that CONFIG describes; 0: not one. */
uint64_t picture_count(struct json_object *config);
/* Of an encoder and decoder for speech; 0: not known. */
uint64_t whisper_count(struct json_object *config);
/* Of a model that is counted as a whole, because it is no stack of decoder or encoder layers; 0: not one of those. */
uint64_t whole_count(struct json_object *config, const struct family *family, const char *architecture);

/* The first of the keys, NULL behind the last, that is a number above 0 and below 2^31; else 0. */
uint64_t config_number(struct json_object *o, ...) __attribute__((sentinel));
/* Layers whose entry in TEXT's layer_types is NAME; SIZE_MAX where there is no such list. */
size_t config_layers_of_type(struct json_object *text, const char *name);

#endif
