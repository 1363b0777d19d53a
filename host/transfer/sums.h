/* A fast checksum (XXH3, 64 bits) of each piece of a file.  The file's SHA-256 says whether it is damaged, these say
 * where, so that no more than the damaged pieces is fetched again. */
#ifndef HOST_TRANSFER_SUMS_H
#define HOST_TRANSFER_SUMS_H

#include "base/vec.h"

#include <stdint.h>

#define SUMS_PIECE ((uint64_t)4 << 20)

struct sums {
  VEC(uint64_t) list; /* of the pieces that are over; the last after sums_end() */
  void *state;
  uint64_t at;
  bool failed; /* memory ran out: LIST is of no use */
};

void sums_add(struct sums *s, const void *data, size_t len);
void sums_end(struct sums *s); /* nothing is added after it */
void sums_fini(struct sums *s);

#endif
