/* Client-side flow control: a token bucket. Pure; times are nanoseconds of any monotonic clock. */
#ifndef HOST_KUBE_FLOW_H
#define HOST_KUBE_FLOW_H

#include <stdbool.h>
#include <stdint.h>

struct flow {
  double rate;   /* tokens a second; 0: no limit */
  double burst;  /* that the bucket holds, at least 1 */
  double tokens; /* below 0: so many have been promised */
  uint64_t at_ns;
};

/* A full bucket. */
void flow_init(struct flow *f, uint64_t rate, uint64_t burst, uint64_t now_ns);

/* Takes a token; after so many nanoseconds it may be used.  Who comes first is served first. */
uint64_t flow_take(struct flow *f, uint64_t now_ns);

/* Whether a request takes no token: what goes away does not wait for what comes, and a leader that waits for its turn
 * is none any more. */
bool flow_is_exempt(const char *method, const char *path);

#endif
