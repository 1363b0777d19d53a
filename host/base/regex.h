/* Regular expressions on PCRE2, which knows RE2's syntax and more.  Time and memory of a match are bounded: expressions
 * and subjects come from outside. */
#ifndef HOST_BASE_REGEX_H
#define HOST_BASE_REGEX_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct regex;

/* OME_E_INVALID says where PATTERN (UTF-8, LEN bytes) is wrong. */
int32_t regex_new(const char *pattern, size_t len, struct regex **out, struct ome_err *err);
/* The same, with the \w, \d, \s, \b and classes of Unicode, for expressions that are matched often: they are compiled
 * to machine code where the processor has that. */
int32_t regex_new_unicode(const char *pattern, size_t len, struct regex **out, struct ome_err *err);
void regex_free(struct regex *re);
DEFINE_CLEANUP(struct regex *, regex_free)

/* Makes a match that takes more than STEPS of PCRE2 an error, where the usual million is too many. */
void regex_limit(struct regex *re, unsigned steps);

struct regex_match {
  bool found;
  size_t begin, end; /* where, [begin, end) */
};

/* Looks for the first match in TEXT from byte AT on.  OME_E_INVALID: the match takes too long, or TEXT is no UTF-8.
 * [any-thread] */
int32_t regex_find(const struct regex *re, const char *text, size_t len, size_t at, struct regex_match *out,
                   struct ome_err *err);

/* Tells EACH of every match in TEXT that is not empty, in order.  Errors as above; what was told until then holds. */
typedef void regex_match_fn(void *arg, size_t begin, size_t end);
int32_t regex_each(const struct regex *re, const char *text, size_t len, regex_match_fn *each, void *arg,
                   struct ome_err *err);

/* For patterns of our own that are used once: whether PATTERN is found in TEXT; false also where that cannot be told.
 */
bool regex_matches(const char *pattern, const char *text);

#endif
