/* Which pods are behind a Service.  Pure. */
#ifndef HOST_LOCAL_ENDPOINTS_H
#define HOST_LOCAL_ENDPOINTS_H

#include "base/json.h"

/* The EndpointSlices of SERVICE over PODS (array, of its namespace): one for each set of numbers that its named target
 * ports resolve to.  Array, new; empty when the Service has no selector. */
struct json_object *endpoint_slices(struct json_object *service, struct json_object *pods);

/* The "IP:PORT" behind PORT (of spec.ports) in SLICES that take connections now, in order; array of strings,
 * new. */
struct json_object *endpoint_targets(struct json_object *slices, struct json_object *port);

#endif
