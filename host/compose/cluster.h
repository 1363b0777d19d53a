/* "ome.io/cluster/1": what plugins may know of the place they render for.  Pure. */
#ifndef HOST_COMPOSE_CLUSTER_H
#define HOST_COMPOSE_CLUSTER_H

#include "base/json.h"

struct cluster_facts {
  const char *domain;        /* NULL: "cluster.local" */
  const char *ome_namespace; /* NULL: "ome" */
  const char *gateway_url;   /* embedded platform: two %s for name and namespace; NULL: ingress decides */
  const char *program;       /* embedded platform: how a container starts ome; NULL: "ome" */
  const char *plugins_conf;  /* likewise, of its plugins; NULL: its own */
  const char *const *apis;   /* "GROUP/VERSION/Kind" ("v1/Service" for the core group) that exist */
  size_t napis;
  struct json_object *config; /* the inferenceservice-config ConfigMap; NULL: defaults */
};

/* *OUT is new.  A ConfigMap key that is no JSON is OME_E_INVALID, naming it. */
int32_t cluster_document(const struct cluster_facts *facts, struct json_object **out, struct ome_err *err);

/* A cluster with all that plugins may render for, for rendering without one; with EMBEDDED, `ome up`'s own. */
int32_t cluster_offline(bool embedded, struct json_object *config, struct json_object **out, struct ome_err *err);

bool cluster_has(struct json_object *cluster, const char *api_version, const char *kind);

/* The name of the ingress plugin (borrowed from CLUSTER or SERVICE, or constant) for a service whose entry component
 * runs in MODE. */
const char *cluster_ingress(struct json_object *cluster, struct json_object *service, const char *mode);

#endif
