/* From a manifest to a folder: rounds of planning, fetching and waiting, then links. */
#include "store/internal.h"

#include "base/str.h"
#include "os/beneath.h"
#include "os/file.h"
#include "transfer/digest.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define BATCH_BYTES ((uint64_t)1 << 20)
#define BATCH_FILES 256u

/* ---- one round of fetching --------------------------------------------------------------------------------------- */

struct round {
  struct session *x;
  struct fetch_plan *plan;
  struct manifest part; /* the files of PLAN; their texts belong to the job's */
  uint64_t bytes_before;
  uint32_t files_before;
  VEC(uint8_t) state; /* enum landing; of each file of PART */
  VEC(size_t) ripe;   /* the verified ones */
  int root, dir;      /* of the session's files; the last folder that one was moved from, -1: none */
  const char *folder; /* its path, FOLDER_LEN bytes with the slash */
  size_t folder_len;
  int32_t rc; /* of moving into the store, with ERR */
  struct ome_err err;
  atomic_bool failed; /* the same for other threads: what cannot be kept is not fetched any longer */
};

enum landing { LANDING_ABSENT, LANDING_RIPE, LANDING_DONE };

static void round_fini(struct round *r) {
  for (size_t i = 0; i < r->part.files.len; i++)
    sums_fini(&r->part.files.items[i].sums);
  VEC_FREE(&r->part.files);
  VEC_FREE(&r->state);
  VEC_FREE(&r->ripe);
  closep(&r->dir);
  closep(&r->root);
}

/* Opens the folder that PATH is in as r->dir, where it is not open yet; its last part. */
static int32_t enter_folder(struct round *r, const char *path, const char **name, struct ome_err *err) {
  const char *slash = strrchr(path, '/');
  size_t len = slash ? (size_t)(slash - path) + 1 : 0;

  *name = path + len;
  if (r->dir >= 0 && len == r->folder_len && memcmp(path, r->folder, len) == 0)
    return OME_OK;
  if (r->root < 0)
    r->root = open(r->x->files, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (r->root < 0)
    return fail_errno(err, "open", r->x->files);
  closep(&r->dir);
  r->dir = -1;
  r->folder = path;
  r->folder_len = len;
  return beneath_parent(r->root, path, false, &r->dir, name, err);
}

/* What was found out of file I, also in the job's manifest; as it is to be landed, with texts and sums of others. */
static struct manifest_file settle_file(const struct round *r, size_t i) {
  const struct manifest_file *f = &r->part.files.items[i];
  struct manifest *m = r->x->job->manifest;
  struct manifest_file *whole = &m->files.items[r->plan->fetch.items[i].index];

  memcpy(whole->sha256, f->sha256, sizeof(whole->sha256));
  if (whole->size == OME_SIZE_UNKNOWN)
    m->total_bytes += f->size;
  whole->size = f->size;
  struct manifest_file landed = *whole; /* with the checksums, and the id of what was listed */
  landed.sums = f->sums;
  return landed;
}

/* Moves what is verified into the store. */
static int32_t land(struct round *r, struct ome_err *err) {
  VEC(struct manifest_file) files = {0};
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < r->ripe.len; i++)
    if (!VEC_PUSH(&files, settle_file(r, r->ripe.items[i])))
      rc = fail_memory(err);
  if (rc == OME_OK && files.len)
    rc = session_announce(r->x, files.items, files.len, err);
  for (size_t i = 0; rc == OME_OK && i < files.len; i++) {
    const char *name;
    rc = enter_folder(r, files.items[i].path, &name, err);
    if (rc == OME_OK)
      rc = session_land(r->x, r->dir, name, &files.items[i], err);
    if (rc == OME_OK)
      r->state.items[r->ripe.items[i]] = LANDING_DONE;
  }
  VEC_FREE(&files);
  r->ripe.len = 0;
  return rc;
}

static int32_t ripen(struct round *r, size_t i, struct ome_err *err) {
  if (r->state.items[i] != LANDING_ABSENT)
    return OME_OK;
  if (!VEC_PUSH(&r->ripe, i))
    return fail_memory(err);
  r->state.items[i] = LANDING_RIPE;
  return OME_OK;
}

