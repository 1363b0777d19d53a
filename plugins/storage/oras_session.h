/* Requests to one repository of a registry: addresses, credentials, the token flow of the distribution specification.
 */
#ifndef PLUGINS_STORAGE_ORAS_SESSION_H
#define PLUGINS_STORAGE_ORAS_SESSION_H

#include "../common/http.h"
#include "oras_auth.h"
#include "oras_uri.h"

#include <pthread.h>

#define ORAS_TOKENS 64

/* What is sent for a repository until its time. */
struct oras_token {
  char *key;           /* "https://host/v2/repository pull WHO" */
  char *authorization; /* "" nothing is asked for; secret */
  uint64_t expires_ms; /* CLOCK_MONOTONIC */
};

struct oras_waiting; /* oras.c: a file that is to be put into a manifest */

/* The instance. */
struct oras {
  const struct ome_host *host;
  char *username, *password, *config; /* of plugins.conf; CONFIG: path */
  int plain_http;
  pthread_mutex_t lock; /* for the tokens and who waits */
  struct oras_token tokens[ORAS_TOKENS];
  unsigned next_token;
  struct oras_waiting *waiting;
  pthread_mutex_t writing; /* one manifest is changed at a time; taken before LOCK */
};

struct oras_session {
  struct oras *oras;
  const struct ome_call *call;
  const struct ome_model_ref *ref;
  struct ome_uploader *to; /* NULL: through the host's HTTP service */
  const char *actions;     /* "pull" or "pull,push" */
  struct oras_uri at;
  char origin[300];    /* "https://host:port" */
  char base[600];      /* ORIGIN/v2/REPOSITORY */
  char *authorization; /* secret; "" none, NULL: not known yet */
  uint64_t expires_ms;
};

/* Parses the address and looks a token up that is still good; no I/O. */
int32_t oras_session_init(struct oras_session *s, struct ome_err *err);
void oras_session_fini(struct oras_session *s);

#define ORAS_KEY 800

/* Where, what for, and as whom: a model never gets what another model's Secret opened.  0: out of memory. */
int oras_key(const struct oras_session *s, char out[ORAS_KEY]);

struct oras_request {
  const char *method;
  const char *url;    /* relative to BASE when it begins with '/', else absolute */
  const char *accept; /* NULL: anything */
  const char *type;   /* of the body; NULL: no body */
  struct ome_bytes body;
  uint64_t len; /* of the file, when BODY is NULL and TYPE is set: only with TO */
};

/* Any status but 401 is OME_OK; 401 is answered with credentials once, then OME_E_DENIED.  A is the caller's to end. */
int32_t oras_ask(struct oras_session *s, const struct oras_request *req, struct http_answer *a, struct ome_err *err);

/* The error for a status that is none of success. */
int32_t oras_refused(const struct oras_session *s, const struct http_answer *a, const char *what, struct ome_err *err);

void oras_tokens_fini(struct oras *o);
uint64_t oras_now_ms(void);

#endif
