/* Settings for the engine of a component, computed by scorer plugins (ome_scorer_ops.tune) from the model, the
 * accelerator and what the service wants.  What runtime or person have set wins.  Pure but for plugin calls.
 *
 * Annotations of the service: ome.io/tuning: "off" ends it (on the runtime, too), ome.io/context-length and
 * ome.io/concurrency say what must fit. */
#ifndef HOST_COMPOSE_TUNE_H
#define HOST_COMPOSE_TUNE_H

#include "plugin/plugin.h"
#include "select/select.h"

struct tune {
  struct plugins *plugins;
  const struct select_model *model;
  const struct select_runtime *runtime;
  /* What came of it: the caller's. */
  struct json_object *record; /* array of {component, kind, name, value, reason, by, applied} */
  char unfit[768];            /* "" or why the model does not fit as asked, and what would; for people */
};

struct tune_target {
  const char *kind;                /* "engine", "decoder" */
  struct json_object *service;     /* folded */
  struct json_object *runtime;     /* folded */
  struct json_object *accelerator; /* AcceleratorClass; NULL: nothing is tuned */
  struct json_object *component;   /* merged: gets the settings */
  bool grouped;                    /* it has a leader and workers */
};

int32_t tune_component(struct tune *tune, const struct tune_target *to, struct ome_err *err);

#endif
