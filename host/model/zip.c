#include "model/zip.h"

#include "model/internal.h"

#include "base/str.h"

#include <inttypes.h>
#include <string.h>

#define END_SIZE 22u /* of the record at the end, without its comment */
#define LOCATOR_SIZE 20u
#define END64_SIZE 56u
#define ENTRY_SIZE 46u
#define LOCAL_SIZE 30u
#define MAX_COMMENT 65535u
#define MAX_DIRECTORY ((uint64_t)64 << 20)

static uint64_t little(const uint8_t *p, int bytes) {
  uint64_t v = 0;

  while (bytes-- > 0)
    v = v << 8 | p[bytes];
  return v;
}

struct directory {
  uint64_t at, len, entries;
};

/* The record at the end of the file, which a comment may follow: its place in TAIL; LEN: there is none. */
static size_t find_end(const uint8_t *tail, size_t len) {
  if (len < END_SIZE)
    return len;
  for (size_t at = len - END_SIZE + 1; at-- > 0;)
    if (little(tail + at, 4) == 0x06054b50 && little(tail + at + 20, 2) == len - at - END_SIZE)
      return at;
  return len;
}

/* Archives beyond 4 GiB say where things are in a record of their own, which a locator before the end points to. */
static int32_t find_directory64(const struct model_source *src, const struct model_file *f, uint64_t end,
                                struct directory *out, struct ome_err *err) {
  uint8_t locator[LOCATOR_SIZE], record[END64_SIZE];

  if (end < LOCATOR_SIZE)
    return OME_OK;
  int32_t rc = src->read(src->arg, f->path, end - LOCATOR_SIZE, locator, LOCATOR_SIZE, err);
  if (rc != OME_OK || little(locator, 4) != 0x07064b50)
    return rc;
  uint64_t at = little(locator + 8, 8);
  if (at > f->size || f->size - at < END64_SIZE)
    return fail(err, OME_E_CORRUPT, "model: %s: the end of its index is said to be at byte %" PRIu64, f->path, at);
  rc = src->read(src->arg, f->path, at, record, END64_SIZE, err);
  if (rc != OME_OK)
    return rc;
  if (little(record, 4) != 0x06064b50)
    return fail(err, OME_E_CORRUPT, "model: %s: no end of an index at byte %" PRIu64, f->path, at);
  *out = (struct directory){little(record + 48, 8), little(record + 40, 8), little(record + 32, 8)};
  return OME_OK;
}

static int32_t find_directory(const struct model_source *src, const struct model_file *f, struct directory *out,
                              struct ome_err *err) {
  size_t len = f->size < END_SIZE + MAX_COMMENT ? (size_t)f->size : END_SIZE + MAX_COMMENT;
  _cleanup_free_ uint8_t *tail = malloc(len + 1);

  if (!tail)
    return fail_memory(err);
  int32_t rc = src->read(src->arg, f->path, f->size - len, tail, len, err);
  if (rc != OME_OK)
    return rc;
  size_t end = find_end(tail, len);
  if (end == len)
    return fail(err, OME_E_UNSUPPORTED, "model: %s: is no zip archive", f->path);
  *out = (struct directory){little(tail + end + 16, 4), little(tail + end + 12, 4), little(tail + end + 10, 2)};
  if (out->at == UINT32_MAX || out->len == UINT32_MAX || out->entries == UINT16_MAX)
    rc = find_directory64(src, f, f->size - len + end, out, err);
  if (rc == OME_OK && (out->at > f->size || out->len > f->size - out->at || out->len > MAX_DIRECTORY))
    rc = fail(err, OME_E_CORRUPT, "model: %s: its index of %" PRIu64 " bytes at byte %" PRIu64 " does not fit", f->path,
              out->len, out->at);
  return rc;
}

