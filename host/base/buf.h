/* A growing byte string with a bound.  Errors stick: append freely, ask buf_ok() once at the end. */
#ifndef HOST_BASE_BUF_H
#define HOST_BASE_BUF_H

#include "base/cleanup.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
  char *data; /* NUL-terminated when not NULL */
  size_t len;
  size_t cap;
  size_t max;  /* growth beyond this fails; 0: BUF_DEFAULT_MAX */
  bool failed; /* an append did not fit or memory ran out; content is then incomplete */
};

#define BUF_DEFAULT_MAX ((size_t)64 << 20)
#define BUF_INIT                                                                                                       \
  { 0 }

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);  /* frees the content; B may be used again */
void buf_clear(struct buf *b); /* len 0, memory and bound kept, failed reset */

void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *s); /* NULL: nothing */
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

void buf_truncate(struct buf *b, size_t len); /* to at most LEN bytes */

/* Whether everything appended so far is there. */
bool buf_ok(const struct buf *b);

/* The content as a C string, "" when empty; owned by B. */
const char *buf_str(const struct buf *b);

/* Hands the content out (never NULL unless B failed; then NULL); B is empty afterwards. */
char *buf_take(struct buf *b);

#define _cleanup_buf_ _cleanup_(buf_fini)

#endif
