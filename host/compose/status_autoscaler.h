/* What a service's status says of who scales it.  Pure. */
#ifndef HOST_COMPOSE_STATUS_AUTOSCALER_H
#define HOST_COMPOSE_STATUS_AUTOSCALER_H

#include "compose/status.h"

/* Sets status.components.KIND.autoscaler and condition AutoscalerReady in HOLDER's status.  False when memory ran
 * out. */
bool status_set_autoscalers(struct json_object *holder, const struct status_input *in);

#endif
