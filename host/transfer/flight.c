/* One piece on its way: a ranged GET (RFC 9110 §14) or a plugin's read(), from there into its place in the file. */
#include "base/clock.h"
#include "base/str.h"
#include "transfer/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PICK_AGAIN_MS 40u /* below the driver's tick */
#define PEER_CONNECT_MS 3000u
#define PEER_STALL_MS 20000u /* one that has the piece in sight may let us wait for it */
#define NAP_NS 20000000u     /* so that a stop is seen while a bandwidth cap makes us wait */

int32_t write_at(int fd, const char *name, const void *data, size_t len, uint64_t at, struct ome_err *err) {
  const char *p = data;

  while (len) {
    ssize_t n = pwrite(fd, p, len, (off_t)at);
    if (n < 0 && errno != EINTR)
      return fail_errno(err, "write", name);
    if (n > 0) {
      p += n;
      at += (uint64_t)n;
      len -= (size_t)n;
    }
  }
  return OME_OK;
}

static bool size_is_known(const struct item *it) {
  return it->file->size != OME_SIZE_UNKNOWN;
}

static void set_restart(struct flight *f, const char *why) {
  f->rc = fail(&f->err, OME_E_UNAVAILABLE, "fetch: %.200s: %s", f->item->file->path, why);
  atomic_store(&f->item->restart, true);
}

/* ---- bytes; a lane's or a reader's ------------------------------------------------------------------------------- */

/* Waits until the caps let LEN more bytes pass. */
static void throttle(struct engine *e, size_t len) {
  if (pace_is_free(&e->bucket) && pace_is_free(pace_process()))
    return;
  uint64_t now = mono_ns();
  uint64_t own = pace_take(&e->bucket, len, now), all = pace_take(pace_process(), len, now);
  uint64_t until = own > all ? own : all;

  while (now < until && !atomic_load(&e->stop)) {
    uint64_t ns = until - now < NAP_NS ? until - now : NAP_NS;
    (void)nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
    now = mono_ns();
  }
}

/* Small files are written and hashed at once; the bytes of others are gathered first. */
static bool put(struct flight *f, const void *data, size_t len, uint64_t at) {
  struct item *it = f->item;

  if (!it->inlined)
    return block_add(f, data, len, at);
  f->rc = write_at(it->fd, it->file->path, data, len, at, &f->err);
  f->disk = f->rc != OME_OK;
  if (!f->disk)
    digests_add(it->digests, data, len);
  return !f->disk;
}

static bool store(struct flight *f, const void *data, size_t len) {
  struct engine *e = f->engine;
  struct item *it = f->item;
  uint64_t at = atomic_load_explicit(&f->at, memory_order_relaxed);

  (void)atomic_fetch_add(&e->fetched, len);
  if (atomic_load(&e->stop) || atomic_load(&it->restart))
    return false;
  if (len > f->end - at && f->peer) {
    f->rc = fail(&f->err, OME_E_CORRUPT, "fetch: %.200s: a peer sends more than was asked for", it->file->path);
    return false;
  }
  if (len > f->end - at) {
    set_restart(f, "the server sends more than was asked for");
    return false;
  }
  if (!put(f, data, len, at))
    return false;
  atomic_store_explicit(&f->at, at + len, memory_order_relaxed);
  (void)atomic_fetch_add(&e->bytes, len);
  throttle(e, len);
  return true;
}

/* ---- landing ----------------------------------------------------------------------------------------------------- */

void flight_free_locked(struct flight *f, enum piece_state state) {
  struct item *it = f->item;

  it->state[f->index] = (uint8_t)state;
  it->flying--;
  it->host->flying--;
  f->state = FLIGHT_FREE;
  if (state == PIECE_DONE) {
    it->ndone++;
    return;
  }
  f->engine->nabsent++;
  (void)atomic_fetch_sub(&f->engine->bytes, atomic_load(&f->at) - f->index * it->piece);
  it->next = f->index < it->next ? f->index : it->next;
}

