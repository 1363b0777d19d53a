/* Model files made in memory, and a source over them. */
#ifndef TESTS_UNIT_MODEL_FILES_H
#define TESTS_UNIT_MODEL_FILES_H

#include "../unit.h"

#include "base/buf.h"
#include "base/str.h"
#include "model/facts.h"

#include <string.h>

struct memory_file {
  const char *path;
  const void *data;
  size_t len;
};

struct memory {
  const struct memory_file *files;
  size_t n;
};

static inline int32_t read_memory(void *arg, const char *path, uint64_t offset, void *out, size_t len,
                                  struct ome_err *err) {
  const struct memory *m = arg;

  for (size_t i = 0; i < m->n; i++)
    if (streq(m->files[i].path, path) && offset <= m->files[i].len && len <= m->files[i].len - offset) {
      memcpy(out, (const char *)m->files[i].data + offset, len);
      return OME_OK;
    }
  return fail(err, OME_E_CORRUPT, "read beyond %s", path);
}

static inline int32_t look(const struct memory_file *files, size_t n, struct model_facts *out, struct ome_err *err) {
  struct memory m = {files, n};
  struct model_file list[16];

  assert_true(n <= 16);
  for (size_t i = 0; i < n; i++)
    list[i] = (struct model_file){files[i].path, files[i].len};
  const struct model_source src = {.files = list, .nfiles = n, .read = read_memory, .arg = &m};
  return model_facts_read(&src, out, err);
}

static inline void add_little(struct buf *b, uint64_t v, int bytes) {
  for (int i = 0; i < bytes; i++)
    buf_addc(b, (char)(i < 8 ? v >> (8 * i) : 0));
}

static inline void safetensors(struct buf *b, const char *header, size_t data) {
  add_little(b, strlen(header), 8);
  buf_adds(b, header);
  for (size_t i = 0; i < data; i++)
    buf_addc(b, 0);
}

#endif
