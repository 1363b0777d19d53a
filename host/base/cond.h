/* Conditions that are waited for by the monotonic clock: the wall clock may jump by hours. */
#ifndef HOST_BASE_COND_H
#define HOST_BASE_COND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

void cond_init(pthread_cond_t *c);
/* One wait for C, made by cond_init(), until DUE_MS of mono_ms() at the latest; false: it is that late. */
bool cond_wait_until(pthread_cond_t *c, pthread_mutex_t *lock, uint64_t due_ms);

#endif
