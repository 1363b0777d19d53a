#include "xet_chunk.h"

#include <lz4frame.h>
#include <stdlib.h>

#define HEADER 8u
#define PACKED_MAX (2 * XET_CHUNK_MAX) /* far above what LZ4 makes of the longest */

enum { SCHEME_NONE = 0, SCHEME_LZ4 = 1, SCHEME_BG4_LZ4 = 2 };

struct xet_decoder {
  LZ4F_dctx *lz4;
  uint8_t unpacked[XET_CHUNK_MAX];
  uint8_t regrouped[XET_CHUNK_MAX];
};

static size_t read_24(const uint8_t *p) {
  return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16;
}

const char *xet_chunk_parse(const uint8_t *in, size_t len, struct xet_chunk *out, size_t *size) {
  if (len < HEADER)
    return "it ends inside a chunk's header";
  if (in[0] != 0)
    return "a chunk has an unknown version";
  const struct xet_chunk c = {in + HEADER, read_24(in + 1), read_24(in + 5), in[4]};
  if (c.scheme > SCHEME_BG4_LZ4)
    return "a chunk is compressed in an unknown way; a newer ome may know it";
  if (c.unpacked == 0 || c.unpacked > XET_CHUNK_MAX)
    return "a chunk is longer than chunks may be";
  if (c.scheme == SCHEME_NONE && c.packed != c.unpacked)
    return "a chunk's two lengths differ";
  if (c.packed > len - HEADER)
    return "it ends inside a chunk";
  *out = c;
  *size = HEADER + c.packed;
  return NULL;
}

int xet_chunk_is_cut(const uint8_t *in, size_t len) {
  return len < HEADER || (read_24(in + 1) <= PACKED_MAX && read_24(in + 1) > len - HEADER && in[0] == 0 &&
                          in[4] <= SCHEME_BG4_LZ4 && read_24(in + 5) <= XET_CHUNK_MAX);
}

struct xet_decoder *xet_decoder_new(void) {
  struct xet_decoder *d = malloc(sizeof(*d));

  if (d && LZ4F_isError(LZ4F_createDecompressionContext(&d->lz4, LZ4F_VERSION))) {
    free(d);
    return NULL;
  }
  return d;
}

void xet_decoder_free(struct xet_decoder *d) {
  if (!d)
    return;
  (void)LZ4F_freeDecompressionContext(d->lz4);
  free(d);
}

/* The whole frame, which must give exactly the chunk's length. */
static const char *decode_frame(struct xet_decoder *d, const struct xet_chunk *c) {
  size_t in = 0, out = 0, hint = 1;

  LZ4F_resetDecompressionContext(d->lz4);
  while (hint != 0) {
    size_t took = c->packed - in, gave = c->unpacked - out;
    hint = LZ4F_decompress(d->lz4, d->unpacked + out, &gave, c->content + in, &took, NULL);
    if (LZ4F_isError(hint))
      return "a chunk's LZ4 frame is damaged";
    if (hint != 0 && took == 0 && gave == 0)
      return "a chunk's LZ4 frame has not the length that its header says";
    in += took;
    out += gave;
  }
  return in == c->packed && out == c->unpacked ? NULL : "a chunk's LZ4 frame has not the length that its header says";
}

/* All first bytes of four, then all second, ...: back in their order. */
static void regroup(const uint8_t *in, size_t len, uint8_t *out) {
  for (size_t group = 0; group < 4; group++)
    for (size_t i = group; i < len; i += 4)
      out[i] = *in++;
}

const char *xet_decode(struct xet_decoder *d, const struct xet_chunk *c, const uint8_t **out) {
  if (c->scheme == SCHEME_NONE) {
    *out = c->content;
    return NULL;
  }
  const char *why = decode_frame(d, c);
  if (why)
    return why;
  *out = d->unpacked;
  if (c->scheme == SCHEME_BG4_LZ4) {
    regroup(d->unpacked, c->unpacked, d->regrouped);
    *out = d->regrouped;
  }
  return NULL;
}
