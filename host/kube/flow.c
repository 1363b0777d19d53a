#include "kube/flow.h"

#include "base/str.h"

#include <string.h>

void flow_init(struct flow *f, uint64_t rate, uint64_t burst, uint64_t now_ns) {
  double size = burst ? (double)burst : 1;

  *f = (struct flow){.rate = (double)rate, .burst = size, .tokens = size, .at_ns = now_ns};
}

uint64_t flow_take(struct flow *f, uint64_t now_ns) {
  if (f->rate == 0)
    return 0;
  if (now_ns > f->at_ns) {
    f->tokens += (double)(now_ns - f->at_ns) / 1e9 * f->rate;
    f->at_ns = now_ns;
  }
  if (f->tokens > f->burst)
    f->tokens = f->burst;
  f->tokens -= 1;
  return f->tokens >= 0 ? 0 : (uint64_t)(-f->tokens / f->rate * 1e9);
}

bool flow_is_exempt(const char *method, const char *path) {
  return streq(method, "DELETE") || has_prefix(path, "/apis/coordination.k8s.io/");
}
