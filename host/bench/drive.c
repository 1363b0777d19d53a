/* Streams against a server: started when they are due, timed as their bytes come, ended one way or another.
 *
 * Two threads: the HTTP client's runs the callbacks, and starts a stream's next request from the end of the last; the
 * caller's sleeps until the next arrival of an open loop, and looks for streams that stall. */
#include "base/clock.h"
#include "base/str.h"
#include "bench/answer.h"
#include "bench/run.h"
#include "bench/sse.h"
#include "net/http_client.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define TICK_NS 100000000u    /* how often stalls are looked for, and the caller is asked */
#define REST_NS 50000000u     /* a closed loop's stream waits after a failure: refusals come fast */
#define ERROR_TEXT_BYTES 512u /* kept of an answer that is an error */

struct stream {
  struct drive *d;
  struct http_fetch *fetch; /* NULL: idle */
  uint64_t intended_ns, sent_ns, first_ns, last_ns, rest_until_ns;
  uint64_t heard_ns; /* when text came; 0: none so far */
  uint64_t end_ns;   /* of the latest bytes */
  int status;
  bool events; /* the answer is an event stream */
  bool cut;
  enum run_error error; /* found before the end */
  struct sse sse;
  struct buf body;
  struct answer answer;
};

struct drive {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  struct http_client *http;
  const struct run_target *target;
  const struct run_load *load;
  struct request_source *source;
  struct random random;
  struct arrival arrival;
  uint64_t start_ns, due_ns; /* of the next arrival */
  bool arrivals_over, stopped;
  uint64_t started;
  uint32_t nstreams, active;
  struct stream *streams;
  struct buf request; /* being made */
  struct run *run;
};

/* ---- an answer arrives; on the client's thread --------------------------------------------------------------------
 */

static void note_error(struct drive *d, enum run_error e, const char *text) {
  char *to = d->run->error_text[e];

  if (*to)
    return;
  (void)snprintf(to, sizeof(d->run->error_text[e]), "%.190s", text);
  for (char *p = to; *p; p++)
    *p = (unsigned char)*p < ' ' || (unsigned char)*p > 126 ? ' ' : *p;
}

static bool give_up(struct stream *s, enum run_error e, const char *text) {
  s->error = e;
  note_error(s->d, e, text);
  return false;
}

static bool on_head(void *arg, int status, const char *headers, UNUSED const char *url) {
  struct stream *s = arg;
  char type[128];

  bool json = http_headers_get(headers, "content-type", type, sizeof(type)) && strstr(type, "json");
  (void)pthread_mutex_lock(&s->d->lock);
  s->status = status;
  s->events = s->d->target->stream && status == 200 && !json;
  (void)pthread_mutex_unlock(&s->d->lock);
  return true;
}

static bool on_event(void *arg, const char *data, size_t len) {
  struct stream *s = arg;
  struct drive *d = s->d;

  switch (answer_take(&s->answer, data, len)) {
  case ANSWER_TEXT:
    if (s->first_ns)
      histogram_add(&d->run->itl, s->end_ns - s->last_ns);
    else
      s->first_ns = s->end_ns;
    s->last_ns = s->end_ns;
    s->heard_ns = s->end_ns;
    run_tally_tokens(d->run, s->end_ns - d->start_ns, 1, d->active);
    return true;
  case ANSWER_ERROR:
    return give_up(s, RUN_API, data);
  case ANSWER_BAD:
    return give_up(s, RUN_MALFORMED, data);
  default:
    return true;
  }
}

static bool take_body(struct stream *s, const void *data, size_t len) {
  struct ome_err err = ERR_INIT;

  s->end_ns = mono_ns();
  if (s->events) {
    int32_t rc = sse_feed(&s->sse, data, len, on_event, s, &err);
    return rc == OME_OK || (s->error == RUN_OK && give_up(s, RUN_TOO_LONG, err.msg));
  }
  if (s->status == 200) {
    buf_add(&s->body, data, len);
    return buf_ok(&s->body) || give_up(s, RUN_TOO_LONG, "the answer is longer than 8 MiB");
  }
  if (s->body.len < ERROR_TEXT_BYTES)
    buf_add(&s->body, data, len < ERROR_TEXT_BYTES ? len : ERROR_TEXT_BYTES);
  return true;
}

