/* Workload identity federation (https://google.aip.dev/auth/4117): credentials of type external_account, which exchange
 * a token that somebody else has given for one of Google's.  Reads outside bytes, does no I/O. */
#ifndef PLUGINS_STORAGE_GCS_EXTERNAL_H
#define PLUGINS_STORAGE_GCS_EXTERNAL_H

#include "../common/oauth.h"

#include <stddef.h>
#include <stdint.h>

#define GCS_EXTERNAL_HEADERS 8
#define GCS_SUBJECT_TOKEN ((size_t)32 << 10)

struct gcs_external { /* secret */
  char audience[1024], subject_type[128], token_url[1024];
  char impersonation_url[1024]; /* "": the exchanged token is used as it is */
  int lifetime_s;               /* of the impersonated account's token */
  char file[1024], url[1024];   /* where the subject's token is: one of them is set */
  char field[128];              /* of a JSON object that it is in; "": it is there as it is */
  struct {
    char name[128], value[1024];
  } headers[GCS_EXTERNAL_HEADERS]; /* for URL */
  uint32_t nheaders;
  char client_id[256], client_secret[256]; /* "" none */
  char user_project[128];                  /* of a workforce pool; "" none */
};

/* Whether TEXT is JSON of type external_account. */
int gcs_is_external(const char *text, size_t len);

/* The JSON that `gcloud iam workload-identity-pools create-cred-config` writes.  Sources other than a file and a URL
 * (programs, AWS, certificates) are refused by name.  WHERE is for messages. */
int32_t gcs_external_read(const char *text, size_t len, const char *where, struct gcs_external *out,
                          struct ome_err *err);

/* The subject's token in what X's file or address holds; secret, the caller's to free; NULL: there is none. */
char *gcs_subject_token(const struct gcs_external *x, const char *text, size_t len);

/* The form of the exchange (RFC 8693 §2.1); secret, the caller's to free; NULL: out of memory. */
char *gcs_exchange_form(const struct gcs_external *x, const char *subject_token);

/* The body that asks for the impersonated account's token, and its answer of NOW_S; -1: it has none. */
void gcs_impersonation_body(const struct gcs_external *x, char *out, size_t size);
int gcs_impersonation_read(const struct gcs_external *x, const char *text, size_t len, int64_t now_s,
                           struct oauth_token *out);

#endif
