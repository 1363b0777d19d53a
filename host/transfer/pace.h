/* How fast: what servers ask for, how many requests at a time, bandwidth caps. */
#ifndef HOST_TRANSFER_PACE_H
#define HOST_TRANSFER_PACE_H

#include <pthread.h>
#include <stdatomic.h>
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

/* Growing counts, as of a time. */
struct pace_sample {
  uint64_t now_ms, work, cpu_ms; /* CPU_MS: of the process's threads together */
};
struct pace_growth {
  uint32_t want, max;
  uint32_t processors;     /* that this process may keep busy */
  struct pace_sample from; /* where the measurement under way began */
  double best;             /* work a second, of all measurements that WANT was raised or lowered after */
  double lowered;          /* work a second before WANT was lowered for a try; 0: no try is under way */
  bool is_settled;         /* a lower WANT was tried, and less came of it */
};
/* Called now and then.  WANT grows while more connections mean more work done.  Where the processors are the bound,
 * more connections only spread what is written over more memory than their caches hold: WANT is halved then, and back
 * again for good should less come of it. */
void pace_measure(struct pace_growth *g, const struct pace_sample *now);

/* ---- bandwidth ---- */

/* Tokens: bytes that may pass; RATE bytes a second, 0: no bound. */
struct pace_bucket {
  pthread_mutex_t lock;
  atomic_uint_fast64_t rate;
  uint64_t free_at_ns;
};
#define PACE_BUCKET_INIT                                                                                               \
  { PTHREAD_MUTEX_INITIALIZER, 0, 0 }
/* Whether it has no bound now.  [any-thread] */
static inline bool pace_is_free(struct pace_bucket *b) {
  return atomic_load_explicit(&b->rate, memory_order_relaxed) == 0;
}
/* Takes LEN bytes; when they may be used, monotonic.  [any-thread] */
uint64_t pace_take(struct pace_bucket *b, uint64_t len, uint64_t now_ns);
/* The process's own bucket, for all transfers together. */
struct pace_bucket *pace_process(void);

#endif
