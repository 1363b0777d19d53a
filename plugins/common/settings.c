#include "settings.h"

#include "http.h"
#include "secret.h"

#include <ome-sdk/error.h>

#include <string.h>

int32_t settings_keep(const struct ome_key *const *keys, const struct ome_kv *cfg, uint32_t ncfg, char **out,
                      struct ome_err *err) {
  for (size_t i = 0; keys[i]; i++) {
    const char *value = kv_text(cfg, ncfg, keys[i]->name);
    if (value && !(out[i] = strdup(value)))
      return ome_fail(err, OME_E_NO_MEMORY, "out of memory");
  }
  return OME_OK;
}

void settings_forget(char **settings, size_t n) {
  for (size_t i = 0; i < n; i++) {
    secret_forget(settings[i], settings[i] ? strlen(settings[i]) : 0);
    settings[i] = NULL;
  }
}
