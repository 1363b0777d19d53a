/* spec.model.overlays (OME 1.3): further models whose files engines and decoders see beside the model's.  Pure.
 *
 * Each is mounted read-only at OVERLAY_MOUNT/NAME, which variable OVERLAY_NAME_MODEL_PATH says.  One that cannot be
 * had is left out and said, as OME does: the service runs without it, and gets it when it is there. */
#ifndef HOST_COMPOSE_OVERLAYS_H
#define HOST_COMPOSE_OVERLAYS_H

#include "compose/plan.h"

#define OVERLAY_MOUNT "/opt/ml/model-overlays"

/* Fills PLAN's overlays, and the sentence about those that are left out. */
int32_t overlays_find(const struct plan_world *world, struct plan *plan, struct ome_err *err);

struct overlays_request {
  struct json_object *models;    /* array: those of the plan */
  struct json_object *service;   /* folded */
  struct json_object *component; /* merged: gets volumes, mounts, variables and node selectors */
  bool grouped;                  /* it has a leader and workers */
};

int32_t overlays_apply(const struct overlays_request *req, struct ome_err *err);

/* Sets status.mountedOverlays and condition OverlaysReady in HOLDER's status, or takes them away where the service
 * names no overlay.  False when memory ran out. */
bool overlays_put_status(const struct plan *plan, struct json_object *holder, int64_t now_ms);

#endif
