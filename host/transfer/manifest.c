#include "transfer/manifest.h"

#include "base/buf.h"
#include "base/str.h"
#include "os/file.h"

#include <inttypes.h>
#include <string.h>

void manifest_file_fini(struct manifest_file *f) {
  free(f->path);
  free(f->digest);
  free(f->url);
  free(f->etag);
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

static bool is_digest(uint32_t type, const char *hex) {
  static const size_t bytes[] = {[OME_DIGEST_SHA256] = 32, [OME_DIGEST_GIT_SHA1] = 20, [OME_DIGEST_MD5] = 16,
                                 [OME_DIGEST_CRC32C] = 4,  [OME_DIGEST_SHA1] = 20,     [OME_DIGEST_CRC32] = 4};
  uint8_t raw[32];

  return type < ARRAY_LEN(bytes) && bytes[type] && hex && strlen(hex) == 2 * bytes[type] &&
         hex_decode(hex, raw, bytes[type]);
}

/* A weak validator cannot guard a range (RFC 9110 §13.1.5). */
static bool is_strong_etag(const char *etag) {
  return etag && etag[0] == '"' && strpbrk(etag, "\r\n") == NULL;
}

static int32_t check(const struct ome_model_file *f, struct ome_err *err) {
  if (!f->path || !path_is_safe(f->path) || strlen(f->path) > 1024)
    return fail(err, OME_E_INVALID, "file list: %.80s: the path does not stay in its folder",
                f->path && *f->path ? f->path : "(no path)");
  if (f->size > MANIFEST_MAX_FILE_BYTES)
    return fail(err, OME_E_INVALID, "file list: %.200s: %" PRIu64 " bytes are too many", f->path, f->size);
  if (f->digest_type != OME_DIGEST_NONE && !is_digest(f->digest_type, f->digest))
    return fail(err, OME_E_INVALID, "file list: %.200s: its digest cannot be read", f->path);
  return OME_OK;
}

static bool copy_text(const char *from, char **to) {
  *to = from ? strdup(from) : NULL;
  return !from || *to;
}

#define SEEN(f, m) ((f)->struct_size >= offsetof(struct ome_model_file, m) + sizeof((f)->m))

int32_t manifest_add(struct manifest *m, const struct ome_model_file *f, struct ome_err *err) {
  struct manifest_file copy = {0};
  int32_t rc = check(f, err);

  if (rc != OME_OK)
    return rc;
  if (m->files.len >= MANIFEST_MAX_FILES)
    return fail(err, OME_E_INVALID, "file list: more than %u files; is this one model?", MANIFEST_MAX_FILES);
  copy.size = f->size;
  copy.digest_type = f->digest_type;
  copy.range_bytes = SEEN(f, range_bytes) ? f->range_bytes : 0;
  copy.max_conns = SEEN(f, max_conns) ? f->max_conns : 0;
  bool ok = copy_text(f->path, &copy.path);
  ok = copy_text(f->digest_type == OME_DIGEST_NONE ? NULL : f->digest, &copy.digest) && ok;
  ok = copy_text(SEEN(f, url) ? f->url : NULL, &copy.url) && ok;
  ok = copy_text(SEEN(f, etag) && is_strong_etag(f->etag) ? f->etag : NULL, &copy.etag) && ok;
  if (!ok || !VEC_PUSH(&m->files, copy)) {
    manifest_file_fini(&copy);
    return fail_memory(err);
  }
  m->total_bytes += f->size;
  return OME_OK;
}

/* ---- the whole list ---------------------------------------------------------------------------------------------- */

static int by_path(const void *a, const void *b) {
  return strcmp(((const struct manifest_file *)a)->path, ((const struct manifest_file *)b)->path);
}

static int32_t no_file_is_folder(const struct manifest *m, size_t i, struct ome_err *err) {
  const char *path = m->files.items[i].path;

  for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
    _cleanup_free_ char *folder = str_copy(path, (size_t)(slash - path));
    const struct manifest_file key = {.path = folder};
    if (!folder)
      return fail_memory(err);
    if (bsearch(&key, m->files.items, m->files.len, sizeof(key), by_path))
      return fail(err, OME_E_INVALID, "file list: %.200s: is a file and a folder", folder);
  }
  return OME_OK;
}

int32_t manifest_finish(struct manifest *m, struct ome_err *err) {
  int32_t rc = OME_OK;

  if (m->files.len == 0)
    return fail(err, OME_E_NOT_FOUND, "file list: there are no files; check the name, the revision and the patterns");
  qsort(m->files.items, m->files.len, sizeof(*m->files.items), by_path);
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
                                 .max_conns = f->max_conns};
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

int32_t manifest_list(struct plugin_instance *i, const struct plugin_call *call, const struct ome_model_ref *ref,
                      struct manifest *out, struct ome_err *err) {
  _cleanup_manifest_ struct manifest m = {0};
  struct listing l = {.m = &m};
  struct ome_file_sink sink = {.struct_size = sizeof(sink), .ctx = &l, .revision = on_revision, .file = on_file};
  int32_t rc = plugin_storage_list(i, call, ref, &sink, err);

  if (l.err.code != OME_OK) {
    *err = l.err;
    return l.err.code;
  }
  if (rc == OME_OK)
    rc = manifest_finish(&m, err);
  if (rc != OME_OK)
    return rc;
  *out = m;
  m = (struct manifest){0};
  return OME_OK;
}
