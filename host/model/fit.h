/* What of a model fits where: the memory that serving it takes, on how many devices, for how many requests at a time.
 * Pure: facts and a device's size in, figures with reasons out. */
#ifndef HOST_MODEL_FIT_H
#define HOST_MODEL_FIT_H

#include "model/facts.h"

#define MODEL_FIT_PLANS 5u /* 1, 2, 4, 8 and 16 devices */

struct model_fit_request {
  uint64_t device_bytes; /* of one device */
  uint64_t context;      /* tokens of a sequence; 0: the model's own */
  uint64_t concurrency;  /* sequences at a time; 0: 1 */
  unsigned kv_bits;      /* of a cached number; 0: 16 */
  bool host_memory;      /* the device is the machine itself: no driver takes its share */
};

/* One way to serve it, by tensor parallelism.  Bytes are a device's. */
struct model_fit_plan {
  uint32_t devices;
  uint64_t weights, kv_sequence, kv, activations, overhead;
  uint64_t usable;
  uint64_t max_concurrency; /* sequences of full length that fit beside the weights */
  bool fits;
  char reason[200]; /* a clause for people */
};

struct model_fit {
  uint64_t context, concurrency;
  struct model_fit_plan plans[MODEL_FIT_PLANS];
  size_t nplans;
  size_t best; /* the first plan that fits; nplans: none */
};

/* OME_E_INVALID where the facts do not say enough, with what is missing. */
int32_t model_fit(const struct model_facts *f, const struct model_fit_request *req, struct model_fit *out,
                  struct ome_err *err);
/* The "memory" of `ome inspect --memory -o json`; new. */
struct json_object *model_fit_json(const struct model_fit *fit, const struct model_fit_request *req);

#endif
