/* The root, its lock, and what is asked of one reference. */
#include "store/internal.h"

#include "base/clock.h"
#include "base/str.h"
#include "os/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* ---- root -------------------------------------------------------------------------------------------------------- */

#define MAX_TRIES 1000 /* of others who remove the root as fast as we make it */

static const char *const folders[] = {"blobs", "manifests", "references", "staging"};

static bool has_folders(const char *root) {
  for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
    _cleanup_free_ char *path = path_join(root, folders[i]);
    if (!path || !file_exists(path))
      return false;
  }
  return true;
}

/* Below a ROOT that is there. */
static int32_t make_folders(const char *root, struct ome_err *err) {
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < ARRAY_LEN(folders); i++) {
    _cleanup_free_ char *path = path_join(root, folders[i]);
    if (!path)
      rc = fail_memory(err);
    else if (!file_exists(path))
      rc = dir_make(path, 0755, err);
  }
  return rc;
}

/* Whether FD is what PATH names. */
static bool is_file(int fd, const char *path) {
  struct stat mine;
  struct stat there;

  return fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

/* Whether there is a store where it was opened, or may be one again.  A file system that is not mounted any more leaves
 * its folder, empty, on the one below: what would be fetched anew there is not what that one has room for. */
static int32_t check_device(const struct model_store *s, struct ome_err *err) {
  dev_t now;
  int32_t rc = s->is_open ? path_device(s->root, &now, err) : OME_OK;

  if (rc != OME_OK || !s->is_open || now == s->device)
    return rc;
  return fail(err, OME_E_UNAVAILABLE, "store: %s: is on another file system than it was; mount its disk again",
              s->root);
}

/* Nobody makes anything in a store without its lock, but for the lock itself.  Whoever removes a store has it: one that
 * is on no path any more is not the store's, and who waited for it begins with an empty store. */
int32_t model_store_lock(const struct model_store *s, int *out, struct ome_err *err) {
  _cleanup_free_ char *path = path_join(s->root, "lock");
  int32_t rc = path ? check_device(s, err) : fail_memory(err);

  if (rc != OME_OK)
    return rc;
  for (int tries = 0;; tries++) {
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0 && errno == ENOENT && tries < MAX_TRIES) {
      rc = dir_make(s->root, 0755, err);
      if (rc != OME_OK && rc != OME_E_NOT_FOUND) /* it was removed while it was made */
        return rc;
      err_clear(err);
      continue;
    }
    if (fd < 0 || TEMP_FAILURE_RETRY(flock(fd, LOCK_EX)) != 0)
      return fail_errno(err, "lock", path);
    if (!is_file(fd, path))
      continue;
    *out = TAKE_FD(fd);
    return make_folders(s->root, err);
  }
}

int32_t model_store_open(const char *root, struct model_store **out, struct ome_err *err) {
  _cleanup_(model_store_closep) struct model_store *s = calloc(1, sizeof(*s));
  _cleanup_close_ int lock = -1;

  if (s)
    s->root = strdup(root);
  if (!s || !s->root)
    return fail_memory(err);
  /* What is whole may be read where nothing may be written. */
  char *real = has_folders(root) ? realpath(root, NULL) : NULL;
  if (!real) {
    int32_t rc = model_store_lock(s, &lock, err);
    if (rc != OME_OK)
      return rc;
    real = realpath(root, NULL);
  }
  if (!real)
    return fail_errno(err, "store", root);
  free(s->root);
  s->root = real;
  int32_t rc = path_device(s->root, &s->device, err);
  s->is_open = rc == OME_OK;
  if (rc == OME_OK)
    *out = TAKE_PTR(s);
  return rc;
}

void model_store_close(struct model_store *s) {
  if (!s)
    return;
  free(s->root);
  free(s);
}

const char *model_store_root(const struct model_store *s) {
  return s->root;
}

/* Everything but the lock. */
static int32_t empty_root(const struct model_store *s, struct ome_err *err) {
  DIR *dir = opendir(s->root);
  int32_t rc = dir ? OME_OK : fail_errno(err, "remove", s->root);

  for (struct dirent *e; rc == OME_OK && (e = readdir(dir));) {
    if (streq(e->d_name, ".") || streq(e->d_name, "..") || streq(e->d_name, "lock"))
      continue;
    _cleanup_free_ char *path = path_join(s->root, e->d_name);
    rc = path ? tree_remove(path, err) : fail_memory(err);
  }
  if (dir)
    (void)closedir(dir);
  return rc;
}

/* The lock goes last but for the root: from then on another process may begin the store anew, and its root stays. */
static int32_t remove_root(const struct model_store *s, struct ome_err *err) {
  _cleanup_free_ char *path = path_join(s->root, "lock");
  int32_t rc = path ? empty_root(s, err) : fail_memory(err);

  if (rc != OME_OK)
    return rc;
  if (unlink(path) != 0 && errno != ENOENT)
    return fail_errno(err, "remove", path);
  if (rmdir(s->root) != 0 && errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST)
    return fail_errno(err, "remove", s->root);
  return OME_OK;
}

