#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max) {
  memset(b, 0, sizeof(*b));
  b->max = max;
}

void buf_fini(struct buf *b) {
  free(b->data);
  memset(b, 0, sizeof(*b));
}

void buf_clear(struct buf *b) {
  b->len = 0;
  b->failed = false;
  if (b->data)
    b->data[0] = '\0';
}

/* Makes room for EXTRA bytes and the final NUL. */
static bool reserve(struct buf *b, size_t extra) {
  size_t max = b->max ? b->max : BUF_DEFAULT_MAX;
  size_t cap = b->cap ? b->cap : 64;
  char *data;

  if (b->failed)
    return false;
  if (extra > max || b->len > max - extra) {
    b->failed = true;
    return false;
  }
  if (b->data && b->len + extra < b->cap)
    return true;
  while (cap <= b->len + extra)
    cap *= 2;
  data = realloc(b->data, cap);
  if (!data) {
    b->failed = true;
    return false;
  }
  b->data = data;
  b->cap = cap;
  return true;
}

void buf_add(struct buf *b, const void *data, size_t len) {
  if (!reserve(b, len))
    return;
  if (len)
    memcpy(b->data + b->len, data, len);
  b->len += len;
  b->data[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *s) {
  if (s)
    buf_add(b, s, strlen(s));
}

void buf_addc(struct buf *b, char c) {
  buf_add(b, &c, 1);
}

void buf_vaddf(struct buf *b, const char *fmt, va_list ap) {
  va_list again;
  int n;

  va_copy(again, ap);
  n = vsnprintf(NULL, 0, fmt, again);
  va_end(again);
  if (n < 0)
    b->failed = true;
  if (n < 0 || !reserve(b, (size_t)n))
    return;
  (void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
  b->len += (size_t)n;
}

void buf_addf(struct buf *b, const char *fmt, ...) {
  va_list ap;

  va_start(ap, fmt);
  buf_vaddf(b, fmt, ap);
  va_end(ap);
}

void buf_truncate(struct buf *b, size_t len) {
  if (len >= b->len)
    return;
  b->len = len;
  b->data[len] = '\0';
}

bool buf_ok(const struct buf *b) {
  return !b->failed;
}

const char *buf_str(const struct buf *b) {
  return b->data ? b->data : "";
}

char *buf_take(struct buf *b) {
  char *data;

  if (!b->data)
    buf_add(b, "", 0);
  if (b->failed) {
    buf_fini(b);
    return NULL;
  }
  data = b->data;
  b->data = NULL;
  b->len = b->cap = 0;
  return data;
}