/* A file of unknown size is as long as what came. */
static int32_t learn_size_locked(struct flight *f) {
  struct item *it = f->item;
  uint64_t size = atomic_load(&f->at);

  it->file->size = size;
  it->piece = size ? size : 1;
  (void)atomic_fetch_add(&f->engine->learnt, size);
  return hash_begin(it) ? OME_OK : fail_memory(&it->err);
}

static void tell_swarm(const struct flight *f) {
  const struct transfer_swarm *swarm = f->engine->job->swarm;
  const struct item *it = f->item;
  const struct transfer_landed piece = {.index = f->index,
                                        .peer = f->peer,
                                        .passed_on = f->passed_on,
                                        .bytes = atomic_load(&f->at) - f->index * it->piece,
                                        .code = f->rc,
                                        .why = f->err.msg};

  if (it->shared)
    swarm->landed(swarm->arg, it->file, &piece);
}

void flight_pass_on_locked(struct flight *f) {
  tell_swarm(f);
  flight_free_locked(f, PIECE_ABSENT);
}

/* What needs no lock, as long as the flight has not landed; ERR is its. */
static int32_t record(struct flight *f, struct ome_err *err) {
  struct item *it = f->item;
  int32_t rc = ledger_piece(f->engine->ledger, it->file->path, f->index, err);

  return rc == OME_OK && it->inlined ? hash_end(it, err) : rc; /* the piece is all of it */
}

static void land_good_locked(struct flight *f, int32_t rc, const struct ome_err *err) {
  struct engine *e = f->engine;
  struct item *it = f->item;

  if (rc != OME_OK)
    it->err = *err;
  else if (!size_is_known(it))
    rc = learn_size_locked(f);
  tell_swarm(f);
  flight_free_locked(f, PIECE_DONE);
  pace_good(it->host, e->nflights);
  it->denied = false;
  (void)atomic_fetch_add(&e->requests, 1);
  if (rc != OME_OK) {
    it->verdict = rc;
    it->checked = true;
    (void)pthread_cond_signal(&e->news);
  } else if (it->inlined && item_is_whole(it)) {
    item_verified_locked(e, it);
  } else {
    (void)pthread_cond_signal(&e->work);
  }
}

/* Somebody has something to do: a failure, the end, settle(), or files to open. */
static void call_others_locked(struct engine *e, const struct flight *f) {
  if (f->state == FLIGHT_LANDED || atomic_load(&e->stop) || atomic_load(&e->nverified) == e->nfiles)
    (void)pthread_cond_signal(&e->news);
  if (e->nabsent < LOOKAHEAD / 2 && e->next_file < e->nfiles)
    (void)pthread_cond_signal(&e->opens);
}

static void landed(struct flight *f) {
  struct engine *e = f->engine;
  struct ome_err err = ERR_INIT;
  int32_t rc = OME_OK;

  (void)block_flush(f);
  bool good = f->rc == OME_OK && !atomic_load(&f->item->restart);
  if (good)
    rc = record(f, &err);
  (void)pthread_mutex_lock(&e->lock);
  f->fetch = NULL;
  if (good && !atomic_load(&f->item->restart)) {
    land_good_locked(f, rc, &err);
    flight_launch_locked(f);
  } else if (f->direct && !f->item->direct && !atomic_load(&e->stop)) {
    flight_start_locked(f); /* what the redirect led to has run out: by the front door again */
  } else {
    f->state = FLIGHT_LANDED;
  }
  call_others_locked(e, f);
  (void)pthread_mutex_unlock(&e->lock);
}

/* ---- the answer; a lane's ---------------------------------------------------------------------------------------- */

/* "bytes 0-99/1234": whether it is what was asked for, of a file of the right size. */
static bool is_wanted_range(const struct flight *f, const char *text) {
  uint64_t first, last, total;

  return sscanf(text, "bytes %" SCNu64 "-%" SCNu64 "/%" SCNu64, &first, &last, &total) == 3 &&
         first == atomic_load(&f->at) && last + 1 == f->end && total == f->item->file->size;
}

