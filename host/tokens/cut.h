/* Looks into a large JSON document without a tree: a vocabulary of 256,000 tokens would be one of 100 MiB.  Values are
 * cut out as they stand; what is read of them is checked when it is read. */
#ifndef HOST_TOKENS_CUT_H
#define HOST_TOKENS_CUT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

struct cut { /* a part of a document, borrowed */
  const char *text;
  size_t len;
};

/* Each member of the object (NAME as in the text, without quotes) or element of the array (NAME is empty) that OF is;
 * false ends it.  Answers whether OF is one and was gone through to its end. */
typedef bool cut_fn(void *arg, struct cut name, struct cut value);
bool cut_each(struct cut of, cut_fn *each, void *arg);

/* The member NAME of the object OF; empty: there is none. */
struct cut cut_get(struct cut of, const char *name);

bool cut_is(struct cut value, char first); /* '{', '[', '"' */
bool cut_is_null(struct cut value);        /* or absent */
/* A whole number from 0 to MAX. */
bool cut_number(struct cut value, unsigned long max, unsigned long *out);

/* Appends what the inside of a JSON string says; halves of surrogate pairs without the other become U+FFFD.  False: a
 * bad escape. */
bool cut_unescape(const char *text, size_t len, struct buf *out);
/* The string that VALUE is, over what OUT had. */
bool cut_string(struct cut value, struct buf *out);

#endif
