#include "transfer/remote_model.h"

#include "base/str.h"
#include "base/strmap.h"
#include "transfer/peek.h"

#include <inttypes.h>
#include <string.h>

#define STEP ((size_t)1 << 20)      /* fetched at least when what was fetched ahead is not enough */
#define MAX_STEP ((size_t)16 << 20) /* at a time */
#define SMALL ((size_t)64 << 10)    /* of files whose size nobody knows */
#define TOGETHER 256u               /* requests on their way: headers are small, what they take is the way there */

/* What is here of one file: a stretch of it. */
struct stretch {
  uint64_t at;
  struct buf data;
  size_t step; /* the next one's length */
};

struct remote {
  struct peek_source peeks;
  struct manifest manifest;
  struct strmap *stretches; /* path -> struct stretch */
  VEC(struct model_file) files;
};

static void stretch_free(void *p) {
  struct stretch *s = p;

  buf_fini(&s->data);
  free(s);
}

static void remote_fini(struct remote *r) {
  http_client_freep(&r->peeks.client);
  manifest_fini(&r->manifest);
  strmap_free(r->stretches);
  VEC_FREE(&r->files);
}

static struct stretch *stretch_of(struct remote *r, const char *path) {
  struct stretch *s = strmap_get(r->stretches, path);

  if (s)
    return s;
  s = calloc(1, sizeof(*s));
  if (!s || !strmap_put(r->stretches, path, s)) {
    free(s);
    return NULL;
  }
  s->step = STEP;
  return s;
}

/* The answer becomes what is here of the file. */
static int32_t keep(struct remote *r, struct peek *p) {
  struct stretch *s = stretch_of(r, p->file->path);

  if (!s)
    return OME_E_NO_MEMORY;
  buf_fini(&s->data);
  s->data = p->data;
  s->at = p->offset;
  buf_init(&p->data, 1);
  return OME_OK;
}

/* ---- as a source of the parsers ---------------------------------------------------------------------------------- */

static int32_t prepare(void *arg, const struct model_range *ranges, size_t n, struct ome_err *err) {
  struct remote *r = arg;
  _cleanup_free_ struct peek *pieces = calloc(n ? n : 1, sizeof(*pieces));
  size_t wanted = 0;

  if (!pieces)
    return fail_memory(err);
  for (size_t i = 0; i < n; i++) {
    const struct manifest_file *f = manifest_find(&r->manifest, ranges[i].path);
    if (!f || strmap_has(r->stretches, ranges[i].path) || ranges[i].len == 0)
      continue;
    pieces[wanted++] = (struct peek){.file = f, .len = f->size < ranges[i].len ? (size_t)f->size : ranges[i].len};
  }
  int32_t rc = peek_all(&r->peeks, pieces, wanted, err);
  for (size_t i = 0; i < wanted; i++) {
    if (rc == OME_OK && pieces[i].rc == OME_OK && keep(r, &pieces[i]) != OME_OK)
      rc = fail_memory(err);
    buf_fini(&pieces[i].data);
  }
  return rc;
}

static int32_t fetch(struct remote *r, const struct manifest_file *f, struct stretch *s, uint64_t offset, size_t len,
                     struct ome_err *err) {
  uint64_t left = f->size - offset;
  size_t want = len > s->step ? len : s->step;
  struct peek piece = {.file = f, .offset = offset, .len = want < left ? want : (size_t)left};
  int32_t rc = peek_all(&r->peeks, &piece, 1, err);

  if (rc == OME_OK && piece.rc != OME_OK) {
    *err = piece.err;
    rc = piece.rc;
  }
  if (rc == OME_OK)
    rc = keep(r, &piece);
  buf_fini(&piece.data);
  s->step = s->step < MAX_STEP ? s->step * 2 : s->step;
  return rc;
}

