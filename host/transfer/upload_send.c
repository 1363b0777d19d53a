/* The requests of one file: several at a time, tried again where the server or the way to it is at fault, their answers
 * handed over in order. */
#include "transfer/upload_internal.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/str.h"
#include "transfer/headers.h"
#include "transfer/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TICK_MS 100u

enum sending_state { SENDING_WAITS, SENDING_RUNS, SENDING_LANDED, SENDING_DONE };

/* One request and its attempts. */
struct sending {
  struct batch *batch;
  struct ome_upload_request want; /* borrowed from the plugin */
  struct request_headers headers;
  enum sending_state state; /* under lock */
  struct http_fetch *fetch; /* under lock; NULL once it is over */
  uint64_t not_before_ms;
  uint32_t attempts;
  uint64_t sent; /* of the file's bytes, in this attempt; the client's thread while it RUNS */
  int32_t status;
  struct buf head, body;
  int32_t rc;
  struct ome_err err;
};

struct batch {
  struct upload_source *source;
  struct sending *items;
  uint32_t n, nrunning, ndone;
  size_t answered_bytes;
  pthread_mutex_t lock;
  pthread_cond_t landed;
  uint32_t nlanded; /* under lock; not looked at yet */
};

/* ---- on the client's thread -------------------------------------------------------------------------------------- */

static bool on_head(void *arg, int status, const char *headers, UNUSED const char *url) {
  struct sending *s = arg;

  s->status = status;
  buf_adds(&s->head, headers);
  return buf_ok(&s->head);
}

static bool on_body(void *arg, const void *data, size_t len) {
  struct sending *s = arg;
  size_t room = UPLOAD_ANSWER_MAX - s->body.len;

  buf_add(&s->body, data, len < room ? len : room); /* the rest is not looked at */
  return buf_ok(&s->body);
}

static int64_t on_read(void *arg, uint64_t offset, void *to, size_t len) {
  struct sending *s = arg;
  const struct upload_source *from = s->batch->source;
  ssize_t n = pread(from->fd, to, len, (off_t)(s->want.offset + offset));

  if (n <= 0) {
    s->rc = n < 0 ? fail_errno(&s->err, "read", from->file->from)
                  : fail(&s->err, OME_E_CORRUPT, "upload: %s: it became shorter", from->file->from);
    return -1;
  }
  (void)atomic_fetch_add(&from->upload->bytes, (uint64_t)n);
  if (offset < s->sent) /* sent again on a new connection */
    (void)atomic_fetch_sub(&from->upload->bytes, s->sent - offset);
  s->sent = offset + (uint64_t)n;
  return n;
}

static void on_done(void *arg, int32_t rc, const struct ome_err *err) {
  struct sending *s = arg;
  struct batch *b = s->batch;

  if (s->rc == OME_OK && rc != OME_OK) {
    s->rc = rc;
    s->err = *err;
  }
  (void)pthread_mutex_lock(&b->lock);
  s->fetch = NULL;
  s->state = SENDING_LANDED;
  b->nlanded++;
  (void)pthread_cond_signal(&b->landed);
  (void)pthread_mutex_unlock(&b->lock);
}

static const struct http_fetch_ops memory_ops = {.on_head = on_head, .on_body = on_body, .on_done = on_done};
static const struct http_fetch_ops file_ops = {
    .on_head = on_head, .on_body = on_body, .on_done = on_done, .read_body = on_read};

/* ---- on the caller's thread -------------------------------------------------------------------------------------- */

static void begin(struct sending *s) {
  struct batch *b = s->batch;
  const struct upload *u = b->source->upload;
  bool from_file = !s->want.body.ptr && s->want.len;
  const struct http_request req = {.method = s->want.method,
                                   .url = s->headers.url ? s->headers.url : s->want.url,
                                   .headers = (const char *const *)s->headers.lines,
                                   .body = s->want.body.ptr,
                                   .body_len = from_file ? s->want.len : s->want.body.len,
                                   .sigv4 = s->headers.sigv4,
                                   .credentials = s->headers.credentials,
                                   .stall_timeout_ms = u->job->stall_timeout_ms ? u->job->stall_timeout_ms : 120000};

  buf_clear(&s->head);
  buf_clear(&s->body);
  s->sent = 0;
  s->status = 0;
  s->rc = OME_OK;
  s->attempts++;
  err_clear(&s->err);
  (void)pthread_mutex_lock(&b->lock);
  s->state = SENDING_RUNS;
  s->fetch = http_fetch_start(u->client, &req, from_file ? &file_ops : &memory_ops, s);
  if (s->fetch) {
    b->nrunning++;
  } else {
    s->rc = fail(&s->err, OME_E_INVALID, "upload: %.200s: the address cannot be used", b->source->file->path);
    s->state = SENDING_LANDED;
    b->nlanded++;
    b->nrunning++;
  }
  (void)pthread_mutex_unlock(&b->lock);
}

