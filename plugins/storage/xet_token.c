#include "xet_token.h"

#include "../common/http.h"
#include "../common/json.h"

#include <ome-sdk/error.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EARLY_S 30 /* a token is not used so shortly before its end */

struct xet_tokens {
  const struct ome_host *host;
  pthread_mutex_t lock; /* also held while a token is asked for: one request is enough for all */
  char *owner;          /* token_url and bearer that `last` was given to; NULL: there is none.  Secret */
  int64_t expires;      /* seconds since 1970 */
  struct xet_token last;
};

struct xet_tokens *xet_tokens_new(const struct ome_host *host) {
  struct xet_tokens *t = calloc(1, sizeof(*t));

  if (t) {
    t->host = host;
    (void)pthread_mutex_init(&t->lock, NULL);
  }
  return t;
}

void xet_tokens_free(struct xet_tokens *t) {
  if (!t)
    return;
  (void)pthread_mutex_destroy(&t->lock);
  free(t->owner);
  free(t);
}

static int is_address(const char *url) {
  return strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0;
}

/* {"accessToken", "casUrl", "exp"} */
static int32_t take(struct xet_tokens *t, const struct xet_file *f, const struct http_answer *a, struct ome_err *err) {
  struct json_object *o = json_read(a->body, a->len), *exp = NULL;
  const char *token = json_text_at(o, "accessToken"), *cas = json_text_at(o, "casUrl");
  size_t len = strlen(cas);
  int32_t rc = OME_OK;

  while (len && cas[len - 1] == '/')
    len--;
  if (!*token || strlen(token) > 4096 || strpbrk(token, "\r\n") || !is_address(cas) || len >= sizeof(t->last.cas)) {
    rc = ome_fail(err, OME_E_UNAVAILABLE, "hf: %.200s: the hub's answer holds no token for its Xet storage", f->name);
  } else {
    (void)snprintf(t->last.cas, sizeof(t->last.cas), "%.*s", (int)len, cas);
    (void)snprintf(t->last.bearer, sizeof(t->last.bearer), "Bearer %s", token);
    t->expires = json_object_object_get_ex(o, "exp", &exp) ? json_object_get_int64(exp) : 0;
  }
  (void)json_object_put(o);
  return rc;
}

static int32_t ask_locked(struct xet_tokens *t, const struct ome_call *call, const struct xet_file *f,
                          struct ome_err *err) {
  const struct ome_kv headers[] = {{"accept", "application/json"}, {"authorization", f->bearer}};
  const struct ome_http_req req = {.struct_size = sizeof(req),
                                   .url = f->token_url,
                                   .headers = headers,
                                   .nheaders = f->bearer ? 2 : 1,
                                   .max_body = 64u << 10};
  struct http_answer a = {0};
  char what[300];

  int32_t rc = http_perform(t->host, call, &req, &a, err);
  if (rc == OME_OK && a.status != 200) {
    (void)snprintf(what, sizeof(what), "hf: %.200s: a token for Xet storage", f->name);
    rc = http_refused(&a, what, http_answer_header(&a, "x-error-message"), NULL, err);
  }
  if (rc == OME_OK)
    rc = take(t, f, &a, err);
  http_answer_fini(&a);
  return rc;
}

static char *owner_of(const struct xet_file *f) {
  size_t size = strlen(f->token_url) + (f->bearer ? strlen(f->bearer) : 0) + 2;
  char *text = malloc(size);

  if (text)
    (void)snprintf(text, size, "%s\n%s", f->token_url, f->bearer ? f->bearer : "");
  return text;
}

int32_t xet_token_get(struct xet_tokens *t, const struct ome_call *call, const struct xet_file *f,
                      const struct xet_token *refused, struct xet_token *out, struct ome_err *err) {
  char *owner = owner_of(f);
  int32_t rc = OME_OK;

  if (!owner)
    return ome_fail(err, OME_E_NO_MEMORY, "hf: out of memory");
  (void)pthread_mutex_lock(&t->lock);
  int fits = t->owner && strcmp(t->owner, owner) == 0 && t->expires - EARLY_S > (int64_t)time(NULL) &&
             !(refused && strcmp(refused->bearer, t->last.bearer) == 0);
  if (!fits) {
    free(t->owner);
    t->owner = NULL;
    rc = ask_locked(t, call, f, err);
    if (rc == OME_OK) {
      t->owner = owner;
      owner = NULL;
    }
  }
  if (rc == OME_OK)
    *out = t->last;
  (void)pthread_mutex_unlock(&t->lock);
  free(owner);
  return rc;
}
