/* Leader election: one holder of a coordination.k8s.io/v1 Lease at a time, as client-go's leaderelection does it.
 *
 * Clocks of other machines are not trusted: a holder counts as gone when its record has not changed for the lease's
 * duration by our own monotonic clock. */
#ifndef HOST_KUBE_LEASE_H
#define HOST_KUBE_LEASE_H

#include "kube/client.h"

struct kube_lease;

struct kube_lease_config {
  struct kube_client *client; /* borrowed */
  const char *ns;
  const char *name;
  const char *identity;                 /* NULL: host name and a random part */
  uint32_t duration_ms;                 /* whole seconds; others wait this long for us; 0: 15000 */
  uint32_t renew_deadline_ms;           /* without a renewal for this long we are no leader any more; 0: 10000 */
  uint32_t retry_ms;                    /* between tries; 0: 2000 */
  void (*on_lost)(void *arg);           /* on the lease's thread, once: stop acting at once */
  bool (*wait)(void *arg, uint32_t ms); /* while not leader: waits MS; true: give up */
  void *arg;
};

/* Waits until we are the leader, then renews from a thread of its own.  OME_E_CANCELLED when wait() gave up. */
int32_t kube_lease_acquire(const struct kube_lease_config *cfg, struct kube_lease **out, struct ome_err *err);
/* Ends the renewals and hands the lease over, so that the next one need not wait. */
void kube_lease_release(struct kube_lease *l);
DEFINE_CLEANUP(struct kube_lease *, kube_lease_release)

#endif
