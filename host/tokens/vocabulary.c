#include "tokens/vocabulary.h"

#include <string.h>

#define MAX_TEXT ((size_t)128 << 20)

void vocabulary_fini(struct vocabulary *v) {
  buf_fini(&v->text);
  VEC_FREE(&v->entries);
  free(v->slots);
  memset(v, 0, sizeof(*v));
}

static uint32_t hash_of(const char *text, size_t len) {
  uint32_t hash = VOCABULARY_HASH;

  for (size_t i = 0; i < len; i++)
    hash = vocabulary_hash(hash, text[i]);
  return hash;
}

/* The slot where HASH and its text are, or would be. */
static uint32_t slot_of(const struct vocabulary *v, const char *text, size_t len, uint32_t hash) {
  for (uint32_t i = (hash ^ hash >> 15) & v->mask;; i = (i + 1) & v->mask) {
    if (!v->slots[i])
      return i;
    const struct vocabulary_entry *e = &v->entries.items[v->slots[i] - 1];
    if (e->hash == hash && e->len == len && memcmp(v->text.data + e->at, text, len) == 0)
      return i;
  }
}

static bool grow(struct vocabulary *v) {
  uint32_t n = v->slots ? (v->mask + 1) * 2 : 1024;
  uint32_t *slots = calloc(n, sizeof(*slots));

  if (!slots)
    return false;
  free(v->slots);
  v->slots = slots;
  v->mask = n - 1;
  for (size_t i = 0; i < v->entries.len; i++) {
    const struct vocabulary_entry *e = &v->entries.items[i];
    v->slots[slot_of(v, v->text.data + e->at, e->len, e->hash)] = (uint32_t)i + 1;
  }
  return true;
}

uint32_t vocabulary_find_hashed(const struct vocabulary *v, const char *text, size_t len, uint32_t hash) {
  uint32_t found = v->slots ? v->slots[slot_of(v, text, len, hash)] : 0;

  return found ? found - 1 : VOCABULARY_NONE;
}

uint32_t vocabulary_find(const struct vocabulary *v, const char *text, size_t len) {
  return vocabulary_find_hashed(v, text, len, hash_of(text, len));
}

uint32_t vocabulary_add(struct vocabulary *v, const char *text, size_t len, double score) {
  struct vocabulary_entry e = {.at = (uint32_t)v->text.len, .len = (uint32_t)len, .hash = hash_of(text, len)};
  uint32_t known = vocabulary_find_hashed(v, text, len, e.hash);

  if (known != VOCABULARY_NONE)
    return known;
  e.score = score;
  if (v->entries.len == VOCABULARY_MAX || v->text.len + len >= MAX_TEXT || (v->entries.len * 2 >= v->mask && !grow(v)))
    return VOCABULARY_NONE;
  v->text.max = MAX_TEXT;
  buf_add(&v->text, text, len);
  buf_addc(&v->text, '\0');
  if (!buf_ok(&v->text) || !VEC_PUSH(&v->entries, e))
    return VOCABULARY_NONE;
  v->slots[slot_of(v, v->text.data + e.at, len, e.hash)] = (uint32_t)v->entries.len;
  v->longest = e.len > v->longest ? e.len : v->longest;
  return (uint32_t)v->entries.len - 1;
}
