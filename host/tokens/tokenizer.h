/* How many tokens a text is to a model: tokenizer.json of Hugging Face's `tokenizers`, read as far as counting needs
 * it.
 *
 * Models BPE and Unigram; their normalizers, pre-tokenizers and added tokens.  What post-processors add (a beginning of
 * sequence), decoders, truncation and padding are not looked at.  A file that needs something unknown is refused: a
 * count is right, or there is none. */
#ifndef HOST_TOKENS_TOKENIZER_H
#define HOST_TOKENS_TOKENIZER_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define TOKENIZER_MAX_FILE ((size_t)128 << 20)
#define TOKENIZER_MAX_TEXT ((size_t)16 << 20) /* bytes counted at a time */

struct tokenizer;

/* TEXT is the file's content, LEN bytes.  OME_E_INVALID names what is missing, wrong or unknown in it. */
int32_t tokenizer_read(const char *name, const char *text, size_t len, struct tokenizer **out, struct ome_err *err);
void tokenizer_free(struct tokenizer *t);
DEFINE_CLEANUP(struct tokenizer *, tokenizer_free)

/* Tokens of TEXT alone, as `encode(text, add_special_tokens=False)` has them.  OME_E_INVALID: no UTF-8, too long, or an
 * expression of the tokenizer takes too long on it.  One thread at a time. */
int32_t tokenizer_count(struct tokenizer *t, const char *text, size_t len, uint64_t *out, struct ome_err *err);

/* The Ith of the vocabulary, of no certain order; NULL beyond its end.  As it stands in the file: with the model's own
 * signs for spaces. */
const char *tokenizer_token(const struct tokenizer *t, size_t i);

#endif
