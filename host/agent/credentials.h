/* What a model's Secret and spec.storage.parameters hand to the storage plugin.  Pure; the caller asks for the Secret
 * when it is needed and keeps nothing. */
#ifndef HOST_AGENT_CREDENTIALS_H
#define HOST_AGENT_CREDENTIALS_H

#include "base/err.h"
#include "base/json.h"
#include "base/vec.h"

struct credentials {
  VEC(struct ome_kv) list; /* secret; what comes first wins */
};
void credentials_fini(struct credentials *c); /* wipes the values */
#define _cleanup_credentials_ _cleanup_(credentials_fini)

/* Copies one pair; false: out of memory. */
bool credentials_add(struct credentials *c, const char *key, const char *value);

/* Every key of SECRET's data under its own name (".dockerconfigjson", "access_key_id"), after "token", which is the key
 * spec.storage.parameters.secretKey, by default the one of that name.  OME_E_NOT_FOUND: it lacks a key that was named,
 * or is empty. */
int32_t credentials_of_secret(struct credentials *c, struct json_object *model, struct json_object *secret,
                              struct ome_err *err);

/* spec.storage.parameters of MODEL. */
int32_t credentials_of_parameters(struct credentials *c, struct json_object *model, struct ome_err *err);

#endif
