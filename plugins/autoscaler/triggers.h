/* Triggers of a ScaledObject. */
#ifndef PLUGINS_AUTOSCALER_TRIGGERS_H
#define PLUGINS_AUTOSCALER_TRIGGERS_H

#include "../common/doc.h"

/* Appends to LIST those of the autoscaler block as they are, but for type "ome", which becomes a Prometheus query for
 * the engine's own metrics. */
int32_t triggers_given(const struct request_docs *d, struct json_object *list, struct ome_err *err);

/* Appends to LIST what kedaConfig, scaleMetric, scaleTarget and annotations mean. */
int32_t triggers_older(const struct request_docs *d, struct json_object *list, struct ome_err *err);

#endif
