/* Models in folders of this machine. */
#include "model/facts.h"

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
  VEC(struct model_file) files;
};

static int32_t read_range(void *arg, const char *path, uint64_t offset, void *out, size_t len, struct ome_err *err) {
  const struct folder *f = arg;
  _cleanup_free_ char *full = *path ? path_join(f->root, path) : strdup(f->root);
  _cleanup_close_ int fd = full ? open(full, O_RDONLY | O_CLOEXEC) : -1;
  size_t have = 0;

  if (!full)
    return fail_memory(err);
  if (fd < 0)
    return fail_errno(err, "open", full);
  while (have < len) {
    ssize_t n = pread(fd, (char *)out + have, len - have, (off_t)(offset + have));
    if (n < 0)
      return fail_errno(err, "read", full);
    if (n == 0)
      return fail(err, OME_E_CORRUPT, "model: %s: is shorter than it was", full);
    have += (size_t)n;
  }
  return OME_OK;
}

static int32_t walk(struct folder *f, const char *below, int depth, struct ome_err *err);

static int32_t visit(struct folder *f, const char *path, int depth, struct ome_err *err) {
  _cleanup_free_ char *full = path_join(f->root, path);
  struct stat st;

  if (!full)
    return fail_memory(err);
  if (stat(full, &st) != 0)
    return OME_OK; /* gone, or a link to nowhere */
  if (S_ISDIR(st.st_mode))
    return depth < MAX_DEPTH ? walk(f, path, depth + 1, err) : OME_OK;
  if (!S_ISREG(st.st_mode))
    return OME_OK;
  struct model_file file = {.path = strdup(path), .size = (uint64_t)st.st_size};
  if (!file.path || !VEC_PUSH(&f->files, file))
    return fail_memory(err);
  return f->files.len <= MAX_FILES ? OME_OK : fail(err, OME_E_INVALID, "model: %s: too many files", f->root);
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

static void free_path(const char *path) {
  union {
    const char *in;
    char *out;
  } p = {path};

  free(p.out);
}

int32_t model_facts_of_path(const char *path, struct model_facts *out, struct ome_err *err) {
  _cleanup_free_ char *folder = strdup(path);
  struct folder f = {.root = path};
  struct stat st;
  int32_t rc = OME_OK;

  if (!folder)
    return fail_memory(err);
  if (stat(path, &st) != 0)
    return fail_errno(err, "inspect", path);
  if (S_ISDIR(st.st_mode)) {
    rc = walk(&f, "", 0, err);
  } else {
    char *slash = strrchr(folder, '/');
    struct model_file file = {.path = strdup(slash ? slash + 1 : path), .size = (uint64_t)st.st_size};
    if (slash)
      slash[slash == folder] = '\0';
    f.root = slash ? folder : ".";
    rc = file.path && VEC_PUSH(&f.files, file) ? OME_OK : fail_memory(err);
  }
  const struct model_source src = {.files = f.files.items, .nfiles = f.files.len, .read = read_range, .arg = &f};
  if (rc == OME_OK && (rc = model_facts_read(&src, out, err)) != OME_OK)
    (void)fail_prefix(err, "%s", path);
  for (size_t i = 0; i < f.files.len; i++)
    free_path(f.files.items[i].path);
  VEC_FREE(&f.files);
  return rc;
}
