/* A model's own folder: links to blobs. */
#include "store/internal.h"

#include "base/str.h"
#include "os/beneath.h"
#include "os/file.h"

#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* ---- the place --------------------------------------------------------------------------------------------------- */

int32_t layout_check_place(const struct model_store *s, const struct store_job *job, struct ome_err *err) {
  _cleanup_json_ struct json_object *old = reference_read(s, job->name);
  _cleanup_free_ char *models = path_join(s->root, "models/");
  size_t root = strlen(s->root);

  if (job->path[0] != '/' || !path_is_safe(job->path + 1))
    return fail(err, OME_E_INVALID, "publish: %.200s: is no plain absolute path", job->path);
  if (!models)
    return fail_memory(err);
  if (job->owned && has_prefix(job->path, models)) /* nobody else's */
    return OME_OK;
  if (has_prefix(job->path, s->root) && (job->path[root] == '\0' || job->path[root] == '/'))
    return fail(err, OME_E_INVALID, "publish: %.200s: is inside the store; choose another folder", job->path);
  if (!job->owned || streq(json_str(old, "path", NULL), job->path) || rmdir(job->path) == 0 || errno == ENOENT)
    return OME_OK;
  return fail(err, OME_E_EXISTS,
              "publish: %.200s: is there and was not made by this model; choose another spec.storage.path", job->path);
}

/* Takes out of a folder that is the model's what M does not name. */
static int32_t prune(const char *path, const struct manifest *m, struct ome_err *err) {
  char *const roots[] = {(char *)(uintptr_t)path, NULL};
  FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
  int32_t rc = walk ? OME_OK : fail_errno(err, "prune", path);

  for (FTSENT *e; rc == OME_OK && (e = fts_read(walk)) != NULL;) {
    if (e->fts_info == FTS_D || e->fts_level == 0)
      continue;
    if (e->fts_info == FTS_DP)
      (void)rmdir(e->fts_accpath); /* only what is empty goes */
    else if (!manifest_find(m, e->fts_path + strlen(path) + 1) && unlink(e->fts_accpath) != 0)
      rc = fail_errno(err, "prune", e->fts_path);
  }
  if (walk)
    (void)fts_close(walk);
  return rc;
}

/* Copies take room of their own, and only their number says so: better now than after an hour of fetching. */
int32_t layout_check_room(const struct model_store *s, const struct store_job *job, dev_t *device,
                          struct ome_err *err) {
  uint64_t need = job->manifest->total_bytes;
  struct stat mine;
  struct stat there;
  struct statvfs vfs;
  char wanted[32];
  char room[32];

  int32_t rc = dir_make(job->path, 0755, err);
  if (rc != OME_OK)
    return rc;
  if (stat(s->root, &mine) != 0 || stat(job->path, &there) != 0 || statvfs(job->path, &vfs) != 0)
    return fail_errno(err, "look at", job->path);
  *device = there.st_dev;
  if (mine.st_dev == there.st_dev)
    return OME_OK;
  for (size_t i = 0; i < job->manifest->files.len; i++) { /* what is there is replaced */
    const struct manifest_file *f = &job->manifest->files.items[i];
    _cleanup_free_ char *path = path_join(job->path, f->path);
    struct stat st;
    if (path && lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == f->size)
      need -= f->size;
  }
  uint64_t there_is = (uint64_t)vfs.f_bavail * vfs.f_frsize;
  if (need <= there_is)
    return OME_OK;
  format_bytes(need, wanted);
  format_bytes(there_is, room);
  return fail(
      err, OME_E_NO_SPACE,
      "publish: %.200s: is on another file system than the store, so that its files are copies: needs %s, %s is "
      "free; free some space there or put the store on it",
      job->path, wanted, room);
}

/* ---- one file ---------------------------------------------------------------------------------------------------- */

/* Whether NAME in DIR is the blob, or a copy of it as it was made. */
static bool is_in_place(int blobs, int dir, const char *name, const struct manifest_file *f) {
  char blob[BLOB_NAME_SIZE];
  struct stat mine;
  struct stat there;

  blob_name(f->sha256, blob);
  if (fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) != 0 || fstatat(blobs, blob, &mine, AT_SYMLINK_NOFOLLOW) != 0)
    return false;
  if (mine.st_dev == there.st_dev && mine.st_ino == there.st_ino)
    return true;
  bool apart = mine.st_dev != there.st_dev || there.st_nlink == 1;
  return apart && S_ISREG(there.st_mode) && (uint64_t)there.st_size == f->size && there.st_mtim.tv_sec == BLOB_TIME &&
         there.st_mtim.tv_nsec == 0;
}

/* Puts the blob at NAME in DIR where something else is, or where no link leads. */
static int32_t replace(int blobs, int dir, const char *name, const struct manifest_file *f, struct ome_err *err) {
  char blob[BLOB_NAME_SIZE];
  char digest[65];
  char aside[32];

  sha256_hex(name, strlen(name), digest); /* one that a kill left behind is used again */
  (void)snprintf(aside, sizeof(aside), ".ome-%.16s", digest);
  blob_name(f->sha256, blob);
  (void)unlinkat(dir, aside, 0);
  int32_t rc = beneath_place(blobs, blob, dir, aside, true, f->path, err);
  if (rc == OME_OK && renameat(dir, aside, dir, name) != 0) {
    rc = fail_errno(err, "publish", f->path);
    (void)unlinkat(dir, aside, 0);
  }
  return rc;
}

