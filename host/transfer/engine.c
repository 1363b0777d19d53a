/* The driver: which piece next, what became of it, when to give up.  It runs on the caller's thread; requests run on
 * the HTTP client's, reading back and read() of plugins on the checkers'. */
#include "transfer/internal.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "os/file.h"
#include "transfer/digest.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#define CHECKERS 2
#define TICK_MS 250u
#define PROGRESS_MS 500u
#define READ_PIECE ((uint64_t)8 << 20)
#define OPEN_FILES 16u /* files that pieces are fetched of at a time */

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void tell(struct engine *e, enum transfer_event_type type, const char *file, const char *message) {
  uint64_t bytes = atomic_load(&e->bytes), total = e->job->manifest->total_bytes;
  struct transfer_event event = {.type = type,
                                 .file = file,
                                 .message = message,
                                 .bytes = bytes < total ? bytes : total,
                                 .total_bytes = total,
                                 .files = e->nverified,
                                 .total_files = (uint32_t)e->nitems,
                                 .bytes_per_second = e->rate,
                                 .eta_ms = UINT64_MAX};

  if (e->rate >= 1 && bytes <= total)
    event.eta_ms = (uint64_t)((double)(total - bytes) * 1000 / e->rate);
  if (e->job->event)
    e->job->event(e->job->arg, &event);
}

