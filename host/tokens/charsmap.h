/* SentencePiece's own normalization, as its models carry it: a double array of which characters become what. */
#ifndef HOST_TOKENS_CHARSMAP_H
#define HOST_TOKENS_CHARSMAP_H

#include "base/buf.h"
#include "base/err.h"

struct charsmap;

/* BASE64 is "precompiled_charsmap" of tokenizer.json. */
int32_t charsmap_new(const char *base64, struct charsmap **out, struct ome_err *err);
void charsmap_free(struct charsmap *m);
/* Appends TEXT, which is UTF-8, as the map has it. */
void charsmap_run(const struct charsmap *m, const char *text, size_t len, struct buf *out);

#endif
