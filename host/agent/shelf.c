#include "agent/shelf.h"

#include "base/str.h"
#include "os/file.h"

#include <fts.h>
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

/* ---- staging ---------------------------------------------------------------------------------------------------- */

/* The file that names a staging folder outside the store; new. */
static char *note_path(const struct shelf *s, const char *key) {
  return str_printf("%s/records/%s.staging", s->root, key);
}

/* The file system that PATH is on, or would be: that of its nearest folder. */
static bool device_of(const char *path, dev_t *out) {
  _cleanup_free_ char *copy = strdup(path);
  struct stat st;

  while (copy && stat(*copy ? copy : "/", &st) != 0) {
    char *slash = strrchr(copy, '/');
    if (!slash)
      return false;
    *slash = '\0';
  }
  if (copy)
    *out = st.st_dev;
  return copy != NULL;
}

/* Removes a staging folder and the ledger beside it. */
static int32_t clear_staging(const char *staging, struct ome_err *err) {
  _cleanup_free_ char *ledger = str_printf("%s.ledger", staging);
  int32_t rc = ledger ? tree_remove(staging, err) : fail_memory(err);

  if (rc == OME_OK && unlink(ledger) != 0 && errno != ENOENT)
    rc = fail_errno(err, "remove", ledger);
  return rc;
}

/* Clears the staging folder outside the store that a note names, unless it is KEEP (may be NULL). */
static int32_t clear_noted(const struct shelf *s, const char *key, const char *keep, struct ome_err *err) {
  _cleanup_free_ char *note = note_path(s, key);
  _cleanup_free_ char *noted = NULL;
  struct ome_err absent = ERR_INIT;
  size_t len;

  if (!note)
    return fail_memory(err);
  if (file_read(note, 4096, &noted, &len, &absent) != OME_OK || (keep && streq(noted, keep)))
    return OME_OK;
  int32_t rc = clear_staging(noted, err);
  if (rc == OME_OK && unlink(note) != 0 && errno != ENOENT)
    rc = fail_errno(err, "remove", note);
  return rc;
}

int32_t shelf_stage(const struct shelf *s, const char *key, const char *path, char **out, struct ome_err *err) {
  _cleanup_free_ char *own = str_printf("%s/staging/%s", s->root, key);
  _cleanup_free_ char *beside = str_printf("%.*s/.%s.incoming", (int)(strrchr(path, '/') - path), path, key);
  _cleanup_free_ char *note = note_path(s, key);
  dev_t here;
  dev_t there;

  if (!own || !beside || !note)
    return fail_memory(err);
  bool apart = device_of(s->root, &here) && device_of(path, &there) && here != there;
  int32_t rc = clear_noted(s, key, apart ? beside : NULL, err);
  if (rc == OME_OK && apart) /* the note first: a folder that appears is always one that is known */
    rc = file_write(note, beside, strlen(beside), 0644, err);
  if (rc == OME_OK)
    *out = apart ? TAKE_PTR(beside) : TAKE_PTR(own);
  return rc;
}

static bool names_file(const struct manifest *m, const char *path) {
  size_t low = 0;

  for (size_t high = m->files.len; low < high;) { /* they are ordered by path */
    size_t mid = low + (high - low) / 2;
    int order = strcmp(path, m->files.items[mid].path);
    if (order == 0)
      return true;
    if (order < 0)
      high = mid;
    else
      low = mid + 1;
  }
  return false;
}

int32_t shelf_prune(const char *staging, const struct manifest *manifest, struct ome_err *err) {
  char *const roots[] = {(char *)(uintptr_t)staging, NULL};
  FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
  int32_t rc = walk ? OME_OK : fail_errno(err, "prune", staging);

  for (FTSENT *e; rc == OME_OK && (e = fts_read(walk)) != NULL;) {
    if (e->fts_info == FTS_D || e->fts_level == 0)
      continue;
    if (e->fts_info == FTS_DP)
      (void)rmdir(e->fts_accpath); /* only what is empty goes */
    else if (!names_file(manifest, e->fts_path + strlen(staging) + 1) && unlink(e->fts_accpath) != 0)
      rc = fail_errno(err, "prune", e->fts_path);
  }
  if (walk)
    (void)fts_close(walk);
  return rc;
}

