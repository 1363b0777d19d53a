/* When requests start and a run ends.
 *
 * The HTTP client's thread does everything: between looks at its sockets it starts what is due, a few requests at a
 * time, so that answers are not kept waiting by hundreds that begin together.  The caller's thread sleeps, and is asked
 * ten times a second whether to go on. */
#include "bench/drive.h"

#include "base/clock.h"
#include "base/cond.h"

#include <stdio.h>
#include <string.h>

#define TICK_NS 100000000u /* how often stalls are looked for, and the caller is asked */
#define BURST 8u           /* requests that start before answers are looked at again */

/* ---- streams that are idle: those that rest come last ------------------------------------------------------------ */

static struct stream *take_idle(struct drive *d) {
  struct stream *s = d->idle;

  d->idle = s->next;
  return s;
}

static void add_idle(struct drive *d, struct stream *s) {
  if (d->idle && s->rest_until_ns) {
    s->next = NULL;
    d->idle_last->next = s;
    d->idle_last = s;
    return;
  }
  s->next = d->idle;
  d->idle = s;
  if (!s->next)
    d->idle_last = s;
}

void drive_ended(struct stream *s) {
  struct drive *d = s->d;

  d->active--;
  d->counted -= s->counts;
  if (s->counts)
    d->run->seconds = (double)(mono_ns() - d->start_ns) / 1e9;
  add_idle(d, s);
}

/* ---- what is due ------------------------------------------------------------------------------------------------- */

static bool is_closed_loop(const struct drive *d) {
  return d->load->arrival.kind == ARRIVAL_CLOSED;
}

static bool is_in_time(const struct drive *d, uint64_t at) {
  return !d->load->duration_ns || at - d->start_ns < d->load->duration_ns;
}

/* Whether every request that counts has started. */
static bool has_all(const struct drive *d, uint64_t now) {
  return d->stopped || d->arrivals_over || (d->load->requests && d->started >= d->load->requests) ||
         !is_in_time(d, now) || (!is_closed_loop(d) && !is_in_time(d, d->due_ns));
}

/* When the next request is due; UINT64_MAX: none will be. */
static uint64_t next_due(const struct drive *d, uint64_t now) {
  bool cooling = has_all(d, now);

  if (cooling && (d->stopped || d->arrivals_over || !d->counted || d->cooling >= d->load->cooldown))
    return UINT64_MAX;
  return is_closed_loop(d) ? now : d->due_ns;
}

/* The arrival after the one that was just taken. */
static void advance(struct drive *d) {
  uint64_t offset = 0;

  if (is_closed_loop(d))
    return;
  d->arrivals_over = !arrival_next(&d->arrival, &offset);
  d->due_ns = d->start_ns + offset;
}

static void start(struct drive *d, uint64_t now, uint64_t due) {
  bool counts = !has_all(d, now);

  *(counts ? &d->started : &d->cooling) += 1;
  d->run->unsent += !counts && is_in_time(d, due) && !is_closed_loop(d);
  d->active++;
  d->counted += counts;
  advance(d);
  run_stream_start(take_idle(d), due, counts);
}

/* Starts what is due, and says when to come again. */
static uint64_t start_due(struct drive *d) {
  for (uint32_t i = 0; i < BURST; i++) {
    uint64_t now = mono_ns();
    uint64_t due = next_due(d, now);
    if (due == UINT64_MAX || !d->idle)
      return UINT64_MAX; /* an answer will end, or nothing more is to start */
    if (due > now || d->idle->rest_until_ns > now)
      return due > d->idle->rest_until_ns ? due : d->idle->rest_until_ns;
    start(d, now, due);
  }
  return mono_ns();
}

/* ---- the client's thread ----------------------------------------------------------------------------------------- */

static void end_stalled(struct drive *d, uint64_t now) {
  for (uint32_t i = 0; i < d->nstreams; i++) {
    struct stream *s = &d->streams[i];
    uint64_t heard = s->heard_ns;
    if (s->fetch && heard && s->error == RUN_OK && now > heard && now - heard >= d->target->stall_ms * 1000000u)
      run_stream_abort(s, RUN_STALL, "nothing came for longer than --stall-timeout");
  }
}

static void cut_all(struct drive *d) {
  for (uint32_t i = 0; i < d->nstreams; i++)
    if (d->streams[i].fetch && !d->streams[i].cut)
      run_stream_cut(&d->streams[i]);
}

