/* The facts of a model that is not here: what `model_facts_of_path()` is for a folder, for an address. */
#ifndef HOST_TRANSFER_REMOTE_MODEL_H
#define HOST_TRANSFER_REMOTE_MODEL_H

#include "model/facts.h"
#include "plugin/plugin.h"

/* Lists REF through PLUGIN and reads the first bytes of the files that say something: small ones whole, of weights
 * their headers, all of a kind at once.  No weights are fetched: at most one ranged request for each safetensors file
 * that an index describes, a few for others.  Errors as model_facts_read()'s and the plugin's.  [any-thread] */
int32_t remote_model_facts(struct plugin_instance *plugin, const struct plugin_call *call,
                           const struct ome_model_ref *ref, struct model_facts *out, struct ome_err *err);

#endif
