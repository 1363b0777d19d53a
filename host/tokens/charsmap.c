#include "tokens/charsmap.h"

#include "base/str.h"
#include "tokens/bytes.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define GRAPHEME_BYTES 6 /* from here on a grapheme is looked up character by character, as `tokenizers` does */

struct charsmap {
  char *bytes; /* size, units, strings */
  const char *units;
  size_t nunits;
  const char *strings; /* each with a NUL behind it */
  size_t strings_len;
};

int32_t charsmap_new(const char *base64, struct charsmap **out, struct ome_err *err) {
  struct charsmap *m = calloc(1, sizeof(*m));
  uint32_t size = 0;
  size_t len = 0;

  if (!m)
    return fail_memory(err);
  m->bytes = base64_decode(base64, &len);
  if (m->bytes && len >= sizeof(size))
    memcpy(&size, m->bytes, sizeof(size));
  size = le32toh(size);
  if (!size || size % 4 || size > len - sizeof(size)) {
    charsmap_free(m);
    return fail(err, OME_E_INVALID, "precompiled_charsmap: is no map of SentencePiece in base64");
  }
  m->units = m->bytes + sizeof(size);
  m->nunits = size / 4;
  m->strings = m->units + size;
  m->strings_len = len - sizeof(size) - size;
  *out = m;
  return OME_OK;
}

void charsmap_free(struct charsmap *m) {
  if (!m)
    return;
  free(m->bytes);
  free(m);
}

/* A unit of Darts' double array; false: AT is outside. */
static bool unit_at(const struct charsmap *m, size_t at, uint32_t *unit) {
  if (at >= m->nunits)
    return false;
  memcpy(unit, m->units + at * 4, 4);
  *unit = le32toh(*unit);
  return true;
}

static size_t unit_offset(uint32_t unit) {
  return (size_t)(unit >> 10) << ((unit & (1u << 9)) >> 6);
}

/* What the shortest beginning of TEXT that the map knows becomes; NULL: it knows none. */
static const char *look_up(const struct charsmap *m, const char *text, size_t len) {
  uint32_t unit;
  size_t at = 0;

  if (!unit_at(m, at, &unit))
    return NULL;
  at ^= unit_offset(unit);
  for (size_t i = 0; i < len && text[i]; i++) {
    unsigned char c = (unsigned char)text[i];
    at ^= c;
    if (!unit_at(m, at, &unit) || (unit & ((1u << 31) | 0xffu)) != c)
      return NULL;
    at ^= unit_offset(unit);
    if (unit >> 8 & 1) {
      size_t string = unit_at(m, at, &unit) ? unit & ((1u << 31) - 1) : SIZE_MAX;
      return string < m->strings_len && memchr(m->strings + string, '\0', m->strings_len - string) ? m->strings + string
                                                                                                   : NULL;
    }
  }
  return NULL;
}

static void add_mapped(const struct charsmap *m, const char *text, size_t len, struct buf *out) {
  const char *to = len < GRAPHEME_BYTES ? look_up(m, text, len) : NULL;

  if (to) {
    buf_adds(out, to);
    return;
  }
  for (const char *p = text, *end = text + len; p < end;) {
    size_t n = character_at(p, end, NULL);
    to = look_up(m, p, n);
    buf_add(out, to ? to : p, to ? strlen(to) : n);
    p += n ? n : 1;
  }
}

void charsmap_run(const struct charsmap *m, const char *text, size_t len, struct buf *out) {
  const char *from = text, *end = text + len;
  utf8proc_int32_t state = 0;
  int32_t before = 0, c;

  for (const char *p = text; p < end;) {
    size_t n = character_at(p, end, &c);
    if (p > text && utf8proc_grapheme_break_stateful(before, c, &state)) {
      add_mapped(m, from, (size_t)(p - from), out);
      from = p;
    }
    before = c;
    p += n ? n : 1;
  }
  add_mapped(m, from, (size_t)(end - from), out);
}
