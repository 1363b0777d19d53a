#include "kube/lists.h"

#include "base/clock.h"
#include "base/cond.h"

void lists_init(struct lists *l) {
  *l = (struct lists){.running = 0};
  (void)pthread_mutex_init(&l->lock, NULL);
  cond_init(&l->changed);
}

void lists_fini(struct lists *l) {
  (void)pthread_mutex_destroy(&l->lock);
  (void)pthread_cond_destroy(&l->changed);
}

void lists_enter(struct lists *l) {
  (void)pthread_mutex_lock(&l->lock);
  l->waiting++;
  while (l->running == LISTS_AT_ONCE)
    (void)pthread_cond_wait(&l->changed, &l->lock);
  l->waiting--;
  l->running++;
  (void)pthread_mutex_unlock(&l->lock);
}

void lists_leave(struct lists *l) {
  (void)pthread_mutex_lock(&l->lock);
  l->running--;
  (void)pthread_cond_broadcast(&l->changed);
  (void)pthread_mutex_unlock(&l->lock);
}

void lists_await_end(struct lists *l, uint64_t ms) {
  uint64_t due = mono_ms() + ms;

  (void)pthread_mutex_lock(&l->lock);
  while ((l->running || l->waiting) && cond_wait_until(&l->changed, &l->lock, due))
    continue;
  (void)pthread_mutex_unlock(&l->lock);
}
