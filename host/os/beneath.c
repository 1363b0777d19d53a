#include "os/beneath.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "os/file.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define COPY_PIECE ((size_t)1 << 20)

/* Opens PART of LEN bytes in the folder DIR. */
static int open_part(int dir, const char *part, size_t len, bool make) {
  char name[256];

  if (len >= sizeof(name)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(name, part, len);
  name[len] = '\0';
  if (make && mkdirat(dir, name, 0755) != 0 && errno != EEXIST)
    return -1;
  return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The folder of the first LEN bytes of PATH, part by part. */
static int walk_to(int root, const char *path, size_t len, bool make) {
  int dir = fcntl(root, F_DUPFD_CLOEXEC, 0);

  for (const char *part = path; dir >= 0 && part < path + len;) {
    size_t n = strcspn(part, "/");
    int next = open_part(dir, part, n, make);
    closep(&dir);
    dir = next;
    part += n + 1;
  }
  return dir;
}

/* The same by openat2(2), where the kernel itself sees that no part of it is a link, also of those that somebody
 * changes meanwhile; -1 and errno. */
static int jump_to(int root, const char *path, size_t len) {
  const struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                               .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
  char folder[PATH_MAX];

  if (len >= sizeof(folder)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(folder, path, len);
  folder[len] = '\0';
  return (int)syscall(SYS_openat2, root, folder, &how, sizeof(how));
}

static int open_folder(int root, const char *path, size_t len, bool make) {
  int dir = len ? jump_to(root, path, len) : fcntl(root, F_DUPFD_CLOEXEC, 0);

  if (dir >= 0 || errno == ELOOP || errno == ENOTDIR || (errno == ENOENT && !make))
    return dir;
  return walk_to(root, path, len, make); /* there is something to make, or no openat2: Linux before 5.6, a sandbox */
}

int32_t beneath_parent(int root, const char *path, bool make, int *out, const char **name, struct ome_err *err) {
  const char *last = strrchr(path, '/');

  if (!path_is_safe(path))
    return fail(err, OME_E_INVALID, "open: %.200s: the path does not stay in its folder", path);
  int dir = open_folder(root, path, last ? (size_t)(last - path) : 0, make);
  if (dir < 0 && (errno == ELOOP || errno == ENOTDIR))
    return fail(err, OME_E_EXISTS, "open: %.200s: a link or a file is where a folder should be; remove it", path);
  if (dir < 0)
    return fail_errno(err, "open", path);
  *out = dir;
  *name = last ? last + 1 : path;
  return OME_OK;
}

int beneath_open(int root, const char *path, int flags) {
  struct ome_err err = ERR_INIT;
  _cleanup_close_ int dir = -1;
  const char *name;
  struct stat st;

  if (beneath_parent(root, path, false, &dir, &name, &err) != OME_OK)
    return -1;
  int fd = openat(dir, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
    (void)close(fd);
    errno = EINVAL;
    return -1;
  }
  return fd;
}

static int32_t write_piece(int to, const char *data, size_t len, const char *name, struct ome_err *err) {
  while (len) {
    ssize_t n = TEMP_FAILURE_RETRY(write(to, data, len));
    if (n < 0)
      return fail_errno(err, "copy", name);
    data += n;
    len -= (size_t)n;
  }
  return OME_OK;
}

/* What two file systems have no better way for. */
static int32_t copy_by_hand(int from, int to, const char *name, struct ome_err *err) {
  _cleanup_free_ char *piece = malloc(COPY_PIECE);
  int32_t rc = piece ? OME_OK : fail_memory(err);

  while (rc == OME_OK) {
    ssize_t n = TEMP_FAILURE_RETRY(read(from, piece, COPY_PIECE));
    if (n < 0)
      return fail_errno(err, "copy", name);
    if (n == 0)
      break;
    rc = write_piece(to, piece, (size_t)n, name, err);
  }
  return rc;
}

static int32_t copy_bytes(int from, int to, const char *name, struct ome_err *err) {
  int32_t rc = ioctl(to, FICLONE, from) == 0 ? OME_OK : copy_by_hand(from, to, name, err);
  struct stat st;

  if (rc != OME_OK)
    return rc;
  if (fstat(from, &st) != 0 || fchmod(to, st.st_mode & 0777) != 0)
    return fail_errno(err, "copy", name);
  const struct timespec times[] = {{0, UTIME_OMIT}, st.st_mtim};
  return futimens(to, times) == 0 && fsync(to) == 0 ? OME_OK : fail_errno(err, "copy", name);
}

int32_t beneath_place(int from, const char *from_name, int to, const char *to_name, bool link, const char *name,
                      struct ome_err *err) {
  if (link && linkat(from, from_name, to, to_name, 0) == 0)
    return OME_OK;
  if (link && errno != EXDEV && errno != EMLINK && errno != EPERM && errno != ENOTSUP)
    return fail_errno(err, "link", name);
  _cleanup_close_ int in = openat(from, from_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (in < 0)
    return fail_errno(err, "copy", name);
  _cleanup_close_ int out = openat(to, to_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (out < 0)
    return fail_errno(err, "copy", name);
  int32_t rc = copy_bytes(in, out, name, err);
  if (rc != OME_OK)
    (void)unlinkat(to, to_name, 0);
  return rc;
}
