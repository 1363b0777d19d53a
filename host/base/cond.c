#include "base/cond.h"

#include <errno.h>
#include <time.h>

void cond_init(pthread_cond_t *c) {
  pthread_condattr_t attr;

  (void)pthread_condattr_init(&attr);
  (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  (void)pthread_cond_init(c, &attr);
  (void)pthread_condattr_destroy(&attr);
}

bool cond_wait_until(pthread_cond_t *c, pthread_mutex_t *lock, uint64_t due_ms) {
  struct timespec until = {(time_t)(due_ms / 1000), (long)(due_ms % 1000) * 1000000};

  return pthread_cond_timedwait(c, lock, &until) != ETIMEDOUT;
}
