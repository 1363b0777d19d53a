#include "oras_session.h"

#include <ome-sdk/error.h>

#include "../common/secret.h"
#include "../common/sha256.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FOREVER_MS (12ull * 3600 * 1000)
#define MAX_CONFIG (1u << 20)

uint64_t oras_now_ms(void) {
  struct timespec t;

  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int32_t no_memory(struct ome_err *err) {
  return ome_fail(err, OME_E_NO_MEMORY, "oras: out of memory");
}

/* ---- tokens that are still good ---------------------------------------------------------------------------------- */

static void token_free(struct oras_token *t) {
  free(t->key);
  free(t->authorization);
  memset(t, 0, sizeof(*t));
}

void oras_tokens_fini(struct oras *o) {
  for (unsigned i = 0; i < ORAS_TOKENS; i++)
    token_free(&o->tokens[i]);
}

int oras_key(const struct oras_session *s, char out[ORAS_KEY]) {
  static const char *const names[] = {"username", "password", ".dockerconfigjson"};
  char who[SHA256_TEXT];
  struct sha256 *hash = sha256_new();

  if (!hash)
    return 0;
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    const char *value = kv_text(s->ref->params, s->ref->nparams, names[i]);
    sha256_add(hash, value ? value : "", value ? strlen(value) + 1 : 1);
  }
  sha256_end(hash, who);
  (void)snprintf(out, ORAS_KEY, "%s %s %s", s->base, s->actions, who);
  return 1;
}

static void recall(struct oras_session *s) {
  char key[ORAS_KEY];
  uint64_t now = oras_now_ms();

  if (!oras_key(s, key))
    return;
  (void)pthread_mutex_lock(&s->oras->lock);
  for (unsigned i = 0; i < ORAS_TOKENS; i++) {
    const struct oras_token *t = &s->oras->tokens[i];
    if (t->key && strcmp(t->key, key) == 0 && t->expires_ms > now) {
      s->authorization = strdup(t->authorization);
      s->expires_ms = t->expires_ms;
    }
  }
  (void)pthread_mutex_unlock(&s->oras->lock);
}

/* What S sends now is good for LIFE_MS; the oldest is forgotten. */
static void remember(struct oras_session *s, uint64_t life_ms) {
  char key[ORAS_KEY];
  struct oras *o = s->oras;

  s->expires_ms = oras_now_ms() + life_ms;
  if (!oras_key(s, key))
    return;
  struct oras_token fresh = {strdup(key), strdup(s->authorization), s->expires_ms};
  if (!fresh.key || !fresh.authorization) {
    token_free(&fresh);
    return;
  }
  (void)pthread_mutex_lock(&o->lock);
  for (unsigned i = 0; i < ORAS_TOKENS; i++)
    if (o->tokens[i].key && strcmp(o->tokens[i].key, key) == 0)
      token_free(&o->tokens[i]);
  unsigned slot = o->next_token++ % ORAS_TOKENS;
  token_free(&o->tokens[slot]);
  o->tokens[slot] = fresh;
  (void)pthread_mutex_unlock(&o->lock);
}

/* ---- session ----------------------------------------------------------------------------------------------------- */

static int is_this_machine(const char *registry) {
  static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};

  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    size_t n = strlen(names[i]);
    if (strncmp(registry, names[i], n) == 0 && (registry[n] == '\0' || registry[n] == ':'))
      return 1;
  }
  return 0;
}

int32_t oras_session_init(struct oras_session *s, struct ome_err *err) {
  if (oras_uri_parse(s->ref->uri, s->ref->revision, &s->at) != 0)
    return ome_fail(err, OME_E_INVALID, "oras: \"%.200s\" is not oras://REGISTRY/REPOSITORY[:TAG][@sha256:DIGEST]",
                    s->ref->uri ? s->ref->uri : "");
  int plain = s->oras->plain_http || is_this_machine(s->at.registry);
  (void)snprintf(s->origin, sizeof(s->origin), "%s://%s", plain ? "http" : "https",
                 strcmp(s->at.registry, "docker.io") == 0 ? "registry-1.docker.io" : s->at.registry);
  (void)snprintf(s->base, sizeof(s->base), "%s/v2/%s", s->origin, s->at.repository);
  recall(s);
  return OME_OK;
}

void oras_session_fini(struct oras_session *s) {
  free(s->authorization);
  s->authorization = NULL;
}

