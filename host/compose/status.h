/* The status of an InferenceService, from its plan and what was observed.  Pure. */
#ifndef HOST_COMPOSE_STATUS_H
#define HOST_COMPOSE_STATUS_H

#include "compose/plan.h"

struct status_input {
  struct json_object *service; /* as stored */
  const struct plan *plan;
  const struct ome_status *components;  /* plan->nparts of them; unused when the plan has problems */
  struct json_object *const *workloads; /* the first live object of each component; NULL entries allowed */
  struct json_object *live;         /* array: what there is of each object of the plan, or NULL; NULL: as the plan */
  const struct ome_status *ingress; /* likewise */
  struct json_object *addresses;    /* array of what plan_observe() got from it; NULL */
  const struct ome_status *autoscalers; /* as components; NULL: not observed */
  char *const *rivals;                  /* who else scales each component's workload; NULL (entries too): nobody */
  const char *autoscaler_failure;       /* why one could not be applied; NULL */
  struct json_object *pods;             /* array of the service's pods */
  struct json_object *cluster;          /* "ome.io/cluster/1" */
  int64_t now_ms;                       /* wall time */
};

/* *OUT is the new status; equal to the old one when nothing changed.
 *
 * Ready follows EngineReady, DecoderReady and RouterReady (of the components there are) and IngressReady: False when
 * one is False, Unknown while one is on its way.  It is never True without a ready endpoint. */
int32_t status_compose(const struct status_input *in, struct json_object **out, struct ome_err *err);

#endif
