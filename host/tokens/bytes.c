#include "tokens/bytes.h"

#include <utf8proc.h>

size_t character_at(const char *p, const char *end, int32_t *c) {
  utf8proc_int32_t code;
  utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)p, end - p, &code);

  if (c)
    *c = code;
  return n > 0 ? (size_t)n : 0;
}

bool is_utf8(const char *text, size_t len) {
  for (const char *p = text, *end = text + len; p < end;) {
    size_t n = (unsigned char)*p < 0x80 ? 1 : character_at(p, end, NULL);
    if (!n)
      return false;
    p += n;
  }
  return true;
}

bool is_white(int32_t c) {
  if (c < 0x80)
    return c == ' ' || (c >= '\t' && c <= '\r');
  utf8proc_category_t kind = utf8proc_category(c);
  return kind == UTF8PROC_CATEGORY_ZS || kind == UTF8PROC_CATEGORY_ZL || kind == UTF8PROC_CATEGORY_ZP || c == 0x85;
}

/* Printable bytes of Latin-1 are themselves; the others, in their order, are U+0100 and on. */
static uint32_t byte_character(unsigned char b) {
  if (b <= ' ')
    return 0x100u + b;
  if (b >= 0x7f && b <= 0xa0)
    return 0x100u + 33u + (b - 0x7fu);
  return b == 0xad ? 0x100u + 67u : b;
}

void add_byte_level(const char *text, size_t len, struct buf *out) {
  for (size_t i = 0; i < len; i++) {
    uint32_t c = byte_character((unsigned char)text[i]);
    if (c < 0x80) {
      buf_addc(out, (char)c);
    } else {
      char two[2] = {(char)(0xc0u | c >> 6), (char)(0x80u | (c & 0x3fu))};
      buf_add(out, two, 2);
    }
  }
}
