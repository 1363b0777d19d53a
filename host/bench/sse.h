/* Server-sent events as they arrive (WHATWG HTML, section 9.2): in pieces of any size, lines ended by LF, CR or CRLF.
 */
#ifndef HOST_BENCH_SSE_H
#define HOST_BENCH_SSE_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define SSE_MAX_EVENT ((size_t)1 << 20) /* bytes of one line, and of one event's data */

struct sse {
  struct buf line, data;
  bool after_cr;   /* an LF now belongs to the line before */
  bool has_data;   /* the event has a data field, if an empty one */
  bool begun;      /* past where a byte order mark may stand */
  uint64_t events; /* handed out */
};

void sse_init(struct sse *s);
void sse_fini(struct sse *s);
void sse_reset(struct sse *s); /* for another stream; memory is kept */

/* The data of an event, its lines joined by LF, NUL-terminated, borrowed for the call; false ends the reading. */
typedef bool sse_event_fn(void *arg, const char *data, size_t len);

/* Takes the next bytes.  OME_E_INVALID: a line or event is longer than SSE_MAX_EVENT; OME_E_CANCELLED: EACH said so. */
int32_t sse_feed(struct sse *s, const void *bytes, size_t len, sse_event_fn *each, void *arg, struct ome_err *err);

#endif