int32_t model_store_destroy(struct model_store *s, struct ome_err *err) {
  _cleanup_others_ struct others others = {.reserved = 0};
  _cleanup_close_ int lock = -1;
  int32_t rc = model_store_lock(s, &lock, err);

  if (rc == OME_OK)
    rc = others_read_locked(s, NULL, &others, err);
  return rc != OME_OK || others.live.list.len ? rc : remove_root(s, err);
}

/* ---- references -------------------------------------------------------------------------------------------------- */

struct json_object *model_store_find(struct model_store *s, const char *name, const char *uri, const char *path) {
  struct json_object *o = reference_read(s, name);
  _cleanup_manifest_ struct manifest m = {0};

  if (o && json_flag(o, "complete", false) && streq(json_str(o, "uri", ""), uri) &&
      streq(json_str(o, "path", ""), path) && manifest_read(s, json_str(o, "manifest", ""), &m) &&
      layout_is_whole(s, path, &m))
    return o;
  json_unref(o);
  return NULL;
}

struct json_object *model_store_reference(struct model_store *s, const char *name, struct manifest *out) {
  struct json_object *o = reference_read(s, name);

  if (o && out)
    (void)manifest_read(s, json_str(o, "manifest", ""), out);
  return o;
}

int32_t model_store_annotate(struct model_store *s, const char *name, struct json_object *report, struct ome_err *err) {
  _cleanup_json_ struct json_object *o = reference_read(s, name);

  if (!o)
    return fail(err, OME_E_NOT_FOUND, "store: %s: there is no such reference", name);
  if (!json_set(o, "report", json_object_get(report)))
    return fail_memory(err);
  return reference_write(s, name, o, err);
}

void model_store_touch(struct model_store *s, const char *name) {
  _cleanup_free_ char *path = reference_path(s, name);

  if (path)
    (void)utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

bool model_store_holds(struct model_store *s, const char *name) {
  _cleanup_free_ char *reference = reference_path(s, name);
  _cleanup_free_ char *staging = staging_path(s, name, NULL);

  return (reference && file_exists(reference)) || (staging && file_exists(staging));
}

/* What is on disk of NAME, but for its reference O. */
static int32_t remove_files(struct model_store *s, const char *name, struct json_object *o, struct ome_err *err) {
  _cleanup_free_ char *staging = staging_path(s, name, NULL);
  const char *const places[] = {json_str(o, "path", NULL), json_str(o, "previous", NULL)};
  int32_t rc = staging ? OME_OK : fail_memory(err);

  for (size_t i = 0; rc == OME_OK && json_flag(o, "owned", false) && i < ARRAY_LEN(places); i++)
    if (places[i])
      rc = tree_remove(places[i], err);
  return rc == OME_OK ? tree_remove(staging, err) : rc;
}

int32_t model_store_remove(struct model_store *s, const char *name, struct ome_err *err) {
  _cleanup_json_ struct json_object *o = reference_read(s, name);
  _cleanup_free_ char *reference = reference_path(s, name);

  if (!is_name(name))
    return fail(err, OME_E_INVALID, "store: %.100s: is no name", name);
  int32_t rc = reference ? remove_files(s, name, o, err) : fail_memory(err);
  if (rc == OME_OK && unlink(reference) != 0 && errno != ENOENT)
    rc = fail_errno(err, "remove", reference);
  return rc;
}

/* Says so before anything goes: a kill in between leaves a model that is not complete, and is found out as such. */
int32_t model_store_evict(struct model_store *s, const char *name, struct ome_err *err) {
  _cleanup_json_ struct json_object *o = reference_read(s, name);
  char now[TIME_TEXT];

  if (!o || json_at(o, "evicted"))
    return o ? remove_files(s, name, o, err) : OME_OK;
  time_format(wall_ms() / 1000, now);
  (void)json_set_bool(o, "complete", false);
  if (!json_set_str(o, "evicted", now))
    return fail_memory(err);
  json_del(o, "manifest");
  json_del(o, "before");
  json_del(o, "report");
  int32_t rc = reference_write(s, name, o, err);
  return rc == OME_OK ? remove_files(s, name, o, err) : rc;
}

int32_t model_store_set_owned(struct model_store *s, const char *name, bool owned, struct ome_err *err) {
  _cleanup_json_ struct json_object *o = reference_read(s, name);

  if (!o || json_flag(o, "owned", false) == owned)
    return OME_OK;
  if (!json_set_bool(o, "owned", owned))
    return fail_memory(err);
  return reference_write(s, name, o, err);
}

/* ---- space ------------------------------------------------------------------------------------------------------- */

uint64_t model_store_missing(const struct model_store *s, const struct manifest *m) {
  uint64_t missing = 0;

  for (size_t i = 0; i < m->files.len; i++) {
    const struct manifest_file *f = &m->files.items[i];
    bool known = f->digest_type == OME_DIGEST_SHA256 && f->digest && is_sha256(f->digest);
    if (f->size != OME_SIZE_UNKNOWN && !(known && blob_look(s, f->digest, f->size) == BLOB_GOOD))
      missing += f->size;
  }
  return missing;
}

int32_t model_store_free(const struct model_store *s, uint64_t *out, struct ome_err *err) {
  struct statvfs vfs;

  if (statvfs(s->root, &vfs) != 0)
    return fail_errno(err, "look at", s->root);
  *out = (uint64_t)vfs.f_bavail * vfs.f_frsize;
  return OME_OK;
}
