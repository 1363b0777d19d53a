/* Models of tokenizer.json: how many tokens a piece of text is. */
#ifndef HOST_TOKENS_MODEL_H
#define HOST_TOKENS_MODEL_H

#include "base/err.h"
#include "tokens/cut.h"
#include "tokens/vocabulary.h"

#include <stdbool.h>

/* ---- bpe.c: pairs of tokens are joined, those that were learnt first before others ------------------------------- */

struct bpe;
int32_t bpe_new(struct cut model, struct vocabulary *words, struct bpe **out, struct ome_err *err);
void bpe_free(struct bpe *b);
/* Tokens of TEXT; UINT64_MAX: memory ran out. */
uint64_t bpe_count(struct bpe *b, const char *text, size_t len);

/* ---- unigram.c: the likeliest way to make the text of tokens ----------------------------------------------------- */

struct unigram;
int32_t unigram_new(struct cut model, struct vocabulary *words, struct unigram **out, struct ome_err *err);
void unigram_free(struct unigram *u);
uint64_t unigram_count(struct unigram *u, const char *text, size_t len); /* as bpe_count() */

/* ---- both -------------------------------------------------------------------------------------------------------- */

/* Whether WORDS has a token for every byte of TEXT: "<0x0A>". */
bool model_has_bytes(const struct vocabulary *words, const char *text, size_t len);
/* The member NAME of MODEL, a flag; false where it is absent. */
bool model_flag(struct cut model, const char *name);

#endif
