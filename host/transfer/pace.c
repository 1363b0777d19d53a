#include "transfer/pace.h"

#include "base/str.h"
#include "net/http_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MEASURE_MS 400u
#define MEASURE_BUSY_MS 100u /* nothing to wait for: it is this machine that is measured */
#define MAX_HINT_MS 300000u
#define BOUND_BY_PROCESSORS 0.7 /* of them; the rest is the server's on one machine, or nobody's */
#define BURST_NS 50000000u

/* ---- hosts ------------------------------------------------------------------------------------------------------- */

bool pace_may_start(const struct pace_host *h, uint64_t now_ms) {
  return now_ms >= h->held_until_ms && h->flying < h->limit;
}

void pace_too_many(struct pace_host *h, uint64_t until_ms) {
  /* Answers that were under way together count once. */
  if (h->good || h->held_until_ms == 0)
    h->limit = h->flying > 1 ? h->flying / 2 : 1;
  h->good = 0;
  h->held_until_ms = until_ms > h->held_until_ms ? until_ms : h->held_until_ms;
}

void pace_good(struct pace_host *h, uint32_t max) {
  if (++h->good >= h->limit && h->limit < max) {
    h->limit++;
    h->good = 1;
  }
}

static bool read_number(const char *headers, const char *name, uint64_t *out) {
  char text[64];

  if (!http_headers_get(headers, name, text, sizeof(text)))
    return false;
  text[strspn(text, "0123456789")] = '\0';
  return str_to_u64(text, out);
}

/* A parameter of a structured field: ";t=55". */
static bool read_parameter(const char *field, const char *name, uint64_t *out) {
  const char *at = strstr(field, name);

  return at && sscanf(at + strlen(name), "%" SCNu64, out) == 1;
}

uint64_t pace_hint_ms(const char *headers, int64_t wall_s) {
  static const char *const names[][2] = {{"ratelimit-remaining", "ratelimit-reset"},
                                         {"x-ratelimit-remaining", "x-ratelimit-reset"}};
  uint64_t left = 1, seconds = 0;
  char text[128];

  if (http_headers_get(headers, "ratelimit", text, sizeof(text)))
    (void)(read_parameter(text, ";r=", &left) && read_parameter(text, ";t=", &seconds));
  for (size_t i = 0; left && i < ARRAY_LEN(names); i++)
    if (read_number(headers, names[i][0], &left) && !read_number(headers, names[i][1], &seconds))
      seconds = 0;
  if (left || !seconds)
    return 0;
  /* GitHub's kind is a time of day. */
  if (seconds > 1000000000)
    seconds = wall_s > 0 && seconds > (uint64_t)wall_s ? seconds - (uint64_t)wall_s : 0;
  return seconds > MAX_HINT_MS / 1000 ? MAX_HINT_MS : seconds * 1000;
}

/* ---- growth ------------------------------------------------------------------------------------------------------ */

static uint32_t twice(const struct pace_growth *g) {
  return g->want < g->max / 2 ? g->want * 2 : g->max;
}

/* One whole measurement: RATE is work a second, BUSY the part of the processors that it took. */
static void adapt(struct pace_growth *g, double rate, double busy) {
  bool is_bound = busy > BOUND_BY_PROCESSORS;

  if (g->lowered > 0 && rate < g->lowered * 0.95) {
    g->want = twice(g);
    g->is_settled = true;
    g->lowered = 0;
    return;
  }
  g->lowered = 0;
  if (is_bound && !g->is_settled && g->want > 1) {
    g->lowered = rate;
    g->want /= 2;
  } else if (!is_bound && g->want < g->max && rate > g->best * 1.1) {
    g->want = twice(g);
  } else {
    return;
  }
  g->best = rate > g->best ? rate : g->best;
}

void pace_measure(struct pace_growth *g, const struct pace_sample *now) {
  uint64_t ms = now->now_ms - g->from.now_ms;
  double busy = ms ? (double)(now->cpu_ms - g->from.cpu_ms) / (double)ms / g->processors : 0;

  if (g->from.now_ms && ms < (busy > BOUND_BY_PROCESSORS ? MEASURE_BUSY_MS : MEASURE_MS))
    return;
  if (g->from.now_ms)
    adapt(g, (double)(now->work - g->from.work) * 1000 / (double)ms, busy);
  g->from = *now;
}

/* ---- bandwidth --------------------------------------------------------------------------------------------------- */

uint64_t pace_take(struct pace_bucket *b, uint64_t len, uint64_t now_ns) {
  uint64_t at = now_ns;

  (void)pthread_mutex_lock(&b->lock);
  uint64_t rate = atomic_load(&b->rate);
  if (rate) {
    if (b->free_at_ns + BURST_NS < now_ns)
      b->free_at_ns = now_ns - BURST_NS;
    b->free_at_ns += (uint64_t)((double)len * 1e9 / (double)rate);
    at = b->free_at_ns;
  }
  (void)pthread_mutex_unlock(&b->lock);
  return at;
}

struct pace_bucket *pace_process(void) {
  static struct pace_bucket bucket = PACE_BUCKET_INIT;

  return &bucket;
}
