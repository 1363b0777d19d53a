#include "transfer/manifest.h"

#include "base/buf.h"
#include "base/quantity.h"
#include "base/str.h"
#include "os/file.h"
#include "transfer/digest.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void manifest_file_fini(struct manifest_file *f) {
  free(f->path);
  free(f->digest);
  free(f->url);
  free(f->etag);
  free(f->local_path);
  sums_fini(&f->sums);
}

void manifest_fini(struct manifest *m) {
  for (size_t i = 0; i < m->files.len; i++)
    manifest_file_fini(&m->files.items[i]);
  VEC_FREE(&m->files);
  free(m->revision);
  *m = (struct manifest){0};
}

/* ---- one file ---------------------------------------------------------------------------------------------------- */

static bool is_digest(const struct ome_model_file *f) {
  /* git's digest begins with the size. */
  if (f->size == OME_SIZE_UNKNOWN && f->digest_type == OME_DIGEST_GIT_SHA1)
    return false;
  return f->digest && digest_is_possible(f->digest_type, f->digest_part_bytes, strlen(f->digest)) &&
         strspn(f->digest, "0123456789abcdefABCDEF") == strlen(f->digest);
}

/* A weak validator cannot guard a range (RFC 9110 §13.1.5). */
static bool is_strong_etag(const char *etag) {
  return etag && etag[0] == '"' && strpbrk(etag, "\r\n") == NULL;
}

static int32_t check(const struct ome_model_file *f, struct ome_err *err) {
  if (!f->path || !path_is_safe(f->path) || strlen(f->path) > 1024)
    return fail(err, OME_E_INVALID, "file list: %.80s: the path does not stay in its folder",
                f->path && *f->path ? f->path : "(no path)");
  if (f->size > MANIFEST_MAX_FILE_BYTES && f->size != OME_SIZE_UNKNOWN)
    return fail(err, OME_E_INVALID, "file list: %.200s: %" PRIu64 " bytes are too many", f->path, f->size);
  if (f->digest_type != OME_DIGEST_NONE && !is_digest(f))
    return fail(err, OME_E_INVALID, "file list: %.200s: its digest cannot be read", f->path);
  if (f->local_path && f->local_path[0] != '/')
    return fail(err, OME_E_INVALID, "file list: %.200s: its local path is not absolute", f->path);
  return OME_OK;
}

static bool copy_text(const char *from, char **to) {
  *to = from ? strdup(from) : NULL;
  return !from || *to;
}

static bool copy_file(const struct ome_model_file *f, struct manifest_file *out) {
  *out = (struct manifest_file){.size = f->size,
                                .digest_type = f->digest_type,
                                .range_bytes = f->range_bytes,
                                .max_conns = f->max_conns,
                                .digest_part_bytes = f->digest_part_bytes};
  bool ok = copy_text(f->path, &out->path);
  ok = copy_text(f->digest_type == OME_DIGEST_NONE ? NULL : f->digest, &out->digest) && ok;
  ok = copy_text(f->url, &out->url) && ok;
  ok = copy_text(is_strong_etag(f->etag) ? f->etag : NULL, &out->etag) && ok;
  return copy_text(f->local_path, &out->local_path) && ok;
}

int32_t manifest_add(struct manifest *m, const struct ome_model_file *pushed, struct ome_err *err) {
  struct manifest_file copy;
  struct ome_model_file f = {.struct_size = 0}; /* what an older plugin does not have stays zero */

  memcpy(&f, pushed, pushed->struct_size < sizeof(f) ? pushed->struct_size : sizeof(f));
  int32_t rc = check(&f, err);
  if (rc != OME_OK)
    return rc;
  if (m->files.len >= MANIFEST_MAX_FILES)
    return fail(err, OME_E_INVALID, "file list: more than %u files; give the address of one model", MANIFEST_MAX_FILES);
  if (!copy_file(&f, &copy) || !VEC_PUSH(&m->files, copy)) {
    manifest_file_fini(&copy);
    return fail_memory(err);
  }
  m->total_bytes += f.size == OME_SIZE_UNKNOWN ? 0 : f.size;
  return OME_OK;
}

