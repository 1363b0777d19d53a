/* Manifests and references as files. */
#include "store/internal.h"

#include "base/str.h"
#include "os/file.h"

#include <dirent.h>
#include <string.h>

#define REFERENCE_MAX ((size_t)16 << 20)
#define MANIFEST_MAX ((size_t)256 << 20)

/* ---- names ------------------------------------------------------------------------------------------------------- */

bool is_name(const char *name) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";

  return *name && *name != '.' && strlen(name) <= 240 && name[strspn(name, allowed)] == '\0';
}

char *reference_path(const struct model_store *s, const char *name) {
  return str_printf("%s/references/%s.json", s->root, name);
}

char *staging_path(const struct model_store *s, const char *name, const char *file) {
  return str_printf("%s/staging/%s%s%s", s->root, name, file ? "/" : "", file ? file : "");
}

void names_fini(struct names *n) {
  for (size_t i = 0; i < n->list.len; i++)
    free(n->list.items[i]);
  VEC_FREE(&n->list);
}

bool names_have(const struct names *n, const char *name) {
  for (size_t i = 0; i < n->list.len; i++)
    if (streq(n->list.items[i], name))
      return true;
  return false;
}

int32_t names_in(const struct model_store *s, const char *folder, const char *suffix, struct names *out,
                 struct ome_err *err) {
  _cleanup_free_ char *path = path_join(s->root, folder);
  DIR *dir = path ? opendir(path) : NULL;
  int32_t rc = OME_OK;

  if (!dir)
    return path ? fail_errno(err, "read", path) : fail_memory(err);
  for (struct dirent *e; rc == OME_OK && (e = readdir(dir));) {
    if (e->d_name[0] == '.' || !has_suffix(e->d_name, suffix))
      continue;
    char *name = str_copy(e->d_name, strlen(e->d_name) - strlen(suffix));
    if (!name || !VEC_PUSH(&out->list, name)) {
      free(name);
      rc = fail_memory(err);
    }
  }
  (void)closedir(dir);
  return rc;
}

/* ---- references -------------------------------------------------------------------------------------------------- */

static struct json_object *read_json(const char *path, size_t max) {
  _cleanup_free_ char *text = NULL;
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;
  size_t len = 0;

  if (!path || file_read(path, max, &text, &len, &err) != OME_OK || json_parse(text, len, max, &o, &err) != OME_OK)
    return NULL;
  return o;
}

struct json_object *reference_read(const struct model_store *s, const char *name) {
  _cleanup_free_ char *path = reference_path(s, name);

  return is_name(name) ? read_json(path, REFERENCE_MAX) : NULL;
}

int32_t reference_write(const struct model_store *s, const char *name, struct json_object *o, struct ome_err *err) {
  _cleanup_free_ char *path = reference_path(s, name);
  _cleanup_free_ char *text = json_pretty(o);

  return path && text ? file_write(path, text, strlen(text), 0644, err) : fail_memory(err);
}

/* ---- manifests --------------------------------------------------------------------------------------------------- */

static struct json_object *describe(const struct manifest_file *f) {
  struct json_object *o = json_object_new_object();

  (void)json_set_str(o, "path", f->path);
  (void)json_set_i64(o, "size", (int64_t)f->size);
  (void)json_set_str(o, "sha256", f->sha256);
  if (f->digest) {
    (void)json_set_i64(o, "digestType", f->digest_type);
    (void)json_set_str(o, "digest", f->digest);
  }
  if (f->digest && f->digest_part_bytes)
    (void)json_set_i64(o, "digestPartBytes", (int64_t)f->digest_part_bytes);
  if (f->etag)
    (void)json_set_str(o, "etag", f->etag);
  return o;
}

int32_t manifest_write(const struct model_store *s, const struct manifest *m, char id[65], struct ome_err *err) {
  _cleanup_json_ struct json_object *o = json_object_new_object();
  struct json_object *files = json_object_new_array();

  for (size_t i = 0; i < m->files.len; i++)
    (void)json_add(files, describe(&m->files.items[i]));
  (void)json_set(o, "files", files);
  _cleanup_free_ char *text = json_text(o);
  if (!text)
    return fail_memory(err);
  sha256_hex(text, strlen(text), id);
  _cleanup_free_ char *path = str_printf("%s/manifests/%s.json", s->root, id);
  return path ? file_write(path, text, strlen(text), 0644, err) : fail_memory(err);
}

/* An entry as manifest_add() takes it. */
static bool read_entry(struct json_object *o, struct manifest *m) {
  struct ome_err err = ERR_INIT;
  const char *sha256 = json_str(o, "sha256", "");
  int64_t size = json_i64(o, "size", -1);
  struct ome_model_file f = {.struct_size = sizeof(f),
                             .path = json_str(o, "path", ""),
                             .size = (uint64_t)size,
                             .digest_type = (uint32_t)json_i64(o, "digestType", OME_DIGEST_NONE),
                             .digest = json_str(o, "digest", NULL),
                             .digest_part_bytes = (uint64_t)json_i64(o, "digestPartBytes", 0),
                             .etag = json_str(o, "etag", NULL)};

  if (size < 0 || !is_sha256(sha256) || manifest_add(m, &f, &err) != OME_OK)
    return false;
  memcpy(m->files.items[m->files.len - 1].sha256, sha256, 65);
  return true;
}

bool manifest_read(const struct model_store *s, const char *id, struct manifest *out) {
  _cleanup_free_ char *path = str_printf("%s/manifests/%s.json", s->root, id);
  _cleanup_json_ struct json_object *o = is_sha256(id) ? read_json(path, MANIFEST_MAX) : NULL;
  struct json_object *files = json_at(o, "files");
  struct manifest m = {0};

  for (size_t i = 0; i < json_len(files); i++)
    if (!read_entry(json_index(files, i), &m)) {
      manifest_fini(&m);
      return false;
    }
  *out = m;
  return json_is(files, json_type_array);
}
