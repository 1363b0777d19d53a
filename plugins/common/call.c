#include "call.h"

#include <time.h>

static int32_t outer_cancelled(const struct ome_call *call) {
  const struct ome_call *outer = ((const struct short_call *)(const void *)call)->outer;

  return outer && OME_HAS(ome_call, outer, cancelled) ? outer->cancelled(outer) : 0;
}

void call_shorten(struct short_call *s, const struct ome_call *outer, uint32_t ms) {
  struct timespec now;

  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  uint64_t by = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + (uint64_t)ms * 1000000u;
  if (outer && OME_HAS(ome_call, outer, deadline_ns) && outer->deadline_ns && outer->deadline_ns < by)
    by = outer->deadline_ns;
  *s = (struct short_call){.call = {.struct_size = sizeof(s->call), .deadline_ns = by, .cancelled = outer_cancelled},
                           .outer = outer};
}