void manifest_remove(struct manifest *m, size_t index) {
  m->total_bytes -= m->files.items[index].size == OME_SIZE_UNKNOWN ? 0 : m->files.items[index].size;
  manifest_file_fini(&m->files.items[index]);
  VEC_REMOVE(&m->files, index);
}

/* ---- the whole list ---------------------------------------------------------------------------------------------- */

static int by_path(const void *a, const void *b) {
  return strcmp(((const struct manifest_file *)a)->path, ((const struct manifest_file *)b)->path);
}

struct manifest_file *manifest_find(const struct manifest *m, const char *path) {
  const struct manifest_file key = {.path = (char *)(uintptr_t)path};

  return m->files.len ? bsearch(&key, m->files.items, m->files.len, sizeof(key), by_path) : NULL;
}

void manifest_sort(struct manifest *m) {
  if (m->files.len)
    qsort(m->files.items, m->files.len, sizeof(*m->files.items), by_path);
}

static int32_t no_file_is_folder(const struct manifest *m, size_t i, struct ome_err *err) {
  const char *path = m->files.items[i].path;

  for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
    _cleanup_free_ char *folder = str_copy(path, (size_t)(slash - path));
    if (!folder)
      return fail_memory(err);
    if (manifest_find(m, folder))
      return fail(err, OME_E_INVALID, "file list: %.200s: is a file and a folder", folder);
  }
  return OME_OK;
}

int32_t manifest_finish(struct manifest *m, struct ome_err *err) {
  int32_t rc = OME_OK;

  manifest_sort(m);
  for (size_t i = 0; rc == OME_OK && i < m->files.len; i++) {
    if (i && streq(m->files.items[i - 1].path, m->files.items[i].path))
      rc = fail(err, OME_E_INVALID, "file list: %.200s: is there twice", m->files.items[i].path);
    else
      rc = no_file_is_folder(m, i, err);
  }
  return rc;
}

void manifest_identity(const struct manifest *m, char out[65]) {
  _cleanup_buf_ struct buf text = BUF_INIT;

  buf_adds(&text, m->revision);
  for (size_t i = 0; i < m->files.len; i++) {
    const struct manifest_file *f = &m->files.items[i];
    buf_addf(&text, "\n%" PRIu64 " %u %s ", f->size, f->digest_type, f->digest ? f->digest : f->etag ? f->etag : "-");
    buf_adds(&text, f->path);
  }
  sha256_hex(buf_str(&text), text.len, out);
}

struct ome_model_file manifest_view(const struct manifest_file *f) {
  return (struct ome_model_file){.struct_size = sizeof(struct ome_model_file),
                                 .digest_type = f->digest_type,
                                 .path = f->path,
                                 .size = f->size,
                                 .digest = f->digest,
                                 .url = f->url,
                                 .etag = f->etag,
                                 .range_bytes = f->range_bytes,
                                 .max_conns = f->max_conns,
                                 .digest_part_bytes = f->digest_part_bytes,
                                 .local_path = f->local_path};
}

/* ---- from a plugin ----------------------------------------------------------------------------------------------- */

struct listing {
  struct manifest *m;
  struct ome_err err; /* of ours: what the plugin makes of it is less precise */
};

static int32_t on_revision(struct ome_file_sink *s, const char *revision) {
  struct listing *l = s->ctx;

  free(l->m->revision);
  return copy_text(revision, &l->m->revision) ? OME_OK : fail_memory(&l->err);
}

static int32_t on_file(struct ome_file_sink *s, const struct ome_model_file *f) {
  struct listing *l = s->ctx;

  return manifest_add(l->m, f, &l->err);
}

/* ---- patterns ---------------------------------------------------------------------------------------------------- */

static bool is_like(const char *patterns, const char *path) {
  while (*patterns) {
    size_t len = strcspn(patterns, ",");
    _cleanup_free_ char *one = str_copy(patterns, len);
    if (one && len && fnmatch(one, path, 0) == 0)
      return true;
    patterns += len + (patterns[len] == ',');
  }
  return false;
}

