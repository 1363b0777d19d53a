#include "apiserver/faults.h"

#include "base/str.h"
#include "net/tls.h"

#include <string.h>

#define PIECES 16
#define PIECE_MS 20
#define CONFIG_MAX ((size_t)64 << 10)

enum kind { REFUSED, LOST, TRUNCATED, SLOW, ENDED, EXPIRED, KINDS };
static const char *const kind_names[] = {"refused", "lost", "truncated", "slow", "watchesEnded", "expired"};

struct faults {
  struct json_object *config; /* as it was put; NULL: nothing goes wrong */
  uint64_t random;            /* never 0 */
  uint64_t latency_ms, watch_life_ms;
  int64_t skew_ms;
  uint64_t done[KINDS];
};

struct faults *faults_new(void) {
  struct faults *f = calloc(1, sizeof(*f));

  if (f)
    f->random = 1;
  return f;
}

void faults_free(struct faults *f) {
  if (f)
    json_unref(f->config);
  free(f);
}

/* ---- chance ------------------------------------------------------------------------------------------------------ */

/* xorshift64* (Vigna 2016): no secret depends on it, and a seed repeats it. */
static uint64_t next_random(struct faults *f) {
  f->random ^= f->random >> 12;
  f->random ^= f->random << 25;
  f->random ^= f->random >> 27;
  return f->random * UINT64_C(2685821657736338717);
}

uint32_t faults_pick(struct faults *f, uint32_t n) {
  return (uint32_t)((next_random(f) >> 32) * n >> 32);
}

/* Whether it happens, with the chance CONFIG has under KEY. */
static bool happens(struct faults *f, struct json_object *config, const char *key, enum kind kind) {
  double chance = json_object_get_double(json_get(config, key));
  bool is = chance > 0 && (double)(next_random(f) >> 11) * 0x1p-53 < chance;

  f->done[kind] += is;
  return is;
}

static bool is_concerned(const struct faults *f, const struct http_exchange *x) {
  const char *agent = http_header(x, "user-agent");

  return f && f->config && has_prefix(agent ? agent : "", json_str(f->config, "agent", ""));
}

/* ---- the switches ------------------------------------------------------------------------------------------------ */

static int32_t serve_certificate(struct apiserver *s, bool expired, struct ome_err *err) {
  const struct apiserver_config loopback = {.address = NULL};
  static const char *const names[] = {"localhost", "127.0.0.1", NULL};
  struct tls_pair ca = {NULL, NULL};
  struct tls_pair leaf = {NULL, NULL};
  struct tls_pair old = {NULL, NULL};

  char *token = TAKE_PTR(s->token); /* it would be read with the rest */
  int32_t rc = identity_load(s, &loopback, &ca, &leaf, err);
  free(s->token);
  s->token = token;
  if (rc == OME_OK && expired)
    rc = tls_make_leaf(&ca, "ome-apiserver", names, -1, &old, err);
  if (rc == OME_OK)
    rc = tls_server_replace(s->tls, expired ? &old : &leaf, err);
  tls_pair_fini(&ca);
  tls_pair_fini(&leaf);
  tls_pair_fini(&old);
  return rc;
}

static int32_t configure(struct apiserver *s, struct http_exchange *x, struct ome_err *err) {
  struct faults *f = s->faults;
  struct json_object *config = NULL;
  size_t len;
  const char *text = http_body(x, &len);
  int32_t rc = json_parse(text, len, CONFIG_MAX, &config, err);

  if (rc == OME_OK && !json_is(config, json_type_object))
    rc = fail(err, OME_E_INVALID, "the body is no object");
  bool was_expired = streq(json_str(f->config, "certificate", ""), "expired");
  bool is_expired = streq(json_str(config, "certificate", ""), "expired");
  if (rc == OME_OK && was_expired != is_expired)
    rc = serve_certificate(s, is_expired, err);
  if (rc != OME_OK) {
    json_unref(config);
    return rc;
  }
  json_unref(f->config);
  f->config = config;
  uint64_t seed = (uint64_t)json_i64(config, "seed", 1);
  f->random = seed ? seed : 1;
  f->latency_ms = (uint64_t)json_i64(config, "latencyMs", 0);
  f->watch_life_ms = (uint64_t)json_i64(config, "watchLifeMs", 0);
  f->skew_ms = json_i64(config, "clockSkewSeconds", 0) * 1000;
  watch_end_all(s); /* those that run began under other rules */
  return OME_OK;
}

