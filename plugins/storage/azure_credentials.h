/* Who asks the Blob service: a key, a shared access signature, an identity of Entra, nobody. */
#ifndef PLUGINS_STORAGE_AZURE_CREDENTIALS_H
#define PLUGINS_STORAGE_AZURE_CREDENTIALS_H

#include "azure_session.h"

/* The model's own value of any of NAMES, in any case; NULL. */
const char *azure_param(const struct azure_session *s, const char *const *names);

/* Fills S->own and S->machine: keys, signatures and connection strings. */
int32_t azure_connections(struct azure_session *s, struct ome_err *err);

/* Fills what S's requests carry. */
int32_t azure_identify(struct azure_session *s, const char *permissions, struct ome_err *err);

#endif
