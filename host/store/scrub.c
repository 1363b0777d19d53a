/* Damage: found by reading, taken out of the store at once, and kept as staging with its good pieces marked. */
#include "store/internal.h"

#include "base/str.h"
#include "os/beneath.h"
#include "os/file.h"
#include "transfer/ledger.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- out of the store -------------------------------------------------------------------------------------------- */

static int32_t mark_good(const char *files, const struct manifest_file *f, const struct blob_check *c,
                         struct ome_err *err) {
  _cleanup_(ledger_freep) struct ledger *l = NULL;
  struct manifest_file strong = *f; /* as plan.c asks for it again */
  int32_t rc = ledger_open(files, &l, err);

  strong.digest_type = OME_DIGEST_SHA256;
  strong.digest = strong.sha256;
  if (rc == OME_OK)
    rc = ledger_restart(l, &strong, SUMS_PIECE, err);
  for (size_t i = 0; rc == OME_OK && i < c->good.len; i++)
    if (c->good.items[i])
      rc = ledger_piece(l, f->path, i, err);
  return rc;
}

/* The file itself moves: links to it heal with it. */
int32_t demote_locked(const struct model_store *s, const char *name, const struct manifest_file *f,
                      const struct blob_check *c, struct ome_err *err) {
  _cleanup_free_ char *files = staging_path(s, name, "files");
  _cleanup_free_ char *blob = blob_path(s, f->sha256);
  _cleanup_free_ char *sums = sums_path(s, f->sha256);
  _cleanup_close_ int dir = -1;
  const char *last;

  if (!files || !blob || !sums)
    return fail_memory(err);
  int32_t rc = dir_make(files, 0700, err);
  _cleanup_close_ int root = rc == OME_OK ? open(files, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
  if (rc == OME_OK && root < 0)
    rc = fail_errno(err, "open", files);
  if (rc == OME_OK)
    rc = beneath_parent(root, f->path, true, &dir, &last, err);
  if (rc != OME_OK)
    return rc;
  if (chmod(blob, 0644) != 0 || truncate(blob, (off_t)f->size) != 0 || renameat(AT_FDCWD, blob, dir, last) != 0)
    return fail_errno(err, "take out of the store", blob);
  (void)unlink(sums);
  return mark_good(files, f, c, err);
}

/* Nobody can say what it was: it goes. */
static int32_t drop_locked(const struct model_store *s, const char *sha256, struct ome_err *err) {
  _cleanup_free_ char *blob = blob_path(s, sha256);
  _cleanup_free_ char *sums = sums_path(s, sha256);

  if (!blob || !sums)
    return fail_memory(err);
  if (unlink(blob) != 0 && errno != ENOENT)
    return fail_errno(err, "remove", blob);
  (void)unlink(sums);
  return OME_OK;
}

/* ---- before a job ------------------------------------------------------------------------------------------------ */

static int32_t reseal_locked(const struct model_store *s, const char *sha256, struct ome_err *err) {
  static const struct timespec times[] = {{BLOB_TIME, 0}, {BLOB_TIME, 0}};
  _cleanup_free_ char *blob = blob_path(s, sha256);

  if (!blob)
    return fail_memory(err);
  return utimensat(AT_FDCWD, blob, times, AT_SYMLINK_NOFOLLOW) == 0 ? OME_OK : fail_errno(err, "seal", blob);
}

static int32_t settle(struct session *x, struct manifest_file *f, struct ome_err *err) {
  _cleanup_blob_check_ struct blob_check c = {.size = 0};
  _cleanup_close_ int lock = -1;
  int32_t rc = blob_check(x->store, f->sha256, f->size, x->job->cancelled, x->job->arg, &c, err);

  if (rc == OME_OK)
    rc = model_store_lock(x->store, &lock, err);
  if (rc != OME_OK)
    return rc;
  return c.damaged ? demote_locked(x->store, x->job->name, f, &c, err) : reseal_locked(x->store, f->sha256, err);
}

int32_t settle_suspects(struct session *x, struct ome_err *err) {
  _cleanup_strmap_ struct strmap *known = known_contents(x->store);
  const struct manifest *m = x->job->manifest;
  int32_t rc = known ? OME_OK : fail_memory(err);

  for (size_t i = 0; rc == OME_OK && i < m->files.len; i++) {
    struct manifest_file f = m->files.items[i];
    char id[65];
    content_id(x->job->uri, m->revision, &f, id);
    const char *sha256 = f.digest_type == OME_DIGEST_SHA256 ? id : *id ? strmap_get(known, id) : NULL;
    if (sha256 && f.size == OME_SIZE_UNKNOWN)
      f.size = blob_size(x->store, sha256);
    enum blob_state state = sha256 ? blob_look(x->store, sha256, f.size) : BLOB_ABSENT;
    if (state == BLOB_ABSENT || (state == BLOB_GOOD && !x->job->verify))
      continue;
    memcpy(f.sha256, sha256, sizeof(f.sha256));
    rc = settle(x, &f, err);
  }
  return rc;
}

/* ---- all of the store -------------------------------------------------------------------------------------------- */

struct owner {
  char *name;
  struct manifest_file file; /* its texts are the manifest's */
};

struct scrub {
  const struct model_store *s;
  const struct store_scrub *job;
  struct store_scrub_result *result;
  struct strmap *owners; /* SHA-256 -> struct owner */
  VEC(struct manifest) manifests;
  struct names names;
};

static void scrub_fini(struct scrub *c) {
  strmap_free(c->owners);
  for (size_t i = 0; i < c->manifests.len; i++)
    manifest_fini(&c->manifests.items[i]);
  VEC_FREE(&c->manifests);
  names_fini(&c->names);
}

static int32_t learn_owners(struct scrub *c, struct ome_err *err) {
  int32_t rc = names_in(c->s, "references", ".json", &c->names, err);

  c->owners = strmap_new(free);
  if (rc == OME_OK && !c->owners)
    rc = fail_memory(err);
  for (size_t i = 0; rc == OME_OK && i < c->names.list.len; i++) {
    _cleanup_json_ struct json_object *o = reference_read(c->s, c->names.list.items[i]);
    struct manifest m = {0};
    if (!manifest_read(c->s, json_str(o, "manifest", ""), &m))
      continue;
    if (!VEC_PUSH(&c->manifests, m)) {
      manifest_fini(&m);
      return fail_memory(err);
    }
    for (size_t k = 0; k < m.files.len; k++) {
      struct owner *owner = strmap_has(c->owners, m.files.items[k].sha256) ? NULL : malloc(sizeof(*owner));
      if (!owner)
        continue;
      *owner = (struct owner){c->names.list.items[i], m.files.items[k]};
      if (!strmap_put(c->owners, m.files.items[k].sha256, owner))
        free(owner);
    }
  }
  return rc;
}

/* Whoever brings OWNER's name at this moment has its staging: the blob just goes then. */
static int32_t take_out(struct scrub *c, const char *sha256, const struct owner *owner, const struct blob_check *check,
                        struct ome_err *err) {
  _cleanup_others_ struct others others = {.reserved = 0};
  _cleanup_close_ int lock = -1;
  int32_t rc = model_store_lock(c->s, &lock, err);

  if (rc == OME_OK)
    rc = others_read_locked(c->s, NULL, &others, err);
  if (rc != OME_OK)
    return rc;
  if (owner && !names_have(&others.live, owner->name))
    return demote_locked(c->s, owner->name, &owner->file, check, err);
  return drop_locked(c->s, sha256, err);
}

static int32_t scrub_blob(void *arg, UNUSED const char *folder, const char *sha256, struct ome_err *err) {
  struct scrub *c = arg;
  _cleanup_blob_check_ struct blob_check check = {.size = 0};
  _cleanup_free_ char *path = blob_path(c->s, sha256);
  const struct owner *owner = strmap_get(c->owners, sha256);
  struct stat st;

  if (!path)
    return fail_memory(err);
  if (!is_sha256(sha256) || lstat(path, &st) != 0) /* collected in the meantime */
    return OME_OK;
  uint64_t size = owner ? owner->file.size : (uint64_t)st.st_size;
  int32_t rc = blob_check(c->s, sha256, size, c->job->cancelled, c->job->arg, &check, err);
  if (rc == OME_E_NOT_FOUND) {
    err_clear(err);
    return OME_OK;
  }
  if (rc == OME_OK && check.damaged)
    rc = take_out(c, sha256, owner, &check, err);
  if (rc != OME_OK)
    return rc;
  c->result->blobs++;
  c->result->bytes += size;
  c->result->damaged += check.damaged != 0;
  const struct store_damage damage = {sha256, owner ? owner->name : NULL, owner ? owner->file.path : NULL, size,
                                      check.damaged};
  if (check.damaged && c->job->damage)
    c->job->damage(c->job->arg, &damage);
  return OME_OK;
}

int32_t model_store_scrub(struct model_store *s, const struct store_scrub *job, struct store_scrub_result *out,
                          struct ome_err *err) {
  _cleanup_(scrub_fini) struct scrub c = {.s = s, .job = job, .result = out};
  int32_t rc = learn_owners(&c, err);

  *out = (struct store_scrub_result){0};
  return rc == OME_OK ? blob_each(s, scrub_blob, &c, err) : rc;
}