static bool on_body(void *arg, const void *data, size_t len) {
  struct stream *s = arg;

  (void)pthread_mutex_lock(&s->d->lock);
  bool go_on = take_body(s, data, len);
  (void)pthread_mutex_unlock(&s->d->lock);
  return go_on;
}

/* ---- an answer has ended ------------------------------------------------------------------------------------------
 */

static enum run_error error_of_status(int status) {
  return status == 429 ? RUN_RATE_LIMITED : status >= 500 ? RUN_SERVER : RUN_CLIENT;
}

/* A whole answer that came at once. */
static enum run_error judge_body(struct stream *s) {
  const struct task_facts *facts = task_facts(s->d->target->task);
  enum answer_kind kind = answer_take(&s->answer, buf_str(&s->body), s->body.len);

  if (kind == ANSWER_BAD)
    return RUN_MALFORMED;
  if (kind == ANSWER_ERROR)
    return RUN_API;
  bool there = facts->generates ? s->answer.pieces || s->answer.completion_tokens : s->answer.results;
  return there ? RUN_OK : RUN_EMPTY;
}

static enum run_error judge(struct stream *s, int32_t rc) {
  if (s->error != RUN_OK)
    return s->error;
  if (rc == OME_E_DEADLINE)
    return RUN_TIMEOUT;
  if (rc != OME_OK)
    return s->status ? RUN_CLOSED : RUN_CONNECTION;
  if (s->status != 200)
    return error_of_status(s->status);
  if (!s->events)
    return judge_body(s);
  if (s->sse.events == 0)
    return RUN_MALFORMED;
  if (!s->answer.ended)
    return RUN_CLOSED;
  return s->answer.pieces || s->answer.completion_tokens ? RUN_OK : RUN_EMPTY;
}

/* The sentence for a failure that nobody has put into words yet. */
static void explain(struct stream *s, enum run_error e, const struct ome_err *err) {
  char text[200];

  if (s->status && s->status != 200) {
    (void)snprintf(text, sizeof(text), "HTTP %d: %.150s", s->status, buf_str(&s->body));
    note_error(s->d, e, text);
  } else if (*err->msg && err->code != OME_E_CANCELLED) {
    note_error(s->d, e, err->msg);
  } else if (e == RUN_CLOSED) {
    note_error(s->d, e, "the stream ended without a finish_reason or [DONE]");
  } else {
    note_error(s->d, e, s->body.len ? buf_str(&s->body) : "the answer has no events and no text");
  }
}

static void settle(struct stream *s, int32_t rc, const struct ome_err *err) {
  struct drive *d = s->d;
  enum run_error e = judge(s, rc);
  struct run_outcome o = {.error = e,
                          .status = (uint16_t)s->status,
                          .cut = s->cut,
                          .start_ns = d->start_ns,
                          .intended_ns = s->intended_ns,
                          .sent_ns = s->sent_ns,
                          .first_ns = s->first_ns,
                          .last_ns = s->last_ns,
                          .end_ns = e == RUN_OK ? s->end_ns : mono_ns(),
                          .input_tokens = s->answer.prompt_tokens,
                          .output_tokens = s->answer.has_usage ? s->answer.completion_tokens : s->answer.pieces,
                          .counted_by_server = s->answer.has_usage};

  if (e != RUN_OK && !s->cut)
    explain(s, e, err);
  if (!task_facts(d->target->task)->generates)
    o.output_tokens = 0;
  if (!s->events && e == RUN_OK)
    run_tally_tokens(d->run, o.end_ns - d->start_ns, (uint32_t)o.output_tokens, d->active);
  run_tally(d->run, &o);
  s->rest_until_ns = e != RUN_OK && d->load->arrival.kind == ARRIVAL_CLOSED ? mono_ns() + REST_NS : 0;
}

static void start_due_locked(struct drive *d, uint32_t first);

static void on_done(void *arg, int32_t rc, const struct ome_err *err) {
  struct stream *s = arg;
  struct drive *d = s->d;

  (void)pthread_mutex_lock(&d->lock);
  s->fetch = NULL;
  settle(s, rc, err);
  d->active--;
  start_due_locked(d, (uint32_t)(s - d->streams));
  (void)pthread_cond_signal(&d->changed);
  (void)pthread_mutex_unlock(&d->lock);
}

