/* Hashers follow the front of a file, the bytes without a gap from its beginning: what they read was written a moment
 * ago and is in memory still.  After a resume they read what is on disk from before, once. */
#include "base/buf.h"
#include "transfer/internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#define MOUTHFUL ((size_t)128 << 10) /* stays in the processor's cache between reading and hashing */
#define TURN ((uint64_t)8 << 20)     /* then others may have it */

bool hash_begin(struct item *it) {
  if (it->digests)
    digests_free(it->digests);
  it->digests = digests_new(it->file);
  it->hashed = it->front = 0;
  return it->digests != NULL;
}

int32_t hash_end(struct item *it, struct ome_err *err) {
  char wanted[65];

  digests_end(it->digests, it->file->sha256, wanted, &it->file->sums);
  return digest_compare(it->file, wanted, err);
}

/* Bytes of IT that are there without a gap. */
static uint64_t front_locked(const struct engine *e, struct item *it) {
  while (it->front < it->npieces && it->state[it->front] == PIECE_DONE)
    it->front++;
  if (it->front == it->npieces)
    return it->file->size;
  uint64_t at = it->front * it->piece;
  for (uint32_t i = 0; it->state[it->front] == PIECE_FLYING && i < e->nflights; i++) {
    const struct flight *f = &e->flights[i];
    if (f->state != FLIGHT_FREE && f->item == it && f->index == it->front)
      return atomic_load_explicit(&f->at, memory_order_acquire);
  }
  return at;
}

/* A file with something to hash, or a local one to copy; UPTO: how far it may go. */
static struct item *next_locked(struct engine *e, uint64_t *upto) {
  for (size_t i = 0; i < e->nopen; i++) {
    struct item *it = e->open[i];
    if (it->busy || it->checked || atomic_load(&it->restart))
      continue;
    if (it->local && it->ndone == 0)
      return it;
    if (it->inlined || !it->digests)
      continue;
    *upto = front_locked(e, it);
    if (*upto >= it->hashed + HASH_STEP || *upto == it->file->size)
      return it;
  }
  return NULL;
}

static int32_t hash_bytes(struct engine *e, struct item *it, uint8_t *buffer, uint64_t upto, struct ome_err *err) {
  while (it->hashed < upto) {
    if (atomic_load(&e->stop) || atomic_load(&it->restart))
      return OME_OK;
    size_t want = upto - it->hashed < MOUTHFUL ? (size_t)(upto - it->hashed) : MOUTHFUL;
    ssize_t n = pread(it->fd, buffer, want, (off_t)it->hashed);
    if (n < 0)
      return fail_errno(err, "read", it->file->path);
    if (n == 0)
      return fail(err, OME_E_CORRUPT, "verify: %.200s: ends after %" PRIu64 " of %" PRIu64 " bytes", it->file->path,
                  it->hashed, it->file->size);
    digests_add(it->digests, buffer, (size_t)n);
    it->hashed += (uint64_t)n;
  }
  return OME_OK;
}

/* One turn at IT, which is BUSY: without the lock. */
static int32_t turn(struct engine *e, struct item *it, uint8_t *buffer, uint64_t upto, bool *over,
                    struct ome_err *err) {
  uint64_t from = it->hashed;

  if (it->local && it->ndone == 0)
    return local_copy(e, it, err);
  int32_t rc = hash_bytes(e, it, buffer, upto - from > TURN ? from + TURN : upto, err);
  /* The disk may begin with it: the sync at the end is short then. */
  if (!e->in_memory && it->hashed > from)
    (void)sync_file_range(it->fd, (off_t)from, (off_t)(it->hashed - from), SYNC_FILE_RANGE_WRITE);
  *over = rc == OME_OK && it->hashed == it->file->size && !atomic_load(&it->restart);
  if (*over)
    rc = hash_end(it, err);
  if (*over && rc == OME_OK && !it->small && fdatasync(it->fd) != 0)
    rc = fail_errno(err, "sync", it->file->path);
  return rc;
}

void *hasher(void *arg) {
  struct engine *e = arg;
  uint8_t *buffer = malloc(MOUTHFUL);

  (void)pthread_setname_np(pthread_self(), "hasher");
  (void)pthread_mutex_lock(&e->lock);
  while (buffer && !atomic_load(&e->stop)) {
    struct ome_err err = ERR_INIT;
    uint64_t upto = 0;
    bool over = false;
    struct item *it = next_locked(e, &upto);
    if (!it) {
      (void)atomic_fetch_add(&e->idle_hashers, 1);
      (void)pthread_cond_wait(&e->work, &e->lock);
      (void)atomic_fetch_sub(&e->idle_hashers, 1);
      continue;
    }
    it->busy = true;
    (void)pthread_mutex_unlock(&e->lock);
    int32_t rc = turn(e, it, buffer, upto, &over, &err);
    (void)pthread_mutex_lock(&e->lock);
    it->busy = false;
    if (rc != OME_OK || over) {
      it->verdict = rc;
      it->err = err;
      it->checked = true;
    }
    if (it->checked || atomic_load(&it->restart))
      (void)pthread_cond_signal(&e->news);
  }
  (void)pthread_mutex_unlock(&e->lock);
  free(buffer);
  return NULL;
}
