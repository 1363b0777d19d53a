/* Model files made in memory, and a source over them. */
#ifndef TESTS_UNIT_MODEL_FILES_H
#define TESTS_UNIT_MODEL_FILES_H

#include "../unit.h"

#include "base/buf.h"
#include "base/str.h"
#include "model/facts.h"

#include <stdio.h>
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

/* "name TYPE d,d,d;name TYPE d": the file that has these, zeroed. */
static inline void tensor_file(struct buf *b, const char *tensors) {
  static const struct {
    const char *name;
    size_t bits;
  } sizes[] = {{"F64", 64}, {"F32", 32}, {"F16", 16}, {"BF16", 16}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"I64", 64},
               {"I32", 32}, {"I8", 8},   {"U32", 32}, {"U8", 8},    {"F4", 4},      {"BOOL", 8}};
  _cleanup_buf_ struct buf header = BUF_INIT;
  size_t at = 0;

  buf_adds(&header, "{\"__metadata__\":{\"format\":\"pt\"}");
  while (*tensors) {
    char name[128], type[16], shape[64];
    int used = 0;
    assert_int_equal(sscanf(tensors, "%127s %15s %63[^;]%n", name, type, shape, &used), 3);
    tensors += used + (tensors[used] == ';');
    size_t bits = 0;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
      bits = streq(sizes[i].name, type) ? sizes[i].bits : bits;
    for (const char *p = shape; *p; p += strcspn(p, ",") + (strchr(p, ',') != NULL))
      bits *= strtoul(p, NULL, 10);
    buf_addf(&header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", name, type, shape, at,
             at + bits / 8);
    at += bits / 8;
  }
  buf_adds(&header, "}");
  safetensors(b, buf_str(&header), at);
}

#endif
