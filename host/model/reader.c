#include "model/internal.h"

#include "base/buf.h"
#include "base/str.h"

#include <inttypes.h>
#include <string.h>

#define WINDOW ((size_t)256 << 10)
#define FIRST_WINDOW                                                                                                   \
  ((size_t)16 << 10) /* a short header is all of what is read; each further window is twice as large */

const struct model_file *source_find(const struct model_source *src, const char *path) {
  for (size_t i = 0; i < src->nfiles; i++)
    if (streq(src->files[i].path, path))
      return &src->files[i];
  return NULL;
}

int32_t source_prepare(const struct model_source *src, const struct model_range *ranges, size_t n,
                       struct ome_err *err) {
  return src->prepare ? src->prepare(src->arg, ranges, n, err) : OME_OK;
}

/* Python writes numbers that JSON has not: OUT is TEXT with 1e308 and null in their places, as OME reads them. */
static bool without_nonfinite(const char *text, size_t len, struct buf *out) {
  static const struct { const char *word, *instead; } words[] = {{"Infinity", "1e308"}, {"NaN", "null"}};
  bool in_string = false;
  size_t copied = 0;

  for (size_t i = 0; i < len; i++) {
    if (in_string && text[i] == '\\')
      i++;
    else if (text[i] == '"')
      in_string = !in_string;
    for (size_t k = 0; !in_string && k < ARRAY_LEN(words); k++) {
      size_t n = strlen(words[k].word);
      if (len - i < n || memcmp(text + i, words[k].word, n) != 0)
        continue;
      buf_add(out, text + copied, i - copied);
      buf_addf(out, "%s", words[k].instead);
      copied = i + n;
    }
  }
  buf_add(out, text + copied, len - copied);
  return buf_ok(out);
}

static int32_t parse(const char *text, size_t len, size_t max, struct json_object **out, struct ome_err *err) {
  _cleanup_buf_ struct buf tame = BUF_INIT;
  struct ome_err again = ERR_INIT;

  if (json_parse(text, len, max, out, err) == OME_OK)
    return OME_OK;
  if (without_nonfinite(text, len, &tame) && json_parse(buf_str(&tame), tame.len, max, out, &again) == OME_OK) {
    err_clear(err);
    return OME_OK;
  }
  return err->code = OME_E_CORRUPT;
}

int32_t source_json(const struct model_source *src, const char *path, size_t max, struct json_object **out,
                    struct ome_err *err) {
  return source_json_twice(src, path, max, out, NULL, err);
}

int32_t source_json_twice(const struct model_source *src, const char *path, size_t max, struct json_object **out,
                          bool *twice, struct ome_err *err) {
  const struct model_file *f = source_find(src, path);

  *out = NULL;
  if (!f)
    return OME_OK;
  if (f->size > max)
    return fail(err, OME_E_CORRUPT, "model: %s: %" PRIu64 " bytes are too many for it", path, f->size);
  _cleanup_free_ char *text = malloc((size_t)f->size + 1);
  if (!text)
    return fail_memory(err);
  int32_t rc = src->read(src->arg, path, 0, text, (size_t)f->size, err);
  if (rc == OME_OK)
    rc = parse(text, (size_t)f->size, max, out, err);
  if (twice && rc == OME_OK)
    *twice = json_text_keys(text, (size_t)f->size, JSON_MAX_DEPTH) != json_keys(*out);
  return rc == OME_OK ? OME_OK : fail_prefix(err, "model: %s", path);
}

int32_t reader_open(const struct model_source *src, const char *path, struct reader *out, struct ome_err *err) {
  const struct model_file *f = source_find(src, path);

  *out = (struct reader){.src = src, .path = path};
  if (!f)
    return fail(err, OME_E_NOT_FOUND, "model: %s: there is no such file", path);
  out->size = f->size;
  out->window = malloc(WINDOW);
  return out->window ? OME_OK : fail_memory(err);
}

void reader_close(struct reader *r) {
  free(r->window);
  r->window = NULL;
}

/* Sources that can prepare have at hand what was prepared, and no more is asked of them than is NEEDED. */
static int32_t fill(struct reader *r, size_t needed, struct ome_err *err) {
  size_t usual = r->window_len == 0 ? FIRST_WINDOW : r->window_len < WINDOW / 2 ? 2 * r->window_len : WINDOW;
  size_t most = r->src->prepare && needed < WINDOW ? needed : usual;
  size_t len = r->size - r->at < most ? (size_t)(r->size - r->at) : most;
  int32_t rc = r->src->read(r->src->arg, r->path, r->at, r->window, len, err);

  r->window_at = r->at;
  r->window_len = rc == OME_OK ? len : 0;
  return rc;
}

static int32_t check(const struct reader *r, uint64_t len, struct ome_err *err) {
  if (len <= r->size - r->at)
    return OME_OK;
  return fail(err, OME_E_CORRUPT, "model: %s: is cut short at byte %" PRIu64, r->path, r->at);
}

int32_t reader_get(struct reader *r, void *out, size_t len, struct ome_err *err) {
  uint8_t *to = out;
  int32_t rc = check(r, len, err);

  while (rc == OME_OK && len) {
    if (r->at < r->window_at || r->at >= r->window_at + r->window_len) {
      rc = fill(r, len, err);
      continue;
    }
    size_t from = (size_t)(r->at - r->window_at);
    size_t n = r->window_len - from < len ? r->window_len - from : len;
    memcpy(to, r->window + from, n);
    to += n;
    len -= n;
    r->at += n;
  }
  return rc;
}

int32_t reader_skip(struct reader *r, uint64_t len, struct ome_err *err) {
  int32_t rc = check(r, len, err);

  if (rc == OME_OK)
    r->at += len;
  return rc;
}

int32_t reader_u32(struct reader *r, uint32_t *out, struct ome_err *err) {
  uint8_t b[4] = {0};
  int32_t rc = reader_get(r, b, sizeof(b), err);

  *out = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
  return rc;
}

int32_t reader_u64(struct reader *r, uint64_t *out, struct ome_err *err) {
  uint32_t low = 0, high = 0;
  int32_t rc = reader_u32(r, &low, err);

  if (rc == OME_OK)
    rc = reader_u32(r, &high, err);
  *out = (uint64_t)high << 32 | low;
  return rc;
}
