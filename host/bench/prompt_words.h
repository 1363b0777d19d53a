/* The words that prompts are made of: common English ones, a token each in the usual vocabularies.  With a tokenizer,
 * those that are one for it, alone and beside each other, so that N words are N tokens exactly. */
#ifndef HOST_BENCH_PROMPT_WORDS_H
#define HOST_BENCH_PROMPT_WORDS_H

#include "base/buf.h"
#include "base/err.h"
#include "bench/random.h"

#include <stdbool.h>
#include <stdint.h>

#define WORDS 16384u /* at random, of which prompts are cut */

struct tokenizer;
struct prompt_words {
  char *text;        /* joined by spaces, one before each */
  uint32_t *offsets; /* of each word's space; one more at the end */
  bool exact;        /* a prompt begins with a word, not with its space */
};

/* T: NULL, or what counts.  OME_E_UNSUPPORTED: it has too few such words. */
int32_t prompt_words_init(struct prompt_words *w, struct tokenizer *t, struct random *r, struct ome_err *err);
void prompt_words_fini(struct prompt_words *w);

/* Appends COUNT words from word AT on, around the end.  FIRST: nothing is before them. */
void prompt_words_add(const struct prompt_words *w, size_t at, size_t count, bool first, struct buf *out);

#endif
