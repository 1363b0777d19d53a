/* Calls with less time than the caller's: outside of its cloud a metadata service's address answers nothing. */
#ifndef PLUGINS_COMMON_CALL_H
#define PLUGINS_COMMON_CALL_H

#include <ome/abi.h>

struct short_call {
  struct ome_call call; /* first: the host hands it to cancelled() */
  const struct ome_call *outer;
};

/* Ends after MS, or with OUTER (may be NULL, else borrowed) if that is earlier. */
void call_shorten(struct short_call *s, const struct ome_call *outer, uint32_t ms);

#endif
