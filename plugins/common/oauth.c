#include "oauth.h"

#include "identity.h"
#include "json.h"
#include "sha256.h"

#include <ome-sdk/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SPARE_S 300     /* tokens are renewed this long before they end */
#define LOOK_AGAIN_S 60 /* where there was none */
#define MAX_LIFE_S ((int64_t)86400)
#define DEFAULT_LIFE_S ((int64_t)600)

/* Visible characters, of which a header's value may consist. */
static int is_token(const char *text) {
  for (; *text; text++)
    if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f)
      return 0;
  return 1;
}

static int64_t life_of(struct json_object *answer) {
  struct json_object *life = NULL;
  int64_t s = 0;

  if (json_object_object_get_ex(answer, "expires_in", &life))
    s = json_object_is_type(life, json_type_string) ? strtoll(json_object_get_string(life), NULL, 10)
                                                    : json_object_get_int64(life);
  return s <= 0 ? DEFAULT_LIFE_S : s < MAX_LIFE_S ? s : MAX_LIFE_S;
}

int oauth_token_read(const char *text, size_t len, int64_t now_s, struct oauth_token *out) {
  struct json_object *answer = json_read(text, len);
  const char *token = json_text_at(answer, "access_token");
  size_t n = strlen(token);
  int rc = -1;

  if (n > 0 && n < sizeof(out->text) && is_token(token)) {
    memcpy(out->text, token, n + 1);
    out->expires_s = now_s + life_of(answer);
    rc = 0;
  }
  (void)json_object_put(answer);
  return rc;
}

void oauth_error_read(const char *text, size_t len, char *out, size_t size) {
  struct json_object *answer = json_read(text, len);
  const char *error = json_text_at(answer, "error"), *more = json_text_at(answer, "error_description");

  (void)snprintf(out, size, "%s%s%s", error, *error && *more ? ": " : "", more);
  for (; *out; out++)
    if ((unsigned char)*out < ' ' || *out == 0x7f)
      *out = ' ';
  (void)json_object_put(answer);
}

int32_t oauth_refused(const struct oauth_asking *w, const char *url, const struct http_answer *a, struct ome_err *err) {
  char what[200], why[160];

  (void)snprintf(what, sizeof(what), "%.110s: %s", w->what, url);
  oauth_error_read(a->body, a->len, why, sizeof(why));
  int32_t rc = http_refused(a, what, *why ? why : NULL, a->status / 100 == 4 ? w->advice : NULL, err);
  if (a->status == 400) /* what OAuth says of credentials that are none */
    rc = err->code = OME_E_DENIED;
  return rc;
}

int32_t oauth_ask(const struct oauth_asking *w, struct ome_http_req req, struct oauth_token *out, struct ome_err *err) {
  int64_t now_s = (int64_t)time(NULL);
  struct http_answer a = {0};
  int32_t rc = identity_ask(w->host, w->call, IDENTITY_MS, req, &a, err);

  if (rc == OME_OK && a.status != 200)
    rc = oauth_refused(w, req.url, &a, err);
  else if (rc == OME_OK && oauth_token_read(a.body, a.len, now_s, out) != 0)
    rc = ome_fail(err, OME_E_UNAVAILABLE, "%.110s: %.200s: its answer has no access token; check the address", w->what,
                  req.url);
  http_answer_fini(&a);
  return rc;
}

/* Seconds before its end that a token is no longer used; LIFE_S is what it had. */
static int64_t spare_of(int64_t life_s) {
  return life_s > 2 * SPARE_S ? SPARE_S : life_s / 2;
}

uint64_t oauth_life_ms(const struct oauth_token *token, int64_t now_s) {
  int64_t left = token->expires_s - now_s;

  left -= spare_of(left);
  return left > 0 ? (uint64_t)left * 1000 : 500;
}

/* ---- the cache --------------------------------------------------------------------------------------------------- */

void oauth_cache_init(struct oauth_cache *c) {
  memset(c, 0, sizeof(*c));
  (void)pthread_mutex_init(&c->lock, NULL);
}

void oauth_cache_fini(struct oauth_cache *c) {
  (void)pthread_mutex_destroy(&c->lock);
  explicit_bzero(c, sizeof(*c));
}

static int is_fresh(const struct oauth_token *t, int64_t got_s, int64_t now_s) {
  if (!*t->text)
    return now_s - got_s < LOOK_AGAIN_S;
  return now_s < t->expires_s - spare_of(t->expires_s - got_s);
}

static unsigned slot_of(struct oauth_cache *c, const char *id) {
  for (unsigned i = 0; i < OAUTH_KEPT; i++)
    if (strcmp(c->kept[i].id, id) == 0)
      return i;
  c->next = (c->next + 1) % OAUTH_KEPT;
  c->kept[c->next].id[0] = '\0';
  return c->next;
}

int32_t oauth_cache_get(struct oauth_cache *c, const char *id, oauth_fetch_fn *fetch, void *arg,
                        struct oauth_token *out, struct ome_err *err) {
  int64_t now_s = (int64_t)time(NULL);
  char hash[SHA256_TEXT];
  int32_t rc = OME_OK;

  if (sha256_of(id, strlen(id), hash) != 0)
    return ome_fail(err, OME_E_NO_MEMORY, "out of memory");
  (void)pthread_mutex_lock(&c->lock); /* held while fetching: the others want the same token */
  unsigned i = slot_of(c, hash);
  if (!*c->kept[i].id || !is_fresh(&c->kept[i].token, c->kept[i].got_s, now_s)) {
    c->kept[i].id[0] = '\0';
    c->kept[i].token = (struct oauth_token){.expires_s = 0};
    rc = fetch(arg, &c->kept[i].token, err);
    if (rc == OME_OK) {
      memcpy(c->kept[i].id, hash, sizeof(hash));
      c->kept[i].got_s = now_s;
    }
  }
  if (rc == OME_OK)
    *out = c->kept[i].token;
  (void)pthread_mutex_unlock(&c->lock);
  return rc;
}
