/* Garbage: what no reference and no live session names. */
#include "store/internal.h"

#include "base/clock.h"
#include "base/str.h"
#include "os/file.h"

#include <string.h>
#include <sys/stat.h>

#define STRAY_S 3600

struct collection {
  const struct model_store *s;
  struct store_gc_result *out;
  struct others others;
  struct names references;  /* those that stay */
  struct strmap *manifests; /* ids that they name */
  struct strmap *kept;      /* SHA-256 */
};

static void collection_fini(struct collection *c) {
  others_fini(&c->others);
  names_fini(&c->references);
  strmap_free(c->manifests);
  strmap_free(c->kept);
}

/* ---- what stays -------------------------------------------------------------------------------------------------- */

/* A folder that a person has removed is not wanted any more; one that is owned says so itself. */
static bool is_abandoned(const struct collection *c, const char *name, struct json_object *o) {
  struct stat st;

  return o && !json_flag(o, "owned", false) && !names_have(&c->others.live, name) &&
         lstat(json_str(o, "path", ""), &st) != 0 && errno == ENOENT;
}

static int32_t keep_manifest(struct collection *c, const char *id, struct ome_err *err) {
  _cleanup_manifest_ struct manifest m = {0};

  if (!is_sha256(id) || strmap_has(c->manifests, id))
    return OME_OK;
  if (!strmap_put(c->manifests, id, c))
    return fail_memory(err);
  if (!manifest_read(c->s, id, &m))
    return OME_OK; /* its model is brought again */
  for (size_t i = 0; i < m.files.len; i++)
    if (!strmap_put(c->kept, m.files.items[i].sha256, c))
      return fail_memory(err);
  return OME_OK;
}

static int32_t keep_reference(struct collection *c, const char *name, struct ome_err *err) {
  _cleanup_json_ struct json_object *o = reference_read(c->s, name);
  _cleanup_free_ char *path = reference_path(c->s, name);

  if (!path)
    return fail_memory(err);
  if (is_abandoned(c, name, o)) {
    c->out->references++;
    return unlink(path) == 0 ? OME_OK : fail_errno(err, "remove", path);
  }
  char *copy = strdup(name);
  if (!copy || !VEC_PUSH(&c->references.list, copy)) {
    free(copy);
    return fail_memory(err);
  }
  int32_t rc = keep_manifest(c, json_str(o, "before", ""), err);
  return rc == OME_OK ? keep_manifest(c, json_str(o, "manifest", ""), err) : rc;
}

static int32_t keep(struct collection *c, struct ome_err *err) {
  _cleanup_names_ struct names names = {{0}};
  int32_t rc = others_read_locked(c->s, NULL, &c->others, err);

  c->manifests = strmap_new(NULL);
  c->kept = strmap_new(NULL);
  if (rc == OME_OK && (!c->manifests || !c->kept))
    rc = fail_memory(err);
  if (rc == OME_OK)
    rc = names_in(c->s, "references", ".json", &names, err);
  for (size_t i = 0; rc == OME_OK && i < names.list.len; i++)
    rc = keep_reference(c, names.list.items[i], err);
  return rc;
}

/* ---- what goes --------------------------------------------------------------------------------------------------- */

static int32_t drop_manifests(struct collection *c, struct ome_err *err) {
  _cleanup_names_ struct names names = {{0}};
  int32_t rc = names_in(c->s, "manifests", ".json", &names, err);

  for (size_t i = 0; rc == OME_OK && i < names.list.len; i++) {
    _cleanup_free_ char *path = str_printf("%s/manifests/%s.json", c->s->root, names.list.items[i]);
    if (!path)
      rc = fail_memory(err);
    else if (!strmap_has(c->manifests, names.list.items[i]) && unlink(path) != 0)
      rc = fail_errno(err, "remove", path);
  }
  return rc;
}

static int32_t drop_stagings(struct collection *c, struct ome_err *err) {
  _cleanup_names_ struct names names = {{0}};
  int32_t rc = names_in(c->s, "staging", "", &names, err);

  for (size_t i = 0; rc == OME_OK && i < names.list.len; i++) {
    _cleanup_free_ char *path = staging_path(c->s, names.list.items[i], NULL);
    if (!path)
      rc = fail_memory(err);
    else if (!names_have(&c->others.live, names.list.items[i]) && !names_have(&c->references, names.list.items[i])) {
      c->out->stagings++;
      rc = tree_remove(path, err);
    }
  }
  return rc;
}

/* What a kill left of writing a record; one that is being written is younger. */
static int32_t drop_strays(const struct collection *c, const char *folder, struct ome_err *err) {
  _cleanup_names_ struct names names = {{0}};
  int32_t rc = names_in(c->s, folder, ".tmp", &names, err);

  for (size_t i = 0; rc == OME_OK && i < names.list.len; i++) {
    _cleanup_free_ char *path = str_printf("%s/%s/%s.tmp", c->s->root, folder, names.list.items[i]);
    struct stat st;
    if (!path)
      rc = fail_memory(err);
    else if (lstat(path, &st) == 0 && (int64_t)st.st_mtim.tv_sec < wall_ms() / 1000 - STRAY_S)
      (void)unlink(path);
  }
  return rc;
}

/* A blob with its checksums, or a file that was about to be one of the two. */
static int32_t drop_blob(void *arg, const char *folder, const char *name, struct ome_err *err) {
  struct collection *c = arg;
  _cleanup_free_ char *path = str_printf("%s/%s/%s", c->s->root, folder, name);
  char sha256[65] = "";
  struct stat st;

  if (!path)
    return fail_memory(err);
  memcpy(sha256, name, strlen(name) < 64 ? strlen(name) : 64);
  if (strmap_has(c->kept, sha256) || strmap_has(c->others.kept, sha256) || lstat(path, &st) != 0)
    return OME_OK;
  if (unlink(path) != 0)
    return fail_errno(err, "remove", path);
  c->out->blobs += strlen(name) == 64;
  c->out->bytes += st.st_nlink == 1 ? (uint64_t)st.st_size : 0;
  return OME_OK;
}

int32_t gc_locked(const struct model_store *s, struct store_gc_result *out, struct ome_err *err) {
  _cleanup_(collection_fini) struct collection c = {.s = s, .out = out};
  int32_t rc = keep(&c, err);

  if (rc == OME_OK)
    rc = drop_stagings(&c, err);
  if (rc == OME_OK)
    rc = drop_manifests(&c, err);
  if (rc == OME_OK)
    rc = drop_strays(&c, "references", err);
  if (rc == OME_OK)
    rc = drop_strays(&c, "manifests", err);
  return rc == OME_OK ? blob_each(s, drop_blob, &c, err) : rc;
}

int32_t model_store_gc(struct model_store *s, struct store_gc_result *out, struct ome_err *err) {
  _cleanup_close_ int lock = -1;
  int32_t rc = model_store_lock(s, &lock, err);

  *out = (struct store_gc_result){0};
  return rc == OME_OK ? gc_locked(s, out, err) : rc;
}
