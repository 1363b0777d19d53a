/* Work queue and the loop around it: keys, not events; each key worked on by one thread at a time; failures come back
 * with exponential back-off (5 ms to 60 s, jittered), or after err.retry_after_ms. */
#ifndef HOST_KUBE_QUEUE_H
#define HOST_KUBE_QUEUE_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct kube_queue;

/* Brings the world in line with the object KEY ("namespace/name", or "name" for cluster scope).  *REQUEUE_MS > 0 asks
 * to be called again then even on success. */
typedef int32_t kube_reconcile_fn(void *arg, const char *ns, const char *name, uint64_t *requeue_ms,
                                  struct ome_err *err);

struct kube_queue_config {
  const char *name; /* for logs, metrics and (15 characters of it) thread names: "inferenceservice" */
  uint32_t workers; /* 0: 1 */
  kube_reconcile_fn *reconcile;
  void *arg;
};

int32_t kube_queue_new(const struct kube_queue_config *cfg, struct kube_queue **out, struct ome_err *err);
/* Ends after the calls in progress; joins the workers.  Keys may still be added, to no effect, until kube_queue_free().
 */
void kube_queue_stop(struct kube_queue *q);
/* kube_queue_stop() where that was not done, and the end of the queue. */
void kube_queue_free(struct kube_queue *q);
DEFINE_CLEANUP(struct kube_queue *, kube_queue_free)

/* [any-thread]; a key that waits already is not added twice; one that is worked on runs again afterwards. NS may be
 * NULL. */
void kube_queue_add(struct kube_queue *q, const char *ns, const char *name);
/* As kube_queue_add(), and of the keys that are due those of the lowest RANK are worked on first.  A key keeps its rank
 * until it gets another or leaves the queue; one that never got any has 0. */
void kube_queue_add_ranked(struct kube_queue *q, const char *ns, const char *name, int64_t rank);
/* As kube_queue_add(), in MS or earlier where it waits for an earlier time. */
void kube_queue_add_after(struct kube_queue *q, const char *ns, const char *name, uint64_t ms);
size_t kube_queue_len(struct kube_queue *q); /* waiting, delayed and running */

#endif
