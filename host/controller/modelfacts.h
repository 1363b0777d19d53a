/* What an agent found out about a model, put into the model's spec.  Pure. */
#ifndef HOST_CONTROLLER_MODELFACTS_H
#define HOST_CONTROLLER_MODELFACTS_H

#include "base/buf.h"
#include "base/json.h"

/* Fills the fields of MODEL's spec that nobody has set from CONFIG, the "config" of an agent's report.  What a person
 * wrote stays; modelConfiguration alone is always CONFIG's, as OME has it.  *CHANGED says whether anything was filled
 * in; false: out of memory. */
bool model_fill_spec(struct json_object *model, struct json_object *config, bool *changed);

/* The same for a FineTunedWeight: spec.configuration gets what the adapter's files say, and hyperParameters.strategy
 * its kind ("lora").  What a person wrote stays. */
bool weights_fill_spec(struct json_object *weights, struct json_object *config, bool *changed);
/* As model_disagreement(); BASE, NULL where there is none, is the model that spec.baseModelRef names. */
bool weights_disagreement(struct json_object *weights, struct json_object *base, struct json_object *config,
                          struct buf *out);

/* Adds to OUT each field of MODEL's spec that says something else than CONFIG does; false: there is none.  A size may
 * be cut or rounded, capabilities may be more than were found. */
bool model_disagreement(struct json_object *model, struct json_object *config, struct buf *out);

#endif
