/* Memory that is given back all at once.  Bounded: what does not fit is NULL, and stays so. */
#ifndef HOST_BASE_ARENA_H
#define HOST_BASE_ARENA_H

#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

struct arena_block;

struct arena {
  struct arena_block *blocks;
  size_t used, max; /* bytes handed out and their bound; max 0: 64 MiB */
  bool failed;      /* something did not fit or memory ran out */
};

void arena_fini(struct arena *a);
#define _cleanup_arena_ _cleanup_(arena_fini)

/* Zeroed, aligned for anything.  NULL once the arena has failed. */
void *arena_new(struct arena *a, size_t size);
/* LEN bytes of TEXT and a NUL. */
char *arena_copy(struct arena *a, const char *text, size_t len);

#endif
