#include "compose/inert.h"

#include "base/str.h"

#define LIFECYCLE "pods are replaced as deploymentStrategy, or the group's own rules, say"

static const struct {
  const char *field, *instead;
} inert[] = {
    {"spec.rollout", "new pods replace old ones as the component's deploymentStrategy says"},
    {"spec.traffic", "all requests go to the newest revision"},
    {"spec.routing", "the router or the component's Service spreads requests"},
    {"spec.placement", "the service runs in this cluster"},
    {"spec.replicaRefs", "replicas are counted by minReplicas and maxReplicas"},
    {"spec.engine.lifecycle", LIFECYCLE},
    {"spec.decoder.lifecycle", LIFECYCLE},
    {"spec.router.lifecycle", LIFECYCLE},
};

struct json_object *inert_fields(struct json_object *service) {
  _cleanup_json_ struct json_object *out = json_object_new_array();

  for (size_t i = 0; out && i < ARRAY_LEN(inert); i++) {
    if (json_empty(json_at(service, inert[i].field)))
      continue;
    _cleanup_free_ char *text = str_printf("%s has no effect: %s", inert[i].field, inert[i].instead);
    if (!text || !json_add_str(out, text))
      return NULL;
  }
  return TAKE_PTR(out);
}

int32_t inert_check(struct json_object *service, struct ome_err *err) {
  const char *mode = json_str(service, "spec.scalingPolicy.mode", "Independent");

  if (streq(mode, "Independent"))
    return OME_OK;
  return fail(err, OME_E_INVALID,
              "ScalingModeNotImplemented: spec.scalingPolicy.mode: \"%s\": components are scaled each by its own "
              "autoscaler; leave it out, or write Independent",
              mode);
}
