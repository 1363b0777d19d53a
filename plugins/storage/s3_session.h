/* One call's view of a bucket: where it is, who asks, and signed requests to it. */
#ifndef PLUGINS_STORAGE_S3_SESSION_H
#define PLUGINS_STORAGE_S3_SESSION_H

#include "../common/http.h"
#include "aws_credentials.h"
#include "s3_uri.h"

#include <pthread.h>

/* The plugin's keys; s3_keys[] describes them in this order. */
enum s3_setting {
  S3_ENDPOINT,
  S3_REGION,
  S3_STYLE,
  S3_PROFILE,
  S3_ACCESS_KEY,
  S3_SECRET_KEY,
  S3_SESSION_TOKEN,
  S3_ANONYMOUS,
  S3_REQUEST_PAYER,
  S3_DIGEST,
  S3_ROLE_ARN,
  S3_TOKEN_FILE,
  S3_CREDENTIALS_FILE,
  S3_CONFIG_FILE,
  S3_STS_ENDPOINT,
  S3_METADATA,
  S3_SETTINGS
};
extern const struct ome_key *const s3_keys[];

/* The instance. */
struct s3 {
  const struct ome_host *host;
  char *settings[S3_SETTINGS]; /* NULL: not configured; some are secret */
  pthread_mutex_t lock;
  /* What the environment, files and services gave last; under lock. */
  struct aws_credentials found;
  char found_for[300]; /* profile and region; "" nothing was looked for */
  int64_t found_s;
};

int32_t s3_create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                  struct ome_err *err);
void s3_destroy(void *self);

struct s3_session {
  struct s3 *s3;
  const struct ome_call *call;
  const struct ome_model_ref *ref;
  struct s3_uri uri;
  char endpoint[512]; /* "" Amazon's */
  char region[64];
  enum s3_style style;
  char base[1024]; /* address of the bucket */
  char payer[32];  /* "" or "requester" */
  int wants_digest;
  struct aws_credentials who; /* secret */
  char scope[128];            /* OME_REQUEST_SIGV4 */
  char pair[400];             /* OME_REQUEST_CREDENTIALS; secret */
};

/* For REF's URI; *OUT is the caller's to close, also where it is NULL. */
int32_t s3_session_open(struct s3 *s3, const struct ome_call *call, const struct ome_model_ref *ref,
                        struct s3_session **out, struct ome_err *err);
void s3_session_close(struct s3_session *s);

/* Looks for its credentials again where they are about to run out. */
int32_t s3_session_renew(struct s3_session *s, struct ome_err *err);

/* Goes on in REGION. */
int32_t s3_session_move(struct s3_session *s, const char *region, struct ome_err *err);

#define S3_HEADERS 6
#define S3_SHA256_OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* What each request of the session carries: who asks, and SHA256 of its body in hex, or "UNSIGNED-PAYLOAD".  Borrows
 * from both.  Returns how many. */
uint64_t s3_headers(const struct s3_session *s, const char *sha256, struct ome_kv out[S3_HEADERS]);

/* Asks for URL without a body; any status is OME_OK. */
int32_t s3_ask(const struct s3_session *s, const char *method, const char *url, const struct ome_kv *extra,
               struct http_answer *a, struct ome_err *err);

/* The error for a status that is none of success; OBJECT (may be NULL: the URI) is what was asked for. */
int32_t s3_refused(const struct s3_session *s, const struct http_answer *a, const char *object, struct ome_err *err);

#endif