/* *SURE stays only if F got a name that nothing had. */
static int32_t place(int blobs, int dir, const char *name, const struct manifest_file *f, bool *sure,
                     struct ome_err *err) {
  char blob[BLOB_NAME_SIZE];

  blob_name(f->sha256, blob);
  if (linkat(blobs, blob, dir, name, 0) == 0)
    return OME_OK;
  *sure = false;
  return is_in_place(blobs, dir, name, f) ? OME_OK : replace(blobs, dir, name, f, err);
}

static int32_t sync_fd(int dir, const char *path, struct ome_err *err) {
  return fsync(dir) == 0 ? OME_OK : fail_errno(err, "sync", path);
}

/* Files come ordered by path: those of a folder are beside each other, and it is synced when it is over. */
static int32_t place_all(int blobs, int root, const struct manifest *m, bool *sure, struct ome_err *err) {
  _cleanup_close_ int dir = -1;
  const char *folder = "";
  size_t folder_len = SIZE_MAX;
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < m->files.len; i++) {
    const struct manifest_file *f = &m->files.items[i];
    const char *slash = strrchr(f->path, '/');
    const char *name = slash ? slash + 1 : f->path;
    size_t len = (size_t)(name - f->path);
    if (len != folder_len || strncmp(f->path, folder, len) != 0) {
      if (dir >= 0)
        rc = sync_fd(dir, f->path, err);
      closep(&dir);
      dir = -1;
      if (rc == OME_OK)
        rc = beneath_parent(root, f->path, true, &dir, &name, err);
      folder = f->path;
      folder_len = len;
    }
    if (rc == OME_OK)
      rc = place(blobs, dir, name, f, sure, err);
  }
  return rc == OME_OK && dir >= 0 ? sync_fd(dir, folder, err) : rc;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

/* The first file that is not there as it should be; NULL: none. */
static const char *first_missing(const struct model_store *s, int blobs, int root, const struct manifest *m) {
  for (size_t i = 0; i < m->files.len; i++) {
    const struct manifest_file *f = &m->files.items[i];
    struct ome_err err = ERR_INIT;
    _cleanup_close_ int dir = -1;
    const char *name;
    if (blob_look(s, f->sha256, f->size) != BLOB_GOOD ||
        beneath_parent(root, f->path, false, &dir, &name, &err) != OME_OK || !is_in_place(blobs, dir, name, f))
      return f->path;
  }
  return NULL;
}

/* A file system that is not mounted any more leaves its folder, empty, on the one below. */
static int32_t check_device(const char *path, dev_t device, struct ome_err *err) {
  dev_t now;
  int32_t rc = path_device(path, &now, err);

  if (rc != OME_OK || now == device)
    return rc;
  return fail(err, OME_E_UNAVAILABLE,
              "publish: %.200s: is on another file system than when this began; mount its disk again", path);
}

int32_t layout_make(const struct model_store *s, const struct store_job *job, dev_t device, struct ome_err *err) {
  _cleanup_close_ int blobs = -1;
  bool sure = true; /* no name took the place of another */
  int32_t rc = check_device(job->path, device, err);

  if (rc == OME_OK)
    rc = dir_make(job->path, 0755, err);
  if (rc != OME_OK)
    return rc;
  _cleanup_close_ int root = open(job->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (root < 0)
    return fail_errno(err, "open", job->path);
  if (job->owned)
    rc = prune(job->path, job->manifest, err);
  if (rc == OME_OK)
    rc = blobs_open(s, &blobs, err);
  if (rc == OME_OK)
    rc = place_all(blobs, root, job->manifest, &sure, err);
  const char *missing = rc == OME_OK && !sure ? first_missing(s, blobs, root, job->manifest) : NULL;
  if (missing)
    return fail(
        err, OME_E_INVALID,
        "publish: %.200s: is not what was put there; use a file system for %.160s that tells upper from lower case",
        missing, job->path);
  return rc;
}

bool layout_is_whole(const struct model_store *s, const char *path, const struct manifest *m) {
  _cleanup_close_ int root = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  _cleanup_close_ int blobs = -1;
  struct ome_err err = ERR_INIT;

  return root >= 0 && blobs_open(s, &blobs, &err) == OME_OK && first_missing(s, blobs, root, m) == NULL;
}

int32_t layout_drop(const struct model_store *s, const char *path, const struct manifest *old,
                    const struct manifest *now, struct ome_err *err) {
  _cleanup_close_ int root = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  _cleanup_close_ int blobs = -1;
  struct ome_err absent = ERR_INIT;

  if (root < 0)
    return fail_errno(err, "open", path);
  int32_t rc = blobs_open(s, &blobs, err);
  if (rc != OME_OK)
    return rc;
  for (size_t i = 0; i < old->files.len; i++) {
    const struct manifest_file *f = &old->files.items[i];
    _cleanup_close_ int dir = -1;
    const char *name;
    if (manifest_find(now, f->path) || beneath_parent(root, f->path, false, &dir, &name, &absent) != OME_OK ||
        !is_in_place(blobs, dir, name, f))
      continue;
    if (unlinkat(dir, name, 0) != 0)
      return fail_errno(err, "remove", f->path);
  }
  return OME_OK;
}
