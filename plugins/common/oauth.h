/* Access tokens of OAuth 2 (RFC 6749): reading them, and keeping them until shortly before they end. */
#ifndef PLUGINS_COMMON_OAUTH_H
#define PLUGINS_COMMON_OAUTH_H

#include "http.h"

#include <pthread.h>

#define OAUTH_TOKEN_TEXT 8192
#define OAUTH_KEPT 8

struct oauth_token {
  char text[OAUTH_TOKEN_TEXT]; /* secret; "" is none */
  int64_t expires_s;           /* since 1970; 0: not known */
};

/* The token endpoint's answer (§5.1), which came at NOW_S; "expires_in" may be a number or a text of one.  -1: it holds
 * no token, or one that is none of a header's. */
int oauth_token_read(const char *text, size_t len, int64_t now_s, struct oauth_token *out);

/* {"error", "error_description"} (§5.2) in one line; "" none. */
void oauth_error_read(const char *text, size_t len, char *out, size_t size);

/* Who asks, and for messages: whose token it is ("gcs: /etc/key.json"), and what to do when it is refused. */
struct oauth_asking {
  const struct ome_host *host;
  const struct ome_call *call; /* may be NULL */
  const char *what, *advice;
};

/* A token from the endpoint of REQ, as identity_ask() asks. */
int32_t oauth_ask(const struct oauth_asking *w, struct ome_http_req req, struct oauth_token *out, struct ome_err *err);

/* The error for what URL answered, which is no success. */
int32_t oauth_refused(const struct oauth_asking *w, const char *url, const struct http_answer *a, struct ome_err *err);

/* Milliseconds that what was made with TOKEN may be used for. */
uint64_t oauth_life_ms(const struct oauth_token *token, int64_t now_s);

/* The tokens of an instance, by whose they are.  Any thread. */
struct oauth_cache {
  pthread_mutex_t lock;
  struct {
    char id[65];
    struct oauth_token token;
    int64_t got_s;
  } kept[OAUTH_KEPT];
  unsigned next;
};
void oauth_cache_init(struct oauth_cache *c);
void oauth_cache_fini(struct oauth_cache *c);

typedef int32_t oauth_fetch_fn(void *arg, struct oauth_token *out, struct ome_err *err);

/* The token of ID, a text that may be secret and is kept as its SHA-256 only; FETCH gets one where there is none that
 * lasts.  An empty token is an answer too, and asked for again after a minute. */
int32_t oauth_cache_get(struct oauth_cache *c, const char *id, oauth_fetch_fn *fetch, void *arg,
                        struct oauth_token *out, struct ome_err *err);

#endif