/* Every answer for a file has to be about the same content. */
static bool same_etag(struct flight *f, const char *etag) {
  struct engine *e = f->engine;

  (void)pthread_mutex_lock(&e->lock);
  if (f->item->etag[0] == '\0')
    (void)snprintf(f->item->etag, sizeof(f->item->etag), "%s", etag);
  bool same = streq(f->item->etag, etag);
  (void)pthread_mutex_unlock(&e->lock);
  return same;
}

/* "https://host:port" of URL. */
static void origin_of(const char *url, char out[256]) {
  const char *name = strstr(url, "://");
  size_t len = name ? (size_t)(name - url) + 3 + strcspn(name + 3, "/?#") : 0;

  (void)snprintf(out, 256, "%.*s", (int)(len < 255 ? len : 255), url);
}

/* Later ranges go where a redirect to another host led, without the detour and without credentials. */
static void remember_redirect(struct flight *f, const char *url) {
  struct engine *e = f->engine;
  char origin[256];

  origin_of(url, origin);
  if (strcasecmp(origin, f->origin) == 0)
    return;
  (void)pthread_mutex_lock(&e->lock);
  if (!f->item->direct)
    f->item->direct = strdup(url);
  (void)pthread_mutex_unlock(&e->lock);
}

static void obey_hint(struct flight *f, const char *headers) {
  struct engine *e = f->engine;
  uint64_t ms = pace_hint_ms(headers, (int64_t)(wall_ms() / 1000));

  if (!ms)
    return;
  (void)pthread_mutex_lock(&e->lock);
  if (f->item->host->held_until_ms < mono_ms() + ms)
    f->item->host->held_until_ms = mono_ms() + ms;
  (void)pthread_mutex_unlock(&e->lock);
}

/* What a hub says beyond the status (Hugging Face: X-Error-Code, X-Error-Message). */
static void explain(struct flight *f, int status, const char *headers, const char *url) {
  char code[64] = "", text[200] = "";
  _cleanup_free_ char *where = str_copy(url, strcspn(url, "?")); /* signatures are secrets */
  _cleanup_free_ char *what = str_printf("fetch: %.200s", f->item->file->path);

  f->rc = fail_status(&f->err, status, headers, what ? what : "fetch", where ? where : "");
  if (status == 408)
    f->rc = f->err.code = OME_E_UNAVAILABLE;
  (void)http_headers_get(headers, "x-error-code", code, sizeof(code));
  (void)http_headers_get(headers, "x-error-message", text, sizeof(text));
  if (f->rc == OME_E_DENIED && streq(code, "GatedRepo"))
    f->rc = f->err.code = OME_E_GATED;
  size_t used = strlen(f->err.msg);
  if (*code || *text)
    (void)snprintf(f->err.msg + used, sizeof(f->err.msg) - used, " (%s%s%s)", code, *code && *text ? ": " : "", text);
}

/* What a peer answers counts when it is the range that was asked for; everything else is another's to give. */
static bool on_peer_head(struct flight *f, int status, const char *headers) {
  char text[256] = "";
  bool all = status == 200 && atomic_load(&f->at) == 0 && f->end == f->item->file->size;

  f->passed_on = http_headers_get(headers, TRANSFER_PASSED_ON, text, sizeof(text));
  if (all ||
      (status == 206 && http_headers_get(headers, "content-range", text, sizeof(text)) && is_wanted_range(f, text)))
    return true;
  f->rc = fail(&f->err,
               status == 404   ? OME_E_NOT_FOUND
               : status == 403 ? OME_E_DENIED
               : status == 503 ? OME_E_BUSY /* it is on its way there */
                               : OME_E_UNAVAILABLE,
               "fetch: %.200s: a peer answered %d", f->item->file->path, status);
  return false;
}