int32_t oras_refused(const struct oras_session *s, const struct http_answer *a, const char *what, struct ome_err *err) {
  char name[700], why[200];

  (void)snprintf(name, sizeof(name), "oras: %s/%s: %s", s->at.registry, s->at.repository, what);
  oras_errors_text(a->body, a->len, why, sizeof(why));
  return http_refused(a, name, *why ? why : NULL, NULL, err);
}

/* ---- one request ------------------------------------------------------------------------------------------------- */

/* Copies what the uploader hands over; ARG is a struct http_answer. */
static int32_t on_answer(void *arg, uint32_t index, const struct ome_upload_answer *from) {
  struct http_answer *a = arg;

  (void)index;
  a->status = from->status;
  a->headers = calloc(from->nheaders + 1, sizeof(*a->headers));
  a->body = malloc((size_t)from->body.len + 1);
  if (!a->headers || !a->body)
    return OME_E_NO_MEMORY;
  memcpy(a->body, from->body.ptr, (size_t)from->body.len);
  a->len = (size_t)from->body.len;
  a->body[a->len] = '\0';
  for (; a->nheaders < from->nheaders; a->nheaders++) {
    const struct ome_kv *h = &from->headers[a->nheaders];
    a->headers[a->nheaders] = (struct ome_kv){strdup(h->key), strdup(h->value)};
    if (!a->headers[a->nheaders].key || !a->headers[a->nheaders].value)
      return OME_E_NO_MEMORY;
  }
  return OME_OK;
}

static int32_t send(struct ome_uploader *to, const char *url, const struct oras_request *req,
                    const struct ome_kv *headers, uint64_t nheaders, struct http_answer *a, struct ome_err *err) {
  const struct ome_upload_request r = {.struct_size = sizeof(r),
                                       .method = req->method,
                                       .url = url,
                                       .headers = headers,
                                       .nheaders = nheaders,
                                       .body = req->body,
                                       .len = req->len};
  const struct ome_list list = {&r, 1, sizeof(r)};

  http_answer_fini(a);
  int32_t rc = to->send(to, &list, on_answer, a, err);
  return rc == OME_E_NO_MEMORY && !err->msg[0] ? no_memory(err) : rc;
}

static int32_t perform(struct oras_session *s, const struct oras_request *req, struct http_answer *a,
                       struct ome_err *err) {
  struct ome_kv headers[3];
  uint64_t n = 0;
  char *url = NULL;

  if (asprintf(&url, "%s%s", req->url[0] == '/' ? s->base : "", req->url) < 0)
    return no_memory(err);
  if (req->accept)
    headers[n++] = (struct ome_kv){"Accept", req->accept};
  if (req->type)
    headers[n++] = (struct ome_kv){"Content-Type", req->type};
  /* The token goes nowhere else, whatever address the registry names. */
  if (s->authorization && *s->authorization && uri_is_below(url, s->origin))
    headers[n++] = (struct ome_kv){"Authorization", s->authorization};
  const struct ome_http_req r = {.struct_size = sizeof(r),
                                 .method = req->method,
                                 .url = url,
                                 .headers = headers,
                                 .nheaders = n,
                                 .body = req->body,
                                 .max_body = (uint64_t)4 << 20};
  int32_t rc = s->to && strcmp(req->method, "GET") != 0 ? send(s->to, url, req, headers, n, a, err)
                                                        : http_perform(s->oras->host, s->call, &r, a, err);
  free(url);
  return rc;
}

/* ---- who we are -------------------------------------------------------------------------------------------------- */

/* $REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json, ~/.docker/config.json, unless the configuration names one. */
static char *read_config(const struct oras *o) {
  const char *file = o->config ? o->config : getenv("REGISTRY_AUTH_FILE");
  const char *folder = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
  char path[1024] = "";

  if (file)
    (void)snprintf(path, sizeof(path), "%s", file);
  else if (folder)
    (void)snprintf(path, sizeof(path), "%s/config.json", folder);
  else if (home)
    (void)snprintf(path, sizeof(path), "%s/.docker/config.json", home);
  return *path ? secret_read_file(path, MAX_CONFIG, NULL) : NULL;
}