/* The round's event as one of the whole job; files that are verified move into the store soon, small ones together,
 * where those who wait for them see them. */
static void on_event(void *arg, const struct transfer_event *e) {
  struct round *r = arg;
  const struct store_job *job = r->x->job;
  struct transfer_event whole = *e;
  bool large = false;

  if (e->type == TRANSFER_FILE && e->file && r->rc == OME_OK) {
    const struct manifest_file *f = manifest_find(&r->part, e->file);
    if (f)
      r->rc = ripen(r, (size_t)(f - r->part.files.items), &r->err);
    large = f && f->size > BATCH_BYTES;
  }
  if (r->rc == OME_OK && r->ripe.len && (large || e->type != TRANSFER_FILE || r->ripe.len >= BATCH_FILES))
    r->rc = land(r, &r->err);
  if (r->rc != OME_OK)
    atomic_store(&r->failed, true);
  whole.bytes += r->bytes_before;
  whole.files += r->files_before;
  whole.total_bytes += r->bytes_before;
  whole.total_files = (uint32_t)job->manifest->files.len;
  if (job->event)
    job->event(job->arg, &whole);
}

static bool is_stopped(void *arg) {
  struct round *r = arg;

  return session_stopped(r->x) || atomic_load(&r->failed);
}

static int32_t pick(struct round *r, struct ome_err *err) {
  const struct manifest *m = r->x->job->manifest;

  r->part.revision = m->revision;
  for (size_t i = 0; i < r->plan->fetch.len; i++) {
    struct planned *p = &r->plan->fetch.items[i];
    struct manifest_file f = m->files.items[p->index];
    f.sums = (struct sums){.failed = false};
    if (*p->sha256) { /* the strongest word there is of it */
      f.digest_type = OME_DIGEST_SHA256;
      f.digest = p->sha256;
    }
    if (!VEC_PUSH(&r->part.files, f) || !VEC_PUSH(&r->state, LANDING_ABSENT))
      return fail_memory(err);
    r->part.total_bytes += f.size == OME_SIZE_UNKNOWN ? 0 : f.size;
  }
  r->bytes_before = m->total_bytes - r->part.total_bytes;
  r->files_before = (uint32_t)(m->files.len - r->part.files.len);
  return OME_OK;
}

static int32_t fetch(struct session *x, struct fetch_plan *plan, struct ome_err *err) {
  _cleanup_(round_fini) struct round r = {.x = x, .plan = plan, .root = -1, .dir = -1};
  const struct transfer_job job = {.manifest = &r.part,
                                   .dir = x->files,
                                   .plugin = x->job->plugin,
                                   .ref = x->job->ref,
                                   .connections = x->job->connections,
                                   .max_bytes_per_second = x->job->max_bytes_per_second,
                                   .reserve_bytes = x->job->reserve_bytes,
                                   .swarm = x->job->swarm,
                                   .event = on_event,
                                   .cancelled = is_stopped,
                                   .arg = &r};
  int32_t rc = pick(&r, err);

  if (rc == OME_OK)
    rc = transfer_run(&job, err);
  if (rc == OME_OK)
    rc = r.rc;
  for (size_t i = 0; rc == OME_OK && i < r.part.files.len; i++) /* what was verified in another life */
    rc = ripen(&r, i, err);
  if (rc == OME_OK)
    rc = land(&r, err);
  if (r.rc != OME_OK && rc != OME_OK) {
    *err = r.err;
    rc = r.rc;
  }
  return rc;
}

/* ---- what the folder has already --------------------------------------------------------------------------------- */

static bool is_same(struct session *x, int fd, struct manifest_file *f) {
  struct ome_err err = ERR_INIT;
  struct stat st;
  char sha256[65];
  char wanted[65];

  if (fstat(fd, &st) != 0 || (uint64_t)st.st_size != f->size ||
      digest_file(fd, f, x->job->cancelled, x->job->arg, sha256, wanted, &f->sums, &err) != OME_OK ||
      digest_compare(f, wanted, &err) != OME_OK)
    return false;
  memcpy(f->sha256, sha256, sizeof(sha256));
  return true;
}

