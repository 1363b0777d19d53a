/* Files of this machine to wherever a storage plugin writes, verified by what the backend lists afterwards. */
#include "cli/delivery.h"

#include "base/str.h"
#include "cli/backends.h"
#include "os/file.h"
#include "plugin/plugin.h"
#include "transfer/digest.h"
#include "transfer/upload.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_DEPTH 32

struct files {
  VEC(struct upload_file) items;
};

static void files_fini(struct files *f) {
  for (size_t i = 0; i < f->items.len; i++) {
    free(f->items.items[i].path);
    free(f->items.items[i].from);
  }
  VEC_FREE(&f->items);
}

/* ---- what is to be sent ------------------------------------------------------------------------------------------ */

static int32_t add_file(const struct delivery *p, struct files *out, const char *from, const char *path, uint64_t size,
                        struct ome_err *err) {
  if (p->wanted && !is_wanted(p->wanted, path))
    return OME_OK;
  if (!path_is_safe(path))
    return fail(err, OME_E_INVALID, "push: %.300s: the name cannot be used elsewhere; rename it or --exclude it", from);
  if (out->items.len == MANIFEST_MAX_FILES)
    return fail(err, OME_E_INVALID, "push: %s: holds more than %u files", p->from, MANIFEST_MAX_FILES);
  struct upload_file f = {.path = strdup(path), .from = strdup(from), .size = size};
  if (f.path && f.from && VEC_PUSH(&out->items, f))
    return OME_OK;
  free(f.path);
  free(f.from);
  return fail_memory(err);
}

static int32_t add_folder(const struct delivery *p, struct files *out, const char *from, const char *path, int depth,
                          struct ome_err *err);

/* NAME in folder FROM, which is PATH ("": the root) of what is pushed.  Links to files are followed, as hub caches have
 * them; links to folders could go in circles. */
static int32_t add_entry(const struct delivery *p, struct files *out, const char *from, const char *path,
                         const char *name, int depth, struct ome_err *err) {
  _cleanup_free_ char *full = path_join(from, name);
  _cleanup_free_ char *below = *path ? path_join(path, name) : strdup(name);
  struct stat st;

  if (!full || !below)
    return fail_memory(err);
  if (stat(full, &st) != 0)
    return fail_errno(err, "push", full);
  if (S_ISREG(st.st_mode))
    return add_file(p, out, full, below, (uint64_t)st.st_size, err);
  if (S_ISDIR(st.st_mode) && lstat(full, &st) == 0 && S_ISDIR(st.st_mode))
    return add_folder(p, out, full, below, depth + 1, err);
  return OME_OK;
}

static int visible(const struct dirent *e) {
  return e->d_name[0] != '.';
}

static int32_t add_folder(const struct delivery *p, struct files *out, const char *from, const char *path, int depth,
                          struct ome_err *err) {
  struct dirent **names = NULL;
  int32_t rc = OME_OK;

  if (depth > MAX_DEPTH)
    return fail(err, OME_E_INVALID, "push: %.300s: folders are nested deeper than %d", from, MAX_DEPTH);
  int n = scandir(from, &names, visible, alphasort);
  if (n < 0)
    return fail_errno(err, "push", from);
  for (int i = 0; i < n; i++) {
    if (rc == OME_OK)
      rc = add_entry(p, out, from, path, names[i]->d_name, depth, err);
    free(names[i]);
  }
  free(names);
  return rc;
}

static int32_t find_files(const struct delivery *p, struct files *out, struct ome_err *err) {
  const char *slash = strrchr(p->from, '/');
  struct stat st;
  int32_t rc;

  if (stat(p->from, &st) != 0)
    return fail_errno(err, "push", p->from);
  if (S_ISDIR(st.st_mode))
    rc = add_folder(p, out, p->from, "", 0, err);
  else
    rc = add_file(p, out, p->from, slash ? slash + 1 : p->from, (uint64_t)st.st_size, err);
  if (rc == OME_OK && out->items.len == 0)
    return fail(err, OME_E_NOT_FOUND, "push: %s: there is nothing to push", p->from);
  return rc;
}

/* ---- what is there ----------------------------------------------------------------------------------------------- */

enum sameness { DIFFERENT, SAME_SIZE, SAME_DIGEST };

/* How far what the backend lists is F. */
static enum sameness compare(const struct delivery *p, const struct upload_file *f, const struct manifest_file *there) {
  struct ome_err err = ERR_INIT;
  char sha256[65], wanted[65];

  if (!there || there->size != f->size)
    return DIFFERENT;
  if (!there->digest)
    return SAME_SIZE;
  if (there->digest_type == OME_DIGEST_SHA256)
    return strcasecmp(there->digest, f->sha256) == 0 ? SAME_DIGEST : DIFFERENT;
  if (there->digest_type == OME_DIGEST_MD5)
    return strcasecmp(there->digest, f->md5) == 0 ? SAME_DIGEST : DIFFERENT;
  _cleanup_close_ int fd = open(f->from, O_RDONLY | O_CLOEXEC);
  return fd >= 0 && digest_file(fd, there, p->cancelled, NULL, sha256, wanted, NULL, &err) == OME_OK &&
                 strcasecmp(there->digest, wanted) == 0
             ? SAME_DIGEST
             : DIFFERENT;
}

