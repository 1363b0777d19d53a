/* Strings with numbers, found by their bytes: one array, one table of slots, nothing allocated for each. */
#ifndef HOST_TOKENS_VOCABULARY_H
#define HOST_TOKENS_VOCABULARY_H

#include "base/buf.h"
#include "base/vec.h"

#include <stdint.h>

#define VOCABULARY_MAX 4000000u
#define VOCABULARY_NONE UINT32_MAX

struct vocabulary_entry {
  uint32_t at, len; /* in TEXT */
  uint32_t hash;
  double score; /* of Unigram */
};

struct vocabulary {
  struct buf text; /* each with a NUL behind it */
  VEC(struct vocabulary_entry) entries;
  uint32_t *slots; /* an entry's number and 1; 0: free */
  uint32_t mask;   /* slots less 1 */
  uint32_t longest;
};

void vocabulary_fini(struct vocabulary *v);
/* The number that it has in V: entries count from 0, whatever the file calls them.  One that is there keeps its number.
 * VOCABULARY_NONE: memory ran out, or there are too many. */
uint32_t vocabulary_add(struct vocabulary *v, const char *text, size_t len, double score);
uint32_t vocabulary_find(const struct vocabulary *v, const char *text, size_t len);

/* For beginnings of one text, each a byte longer than the last: HASH starts as VOCABULARY_HASH. */
#define VOCABULARY_HASH 2166136261u
static inline uint32_t vocabulary_hash(uint32_t hash, char c) {
  return (hash ^ (unsigned char)c) * 16777619u; /* FNV-1a */
}
uint32_t vocabulary_find_hashed(const struct vocabulary *v, const char *text, size_t len, uint32_t hash);

#endif
