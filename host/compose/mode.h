/* Deployment modes: how a component's pods are laid out, and which plugin does it. */
#ifndef HOST_COMPOSE_MODE_H
#define HOST_COMPOSE_MODE_H

#include "base/json.h"

struct mode {
  const char *name;   /* "RawDeployment", as annotations and status say it */
  const char *plugin; /* the deployment plugin's name */
};

/* By name; NULL: unknown. */
const struct mode *mode_find(const char *name);

/* The mode of one merged component ("engine", "decoder", "router"): its own annotation ome.io/deploymentMode, then
 * spec.deploymentMode of the service, then its shape: leader or worker is MultiNode; minReplicas 0 is Serverless (not
 * beside a decoder); else RawDeployment. */
const struct mode *mode_of(const char *component, struct json_object *merged, struct json_object *service);

#endif
