/* Tokens of credentials of type external_account. */
#ifndef PLUGINS_STORAGE_GCS_FEDERATION_H
#define PLUGINS_STORAGE_GCS_FEDERATION_H

#include "gcs_session.h"

/* With the JSON TEXT that WHERE, a file or setting of this machine's, has: it says where the subject's token is and who
 * is asked, so a model's own never comes here.  Kept and renewed by the instance; the subject's token is read anew. */
int32_t gcs_federate(const struct gcs_session *s, const char *text, const char *where, struct oauth_token *out,
                     struct ome_err *err);

#endif
