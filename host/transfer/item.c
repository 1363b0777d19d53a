/* One file of a transfer: opened, begun again, verified, made durable. */
#include "base/clock.h"
#include "base/str.h"
#include "os/beneath.h"
#include "os/file.h"
#include "transfer/internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SYNC_MS 5000u
#define SYNC_FILES 1000u
#define MIN_PIECE ((uint64_t)1 << 20)
#define DEFAULT_PIECE ((uint64_t)16 << 20)
#define MAX_PIECE ((uint64_t)64 << 20)

uint64_t item_piece_len(const struct item *it, uint64_t index) {
  uint64_t at = index * it->piece;

  return it->file->size - at < it->piece ? it->file->size - at : it->piece;
}

bool item_is_whole(const struct item *it) {
  return it->ndone == it->npieces && it->file->size != OME_SIZE_UNKNOWN;
}

/* ---- what is there from before ----------------------------------------------------------------------------------- */

/* A file of unknown size was whole when it was verified: it is as long as it is. */
static bool has_size(const struct engine *e, struct manifest_file *f) {
  _cleanup_free_ char *full = path_join(e->job->dir, f->path);
  struct stat st;

  if (!full || lstat(full, &st) != 0 || !S_ISREG(st.st_mode))
    return false;
  if (f->size == OME_SIZE_UNKNOWN)
    f->size = (uint64_t)st.st_size;
  return (uint64_t)st.st_size == f->size;
}

bool file_is_known(struct engine *e, struct manifest_file *f) {
  const char *sha256 = NULL;

  /* The ledger outlives files that were moved away or removed. */
  if (!ledger_knows(e->ledger, f, &sha256) || !*sha256 || !has_size(e, f))
    return false;
  memcpy(f->sha256, sha256, sizeof(f->sha256));
  (void)atomic_fetch_add(&e->nverified, 1);
  (void)atomic_fetch_add(&e->bytes, f->size);
  return true;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* Two seconds' worth for a connection, so that asking costs little and losing one loses little; and enough pieces for
 * all connections. */
static uint64_t choose_piece(const struct engine *e, const struct item *it) {
  uint64_t size = it->file->size, piece = DEFAULT_PIECE;

  if (e->job->swarm)
    return TRANSFER_SWARM_PIECE(size);
  if (e->job->piece_bytes)
    return e->job->piece_bytes;
  if (it->file->range_bytes)
    return it->file->range_bytes < (64u << 10) ? 64u << 10 : it->file->range_bytes;
  while (atomic_load(&e->shown_rate) * 2 / e->nflights > piece && piece < MAX_PIECE)
    piece *= 2;
  while (size / e->nflights < piece && piece > MIN_PIECE)
    piece /= 2;
  return piece;
}

/* Room is taken now, where the file system can: better to fail here than after an hour.  In memory that would only be
 * done twice. */
static int32_t take_room(const struct engine *e, const struct item *it, struct ome_err *err) {
  if (!e->in_memory && fallocate(it->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)it->file->size) != 0 && errno == ENOSPC)
    return fail(err, OME_E_NO_SPACE, "fetch: %.200s: no space for its %" PRIu64 " bytes in %.120s; free some",
                it->file->path, it->file->size, e->job->dir);
  return ftruncate(it->fd, (off_t)it->file->size) == 0 ? OME_OK : fail_errno(err, "set size", it->file->path);
}

