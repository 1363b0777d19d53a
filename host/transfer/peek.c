#include "transfer/peek.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/str.h"
#include "os/file.h"
#include "transfer/headers.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROUNDS 4u
#define PAUSE_MS 250u
#define MAX_PAUSE_MS 5000u
#define STALL_MS 30000u
#define STOP_MS 100u /* between two looks at whether to stop */

/* Pieces that are on their way. */
struct round {
  pthread_mutex_t lock;
  pthread_cond_t done;
  size_t flying;
};

struct flight {
  struct round *round;
  struct peek *piece;
  struct request_headers headers;
  struct http_fetch *fetch; /* NULL once it is over */
  uint64_t skip;            /* bytes before the piece that the server sends all the same */
  bool whole;               /* all of LEN is there, and the rest is not wanted */
};

/* ---- answers; the client's thread -------------------------------------------------------------------------------- */

static void learn_size(struct peek *p, int status, const char *headers) {
  char text[128];
  const char *slash = NULL;
  bool ranged = status == 206;

  if (http_headers_get(headers, ranged ? "content-range" : "content-length", text, sizeof(text)))
    slash = ranged ? strrchr(text, '/') : NULL;
  else
    return;
  (void)str_to_u64(ranged ? (slash ? slash + 1 : "") : text, &p->size);
}

static bool on_head(void *arg, int status, const char *headers, const char *url) {
  struct flight *f = arg;
  struct peek *p = f->piece;
  char text[128] = "";
  uint64_t from = 0;

  if (status != 200 && status != 206) {
    _cleanup_free_ char *where = str_copy(url, strcspn(url, "?")); /* signatures are secrets */
    _cleanup_free_ char *what = str_printf("inspect: %.200s", p->file->path);
    p->rc = fail_status(&p->err, status, headers, what ? what : "inspect", where ? where : "");
    return false;
  }
  learn_size(p, status, headers);
  f->skip = status == 200 ? p->offset : 0;
  if (status == 206 && (!http_headers_get(headers, "content-range", text, sizeof(text)) ||
                        sscanf(text, "bytes %" SCNu64 "-", &from) != 1 || from != p->offset)) {
    p->rc = fail(&p->err, OME_E_CORRUPT, "inspect: %.200s: the server sends another range than was asked for",
                 p->file->path);
    return false;
  }
  return true;
}

static bool on_body(void *arg, const void *data, size_t len) {
  struct flight *f = arg;
  struct peek *p = f->piece;
  const char *from = data;
  size_t before = f->skip < len ? (size_t)f->skip : len;

  f->skip -= before;
  from += before;
  len -= before;
  if (len > p->len - p->data.len)
    len = p->len - p->data.len;
  buf_add(&p->data, from, len);
  f->whole = p->data.len == p->len;
  return !f->whole;
}

static void on_done(void *arg, int32_t rc, const struct ome_err *err) {
  struct flight *f = arg;
  struct peek *p = f->piece;

  if (p->rc == OME_OK && !f->whole && rc != OME_OK) {
    p->rc = rc;
    p->err = *err;
    (void)fail_prefix(&p->err, "inspect: %.200s", p->file->path);
  } else if (p->rc == OME_OK && !buf_ok(&p->data)) {
    p->rc = fail_memory(&p->err);
  }
  (void)pthread_mutex_lock(&f->round->lock);
  f->fetch = NULL;
  f->round->flying--;
  (void)pthread_cond_signal(&f->round->done);
  (void)pthread_mutex_unlock(&f->round->lock);
}

static const struct http_fetch_ops ops = {.on_head = on_head, .on_body = on_body, .on_done = on_done};

/* ---- questions --------------------------------------------------------------------------------------------------- */

struct asking {
  struct request_headers *headers;
  struct ome_err err;
};

static int32_t on_pair(struct ome_kv_sink *s, const char *key, const char *value) {
  struct asking *a = s->ctx;

  return request_headers_add(a->headers, key, value, &a->err);
}

static int32_t ask_headers(const struct peek_source *s, struct flight *f) {
  struct asking a = {.headers = &f->headers};
  struct ome_kv_sink sink = {.struct_size = sizeof(sink), .ctx = &a, .kv = on_pair};
  const struct ome_model_file view = manifest_view(f->piece->file);
  int32_t rc = plugin_storage_headers(s->plugin, s->call, s->ref, &view, &sink, &f->piece->err);

  if (a.err.code != OME_OK) {
    f->piece->err = a.err;
    rc = a.err.code;
  }
  if (rc == OME_E_UNSUPPORTED) {
    err_clear(&f->piece->err);
    rc = OME_OK;
  }
  return rc == OME_OK ? OME_OK : fail_prefix(&f->piece->err, "inspect: %.200s", f->piece->file->path);
}