/* Takes a file of the folder into the store when it is what is wanted; what cannot be taken is fetched. */
static void adopt(struct session *x, int root, struct manifest_file *f) {
  _cleanup_free_ char *path = staging_path(x->store, x->job->name, NULL);
  _cleanup_close_ int staging = path ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
  _cleanup_close_ int fd = f->digest ? beneath_open(root, f->path, O_RDONLY) : -1;
  _cleanup_close_ int dir = -1;
  struct ome_err err = ERR_INIT;
  const char *name;

  if (fd < 0 || staging < 0 || !is_same(x, fd, f))
    return;
  (void)unlinkat(staging, "adopted", 0);
  if (blob_look(x->store, f->sha256, f->size) != BLOB_GOOD &&
      (beneath_parent(root, f->path, false, &dir, &name, &err) != OME_OK ||
       beneath_place(dir, name, staging, "adopted", true, f->path, &err) != OME_OK ||
       session_announce(x, f, 1, &err) != OME_OK || session_land(x, staging, "adopted", f, &err) != OME_OK))
    f->sha256[0] = '\0';
  sums_fini(&f->sums);
}

static void adopt_all(struct session *x, struct fetch_plan *plan) {
  _cleanup_close_ int root = open(x->job->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  for (size_t i = 0; root >= 0 && i < plan->fetch.len && !session_stopped(x); i++)
    adopt(x, root, &x->job->manifest->files.items[plan->fetch.items[i].index]);
}

/* Whether there is nothing at PATH but the store itself. */
static bool folder_is_empty(const struct model_store *s, const char *path) {
  size_t len = strlen(path);
  const char *own = has_prefix(s->root, path) && s->root[len] == '/' ? s->root + len + 1 : "";
  DIR *dir = opendir(path);
  bool empty = true;

  for (struct dirent *e; dir && empty && (e = readdir(dir));)
    empty = streq(e->d_name, ".") || streq(e->d_name, "..") || streq(e->d_name, own);
  if (dir)
    (void)closedir(dir);
  return empty;
}

/* ---- rounds ------------------------------------------------------------------------------------------------------ */

static int32_t wait_for_others(struct session *x, const struct fetch_plan *plan, bool *told, struct ome_err *err) {
  char message[600];

  (void)snprintf(message, sizeof(message), "%.200s is being fetched by %.290s; waiting for it", plan->file,
                 plan->holder);
  if (!*told)
    session_say(x, plan->file, message);
  *told = true;
  session_pause();
  return session_stopped(x) ? fail(err, OME_E_CANCELLED, "fetch: stopped while waiting for %.290s", plan->holder)
                            : OME_OK;
}

static int32_t bring_blobs(struct session *x, struct ome_err *err) {
  int32_t rc = settle_suspects(x, err);
  bool looked = folder_is_empty(x->store, x->job->path);
  bool told = false;

  while (rc == OME_OK) {
    _cleanup_plan_ struct fetch_plan plan = {.waiting = 0};
    rc = fetch_plan_make(x, &plan, err);
    if (rc == OME_OK && plan.fetch.len == 0 && plan.waiting == 0)
      return OME_OK;
    if (rc == OME_OK && !looked && plan.fetch.len)
      adopt_all(x, &plan);
    else if (rc == OME_OK && plan.fetch.len)
      rc = fetch(x, &plan, err);
    else if (rc == OME_OK)
      rc = wait_for_others(x, &plan, &told, err);
    if (rc == OME_OK && looked && plan.fetch.len && plan.waiting == 0)
      return OME_OK;
    looked = true;
  }
  return rc;
}

/* ---- the reference ----------------------------------------------------------------------------------------------- */

static struct json_object *new_reference(const struct store_job *job, struct json_object *old) {
  struct json_object *o = json_object_new_object();
  const char *before = json_str(old, "previous", NULL); /* a change of path that was cut short */

  if (!before)
    before = json_str(old, "path", NULL);
  (void)json_set_str(o, "uri", job->uri);
  (void)json_set_str(o, "request", job->request ? job->request : "");
  (void)json_set_str(o, "path", job->path);
  (void)json_set_bool(o, "owned", job->owned);
  (void)json_set_bool(o, "complete", false);
  if (job->manifest->revision)
    (void)json_set_str(o, "revision", job->manifest->revision);
  if (before && job->owned && json_flag(old, "owned", false) && !streq(before, job->path))
    (void)json_set_str(o, "previous", before);
  return o;
}

/* A name that nothing is known of is written down before anything of it is there. */
static int32_t begin(const struct model_store *s, const struct store_job *job, struct ome_err *err) {
  _cleanup_json_ struct json_object *old = reference_read(s, job->name);
  _cleanup_json_ struct json_object *o = old ? NULL : new_reference(job, NULL);

  return old ? OME_OK : reference_write(s, job->name, o, err);
}

static bool is_same_source(const struct store_job *job, struct json_object *old) {
  return streq(json_str(old, "uri", ""), job->uri);
}

/* What the reference will say it has: the manifest, and of a part also what was there of the same revision before. */
static int32_t write_manifest(const struct model_store *s, const struct store_job *job, struct json_object *old,
                              const struct manifest *before, char id[65], struct ome_err *err) {
  bool join =
      job->partial && is_same_source(job, old) && streq(json_str(old, "revision", NULL), job->manifest->revision);
  struct manifest all = {.revision = job->manifest->revision};
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < job->manifest->files.len; i++)
    rc = VEC_PUSH(&all.files, job->manifest->files.items[i]) ? OME_OK : fail_memory(err);
  for (size_t i = 0; rc == OME_OK && join && i < before->files.len; i++)
    if (!manifest_find(job->manifest, before->files.items[i].path))
      rc = VEC_PUSH(&all.files, before->files.items[i]) ? OME_OK : fail_memory(err);
  if (rc == OME_OK) {
    manifest_sort(&all);
    rc = manifest_write(s, &all, id, err);
  }
  VEC_FREE(&all.files); /* the texts are the others' */
  return rc;
}