/* The model's own, the configured, the file's; all "" is nobody. */
static int32_t find_credentials(const struct oras_session *s, struct oras_credentials *out, struct ome_err *err) {
  const struct ome_model_ref *ref = s->ref;
  const char *username = kv_text(ref->params, ref->nparams, "username");
  const char *password = kv_text(ref->params, ref->nparams, "password");
  const char *secret = kv_text(ref->params, ref->nparams, ".dockerconfigjson");
  char *config = NULL;
  int rc = 0;

  if (!username && !secret) {
    username = s->oras->username;
    password = s->oras->password;
  }
  memset(out, 0, sizeof(*out));
  if (username) {
    (void)snprintf(out->username, sizeof(out->username), "%s", username);
    (void)snprintf(out->password, sizeof(out->password), "%s", password ? password : "");
    return OME_OK;
  }
  if (!secret)
    config = read_config(s->oras);
  if (secret || config)
    rc = oras_credentials_find(secret ? secret : config, strlen(secret ? secret : config), s->at.registry, out);
  free(config);
  return rc == 0 ? OME_OK
                 : ome_fail(err, OME_E_INVALID, "oras: %s: the %s for this registry cannot be read", s->at.registry,
                            secret ? "Secret's .dockerconfigjson" : "config.json");
}

/* ---- the token flow ---------------------------------------------------------------------------------------------- */

/* "service=...&scope=..."; NULL: too long, or out of memory. */
static char *token_query(const struct oras_session *s, const struct oras_challenge *c) {
  char service[800], scope[900], wanted[300], *out = NULL;

  (void)snprintf(wanted, sizeof(wanted), "repository:%s:%s", s->at.repository, s->actions);
  if (uri_encode(c->service, 0, service, sizeof(service)) != 0 || uri_encode(wanted, 0, scope, sizeof(scope)) != 0)
    return NULL;
  return asprintf(&out, "service=%s&scope=%s", service, scope) < 0 ? NULL : out;
}

/* With a refresh token: a form (OAuth 2.0, RFC 6749 §6). */
static int32_t ask_with_identity(struct oras_session *s, const struct oras_challenge *c, const char *query,
                                 const char *identity, struct http_answer *a, struct ome_err *err) {
  const struct ome_kv type = {"Content-Type", "application/x-www-form-urlencoded"};
  char *refresh = malloc(3 * ORAS_MAX_SECRET), *form = NULL;
  int32_t rc;

  if (!refresh || uri_encode(identity, 0, refresh, 3 * ORAS_MAX_SECRET) != 0 ||
      asprintf(&form, "grant_type=refresh_token&client_id=ome&%s&refresh_token=%s", query, refresh) < 0) {
    free(refresh);
    return no_memory(err);
  }
  const struct ome_http_req req = {.struct_size = sizeof(req),
                                   .flags = OME_HTTP_NO_REDIRECT,
                                   .method = "POST",
                                   .url = c->realm,
                                   .headers = &type,
                                   .nheaders = 1,
                                   .body = {form, strlen(form)},
                                   .max_body = 1 << 20};
  rc = http_perform(s->oras->host, s->call, &req, a, err);
  free(refresh);
  free(form);
  return rc;
}

/* With a password, or as nobody. */
static int32_t ask_with_password(struct oras_session *s, const struct oras_challenge *c, const char *query,
                                 const struct oras_credentials *who, struct http_answer *a, struct ome_err *err) {
  char basic[2 * ORAS_MAX_SECRET] = "", *url = NULL;
  const struct ome_kv header = {"Authorization", basic};

  if (*who->username && oras_basic(who, basic, sizeof(basic)) != 0)
    return ome_fail(err, OME_E_INVALID, "oras: %s: the password is too long", s->at.registry);
  if (asprintf(&url, "%s%c%s", c->realm, strchr(c->realm, '?') ? '&' : '?', query) < 0)
    return no_memory(err);
  const struct ome_http_req req = {.struct_size = sizeof(req),
                                   .flags = OME_HTTP_NO_REDIRECT,
                                   .url = url,
                                   .headers = &header,
                                   .nheaders = *basic ? 1 : 0,
                                   .max_body = 1 << 20};
  int32_t rc = http_perform(s->oras->host, s->call, &req, a, err);
  free(url);
  return rc;
}

