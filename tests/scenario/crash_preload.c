/* Preloaded into a program under test: it is killed, as by the kernel, right before its call number $CRASH_AT that
 * changes what is on disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static void count(void) {
  static atomic_long calls;
  const char *at = getenv("CRASH_AT");

  if (at && atomic_fetch_add(&calls, 1) + 1 == atol(at))
    (void)kill(getpid(), SIGKILL);
}

static void count_file(int fd) {
  struct stat st;

  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
    count();
}

/* TYPE NAME(PARAMS), which is handed on as NAME(ARGS). */
#define CALL(type, name, params, args)                                                                                 \
  EXPORT type name params;                                                                                             \
  EXPORT type name params {                                                                                            \
    typedef type(*fn) params;                                                                                          \
    count();                                                                                                           \
    return ((fn)(uintptr_t)dlsym(RTLD_NEXT, #name))args;                                                               \
  }
#define CALL_FD(type, name, params, args)                                                                              \
  EXPORT type name params;                                                                                             \
  EXPORT type name params {                                                                                            \
    typedef type(*fn) params;                                                                                          \
    count_file(fd);                                                                                                    \
    return ((fn)(uintptr_t)dlsym(RTLD_NEXT, #name))args;                                                               \
  }

CALL(int, rename, (const char *from, const char *to), (from, to))
CALL(int, renameat, (int from, const char *name, int to, const char *new_name), (from, name, to, new_name))
CALL(int, linkat, (int from, const char *name, int to, const char *new_name, int flags),
     (from, name, to, new_name, flags))
CALL(int, unlink, (const char *path), (path))
CALL(int, unlinkat, (int dir, const char *name, int flags), (dir, name, flags))
CALL(int, rmdir, (const char *path), (path))
CALL(int, mkdir, (const char *path, mode_t mode), (path, mode))
CALL(int, mkdirat, (int dir, const char *name, mode_t mode), (dir, name, mode))
CALL(int, chmod, (const char *path, mode_t mode), (path, mode))
CALL(int, fchmod, (int fd, mode_t mode), (fd, mode))
CALL(int, truncate, (const char *path, off_t len), (path, len))
CALL(int, ftruncate, (int fd, off_t len), (fd, len))
CALL(int, fsync, (int fd), (fd))
CALL(int, fdatasync, (int fd), (fd))
CALL(int, futimens, (int fd, const struct timespec times[2]), (fd, times))
CALL(int, utimensat, (int dir, const char *name, const struct timespec times[2], int flags), (dir, name, times, flags))
CALL(int, flock, (int fd, int how), (fd, how))
CALL_FD(ssize_t, write, (int fd, const void *data, size_t len), (fd, data, len))
CALL_FD(ssize_t, pwrite, (int fd, const void *data, size_t len, off_t at), (fd, data, len, at))
