/* Workload identity federation (https://google.aip.dev/auth/4117): credentials of type external_account, which exchange
 * a token that somebody else has given for one of Google's.  Reads outside bytes, does no I/O. */
#ifndef PLUGINS_STORAGE_GCS_EXTERNAL_H
#define PLUGINS_STORAGE_GCS_EXTERNAL_H

#include "../common/oauth.h"

#include <stddef.h>
#include <stdint.h>

#define GCS_EXTERNAL_HEADERS 8
#define GCS_SUBJECT_TOKEN ((size_t)32 << 10)

/* Where the subject's token comes from. */
enum gcs_source { GCS_SOURCE_FILE, GCS_SOURCE_URL, GCS_SOURCE_PROGRAM, GCS_SOURCE_AWS, GCS_SOURCE_CERTIFICATE };

struct gcs_external { /* secret */
  char audience[1024], subject_type[128], token_url[1024];
  char impersonation_url[1024]; /* "": the exchanged token is used as it is */
  int lifetime_s;               /* of the impersonated account's token */
  enum gcs_source source;
  char file[1024];
  char url[1024];                         /* of AWS: the metadata service's */
  char field[128];                        /* of a JSON object that it is in; "": it is there as it is */
  char command[4096], output_file[1024];  /* of a program, which may keep its answer in the latter; "" it does not */
  int timeout_s;                          /* of the program */
  char environment[16], verify_url[1024]; /* of AWS: "aws1", and where Google asks who we are there */
  char certificates[1024], chain[1024];   /* of a certificate: gcloud's configuration, "" the usual one; its issuers */
  struct {
    char name[128], value[1024];
  } headers[GCS_EXTERNAL_HEADERS]; /* for URL */
  uint32_t nheaders;
  char client_id[256], client_secret[256]; /* "" none */
  char user_project[128];                  /* of a workforce pool; "" none */
};

/* Whether TEXT is JSON of type external_account. */
int gcs_is_external(const char *text, size_t len);

/* The JSON that `gcloud iam workload-identity-pools create-cred-config` writes.  WHERE is for messages. */
int32_t gcs_external_read(const char *text, size_t len, const char *where, struct gcs_external *out,
                          struct ome_err *err);

/* The subject's token in what X's file or address holds; secret, the caller's to free; NULL: there is none. */
char *gcs_subject_token(const struct gcs_external *x, const char *text, size_t len);

/* The same in what a program printed, or, KEPT, left in its output file, where it has to say for how long it is good.
 * What has ended by NOW_S is none.  WHAT is for messages. */
int32_t gcs_program_token(const char *text, size_t len, int kept, int64_t now_s, const char *what, char **out,
                          struct ome_err *err);

/* The files of the workload's certificate and its key, as gcloud's certificate_config.json TEXT has them; -1: it has
 * none, or they are too long. */
#define GCS_PATH_TEXT 1024
int gcs_certificate_files(const char *text, size_t len, char cert[GCS_PATH_TEXT], char key[GCS_PATH_TEXT]);

/* The first certificate in PEM, then those of CHAIN (may be NULL) but for the same at its top: a JSON array of base64,
 * the caller's to free; NULL: PEM holds none, or CHAIN has it further down. */
char *gcs_certificate_subject(const char *pem, const char *chain);

/* The account that X impersonates, for its program; "" none. */
void gcs_impersonated(const struct gcs_external *x, char *out, size_t size);

/* The form of the exchange (RFC 8693 §2.1); secret, the caller's to free; NULL: out of memory. */
char *gcs_exchange_form(const struct gcs_external *x, const char *subject_token);

/* The body that asks for the impersonated account's token, and its answer of NOW_S; -1: it has none. */
void gcs_impersonation_body(const struct gcs_external *x, char *out, size_t size);
int gcs_impersonation_read(const struct gcs_external *x, const char *text, size_t len, int64_t now_s,
                           struct oauth_token *out);

#endif
