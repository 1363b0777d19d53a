#include "scaler.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_UTILIZATION = 80 };

struct json_object *scaler_block(struct json_object *component, const char *name) {
  return doc_get(doc_at(component, "scaling.block"), name);
}

int scaler_has_block(struct json_object *component) {
  return doc_at(component, "scaling.block") != NULL;
}

const char *scaler_field(struct json_object *component) {
  return doc_str(component, "scaling.field", "spec");
}

const char *scaler_annotation(struct json_object *component, const char *key) {
  const char *v = json_object_get_string(doc_get(doc_get(component, "annotations"), key));

  return v && *v ? v : NULL;
}

int32_t scaler_utilization(struct json_object *component, int64_t *out, struct ome_err *err) {
  static const char key[] = "ome.io/targetUtilizationPercentage";
  const char *given = scaler_annotation(component, key);
  char *end = NULL;
  long n = given ? strtol(given, &end, 10) : 0;

  if (given && (*end || n < 1 || n > 100))
    return doc_fail(err, OME_E_INVALID, "metadata.annotations[%s]: \"%.40s\" must be a whole number from 1 to 100", key,
                    given);
  *out = given ? n : doc_int(component, "scaleTarget", DEFAULT_UTILIZATION);
  if (*out < 1)
    return doc_fail(err, OME_E_INVALID, "%s.scaleTarget: %lld must be at least 1", scaler_field(component),
                    (long long)*out);
  return OME_OK;
}

int scaler_is_positive(const char *text) {
  char *end = NULL;
  double n = strtod(text, &end);

  return end != text && !*end && n > 0 && n < 1e15;
}

int scaler_condition_is(struct json_object *o, const char *type, const char *status) {
  return strcmp(doc_str(doc_condition(o, type), "status", ""), status) == 0;
}

void scaler_say(struct ome_status *out, int32_t phase, const char *reason, const char *fmt, ...) {
  va_list ap;

  out->phase = phase;
  doc_text(out->reason, sizeof(out->reason), "%s", reason);
  va_start(ap, fmt);
  (void)vsnprintf(out->message, sizeof(out->message), fmt, ap);
  va_end(ap);
}

static uint32_t count(struct json_object *o, const char *path) {
  int64_t n = doc_int(o, path, 0);

  return n > 0 && n < UINT32_MAX ? (uint32_t)n : 0;
}

void scaler_count(struct json_object *hpa, struct ome_status *out) {
  out->ready = count(hpa, "status.currentReplicas");
  out->desired = count(hpa, "status.desiredReplicas");
}

void scaler_observe(struct json_object *objects, const char *kind, scaler_judge *judge, struct ome_status *out) {
  struct json_object *live = doc_item(objects, 0);

  if (live)
    judge(live, out);
  else
    scaler_say(out, OME_PHASE_PENDING, "Initializing", "the %s does not exist yet", kind);
}
