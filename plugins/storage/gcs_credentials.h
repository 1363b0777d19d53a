/* Who asks Cloud Storage: the model's own credentials, this machine's, its metadata server's, nobody. */
#ifndef PLUGINS_STORAGE_GCS_CREDENTIALS_H
#define PLUGINS_STORAGE_GCS_CREDENTIALS_H

#include "gcs_session.h"

/* A token for the session's requests, "" where nobody is to ask.  Kept and renewed by the instance. */
int32_t gcs_identify(const struct gcs_session *s, struct oauth_token *out, struct ome_err *err);

#endif
