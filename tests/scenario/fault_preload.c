/* Preloaded into a program under test: one call on a file below $FAULT_DIR fails, or the wall clock jumps.
 *
 *   FAULT=pwrite:3:28   the third pwrite() fails with errno 28; calls that never come are no failure
 *   FAULT_HIT=F         F is made when it has failed
 *   FAULT_CLOCK=86400   each look at the wall clock is a day before or after the one before
 *   FAULT_CLOCK_FILE=F  it is wrong by as many seconds as F says at the time */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define REAL(type, name) ((type)(uintptr_t)dlsym(RTLD_NEXT, name))

static int is_below(const char *path) {
  const char *dir = getenv("FAULT_DIR");

  return dir && strncmp(path, dir, strlen(dir)) == 0;
}

static int is_ours(int fd) {
  char link[40], path[4096];

  (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof(path) - 1);
  path[n > 0 ? n : 0] = '\0';
  return is_below(path);
}

/* Whether this call of NAME is the one that fails; errno is set then. */
static int fails(const char *name) {
  static atomic_long calls;
  const char *fault = getenv("FAULT");
  char wanted[32];
  long number;
  int code;

  if (!fault || sscanf(fault, "%31[^:]:%ld:%d", wanted, &number, &code) != 3 || strcmp(wanted, name) != 0 ||
      atomic_fetch_add(&calls, 1) + 1 != number)
    return 0;
  const char *hit = getenv("FAULT_HIT");
  if (hit)
    (void)close((int)syscall(SYS_openat, AT_FDCWD, hit, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  errno = code;
  return 1;
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t len, off_t at) {
  typedef ssize_t (*fn)(int, const void *, size_t, off_t);
  return is_ours(fd) && fails("pwrite") ? -1 : REAL(fn, "pwrite64")(fd, data, len, at);
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t len, off_t at) {
  return pwrite(fd, data, len, at);
}

EXPORT ssize_t write(int fd, const void *data, size_t len) {
  typedef ssize_t (*fn)(int, const void *, size_t);
  return is_ours(fd) && fails("write") ? -1 : REAL(fn, "write")(fd, data, len);
}

EXPORT int fallocate(int fd, int mode, off_t at, off_t len) {
  typedef int (*fn)(int, int, off_t, off_t);
  return is_ours(fd) && fails("fallocate") ? -1 : REAL(fn, "fallocate64")(fd, mode, at, len);
}

EXPORT int ftruncate(int fd, off_t len) {
  typedef int (*fn)(int, off_t);
  return is_ours(fd) && fails("ftruncate") ? -1 : REAL(fn, "ftruncate64")(fd, len);
}

EXPORT int fdatasync(int fd) {
  typedef int (*fn)(int);
  return is_ours(fd) && fails("fdatasync") ? -1 : REAL(fn, "fdatasync")(fd);
}

EXPORT int fsync(int fd) {
  typedef int (*fn)(int);
  return is_ours(fd) && fails("fsync") ? -1 : REAL(fn, "fsync")(fd);
}

EXPORT int mkdir(const char *path, mode_t mode) {
  typedef int (*fn)(const char *, mode_t);
  return is_below(path) && fails("mkdir") ? -1 : REAL(fn, "mkdir")(path, mode);
}

EXPORT int mkdirat(int dir, const char *name, mode_t mode) {
  typedef int (*fn)(int, const char *, mode_t);
  return is_ours(dir) && fails("mkdirat") ? -1 : REAL(fn, "mkdirat")(dir, name, mode);
}

EXPORT int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
  typedef int (*fn)(int, const char *, int, const char *, int);
  return is_ours(to_dir) && fails("linkat") ? -1 : REAL(fn, "linkat")(from_dir, from, to_dir, to, flags);
}

EXPORT int renameat(int from_dir, const char *from, int to_dir, const char *to) {
  typedef int (*fn)(int, const char *, int, const char *);
  return is_ours(to_dir) && fails("renameat") ? -1 : REAL(fn, "renameat")(from_dir, from, to_dir, to);
}

EXPORT int syncfs(int fd) {
  typedef int (*fn)(int);
  return is_ours(fd) && fails("syncfs") ? -1 : REAL(fn, "syncfs")(fd);
}

EXPORT int rename(const char *from, const char *to) {
  typedef int (*fn)(const char *, const char *);
  return is_below(to) && fails("rename") ? -1 : REAL(fn, "rename")(from, to);
}

EXPORT int open(const char *path, int flags, ...) {
  typedef int (*fn)(const char *, int, ...);
  va_list ap;
  va_start(ap, flags);
  mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
  va_end(ap);
  return flags & O_CREAT && is_below(path) && fails("open") ? -1 : REAL(fn, "open64")(path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...) {
  va_list ap;
  va_start(ap, flags);
  mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
  va_end(ap);
  return open(path, flags, mode);
}

EXPORT int openat(int dir, const char *name, int flags, ...) {
  typedef int (*fn)(int, const char *, int, ...);
  va_list ap;
  va_start(ap, flags);
  mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
  va_end(ap);
  return flags & O_CREAT && is_ours(dir) && fails("openat") ? -1 : REAL(fn, "openat64")(dir, name, flags, mode);
}

EXPORT int openat64(int dir, const char *name, int flags, ...) {
  va_list ap;
  va_start(ap, flags);
  mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
  va_end(ap);
  return openat(dir, name, flags, mode);
}

/* By how much the wall clock is wrong. */
static long clock_error(void) {
  static atomic_int turn;
  const char *jump = getenv("FAULT_CLOCK");
  const char *path = getenv("FAULT_CLOCK_FILE");
  char text[32] = "0";

  if (jump)
    return atomic_fetch_add(&turn, 1) % 2 ? atol(jump) : -atol(jump);
  int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0)
    return 0;
  ssize_t n = read(fd, text, sizeof(text) - 1);
  text[n > 0 ? n : 0] = '\0';
  (void)close(fd);
  return atol(text);
}

EXPORT int clock_gettime(clockid_t clock, struct timespec *out) {
  long rc = syscall(SYS_clock_gettime, clock, out); /* a sanitizer asks before it knows where others are */

  if (rc == 0 && clock == CLOCK_REALTIME)
    out->tv_sec += clock_error();
  return (int)rc;
}