static void start(const struct peek_source *s, struct flight *f) {
  struct peek *p = f->piece;
  const char *headers[REQUEST_HEADERS_MAX + 3];
  char range[80];
  size_t n = 0;

  p->rc = ask_headers(s, f);
  if (p->rc != OME_OK)
    return;
  for (size_t i = 0; i < f->headers.n; i++)
    headers[n++] = f->headers.lines[i];
  headers[n++] = "Accept-Encoding: identity";
  (void)snprintf(range, sizeof(range), "Range: bytes=%" PRIu64 "-%" PRIu64, p->offset, p->offset + p->len - 1);
  headers[n++] = range;
  headers[n] = NULL;
  const struct http_request req = {.url = f->headers.url ? f->headers.url : p->file->url,
                                   .headers = headers,
                                   .sigv4 = f->headers.sigv4,
                                   .credentials = f->headers.credentials,
                                   .multiplex = has_prefix(p->file->url, "https:"),
                                   .stall_timeout_ms = STALL_MS,
                                   .max_redirects = 10};
  (void)pthread_mutex_lock(&f->round->lock);
  f->round->flying++;
  f->fetch = http_fetch_start(s->client, &req, &ops, f);
  if (!f->fetch) {
    f->round->flying--;
    p->rc = fail(&p->err, OME_E_INVALID, "inspect: %.200s: the address cannot be used", p->file->path);
  }
  (void)pthread_mutex_unlock(&f->round->lock);
}

static int32_t on_bytes(struct ome_byte_sink *sink, const void *data, uint64_t len) {
  struct peek *p = sink->ctx;

  if (len > p->len - p->data.len)
    return OME_E_INVALID;
  buf_add(&p->data, data, (size_t)len);
  return buf_ok(&p->data) ? OME_OK : OME_E_NO_MEMORY;
}

/* What is on this machine, or comes through the plugin. */
static void read_directly(const struct peek_source *s, struct peek *p) {
  struct ome_byte_sink sink = {.struct_size = sizeof(sink), .ctx = p, .write = on_bytes};
  const struct ome_model_file view = manifest_view(p->file);

  if (!p->file->local_path) {
    p->rc = plugin_storage_read(s->plugin, s->call, s->ref, &view, p->offset, p->len, &sink, &p->err);
    return;
  }
  _cleanup_close_ int fd = open(p->file->local_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  _cleanup_free_ char *bytes = malloc(p->len);
  if (!bytes)
    p->rc = fail_memory(&p->err);
  else if (fd < 0)
    p->rc = fail_errno(&p->err, "open", p->file->local_path);
  ssize_t n = 1;
  while (p->rc == OME_OK && p->data.len < p->len && n > 0) {
    n = pread(fd, bytes, p->len - p->data.len, (off_t)(p->offset + p->data.len));
    if (n < 0)
      p->rc = fail_errno(&p->err, "read", p->file->local_path);
    else
      buf_add(&p->data, bytes, (size_t)n);
  }
}

/* ---- rounds ------------------------------------------------------------------------------------------------------ */

static bool is_stopped(const struct peek_source *s) {
  return s->call && s->call->cancelled && s->call->cancelled(s->call->arg);
}

static void nap(uint32_t ms) {
  (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

/* Until all have landed; those that fly are called back when the caller wants to stop. */
static void wait_for_all(const struct peek_source *s, struct flight *flights, size_t n, struct round *r) {
  (void)pthread_mutex_lock(&r->lock);
  while (r->flying) {
    (void)cond_wait_until(&r->done, &r->lock, mono_ms() + STOP_MS);
    for (size_t i = 0; is_stopped(s) && i < n; i++)
      if (flights[i].fetch)
        http_fetch_cancel(flights[i].fetch);
  }
  (void)pthread_mutex_unlock(&r->lock);
}

/* Asks for the pieces that have no answer yet; *PAUSE: how long those want us to wait that may be had later. */
static size_t fly(const struct peek_source *s, struct peek *pieces, struct flight *flights, size_t n, uint32_t *pause) {
  struct round r = {.lock = PTHREAD_MUTEX_INITIALIZER};
  size_t again = 0;

  cond_init(&r.done);
  for (size_t i = 0; i < n; i++) {
    struct peek *p = &pieces[i];
    flights[i] = (struct flight){.round = &r, .piece = p};
    if (!err_retryable(p->rc)) /* it has its answer */
      continue;
    p->rc = OME_OK;
    err_clear(&p->err);
    buf_clear(&p->data);
    if (p->file->local_path || !p->file->url)
      read_directly(s, p);
    else
      start(s, &flights[i]);
  }
  wait_for_all(s, flights, n, &r);
  for (size_t i = 0; i < n; i++) {
    request_headers_fini(&flights[i].headers);
    again += err_retryable(pieces[i].rc);
    if (err_retryable(pieces[i].rc) && pieces[i].err.retry_after_ms > *pause)
      *pause = pieces[i].err.retry_after_ms;
  }
  (void)pthread_mutex_destroy(&r.lock);
  (void)pthread_cond_destroy(&r.done);
  return again;
}

int32_t peek_all(const struct peek_source *s, struct peek *pieces, size_t n, struct ome_err *err) {
  _cleanup_free_ struct flight *flights = calloc(n ? n : 1, sizeof(*flights));
  size_t again = n;

  if (!flights)
    return fail_memory(err);
  for (size_t i = 0; i < n; i++) {
    pieces[i].rc = OME_E_UNAVAILABLE;
    pieces[i].size = OME_SIZE_UNKNOWN;
    buf_init(&pieces[i].data, pieces[i].len + 1);
  }
  for (uint32_t round = 0; again && round < ROUNDS; round++) {
    uint32_t pause = PAUSE_MS << round;
    again = fly(s, pieces, flights, n, &pause);
    if (is_stopped(s))
      return fail(err, OME_E_CANCELLED, "inspect: stopped");
    if (again && round + 1 < ROUNDS)
      nap(pause < MAX_PAUSE_MS ? pause : MAX_PAUSE_MS);
  }
  return OME_OK;
}