/* The rate follows what happens now, smoothed over a few seconds. */
static void tick(struct engine *e) {
  uint64_t now = mono_ms(), bytes = atomic_load(&e->bytes);

  if (now - e->told_ms < PROGRESS_MS)
    return;
  double moved = bytes > e->told_bytes ? (double)(bytes - e->told_bytes) : 0;
  double rate = moved * 1000 / (double)(now - e->told_ms);
  e->rate = e->rate > 0 ? e->rate * 0.7 + rate * 0.3 : rate;
  e->told_ms = now;
  e->told_bytes = bytes;
  tell(e, TRANSFER_PROGRESS, NULL, NULL);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static int32_t make_folders(const struct engine *e, const char *path, struct ome_err *err) {
  const char *slash = strrchr(path, '/');
  _cleanup_free_ char *folder = slash ? str_copy(path, (size_t)(slash - path)) : NULL;
  _cleanup_free_ char *full = folder ? path_join(e->job->dir, folder) : NULL;

  if (!slash)
    return OME_OK;
  return full ? dir_make(full, 0755, err) : fail_memory(err);
}

static int32_t open_item(struct engine *e, struct item *it, struct ome_err *err) {
  _cleanup_free_ char *full = path_join(e->job->dir, it->file->path);

  if (it->fd >= 0)
    return OME_OK;
  if (!full)
    return fail_memory(err);
  int32_t rc = make_folders(e, it->file->path, err);
  if (rc != OME_OK)
    return rc;
  it->fd = open(full, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (it->fd < 0)
    return fail_errno(err, "open", full);
  /* Room is taken now, where the file system can: better to fail here than after an hour. */
  if (it->file->size && fallocate(it->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)it->file->size) != 0 && errno == ENOSPC)
    return fail(err, OME_E_NO_SPACE, "fetch: %.200s: no space for its %" PRIu64 " bytes in %.120s; free some",
                it->file->path, it->file->size, e->job->dir);
  return ftruncate(it->fd, (off_t)it->file->size) == 0 ? OME_OK : fail_errno(err, "set size", full);
}

static void close_item(struct item *it) {
  if (it->fd >= 0)
    (void)close(it->fd);
  it->fd = -1;
}

static uint64_t piece_len(const struct item *it, uint64_t index) {
  uint64_t at = index * it->piece;

  return it->file->size - at < it->piece ? it->file->size - at : it->piece;
}

/* Everything of the file is absent again; it may come in one piece now. */
static int32_t reset_item(struct engine *e, struct item *it, struct ome_err *err) {
  for (uint64_t i = 0; i < it->npieces; i++)
    if (it->state[i] == PIECE_DONE)
      (void)atomic_fetch_sub(&e->bytes, piece_len(it, i));
  if (atomic_load(&it->whole))
    it->piece = it->file->size ? it->file->size : 1;
  it->npieces = piece_count(it->file->size, it->piece);
  memset(it->state, PIECE_ABSENT, it->npieces);
  it->ndone = it->next = 0;
  it->etag[0] = '\0';
  it->phase = PHASE_FETCH;
  atomic_store(&it->restart, false);
  return ledger_restart(e->ledger, it->file, it->piece, err);
}

static bool has_size(const struct engine *e, const struct item *it) {
  _cleanup_free_ char *full = path_join(e->job->dir, it->file->path);
  struct stat st;

  return full && lstat(full, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == it->file->size;
}

static int32_t prepare_item(struct engine *e, struct item *it, struct ome_err *err) {
  const uint8_t *done = NULL;
  const char *sha256 = NULL;

  it->fd = -1;
  it->piece = e->job->piece_bytes ? e->job->piece_bytes : (uint64_t)16 << 20;
  if (it->file->range_bytes)
    it->piece = it->file->range_bytes < (64u << 10) ? 64u << 10 : it->file->range_bytes;
  int32_t rc = ledger_file(e->ledger, it->file, &it->piece, &done, &sha256, err);
  if (rc != OME_OK)
    return rc;
  it->npieces = piece_count(it->file->size, it->piece);
  it->state = calloc(it->npieces, 1);
  if (!it->state)
    return fail_memory(err);
  /* The ledger outlives files that were moved away or removed; a new one of full size must not pass for them. */
  if (!has_size(e, it))
    return ledger_restart(e->ledger, it->file, it->piece, err);
  if (*sha256) {
    memcpy(it->file->sha256, sha256, sizeof(it->file->sha256));
    it->phase = PHASE_DONE;
    e->nverified++;
    (void)atomic_fetch_add(&e->bytes, it->file->size);
    return OME_OK;
  }
  for (uint64_t i = 0; i < it->npieces; i++) {
    it->state[i] = done[i] ? PIECE_DONE : PIECE_ABSENT;
    it->ndone += done[i];
    (void)atomic_fetch_add(&e->bytes, done[i] ? piece_len(it, i) : 0);
  }
  return OME_OK;
}

static int32_t check_space(const struct engine *e, struct ome_err *err) {
  uint64_t have = atomic_load(&e->bytes), total = e->job->manifest->total_bytes;
  uint64_t need = (total > have ? total - have : 0) + e->job->reserve_bytes;
  char wanted[32], there[32];
  struct statvfs vfs;

  if (statvfs(e->job->dir, &vfs) != 0)
    return fail_errno(err, "look at", e->job->dir);
  /* Space that an earlier attempt took for itself is not free and not needed again: the files say so themselves. */
  uint64_t room = (uint64_t)vfs.f_bavail * vfs.f_frsize;
  for (size_t i = 0; i < e->nitems; i++) {
    _cleanup_free_ char *full = path_join(e->job->dir, e->items[i].file->path);
    struct stat st;
    if (full && e->items[i].ndone < e->items[i].npieces && lstat(full, &st) == 0)
      room += (uint64_t)st.st_blocks * 512;
  }
  if (need <= room)
    return OME_OK;
  format_bytes(need, wanted);
  format_bytes(room, there);
  return fail(err, OME_E_NO_SPACE, "fetch: %s: needs %s and has %s; free some space", e->job->dir, wanted, there);
}

/* ---- checkers ---------------------------------------------------------------------------------------------------- */

struct reading {
  struct engine *e;
  struct item *it;
  uint64_t at;
  struct ome_err err;
};

static int32_t on_bytes(struct ome_byte_sink *s, const void *data, uint64_t len) {
  struct reading *r = s->ctx;

  if (atomic_load(&r->e->stop))
    return fail(&r->err, OME_E_CANCELLED, "fetch: %.200s: stopped", r->it->file->path);
  if (len > r->it->file->size - r->at)
    return fail(&r->err, OME_E_CORRUPT, "fetch: %.200s: longer than listed", r->it->file->path);
  int32_t rc = write_at(r->it->fd, r->it->file->path, data, (size_t)len, r->at, &r->err);
  if (rc == OME_OK) {
    r->at += len;
    (void)atomic_fetch_add(&r->e->bytes, len);
  }
  return rc;
}

static bool is_stopped(void *arg) {
  struct engine *e = arg;

  return atomic_load(&e->stop);
}

/* A file that has no address: through the plugin's read(). */
static int32_t read_item(struct engine *e, struct item *it, struct ome_err *err) {
  struct reading r = {.e = e, .it = it};
  struct ome_byte_sink sink = {.struct_size = sizeof(sink), .ctx = &r, .write = on_bytes};
  const struct plugin_call call = {.cancelled = is_stopped, .arg = e};
  const struct ome_model_file view = manifest_view(it->file);

  while (r.at < it->file->size) {
    uint64_t before = r.at;
    uint64_t len = it->file->size - r.at < READ_PIECE ? it->file->size - r.at : READ_PIECE;
    int32_t rc = plugin_storage_read(e->job->plugin, &call, e->job->ref, &view, r.at, len, &sink, err);
    if (r.err.code != OME_OK)
      *err = r.err;
    if (rc != OME_OK || r.err.code != OME_OK)
      return r.err.code != OME_OK ? r.err.code : rc;
    if (r.at == before)
      return fail(err, OME_E_CORRUPT, "fetch: %.200s: ends after %" PRIu64 " of %" PRIu64 " bytes", it->file->path,
                  r.at, it->file->size);
  }
  return OME_OK;
}

static int32_t check_item(struct engine *e, struct item *it, struct ome_err *err) {
  const struct manifest_file *f = it->file;
  char wanted[65];
  int32_t rc = f->url ? OME_OK : read_item(e, it, err);

  if (rc == OME_OK)
    rc = digest_file(it->fd, f, is_stopped, e, it->file->sha256, wanted, &it->file->sums, err);
  if (rc == OME_OK)
    rc = digest_compare(f, wanted, err);
  if (rc == OME_OK && fdatasync(it->fd) != 0)
    rc = fail_errno(err, "sync", f->path);
  return rc;
}

static void *checker(void *arg) {
  struct engine *e = arg;

  (void)pthread_mutex_lock(&e->lock);
  while (!atomic_load(&e->stop)) {
    struct item *it = e->checks;
    if (!it) {
      (void)pthread_cond_wait(&e->work, &e->lock);
      continue;
    }
    struct ome_err err = ERR_INIT;
    e->checks = it->next_check;
    (void)pthread_mutex_unlock(&e->lock);
    int32_t rc = check_item(e, it, &err);
    (void)pthread_mutex_lock(&e->lock);
    it->verdict = rc;
    it->err = err;
    it->checked = true;
    (void)pthread_cond_signal(&e->landed);
  }
  (void)pthread_mutex_unlock(&e->lock);
  return NULL;
}

static void queue_check(struct engine *e, struct item *it) {
  struct item **end = &e->checks;

  it->phase = PHASE_CHECK;
  (void)pthread_mutex_lock(&e->lock);
  it->checked = false;
  it->next_check = NULL;
  while (*end)
    end = &(*end)->next_check;
  *end = it;
  (void)pthread_cond_signal(&e->work);
  (void)pthread_mutex_unlock(&e->lock);
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

static void drop_parts(struct item *it) {
  request_headers_fini(&it->parts);
  it->has_parts = false;
}

struct asking {
  struct item *it;
  struct ome_err err; /* of ours: what the plugin makes of it is less precise */
};

static int32_t on_pair(struct ome_kv_sink *s, const char *key, const char *value) {
  struct asking *a = s->ctx;

  return request_headers_add(&a->it->parts, key, value, &a->err);
}

/* Asks the plugin how to make requests for IT, when it has not said so or what it said runs out. */
static int32_t get_parts(struct engine *e, struct item *it, struct ome_err *err) {
  struct asking a = {.it = it};
  struct ome_kv_sink sink = {.struct_size = sizeof(sink), .ctx = &a, .kv = on_pair};
  const struct plugin_call call = {.timeout_ms = 60000, .cancelled = e->job->cancelled, .arg = e->job->arg};
  const struct ome_model_file view = manifest_view(it->file);

  if (it->has_parts && it->parts_end_ms && mono_ms() >= it->parts_end_ms)
    drop_parts(it);
  if (it->has_parts || !e->job->plugin)
    return OME_OK;
  int32_t rc = plugin_storage_headers(e->job->plugin, &call, e->job->ref, &view, &sink, err);
  if (a.err.code != OME_OK) {
    *err = a.err;
    rc = a.err.code;
  }
  if (rc != OME_OK && rc != OME_E_UNSUPPORTED)
    return fail_prefix(err, "fetch: %.200s", it->file->path);
  err_clear(err);
  it->has_parts = true;
  it->parts_end_ms = it->parts.expires_ms ? mono_ms() + it->parts.expires_ms : 0;
  return OME_OK;
}

/* ---- launching --------------------------------------------------------------------------------------------------- */

static bool has_absent(struct item *it) {
  while (it->next < it->npieces && it->state[it->next] != PIECE_ABSENT)
    it->next++;
  return it->next < it->npieces;
}

static uint32_t flights_of(const struct engine *e, const struct item *it) {
  return it->file->max_conns ? it->file->max_conns : e->nflights;
}

/* The next file with a piece to fetch; NULL: none for now.  Files that need no request are sent to be checked. */
static struct item *next_item(struct engine *e, int32_t *rc, struct ome_err *err) {
  uint32_t open = 0;

  while (e->first_open < e->nitems && e->items[e->first_open].phase == PHASE_DONE)
    e->first_open++;
  for (size_t i = e->first_open; i < e->nitems && open < OPEN_FILES; i++) {
    struct item *it = &e->items[i];
    open += it->phase != PHASE_DONE;
    if (it->phase != PHASE_FETCH)
      continue;
    if (atomic_load(&it->restart) && it->flying == 0 && (*rc = reset_item(e, it, err)) != OME_OK)
      return NULL;
    if (!it->file->url || it->ndone == it->npieces || it->file->size == 0) {
      *rc = open_item(e, it, err);
      if (*rc != OME_OK)
        return NULL;
      queue_check(e, it);
    } else if (!atomic_load(&it->restart) && it->flying < flights_of(e, it) && has_absent(it)) {
      return it;
    }
  }
  return NULL;
}

static int32_t launch_piece(struct engine *e, struct flight *f, struct item *it, struct ome_err *err) {
  int32_t rc = open_item(e, it, err);

  if (rc == OME_OK)
    rc = get_parts(e, it, err);
  if (rc != OME_OK)
    return rc;
  f->item = it;
  f->index = it->next;
  f->at = it->next * it->piece;
  f->end = f->at + piece_len(it, it->next);
  f->attempts = 0;
  it->state[it->next] = PIECE_FLYING;
  it->flying++;
  flight_start(f);
  return OME_OK;
}

/* Free flights take the next pieces; those that wait for their time go on. */
static int32_t launch(struct engine *e, struct ome_err *err) {
  uint64_t now = mono_ms();
  int32_t rc = OME_OK;

  for (uint32_t i = 0; rc == OME_OK && i < e->nflights; i++) {
    struct flight *f = &e->flights[i];
    (void)pthread_mutex_lock(&e->lock);
    enum flight_state state = f->state;
    (void)pthread_mutex_unlock(&e->lock);
    if (state == FLIGHT_WAITING && f->not_before_ms <= now) {
      rc = get_parts(e, f->item, err);
      if (rc == OME_OK)
        flight_start(f);
    } else if (state == FLIGHT_FREE) {
      struct item *it = next_item(e, &rc, err);
      if (rc == OME_OK && !it)
        continue;
      if (rc == OME_OK)
        rc = launch_piece(e, f, it, err);
    }
  }
  return rc;
}

/* ---- landing ----------------------------------------------------------------------------------------------------- */

static void free_flight(struct engine *e, struct flight *f, enum piece_state state) {
  struct item *it = f->item;

  it->state[f->index] = (uint8_t)state;
  it->flying--;
  if (state == PIECE_DONE) {
    it->ndone++;
  } else {
    (void)atomic_fetch_sub(&e->bytes, f->at - f->index * it->piece);
    it->next = f->index < it->next ? f->index : it->next;
  }
  (void)pthread_mutex_lock(&e->lock);
  f->state = FLIGHT_FREE;
  (void)pthread_mutex_unlock(&e->lock);
}

static const char *advice(int32_t code) {
  switch (code) {
  case OME_E_DENIED:
    return "; give a token that may read it, or accept the model's terms on the hub";
  case OME_E_NOT_FOUND:
    return "; check the name, the revision and whether the file was removed";
  case OME_E_BUSY:
    return "; the server limits the rate, try later or with a token";
  case OME_E_UNAVAILABLE:
    return "; the server or the way to it is in trouble, try again later";
  default:
    return "";
  }
}

static int32_t give_up(const struct flight *f, struct ome_err *err) {
  *err = f->err;
  size_t used = strlen(err->msg);
  (void)snprintf(err->msg + used, sizeof(err->msg) - used, "%s", advice(f->rc));
  return err->code;
}

/* Exponential with full jitter, 0.2 s to 30 s, or what the server asks for. */
uint64_t back_off_ms(uint32_t attempt, uint32_t retry_after_ms) {
  uint64_t cap = attempt < 8 ? (uint64_t)200 << attempt : 30000;
  uint32_t chance;

  if (retry_after_ms)
    return retry_after_ms;
  random_bytes(&chance, sizeof(chance));
  cap = cap < 30000 ? cap : 30000;
  return cap / 2 + chance % (cap / 2 + 1);
}

/* Failed, but not for good: waits in its place.  What it has written stays. */
static void wait_again(struct engine *e, struct flight *f) {
  char message[sizeof(f->err.msg)];
  uint64_t ms = back_off_ms(f->attempts, f->err.retry_after_ms);

  (void)snprintf(message, sizeof(message), "%.400s; again in %.1f s", f->err.msg, (double)ms / 1000);
  f->not_before_ms = mono_ms() + ms;
  (void)pthread_mutex_lock(&e->lock);
  f->state = FLIGHT_WAITING;
  (void)pthread_mutex_unlock(&e->lock);
  tell(e, TRANSFER_RETRY, f->item->file->path, message);
}

static int32_t restart_landed(struct engine *e, struct flight *f, struct ome_err *err) {
  struct item *it = f->item;

  if (f->rc != OME_OK && f->rc != OME_E_CANCELLED && ++it->corrupt > MAX_CORRUPT + MAX_FLIGHTS)
    return give_up(f, err);
  if (f->rc != OME_OK)
    tell(e, TRANSFER_RETRY, it->file->path, f->err.msg);
  free_flight(e, f, PIECE_ABSENT);
  return OME_OK;
}

static int32_t land(struct engine *e, struct flight *f, struct ome_err *err) {
  struct item *it = f->item;
  uint32_t allowed = e->job->attempts ? e->job->attempts : 6;

  if (atomic_load(&it->restart))
    return restart_landed(e, f, err);
  if (f->rc == OME_OK) {
    it->denied = false;
    free_flight(e, f, PIECE_DONE);
    return ledger_piece(e->ledger, it->file->path, f->index, err);
  }
  if (f->rc == OME_E_DENIED && !it->denied && e->job->plugin) {
    it->denied = true;
    drop_parts(it); /* they may have expired */
    wait_again(e, f);
    return OME_OK;
  }
  if (f->rc == OME_E_NO_SPACE)
    return fail(err, OME_E_NO_SPACE, "fetch: %.200s: no space left in %.160s; free some and try again", it->file->path,
                e->job->dir);
  f->attempts = f->at > f->began_at ? 1 : f->attempts + 1;
  if (!err_retryable(f->rc) || f->attempts >= allowed)
    return give_up(f, err);
  wait_again(e, f);
  return OME_OK;
}

static int32_t land_check(struct engine *e, struct item *it, struct ome_err *err) {
  if (it->verdict == OME_OK) {
    close_item(it);
    it->phase = PHASE_DONE;
    e->nverified++;
    int32_t rc = ledger_verified(e->ledger, it->file->path, it->file->sha256, err);
    tell(e, TRANSFER_FILE, it->file->path, NULL);
    return rc;
  }
  it->file->sha256[0] = '\0';
  if (it->verdict != OME_E_CORRUPT || ++it->corrupt > MAX_CORRUPT || !it->file->url) {
    *err = it->err;
    return it->verdict;
  }
  tell(e, TRANSFER_RETRY, it->file->path, it->err.msg);
  return reset_item(e, it, err);
}

/* Whatever has come in since the last look. */
static int32_t collect(struct engine *e, struct ome_err *err) {
  int32_t rc = OME_OK;

  for (uint32_t i = 0; rc == OME_OK && i < e->nflights; i++) {
    (void)pthread_mutex_lock(&e->lock);
    bool landed = e->flights[i].state == FLIGHT_LANDED;
    (void)pthread_mutex_unlock(&e->lock);
    if (landed)
      rc = land(e, &e->flights[i], err);
  }
  for (size_t i = e->first_open; rc == OME_OK && i < e->nitems; i++) {
    struct item *it = &e->items[i];
    if (it->phase != PHASE_CHECK)
      continue;
    (void)pthread_mutex_lock(&e->lock);
    bool checked = it->checked;
    (void)pthread_mutex_unlock(&e->lock);
    if (checked)
      rc = land_check(e, it, err);
  }
  return rc;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

/* Whether something has come in already: it may have before we began to wait. */
static bool has_news_locked(const struct engine *e) {
  for (uint32_t i = 0; i < e->nflights; i++)
    if (e->flights[i].state == FLIGHT_LANDED)
      return true;
  for (size_t i = e->first_open; i < e->nitems; i++)
    if (e->items[i].phase == PHASE_CHECK && e->items[i].checked)
      return true;
  return false;
}

static void wait_for_news(struct engine *e) {
  struct timespec until;

  (void)clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += (long)TICK_MS * 1000000;
  if (until.tv_nsec >= 1000000000) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000;
  }
  (void)pthread_mutex_lock(&e->lock);
  if (!has_news_locked(e))
    (void)pthread_cond_timedwait(&e->landed, &e->lock, &until);
  (void)pthread_mutex_unlock(&e->lock);
}

static int32_t drive(struct engine *e, struct ome_err *err) {
  int32_t rc = OME_OK;

  tell(e, TRANSFER_PROGRESS, NULL, NULL);
  while (rc == OME_OK && e->nverified < e->nitems) {
    if (e->job->cancelled && e->job->cancelled(e->job->arg))
      return fail(err, OME_E_CANCELLED, "fetch: stopped; what is there is kept for the next time");
    rc = launch(e, err);
    if (rc == OME_OK)
      wait_for_news(e);
    if (rc == OME_OK)
      rc = collect(e, err);
    tick(e);
  }
  if (rc == OME_OK)
    tell(e, TRANSFER_PROGRESS, NULL, NULL);
  return rc;
}

/* Ends what is under way and waits for it. */
static void settle(struct engine *e) {
  atomic_store(&e->stop, true);
  (void)pthread_mutex_lock(&e->lock);
  (void)pthread_cond_broadcast(&e->work);
  for (uint32_t i = 0; i < e->nflights; i++)
    if (e->flights[i].fetch)
      http_fetch_cancel(e->flights[i].fetch);
  for (uint32_t i = 0; i < e->nflights; i++)
    while (e->flights[i].state == FLIGHT_RUNNING)
      (void)pthread_cond_wait(&e->landed, &e->lock);
  (void)pthread_mutex_unlock(&e->lock);
}

static int32_t run_threads(struct engine *e, struct ome_err *err) {
  pthread_t threads[CHECKERS];
  size_t n = 0;
  int32_t rc = OME_OK;

  while (n < CHECKERS && pthread_create(&threads[n], NULL, checker, e) == 0)
    n++;
  rc = n ? drive(e, err) : fail(err, OME_E_NO_MEMORY, "fetch: no thread could be started");
  settle(e);
  for (size_t i = 0; i < n; i++)
    (void)pthread_join(threads[i], NULL);
  return rc;
}

static int32_t prepare(struct engine *e, struct ome_err *err) {
  const struct http_client_config cfg = {.max_connections = e->nflights};
  struct manifest *m = e->job->manifest;
  int32_t rc = dir_make(e->job->dir, 0755, err);

  if (rc == OME_OK)
    rc = ledger_open(e->job->dir, &e->ledger, err);
  if (rc == OME_OK)
    rc = http_client_new(&cfg, &e->client, err);
  e->items = rc == OME_OK ? calloc(m->files.len + 1, sizeof(*e->items)) : NULL;
  if (rc == OME_OK && !e->items)
    rc = fail_memory(err);
  for (size_t i = 0; rc == OME_OK && i < m->files.len; i++) {
    e->items[i].file = &m->files.items[i];
    e->items[i].fd = -1;
    e->nitems++;
    rc = prepare_item(e, &e->items[i], err);
  }
  for (uint32_t i = 0; i < e->nflights; i++)
    e->flights[i].engine = e;
  e->told_bytes = atomic_load(&e->bytes);
  e->told_ms = mono_ms();
  return rc == OME_OK ? check_space(e, err) : rc;
}

static void engine_free(struct engine *e) {
  if (e->client)
    http_client_free(e->client);
  for (size_t i = 0; i < e->nitems; i++) {
    drop_parts(&e->items[i]);
    close_item(&e->items[i]);
    free(e->items[i].state);
  }
  free(e->items);
  if (e->ledger)
    ledger_free(e->ledger);
  (void)pthread_cond_destroy(&e->landed);
  (void)pthread_cond_destroy(&e->work);
  (void)pthread_mutex_destroy(&e->lock);
  free(e);
}

int32_t transfer_run(const struct transfer_job *job, struct ome_err *err) {
  struct engine *e = calloc(1, sizeof(*e));
  uint32_t connections = job->connections ? job->connections : 8;
  pthread_condattr_t attr;

  if (!e)
    return fail_memory(err);
  e->job = job;
  e->nflights = connections < MAX_FLIGHTS ? connections : MAX_FLIGHTS;
  e->stall_ms = job->stall_timeout_ms ? job->stall_timeout_ms : 30000;
  (void)pthread_mutex_init(&e->lock, NULL);
  (void)pthread_condattr_init(&attr);
  (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  (void)pthread_cond_init(&e->landed, &attr);
  (void)pthread_cond_init(&e->work, NULL);
  (void)pthread_condattr_destroy(&attr);
  int32_t rc = prepare(e, err);
  if (rc == OME_OK)
    rc = run_threads(e, err);
  engine_free(e);
  return rc;
}
