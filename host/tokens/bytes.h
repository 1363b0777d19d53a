/* Characters, and bytes that stand for themselves. */
#ifndef HOST_TOKENS_BYTES_H
#define HOST_TOKENS_BYTES_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes of the character at P, which is UTF-8 and before END; *C (may be NULL) is its number.  0: it is no UTF-8. */
size_t character_at(const char *p, const char *end, int32_t *c);
bool is_utf8(const char *text, size_t len);
bool is_white(int32_t c); /* the White_Space property */

/* Appends TEXT with each byte as the printable character that byte-level models have for it (GPT-2's table). */
void add_byte_level(const char *text, size_t len, struct buf *out);

#endif
