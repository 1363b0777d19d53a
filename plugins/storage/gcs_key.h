/* Google's files of credentials, and what a service account signs to get a token.  Reads outside bytes, does no I/O. */
#ifndef PLUGINS_STORAGE_GCS_KEY_H
#define PLUGINS_STORAGE_GCS_KEY_H

#include <ome/abi.h>

#include <stddef.h>
#include <stdint.h>

#define GCS_TOKEN_URI "https://oauth2.googleapis.com/token"
#define GCS_SCOPE "https://www.googleapis.com/auth/devstorage.read_write"

enum gcs_key_kind { GCS_KEY_SERVICE_ACCOUNT, GCS_KEY_USER };

struct gcs_key { /* secret */
  enum gcs_key_kind kind;
  char email[256], key_id[128]; /* of a service account */
  char token_uri[512];
  char client_id[256], client_secret[256], refresh_token[2048]; /* of a user */
  char private_key[8192];                                       /* of a service account, PEM */
};

/* The JSON that the console and gcloud write, of type service_account or authorized_user.  FROM_MODEL: it is a model's
 * own, and its token_uri has to be Google's: else any model could have this machine call any address.  WHERE is for
 * messages.  Other types are refused by name; external_account, which calls
 * addresses of its choice, is read by gcs_external.h where it is this machine's. */
int32_t gcs_key_read(const char *text, size_t len, int from_model, const char *where, struct gcs_key *out,
                     struct ome_err *err);

/* Whether URL is an https address of Google's APIs. */
int gcs_is_googles(const char *url);

/* The claims of a service account that wants a token (RFC 7523 §3); the caller's to free; NULL: out of memory. */
char *gcs_claims(const struct gcs_key *key, int64_t now_s);

/* Them as signed JSON web token (RFC 7515, RS256); the caller's to free; NULL: the key is none for RSA. */
char *gcs_assertion(const struct gcs_key *key, int64_t now_s);

/* The form that gets a token, secret; the caller's to free; NULL: the key is none for RSA. */
char *gcs_token_form(const struct gcs_key *key, int64_t now_s);

#endif
