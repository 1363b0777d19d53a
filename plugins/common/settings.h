/* What plugins.conf says of a plugin, kept by its instance: texts in the order of its keys. */
#ifndef PLUGINS_COMMON_SETTINGS_H
#define PLUGINS_COMMON_SETTINGS_H

#include <ome/abi.h>

/* Copies what CFG sets of KEYS, which NULL ends, into OUT, which is zeroed; what is not set, or to "", stays NULL. */
int32_t settings_keep(const struct ome_key *const *keys, const struct ome_kv *cfg, uint32_t ncfg, char **out,
                      struct ome_err *err);
/* Overwrites and frees them: some are secret. */
void settings_forget(char **settings, size_t n);

#endif
