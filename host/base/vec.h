/* A typed growing array.  VEC(struct x) v = {0}; VEC_PUSH(&v, item); v.items[i]; VEC_FREE(&v). */
#ifndef HOST_BASE_VEC_H
#define HOST_BASE_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define VEC(type)                                                                                                      \
  struct {                                                                                                             \
    type *items;                                                                                                       \
    size_t len, cap;                                                                                                   \
  }

/* Grows *ITEMS so that one more element of SIZE fits.  False when memory ran out; nothing changed then. */
static inline bool vec_reserve_(void **items, size_t *cap, size_t len, size_t size) {
  if (len < *cap)
    return true;
  size_t n = *cap ? *cap * 2 : 8;
  void *grown = reallocarray(*items, n, size);
  if (!grown)
    return false;
  *items = grown;
  *cap = n;
  return true;
}

/* True when ITEM was appended. */
#define VEC_PUSH(v, item)                                                                                              \
  (vec_reserve_((void **)&(v)->items, &(v)->cap, (v)->len, sizeof(*(v)->items))                                        \
       ? ((v)->items[(v)->len++] = (item), true)                                                                       \
       : false)

#define VEC_REMOVE(v, i)                                                                                               \
  (memmove(&(v)->items[i], &(v)->items[(i) + 1], ((v)->len - (i)-1) * sizeof(*(v)->items)), (v)->len--)

#define VEC_FREE(v) (free((v)->items), (v)->items = NULL, (v)->len = (v)->cap = 0)

#endif