/* What does not fit 32 bits is in the extra field 1, in this order, each only where its place holds all ones. */
static bool read_extra(const uint8_t *extra, size_t len, struct zip_entry *e) {
  uint64_t *const values[] = {&e->size, &e->packed, &e->header};

  while (len >= 4) {
    size_t n = (size_t)little(extra + 2, 2);
    if (n > len - 4)
      return false;
    const uint8_t *p = extra + 4;
    for (size_t i = 0; little(extra, 2) == 1 && i < ARRAY_LEN(values); i++) {
      if (*values[i] != UINT32_MAX)
        continue;
      if (n < (size_t)(p - extra - 4) + 8)
        return false;
      *values[i] = little(p, 8);
      p += 8;
    }
    extra += 4 + n;
    len -= 4 + n;
  }
  return true;
}

int32_t zip_list(const struct model_source *src, const char *path,
                 int32_t (*entry)(void *arg, const struct zip_entry *e), void *arg, struct ome_err *err) {
  const struct model_file *f = source_find(src, path);
  struct directory d = {0};
  int32_t rc =
      f ? find_directory(src, f, &d, err) : fail(err, OME_E_NOT_FOUND, "model: %s: there is no such file", path);

  if (rc != OME_OK)
    return rc;
  _cleanup_free_ uint8_t *bytes = malloc((size_t)d.len + 1);
  if (!bytes)
    return fail_memory(err);
  rc = src->read(src->arg, path, d.at, bytes, (size_t)d.len, err);
  for (uint64_t i = 0, at = 0; rc == OME_OK && i < d.entries; i++) {
    const uint8_t *p = bytes + at;
    struct zip_entry e;
    if (d.len - at < ENTRY_SIZE || little(p, 4) != 0x02014b50)
      return fail(err, OME_E_CORRUPT, "model: %s: entry %" PRIu64 " of its index at byte %" PRIu64 " is none", path, i,
                  d.at + at);
    size_t name = (size_t)little(p + 28, 2), extra = (size_t)little(p + 30, 2), comment = (size_t)little(p + 32, 2);
    if (d.len - at - ENTRY_SIZE < name + extra + comment || name >= sizeof(e.name))
      return fail(err, OME_E_CORRUPT, "model: %s: entry %" PRIu64 " of its index at byte %" PRIu64 " is too long", path,
                  i, d.at + at);
    e = (struct zip_entry){.method = (uint16_t)little(p + 10, 2),
                           .packed = little(p + 20, 4),
                           .size = little(p + 24, 4),
                           .header = little(p + 42, 4)};
    memcpy(e.name, p + ENTRY_SIZE, name);
    if (!read_extra(p + ENTRY_SIZE + name, extra, &e) || e.header > f->size || e.packed > f->size - e.header)
      return fail(err, OME_E_CORRUPT, "model: %s: %.100s, at byte %" PRIu64 " of %" PRIu64 ", lies outside of the file",
                  path, e.name, e.header, f->size);
    rc = entry(arg, &e);
    at += ENTRY_SIZE + name + extra + comment;
  }
  return rc;
}

int32_t zip_read(const struct model_source *src, const char *path, const struct zip_entry *e, size_t max, char **out,
                 struct ome_err *err) {
  const struct model_file *f = source_find(src, path);
  uint8_t local[LOCAL_SIZE];

  if (!f || e->method != 0 || e->size != e->packed || e->size > max)
    return fail(err, OME_E_UNSUPPORTED, "model: %s: %.100s is packed or too large", path, e->name);
  if (f->size - e->header < LOCAL_SIZE)
    return fail(err, OME_E_CORRUPT, "model: %s: no entry at byte %" PRIu64, path, e->header);
  int32_t rc = src->read(src->arg, path, e->header, local, LOCAL_SIZE, err);
  if (rc != OME_OK)
    return rc;
  uint64_t skip = LOCAL_SIZE + little(local + 26, 2) + little(local + 28, 2);
  if (little(local, 4) != 0x04034b50 || f->size - e->header < skip || f->size - e->header - skip < e->size)
    return fail(err, OME_E_CORRUPT, "model: %s: no entry at byte %" PRIu64, path, e->header);
  _cleanup_free_ char *bytes = malloc((size_t)e->size + 1);
  if (!bytes)
    return fail_memory(err);
  rc = src->read(src->arg, path, e->header + skip, bytes, (size_t)e->size, err);
  if (rc == OME_OK) {
    bytes[e->size] = '\0';
    *out = TAKE_PTR(bytes);
  }
  return rc;
}
