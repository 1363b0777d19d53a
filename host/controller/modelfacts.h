/* What an agent found out about a model, put into the model's spec.  Pure. */
#ifndef HOST_CONTROLLER_MODELFACTS_H
#define HOST_CONTROLLER_MODELFACTS_H

#include "base/json.h"

/* Fills the fields of MODEL's spec that nobody has set from CONFIG, the "config" of an agent's report.  What a person
 * wrote stays.  *CHANGED says whether anything was filled in; false: out of memory. */
bool model_fill_spec(struct json_object *model, struct json_object *config, bool *changed);

#endif
