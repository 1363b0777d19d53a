#include "tokens/added.h"

#include "tokens/bytes.h"

#include <utf8proc.h>

bool added_put(struct added *a, const char *text, size_t len, unsigned flags) {
  uint32_t n = len ? vocabulary_add(&a->words, text, len, 0) : 0;

  if (!len)
    return true;
  if (n == VOCABULARY_NONE)
    return false;
  a->first[(unsigned char)*text] = true;
  if (n < a->flags.len)
    a->flags.items[n] = (unsigned char)flags;
  else
    return VEC_PUSH(&a->flags, (unsigned char)flags);
  return true;
}

void added_fini(struct added *a) {
  vocabulary_fini(&a->words);
  VEC_FREE(&a->flags);
}

/* ---- around a token ---------------------------------------------------------------------------------------------- */

static bool is_word(int32_t c) {
  utf8proc_category_t kind = utf8proc_category(c);

  return (kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_NL) || kind == UTF8PROC_CATEGORY_PC;
}

/* Where the character before AT begins. */
static size_t back(const char *text, size_t at) {
  do
    at--;
  while (at && ((unsigned char)text[at] & 0xc0) == 0x80);
  return at;
}

static bool stands_alone(const char *text, size_t len, size_t begin, size_t end) {
  int32_t before = ' ', after = ' ';

  if (begin)
    (void)character_at(text + back(text, begin), text + len, &before);
  if (end < len)
    (void)character_at(text + end, text + len, &after);
  return !is_word(before) && !is_word(after);
}

static size_t white_before(const char *text, size_t len, size_t at, size_t least) {
  int32_t c;

  while (at > least) {
    size_t begin = back(text, at);
    (void)character_at(text + begin, text + len, &c);
    if (!is_white(c))
      break;
    at = begin;
  }
  return at < least ? least : at;
}

static size_t white_behind(const char *text, size_t len, size_t at) {
  int32_t c;

  while (at < len) {
    size_t n = character_at(text + at, text + len, &c);
    if (!n || !is_white(c))
      break;
    at += n;
  }
  return at;
}

/* ---- in a text --------------------------------------------------------------------------------------------------- */

/* The longest that begins at AT; VOCABULARY_NONE: none does. */
static uint32_t longest_at(const struct added *a, const char *text, size_t len, size_t at) {
  uint32_t hash = VOCABULARY_HASH, longest = VOCABULARY_NONE;

  if (!a->first[(unsigned char)text[at]])
    return VOCABULARY_NONE;
  for (size_t i = at; i < len && i - at < a->words.longest; i++) {
    hash = vocabulary_hash(hash, text[i]);
    uint32_t n = vocabulary_find_hashed(&a->words, text + at, i + 1 - at, hash);
    longest = n != VOCABULARY_NONE ? n : longest;
  }
  return longest;
}

int32_t added_each(const struct added *a, const char *text, size_t len, added_plain_fn *plain, void *arg,
                   uint64_t *found, struct ome_err *err) {
  size_t from = 0; /* up to here all is told */
  int32_t rc = OME_OK;

  for (size_t at = 0; at < len && rc == OME_OK;) {
    uint32_t n = longest_at(a, text, len, at);
    if (n == VOCABULARY_NONE) {
      at++;
      continue;
    }
    size_t begin = at, end = at + a->words.entries.items[n].len;
    unsigned flags = a->flags.items[n];
    at = end;
    if (flags & ADDED_WORD && !stands_alone(text, len, begin, end))
      continue;
    if (flags & ADDED_LEFT)
      begin = white_before(text, len, begin, from);
    if (flags & ADDED_RIGHT)
      end = white_behind(text, len, end);
    if (begin > from)
      rc = plain(arg, text + from, begin - from, from, err);
    *found += 1;
    from = end;
  }
  if (from < len && rc == OME_OK)
    rc = plain(arg, text + from, len - from, from, err);
  return rc;
}
