/* Content digests, streamed: SHA-256 always, and the one that the backend knows beside it. */
#ifndef HOST_TRANSFER_DIGEST_H
#define HOST_TRANSFER_DIGEST_H

#include "base/cleanup.h"
#include "transfer/manifest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct digests;

/* Of the content of F, whose size is known.  NULL: out of memory. */
struct digests *digests_new(const struct manifest_file *f);
void digests_add(struct digests *d, const void *data, size_t len);
/* Lower-case hex; WANTED is that of F's digest type.  SUMS (may be NULL) gets the checksums of the pieces, the caller's
 * to release.  D is left to be freed. */
void digests_end(struct digests *d, char sha256[65], char wanted[65], struct sums *sums);
void digests_free(struct digests *d);
DEFINE_CLEANUP(struct digests *, digests_free)

/* Whether hex digits of LEN can be a digest of TYPE with parts of PART_BYTES each. */
bool digest_is_possible(uint32_t type, uint64_t part_bytes, size_t hex_len);

/* OME_E_CORRUPT with both digests where WANTED is not what F lists; F may list none. */
int32_t digest_compare(const struct manifest_file *f, const char *wanted, struct ome_err *err);

/* Reads the content of F from FD; STOP (may be NULL) is asked between pieces: OME_E_CANCELLED.  A shorter file is
 * OME_E_CORRUPT. */
int32_t digest_file(int fd, const struct manifest_file *f, bool (*stop)(void *), void *arg, char sha256[65],
                    char wanted[65], struct sums *sums, struct ome_err *err);

#endif
