/* Files and directories.  Blocking; any thread; symbolic links are not followed in the last component of what is
 * written. */
#ifndef HOST_OS_FILE_H
#define HOST_OS_FILE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The whole file, NUL-terminated, new; more than MAX bytes is OME_E_INVALID.  "-" is standard input. */
int32_t file_read(const char *path, size_t max, char **out, size_t *out_len, struct ome_err *err);

/* Replaces PATH durably: temporary file beside it, fsync, rename, fsync of the folder.  A reader sees old or new. */
int32_t file_write(const char *path, const void *data, size_t len, mode_t mode, struct ome_err *err);

bool file_exists(const char *path);
int32_t dir_make(const char *path, mode_t mode, struct ome_err *err); /* with parents; existing is fine */
/* The file system that PATH is on, or would be made on. */
int32_t path_device(const char *path, dev_t *out, struct ome_err *err);
int32_t dir_sync(const char *path, struct ome_err *err);    /* fsync of a folder */
int32_t tree_remove(const char *path, struct ome_err *err); /* rm -rf, never through a link; absent is fine */

/* DIR/NAME, new. */
char *path_join(const char *dir, const char *name);

/* Whether NAME is a relative path that stays below its root: no "..", no empty or "." part, no control character. */
bool path_is_safe(const char *name);

/* N random bytes from the kernel. */
void random_bytes(void *out, size_t n);
void random_hex(char *out, size_t digits); /* DIGITS+1 bytes are written */
/* Lower-case version-4 UUID, RFC 4122. */
void random_uuid(char out[37]);

#endif
