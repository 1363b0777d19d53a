/* Who asks Cloud Storage: the model's own credentials, this machine's, its metadata server's, nobody. */
#ifndef PLUGINS_STORAGE_GCS_CREDENTIALS_H
#define PLUGINS_STORAGE_GCS_CREDENTIALS_H

#include "gcs_session.h"

/* A token for the session's requests, "" where nobody is to ask.  Kept and renewed by the instance. */
int32_t gcs_identify(const struct gcs_session *s, struct oauth_token *out, struct ome_err *err);

/* One request to who gives out tokens, which is sent nowhere else; any status is OME_OK, A is the caller's to end. */
int32_t gcs_ask_identity(const struct gcs_session *s, uint32_t ms, struct ome_http_req req, struct http_answer *a,
                         struct ome_err *err);

#endif