static const struct http_fetch_ops stream_ops = {.on_head = on_head, .on_body = on_body, .on_done = on_done};

/* ---- starting -----------------------------------------------------------------------------------------------------
 */

static void start_locked(struct stream *s, uint64_t intended_ns) {
  struct drive *d = s->d;
  struct sample sample = {0};

  if (d->load->has_scenario)
    scenario_sample(&d->load->scenario, &d->random, &sample);
  buf_clear(&d->request);
  request_body(d->source, &sample, &d->request);
  const struct http_request request = {
      .method = "POST",
      .url = d->target->url,
      .headers = d->target->headers,
      .body = buf_str(&d->request),
      .body_len = d->request.len,
      .timeout_ms = (uint32_t)d->target->timeout_ms,
      .stall_timeout_ms = UINT32_MAX, /* looked for here, to a tenth of a second */
  };
  sse_reset(&s->sse);
  buf_clear(&s->body);
  s->answer = (struct answer){0};
  s->first_ns = s->last_ns = s->end_ns = 0;
  s->heard_ns = 0;
  s->status = 0;
  s->events = s->cut = false;
  s->error = RUN_OK;
  s->intended_ns = intended_ns;
  s->sent_ns = mono_ns();
  d->started++;
  s->fetch = buf_ok(&d->request) ? http_fetch_start(d->http, &request, &stream_ops, s) : NULL;
  if (s->fetch) {
    d->active++;
  } else { /* memory ran out */
    struct ome_err err = ERR_INIT;
    (void)fail_memory(&err);
    settle(s, OME_E_NO_MEMORY, &err);
  }
}

/* Whether there is one more request to start, and when it was due. */
static bool next_due(struct drive *d, uint64_t now, uint64_t *intended_ns) {
  if (d->stopped || d->arrivals_over || (d->load->requests && d->started >= d->load->requests))
    return false;
  if (d->load->arrival.kind == ARRIVAL_CLOSED) {
    *intended_ns = now;
    return !d->load->duration_ns || now - d->start_ns < d->load->duration_ns;
  }
  *intended_ns = d->due_ns;
  return d->due_ns <= now && (!d->load->duration_ns || now - d->start_ns < d->load->duration_ns);
}

/* The arrival after the one that was just taken. */
static void advance(struct drive *d) {
  uint64_t offset;

  if (d->load->arrival.kind == ARRIVAL_CLOSED)
    return;
  d->arrivals_over = !arrival_next(&d->arrival, &offset) || (d->load->duration_ns && offset >= d->load->duration_ns);
  if (!d->arrivals_over)
    d->due_ns = d->start_ns + offset;
}

/* Starts what is due on streams that are idle, from the FIRST on: that one mostly is. */
static void start_due_locked(struct drive *d, uint32_t first) {
  uint64_t now = mono_ns();
  uint64_t intended;

  for (uint32_t i = 0; i < d->nstreams && d->active < d->nstreams; i++) {
    struct stream *s = &d->streams[(first + i) % d->nstreams];
    if (s->fetch || s->rest_until_ns > now)
      continue;
    if (!next_due(d, now, &intended))
      return;
    advance(d);
    start_locked(s, intended);
  }
}

/* ---- the caller's thread ------------------------------------------------------------------------------------------
 */

/* Whether nothing runs and nothing more will. */
static bool is_over(const struct drive *d, uint64_t now) {
  bool time_over = d->load->duration_ns && now - d->start_ns >= d->load->duration_ns;
  bool all = d->load->requests && d->started >= d->load->requests;

  return d->active == 0 && (d->stopped || d->arrivals_over || all || time_over);
}

static void end_stalled(struct drive *d, uint64_t now) {
  for (uint32_t i = 0; i < d->nstreams; i++) {
    struct stream *s = &d->streams[i];
    uint64_t heard = s->heard_ns;
    if (!s->fetch || !heard || s->error != RUN_OK || now < heard || now - heard < d->target->stall_ms * 1000000u)
      continue;
    (void)give_up(s, RUN_STALL, "nothing came for longer than --stall-timeout");
    http_fetch_cancel(s->fetch);
  }
}

static void stop(struct drive *d) {
  d->stopped = true;
  d->run->partial = true;
  for (uint32_t i = 0; i < d->nstreams; i++)
    if (d->streams[i].fetch) {
      d->streams[i].cut = true;
      http_fetch_cancel(d->streams[i].fetch);
    }
}

