/* Chunks of a xorb: what Xet storage keeps files in (Xet protocol specification 1.1, "Xorb Format").
 *
 * A chunk is a header of 8 bytes (version, compressed length in 24 bits, scheme, length in 24 bits, little-endian) and
 * its content: as it is, as an LZ4 frame, or as an LZ4 frame of its bytes grouped by their place modulo 4. */
#ifndef PLUGINS_STORAGE_XET_CHUNK_H
#define PLUGINS_STORAGE_XET_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#define XET_CHUNK_MAX ((size_t)128 << 10) /* bytes of content; the specification's bound */

struct xet_chunk {
  const uint8_t *content; /* inside what was parsed */
  size_t packed, unpacked;
  uint8_t scheme;
};

/* The chunk that begins at IN; *SIZE is its length with the header.  NULL: there is one; else why not. */
const char *xet_chunk_parse(const uint8_t *in, size_t len, struct xet_chunk *out, size_t *size);

/* Whether what xet_chunk_parse() misses of IN may still come. */
int xet_chunk_is_cut(const uint8_t *in, size_t len);

struct xet_decoder;
struct xet_decoder *xet_decoder_new(void); /* NULL: out of memory.  One thread at a time. */
void xet_decoder_free(struct xet_decoder *d);

/* Unpacks C; *OUT, of C's unpacked length, is D's until the next call.  NULL: done; else why not. */
const char *xet_decode(struct xet_decoder *d, const struct xet_chunk *c, const uint8_t **out);

#endif
