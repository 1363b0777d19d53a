#include "compose/mode.h"

#include "base/str.h"
#include "compose/scaling.h"

enum { RAW, MULTI_NODE, MULTI_NODE_RAY, SERVERLESS, VIRTUAL, OME_NATIVE };

static const struct mode modes[] = {
    [RAW] = {"RawDeployment", "raw"},
    [MULTI_NODE] = {"MultiNode", "multinode"},
    [MULTI_NODE_RAY] = {"MultiNodeRayVLLM", "ray"},
    [SERVERLESS] = {"Serverless", "serverless"},
    [VIRTUAL] = {"VirtualDeployment", "virtual"},
    [OME_NATIVE] = {"OMENative", "multinode"},
};

const struct mode *mode_find(const char *name) {
  for (size_t i = 0; i < ARRAY_LEN(modes); i++)
    if (streq(modes[i].name, name))
      return &modes[i];
  return NULL;
}

const struct mode *mode_of(const char *component, struct json_object *merged, struct json_object *service) {
  struct json_object *annotation = json_get(json_get(merged, "annotations"), "ome.io/deploymentMode");
  const struct mode *m = annotation ? mode_find(json_object_get_string(annotation)) : NULL;
  bool router = streq(component, "router");
  bool beside_decoder = json_at(service, "spec.decoder") != NULL;

  if (!m && !router)
    m = mode_find(json_str(service, "spec.deploymentMode", ""));
  if (m && !(beside_decoder && m == &modes[SERVERLESS]))
    return m;
  if (!router && (json_get(merged, "leader") || json_get(merged, "worker")))
    return &modes[MULTI_NODE];
  /* From no replica, KEDA starts a Deployment; without it Knative does. */
  if (json_i64(merged, "minReplicas", 1) == 0 && !beside_decoder && !json_get(merged, "autoscaler") &&
      !scaling_can_idle(merged, service))
    return &modes[SERVERLESS];
  return &modes[RAW];
}