static void tick(struct drive *d, uint64_t now) {
  d->tick_ns = now + TICK_NS;
  end_stalled(d, now);
  (void)pthread_mutex_lock(&d->lock);
  bool stop = d->shared.stop;
  d->shared.done = d->run->requests;
  d->shared.failed = d->run->requests - d->run->completed;
  d->shared.active = d->active;
  d->shared.seconds = (double)(now - d->start_ns) / 1e9;
  (void)pthread_mutex_unlock(&d->lock);
  if (stop && !d->stopped) {
    d->stopped = true;
    d->run->partial = true;
    cut_all(d);
  }
}

/* D may be gone afterwards. */
static uint64_t end(struct drive *d) {
  (void)pthread_mutex_lock(&d->lock);
  d->shared.over = true;
  (void)pthread_cond_signal(&d->changed);
  (void)pthread_mutex_unlock(&d->lock);
  return HTTP_TURN_END;
}

static uint64_t turn(void *arg) {
  struct drive *d = arg;

  if (!d->start_ns) {
    d->start_ns = mono_ns();
    advance(d);
  }
  uint64_t now = mono_ns();
  if (now >= d->tick_ns)
    tick(d, now);
  uint64_t next = start_due(d);
  if (has_all(d, now) && !d->counted) {
    if (!d->active)
      return end(d);
    cut_all(d); /* what only kept the load up */
  }
  return next < d->tick_ns ? next : d->tick_ns;
}

/* ---- the caller's thread ----------------------------------------------------------------------------------------- */

static void drive(struct drive *d) {
  http_client_each_turn(d->http, turn, d);
  (void)pthread_mutex_lock(&d->lock);
  while (!d->shared.over) {
    uint64_t done = d->shared.done, failed = d->shared.failed, active = d->shared.active;
    double seconds = d->shared.seconds;
    (void)pthread_mutex_unlock(&d->lock);
    bool go_on = !d->target->go_on || d->target->go_on(d->target->arg, done, failed, active, seconds);
    (void)pthread_mutex_lock(&d->lock);
    d->shared.stop |= !go_on;
    if (!d->shared.over)
      (void)cond_wait_until(&d->changed, &d->lock, mono_ms() + TICK_NS / 1000000);
  }
  (void)pthread_mutex_unlock(&d->lock);
}

/* Arrivals that were due within the time, but found no stream. */
static uint64_t count_unsent(struct drive *d) {
  uint64_t n = 0;

  if (is_closed_loop(d) || d->stopped)
    return 0;
  for (; !has_all(d, d->start_ns) && n < 1000000000u; n++) {
    d->started++;
    advance(d);
  }
  return n;
}

static int32_t drive_init(struct drive *d, struct ome_err *err) {
  d->nstreams = d->load->concurrency;
  d->streams = calloc(d->nstreams, sizeof(*d->streams));
  if (!d->streams)
    return fail_memory(err);
  for (uint32_t i = d->nstreams; i-- > 0;) {
    run_stream_init(&d->streams[i], d);
    add_idle(d, &d->streams[i]);
  }
  buf_init(&d->request, (size_t)256 << 20);
  (void)pthread_mutex_init(&d->lock, NULL);
  cond_init(&d->changed);
  return OME_OK;
}

static void drive_fini(struct drive *d) {
  for (uint32_t i = 0; i < d->nstreams; i++)
    run_stream_fini(&d->streams[i]);
  free(d->streams);
  buf_fini(&d->request);
  (void)pthread_cond_destroy(&d->changed);
  (void)pthread_mutex_destroy(&d->lock);
}

int32_t run_load(struct http_client *http, const struct run_target *target, struct request_source *source,
                 const struct run_load *load, struct run *out, struct ome_err *err) {
  struct drive d = {.http = http, .target = target, .load = load, .source = source, .run = out};

  memset(out, 0, sizeof(*out));
  (void)snprintf(out->scenario, sizeof(out->scenario), "%s", load->has_scenario ? load->scenario.text : "dataset");
  out->concurrency = load->concurrency;
  out->rate = is_closed_loop(&d) ? 0 : load->arrival.rate;
  d.arrival = load->arrival;
  d.random.state = source->random.state ^ 0x5eedu;
  if (drive_init(&d, err) != OME_OK)
    return err->code;
  drive(&d);
  out->timeline_seconds = out->seconds;
  out->unsent += count_unsent(&d);
  drive_fini(&d);
  return OME_OK;
}
