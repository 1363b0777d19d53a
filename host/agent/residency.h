/* Which models make room for another one.  Pure. */
#ifndef HOST_AGENT_RESIDENCY_H
#define HOST_AGENT_RESIDENCY_H

#include "base/err.h"
#include "base/vec.h"

#include <stddef.h>

/* Bytes that models may share. */
struct residency_content {
  const char *id;
  uint64_t bytes;
};

/* Why a model stays. */
enum {
  RESIDENT_REFERENCED = 1, /* a service names it, or a pod of this node uses it */
  RESIDENT_PINNED = 2,     /* it says so */
  RESIDENT_RESERVED = 4,   /* its files are to outlive it */
  RESIDENT_FOREIGN = 8,    /* not brought by the agent */
};

struct resident {
  const char *key;
  const struct residency_content *contents;
  size_t ncontents;
  uint64_t used;  /* when it was used last, in any measure that grows */
  unsigned stays; /* RESIDENT_*; 0: it may go */
  bool leaving;   /* was asked to go before */
};

struct residency_limits { /* bytes */
  uint64_t capacity;      /* never more */
  uint64_t high, low;     /* above HIGH models go until LOW is reached, as far as there are some that may */
};

enum residency_verdict {
  RESIDENCY_FITS,
  RESIDENCY_EVICT,  /* it fits when those that are named have gone */
  RESIDENCY_WAIT,   /* what is in the way may not go now */
  RESIDENCY_REFUSE, /* it is larger than the store */
};

struct residency_decision {
  enum residency_verdict verdict;
  VEC(size_t) evict; /* into the residents, in the order of going */
  uint64_t used;     /* distinct bytes of all residents */
  uint64_t staying;  /* of those that may not go */
  char why[300];     /* WAIT, REFUSE: with numbers */
};
void residency_fini(struct residency_decision *d);
#define _cleanup_residency_ _cleanup_(residency_fini)

/* PERCENT_HIGH and PERCENT_LOW of CAPACITY; a low one above the high one is the high one. */
struct residency_limits residency_limits_of(uint64_t capacity, unsigned percent_high, unsigned percent_low);

/* Room for NEED bytes beside MODELS and COMING bytes that were promised to others: those that may go do so in the order
 * of their last use, those that were asked already first; one whose bytes all belong to models that stay does not, for
 * that would free nothing.  Out of memory is the one error. */
int32_t residency_decide(const struct residency_limits *limits, const struct resident *models, size_t n,
                         uint64_t coming, uint64_t need, struct residency_decision *out, struct ome_err *err);

#endif
