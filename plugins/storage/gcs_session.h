/* One call's view of a bucket: where it is, who asks, and requests to it. */
#ifndef PLUGINS_STORAGE_GCS_SESSION_H
#define PLUGINS_STORAGE_GCS_SESSION_H

#include "../common/http.h"
#include "../common/oauth.h"
#include "gcs_uri.h"

/* The plugin's keys; gcs_keys[] describes them in this order. */
enum gcs_setting {
  GCS_ENDPOINT,
  GCS_CREDENTIALS,
  GCS_CREDENTIALS_FILE,
  GCS_TOKEN_ENDPOINT,
  GCS_USER_PROJECT,
  GCS_ANONYMOUS,
  GCS_METADATA,
  GCS_SETTINGS
};
extern const struct ome_key *const gcs_keys[];

/* The instance. */
struct gcs {
  const struct ome_host *host;
  char *settings[GCS_SETTINGS]; /* NULL: not configured; some are secret */
  struct oauth_cache tokens;
};

int32_t gcs_create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                   struct ome_err *err);
void gcs_destroy(void *self);

struct gcs_session {
  struct gcs *gcs;
  const struct ome_call *call;
  const struct ome_model_ref *ref;
  struct gcs_uri uri;
  char endpoint[512];
  int is_models_endpoint;                   /* the model named it: nothing of this machine's goes there */
  int is_emulator;                          /* $STORAGE_EMULATOR_HOST named it */
  struct oauth_token token;                 /* secret; "" nobody asks */
  char authorization[OAUTH_TOKEN_TEXT + 8]; /* secret */
  char project[128];                        /* that pays; "" the bucket's */
};

/* For REF's URI; *OUT is the caller's to close, also where it is NULL. */
int32_t gcs_session_open(struct gcs *gcs, const struct ome_call *call, const struct ome_model_ref *ref,
                         struct gcs_session **out, struct ome_err *err);
void gcs_session_close(struct gcs_session *s);

/* The model's own value of any of NAMES, in any case; NULL. */
const char *gcs_param(const struct gcs_session *s, const char *const *names);

#define GCS_HEADERS 3

/* What each request carries.  Borrows from S; returns how many. */
uint64_t gcs_headers(const struct gcs_session *s, struct ome_kv out[GCS_HEADERS]);

/* GETs URL; any status is OME_OK. */
int32_t gcs_ask(const struct gcs_session *s, const char *url, struct http_answer *a, struct ome_err *err);

/* The error for a status that is none of success; OBJECT (may be NULL: the URI) is what was asked for. */
int32_t gcs_refused(const struct gcs_session *s, const struct http_answer *a, const char *object, struct ome_err *err);

#endif
