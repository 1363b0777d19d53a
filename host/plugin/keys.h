/* Configuration keys of a factory: checked, converted and defaulted by the host.  Pure. */
#ifndef HOST_PLUGIN_KEYS_H
#define HOST_PLUGIN_KEYS_H

#include "base/json.h"

#include <ome/abi.h>

struct keys {
  struct ome_kv *pairs;
  uint32_t n;
};

/* Values for every key of FACTORY from SETTINGS (a JSON object, may be NULL) and the defaults.  The error names the
 * key. Sizes and durations arrive in decimal bytes and milliseconds. */
int32_t keys_resolve(const struct ome_factory *f, struct json_object *settings, struct keys *out, struct ome_err *err);
void keys_fini(struct keys *k); /* values are wiped: some are secret */

const char *key_type_name(uint32_t type); /* "string", "size", ... */

#endif
