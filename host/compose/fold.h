/* Older forms of services and runtimes, rewritten to the present one.  Pure. */
#ifndef HOST_COMPOSE_FOLD_H
#define HOST_COMPOSE_FOLD_H

#include "base/json.h"

/* SERVICE with spec.predictor (deprecated) turned into spec.engine, spec.model and spec.runtime; new, also when there
 * is nothing to fold. */
int32_t fold_service(struct json_object *service, struct json_object **out, struct ome_err *err);

/* RUNTIME with pod fields at the top of spec (spec.containers) turned into spec.engineConfig where that is absent;
 * new. */
int32_t fold_runtime(struct json_object *runtime, struct json_object **out, struct ome_err *err);

/* Whether KEY is a field of v1.PodSpec. */
bool is_pod_field(const char *key);

#endif
