#include "bench/image.h"

#include "base/buf.h"
#include "base/str.h"

#include <string.h>
#include <zlib.h>

#define SQUARE 32u /* pixels */

static void put_u32(uint8_t *to, uint32_t v) {
  for (int i = 0; i < 4; i++)
    to[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Length, type, data, CRC (PNG, section 5.3). */
static void add_chunk(struct buf *out, const char *type, const void *data, size_t len) {
  uint8_t number[4];

  put_u32(number, (uint32_t)len);
  buf_add(out, number, 4);
  size_t at = out->len;
  buf_add(out, type, 4);
  buf_add(out, data, len);
  if (!buf_ok(out))
    return;
  put_u32(number, (uint32_t)crc32(0, (const Bytef *)out->data + at, (uInt)(len + 4)));
  buf_add(out, number, 4);
}

/* Rows of a palette of 256 greys, each begun by its filter (none). */
static void add_rows(struct buf *raw, struct random *r, uint32_t width, uint32_t height) {
  uint64_t seed = random_next(r);

  for (uint32_t y = 0; y < height; y++) {
    struct random row = {seed + y / SQUARE};
    buf_addc(raw, 0);
    for (uint32_t x = 0; x < width; x += SQUARE) {
      char square[SQUARE];
      memset(square, (int)(random_next(&row) & 255), sizeof(square));
      buf_add(raw, square, width - x < SQUARE ? width - x : SQUARE);
    }
  }
}

char *image_url(struct random *r, uint32_t width, uint32_t height) {
  static const uint8_t signature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  uint8_t head[13] = {[8] = 8 /* bits */, [9] = 0 /* grey */};
  _cleanup_buf_ struct buf raw = BUF_INIT, png = BUF_INIT;

  buf_init(&raw, (size_t)80 << 20);
  add_rows(&raw, r, width, height);
  uLongf len = buf_ok(&raw) ? compressBound(raw.len) : 0;
  _cleanup_free_ uint8_t *packed = len ? malloc(len) : NULL;
  if (!packed || compress2(packed, &len, (const Bytef *)raw.data, raw.len, 1) != Z_OK)
    return NULL;
  put_u32(head, width);
  put_u32(head + 4, height);
  buf_add(&png, signature, sizeof(signature));
  add_chunk(&png, "IHDR", head, sizeof(head));
  add_chunk(&png, "IDAT", packed, len);
  add_chunk(&png, "IEND", "", 0);
  _cleanup_free_ char *text = buf_ok(&png) ? base64_encode(png.data, png.len) : NULL;
  return text ? str_printf("data:image/png;base64,%s", text) : NULL;
}