/* The statuses that say "not now" (RFC 9110 §15, RFC 6585 §4). */
static bool is_passing(int32_t status) {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

/* Signatures in the query are secrets. */
static void name_of(const struct sending *s, char out[200]) {
  (void)snprintf(out, 200, "%.*s", (int)strcspn(s->want.url, "?"), s->want.url);
}

static int32_t wait_again(struct sending *s, struct ome_err *why) {
  char message[sizeof(why->msg)];
  uint64_t ms = back_off_ms(s->attempts, why->retry_after_ms);

  (void)snprintf(message, sizeof(message), "%.400s; again in %.1f s", why->msg, (double)ms / 1000);
  (void)atomic_fetch_sub(&s->batch->source->upload->bytes, s->sent);
  s->sent = 0;
  s->not_before_ms = mono_ms() + ms;
  s->state = SENDING_WAITS;
  upload_retry_told(s->batch->source->upload, s->batch->source->file->path, message);
  return OME_OK;
}

/* What became of a request that is over: done, once more, or the end of it all. */
static int32_t land(struct sending *s, struct ome_err *err) {
  const struct upload_job *job = s->batch->source->upload->job;
  bool last = s->attempts >= (job->attempts ? job->attempts : 6);
  char name[200];

  name_of(s, name);
  if (s->rc == OME_OK && is_passing(s->status) && !last) {
    struct ome_err why = ERR_INIT;
    (void)fail_status(&why, s->status, buf_str(&s->head), "upload", name);
    return wait_again(s, &why);
  }
  if (s->rc != OME_OK && err_retryable(s->rc) && !last)
    return wait_again(s, &s->err);
  if (s->rc != OME_OK) {
    *err = s->err;
    return fail_prefix(err, "upload: %.200s", s->batch->source->file->path);
  }
  s->batch->answered_bytes += s->body.len;
  if (s->batch->answered_bytes > UPLOAD_ANSWERS_MAX)
    return fail(err, OME_E_INVALID, "upload: %.200s: the answers of %s are too long", s->batch->source->file->path,
                name);
  s->state = SENDING_DONE;
  s->batch->ndone++;
  return OME_OK;
}

static int32_t collect(struct batch *b, struct ome_err *err) {
  int32_t rc = OME_OK;

  (void)pthread_mutex_lock(&b->lock);
  uint32_t landed = b->nlanded;
  b->nlanded = 0;
  (void)pthread_mutex_unlock(&b->lock);
  for (uint32_t i = 0; rc == OME_OK && landed && i < b->n; i++) {
    (void)pthread_mutex_lock(&b->lock);
    bool over = b->items[i].state == SENDING_LANDED;
    (void)pthread_mutex_unlock(&b->lock);
    if (!over)
      continue;
    b->nrunning--;
    rc = land(&b->items[i], err);
  }
  return rc;
}

static void launch(struct batch *b) {
  uint64_t now = mono_ms();

  for (uint32_t i = 0; i < b->n && b->nrunning < b->source->upload->connections; i++) {
    (void)pthread_mutex_lock(&b->lock);
    bool waits = b->items[i].state == SENDING_WAITS && b->items[i].not_before_ms <= now;
    (void)pthread_mutex_unlock(&b->lock);
    if (waits)
      begin(&b->items[i]);
  }
}

static void wait_for_news(struct batch *b) {
  (void)pthread_mutex_lock(&b->lock);
  if (b->nlanded == 0)
    (void)cond_wait_until(&b->landed, &b->lock, mono_ms() + TICK_MS);
  (void)pthread_mutex_unlock(&b->lock);
}

static int32_t drive(struct batch *b, struct ome_err *err) {
  struct upload *u = b->source->upload;
  int32_t rc = OME_OK;

  while (rc == OME_OK && b->ndone < b->n) {
    if (upload_stopped(u))
      return fail(err, OME_E_CANCELLED, "upload: %.200s: stopped", b->source->file->path);
    launch(b);
    wait_for_news(b);
    rc = collect(b, err);
    upload_tick(u);
  }
  return rc;
}

/* Ends what is under way and waits for it. */
static void settle(struct batch *b) {
  (void)pthread_mutex_lock(&b->lock);
  for (uint32_t i = 0; i < b->n; i++)
    if (b->items[i].fetch)
      http_fetch_cancel(b->items[i].fetch);
  for (uint32_t i = 0; i < b->n; i++)
    while (b->items[i].state == SENDING_RUNS)
      (void)pthread_cond_wait(&b->landed, &b->lock);
  (void)pthread_mutex_unlock(&b->lock);
}

/* ---- the plugin's list and the answers to it --------------------------------------------------------------------- */

static int32_t check(const struct sending *s, uint32_t index, struct ome_err *err) {
  const struct ome_upload_request *r = &s->want;
  const struct upload_file *f = s->batch->source->file;

  if (!r->method || !r->url || !*r->method || strspn(r->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(r->method))
    return fail(err, OME_E_INVALID, "upload: %.200s: request %u has no method or address", f->path, index);
  if (!r->body.ptr && (r->offset > f->size || r->len > f->size - r->offset))
    return fail(err, OME_E_INVALID, "upload: %.200s: request %u wants bytes beyond the file's %" PRIu64, f->path, index,
                f->size);
  return OME_OK;
}

static int32_t take(struct batch *b, const struct ome_list *list, struct ome_err *err) {
  int32_t rc = OME_OK;

  b->n = list->count;
  for (uint32_t i = 0; i < b->n; i++) {
    struct sending *s = &b->items[i];
    s->batch = b;
    buf_init(&s->head, 256 * 1024);
    buf_init(&s->body, UPLOAD_ANSWER_MAX);
  }
  for (uint32_t i = 0; rc == OME_OK && i < b->n; i++) {
    struct sending *s = &b->items[i];
    const char *at = (const char *)list->data + (size_t)i * list->stride;
    uint32_t size;
    memcpy(&size, at, sizeof(size));
    size = size < list->stride ? size : list->stride;
    memcpy(&s->want, at, size < sizeof(s->want) ? size : sizeof(s->want));
    rc = check(s, i, err);
    if (rc == OME_OK)
      rc = request_headers_add_all(&s->headers, s->want.headers, s->want.nheaders, err);
  }
  return rc;
}

static int32_t hand_over(struct batch *b, int32_t (*answer)(void *, uint32_t, const struct ome_upload_answer *),
                         void *arg, struct ome_err *err) {
  int32_t rc = OME_OK;

  for (uint32_t i = 0; rc == OME_OK && i < b->n; i++) {
    struct sending *s = &b->items[i];
    struct answer_headers headers = {0};
    if (!answer_headers_split(&headers, s->head.data)) {
      rc = fail_memory(err);
    } else {
      const struct ome_upload_answer a = {.struct_size = sizeof(a),
                                          .status = s->status,
                                          .headers = headers.pairs.items,
                                          .nheaders = headers.pairs.len,
                                          .body = {buf_str(&s->body), s->body.len}};
      rc = answer(arg, i, &a);
    }
    VEC_FREE(&headers.pairs);
  }
  return rc;
}

static void batch_fini(struct batch *b) {
  for (uint32_t i = 0; i < b->n; i++) {
    request_headers_fini(&b->items[i].headers);
    buf_fini(&b->items[i].head);
    buf_fini(&b->items[i].body);
  }
  free(b->items);
  (void)pthread_cond_destroy(&b->landed);
  (void)pthread_mutex_destroy(&b->lock);
}

int32_t upload_send(struct ome_uploader *to, const struct ome_list *requests,
                    int32_t (*answer)(void *arg, uint32_t index, const struct ome_upload_answer *a), void *arg,
                    struct ome_err *err) {
  struct batch b = {.source = to->ctx, .lock = PTHREAD_MUTEX_INITIALIZER};

  if (requests->count > UPLOAD_REQUESTS_MAX)
    return fail(err, OME_E_INVALID, "upload: %.200s: more than %u requests at once", b.source->file->path,
                UPLOAD_REQUESTS_MAX);
  b.items = calloc(requests->count + 1, sizeof(*b.items));
  if (!b.items)
    return fail_memory(err);
  cond_init(&b.landed);
  int32_t rc = take(&b, requests, err);
  if (rc == OME_OK)
    rc = drive(&b, err);
  settle(&b);
  if (rc == OME_OK && answer)
    rc = hand_over(&b, answer, arg, err);
  batch_fini(&b);
  return rc;
}

int32_t upload_read(struct ome_uploader *to, uint64_t offset, uint64_t len, void *into, struct ome_err *err) {
  struct upload_source *s = to->ctx;
  char *p = into;

  if (offset > s->file->size || len > s->file->size - offset)
    return fail(err, OME_E_INVALID, "upload: %.200s: bytes beyond its end are asked for", s->file->path);
  while (len) {
    ssize_t n = pread(s->fd, p, (size_t)len, (off_t)offset);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return n < 0 ? fail_errno(err, "read", s->file->from)
                   : fail(err, OME_E_CORRUPT, "upload: %s: it became shorter", s->file->from);
    p += n;
    offset += (uint64_t)n;
    len -= (uint64_t)n;
    (void)atomic_fetch_add(&s->upload->bytes, (uint64_t)n);
  }
  if (upload_stopped(s->upload))
    return fail(err, OME_E_CANCELLED, "upload: %.200s: stopped", s->file->path);
  upload_tick(s->upload);
  return OME_OK;
}
