#include "net/http_stream.h"

#include "base/clock.h"
#include "base/cond.h"

#include <string.h>

#define WAITING_MAX ((size_t)256 << 10)
#define ASK_MS 100

/* What the client's thread and the caller's share, under LOCK. */
struct stream {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  struct buf headers, waiting; /* of the body: what was not handed over yet */
  uint64_t total, max;
  int status;
  bool has_head, is_paused, too_long, done;
  int32_t rc;
  struct ome_err *err;
};

/* ---- on the client's thread -------------------------------------------------------------------------------------- */

static bool on_head(void *arg, int status, const char *headers, const char *url) {
  struct stream *s = arg;

  (void)url;
  (void)pthread_mutex_lock(&s->lock);
  s->status = status;
  buf_adds(&s->headers, headers);
  s->has_head = true;
  bool ok = buf_ok(&s->headers);
  (void)pthread_cond_signal(&s->changed);
  (void)pthread_mutex_unlock(&s->lock);
  return ok;
}

static bool has_room(void *arg) {
  struct stream *s = arg;

  (void)pthread_mutex_lock(&s->lock);
  s->is_paused = s->waiting.len >= WAITING_MAX;
  bool room = !s->is_paused;
  (void)pthread_mutex_unlock(&s->lock);
  return room;
}

static bool on_body(void *arg, const void *data, size_t len) {
  struct stream *s = arg;

  (void)pthread_mutex_lock(&s->lock);
  s->total += len;
  s->too_long = s->total > s->max;
  if (!s->too_long)
    buf_add(&s->waiting, data, len);
  bool ok = !s->too_long && buf_ok(&s->waiting);
  (void)pthread_cond_signal(&s->changed);
  (void)pthread_mutex_unlock(&s->lock);
  return ok;
}

static void on_done(void *arg, int32_t rc, const struct ome_err *err) {
  struct stream *s = arg;

  (void)pthread_mutex_lock(&s->lock);
  s->rc = rc;
  if (rc != OME_OK)
    *s->err = *err;
  s->done = true;
  (void)pthread_cond_signal(&s->changed);
  (void)pthread_mutex_unlock(&s->lock);
}

static const struct http_fetch_ops ops_of_fetch = {
    .on_head = on_head, .has_room = has_room, .on_body = on_body, .on_done = on_done};

/* ---- on the caller's --------------------------------------------------------------------------------------------- */

struct caller {
  struct stream *stream;
  struct http_fetch *fetch;
  const struct http_stream_ops *ops;
  void *arg;
  bool (*cancelled)(void *);
  void *cancelled_arg;
  struct buf taken; /* changes places with stream->waiting */
  bool head_told;
  bool over; /* the end was asked for; what comes is of no use */
  int32_t rc;
  struct ome_err err;
};

static void end_locked(struct caller *c) {
  if (!c->over && !c->stream->done)
    http_fetch_cancel(c->fetch);
  c->over = true;
}

/* Waits for something to do, and ends the request when the caller is asked to stop. */
static void wait_locked(struct caller *c) {
  struct stream *s = c->stream;

  if (!c->cancelled || c->over) {
    (void)pthread_cond_wait(&s->changed, &s->lock);
    return;
  }
  (void)cond_wait_until(&s->changed, &s->lock, mono_ms() + ASK_MS);
  if (c->cancelled(c->cancelled_arg))
    end_locked(c);
}

static void take_locked(struct caller *c) {
  struct stream *s = c->stream;
  struct buf full = s->waiting;

  s->waiting = c->taken;
  c->taken = full;
  if (s->is_paused && !s->done)
    http_fetch_resume(c->fetch);
  s->is_paused = false;
}

/* One thing that has come, to the caller; false: there is none. */
static bool hand_over_locked(struct caller *c) {
  struct stream *s = c->stream;
  bool head = s->has_head && !c->head_told;

  if (c->over || (!head && s->waiting.len == 0))
    return false;
  if (!head)
    take_locked(c);
  c->head_told = true;
  (void)pthread_mutex_unlock(&s->lock);
  /* Nobody writes to the head once it is there. */
  c->rc = head ? c->ops->head(c->arg, s->status, buf_str(&s->headers), &c->err)
               : c->ops->body(c->arg, c->taken.data, c->taken.len, &c->err);
  if (!head)
    buf_clear(&c->taken);
  (void)pthread_mutex_lock(&s->lock);
  if (c->rc != OME_OK)
    end_locked(c);
  return true;
}

int32_t http_stream(struct http_client *c, const struct http_request *req, bool (*cancelled)(void *),
                    void *cancelled_arg, const struct http_stream_ops *ops, void *arg, struct ome_err *err) {
  struct stream s = {
      .lock = PTHREAD_MUTEX_INITIALIZER, .max = req->max_body ? req->max_body : BUF_DEFAULT_MAX, .err = err};
  struct caller call = {.stream = &s, .ops = ops, .arg = arg, .cancelled = cancelled, .cancelled_arg = cancelled_arg};

  cond_init(&s.changed);
  buf_init(&s.headers, 256 * 1024);
  (void)pthread_mutex_lock(&s.lock);
  call.fetch = http_fetch_start(c, req, &ops_of_fetch, &s);
  s.done = !call.fetch;
  while (!s.done || (!call.over && s.rc == OME_OK && (s.waiting.len || (s.has_head && !call.head_told))))
    if (!hand_over_locked(&call) && !s.done)
      wait_locked(&call);
  (void)pthread_mutex_unlock(&s.lock);
  int shown = (int)strcspn(req->url, "?"); /* signatures are secrets */
  if (!call.fetch)
    s.rc = fail_memory(err);
  else if (s.too_long)
    s.rc = fail(err, OME_E_INVALID, "%s %.*s: the answer is longer than the %llu bytes allowed",
                req->method ? req->method : "GET", shown, req->url, (unsigned long long)s.max);
  if (call.rc != OME_OK) {
    s.rc = call.rc;
    *err = call.err;
  }
  (void)pthread_cond_destroy(&s.changed);
  buf_fini(&s.headers);
  buf_fini(&s.waiting);
  buf_fini(&call.taken);
  return s.rc;
}