/* The manifest whose files are in the folder: that of before where a change was cut short.  Borrowed from OLD. */
static const char *laid_out(struct json_object *old) {
  return json_str(old, "before", json_str(old, "manifest", ""));
}

/* Reference, folder, reference again: a folder that appears is always one that a reference names. */
static int32_t publish(const struct session *x, struct ome_err *err) {
  const struct model_store *s = x->store;
  const struct store_job *job = x->job;
  _cleanup_json_ struct json_object *old = reference_read(s, job->name);
  _cleanup_json_ struct json_object *o = new_reference(job, old);
  _cleanup_manifest_ struct manifest before = {0};
  _cleanup_close_ int lock = -1;
  char id[65];

  (void)manifest_read(s, laid_out(old), &before);
  if (before.files.len)
    (void)json_set_str(o, "before", laid_out(old));
  int32_t rc = blob_sync_folders(s, job->manifest, err);
  if (rc == OME_OK)
    rc = model_store_lock(s, &lock, err);
  if (rc == OME_OK)
    rc = write_manifest(s, job, old, &before, id, err);
  (void)json_set_str(o, "manifest", id);
  if (rc == OME_OK)
    rc = reference_write(s, job->name, o, err);
  closep(&lock);
  lock = -1;
  if (rc == OME_OK)
    rc = layout_make(s, job, x->device, err);
  if (rc == OME_OK && !job->owned && !job->partial && is_same_source(job, old))
    rc = layout_drop(s, job->path, &before, job->manifest, err);
  if (rc == OME_OK && json_at(o, "previous"))
    rc = tree_remove(json_str(o, "previous", NULL), err);
  json_del(o, "previous");
  json_del(o, "before");
  (void)json_set_bool(o, "complete", true);
  return rc == OME_OK ? reference_write(s, job->name, o, err) : rc;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

int32_t model_store_bring(struct model_store *s, const struct store_job *job, struct ome_err *err) {
  struct session x;
  int32_t rc = session_open(s, job, &x, err);

  if (rc != OME_OK)
    return rc;
  rc = layout_check_place(s, job, err);
  if (rc == OME_OK)
    rc = begin(s, job, err);
  if (rc == OME_OK)
    rc = layout_check_room(s, job, &x.device, err);
  if (rc == OME_OK)
    rc = bring_blobs(&x, err);
  if (rc == OME_OK)
    rc = publish(&x, err);
  session_close(&x, rc == OME_OK);
  return rc;
}
