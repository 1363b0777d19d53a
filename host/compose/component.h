/* Components: what a service asks for, composed from runtime, model and service.  Pure.
 *
 * A component is one "ome.io/component/1" document (docs/plugin-documents.md); deployment and autoscaler plugins render
 * it. */
#ifndef HOST_COMPOSE_COMPONENT_H
#define HOST_COMPOSE_COMPONENT_H

#include "base/json.h"
#include "compose/mode.h"
#include "compose/tune.h"

#define COMPONENT_KINDS 3
extern const char *const component_kinds[COMPONENT_KINDS]; /* "engine", "decoder", "router": the order of work */

struct component_request {
  const char *kind;
  struct json_object *service;     /* folded (fold.h) */
  struct json_object *model;       /* may be NULL */
  struct json_object *weights;     /* FineTunedWeights that it loads (adapters.h); may be NULL */
  struct json_object *overlays;    /* models that it sees besides (overlays.h); may be NULL */
  struct json_object *runtime;     /* folded; may be NULL */
  struct json_object *entry;       /* the runtime's format entry that matched; may be NULL */
  struct json_object *accelerator; /* AcceleratorClass; may be NULL */
  struct json_object *cluster;     /* "ome.io/cluster/1" */
  struct json_object *peers;       /* array of the documents composed before; may be NULL */
  struct tune *tune;               /* NULL: nothing is tuned */
};

/* *MODE says how it is to be deployed. */
int32_t component_compose(const struct component_request *req, struct json_object **out, const struct mode **mode,
                          struct ome_err *err);

/* new: "NAME-engine" */
char *component_name(const char *service, const char *kind);

#endif
