/* Fine-tuned weights of a service: LoRA adapters that its engines load beside the model, or merged weights that they
 * load instead of it.  Pure.
 *
 * Each is a volume of its own, mounted read-only at ADAPTER_MOUNT/NAME: of a claim (pvc://), of the node, where its
 * agent has brought it, or an empty one that an init container fills, where the configuration says so. */
#ifndef HOST_COMPOSE_ADAPTERS_H
#define HOST_COMPOSE_ADAPTERS_H

#include "base/json.h"

#include <stdbool.h>

#define ADAPTER_MOUNT "/opt/ml/adapters"

struct adapters_search {
  struct json_object *all;     /* FineTunedWeights */
  struct json_object *service; /* folded */
  struct json_object *model;   /* that it uses */
  struct json_object *cluster; /* "ome.io/cluster/1" */
  struct json_object *claims;  /* PersistentVolumeClaims (claim_check()); may be NULL */
};

/* The weights that the service names; *OUT is a new array in its order, empty where it names none.  OME_E_INVALID: the
 * message has the field, *REASON is that of the condition. */
int32_t adapters_find(const struct adapters_search *s, struct json_object **out, const char **reason,
                      struct ome_err *err);

/* Whether WEIGHTS (of adapters_find) hold the whole model. */
bool adapters_are_merged(struct json_object *weights);

/* "lora", or what else the first of WEIGHTS says of its training; borrowed, NULL: nothing. */
const char *adapters_strategy(struct json_object *weights);

struct adapters_request {
  const char *kind;              /* "engine", "decoder" */
  struct json_object *weights;   /* of adapters_find() */
  struct json_object *service;   /* folded */
  struct json_object *component; /* merged: gets volumes, mounts, init containers and arguments */
  struct json_object *cluster;   /* "ome.io/cluster/1" */
  bool grouped;                  /* it has a leader and workers */
};

/* OME_E_INVALID: the engine is none of which is known how it takes adapters, or its command cannot be added to. */
int32_t adapters_apply(const struct adapters_request *req, struct ome_err *err);

#endif
