/* Cutting a text where a pattern matches. */
#ifndef HOST_TOKENS_SPLIT_H
#define HOST_TOKENS_SPLIT_H

#include "base/regex.h"
#include "tokens/pieces.h"

#include <stdbool.h>

enum split_behavior { /* what becomes of what matched; names are those of tokenizer.json */
                      SPLIT_REMOVED,
                      SPLIT_ISOLATED,
                      SPLIT_MERGED_WITH_PREVIOUS,
                      SPLIT_MERGED_WITH_NEXT,
                      SPLIT_CONTIGUOUS
};
bool split_behavior_find(const char *name, enum split_behavior *out);

struct splitter {
  char *literal; /* one of both */
  struct regex *re;
  enum split_behavior behavior;
  bool invert; /* what lies between matches is what matched */
};
void splitter_fini(struct splitter *s);

/* Appends the pieces of TEXT to OUT. */
int32_t split_text(const struct splitter *s, const char *text, size_t len, struct pieces *out, struct ome_err *err);

#endif
