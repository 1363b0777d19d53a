/* Whose turn it is to list.  A start is over when everything has been listed, and a watch takes a connection of its
 * own, whose making costs both sides more than a list does: so lists share a few connections, and watches begin after
 * them. All functions [any-thread]. */
#ifndef HOST_KUBE_LISTS_H
#define HOST_KUBE_LISTS_H

#include <pthread.h>
#include <stdint.h>

#define LISTS_AT_ONCE 6u /* one that is slow holds up few others */

struct lists {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  unsigned running, waiting;
};

void lists_init(struct lists *l);
void lists_fini(struct lists *l);
/* Waits for a turn, which lists_leave() ends. */
void lists_enter(struct lists *l);
void lists_leave(struct lists *l);
/* Waits until nobody lists or waits to, or MS have passed: a watch loses nothing by beginning later. */
void lists_await_end(struct lists *l, uint64_t ms);

#endif