static int32_t ask_realm(struct oras_session *s, const struct oras_challenge *c, const struct oras_credentials *who,
                         struct http_answer *a, struct ome_err *err) {
  if (strncmp(s->origin, "https:", 6) == 0 && strncmp(c->realm, "https://", 8) != 0)
    return ome_fail(err, OME_E_DENIED, "oras: %s: its token server %.200s would get the password without TLS",
                    s->at.registry, c->realm);
  char *query = token_query(s, c);
  if (!query)
    return ome_fail(err, OME_E_INVALID, "oras: %s: its token server's service is too long", s->at.registry);
  int32_t rc = *who->identity ? ask_with_identity(s, c, query, who->identity, a, err)
                              : ask_with_password(s, c, query, who, a, err);
  free(query);
  return rc;
}

/* Keeps "SCHEME TEXT" as what is sent from now on. */
static int32_t keep(struct oras_session *s, const char *scheme, const char *text, uint64_t life_ms,
                    struct ome_err *err) {
  free(s->authorization);
  if (asprintf(&s->authorization, "%s%s", scheme, text) < 0) {
    s->authorization = NULL;
    return no_memory(err);
  }
  remember(s, life_ms);
  return OME_OK;
}

/* Keeps the token of the token server's answer. */
static int32_t take_token(struct oras_session *s, const struct http_answer *a, int is_anonymous, struct ome_err *err) {
  char *token;
  uint64_t seconds = 0;
  int32_t rc;

  if (a->status == 401 || a->status == 403)
    return ome_fail(err, OME_E_DENIED, "oras: %s/%s: the token server refuses %s; check the Secret, or `docker login`",
                    s->at.registry, s->at.repository, is_anonymous ? "anonymous users" : "the credentials");
  if (a->status != 200)
    return oras_refused(s, a, "token", err);
  token = malloc(2 * ORAS_MAX_SECRET);
  if (!token)
    return no_memory(err);
  if (oras_token_parse(a->body, a->len, token, 2 * ORAS_MAX_SECRET, &seconds) != 0)
    rc = ome_fail(err, OME_E_UNAVAILABLE, "oras: %s: the token server's answer holds no token", s->at.registry);
  else /* a fifth is left for the way */
    rc = keep(s, "Bearer ", token, seconds < 86400 ? seconds * 800 : 86400000, err);
  free(token);
  return rc;
}

static int32_t get_token(struct oras_session *s, const struct oras_challenge *c, const struct oras_credentials *who,
                         struct ome_err *err) {
  struct http_answer a = {0};
  int32_t rc = ask_realm(s, c, who, &a, err);

  if (rc == OME_OK)
    rc = take_token(s, &a, !*who->username && !*who->identity, err);
  http_answer_fini(&a);
  return rc;
}

static int32_t denied(const struct oras_session *s, const char *why, struct ome_err *err) {
  return ome_fail(err, OME_E_DENIED, "oras: %s/%s: %s; check the Secret, plugins.conf or `docker login`",
                  s->at.registry, s->at.repository, why);
}

/* Answers the registry's challenge. */
static int32_t authenticate(struct oras_session *s, const char *value, struct ome_err *err) {
  struct oras_credentials *who = calloc(1, sizeof(*who));
  char basic[2 * ORAS_MAX_SECRET];
  struct oras_challenge c;
  int32_t rc = who ? find_credentials(s, who, err) : no_memory(err);

  if (rc != OME_OK)
    goto out;
  if (*who->token)
    rc = keep(s, "Bearer ", who->token, FOREVER_MS, err);
  else if (oras_challenge_parse(value, &c) != 0)
    rc = denied(s, "the registry wants credentials of a kind that is not known", err);
  else if (c.is_bearer)
    rc = get_token(s, &c, who, err);
  else if (!*who->username)
    rc = denied(s, "the registry wants a user and a password", err);
  else if (oras_basic(who, basic, sizeof(basic)) != 0)
    rc = denied(s, "the password is too long", err);
  else
    rc = keep(s, "", basic, FOREVER_MS, err);
out:
  free(who);
  return rc;
}

int32_t oras_ask(struct oras_session *s, const struct oras_request *req, struct http_answer *a, struct ome_err *err) {
  int32_t rc = perform(s, req, a, err);

  if (rc == OME_OK && a->status == 401) {
    rc = authenticate(s, http_answer_header(a, "www-authenticate"), err);
    if (rc == OME_OK)
      rc = perform(s, req, a, err);
    if (rc == OME_OK && a->status == 401)
      rc = denied(s, "the registry refuses the credentials", err);
  } else if (rc == OME_OK && !s->authorization) {
    s->authorization = strdup(""); /* nothing is asked for */
    if (s->authorization)
      remember(s, FOREVER_MS);
  }
  return rc;
}
