/* How fast: what servers ask for, how many requests at a time, bandwidth caps. */
#ifndef HOST_TRANSFER_PACE_H
#define HOST_TRANSFER_PACE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- one host, whatever files it has ---- */

struct pace_host {
  uint64_t held_until_ms; /* no request before; monotonic */
  uint32_t limit, flying; /* requests at a time */
  uint32_t good;          /* answers since the limit last moved */
};

bool pace_may_start(const struct pace_host *h, uint64_t now_ms);
/* It answered that it has too much to do: half as many requests, and none before UNTIL_MS. */
void pace_too_many(struct pace_host *h, uint64_t until_ms);
/* It answered: one more at a time once as many as are allowed were answered, up to MAX. */
void pace_good(struct pace_host *h, uint32_t max);

/* Milliseconds for which an answer with these headers ("name: value\n") wants no further request: Retry-After is
 * fail_status()'s; here RateLimit (draft-ietf-httpapi-ratelimit-headers: "default";r=0;t=55, or the older RateLimit-*
 * and X-RateLimit-*) with nothing remaining.  0: none; at most five minutes. */
uint64_t pace_hint_ms(const char *headers, int64_t wall_s);

/* ---- how many connections pay ---- */

struct pace_growth {
  uint32_t want, max;
  uint64_t since_ms, work; /* of the measurement under way */
  double best;             /* work a second when WANT was last raised */
};
/* WORK is a growing count; called now and then.  WANT grows while more connections mean more work done. */
void pace_measure(struct pace_growth *g, uint64_t work, uint64_t now_ms);

/* ---- bandwidth ---- */

/* Tokens: bytes that may pass; RATE bytes a second, 0: no bound. */
struct pace_bucket {
  pthread_mutex_t lock;
  uint64_t rate, free_at_ns;
};
#define PACE_BUCKET_INIT                                                                                               \
  { PTHREAD_MUTEX_INITIALIZER, 0, 0 }
/* Takes LEN bytes; when they may be used, monotonic.  [any-thread] */
uint64_t pace_take(struct pace_bucket *b, uint64_t len, uint64_t now_ns);
/* The process's own bucket, for all transfers together. */
struct pace_bucket *pace_process(void);

#endif
