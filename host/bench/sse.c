#include "bench/sse.h"

#include <string.h>

void sse_init(struct sse *s) {
  memset(s, 0, sizeof(*s));
  buf_init(&s->line, SSE_MAX_EVENT);
  buf_init(&s->data, SSE_MAX_EVENT);
}

void sse_fini(struct sse *s) {
  buf_fini(&s->line);
  buf_fini(&s->data);
}

void sse_reset(struct sse *s) {
  buf_clear(&s->line);
  buf_clear(&s->data);
  s->after_cr = s->has_data = s->begun = false;
  s->events = 0;
}

/* An empty line: what was gathered is an event, if it has data. */
static bool dispatch(struct sse *s, sse_event_fn *each, void *arg) {
  bool go_on = true;

  if (s->has_data) {
    s->events++;
    go_on = each(arg, buf_str(&s->data), s->data.len);
  }
  s->has_data = false;
  buf_clear(&s->data);
  return go_on;
}

/* "field: value"; only data matters here.  A colon in front is a comment, other fields are the client's to ignore. */
static void take_field(struct sse *s, const char *line, size_t len) {
  static const char bom[] = "\xef\xbb\xbf";

  if (!s->begun && len >= 3 && memcmp(line, bom, 3) == 0) {
    line += 3;
    len -= 3;
  }
  s->begun = true;
  if (len < 4 || memcmp(line, "data", 4) != 0 || (len > 4 && line[4] != ':'))
    return;
  size_t at = len > 4 ? 5 : 4;
  at += at < len && line[at] == ' ';
  if (s->has_data)
    buf_addc(&s->data, '\n');
  s->has_data = true;
  buf_add(&s->data, line + at, len - at);
}

/* The line is whole: PIECE is its last part, often all of it. */
static bool end_line(struct sse *s, const char *piece, size_t len, sse_event_fn *each, void *arg) {
  bool go_on = true;

  if (s->line.len) {
    buf_add(&s->line, piece, len);
    take_field(s, buf_str(&s->line), s->line.len);
    buf_clear(&s->line);
  } else if (len) {
    take_field(s, piece, len);
  } else {
    go_on = dispatch(s, each, arg);
  }
  return go_on;
}

int32_t sse_feed(struct sse *s, const void *bytes, size_t len, sse_event_fn *each, void *arg, struct ome_err *err) {
  const char *p = bytes;
  const char *end = p + len;

  while (p < end) {
    if (s->after_cr) {
      s->after_cr = false;
      if (*p == '\n' && ++p == end)
        break;
    }
    const char *stop = p;
    while (stop < end && *stop != '\n' && *stop != '\r')
      stop++;
    if (stop == end) {
      buf_add(&s->line, p, (size_t)(end - p));
      p = end;
    } else {
      s->after_cr = *stop == '\r';
      if (s->line.len + (size_t)(stop - p) > SSE_MAX_EVENT)
        s->line.failed = true;
      else if (!end_line(s, p, (size_t)(stop - p), each, arg))
        return fail(err, OME_E_CANCELLED, "event stream: ended by its reader");
      p = stop + 1;
    }
    if (!buf_ok(&s->line) || !buf_ok(&s->data))
      return fail(err, OME_E_INVALID, "event stream: an event is longer than %zu bytes", SSE_MAX_EVENT);
  }
  return OME_OK;
}
