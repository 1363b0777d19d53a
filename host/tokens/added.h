/* Added tokens: found in a text before anything else, whole. */
#ifndef HOST_TOKENS_ADDED_H
#define HOST_TOKENS_ADDED_H

#include "base/err.h"
#include "tokens/vocabulary.h"

#include <stdbool.h>

enum { ADDED_LEFT = 1, ADDED_RIGHT = 2, ADDED_WORD = 4 }; /* takes white space before, behind; only as a word */

struct added {
  struct vocabulary words;
  VEC(unsigned char) flags; /* of each */
  bool first[256];          /* bytes that one of them begins with */
};

bool added_put(struct added *a, const char *text, size_t len, unsigned flags); /* false: memory ran out */
void added_fini(struct added *a);

/* Tells PLAIN of what lies between added tokens, in order; adds how many of those there are to *FOUND.  Errors are
 * PLAIN's. */
typedef int32_t added_plain_fn(void *arg, const char *text, size_t len, size_t at, struct ome_err *err);
int32_t added_each(const struct added *a, const char *text, size_t len, added_plain_fn *plain, void *arg,
                   uint64_t *found, struct ome_err *err);

#endif
