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
#define LFS_FROM 1048576u /* bytes from which a file counts as one of LFS, as .gguf and others always do */

void repository_free(struct repository *r) {
  if (!r)
    return;
  for (size_t i = 0; i < r->files.len; i++)
    free(r->files.items[i].path);
  VEC_FREE(&r->files);
  free(r->name);
  free(r->place);
  free(r);
}

struct repository *repository_new(const char *name, const char *place) {
  struct repository *r = calloc(1, sizeof(*r));

  if (!r)
    return NULL;
  r->name = strdup(name);
  r->place = strdup(place);
  if (r->name && r->place)
    return r;
  repository_free(r);
  return NULL;
}

bool repository_add(struct repository *r, const struct repo_file *f) {
  struct repo_file copy = *f;

  copy.path = strdup(f->path);
  if (copy.path && VEC_PUSH(&r->files, copy))
    return true;
  free(copy.path);
  return false;
}

bool repo_file_is_lfs(const struct repo_file *f) {
  return f->size >= LFS_FROM || has_suffix(f->path, ".gguf") || has_suffix(f->path, ".safetensors") ||
         has_suffix(f->path, ".bin");
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
  const struct repo_file f = {.path = path, .size = (uint64_t)st.st_size, .changed = st.st_mtim, .inode = st.st_ino};
  return repository_add(r, &f) ? OME_OK : fail_memory(err);
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

/* Git's id of "blob SIZE", a NUL and what follows. */
static bool begin_blob(EVP_MD_CTX *sha1, uint64_t size) {
  char head[32];
  int n = snprintf(head, sizeof(head), "blob %llu", (unsigned long long)size);

  return EVP_DigestInit_ex(sha1, EVP_sha1(), NULL) == 1 && EVP_DigestUpdate(sha1, head, (size_t)n + 1) == 1;
}

static int32_t hash(int fd, const char *what, uint64_t size, const atomic_bool *stop, struct digest_pair *out,
                    struct ome_err *err) {
  _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *sha256 = EVP_MD_CTX_new();
  _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *sha1 = EVP_MD_CTX_new();
  _cleanup_free_ uint8_t *chunk = malloc(CHUNK);

  if (!sha256 || !sha1 || !chunk || EVP_DigestInit_ex(sha256, EVP_sha256(), NULL) != 1 || !begin_blob(sha1, size))
    return fail_memory(err);
  for (ssize_t got; (got = TEMP_FAILURE_RETRY(read(fd, chunk, CHUNK))) != 0;) {
    if (got < 0)
      return fail_errno(err, "read", what);
    if (stop && atomic_load(stop))
      return fail(err, OME_E_CANCELLED, "%s: stopped", what);
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

int32_t repository_digest(int fd, const char *what, struct digest_cache *digests, const atomic_bool *stop,
                          struct digest_pair *out, struct stat *st, struct ome_err *err) {
  struct stat after;

  if (fstat(fd, st) != 0)
    return fail_errno(err, "read", what);
  const struct digest_pair *known = digest_cache_find(digests, st);
  if (known) {
    *out = *known;
    return OME_OK;
  }
  int32_t rc = hash(fd, what, (uint64_t)st->st_size, stop, out, err);
  if (rc != OME_OK)
    return rc;
  if (fstat(fd, &after) != 0 || !is_same(st, &after))
    return fail(err, OME_E_BUSY, "%s: it is being written; try again when that is over", what);
  digest_cache_keep(digests, st, out);
  return OME_OK;
}

/* The digests of each file as it is now, which its entry is made to say. */
static int32_t digest_all(struct repository *r, struct digest_cache *digests, const atomic_bool *stop,
                          struct ome_err *err) {
  for (size_t i = 0; i < r->files.len; i++) {
    struct repo_file *f = &r->files.items[i];
    _cleanup_free_ char *path = path_join(r->place, f->path);
    _cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    struct stat st;
    if (fd < 0)
      return fail_errno(err, "read", f->path);
    int32_t rc = repository_digest(fd, f->path, digests, stop, &f->digests, &st, err);
    if (rc != OME_OK)
      return rc;
    f->size = (uint64_t)st.st_size;
    f->changed = st.st_mtim;
    f->inode = st.st_ino;
  }
  return OME_OK;
}

/* ---- what follows from digests ----------------------------------------------------------------------------------- */

/* What git has of a file of LFS is a text that stands for it (git-lfs, docs/spec.md). */
static bool name_pointer(EVP_MD_CTX *sha1, struct repo_file *f) {
  char text[160];
  int n = snprintf(text, sizeof(text), "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %llu\n",
                   f->digests.sha256, (unsigned long long)f->size);

  if (!begin_blob(sha1, (uint64_t)n) || EVP_DigestUpdate(sha1, text, (size_t)n) != 1)
    return false;
  finish(sha1, f->digests.sha1);
  return true;
}

static bool name_commit(EVP_MD_CTX *sha1, struct repository *r) {
  if (EVP_DigestInit_ex(sha1, EVP_sha1(), NULL) != 1)
    return false;
  for (size_t i = 0; i < r->files.len; i++) {
    const struct repo_file *f = &r->files.items[i];
    (void)EVP_DigestUpdate(sha1, f->path, strlen(f->path) + 1);
    (void)EVP_DigestUpdate(sha1, f->digests.sha256, sizeof(f->digests.sha256));
  }
  finish(sha1, r->commit);
  return true;
}

int32_t repository_finish(struct repository *r, struct ome_err *err) {
  _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *sha1 = EVP_MD_CTX_new();
  bool ok = sha1 != NULL;

  if (r->files.len)
    qsort(r->files.items, r->files.len, sizeof(*r->files.items), by_path);
  for (size_t i = 0; ok && i < r->files.len; i++) {
    struct repo_file *f = &r->files.items[i];
    ok = !repo_file_is_lfs(f) || name_pointer(sha1, f);
    if (r->changed < f->changed.tv_sec)
      r->changed = f->changed.tv_sec;
  }
  ok = ok && (*r->commit || name_commit(sha1, r));
  return ok ? OME_OK : fail_memory(err);
}

/* ---- a folder ---------------------------------------------------------------------------------------------------- */

int32_t repository_read(const char *name, const char *dir, struct digest_cache *digests, const atomic_bool *stop,
                        struct repository **out, struct ome_err *err) {
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  if (fd < 0)
    return fail(err, OME_E_NOT_FOUND, "%s: there is no such repository", name);
  _cleanup_(repository_freep) struct repository *r = repository_new(name, dir);
  if (!r) {
    (void)close(fd);
    return fail_memory(err);
  }
  int32_t rc = walk(r, fd, "", 0, err);
  if (rc == OME_OK)
    rc = digest_all(r, digests, stop, err);
  if (rc == OME_OK)
    rc = repository_finish(r, err);
  if (rc == OME_OK)
    *out = TAKE_PTR(r);
  return rc;
}
