/* Hashers follow the front of a file, the bytes without a gap from its beginning.  Where they keep up they get its
 * blocks as they came; else they read what was written a moment ago and is in memory still.  After a resume they read
 * what is on disk from before, once. */
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
  it->hashed = it->front = it->claimed = 0;
  return it->digests != NULL;
}

int32_t hash_end(struct item *it, struct ome_err *err) {
  char wanted[65];

  digests_end(it->digests, it->file->sha256, wanted, &it->file->sums);
  return digest_compare(it->file, wanted, err);
}

/* Bytes of IT that are there without a gap, and stay: what a peer gave of a piece counts when it gave all of it.  Else
 * another one begins the piece anew, and what was hashed before would not be what is in the file. */
static uint64_t front_locked(const struct engine *e, struct item *it) {
  while (it->front < it->npieces && it->state[it->front] == PIECE_DONE)
    it->front++;
  if (it->front == it->npieces)
    return it->file->size;
  uint64_t at = it->front * it->piece;
  for (uint32_t i = 0; it->state[it->front] == PIECE_FLYING && i < e->nflights; i++) {
    const struct flight *f = &e->flights[i];
    if (f->state != FLIGHT_FREE && f->item == it && f->index == it->front)
      return f->peer ? at : atomic_load_explicit(&f->written, memory_order_acquire);
  }
  return at;
}

/* What a hasher does before it asks again. */
struct turn {
  struct item *it;
  struct block *block; /* hashed from memory; NULL: from the file, as far as UPTO */
  uint64_t upto;
  bool over; /* the file is hashed */
  struct ome_err err;
};

/* A local file to copy, or one with something to hash. */
static bool has_work_locked(const struct engine *e, struct item *it, uint64_t *upto) {
  if (it->busy || it->checked || atomic_load(&it->restart))
    return false;
  if (it->local && it->ndone == 0)
    return true;
  if (it->inlined || !it->digests)
    return false;
  *upto = front_locked(e, it);
  return it->blocks || *upto > it->hashed || *upto == it->file->size;
}

static bool next_locked(struct engine *e, struct turn *t) {
  for (size_t i = 0; i < e->nopen; i++) {
    struct item *it = e->open[i];
    if (!has_work_locked(e, it, &t->upto))
      continue;
    t->it = it;
    if (it->blocks)
      t->block = block_next_locked(e, it);
    else if (it->digests && t->upto > it->hashed)
      it->claimed = t->upto = t->upto - it->hashed > TURN ? it->hashed + TURN : t->upto;
    return true;
  }
  return false;
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

/* T's item is BUSY: without the lock. */
static int32_t take_turn(struct engine *e, struct turn *t, uint8_t *buffer) {
  struct item *it = t->it;
  uint64_t from = it->hashed;
  int32_t rc = OME_OK;

  if (it->local && it->ndone == 0)
    return local_copy(e, it, &t->err);
  if (t->block) {
    digests_add(it->digests, t->block->data, t->block->len);
    it->hashed += t->block->len;
  } else {
    rc = hash_bytes(e, it, buffer, t->upto, &t->err);
  }
  /* The disk may begin with it: the sync at the end is short then. */
  if (!e->in_memory && it->hashed > from)
    (void)sync_file_range(it->fd, (off_t)from, (off_t)(it->hashed - from), SYNC_FILE_RANGE_WRITE);
  (void)atomic_fetch_add(&e->hashed, it->hashed - from);
  t->over = rc == OME_OK && it->hashed == it->file->size && !atomic_load(&it->restart);
  if (t->over)
    rc = hash_end(it, &t->err);
  if (t->over && rc == OME_OK && !it->small && fdatasync(it->fd) != 0)
    rc = fail_errno(&t->err, "sync", it->file->path);
  return rc;
}

static void end_turn_locked(struct engine *e, struct turn *t, int32_t rc) {
  struct item *it = t->it;

  it->busy = false;
  if (t->block)
    block_give_locked(e, t->block);
  if (rc != OME_OK || t->over) {
    it->verdict = rc;
    it->err = t->err;
    it->checked = true;
  }
  if (it->checked || atomic_load(&it->restart))
    (void)pthread_cond_signal(&e->news);
}

void *hasher(void *arg) {
  struct engine *e = arg;
  uint8_t *buffer = malloc(MOUTHFUL);

  (void)pthread_setname_np(pthread_self(), "hasher");
  (void)pthread_mutex_lock(&e->lock);
  while (buffer && !atomic_load(&e->stop)) {
    struct turn t = {.err = ERR_INIT};
    if (!next_locked(e, &t)) {
      (void)atomic_fetch_add(&e->idle_hashers, 1);
      (void)pthread_cond_wait(&e->work, &e->lock);
      (void)atomic_fetch_sub(&e->idle_hashers, 1);
      continue;
    }
    t.it->busy = true;
    (void)pthread_mutex_unlock(&e->lock);
    int32_t rc = take_turn(e, &t, buffer);
    (void)pthread_mutex_lock(&e->lock);
    end_turn_locked(e, &t, rc);
  }
  (void)pthread_mutex_unlock(&e->lock);
  free(buffer);
  return NULL;
}