/* Until a tick has passed, or a request of an open loop is due. */
static void wait_locked(struct drive *d, uint64_t now) {
  bool open = d->load->arrival.kind != ARRIVAL_CLOSED && !d->arrivals_over && d->active < d->nstreams;
  uint64_t until = now + TICK_NS;
  struct timespec at;

  if (open && d->due_ns < until)
    until = d->due_ns;
  at.tv_sec = (time_t)(until / 1000000000u);
  at.tv_nsec = (long)(until % 1000000000u);
  if (until > now)
    (void)pthread_cond_timedwait(&d->changed, &d->lock, &at);
}

static void drive(struct drive *d) {
  uint64_t asked = 0;

  (void)pthread_mutex_lock(&d->lock);
  d->start_ns = mono_ns();
  d->arrival.n = 0;
  advance(d);
  for (;;) {
    uint64_t now = mono_ns();
    start_due_locked(d, (uint32_t)(d->started % d->nstreams));
    if (is_over(d, now))
      break;
    if (now - asked >= TICK_NS) {
      asked = now;
      end_stalled(d, now);
      double seconds = (double)(now - d->start_ns) / 1e9;
      uint64_t done = d->run->requests, failed = d->run->requests - d->run->completed, active = d->active;
      (void)pthread_mutex_unlock(&d->lock);
      bool go_on = !d->target->go_on || d->target->go_on(d->target->arg, done, failed, active, seconds);
      (void)pthread_mutex_lock(&d->lock);
      if (!go_on && !d->stopped)
        stop(d);
    }
    wait_locked(d, mono_ns());
  }
  d->run->seconds = (double)(mono_ns() - d->start_ns) / 1e9;
  (void)pthread_mutex_unlock(&d->lock);
}

/* Arrivals that were due within the time, but found no stream. */
static uint64_t count_unsent(struct drive *d) {
  uint64_t n = 0;

  if (d->load->arrival.kind == ARRIVAL_CLOSED || d->stopped)
    return 0;
  while (!d->arrivals_over && !(d->load->requests && d->started + n >= d->load->requests) && n < 1000000000u) {
    n++;
    advance(d);
  }
  return n;
}

static int32_t drive_init(struct drive *d, struct ome_err *err) {
  pthread_condattr_t attr;

  d->nstreams = d->load->concurrency;
  d->streams = calloc(d->nstreams, sizeof(*d->streams));
  if (!d->streams)
    return fail_memory(err);
  for (uint32_t i = 0; i < d->nstreams; i++) {
    d->streams[i].d = d;
    sse_init(&d->streams[i].sse);
    buf_init(&d->streams[i].body, RUN_MAX_ANSWER);
  }
  buf_init(&d->request, (size_t)256 << 20);
  (void)pthread_mutex_init(&d->lock, NULL);
  (void)pthread_condattr_init(&attr);
  (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  (void)pthread_cond_init(&d->changed, &attr);
  (void)pthread_condattr_destroy(&attr);
  return OME_OK;
}

int32_t run_load(struct http_client *http, const struct run_target *target, struct request_source *source,
                 const struct run_load *load, struct run *out, struct ome_err *err) {
  struct drive d = {.http = http, .target = target, .load = load, .source = source, .run = out};

  memset(out, 0, sizeof(*out));
  (void)snprintf(out->scenario, sizeof(out->scenario), "%s", load->has_scenario ? load->scenario.text : "dataset");
  out->concurrency = load->concurrency;
  out->rate = load->arrival.kind == ARRIVAL_CLOSED ? 0 : load->arrival.rate;
  d.arrival = load->arrival;
  d.random.state = source->random.state ^ 0x5eedu;
  if (drive_init(&d, err) != OME_OK)
    return err->code;
  drive(&d);
  out->unsent = count_unsent(&d);
  for (uint32_t i = 0; i < d.nstreams; i++) {
    sse_fini(&d.streams[i].sse);
    buf_fini(&d.streams[i].body);
  }
  free(d.streams);
  buf_fini(&d.request);
  (void)pthread_cond_destroy(&d.changed);
  (void)pthread_mutex_destroy(&d.lock);
  return OME_OK;
}
