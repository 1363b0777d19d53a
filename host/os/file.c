#include "os/file.h"

#include "base/buf.h"
#include "base/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

int32_t file_read(const char *path, size_t max, char **out, size_t *out_len, struct ome_err *err) {
  _cleanup_close_ int opened = -1;
  struct buf b;
  int fd = STDIN_FILENO;

  if (!streq(path, "-")) {
    fd = opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
      return fail_errno(err, "read", path);
  }
  buf_init(&b, max);
  for (;;) {
    char chunk[65536];
    ssize_t n = TEMP_FAILURE_RETRY(read(fd, chunk, sizeof(chunk)));
    if (n < 0) {
      buf_fini(&b);
      return fail_errno(err, "read", path);
    }
    if (n == 0)
      break;
    buf_add(&b, chunk, (size_t)n);
    if (!buf_ok(&b)) {
      buf_fini(&b);
      return fail(err, OME_E_INVALID, "read: %s: longer than the %zu bytes allowed", path, max);
    }
  }
  size_t len = b.len;
  *out = buf_take(&b);
  if (!*out)
    return fail_memory(err);
  if (out_len)
    *out_len = len;
  return OME_OK;
}

/* The folder part of PATH, new. */
static char *folder_of(const char *path) {
  const char *slash = strrchr(path, '/');

  if (!slash)
    return strdup(".");
  return slash == path ? strdup("/") : str_copy(path, (size_t)(slash - path));
}

static int32_t write_all(int fd, const char *path, const char *data, size_t len, struct ome_err *err) {
  while (len) {
    ssize_t n = TEMP_FAILURE_RETRY(write(fd, data, len));
    if (n < 0)
      return fail_errno(err, "write", path);
    data += n;
    len -= (size_t)n;
  }
  return OME_OK;
}

int32_t dir_sync(const char *path, struct ome_err *err) {
  _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  return fd >= 0 && fsync(fd) == 0 ? OME_OK : fail_errno(err, "sync", path);
}

int32_t file_write(const char *path, const void *data, size_t len, mode_t mode, struct ome_err *err) {
  char salt[9];
  _cleanup_free_ char *dir = folder_of(path);

  random_hex(salt, 8);
  _cleanup_free_ char *tmp = str_printf("%s.%s.tmp", path, salt);
  if (!dir || !tmp)
    return fail_memory(err);
  _cleanup_close_ int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (fd < 0)
    return fail_errno(err, "write", path);
  int32_t rc = write_all(fd, path, data, len, err);
  if (rc == OME_OK && fsync(fd) != 0)
    rc = fail_errno(err, "sync", path);
  if (rc == OME_OK && rename(tmp, path) != 0)
    rc = fail_errno(err, "rename", path);
  if (rc != OME_OK) {
    (void)unlink(tmp);
    return rc;
  }
  return dir_sync(dir, err);
}

bool file_exists(const char *path) {
  return access(path, F_OK) == 0;
}

int32_t dir_make(const char *path, mode_t mode, struct ome_err *err) {
  _cleanup_free_ char *copy = strdup(path);

  if (!copy)
    return fail_memory(err);
  for (char *p = copy + 1;; p++) {
    if (*p && *p != '/')
      continue;
    char end = *p;
    *p = '\0';
    if (mkdir(copy, mode) != 0 && errno != EEXIST)
      return fail_errno(err, "make folder", path);
    *p = end;
    if (!end)
      break;
  }
  struct stat st;
  if (stat(path, &st) != 0)
    return fail_errno(err, "make folder", path);
  if (!S_ISDIR(st.st_mode))
    return fail(err, OME_E_EXISTS, "make folder: %s: a file has that name", path);
  return OME_OK;
}

int32_t path_device(const char *path, dev_t *out, struct ome_err *err) {
  _cleanup_free_ char *folder = strdup(path);
  struct stat st;

  while (folder && stat(folder, &st) != 0) {
    if (errno != ENOENT || streq(folder, ".") || streq(folder, "/"))
      return fail_errno(err, "look at", path);
    char *up = folder_of(folder);
    free(folder);
    folder = up;
  }
  if (!folder)
    return fail_memory(err);
  *out = st.st_dev;
  return OME_OK;
}

static int32_t remove_at(int dirfd, const char *name, const char *path, int depth, struct ome_err *err);

static int32_t remove_entries(int dirfd, const char *path, int depth, struct ome_err *err) {
  DIR *dir = fdopendir(dirfd);
  int32_t rc = OME_OK;

  if (!dir) {
    (void)close(dirfd);
    return fail_errno(err, "remove", path);
  }
  for (struct dirent *e; rc == OME_OK && (e = readdir(dir));)
    if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
      rc = remove_at(dirfd, e->d_name, path, depth + 1, err);
  (void)closedir(dir);
  return rc;
}

static int32_t remove_at(int dirfd, const char *name, const char *path, int depth, struct ome_err *err) {
  if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
    return OME_OK;
  if (errno != EISDIR && errno != EPERM)
    return fail_errno(err, "remove", path);
  if (depth > 256)
    return fail(err, OME_E_INVALID, "remove: %s: nested too deeply", path);
  int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return fail_errno(err, "remove", path);
  int32_t rc = remove_entries(fd, path, depth, err);
  if (rc == OME_OK && unlinkat(dirfd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
    rc = fail_errno(err, "remove", path);
  return rc;
}

int32_t tree_remove(const char *path, struct ome_err *err) {
  return remove_at(AT_FDCWD, path, path, 0, err);
}

char *path_join(const char *dir, const char *name) {
  return str_printf("%s%s%s", dir, has_suffix(dir, "/") ? "" : "/", name);
}

static bool has_control(const char *s) {
  for (; *s; s++)
    if ((unsigned char)*s < ' ' || *s == 0x7f || *s == '\\')
      return true;
  return false;
}

static bool is_dots(const char *part, size_t n) {
  return (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.');
}

bool path_is_safe(const char *name) {
  if (!name || !*name || strlen(name) > 1024 || has_control(name))
    return false;
  for (const char *part = name;;) {
    size_t n = strcspn(part, "/");
    if (n == 0 || n > 255 || is_dots(part, n))
      return false;
    if (!part[n])
      return true;
    part += n + 1;
  }
}

void random_bytes(void *out, size_t n) {
  uint8_t *p = out;

  while (n) {
    ssize_t got = TEMP_FAILURE_RETRY(getrandom(p, n, 0));
    if (got < 0)
      abort(); /* the kernel has no randomness: nothing that follows would be safe */
    p += got;
    n -= (size_t)got;
  }
}

void random_hex(char *out, size_t digits) {
  static const char hex[] = "0123456789abcdef";

  random_bytes(out, digits);
  for (size_t i = 0; i < digits; i++)
    out[i] = hex[(uint8_t)out[i] & 15];
  out[digits] = '\0';
}

void random_uuid(char out[37]) {
  uint8_t b[16];
  char hex[33];

  random_bytes(b, sizeof(b));
  b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
  b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
  hex_encode(b, sizeof(b), hex);
  (void)snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}