static bool on_whole(struct flight *f) {
  if (atomic_load(&f->at) == 0 && (!size_is_known(f->item) || f->end == f->item->file->size))
    return true;
  /* Either the content has changed (If-Range) or the server knows no ranges. */
  atomic_store(&f->item->whole, true);
  set_restart(f, "the server sends the whole file for a range");
  return false;
}

static bool on_part(struct flight *f, const char *headers) {
  char text[256] = "";

  if (!http_headers_get(headers, "content-range", text, sizeof(text)) || !is_wanted_range(f, text)) {
    set_restart(f, "the server sends another range, or of another size, than was asked for");
    return false;
  }
  if (http_headers_get(headers, "etag", text, sizeof(text)) && !same_etag(f, text)) {
    set_restart(f, "the file has changed on the server");
    return false;
  }
  return true;
}

static bool on_head(void *arg, int status, const char *headers, const char *url) {
  struct flight *f = arg;
  struct engine *e = f->engine;

  f->status = status;
  if (f->peer)
    return on_peer_head(f, status, headers);
  obey_hint(f, headers);
  if (status == 200 || status == 206) {
    if (!f->direct)
      remember_redirect(f, url);
    return status == 200 ? on_whole(f) : on_part(f, headers);
  }
  if (status == 416 || status == 412) {
    set_restart(f, status == 416 ? "the server has no such range of it (416)"
                                 : "the file has changed on the server (412)");
    return false;
  }
  explain(f, status, headers, url);
  if (f->direct && status >= 400 && status < 500 && status != 429) {
    (void)pthread_mutex_lock(&e->lock);
    free(f->item->direct);
    f->item->direct = NULL;
    (void)pthread_mutex_unlock(&e->lock);
  }
  return false;
}

static bool on_body(void *arg, const void *data, size_t len) {
  return store(arg, data, len);
}

static void on_done(void *arg, int32_t rc, const struct ome_err *err) {
  struct flight *f = arg;

  if (f->rc == OME_OK && rc != OME_OK) {
    f->rc = rc;
    f->err = *err;
    if (rc != OME_E_CANCELLED)
      (void)fail_prefix(&f->err, "fetch: %.200s", f->item->file->path);
  } else if (f->rc == OME_OK && size_is_known(f->item) && atomic_load(&f->at) != f->end) {
    f->rc = fail(&f->err, OME_E_UNAVAILABLE, "fetch: %.200s: the connection ended early", f->item->file->path);
  }
  landed(f);
}

static const struct http_fetch_ops fetch_ops = {.on_head = on_head, .on_body = on_body, .on_done = on_done};

/* ---- read() of a plugin; a reader's ------------------------------------------------------------------------------ */

static int32_t on_bytes(struct ome_byte_sink *s, const void *data, uint64_t len) {
  struct flight *f = s->ctx;

  if (store(f, data, (size_t)len))
    return OME_OK;
  if (f->rc == OME_OK)
    f->rc = fail(&f->err, OME_E_CANCELLED, "fetch: %.200s: stopped", f->item->file->path);
  return f->rc;
}

static void run_read(struct flight *f) {
  struct engine *e = f->engine;
  struct item *it = f->item;
  struct ome_byte_sink sink = {.struct_size = sizeof(sink), .ctx = f, .write = on_bytes};
  const struct plugin_call call = {.cancelled = engine_stopped, .arg = e};
  const struct ome_model_file view = manifest_view(it->file);

  while (f->rc == OME_OK && atomic_load(&f->at) < f->end) {
    struct ome_err err = ERR_INIT;
    uint64_t at = atomic_load(&f->at);
    int32_t rc = plugin_storage_read(e->job->plugin, &call, e->job->ref, &view, at, f->end - at, &sink, &err);
    if (f->rc == OME_OK && rc != OME_OK) {
      f->rc = rc;
      f->err = err;
    } else if (f->rc == OME_OK && atomic_load(&f->at) == at) {
      f->rc = fail(&f->err, OME_E_CORRUPT, "fetch: %.200s: ends after %" PRIu64 " of %" PRIu64 " bytes", it->file->path,
                   at, it->file->size);
    }
  }
  landed(f);
}