static int32_t open_file(struct engine *e, struct item *it, bool *there, struct ome_err *err) {
  const char *path = it->file->path;
  struct stat st;

  it->fd = openat(e->dir, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (it->fd < 0 && errno == ENOENT) { /* below what was opened, wherever that is now: nothing comes back by its name */
    _cleanup_close_ int folder = -1;
    const char *name;
    int32_t rc = beneath_parent(e->dir, path, true, &folder, &name, err);
    if (rc == OME_E_NOT_FOUND)
      return fail(err, rc, "fetch: %.200s: %.120s was removed meanwhile; start again", path, e->job->dir);
    if (rc != OME_OK)
      return rc;
    it->fd = openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  }
  if (it->fd < 0 || fstat(it->fd, &st) != 0)
    return fail_errno(err, "open", path);
  if (!S_ISREG(st.st_mode))
    return fail(err, OME_E_EXISTS, "open: %.120s/%.200s: is no plain file; remove it", e->job->dir, path);
  *there = (uint64_t)st.st_size == it->file->size;
  /* Only what a server sends is written in order; the rest of what is there would stay. */
  if (!*there && st.st_size && ftruncate(it->fd, 0) != 0)
    return fail_errno(err, "empty", path);
  return OME_OK;
}

/* The pieces that the ledger says are there. */
static int32_t recall(struct engine *e, struct item *it, bool there, struct ome_err *err) {
  const uint8_t *done = NULL;
  const char *sha256 = NULL;

  it->piece = choose_piece(e, it);
  if (it->file->size == OME_SIZE_UNKNOWN || it->local)
    it->piece = it->file->size == OME_SIZE_UNKNOWN || !it->file->size ? UINT64_MAX : it->file->size;
  int32_t rc = there ? ledger_file(e->ledger, it->file, &it->piece, &done, &sha256, err)
                     : ledger_restart(e->ledger, it->file, it->piece, err);
  if (rc != OME_OK)
    return rc;
  it->npieces = it->file->size == OME_SIZE_UNKNOWN ? 1 : piece_count(it->file->size, it->piece);
  it->state = calloc(it->npieces, 1);
  if (!it->state)
    return fail_memory(err);
  for (uint64_t i = 0; done && i < it->npieces; i++) {
    it->state[i] = done[i] ? PIECE_DONE : PIECE_ABSENT;
    it->ndone += done[i];
    (void)atomic_fetch_add(&e->bytes, done[i] ? item_piece_len(it, i) : 0);
  }
  return OME_OK;
}

static struct pace_host *host_of(struct engine *e, const char *url) {
  const char *begin = url ? strstr(url, "://") : NULL;
  _cleanup_free_ char *name = begin ? str_copy(begin + 3, strcspn(begin + 3, "/?#")) : strdup("");
  struct pace_host *h = name ? strmap_get(e->hosts, name) : NULL;

  if (h || !name)
    return h;
  h = calloc(1, sizeof(*h));
  if (!h || !strmap_put(e->hosts, name, h)) {
    free(h);
    return NULL;
  }
  h->limit = e->nflights;
  return h;
}

/* How its bytes come and are hashed, now that it is known what is there. */
static int32_t choose_way(const struct engine *e, struct item *it, struct ome_err *err) {
  uint64_t size = it->file->size;
  int32_t rc = OME_OK;

  it->small = size <= SMALL_FILE;
  it->inlined = it->small && size && it->npieces == 1 && it->ndone == 0 && !it->local && !it->shared;
  if (size == 0) { /* there is nothing to ask for */
    it->state[0] = PIECE_DONE;
    it->ndone = 1;
  }
  if (size == OME_SIZE_UNKNOWN)
    return OME_OK;
  if (!it->inlined && !it->local)
    rc = take_room(e, it, err);
  return rc == OME_OK && !hash_begin(it) ? fail_memory(err) : rc;
}

static int32_t prepare(struct engine *e, struct item *it, struct ome_err *err) {
  bool there = false;

  it->local = it->file->local_path != NULL && access(it->file->local_path, R_OK) == 0;
  if (!it->local && !it->file->url && it->file->size == OME_SIZE_UNKNOWN)
    return fail(err, OME_E_INVALID, "fetch: %.200s: the plugin gives neither an address nor a size", it->file->path);
  it->host = host_of(e, it->file->url);
  if (!it->host)
    return fail_memory(err);
  int32_t rc = open_file(e, it, &there, err);
  if (rc == OME_OK)
    rc = recall(e, it, there, err);
  if (rc == OME_OK && e->job->swarm && !it->local && it->file->size != OME_SIZE_UNKNOWN && it->file->size)
    it->shared = e->job->swarm->opened(e->job->swarm->arg, it->file, it->fd, it->piece, it->state);
  return rc == OME_OK ? choose_way(e, it, err) : rc;
}

struct item *item_open(struct engine *e, struct manifest_file *f, struct ome_err *err) {
  struct item *it = calloc(1, sizeof(*it));

  if (!it) {
    (void)fail_memory(err);
    return NULL;
  }
  it->file = f;
  it->fd = -1;
  if (prepare(e, it, err) == OME_OK)
    return it;
  item_free(it);
  return NULL;
}

/* ---- beginning again --------------------------------------------------------------------------------------------- */

int32_t item_reset_locked(struct engine *e, struct item *it, struct ome_err *err) {
  uint64_t absent = it->npieces - it->ndone;

  for (uint64_t i = 0; i < it->npieces; i++)
    if (it->state[i] == PIECE_DONE)
      (void)atomic_fetch_sub(&e->bytes, item_piece_len(it, i));
  if (atomic_load(&it->whole))
    it->piece = it->file->size ? it->file->size : 1;
  it->npieces = piece_count(it->file->size, it->piece);
  memset(it->state, PIECE_ABSENT, it->npieces);
  e->nabsent += it->npieces - absent;
  it->ndone = it->next = 0;
  blocks_drop_locked(e, it);
  it->etag[0] = '\0';
  it->checked = false;
  atomic_store(&it->restart, false);
  if (!hash_begin(it))
    return fail_memory(err);
  if (it->shared) /* what others may have of us is gone */
    it->shared = e->job->swarm->opened(e->job->swarm->arg, it->file, it->fd, it->piece, it->state);
  int32_t rc = ledger_restart(e->ledger, it->file, it->piece, err);
  return rc == OME_OK ? ledger_flush(e->ledger, err) : rc;
}

static void item_close(struct item *it) {
  if (it->fd >= 0)
    (void)close(it->fd);
  it->fd = -1;
  if (it->digests)
    digests_free(it->digests);
  it->digests = NULL;
  free(it->state);
  it->state = NULL;
  item_drop_parts(it);
  free(it->direct);
  it->direct = NULL;
}

void item_free(struct item *it) {
  item_close(it);
  free(it);
}

/* ---- how to ask for it ------------------------------------------------------------------------------------------- */

void item_drop_parts(struct item *it) {
  request_headers_fini(&it->parts);
  it->has_parts = false;
}

bool item_is_stale(const struct engine *e, const struct item *it) {
  return it->file->url && e->job->plugin && (!it->has_parts || (it->parts_end_ms && mono_ms() >= it->parts_end_ms));
}

struct asking {
  struct request_headers parts;
  struct ome_err err; /* of ours: what the plugin makes of it is less precise */
};

static int32_t on_pair(struct ome_kv_sink *s, const char *key, const char *value) {
  struct asking *a = s->ctx;

  return request_headers_add(&a->parts, key, value, &a->err);
}

static bool is_over(void *arg) {
  const struct engine *e = arg;

  return atomic_load(&e->stop) || (e->job->cancelled && e->job->cancelled(e->job->arg));
}

int32_t item_refresh_locked(struct engine *e, struct item *it, struct ome_err *err) {
  struct asking a = {.parts.n = 0};
  struct ome_kv_sink sink = {.struct_size = sizeof(sink), .ctx = &a, .kv = on_pair};
  const struct plugin_call call = {.timeout_ms = 60000, .cancelled = is_over, .arg = e};
  const struct ome_model_file view = manifest_view(it->file);

  (void)pthread_mutex_unlock(&e->lock);
  int32_t rc = plugin_storage_headers(e->job->plugin, &call, e->job->ref, &view, &sink, err);
  if (a.err.code != OME_OK) {
    *err = a.err;
    rc = a.err.code;
  }
  (void)pthread_mutex_lock(&e->lock);
  if (rc != OME_OK && rc != OME_E_UNSUPPORTED) {
    request_headers_fini(&a.parts);
    return fail_prefix(err, "fetch: %.200s", it->file->path);
  }
  err_clear(err);
  item_drop_parts(it);
  it->parts = a.parts;
  it->has_parts = true;
  it->parts_end_ms = it->parts.expires_ms ? mono_ms() + it->parts.expires_ms : 0;
  return OME_OK;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void leave_open_locked(struct engine *e, const struct item *it) {
  size_t i = 0;

  while (i < e->nopen && e->open[i] != it)
    i++;
  if (i < e->nopen)
    memmove(&e->open[i], &e->open[i + 1], (--e->nopen - i) * sizeof(*e->open));
}

bool item_verified_locked(struct engine *e, struct item *it) {
  bool later = it->small && VEC_PUSH(&e->unsynced, it->file);

  item_close(it);
  leave_open_locked(e, it);
  it->after = e->over;
  e->over = it;
  (void)atomic_fetch_add(&e->nverified, 1);
  return !later;
}

void items_free_over(struct engine *e) {
  (void)pthread_mutex_lock(&e->lock);
  struct item *it = e->over;
  e->over = NULL;
  (void)pthread_mutex_unlock(&e->lock);
  while (it) {
    struct item *after = it->after;
    item_free(it);
    it = after;
  }
}

/* On stable storage first, then said to be: one sync for all of them. */
int32_t items_sync(struct engine *e, struct ome_err *err) {
  VEC(struct manifest_file *) files = {0};
  int32_t rc = OME_OK;

  items_free_over(e);
  (void)pthread_mutex_lock(&e->lock);
  bool due = e->unsynced.len && (atomic_load(&e->nverified) == e->nfiles || e->unsynced.len >= SYNC_FILES ||
                                 mono_ms() - e->synced_ms >= SYNC_MS);
  if (due) {
    files.items = e->unsynced.items;
    files.len = e->unsynced.len;
    memset(&e->unsynced, 0, sizeof(e->unsynced));
  }
  (void)pthread_mutex_unlock(&e->lock);
  if (!due)
    return OME_OK;
  if (!e->in_memory && syncfs(e->dir) != 0)
    rc = fail_errno(err, "sync", e->job->dir);
  (void)pthread_mutex_lock(&e->lock);
  for (size_t i = 0; rc == OME_OK && i < files.len; i++)
    rc = ledger_verified(e->ledger, files.items[i]->path, files.items[i]->sha256, err);
  if (rc == OME_OK)
    rc = ledger_flush(e->ledger, err);
  e->synced_ms = mono_ms();
  (void)pthread_mutex_unlock(&e->lock);
  for (size_t i = 0; rc == OME_OK && i < files.len; i++)
    tell(e, TRANSFER_FILE, files.items[i]->path);
  VEC_FREE(&files);
  return rc;
}
