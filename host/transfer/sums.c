#include "transfer/sums.h"

#if defined(__x86_64__)
#include <xxh_x86dispatch.h> /* the widest instructions that there are, chosen when it runs */
#else
#include <xxhash.h>
#endif

static void end_piece(struct sums *s) {
  if (!VEC_PUSH(&s->list, XXH3_64bits_digest(s->state)))
    s->failed = true;
  (void)XXH3_64bits_reset(s->state);
}

void sums_add(struct sums *s, const void *data, size_t len) {
  const uint8_t *p = data;

  if (!s->state) {
    s->state = XXH3_createState();
    s->failed = !s->state || XXH3_64bits_reset(s->state) != XXH_OK;
  }
  while (len && !s->failed) {
    uint64_t room = SUMS_PIECE - s->at % SUMS_PIECE;
    size_t n = len < room ? len : (size_t)room;
    (void)XXH3_64bits_update(s->state, p, n);
    s->at += n;
    p += n;
    len -= n;
    if (s->at % SUMS_PIECE == 0)
      end_piece(s);
  }
}

void sums_end(struct sums *s) {
  if (s->state && !s->failed && s->at % SUMS_PIECE)
    end_piece(s);
  (void)XXH3_freeState(s->state);
  s->state = NULL;
}

void sums_fini(struct sums *s) {
  (void)XXH3_freeState(s->state);
  VEC_FREE(&s->list);
  *s = (struct sums){.failed = false};
}