static int32_t read_range(void *arg, const char *path, uint64_t offset, void *out, size_t len, struct ome_err *err) {
  struct remote *r = arg;
  const struct manifest_file *f = manifest_find(&r->manifest, path);
  struct stretch *s = f ? stretch_of(r, path) : NULL;
  char *to = out;

  if (!f || offset > f->size || len > f->size - offset)
    return fail(err, OME_E_CORRUPT, "inspect: %s: is read beyond its end", path);
  if (!s)
    return fail_memory(err);
  while (len) {
    if (offset < s->at || offset - s->at >= s->data.len) {
      int32_t rc = fetch(r, f, s, offset, len, err);
      if (rc != OME_OK)
        return rc;
      if (s->data.len == 0)
        return fail(err, OME_E_CORRUPT, "inspect: %s: ends before byte %" PRIu64 " of %" PRIu64, path, offset, f->size);
    }
    size_t from = (size_t)(offset - s->at);
    size_t n = s->data.len - from < len ? s->data.len - from : len;
    memcpy(to, s->data.data + from, n);
    to += n;
    offset += n;
    len -= n;
  }
  return OME_OK;
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

static bool says_something(const char *path) {
  static const char *const ends[] = {".json", ".safetensors", ".gguf", ".bin", ".pth", "README.md"};
  bool any = false;

  for (size_t i = 0; i < ARRAY_LEN(ends); i++)
    any = any || has_suffix(path, ends[i]);
  return any;
}

/* Files whose size the list does not say: their first bytes come with it. */
static int32_t learn_sizes(struct remote *r, struct ome_err *err) {
  _cleanup_free_ struct peek *pieces = calloc(r->manifest.files.len + 1, sizeof(*pieces));
  size_t n = 0;

  if (!pieces)
    return fail_memory(err);
  for (size_t i = 0; i < r->manifest.files.len; i++) {
    const struct manifest_file *f = &r->manifest.files.items[i];
    if (f->size == OME_SIZE_UNKNOWN && says_something(f->path))
      pieces[n++] = (struct peek){.file = f, .len = SMALL};
  }
  int32_t rc = n ? peek_all(&r->peeks, pieces, n, err) : OME_OK;
  for (size_t i = 0; i < n; i++) {
    struct manifest_file *f = manifest_find(&r->manifest, pieces[i].file->path);
    if (rc == OME_OK && pieces[i].rc == OME_OK) {
      f->size = pieces[i].size != OME_SIZE_UNKNOWN ? pieces[i].size : pieces[i].data.len;
      rc = keep(r, &pieces[i]) == OME_OK ? OME_OK : fail_memory(err);
    }
    buf_fini(&pieces[i].data);
  }
  return rc;
}

static int32_t list_files(struct remote *r, struct ome_err *err) {
  int32_t rc = learn_sizes(r, err);

  for (size_t i = 0; rc == OME_OK && i < r->manifest.files.len; i++) {
    const struct manifest_file *f = &r->manifest.files.items[i];
    const struct model_file file = {f->path, f->size};
    if (f->size != OME_SIZE_UNKNOWN && !VEC_PUSH(&r->files, file))
      rc = fail_memory(err);
  }
  return rc;
}

int32_t remote_model_facts(struct plugin_instance *plugin, const struct plugin_call *call,
                           const struct ome_model_ref *ref, struct model_facts *out, struct ome_err *err) {
  _cleanup_(remote_fini) struct remote r = {.peeks = {.plugin = plugin, .ref = ref, .call = call}};

  r.stretches = strmap_new(stretch_free);
  int32_t rc = r.stretches ? manifest_list(plugin, call, ref, &r.manifest, err) : fail_memory(err);
  if (rc == OME_OK)
    rc = http_client_new(&(struct http_client_config){.max_connections = TOGETHER}, &r.peeks.client, err);
  if (rc == OME_OK)
    rc = list_files(&r, err);
  const struct model_source src = {
      .files = r.files.items, .nfiles = r.files.len, .read = read_range, .prepare = prepare, .arg = &r};
  if (rc == OME_OK && (rc = model_facts_read(&src, out, err)) != OME_OK)
    (void)fail_prefix(err, "%s", ref->uri);
  return rc;
}
