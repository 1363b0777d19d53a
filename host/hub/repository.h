/* The files of one repository, with digests. */
#ifndef HOST_HUB_REPOSITORY_H
#define HOST_HUB_REPOSITORY_H

#include "base/err.h"
#include "base/vec.h"
#include "hub/digest_cache.h"

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

struct repo_file {
  char *path;
  uint64_t size;
  struct timespec changed;
  ino_t inode;
  struct digest_pair digests; /* SHA1 is git's, which of a file of LFS is that of its pointer */
};

/* Whether the hub would have it in LFS: by its name, or its size. */
bool repo_file_is_lfs(const struct repo_file *f);

struct repository {
  char *name, *place; /* PLACE: where whoever reads it finds the files */
  char commit[41];
  time_t changed;              /* of the file that changed last */
  VEC(struct repo_file) files; /* by path */
};

/* Reads DIR; what DIGESTS does not know is hashed, which takes its time: STOP (may be NULL) ends it.
 * OME_E_NOT_FOUND when there is no such folder, OME_E_BUSY when a file changes while it is read. */
int32_t repository_read(const char *name, const char *dir, struct digest_cache *digests, const atomic_bool *stop,
                        struct repository **out, struct ome_err *err);
/* One to be filled by repository_add() and ended by repository_finish(); NULL: out of memory. */
struct repository *repository_new(const char *name, const char *place);
/* Copies F; false: out of memory. */
bool repository_add(struct repository *r, const struct repo_file *f);
/* Orders the files, and names what can be told from their digests: git's ids of files of LFS, and the commit, unless it
 * is set, as a digest of names, sizes and contents. */
int32_t repository_finish(struct repository *r, struct ome_err *err);
/* The digests of FD, SIZE bytes that are called WHAT, as DIGESTS knows them or by reading it. */
int32_t repository_digest(int fd, const char *what, struct digest_cache *digests, const atomic_bool *stop,
                          struct digest_pair *out, struct stat *st, struct ome_err *err);
void repository_free(struct repository *r);
DEFINE_CLEANUP(struct repository *, repository_free)
const struct repo_file *repository_find(const struct repository *r, const char *path);

#endif
