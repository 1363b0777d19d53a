#include "kube/lists.h"

#include "base/clock.h"

void lists_init(struct lists *l) {
  pthread_condattr_t attr;

  *l = (struct lists){.running = 0};
  (void)pthread_mutex_init(&l->lock, NULL);
  (void)pthread_condattr_init(&attr);
  (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  (void)pthread_cond_init(&l->changed, &attr);
  (void)pthread_condattr_destroy(&attr);
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
  struct timespec until = {(time_t)(due / 1000), (long)(due % 1000) * 1000000};

  (void)pthread_mutex_lock(&l->lock);
  while ((l->running || l->waiting) && mono_ms() < due)
    (void)pthread_cond_timedwait(&l->changed, &l->lock, &until);
  (void)pthread_mutex_unlock(&l->lock);
}