static struct flight *queued_locked(struct engine *e) {
  for (uint32_t i = 0; i < e->nflights; i++)
    if (e->flights[i].state == FLIGHT_QUEUED)
      return &e->flights[i];
  return NULL;
}

void *flight_reader(void *arg) {
  struct engine *e = arg;

  (void)pthread_setname_np(pthread_self(), "reader");
  (void)pthread_mutex_lock(&e->lock);
  while (!atomic_load(&e->stop)) {
    struct flight *f = queued_locked(e);
    if (!f) {
      (void)pthread_cond_wait(&e->reads, &e->lock);
      continue;
    }
    f->state = FLIGHT_RUNNING;
    (void)pthread_mutex_unlock(&e->lock);
    run_read(f);
    (void)pthread_mutex_lock(&e->lock);
  }
  (void)pthread_mutex_unlock(&e->lock);
  return NULL;
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

static void start_peer_locked(struct flight *f, const struct transfer_source *from) {
  const struct item *it = f->item;
  uint64_t at = atomic_load(&f->at);
  char range[80];
  const char *headers[] = {range, NULL};
  const struct http_request req = {.url = from->url,
                                   .headers = at > 0 || f->end < it->file->size ? headers : NULL,
                                   .tls = from->tls,
                                   .proxy = "",
                                   .buffer_bytes = RECEIVE_BUFFER,
                                   .connect_timeout_ms = PEER_CONNECT_MS,
                                   .stall_timeout_ms = PEER_STALL_MS};

  (void)snprintf(range, sizeof(range), "Range: bytes=%" PRIu64 "-%" PRIu64, at, f->end - 1);
  f->state = FLIGHT_RUNNING;
  f->began_at = at;
  atomic_store(&f->written, at);
  f->direct = f->disk = false;
  f->status = 0;
  f->rc = OME_OK;
  err_clear(&f->err);
  f->fetch = http_fetch_start(f->client, &req, &fetch_ops, f);
  if (!f->fetch) {
    f->rc = fail(&f->err, OME_E_INVALID, "fetch: %.200s: a peer's address cannot be used", it->file->path);
    f->state = FLIGHT_LANDED;
  }
}

static void start_get_locked(struct flight *f) {
  struct engine *e = f->engine;
  struct item *it = f->item;
  const char *headers[REQUEST_HEADERS_MAX + 4];
  char range[80], if_range[300];
  uint64_t at = atomic_load(&f->at);
  bool matched = false; /* the plugin's own condition, which needs no second one */
  size_t n = 0;

  f->direct = it->direct != NULL;
  for (size_t i = 0; !f->direct && i < it->parts.n; i++) {
    headers[n++] = it->parts.lines[i];
    matched |= strncasecmp(it->parts.lines[i], "If-Match:", 9) == 0;
  }
  headers[n++] = "Accept-Encoding: identity"; /* offsets are those of the file itself */
  if (size_is_known(it) && (at > 0 || f->end < it->file->size)) {
    (void)snprintf(range, sizeof(range), "Range: bytes=%" PRIu64 "-%" PRIu64, at, f->end - 1);
    headers[n++] = range;
    if (it->file->etag && !matched && strlen(it->file->etag) < 256) {
      (void)snprintf(if_range, sizeof(if_range), "If-Range: %s", it->file->etag);
      headers[n++] = if_range;
    }
  }
  headers[n] = NULL;
  const char *asked = it->parts.url ? it->parts.url : it->file->url;
  origin_of(asked, f->origin);
  const struct http_request req = {.url = f->direct ? it->direct : asked,
                                   .headers = headers,
                                   .sigv4 = f->direct ? NULL : it->parts.sigv4,
                                   .credentials = f->direct ? NULL : it->parts.credentials,
                                   .buffer_bytes = RECEIVE_BUFFER,
                                   .multiplex = it->small,
                                   .stall_timeout_ms = (uint32_t)e->stall_ms,
                                   .max_redirects = 10};
  f->fetch = http_fetch_start(f->client, &req, &fetch_ops, f);
  if (!f->fetch) {
    f->rc = fail(&f->err, OME_E_INVALID, "fetch: %.200s: the address cannot be used", it->file->path);
    f->state = FLIGHT_LANDED;
  }
}

void flight_start_locked(struct flight *f) {
  struct engine *e = f->engine;

  if (!size_is_known(f->item) && atomic_load(&f->at)) { /* there is no going on in the middle */
    (void)atomic_fetch_sub(&e->bytes, atomic_exchange(&f->at, 0));
    (void)!ftruncate(f->item->fd, 0);
  }
  f->began_at = atomic_load(&f->at);
  atomic_store(&f->written, f->began_at);
  f->status = 0;
  f->refreshed = f->item->refreshed;
  f->rc = OME_OK;
  f->disk = false;
  err_clear(&f->err);
  if (f->item->file->url) {
    f->state = FLIGHT_RUNNING;
    start_get_locked(f);
  } else {
    f->state = FLIGHT_QUEUED;
    (void)pthread_cond_signal(&e->reads);
  }
}

static bool has_absent(struct item *it) {
  while (it->next < it->npieces && it->state[it->next] != PIECE_ABSENT)
    it->next++;
  return it->next < it->npieces;
}

/* The piece of IT, which is shared, to fetch next, and where from. */
static bool pick_piece(const struct engine *e, struct item *it, uint64_t now, uint64_t *index,
                       struct transfer_source *from) {
  if (now < it->picked_ms + PICK_AGAIN_MS)
    return false;
  int64_t picked = e->job->swarm->pick(e->job->swarm->arg, it->file, it->state, it->npieces, from);
  it->picked_ms = picked < 0 ? now : 0;
  *index = (uint64_t)picked;
  return picked >= 0;
}

static bool may_fetch_locked(const struct engine *e, struct item *it, uint64_t now) {
  uint32_t most = it->file->max_conns ? it->file->max_conns : e->nflights;

  return !it->local && !it->checked && it->flying < most && !atomic_load(&it->restart) && !item_is_stale(e, it) &&
         pace_may_start(it->host, now) && has_absent(it);
}

/* A file that comes from its beginning to its end is hashed as it comes, what comes from further on is read again: so
 * each flight has a file of its own as long as there are enough. */
static struct item *next_item_locked(struct engine *e, uint64_t *index, struct transfer_source *from) {
  uint64_t now = mono_ms();
  struct item *best = NULL;

  for (size_t i = 0; i < e->nopen; i++) {
    struct item *it = e->open[i];
    if (!may_fetch_locked(e, it, now))
      continue;
    if (it->shared && pick_piece(e, it, now, index, from)) /* which the swarm spreads */
      return it;
    if (!it->shared && (!best || it->flying < best->flying))
      best = it;
    if (best && best->flying == 0)
      break;
  }
  if (best)
    *index = best->next;
  return best;
}

void flight_launch_locked(struct flight *f) {
  struct engine *e = f->engine;
  bool wanted = f < &e->flights[e->growth.want];
  struct transfer_source from = {.peer = 0};
  uint64_t index = 0;
  struct item *it = wanted && !atomic_load(&e->stop) ? next_item_locked(e, &index, &from) : NULL;

  if (!it)
    return;
  f->item = it;
  f->index = index;
  f->peer = from.peer;
  f->passed_on = false;
  atomic_store(&f->at, index * it->piece);
  f->end = size_is_known(it) ? index * it->piece + item_piece_len(it, index) : UINT64_MAX;
  f->attempts = 0;
  it->state[index] = PIECE_FLYING;
  it->flying++;
  it->host->flying++;
  e->nabsent--;
  if (f->peer)
    start_peer_locked(f, &from);
  else
    flight_start_locked(f);
}
