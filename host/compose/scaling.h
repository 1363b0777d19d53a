/* Who owns the number of a component's replicas, and within which bounds.  Pure. */
#ifndef HOST_COMPOSE_SCALING_H
#define HOST_COMPOSE_SCALING_H

#include "compose/component.h"

struct scaling_request {
  const struct component_request *component;
  struct json_object *own;         /* the service's part, not merged */
  struct json_object *merged;      /* the runtime's and the service's */
  struct json_object *annotations; /* of the component's objects */
  const struct mode *mode;
};

/* Puts autoscaler, minReplicas, maxReplicas, replicas, kedaConfig and scaling into the component document OUT, whose
 * name is there.  OME_E_INVALID names the field that cannot be. */
int32_t scaling_compose(const struct scaling_request *req, struct json_object *out, struct ome_err *err);

/* Whether MERGED, of SERVICE, is scaled by KEDA, which alone can start from no replica. */
bool scaling_can_idle(struct json_object *merged, struct json_object *service);

/* Whether a HorizontalPodAutoscaler or ScaledObject is neither a service's nor what KEDA keeps for a ScaledObject. */
bool scaling_is_foreign(struct json_object *scaler);

/* Which of the FOREIGN scalers (array) scales the workload of component document DOC too:
 * "HorizontalPodAutoscaler mine", new; NULL: none. */
char *scaling_rival(struct json_object *doc, struct json_object *foreign);

#endif
