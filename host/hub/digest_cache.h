/* The digests of files that were read once, kept in a file across restarts: a model of 100 GB is hashed when it is new
 * and never again.  An entry stands for one state of one file: device, inode, size, times of content and of inode.
 *
 * Not locked: one thread at a time.  Several processes may share the file: each appends whole lines. */
#ifndef HOST_HUB_DIGEST_CACHE_H
#define HOST_HUB_DIGEST_CACHE_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stdbool.h>
#include <sys/stat.h>

struct digest_cache;

struct digest_pair {
  char sha256[65];
  char sha1[41]; /* git's: of "blob SIZE\0" and the content */
};

/* Reads PATH, which need not exist; NULL: nothing is kept beyond the process.  Lines that make no sense are passed
 * over: their files are hashed again. */
int32_t digest_cache_open(const char *path, struct digest_cache **out, struct ome_err *err);
void digest_cache_free(struct digest_cache *d);
DEFINE_CLEANUP(struct digest_cache *, digest_cache_free)

/* NULL: not known. */
const struct digest_pair *digest_cache_find(const struct digest_cache *d, const struct stat *st);
/* Failing to keep is no failure: the file is hashed again another time.  A file that changed in the last two seconds
 * is not kept, because it may change again without its times telling. */
void digest_cache_keep(struct digest_cache *d, const struct stat *st, const struct digest_pair *pair);

#endif
