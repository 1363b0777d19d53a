#include "identity.h"

#include <time.h>

#define MAX_ANSWER ((uint64_t)1 << 20)

struct short_call {
  struct ome_call call; /* first: the host hands it to cancelled() */
  const struct ome_call *outer;
};

static int32_t outer_cancelled(const struct ome_call *call) {
  const struct ome_call *outer = ((const struct short_call *)(const void *)call)->outer;

  return outer && OME_HAS(ome_call, outer, cancelled) ? outer->cancelled(outer) : 0;
}

/* Ends after MS, or with OUTER if that is earlier. */
static struct short_call shorten(const struct ome_call *outer, uint32_t ms) {
  struct timespec now;

  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  uint64_t by = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + (uint64_t)ms * 1000000u;
  if (outer && OME_HAS(ome_call, outer, deadline_ns) && outer->deadline_ns && outer->deadline_ns < by)
    by = outer->deadline_ns;
  return (struct short_call){
      .call = {.struct_size = sizeof(struct ome_call), .deadline_ns = by, .cancelled = outer_cancelled},
      .outer = outer};
}

int32_t identity_ask(const struct ome_host *host, const struct ome_call *call, uint32_t ms, struct ome_http_req req,
                     struct http_answer *a, struct ome_err *err) {
  struct short_call soon = shorten(call, ms);

  req.struct_size = sizeof(req);
  req.flags = OME_HTTP_NO_REDIRECT;
  req.max_body = MAX_ANSWER;
  return http_perform(host, &soon.call, &req, a, err);
}
