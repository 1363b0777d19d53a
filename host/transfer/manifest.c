#include "base/str.h"
#include "base/vec.h"
#include "os/file.h"
#include "transfer/transfer.h"

#include <ctype.h>
#include <string.h>

#define MAX_FILES 100000u

struct collector {
  struct ome_file_sink sink;
  char *revision;
  VEC(struct manifest_file) files;
  uint64_t bytes;
  struct ome_err *err;
};

static void file_fini(struct manifest_file *f) {
  free(f->path);
  free(f->digest);
  free(f->url);
  free(f->etag);
}

static int32_t on_revision(struct ome_file_sink *sink, const char *revision) {
  struct collector *c = sink->ctx;

  free(c->revision);
  c->revision = revision ? strdup(revision) : NULL;
  return OME_OK;
}

static bool is_hex_digest(uint32_t type, const char *digest) {
  static const size_t lengths[] = {
      [OME_DIGEST_SHA256] = 64, [OME_DIGEST_GIT_SHA1] = 40, [OME_DIGEST_MD5] = 32, [OME_DIGEST_CRC32C] = 8};

  if (type >= ARRAY_LEN(lengths) || !digest || strlen(digest) != lengths[type])
    return false;
  for (const char *p = digest; *p; p++)
    if (!isxdigit((unsigned char)*p) || isupper((unsigned char)*p))
      return false;
  return true;
}

static bool has_path(const struct collector *c, const char *path) {
  for (size_t i = 0; i < c->files.len; i++)
    if (streq(c->files.items[i].path, path))
      return true;
  return false;
}

static int32_t on_file(struct ome_file_sink *sink, const struct ome_model_file *f) {
  struct collector *c = sink->ctx;

  if (!path_is_safe(f->path))
    return fail(c->err, OME_E_INVALID, "file \"%.100s\": its name leads out of the model's folder", f->path);
  if (c->files.len >= MAX_FILES || __builtin_add_overflow(c->bytes, f->size, &c->bytes))
    return fail(c->err, OME_E_INVALID, "the model has more than %u files", MAX_FILES);
  if (has_path(c, f->path))
    return fail(c->err, OME_E_INVALID, "file \"%.100s\" is listed twice", f->path);
  if (f->digest_type != OME_DIGEST_NONE && !is_hex_digest(f->digest_type, f->digest))
    return fail(c->err, OME_E_INVALID, "file \"%.100s\": its digest is malformed", f->path);
  struct manifest_file m = {.path = strdup(f->path),
                            .digest = f->digest_type != OME_DIGEST_NONE ? strdup(f->digest) : NULL,
                            .url = f->url ? strdup(f->url) : NULL,
                            .etag = f->etag ? strdup(f->etag) : NULL,
                            .digest_type = f->digest_type,
                            .size = f->size};
  if (m.path && VEC_PUSH(&c->files, m))
    return OME_OK;
  file_fini(&m);
  return fail_memory(c->err);
}

void manifest_fini(struct manifest *m) {
  for (size_t i = 0; i < m->n; i++)
    file_fini(&m->files[i]);
  free(m->files);
  free(m->revision);
  memset(m, 0, sizeof(*m));
}

int32_t manifest_fetch(struct plugin_instance *storage, const struct plugin_call *call, const struct ome_model_ref *ref,
                       struct manifest *out, struct ome_err *err) {
  struct ome_err sink_err = ERR_INIT;
  struct collector c = {.sink = {.struct_size = sizeof(c.sink), .revision = on_revision, .file = on_file},
                        .err = &sink_err};
  struct manifest m;

  c.sink.ctx = &c;
  int32_t rc = plugin_storage_list(storage, call, ref, &c.sink, err);
  m = (struct manifest){c.revision, c.files.items, c.files.len, c.bytes};
  if (sink_err.code) {
    *err = sink_err; /* what we refused, in our own words */
    rc = sink_err.code;
  }
  if (rc == OME_OK && m.n == 0)
    rc = fail(err, OME_E_NOT_FOUND, "%s: there are no files", ref->uri);
  if (rc != OME_OK) {
    manifest_fini(&m);
    return rc;
  }
  *out = m;
  return OME_OK;
}
