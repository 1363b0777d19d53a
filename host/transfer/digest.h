/* Content digests, streamed (OpenSSL EVP). */
#ifndef HOST_TRANSFER_DIGEST_H
#define HOST_TRANSFER_DIGEST_H

#include "base/err.h"
#include "transfer/sums.h"

#include <ome/storage.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct digests;

/* SHA-256 always, and TYPE (OME_DIGEST_*) of a content of SIZE bytes beside it.  NULL: out of memory. */
struct digests *digests_new(uint32_t type, uint64_t size);
void digests_add(struct digests *d, const void *data, size_t len);
/* Lower-case hex; WANTED is that of TYPE.  SUMS (may be NULL) gets the checksums of the pieces, the caller's to
 * release. Frees D. */
void digests_end(struct digests *d, char sha256[65], char wanted[65], struct sums *sums);

/* Reads SIZE bytes of FD; STOP (may be NULL) is asked between pieces: OME_E_CANCELLED.  A shorter file is
 * OME_E_CORRUPT. */
int32_t digest_file(int fd, const char *name, uint64_t size, uint32_t type, bool (*stop)(void *), void *arg,
                    char sha256[65], char wanted[65], struct sums *sums, struct ome_err *err);

#endif
