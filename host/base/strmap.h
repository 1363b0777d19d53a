/* A map from strings to pointers, insertion-ordered, on json-c's hash table (seeded against crafted keys). */
#ifndef HOST_BASE_STRMAP_H
#define HOST_BASE_STRMAP_H

#include "base/cleanup.h"

#include <json-c/linkhash.h>
#include <stdbool.h>
#include <stddef.h>

struct strmap;

/* FREE_VALUE is called for values removed, replaced or left at the end; NULL: values are borrowed. */
struct strmap *strmap_new(void (*free_value)(void *));
void strmap_free(struct strmap *m);
DEFINE_CLEANUP(struct strmap *, strmap_free)
#define _cleanup_strmap_ _cleanup_(strmap_freep)

void *strmap_get(const struct strmap *m, const char *key);
bool strmap_has(const struct strmap *m, const char *key);
/* Copies KEY; replaces.  False when memory ran out (VALUE stays the caller's). */
bool strmap_put(struct strmap *m, const char *key, void *value);
bool strmap_del(struct strmap *m, const char *key);   /* whether it was there */
void *strmap_take(struct strmap *m, const char *key); /* removes without freeing; NULL: absent */
size_t strmap_len(const struct strmap *m);

/* for (struct strmap_iter it = strmap_first(m); it.key; strmap_next(&it)).  Removing the current key is allowed. */
struct strmap_iter {
  const char *key;
  void *value;
  struct lh_entry *next_;
};
struct strmap_iter strmap_first(const struct strmap *m);
void strmap_next(struct strmap_iter *it);

#endif
