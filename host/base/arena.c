#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK ((size_t)8192)
#define DEFAULT_MAX ((size_t)64 << 20)

struct arena_block {
  struct arena_block *next;
  size_t len, cap;
  alignas(max_align_t) char data[];
};

void arena_fini(struct arena *a) {
  while (a->blocks) {
    struct arena_block *b = a->blocks;
    a->blocks = b->next;
    free(b);
  }
  *a = (struct arena){.max = a->max};
}

static struct arena_block *grow(struct arena *a, size_t size) {
  size_t cap = size > BLOCK ? size : BLOCK;
  struct arena_block *b = calloc(1, sizeof(*b) + cap);

  if (!b)
    return NULL;
  b->cap = cap;
  b->next = a->blocks;
  a->blocks = b;
  return b;
}

void *arena_new(struct arena *a, size_t size) {
  size_t max = a->max ? a->max : DEFAULT_MAX;

  if (a->failed || size > max - a->used) {
    a->failed = true;
    return NULL;
  }
  size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
  struct arena_block *b = a->blocks;
  if (!b || b->cap - b->len < size)
    b = grow(a, size);
  if (!b) {
    a->failed = true;
    return NULL;
  }
  void *p = b->data + b->len;
  b->len += size;
  a->used += size;
  return p;
}

char *arena_copy(struct arena *a, const char *text, size_t len) {
  char *p = len < SIZE_MAX ? arena_new(a, len + 1) : NULL;

  if (p && len)
    memcpy(p, text, len);
  return p;
}
