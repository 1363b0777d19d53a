#include "agent/budget.h"

#include "base/strmap.h"

#include <pthread.h>
#include <stdlib.h>

struct budget {
  pthread_mutex_t lock;
  uint64_t limit, used;
  uint32_t max_models;
  struct strmap *running; /* key -> uint64_t, its bytes */
  struct strmap *refused; /* key -> itself */
  void (*wake)(void *arg, const char *key);
  void *arg;
};

struct budget *budget_new(uint64_t bytes, uint32_t models, void (*wake)(void *arg, const char *key), void *arg) {
  struct budget *b = calloc(1, sizeof(*b));

  if (!b)
    return NULL;
  *b = (struct budget){.limit = bytes, .max_models = models, .wake = wake, .arg = arg};
  (void)pthread_mutex_init(&b->lock, NULL);
  b->running = strmap_new(free);
  b->refused = strmap_new(NULL);
  if (b->running && b->refused)
    return b;
  budget_free(b);
  return NULL;
}

void budget_free(struct budget *b) {
  if (!b)
    return;
  strmap_free(b->running);
  strmap_free(b->refused);
  (void)pthread_mutex_destroy(&b->lock);
  free(b);
}

static bool fits_locked(const struct budget *b, uint64_t bytes) {
  size_t n = strmap_len(b->running);

  return n == 0 || (n < b->max_models && b->used <= b->limit && bytes <= b->limit - b->used);
}

bool budget_take(struct budget *b, const char *key, uint64_t bytes) {
  uint64_t *mine = malloc(sizeof(*mine));
  bool taken = false;

  (void)pthread_mutex_lock(&b->lock);
  if (mine && fits_locked(b, bytes)) {
    *mine = bytes;
    taken = strmap_put(b->running, key, mine);
  }
  if (taken) {
    b->used += bytes;
    (void)strmap_del(b->refused, key);
  } else {
    free(mine);
    (void)strmap_put(b->refused, key, b);
  }
  (void)pthread_mutex_unlock(&b->lock);
  return taken;
}

void budget_give_back(struct budget *b, const char *key) {
  struct strmap *refused;

  (void)pthread_mutex_lock(&b->lock);
  uint64_t *mine = strmap_take(b->running, key);
  struct strmap *fresh = mine ? strmap_new(NULL) : NULL;
  if (mine)
    b->used -= *mine;
  free(mine);
  refused = b->refused;
  if (fresh)
    b->refused = fresh;
  (void)pthread_mutex_unlock(&b->lock);
  if (!fresh) /* nothing ended; or without memory: they come back by themselves, later */
    return;
  for (struct strmap_iter it = strmap_first(refused); it.key; strmap_next(&it))
    b->wake(b->arg, it.key);
  strmap_free(refused);
}

uint64_t budget_in_flight(struct budget *b, uint32_t *models) {
  (void)pthread_mutex_lock(&b->lock);
  uint64_t used = b->used;
  if (models)
    *models = (uint32_t)strmap_len(b->running);
  (void)pthread_mutex_unlock(&b->lock);
  return used;
}

void budget_forget(struct budget *b, const char *key) {
  (void)pthread_mutex_lock(&b->lock);
  (void)strmap_del(b->refused, key);
  (void)pthread_mutex_unlock(&b->lock);
}
