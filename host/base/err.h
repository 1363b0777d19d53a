/* Errors: a negative OME_E_* is returned, the sentence for a person is in struct ome_err.
 *
 * The form is "<what>: <object or file>: <why>; <what to do>", without a newline.  A function that fails fills err
 * exactly once; callers add context with fail_prefix() and one place, at the edge, reports it.  err is never NULL. */
#ifndef HOST_BASE_ERR_H
#define HOST_BASE_ERR_H

#include <ome/abi.h>
#include <stdbool.h>

#define ERR_INIT                                                                                                       \
  { 0, 0, "" }

/* Fills ERR with CODE and a formatted sentence; returns CODE.  Too long a sentence is cut with "...". */
int32_t fail(struct ome_err *err, int32_t code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Fills ERR from errno: "<what>: <name>: <strerror>"; the code follows errno (ENOSPC: NO_SPACE, ENOENT: NOT_FOUND...).
 */
int32_t fail_errno(struct ome_err *err, const char *what, const char *name);

/* Puts a formatted context and ": " before the sentence already in ERR; returns its code. */
int32_t fail_prefix(struct ome_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

int32_t fail_memory(struct ome_err *err);

/* Puts "; " and WHAT_TO_DO behind a sentence that does not say yet what to do; returns its code. */
int32_t err_advise(struct ome_err *err, const char *what_to_do);

void err_clear(struct ome_err *err);

/* Whether the same attempt may succeed later without anybody changing anything. */
bool err_retryable(int32_t code);

/* "NotFound", "Denied", ... for status reasons and metrics labels. */
const char *err_name(int32_t code);

#endif
