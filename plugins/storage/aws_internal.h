/* What the sources of Amazon's credentials share. */
#ifndef PLUGINS_STORAGE_AWS_INTERNAL_H
#define PLUGINS_STORAGE_AWS_INTERNAL_H

#include "../common/http.h"
#include "../common/json.h"
#include "aws_credentials.h"

#define AWS_SERVICE_MS 10000

struct profile_files {
  char *credentials, *config; /* NULL: there is none; secret */
};

/* A setting of PROFILE, the credentials file's before the config file's; 0: not set, "". */
int aws_setting_of(const struct profile_files *f, const char *profile, const char *key, char *out, size_t size);

/* One request to a service of the platform; it is never sent elsewhere.  A is the caller's to end. */
int32_t aws_ask(const struct aws_sources *s, uint32_t ms, struct ome_http_req req, struct http_answer *a,
                struct ome_err *err);

/* SESSION may be NULL. */
int32_t aws_credentials_set(struct aws_credentials *out, const char *access, const char *secret, const char *session,
                            struct ome_err *err);

/* O's AccessKeyId, SecretAccessKey, Expiration, and the session's token under the name SESSION; WHAT is for messages.
 */
int32_t aws_document_read(struct json_object *o, const char *session, const char *what, struct aws_credentials *out,
                          struct ome_err *err);

/* The same in an answer, as the services of containers and instances give it. */
int32_t aws_document_take(const struct http_answer *a, const char *what, struct aws_credentials *out,
                          struct ome_err *err);

/* ---- OME_OK with an empty access_key where there is nothing of the kind ---- */
/* IMDSv2: a token first, then the name of the instance's role, then its credentials. */
int32_t aws_find_instance(const struct aws_sources *s, struct aws_credentials *out, struct ome_err *err);
/* The profile's credential_process. */
int32_t aws_find_process(const struct aws_sources *s, const struct profile_files *f, const char *profile,
                         struct aws_credentials *out, struct ome_err *err);
/* The profile's single sign-on: what `aws sso login` has left, renewed when it is about to end, exchanged for keys of a
 * role. */
int32_t aws_find_sso(const struct aws_sources *s, const struct profile_files *f, const char *profile,
                     struct aws_credentials *out, struct ome_err *err);

#endif