static const char *param(const struct ome_model_ref *ref, const char *key) {
  for (uint64_t i = 0; i < ref->nparams; i++)
    if (streq(ref->params[i].key, key))
      return ref->params[i].value;
  return "";
}

/* spec.storage.parameters.include and .exclude: the same for every backend. */
static void leave_out(struct manifest *m, const struct ome_model_ref *ref) {
  const char *include = param(ref, "include");
  const char *exclude = param(ref, "exclude");
  size_t kept = 0;

  for (size_t i = 0; i < m->files.len && (*include || *exclude); i++) {
    struct manifest_file *f = &m->files.items[i];
    if (is_like(exclude, f->path) || (*include && !is_like(include, f->path))) {
      m->total_bytes -= f->size == OME_SIZE_UNKNOWN ? 0 : f->size;
      manifest_file_fini(f);
    } else {
      m->files.items[kept++] = *f;
    }
  }
  m->files.len = *include || *exclude ? kept : m->files.len;
}

int32_t manifest_max_rate(const struct ome_model_ref *ref, uint64_t *out, struct ome_err *err) {
  const char *text = param(ref, "maxRate");
  int64_t rate = 0;

  if (*text && (!quantity_value(text, &rate) || rate <= 0))
    return fail(err, OME_E_INVALID,
                "list: %.200s: the parameter maxRate is \"%.40s\"; give bytes a second, as 500k, 20M or 1Gi", ref->uri,
                text);
  *out = (uint64_t)rate;
  return OME_OK;
}

/* A backend that pins nothing has not done what was asked of it. */
static int32_t check_revision(const struct manifest *m, const struct ome_model_ref *ref, struct ome_err *err) {
  if (m->revision || !ref->revision || !*ref->revision)
    return OME_OK;
  return fail(err, OME_E_INVALID, "list: %.200s: has no revisions, but \"%.60s\" is asked for; leave the revision out",
              ref->uri, ref->revision);
}

/* Nothing to bring is what was asked for only where it is of the backend's nature. */
static int32_t check_files(const struct manifest *m, size_t listed, const struct plugin_instance *i,
                           const struct ome_model_ref *ref, struct ome_err *err) {
  if (m->files.len || plugin_storage_caps(i) & OME_STORAGE_NO_FILES)
    return OME_OK;
  return listed ? fail(err, OME_E_INVALID,
                       "list: %.200s: the parameters include and exclude leave none of its %zu files; check them",
                       ref->uri, listed)
                : fail(err, OME_E_NOT_FOUND, "list: %.200s: there are no files; check the address", ref->uri);
}

/* What to do about a failure of whose cause the plugin says nothing more: the way there. */
static int32_t advise(int32_t rc, struct ome_err *err) {
  if (rc == OME_E_UNAVAILABLE || rc == OME_E_DEADLINE)
    (void)err_advise(err, "check the address and the network, or try again later");
  return rc;
}

int32_t manifest_list(struct plugin_instance *i, const struct plugin_call *call, const struct ome_model_ref *ref,
                      struct manifest *out, struct ome_err *err) {
  _cleanup_manifest_ struct manifest m = {0};
  struct listing l = {.m = &m};
  struct ome_file_sink sink = {.struct_size = sizeof(sink), .ctx = &l, .revision = on_revision, .file = on_file};
  uint64_t rate;
  int32_t rc = manifest_max_rate(ref, &rate, err); /* before anything is asked */

  if (rc == OME_OK)
    rc = plugin_storage_list(i, call, ref, &sink, err);
  if (l.err.code != OME_OK) {
    *err = l.err;
    return l.err.code;
  }
  if (rc == OME_OK)
    rc = check_revision(&m, ref, err);
  if (rc == OME_OK) {
    size_t listed = m.files.len;
    leave_out(&m, ref);
    rc = check_files(&m, listed, i, ref, err);
  }
  if (rc == OME_OK)
    rc = manifest_finish(&m, err);
  if (rc != OME_OK)
    return advise(rc, err);
  *out = m;
  m = (struct manifest){0};
  return OME_OK;
}