static int32_t list(const struct delivery *p, struct plugin_instance *storage, const struct ome_model_ref *ref,
                    struct manifest *m, struct ome_err *err) {
  const struct plugin_call call = {.timeout_ms = 300000, .cancelled = p->cancelled};

  return manifest_list(storage, &call, ref, m, err);
}

/* What the upload's callbacks need. */
struct sending {
  const struct delivery *delivery;
  struct transfer_report *report;
  const struct manifest *there;
  atomic_uint present;
};

static bool is_there(void *arg, const struct upload_file *f) {
  struct sending *s = arg;
  bool same = compare(s->delivery, f, manifest_find(s->there, f->path)) == SAME_DIGEST;

  (void)atomic_fetch_add(&s->present, same);
  return same;
}

static void on_event(void *arg, const struct transfer_event *e) {
  struct sending *s = arg;

  if (s->report)
    transfer_report_event(s->report, e);
}

/* The backend's own word on what it has now. */
static int32_t verify(const struct delivery *p, const struct files *files, const struct manifest *there,
                      struct ome_err *err) {
  for (size_t i = 0; i < files->items.len; i++) {
    const struct upload_file *f = &files->items.items[i];
    const struct manifest_file *found = manifest_find(there, f->path);
    if (!found)
      return fail(err, OME_E_CORRUPT, "push: %.300s: was sent, but the backend does not list it; push it again",
                  f->path);
    if (compare(p, f, found) == DIFFERENT)
      return fail(err, OME_E_CORRUPT,
                  "push: %.300s: the backend lists another size or digest than was sent; "
                  "push it again when nobody else writes there",
                  f->path);
  }
  return OME_OK;
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static int32_t send(const struct delivery *p, struct plugin_instance *storage, struct transfer_event *end,
                    struct ome_err *err) {
  _cleanup_(files_fini) struct files files = {0};
  _cleanup_manifest_ struct manifest before = {0};
  _cleanup_manifest_ struct manifest after = {0};
  const struct ome_model_ref ref = {.struct_size = sizeof(ref),
                                    .uri = p->uri,
                                    .revision = p->revision,
                                    .params = p->parameters->list.items,
                                    .nparams = p->parameters->list.len};
  struct sending sending = {.delivery = p, .report = p->report, .there = &before};
  struct upload_job job = {.plugin = storage,
                           .ref = &ref,
                           .connections = (uint32_t)p->connections,
                           .is_there = is_there,
                           .event = on_event,
                           .cancelled = p->cancelled,
                           .arg = &sending};
  int32_t rc = find_files(p, &files, err);

  if (rc == OME_OK)
    rc = list(p, storage, &ref, &before, err);
  if (rc == OME_E_NOT_FOUND && files.items.len) { /* nothing is there yet */
    err_clear(err);
    rc = OME_OK;
  }
  job.files = files.items.items;
  job.nfiles = files.items.len;
  for (size_t i = 0; i < job.nfiles; i++)
    end->total_bytes += job.files[i].size;
  end->total_files = (uint32_t)job.nfiles;
  end->file = p->uri;
  if (rc == OME_OK)
    rc = upload_run(&job, err);
  bool sent = atomic_load(&sending.present) < job.nfiles;
  if (rc == OME_OK && sent)
    rc = list(p, storage, &ref, &after, err);
  if (rc == OME_OK)
    rc = verify(p, &files, sent ? &after : &before, err);
  if (rc == OME_OK) {
    end->bytes = end->total_bytes;
    end->files = end->total_files;
  }
  return rc;
}

/* The backend for URI. */
static int32_t find_writer(struct backends *b, const char *plugins, const char *uri, struct plugin_instance **out,
                           struct ome_err *err) {
  int32_t rc = backends_open(b, plugins, err);

  if (rc == OME_OK)
    rc = plugins_storage_for(b->plugins, uri, out, err);
  if (rc == OME_OK && !plugin_uploads(*out))
    return fail(err, OME_E_UNSUPPORTED,
                "push: %.300s: the storage plugin %s only reads; see `ome plugin list` for others", uri,
                plugin_instance_name(*out));
  return rc;
}

int32_t deliver_check(const char *plugins, const char *uri, struct ome_err *err) {
  _cleanup_backends_ struct backends backends = {0};
  struct plugin_instance *storage = NULL;

  return find_writer(&backends, plugins, uri, &storage, err);
}

int32_t deliver(const struct delivery *p, struct transfer_event *end, struct ome_err *err) {
  _cleanup_backends_ struct backends backends = {0};
  struct plugin_instance *storage = NULL;
  /* Backends that keep none compute digests when they are asked to. */
  int32_t rc = parameters_add(p->parameters, "digests", "sha256", err);

  if (rc == OME_OK) /* and those that know files by their place in something larger, by that below the address */
    rc = parameters_add(p->parameters, "paths", "relative", err);
  if (rc == OME_OK)
    rc = find_writer(&backends, p->plugins, p->uri, &storage, err);
  return rc == OME_OK ? send(p, storage, end, err) : rc;
}