static void tell(const struct faults *f, struct http_exchange *x) {
  _cleanup_json_ struct json_object *o = json_object_new_object();

  for (size_t i = 0; i < KINDS; i++)
    (void)json_set_i64(o, kind_names[i], (int64_t)f->done[i]);
  _cleanup_free_ char *text = json_text(o);
  http_respond(x, 200, "application/json", text, text ? strlen(text) : 0);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static bool is_write(const struct http_exchange *x) {
  return !streq(http_method(x), "GET") && !streq(http_method(x), "HEAD");
}

static bool refuse(struct faults *f, struct http_exchange *x) {
  static const struct {
    const char *status;
    const char *reason;
    bool writes_only, wait;
  } refusals[] = {{"409", "Conflict", true, false},           {"429", "TooManyRequests", false, true},
                  {"500", "InternalError", false, false},     {"502", "", false, false},
                  {"503", "ServiceUnavailable", false, true}, {"504", "Timeout", false, false}};
  struct json_object *chances = json_get(f->config, "refuse");
  const char *wait = json_object_get_string(json_get(f->config, "retryAfterSeconds"));

  for (size_t i = 0; chances && i < ARRAY_LEN(refusals); i++) {
    if ((refusals[i].writes_only && !is_write(x)) || !happens(f, chances, refusals[i].status, REFUSED))
      continue;
    if (refusals[i].wait && wait && !streq(wait, "0"))
      http_add_header(x, "Retry-After", wait);
    answer_plain_status(x, (int)strtol(refusals[i].status, NULL, 10), refusals[i].reason, "refused on purpose");
    return true;
  }
  return false;
}

struct delayed {
  struct apiserver *server;
  struct http_exchange *x;
  struct loop_timer *timer;
};

static void delayed_free(struct delayed *d) {
  loop_timer_free(d->timer);
  free(d);
}

static void on_delayed_gone(void *arg, struct http_exchange *x) {
  (void)x;
  delayed_free(arg);
}

static void on_due(void *arg) {
  struct delayed *d = arg;
  struct apiserver *s = d->server;
  struct http_exchange *x = d->x;

  delayed_free(d);
  http_on_close(x, NULL, NULL);
  if (!refuse(s->faults, x))
    rest_dispatch(s, x);
}

static bool delay(struct apiserver *s, struct http_exchange *x) {
  struct faults *f = s->faults;
  struct delayed *d = f->latency_ms ? calloc(1, sizeof(*d)) : NULL;

  if (!d)
    return false;
  *d = (struct delayed){.server = s, .x = x};
  d->timer = loop_timer_new(s->loop, faults_pick(f, (uint32_t)f->latency_ms) + 1, false, on_due, d);
  if (!d->timer) {
    free(d);
    return false;
  }
  http_on_close(x, on_delayed_gone, d);
  return true;
}

bool faults_request(struct apiserver *s, struct http_exchange *x) {
  struct ome_err err = ERR_INIT;

  if (!s->faults)
    return false;
  if (!streq(http_path(x), "/faults"))
    return is_concerned(s->faults, x) && (delay(s, x) || refuse(s->faults, x));
  if (streq(http_method(x), "PUT") && configure(s, x, &err) != OME_OK)
    answer_plain_status(x, 400, "BadRequest", err.msg);
  else
    tell(s->faults, x);
  return true;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

/* An answer that leaves piece by piece, all of it or half. */
struct dripping {
  struct http_exchange *x;
  struct loop_timer *timer;
  char *body;
  size_t len, sent, piece;
};

static void dripping_free(struct dripping *d) {
  loop_timer_free(d->timer);
  free(d->body);
  free(d);
}

static void on_dripping_gone(void *arg, struct http_exchange *x) {
  (void)x;
  dripping_free(arg);
}

static void drip(void *arg) {
  struct dripping *d = arg;
  size_t left = d->len - d->sent;
  size_t n = left < d->piece ? left : d->piece;

  http_respond_write(d->x, d->body + d->sent, n);
  d->sent += n;
  if (d->sent < d->len)
    return;
  struct http_exchange *x = d->x;
  http_on_close(x, NULL, NULL);
  dripping_free(d);
  http_respond_end(x);
}

static bool answer_slowly(struct apiserver *s, struct http_exchange *x, int status, const char *type, const char *body,
                          size_t len) {
  struct dripping *d = calloc(1, sizeof(*d));

  if (d)
    *d = (struct dripping){.x = x, .body = str_copy(body, len), .len = len, .piece = len / PIECES + 1};
  if (d && d->body)
    d->timer = loop_timer_new(s->loop, PIECE_MS, true, drip, d);
  if (!d || !d->timer) {
    if (d)
      dripping_free(d);
    return false;
  }
  http_on_close(x, on_dripping_gone, d);
  http_respond_start(x, status, type, (int64_t)len);
  return true;
}

static void on_half_out(void *arg, struct http_exchange *x) {
  (void)arg;
  http_abort(x);
}

bool faults_answer(struct apiserver *s, struct http_exchange *x, int status, const char *type, const char *body,
                   size_t len) {
  struct faults *f = s->faults;

  if (!is_concerned(f, x))
    return false;
  if (happens(f, f->config, "loseAnswers", LOST)) {
    http_abort(x);
    return true;
  }
  if (len > 1 && happens(f, f->config, "truncateAnswers", TRUNCATED)) {
    http_on_drain(x, on_half_out, NULL);
    http_respond_start(x, status, type, (int64_t)len);
    http_respond_write(x, body, len / 2);
    return true;
  }
  return len > PIECES && happens(f, f->config, "slowAnswers", SLOW) && answer_slowly(s, x, status, type, body, len);
}

/* ---- watches and time -------------------------------------------------------------------------------------------- */

uint64_t faults_watch_life_ms(struct faults *f, const struct http_exchange *x) {
  if (!is_concerned(f, x) || !f->watch_life_ms)
    return 0;
  f->done[ENDED]++;
  return faults_pick(f, (uint32_t)f->watch_life_ms) + 1;
}

bool faults_expire(struct faults *f, const struct http_exchange *x) {
  return is_concerned(f, x) && happens(f, f->config, "expire", EXPIRED);
}

int64_t faults_skew_ms(const struct faults *f) {
  return f ? f->skew_ms : 0;
}
