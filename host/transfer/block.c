/* Blocks: what comes from a connection is gathered before it is written, as a write costs by the page and by the call;
 * and a block that is the next of its file to be hashed goes on to a hasher as it is, instead of being read again. */
#include "base/str.h"
#include "transfer/internal.h"

#include <string.h>

/* NULL: out of memory. */
static struct block *take_block(struct engine *e) {
  (void)pthread_mutex_lock(&e->lock);
  struct block *b = e->spare;
  if (b)
    e->spare = b->next;
  (void)pthread_mutex_unlock(&e->lock);
  if (!b)
    b = malloc(sizeof(*b));
  if (b)
    b->len = 0;
  return b;
}

void block_give_locked(struct engine *e, struct block *b) {
  b->next = e->spare;
  e->spare = b;
}

/* Its bytes are in the file: to the hashers, where they are at it, else it is gathered into again. */
static void hand_on(struct flight *f) {
  struct engine *e = f->engine;
  struct item *it = f->item;
  struct block *b = f->block;

  (void)pthread_mutex_lock(&e->lock);
  if (it->digests && !f->peer && it->claimed == b->at && e->nblocks < MAX_BLOCKS) { /* of peers: see front_locked() */
    b->next = NULL;
    *(it->blocks ? &it->last_block->next : &it->blocks) = b;
    it->last_block = b;
    e->nblocks++;
    it->claimed += b->len;
    f->block = NULL;
  }
  if (atomic_load(&e->idle_hashers))
    (void)pthread_cond_signal(&e->work);
  (void)pthread_mutex_unlock(&e->lock);
}

bool block_flush(struct flight *f) {
  struct block *b = f->block;
  int32_t rc = OME_OK;

  if (!b || b->len == 0)
    return true;
  rc = write_at(f->item->fd, f->item->file->path, b->data, b->len, b->at, &f->err);
  if (rc != OME_OK) {
    f->rc = rc;
    f->disk = true;
    b->len = 0;
    return false;
  }
  atomic_store_explicit(&f->written, b->at + b->len, memory_order_release);
  hand_on(f);
  if (f->block)
    f->block->len = 0;
  return true;
}

bool block_add(struct flight *f, const void *data, size_t len, uint64_t at) {
  const char *p = data;

  while (len) {
    struct block *b = f->block ? f->block : (f->block = take_block(f->engine));
    if (!b) {
      f->rc = fail_memory(&f->err);
      return false;
    }
    if (b->len == 0)
      b->at = at;
    size_t room = BLOCK_BYTES - (size_t)(at % BLOCK_BYTES);
    size_t n = len < room ? len : room;
    memcpy(b->data + b->len, p, n);
    b->len += n;
    p += n;
    at += n;
    len -= n;
    if ((n == room || at == f->end) && !block_flush(f))
      return false;
  }
  return true;
}

struct block *block_next_locked(struct engine *e, struct item *it) {
  struct block *b = it->blocks;

  it->blocks = b->next;
  e->nblocks--;
  return b;
}

void blocks_drop_locked(struct engine *e, struct item *it) {
  while (it->blocks)
    block_give_locked(e, block_next_locked(e, it));
}

void blocks_free(struct engine *e) {
  for (uint32_t i = 0; i < e->nflights; i++)
    free(e->flights[i].block);
  while (e->spare) {
    struct block *b = e->spare;
    e->spare = b->next;
    free(b);
  }
}
