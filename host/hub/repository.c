#include "hub/repository.h"

#include "base/str.h"
#include "os/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CHUNK ((size_t)1 << 20)
#define MAX_DEPTH 16
#define MAX_FILES 100000u

void repository_free(struct repository *r) {
  if (!r)
    return;
  for (size_t i = 0; i < r->files.len; i++)
    free(r->files.items[i].path);
  VEC_FREE(&r->files);
  free(r->name);
  free(r->dir);
  free(r);
}

static int by_path(const void *a, const void *b) {
  return strcmp(((const struct repo_file *)a)->path, ((const struct repo_file *)b)->path);
}

const struct repo_file *repository_find(const struct repository *r, const char *path) {
  const struct repo_file key = {.path = (char *)(uintptr_t)path};

  return r->files.len ? bsearch(&key, r->files.items, r->files.len, sizeof(key), by_path) : NULL;
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static int32_t walk(struct repository *r, int dirfd, const char *prefix, int depth, struct ome_err *err);

static int32_t add(struct repository *r, int dirfd, const char *prefix, const char *name, int depth,
                   struct ome_err *err) {
  _cleanup_free_ char *path = str_printf("%s%s%s", prefix, *prefix ? "/" : "", name);
  struct stat st;

  if (!path)
    return fail_memory(err);
  if (fstatat(dirfd, name, &st, 0) != 0)
    return OME_OK; /* gone between two calls */
  if (S_ISDIR(st.st_mode)) {
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? fail_errno(err, "read", path) : walk(r, fd, path, depth + 1, err);
  }
  if (!S_ISREG(st.st_mode) || !path_is_safe(path) || r->files.len >= MAX_FILES)
    return OME_OK;
  struct repo_file f = {
      .path = TAKE_PTR(path), .size = (uint64_t)st.st_size, .changed = st.st_mtim, .inode = st.st_ino};
  if (VEC_PUSH(&r->files, f))
    return OME_OK;
  free(f.path);
  return fail_memory(err);
}

/* Takes DIRFD. */
static int32_t walk(struct repository *r, int dirfd, const char *prefix, int depth, struct ome_err *err) {
  DIR *dir = depth <= MAX_DEPTH ? fdopendir(dirfd) : NULL;
  int32_t rc = OME_OK;

  if (!dir) {
    (void)close(dirfd);
    return depth > MAX_DEPTH ? fail(err, OME_E_INVALID, "%s: nested too deeply", prefix) : fail_memory(err);
  }
  for (struct dirent *e; rc == OME_OK && (e = readdir(dir));)
    if (e->d_name[0] != '.')
      rc = add(r, dirfd, prefix, e->d_name, depth, err);
  (void)closedir(dir);
  return rc;
}

/* ---- digests ---------------------------------------------------------------------------------------------------- */

DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)

static void finish(EVP_MD_CTX *ctx, char *hex) {
  uint8_t sum[EVP_MAX_MD_SIZE];
  unsigned len = 0;

  (void)EVP_DigestFinal_ex(ctx, sum, &len);
  hex_encode(sum, len, hex);
}

/* What one reading of a repository works with. */
struct reading {
  struct repository *r;
  struct digest_cache *digests;
  const atomic_bool *stop; /* may be NULL */
};

static int32_t hash(const struct reading *of, int fd, const struct repo_file *f, struct digest_pair *out,
                    struct ome_err *err) {
  _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *sha256 = EVP_MD_CTX_new();
  _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *sha1 = EVP_MD_CTX_new();
  _cleanup_free_ uint8_t *chunk = malloc(CHUNK);
  char head[32];

  if (!sha256 || !sha1 || !chunk || EVP_DigestInit_ex(sha256, EVP_sha256(), NULL) != 1 ||
      EVP_DigestInit_ex(sha1, EVP_sha1(), NULL) != 1)
    return fail_memory(err);
  int n = snprintf(head, sizeof(head), "blob %llu", (unsigned long long)f->size);
  (void)EVP_DigestUpdate(sha1, head, (size_t)n + 1);
  for (ssize_t got; (got = TEMP_FAILURE_RETRY(read(fd, chunk, CHUNK))) != 0;) {
    if (got < 0)
      return fail_errno(err, "read", f->path);
    if (of->stop && atomic_load(of->stop))
      return fail(err, OME_E_CANCELLED, "%s: stopped", f->path);
    (void)EVP_DigestUpdate(sha256, chunk, (size_t)got);
    (void)EVP_DigestUpdate(sha1, chunk, (size_t)got);
  }
  finish(sha256, out->sha256);
  finish(sha1, out->sha1);
  return OME_OK;
}

static bool is_same(const struct stat *a, const struct stat *b) {
  return a->st_size == b->st_size && a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* The digests of F as it is now, which its entry is made to say. */
static int32_t digest(const struct reading *of, struct repo_file *f, struct ome_err *err) {
  _cleanup_free_ char *path = path_join(of->r->dir, f->path);
  _cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
  struct stat before, after;
  struct digest_pair pair;

  if (fd < 0 || fstat(fd, &before) != 0)
    return fail_errno(err, "read", f->path);
  f->size = (uint64_t)before.st_size;
  f->changed = before.st_mtim;
  f->inode = before.st_ino;
  const struct digest_pair *known = digest_cache_find(of->digests, &before);
  if (known) {
    f->digests = *known;
    return OME_OK;
  }
  int32_t rc = hash(of, fd, f, &pair, err);
  if (rc != OME_OK)
    return rc;
  if (fstat(fd, &after) != 0 || !is_same(&before, &after))
    return fail(err, OME_E_BUSY, "%s: it is being written; try again when that is over", f->path);
  f->digests = pair;
  digest_cache_keep(of->digests, &before, &pair);
  return OME_OK;
}

static int32_t digest_all(const struct reading *of, struct ome_err *err) {
  _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  struct repository *r = of->r;

  if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) != 1)
    return fail_memory(err);
  for (size_t i = 0; i < r->files.len; i++) {
    struct repo_file *f = &r->files.items[i];
    int32_t rc = digest(of, f, err);
    if (rc != OME_OK)
      return rc;
    if (r->changed < f->changed.tv_sec)
      r->changed = f->changed.tv_sec;
    (void)EVP_DigestUpdate(ctx, f->path, strlen(f->path) + 1);
    (void)EVP_DigestUpdate(ctx, f->digests.sha256, sizeof(f->digests.sha256));
  }
  finish(ctx, r->commit);
  return OME_OK;
}

int32_t repository_read(const char *name, const char *dir, struct digest_cache *digests, const atomic_bool *stop,
                        struct repository **out, struct ome_err *err) {
  struct repository *r = calloc(1, sizeof(*r));
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int32_t rc;

  if (fd < 0) {
    free(r);
    return fail(err, OME_E_NOT_FOUND, "%s: there is no such repository", name);
  }
  if (!r) {
    (void)close(fd);
    return fail_memory(err);
  }
  r->name = strdup(name);
  r->dir = strdup(dir);
  rc = walk(r, fd, "", 0, err);
  if (rc == OME_OK && r->files.len)
    qsort(r->files.items, r->files.len, sizeof(*r->files.items), by_path);
  if (rc == OME_OK)
    rc = digest_all(&(struct reading){r, digests, stop}, err);
  if (rc != OME_OK) {
    repository_free(r);
    return rc;
  }
  *out = r;
  return OME_OK;
}
