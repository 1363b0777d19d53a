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
  struct digest_pair digests;
};

struct repository {
  char *name, *dir;
  char commit[41];
  time_t changed;              /* of the file that changed last */
  VEC(struct repo_file) files; /* by path */
};

/* Reads DIR; what DIGESTS does not know is hashed, which takes its time: STOP (may be NULL) ends it.
 * OME_E_NOT_FOUND when there is no such folder, OME_E_BUSY when a file changes while it is read. */
int32_t repository_read(const char *name, const char *dir, struct digest_cache *digests, const atomic_bool *stop,
                        struct repository **out, struct ome_err *err);
void repository_free(struct repository *r);
const struct repo_file *repository_find(const struct repository *r, const char *path);

#endif
