/* Files below a folder, never reached through a link, so that no name leads out: by openat2(2) with RESOLVE_BENEATH, or
 * one part of their path at a time where the kernel does not have that.
 * Paths are relative and path_is_safe().  [any-thread] */
#ifndef HOST_OS_BENEATH_H
#define HOST_OS_BENEATH_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Opens the folder that PATH's last part is in, below ROOT, into *OUT (the caller's); MAKE creates what is missing.
 * *NAME is the last part, inside PATH.  A link or file in the way is OME_E_EXISTS, a missing folder NOT_FOUND. */
int32_t beneath_parent(int root, const char *path, bool make, int *out, const char **name, struct ome_err *err);

/* Opens the regular file PATH below ROOT with FLAGS (no O_CREAT); -1 and errno when it is not there or is none. */
int beneath_open(int root, const char *path, int flags);

/* FROM_NAME in FROM as TO_NAME in TO, which must not be there: a hard link, else a clone, else a copy that is on stable
 * storage and has FROM's time.  LINK false: never a hard link.  NAME is for messages. */
int32_t beneath_place(int from, const char *from_name, int to, const char *to_name, bool link, const char *name,
                      struct ome_err *err);

#endif
