/* What is there, what others fetch, what is to be fetched, and whether there is room for it. */
#include "store/internal.h"

#include "base/str.h"
#include "os/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

void fetch_plan_fini(struct fetch_plan *p) {
  VEC_FREE(&p->fetch);
}

struct planning {
  struct session *x;
  struct fetch_plan *out;
  struct others others;
  struct strmap *known, *claims;
  uint64_t need;
  bool begun; /* there is something of an earlier transfer */
};

static void planning_fini(struct planning *p) {
  others_fini(&p->others);
  strmap_free(p->known);
  strmap_free(p->claims);
}

static const char *lookup(const struct planning *p, const struct manifest_file *f, const char *id) {
  if (f->digest_type == OME_DIGEST_SHA256)
    return id;
  const char *sha256 = strmap_get(p->x->landed, id);
  if (!sha256)
    sha256 = strmap_get(p->others.landed, id);
  return sha256 ? sha256 : strmap_get(p->known, id);
}

/* What the file's staging has not taken up yet. */
static uint64_t still_needed(const struct session *x, const struct manifest_file *f) {
  _cleanup_free_ char *path = path_join(x->files, f->path);
  struct stat st;
  uint64_t taken = path && lstat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;

  return f->size != OME_SIZE_UNKNOWN && f->size > taken ? f->size - taken : 0;
}

/* What the source does not say of a content that is there. */
static void learn_size(const struct session *x, struct manifest_file *f, const char *sha256) {
  f->size = blob_size(x->store, sha256);
  if (f->size != OME_SIZE_UNKNOWN)
    x->job->manifest->total_bytes += f->size;
}

/* Whether the file's content is there; *SHA256 (borrowed) is it where it is known. */
static bool is_there(const struct planning *p, struct manifest_file *f, const char *id, const char **sha256) {
  const struct model_store *s = p->x->store;

  if (*f->sha256 && blob_look(s, f->sha256, f->size) == BLOB_GOOD)
    return true;
  f->sha256[0] = '\0';
  *sha256 = *id ? lookup(p, f, id) : NULL;
  if (*sha256 && f->size == OME_SIZE_UNKNOWN)
    learn_size(p->x, f, *sha256);
  if (!*sha256 || blob_look(s, *sha256, f->size) != BLOB_GOOD)
    return false;
  memcpy(f->sha256, *sha256, 65);
  return true;
}

/* Whether somebody else, or another file of this job, brings the content. */
static bool is_coming(const struct planning *p, const struct manifest_file *f, const char *id) {
  const char *holder = *id ? strmap_get(p->others.claims, id) : NULL;

  if (holder && !p->out->file) {
    p->out->file = f->path;
    (void)snprintf(p->out->holder, sizeof(p->out->holder), "%s", holder);
  }
  return holder || (*id && strmap_has(p->claims, id));
}

static int32_t plan_file(struct planning *p, size_t index, struct ome_err *err) {
  struct manifest_file *f = &p->x->job->manifest->files.items[index];
  struct planned next = {.index = index};
  const char *sha256 = NULL;
  char id[65];

  content_id(p->x->job->uri, p->x->job->manifest->revision, f, id);
  if (is_there(p, f, id, &sha256))
    return OME_OK;
  if (is_coming(p, f, id)) {
    p->out->waiting++;
    return OME_OK;
  }
  if (sha256)
    memcpy(next.sha256, sha256, 65);
  if (p->begun)
    p->need += still_needed(p->x, f);
  else if (f->size != OME_SIZE_UNKNOWN)
    p->need += f->size;
  if ((*id && !strmap_put(p->claims, id, p)) || !VEC_PUSH(&p->out->fetch, next))
    return fail_memory(err);
  return OME_OK;
}

static uint64_t free_bytes(const struct model_store *s) {
  struct statvfs vfs;

  return statvfs(s->root, &vfs) == 0 ? (uint64_t)vfs.f_bavail * vfs.f_frsize : UINT64_MAX;
}

/* Whether what is needed is there beside what others have reserved; garbage is collected before the answer is no. */
static int32_t check_space_locked(const struct planning *p, struct ome_err *err) {
  const struct model_store *s = p->x->store;
  uint64_t wanted = p->need + p->x->job->reserve_bytes + p->others.reserved;
  struct store_gc_result freed = {0};
  char need[32];
  char have[32];
  char reserved[32];
  int32_t rc = OME_OK;

  if (p->need == 0 || wanted <= free_bytes(s))
    return OME_OK;
  rc = gc_locked(s, &freed, err);
  uint64_t room = free_bytes(s);
  if (rc != OME_OK || wanted <= room)
    return rc;
  format_bytes(p->need, need);
  format_bytes(room, have);
  format_bytes(p->others.reserved + p->x->job->reserve_bytes, reserved);
  return fail(err, OME_E_NO_SPACE,
              "fetch: %.200s: needs %s (%" PRIu64
              " bytes), %s is free of which %s is reserved; free some space in it or "
              "use another store",
              s->root, need, p->need, have, reserved);
}

int32_t fetch_plan_make(struct session *x, struct fetch_plan *out, struct ome_err *err) {
  _cleanup_(planning_fini) struct planning p = {.x = x, .out = out};
  _cleanup_close_ int lock = -1;
  int32_t rc = model_store_lock(x->store, &lock, err);

  p.begun = file_exists(x->files);
  p.claims = strmap_new(NULL);
  if (rc == OME_OK)
    p.known = known_contents(x->store);
  if (rc == OME_OK && (!p.claims || !p.known))
    rc = fail_memory(err);
  if (rc == OME_OK)
    rc = others_read_locked(x->store, x->job->name, &p.others, err);
  for (size_t i = 0; rc == OME_OK && i < x->job->manifest->files.len; i++)
    rc = plan_file(&p, i, err);
  if (rc == OME_OK) /* first, so that a collection of garbage sees it */
    rc = session_write_locked(x, p.claims, p.need, err);
  if (rc == OME_OK)
    rc = check_space_locked(&p, err);
  return rc;
}