/* ---- publishing ------------------------------------------------------------------------------------------------- */

/* Puts STAGING where PATH is; both are on one file system (shelf_stage()). */
static int32_t move(const char *staging, const char *path, struct ome_err *err) {
  _cleanup_free_ char *folder = str_copy(path, (size_t)(strrchr(path, '/') - path));
  int32_t rc = folder ? dir_make(*folder ? folder : "/", 0755, err) : fail_memory(err);

  if (rc == OME_OK)
    rc = tree_remove(path, err);
  if (rc == OME_OK && rename(staging, path) != 0)
    rc = fail_errno(err, "publish", path);
  return rc == OME_OK ? dir_sync(*folder ? folder : "/", err) : rc;
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

/* Removes what RECORD calls "previous", the folder that the model had before, and forgets it. */
static int32_t leave_previous(const struct shelf *s, const char *key, struct json_object *record, struct ome_err *err) {
  const char *previous = json_str(record, "previous", NULL);

  if (!previous)
    return OME_OK;
  int32_t rc = tree_remove(previous, err);
  if (rc != OME_OK)
    return rc;
  json_object_object_del(record, "previous");
  return write_record(s, key, record, err);
}

/* Where the model was before, when that is not PATH; NULL: nowhere.  Borrowed from OLD. */
static const char *previous_of(struct json_object *old, const char *path) {
  const char *before = json_str(old, "previous", NULL); /* a change of path that was cut short */

  if (!before)
    before = json_str(old, "path", NULL);
  return before && !streq(before, path) ? before : NULL;
}

/* The record is written first: a folder that appears is always one that a record names, whatever happens between. */
int32_t shelf_publish(const struct shelf *s, const char *key, const char *uri, const char *path, const char *staging,
                      const struct manifest *manifest, struct json_object *report, struct ome_err *err) {
  _cleanup_json_ struct json_object *old = read_record(s, key);
  _cleanup_json_ struct json_object *record = json_object_new_object();
  const char *previous = previous_of(old, path);
  int32_t rc = check_target(s, key, path, err);

  if (rc != OME_OK)
    return rc;
  (void)json_set_str(record, "uri", uri);
  (void)json_set_str(record, "path", path);
  if (previous)
    (void)json_set_str(record, "previous", previous);
  if (manifest->revision)
    (void)json_set_str(record, "revision", manifest->revision);
  (void)json_set(record, "files", describe_files(manifest, staging));
  (void)json_set(record, "report", json_object_get(report));
  rc = write_record(s, key, record, err);
  if (rc == OME_OK)
    rc = leave_previous(s, key, record, err);
  if (rc == OME_OK)
    rc = move(staging, path, err);
  return rc == OME_OK ? clear_noted(s, key, NULL, err) : rc;
}

/* ---- removing --------------------------------------------------------------------------------------------------- */

bool shelf_holds(const struct shelf *s, const char *key) {
  _cleanup_free_ char *record = record_path(s, key);
  _cleanup_free_ char *note = note_path(s, key);
  _cleanup_free_ char *staging = str_printf("%s/staging/%s", s->root, key);

  return (record && file_exists(record)) || (note && file_exists(note)) || (staging && file_exists(staging));
}

int32_t shelf_remove(const struct shelf *s, const char *key, struct ome_err *err) {
  _cleanup_json_ struct json_object *record = read_record(s, key);
  _cleanup_free_ char *own = shelf_path(s, key, "");
  _cleanup_free_ char *staging = str_printf("%s/staging/%s", s->root, key);
  _cleanup_free_ char *file = record_path(s, key);
  const char *const places[] = {json_str(record, "path", NULL), json_str(record, "previous", NULL), own};
  int32_t rc = own && staging && file ? OME_OK : fail_memory(err);

  /* Only what the record says is ours is removed outside the store. */
  for (size_t i = 0; rc == OME_OK && i < ARRAY_LEN(places); i++)
    if (places[i])
      rc = tree_remove(places[i], err);
  if (rc == OME_OK)
    rc = clear_staging(staging, err);
  if (rc == OME_OK)
    rc = clear_noted(s, key, NULL, err);
  if (rc == OME_OK && unlink(file) != 0 && errno != ENOENT)
    rc = fail_errno(err, "remove", file);
  return rc;
}
