/* storage local: models that are on this machine already ("local:///path", "file:///path").
 *
 * Files are copied through read(); nothing outside the folder is reached: links are not followed. */
#include <ome/storage.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DEPTH 16
#define CHUNK ((size_t)1 << 20)

static int32_t fail(struct ome_err *err, int32_t code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int32_t fail(struct ome_err *err, int32_t code, const char *fmt, ...) {
  va_list ap;

  va_start(ap, fmt);
  (void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
  va_end(ap);
  err->code = code;
  err->retry_after_ms = 0;
  return code;
}

/* The path of a URI of ours; NULL: it is none. */
static const char *path_of(const char *uri) {
  if (strncmp(uri, "local://", 8) == 0)
    return uri + 8;
  return strncmp(uri, "file://", 7) == 0 ? uri + 7 : NULL;
}

static int32_t match(void *self, const char *uri) {
  (void)self;
  return path_of(uri) ? 100 : 0;
}

static int32_t walk(int dirfd, const char *prefix, int depth, struct ome_file_sink *out, struct ome_err *err);

static int32_t push_entry(int dirfd, const char *prefix, const char *name, int depth, struct ome_file_sink *out,
                          struct ome_err *err) {
  char path[1024];
  struct stat st;

  if (snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "/" : "", name) >= (int)sizeof(path))
    return fail(err, OME_E_INVALID, "%s: a path is too long", name);
  if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
    return fail(err, OME_E_NOT_FOUND, "%s: %s", path, strerror(errno));
  if (S_ISDIR(st.st_mode)) {
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? fail(err, OME_E_DENIED, "%s: %s", path, strerror(errno)) : walk(fd, path, depth + 1, out, err);
  }
  if (!S_ISREG(st.st_mode))
    return OME_OK;
  const struct ome_model_file file = {.struct_size = sizeof(file), .path = path, .size = (uint64_t)st.st_size};
  return out->file(out, &file);
}

/* Takes DIRFD. */
static int32_t walk(int dirfd, const char *prefix, int depth, struct ome_file_sink *out, struct ome_err *err) {
  DIR *dir = fdopendir(dirfd);
  int32_t rc = OME_OK;

  if (!dir) {
    (void)close(dirfd);
    return fail(err, OME_E_NO_MEMORY, "out of memory");
  }
  if (depth > MAX_DEPTH)
    rc = fail(err, OME_E_INVALID, "%s: folders are nested too deeply", prefix);
  for (struct dirent *e; rc == OME_OK && (e = readdir(dir));)
    if (e->d_name[0] != '.')
      rc = push_entry(dirfd, prefix, e->d_name, depth, out, err);
  (void)closedir(dir);
  return rc;
}

static int32_t list(void *self, const struct ome_call *call, const struct ome_model_ref *ref, struct ome_file_sink *out,
                    struct ome_err *err) {
  const char *path = path_of(ref->uri);
  int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

  (void)self;
  (void)call;
  if (fd < 0)
    return fail(err, OME_E_NOT_FOUND, "%.300s: %s", ref->uri, path ? strerror(errno) : "not a local URI");
  return walk(fd, "", 0, out, err);
}

static int32_t read_file(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                         const struct ome_model_file *file, uint64_t offset, uint64_t len, struct ome_byte_sink *out,
                         struct ome_err *err) {
  const char *path = path_of(ref->uri);
  int dir = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  int fd = dir >= 0 ? openat(dir, file->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
  char *chunk = malloc(CHUNK);
  int32_t rc = OME_OK;

  (void)self;
  if (fd < 0 || !chunk)
    rc = fail(err, chunk ? OME_E_NOT_FOUND : OME_E_NO_MEMORY, "%.200s: %s", file->path, strerror(errno));
  while (rc == OME_OK && len) {
    ssize_t n = pread(fd, chunk, len < CHUNK ? (size_t)len : CHUNK, (off_t)offset);
    if (OME_HAS(ome_call, call, cancelled) && call->cancelled(call))
      rc = fail(err, OME_E_CANCELLED, "cancelled");
    else if (n <= 0)
      rc = fail(err, OME_E_UNAVAILABLE, "%.200s: %s", file->path, n ? strerror(errno) : "shorter than it was");
    else
      rc = out->write(out, chunk, (uint64_t)n);
    if (n > 0) {
      offset += (uint64_t)n;
      len -= (uint64_t)n;
    }
  }
  free(chunk);
  if (fd >= 0)
    (void)close(fd);
  if (dir >= 0)
    (void)close(dir);
  return rc;
}

static const struct ome_storage_ops ops = {
    .struct_size = sizeof(ops),
    .match = match,
    .list = list,
    .read = read_file,
};
static const struct ome_factory factory = {
    .struct_size = sizeof(factory),
    .threads = OME_THREADS_PARALLEL,
    .kind = OME_KIND_STORAGE,
    .name = "local",
    .ops = &ops,
};
static const struct ome_factory *const factories[] = {&factory, NULL};
static const struct ome_plugin plugin = {
    .struct_size = sizeof(plugin),
    .abi_epoch = OME_ABI_EPOCH,
    .abi_minor = OME_ABI_MINOR,
    .name = "storage-local",
    .version = OME_VERSION,
    .license = "Apache-2.0",
    .summary = "Models in folders of this machine",
    .factories = factories,
};

const struct ome_plugin *ome_plugin_v1(void) {
  return &plugin;
}
