/* The files of one repository, with digests. */
#ifndef HOST_HUB_REPOSITORY_H
#define HOST_HUB_REPOSITORY_H

#include "base/err.h"
#include "base/vec.h"

#include <stdint.h>
#include <time.h>

struct repo_file {
  char *path;
  uint64_t size;
  struct timespec changed;
  char sha256[65];
  char sha1[41]; /* git's */
};

struct repository {
  char *name, *dir;
  char commit[41];
  VEC(struct repo_file) files; /* by path */
};

/* Reads DIR; digests are taken over from OLD (may be NULL) for files that did not change.  OME_E_NOT_FOUND when there
 * is no such folder. */
int32_t repository_read(const char *name, const char *dir, const struct repository *old, struct repository **out,
                        struct ome_err *err);
void repository_free(struct repository *r);
const struct repo_file *repository_find(const struct repository *r, const char *path);

#endif
