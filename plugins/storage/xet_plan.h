/* How to put part of a file together from xorbs: the answer of GET /v2/reconstructions/HASH and of its predecessor /v1
 * (Xet protocol specification 1.1, "CAS API"). */
#ifndef PLUGINS_STORAGE_XET_PLAN_H
#define PLUGINS_STORAGE_XET_PLAN_H

#include <stddef.h>
#include <stdint.h>

#define XET_HASH 65 /* hexadecimal and NUL */

struct xet_range { /* chunks [start, end) of a xorb are bytes [first, last] of url */
  char hash[XET_HASH];
  uint32_t start, end;
  uint64_t first, last;
  char *url;
};

struct xet_term { /* chunks [start, end) of the range, UNPACKED bytes together */
  const struct xet_range *range;
  uint32_t start, end;
  uint64_t unpacked;
};

struct xet_plan {
  uint64_t skip; /* bytes of the first term before what was asked for */
  size_t nterms, nranges;
  struct xet_term *terms;
  struct xet_range *ranges;
};

int xet_is_hash(const char *text);

/* Reads TEXT of LEN bytes into P, the caller's to end.  NULL: done; else what is wrong, and P is empty. */
const char *xet_plan_read(const char *text, size_t len, struct xet_plan *p);
void xet_plan_fini(struct xet_plan *p);

#endif
