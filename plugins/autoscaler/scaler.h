/* What autoscaler plugins share. */
#ifndef PLUGINS_AUTOSCALER_SCALER_H
#define PLUGINS_AUTOSCALER_SCALER_H

#include "../common/doc.h"

/* The autoscaler block's part NAME ("hpa", "keda"); NULL: absent. */
struct json_object *scaler_block(struct json_object *component, const char *name);
/* Whether there is a block, so that older forms do not count. */
int scaler_has_block(struct json_object *component);
/* The field that errors name: "spec.engine.autoscaler", or "spec.engine" for older forms. */
const char *scaler_field(struct json_object *component);

/* Annotation KEY of the component; NULL: absent or empty. */
const char *scaler_annotation(struct json_object *component, const char *key);

/* Percent that CPU or memory use is to be held at: the annotation, scaleTarget, 80. */
int32_t scaler_utilization(struct json_object *component, int64_t *out, struct ome_err *err);

/* A number above 0, as Prometheus triggers take for thresholds. */
int scaler_is_positive(const char *text);

/* Whether condition TYPE has STATUS. */
int scaler_condition_is(struct json_object *o, const char *type, const char *status);

/* Fills OUT. */
void scaler_say(struct ome_status *out, int32_t phase, const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Reads the scaler, the one object rendered, as it is now. */
typedef void scaler_judge(struct json_object *live, struct ome_status *out);
/* For the observe() of a plugin that renders one KIND: JUDGE's word, or that it is not there yet. */
void scaler_observe(struct json_object *objects, const char *kind, scaler_judge *judge, struct ome_status *out);

/* How many replicas there are and should be, of a HorizontalPodAutoscaler's status. */
void scaler_count(struct json_object *hpa, struct ome_status *out);

#endif
