/* One call's view of a container: where it is, who asks, and requests to it. */
#ifndef PLUGINS_STORAGE_AZURE_SESSION_H
#define PLUGINS_STORAGE_AZURE_SESSION_H

#include "../common/http.h"
#include "../common/oauth.h"
#include "azure_sas.h"
#include "azure_uri.h"

/* The plugin's keys; azure_keys[] describes them in this order. */
enum azure_setting {
  AZURE_ENDPOINT,
  AZURE_ACCOUNT_NAME,
  AZURE_ACCOUNT_KEY,
  AZURE_SAS_TOKEN,
  AZURE_CONNECTION_STRING,
  AZURE_TENANT_ID,
  AZURE_CLIENT_ID,
  AZURE_CLIENT_SECRET,
  AZURE_FEDERATED_TOKEN_FILE,
  AZURE_AUTHORITY_HOST,
  AZURE_ANONYMOUS,
  AZURE_MANAGED_IDENTITY,
  AZURE_SETTINGS
};
extern const struct ome_key *const azure_keys[];

/* The instance. */
struct azure {
  const struct ome_host *host;
  char *settings[AZURE_SETTINGS]; /* NULL: not configured; some are secret */
  struct oauth_cache tokens;
};

int32_t azure_create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                     struct ome_err *err);
void azure_destroy(void *self);

struct azure_session {
  struct azure *azure;
  const struct ome_call *call;
  const struct ome_model_ref *ref;
  struct azure_uri uri;
  struct azure_connection own, machine;     /* secret: what the model brings, what this machine has for the account */
  int is_models_endpoint;                   /* the model named it: nothing of this machine's goes there */
  char endpoint[512];                       /* of the account */
  char query[AZURE_SAS_TEXT];               /* secret: a shared access signature; "" */
  struct oauth_token token;                 /* secret; "" */
  char authorization[OAUTH_TOKEN_TEXT + 8]; /* secret; "" */
  int64_t expires_s;                        /* of whichever of them; 0: it does not say */
};

/* For REF's URI, with a signature for PERMISSIONS ("rl") where a key makes one; *OUT is the caller's to close, also
 * where it is NULL. */
int32_t azure_session_open(struct azure *azure, const struct ome_call *call, const struct ome_model_ref *ref,
                           const char *permissions, struct azure_session **out, struct ome_err *err);
void azure_session_close(struct azure_session *s);

/* Whether nobody is to ask. */
int azure_is_anonymous(const struct azure_session *s);

/* Milliseconds that what was made now may be used for; 0: for ever. */
uint64_t azure_life_ms(const struct azure_session *s);

#define AZURE_HEADERS 2

/* What each request carries beside the query.  Borrows from S; returns how many. */
uint64_t azure_headers(const struct azure_session *s, struct ome_kv out[AZURE_HEADERS]);

/* Asks for URL, the signature not yet in it; any status is OME_OK. */
int32_t azure_ask(const struct azure_session *s, const char *method, const char *url, struct http_answer *a,
                  struct ome_err *err);

/* The error for a status that is none of success; BLOB (may be NULL: the URI) is what was asked for. */
int32_t azure_refused(const struct azure_session *s, const struct http_answer *a, const char *blob,
                      struct ome_err *err);

#endif
