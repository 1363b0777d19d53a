/* Models in folders of this machine. */
#include "model/internal.h"

#include "base/str.h"
#include "os/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_FILES 100000u
#define MAX_DEPTH 16

struct folder {
  const char *root;
  char *bound; /* the real folder that nothing is read outside of */
  VEC(struct model_file) files;
  char *led_out; /* the first link that leads out of it; NULL: none */
};

static void free_path(const char *path) {
  union {
    const char *in;
    char *out;
  } p = {path};

  free(p.out);
}

/* Whether what FD has open lies below BOUND: asked of what is open, so that nobody can exchange it in between. */
static bool is_within(int fd, const char *bound) {
  char link[64], real[4096];
  size_t n = strlen(bound);

  (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  ssize_t len = readlink(link, real, sizeof(real) - 1);
  if (len <= 0)
    return false;
  real[len] = '\0';
  return strncmp(real, bound, n) == 0 && (real[n] == '/' || (n && bound[n - 1] == '/'));
}

/* A folder of the cache that huggingface_hub keeps has links to files that lie beside it: MODEL/snapshots/REVISION to
 * MODEL/blobs. */
static void widen_to_cache(char *bound) {
  char *revision = strrchr(bound, '/');
  static const char snapshots[] = "/snapshots";
  size_t n = sizeof(snapshots) - 1;

  if (revision && (size_t)(revision - bound) > n && strncmp(revision - n, snapshots, n) == 0)
    *(revision - n) = '\0';
}

static int open_within(const struct folder *f, const char *path) {
  _cleanup_free_ char *full = path_join(f->root, path);
  _cleanup_close_ int fd = full ? open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;

  if (fd < 0)
    return -1;
  if (!is_within(fd, f->bound)) {
    errno = EXDEV;
    return -1;
  }
  return TAKE_FD(fd);
}

static int32_t read_range(void *arg, const char *path, uint64_t offset, void *out, size_t len, struct ome_err *err) {
  const struct folder *f = arg;
  _cleanup_close_ int fd = open_within(f, path);
  size_t have = 0;

  if (fd < 0)
    return fail_errno(err, "open", path);
  while (have < len) {
    ssize_t n = pread(fd, (char *)out + have, len - have, (off_t)(offset + have));
    if (n < 0)
      return fail_errno(err, "read", path);
    if (n == 0)
      return fail(err, OME_E_CORRUPT, "model: %s: is shorter than it was", path);
    have += (size_t)n;
  }
  return OME_OK;
}

static int32_t walk(struct folder *f, const char *below, int depth, struct ome_err *err);

static int32_t add_file(struct folder *f, const char *path, uint64_t size, struct ome_err *err) {
  struct model_file file = {.path = strdup(path), .size = size};

  if (!file.path || !VEC_PUSH(&f->files, file)) {
    free_path(file.path);
    return fail_memory(err);
  }
  return f->files.len <= MAX_FILES ? OME_OK : fail(err, OME_E_INVALID, "model: %s: too many files", f->root);
}

/* Links to folders are not followed: they can make circles, and no model has them. */
static int32_t visit(struct folder *f, const char *path, int depth, struct ome_err *err) {
  _cleanup_free_ char *full = path_join(f->root, path);
  struct stat st;

  if (!full)
    return fail_memory(err);
  if (lstat(full, &st) != 0)
    return OME_OK; /* gone */
  if (S_ISDIR(st.st_mode))
    return depth < MAX_DEPTH ? walk(f, path, depth + 1, err) : OME_OK;
  if (S_ISREG(st.st_mode))
    return add_file(f, path, (uint64_t)st.st_size, err);
  if (!S_ISLNK(st.st_mode) || stat(full, &st) != 0 || !S_ISREG(st.st_mode))
    return OME_OK;
  _cleanup_close_ int fd = open_within(f, path);
  if (fd >= 0 && fstat(fd, &st) == 0)
    return add_file(f, path, (uint64_t)st.st_size, err);
  if (!f->led_out)
    f->led_out = strdup(path);
  return OME_OK;
}

static int32_t walk(struct folder *f, const char *below, int depth, struct ome_err *err) {
  _cleanup_free_ char *full = *below ? path_join(f->root, below) : strdup(f->root);
  struct dirent **names = NULL;
  int n = full ? scandir(full, &names, NULL, alphasort) : -1;
  int32_t rc = n < 0 ? fail_errno(err, "list", full ? full : f->root) : OME_OK;

  for (int i = 0; i < n; i++) {
    _cleanup_free_ char *path = *below ? path_join(below, names[i]->d_name) : strdup(names[i]->d_name);
    if (rc == OME_OK && names[i]->d_name[0] != '.')
      rc = path ? visit(f, path, depth, err) : fail_memory(err);
    free(names[i]);
  }
  free(names);
  return rc;
}

/* PATH's files into F, whose root points into *FOLDER, new. */
static int32_t open_folder(const char *path, struct folder *f, char **folder, struct ome_err *err) {
  struct stat st;

  *folder = realpath(path, NULL);
  if (!*folder || stat(*folder, &st) != 0)
    return fail_errno(err, "inspect", path);
  if (S_ISDIR(st.st_mode)) {
    f->root = *folder;
    f->bound = strdup(*folder);
    if (!f->bound)
      return fail_memory(err);
    widen_to_cache(f->bound);
    return walk(f, "", 0, err);
  }
  if (!S_ISREG(st.st_mode))
    return fail(err, OME_E_INVALID, "inspect: %s: is neither a folder nor a file", path);
  char *slash = strrchr(*folder, '/');
  _cleanup_free_ char *name = strdup(slash + 1);
  slash[slash == *folder] = '\0';
  f->root = *folder;
  f->bound = strdup(*folder);
  return name && f->bound ? add_file(f, name, (uint64_t)st.st_size, err) : fail_memory(err);
}

int32_t model_facts_of_path(const char *path, struct model_facts *out, struct ome_err *err) {
  _cleanup_free_ char *folder = NULL;
  struct folder f = {.root = path};
  int32_t rc = open_folder(path, &f, &folder, err);
  const struct model_source src = {.files = f.files.items, .nfiles = f.files.len, .read = read_range, .arg = &f};

  if (rc == OME_OK && (rc = model_facts_read(&src, out, err)) != OME_OK)
    (void)fail_prefix(err, "%s", path);
  if (rc == OME_OK && f.led_out)
    facts_warn(out, "%.200s is a link that leads out of the folder; it is not read", f.led_out);
  else if (rc == OME_E_NOT_FOUND && f.led_out)
    rc = fail(err, OME_E_DENIED, "model: %s: %.200s is a link that leads out of the folder, which is not followed",
              path, f.led_out);
  for (size_t i = 0; i < f.files.len; i++)
    free_path(f.files.items[i].path);
  VEC_FREE(&f.files);
  free(f.bound);
  free(f.led_out);
  return rc;
}
