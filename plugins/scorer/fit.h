/* How a model is spread over devices so that it fits their memory.  Pure: facts and wishes in, one way with its figures
 * out.  The figures are those of `ome inspect --memory` where the model's files are known. */
#ifndef PLUGINS_SCORER_FIT_H
#define PLUGINS_SCORER_FIT_H

#include <ome/scorer.h>

#include <stdbool.h>

struct fit_request {
  const struct ome_model_facts *model;
  const struct ome_accelerator_facts *accelerator;
  uint64_t context;     /* tokens of a sequence that must fit; 0: the model's, or less */
  uint32_t concurrency; /* sequences of that length; at least 1 */
  uint32_t devices;     /* of a node; 0: to be decided */
  uint32_t nodes;       /* at least 1 */
  uint32_t tp, pp;      /* as stated; 0: to be decided */
  unsigned kv_bits;     /* as stated; 0: to be decided */
  bool fp8_cache;       /* the engine can keep its cache in 8 bits */
  bool dp_attention;    /* the engine can give each device sequences of its own while it divides the weights */
  bool layers_only;     /* the engine divides a model by layers, not inside of them */
};

/* Bytes are a device's. */
struct fit {
  uint32_t devices, nodes; /* of a node; nodes */
  uint32_t tp, pp, ep, dp; /* 1: not at all */
  unsigned kv_bits;
  uint64_t context; /* 0: not known */
  uint64_t weights, sequence, activations, overhead, usable;
  uint64_t sequences; /* of that context that fit; 0 where the cache is not known, too */
  bool cache_known;
  bool fits;
  bool shortened; /* context is less than the model's, so that it fits */
};

/* How to serve it.  False: too little is known, and WHY says what. */
bool fit_plan(const struct fit_request *req, struct fit *out, char *why, size_t cap);

/* Why F does not fit and what would, a sentence. */
void fit_advice(const struct fit_request *req, const struct fit *f, char *out, size_t cap);

/* "9.0" is 900, "10.3" is 1030; 0: not known. */
unsigned fit_capability(const struct ome_accelerator_facts *a);

#endif
