/* Reads JSON (RFC 8259) without building a tree: an event of a stream is looked at a hundred thousand times a second,
 * and two of its members matter.  Strict but for UTF-8, which nobody here looks at. */
#ifndef HOST_BENCH_SCAN_H
#define HOST_BENCH_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#define SCAN_PATH 128
#define SCAN_MAX_DEPTH 64

enum scan_type { SCAN_NULL, SCAN_BOOL, SCAN_NUMBER, SCAN_STRING, SCAN_OBJECT, SCAN_ARRAY };

/* A scalar, or the beginning of an object or array.  PATH is as in "choices.0.delta.content"; one that does not fit is
 * cut, and then matches nothing.  TEXT is as it stands in the document: strings without quotes, escapes unresolved. */
typedef void scan_fn(void *arg, const char *path, enum scan_type type, const char *text, size_t len);

/* False: not exactly one JSON value, or deeper than SCAN_MAX_DEPTH. */
bool scan_json(const char *text, size_t len, scan_fn *each, void *arg);

#endif
