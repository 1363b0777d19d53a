#include "agent/shelf.h"

#include "base/str.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int32_t shelf_open(const char *root, struct shelf *out, struct ome_err *err) {
  static const char *const folders[] = {"models", "staging", "records"};
  int32_t rc = dir_make(root, 0755, err);

  out->root = rc == OME_OK ? realpath(root, NULL) : NULL;
  if (rc == OME_OK && !out->root)
    rc = fail_errno(err, "store", root);
  for (size_t i = 0; rc == OME_OK && i < ARRAY_LEN(folders); i++) {
    _cleanup_free_ char *path = path_join(out->root, folders[i]);
    rc = path ? dir_make(path, 0755, err) : fail_memory(err);
  }
  return rc;
}

void shelf_close(struct shelf *s) {
  free(s->root);
  s->root = NULL;
}

char *shelf_path(const struct shelf *s, const char *key, const char *spec_path) {
  return *spec_path ? strdup(spec_path) : str_printf("%s/models/%s", s->root, key);
}

char *shelf_staging(const struct shelf *s, const char *key) {
  return str_printf("%s/staging/%s", s->root, key);
}

static char *record_path(const struct shelf *s, const char *key) {
  return str_printf("%s/records/%s.json", s->root, key);
}

/* The record of KEY as it is on disk; NULL: none that can be read; new. */
static struct json_object *read_record(const struct shelf *s, const char *key) {
  _cleanup_free_ char *path = record_path(s, key);
  _cleanup_free_ char *text = NULL;
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;
  size_t len;

  if (!path || file_read(path, (size_t)64 << 20, &text, &len, &err) != OME_OK ||
      json_parse(text, len, (size_t)64 << 20, &o, &err) != OME_OK)
    return NULL;
  return o;
}

static int64_t time_ns(const struct stat *st) {
  return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* Whether every file of RECORD below PATH has the size and time it had when it was verified. */
static bool is_whole(struct json_object *record, const char *path) {
  struct json_object *files = json_at(record, "files");

  for (size_t i = 0; i < json_len(files); i++) {
    struct json_object *f = json_index(files, i);
    _cleanup_free_ char *full = path_join(path, json_str(f, "path", "?"));
    struct stat st;
    if (!full || lstat(full, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size != json_i64(f, "size", -1) ||
        time_ns(&st) != json_i64(f, "mtimeNs", -1))
      return false;
  }
  return json_len(files) > 0;
}

struct json_object *shelf_find(const struct shelf *s, const char *key, const char *uri, const char *path) {
  struct json_object *record = read_record(s, key);

  if (record && streq(json_str(record, "uri", ""), uri) && streq(json_str(record, "path", ""), path) &&
      is_whole(record, path))
    return record;
  json_unref(record);
  return NULL;
}

static struct json_object *describe_files(const struct manifest *m, const char *path) {
  struct json_object *list = json_object_new_array();

  for (size_t i = 0; i < m->files.len; i++) {
    const struct manifest_file *f = &m->files.items[i];
    _cleanup_free_ char *full = path_join(path, f->path);
    struct json_object *o = json_object_new_object();
    struct stat st;
    (void)json_set_str(o, "path", f->path);
    (void)json_set_i64(o, "size", (int64_t)f->size);
    (void)json_set_str(o, "sha256", f->sha256);
    if (full && lstat(full, &st) == 0)
      (void)json_set_i64(o, "mtimeNs", time_ns(&st));
    (void)json_object_array_add(list, o);
  }
  return list;
}

static int32_t write_record(const struct shelf *s, const char *key, struct json_object *record, struct ome_err *err) {
  _cleanup_free_ char *path = record_path(s, key);
  _cleanup_free_ char *text = json_pretty(record);

  return path && text ? file_write(path, text, strlen(text), 0644, err) : fail_memory(err);
}

/* Puts STAGING where PATH is; on another file system the move is no rename and is refused with a hint. */
static int32_t move(const char *staging, const char *path, struct ome_err *err) {
  _cleanup_free_ char *folder = str_copy(path, (size_t)(strrchr(path, '/') - path));
  int32_t rc = folder ? dir_make(*folder ? folder : "/", 0755, err) : fail_memory(err);

  if (rc == OME_OK)
    rc = tree_remove(path, err);
  if (rc != OME_OK)
    return rc;
  if (rename(staging, path) != 0)
    return errno == EXDEV ? fail(err, OME_E_INVALID,
                                 "publish: %s: it is on another file system than the store; leave spec.storage.path "
                                 "empty or put the store there",
                                 path)
                          : fail_errno(err, "publish", path);
  return dir_sync(*folder ? folder : "/", err);
}

/* Whether PATH may be replaced: it is in the store, a record of this model names it, or there is nothing in it. */
static int32_t check_target(const struct shelf *s, const char *key, const char *path, struct ome_err *err) {
  _cleanup_free_ char *own = shelf_path(s, key, "");
  _cleanup_json_ struct json_object *record = read_record(s, key);

  if (!own)
    return fail_memory(err);
  if (path[0] != '/' || !path_is_safe(path + 1))
    return fail(err, OME_E_INVALID, "publish: %.200s: spec.storage.path is no plain absolute path", path);
  if (streq(path, own) || streq(json_str(record, "path", ""), path))
    return OME_OK;
  if (rmdir(path) == 0 || errno == ENOENT)
    return OME_OK;
  return fail(err, OME_E_EXISTS,
              "publish: %.200s: is there and was not made by this model; choose another spec.storage.path", path);
}

/* The record is written first: a folder that appears is always one that a record names, whatever happens between. */
int32_t shelf_publish(const struct shelf *s, const char *key, const char *uri, const char *path,
                      const struct manifest *manifest, struct json_object *report, struct ome_err *err) {
  _cleanup_free_ char *staging = shelf_staging(s, key);
  _cleanup_json_ struct json_object *record = json_object_new_object();
  int32_t rc = staging ? check_target(s, key, path, err) : fail_memory(err);

  if (rc != OME_OK)
    return rc;
  (void)json_set_str(record, "uri", uri);
  (void)json_set_str(record, "path", path);
  if (manifest->revision)
    (void)json_set_str(record, "revision", manifest->revision);
  (void)json_set(record, "files", describe_files(manifest, staging));
  (void)json_set(record, "report", json_object_get(report));
  rc = write_record(s, key, record, err);
  return rc == OME_OK ? move(staging, path, err) : rc;
}

int32_t shelf_remove(const struct shelf *s, const char *key, struct ome_err *err) {
  _cleanup_json_ struct json_object *record = read_record(s, key);
  _cleanup_free_ char *own = shelf_path(s, key, "");
  _cleanup_free_ char *staging = shelf_staging(s, key);
  _cleanup_free_ char *file = record_path(s, key);
  const char *path = json_str(record, "path", NULL);
  int32_t rc = own && staging && file ? OME_OK : fail_memory(err);

  /* Only what the record says is ours is removed outside the store. */
  if (rc == OME_OK && path)
    rc = tree_remove(path, err);
  if (rc == OME_OK)
    rc = tree_remove(own, err);
  if (rc == OME_OK)
    rc = tree_remove(staging, err);
  if (rc == OME_OK && unlink(file) != 0 && errno != ENOENT)
    rc = fail_errno(err, "remove", file);
  _cleanup_free_ char *ledger = staging ? str_printf("%s.ledger", staging) : NULL;
  if (rc == OME_OK && ledger && unlink(ledger) != 0 && errno != ENOENT)
    rc = fail_errno(err, "remove", ledger);
  return rc;
}
