/* Texts one behind the other: what pre-tokenizers make of one. */
#ifndef HOST_TOKENS_PIECES_H
#define HOST_TOKENS_PIECES_H

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"

#include <stdint.h>

struct pieces {
  struct buf text;
  VEC(uint32_t) ends; /* in TEXT */
};

static inline void pieces_clear(struct pieces *p) {
  buf_clear(&p->text);
  p->ends.len = 0;
}

static inline void pieces_fini(struct pieces *p) {
  buf_fini(&p->text);
  VEC_FREE(&p->ends);
}

/* Ends the piece whose bytes were appended to TEXT; one without bytes is none.  Memory that ran out shows in TEXT. */
static inline void pieces_end(struct pieces *p) {
  size_t begin = p->ends.len ? p->ends.items[p->ends.len - 1] : 0;

  if (p->text.len > begin && !VEC_PUSH(&p->ends, (uint32_t)p->text.len))
    p->text.failed = true;
}

static inline void pieces_add(struct pieces *p, const char *text, size_t len) {
  buf_add(&p->text, text, len);
  pieces_end(p);
}

#endif
