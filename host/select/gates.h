/* What a runtime must pass before it is scored: rules about documents that scorers do not see. */
#ifndef HOST_SELECT_GATES_H
#define HOST_SELECT_GATES_H

#include "select/facts.h"

#include <stdbool.h>

/* Whether a service in NS sees RUNTIME. */
bool gate_namespace(const struct select_runtime *runtime, const char *ns);

/* Whether RUNTIME may serve SERVICE (NULL: a bare model is asked about) at all: not disabled, and
 * where both state a component's mode, it is the same.  Otherwise WHY says why not. */
bool gate_runtime(const struct select_runtime *runtime, struct json_object *service, char *why, size_t cap);

/* Whether RUNTIME, if it says which of models' capabilities it serves, serves one that MODEL says it has.  An
 * architecture does not tell: a model that embeds text may have the same as one that writes it. */
bool gate_capabilities(const struct select_runtime *runtime, const struct select_model *model, char *why, size_t cap);

#endif
