/* Safetensors: eight bytes of length, a JSON object of tensors, the data (github.com/huggingface/safetensors). */
#include "model/internal.h"

#include "base/str.h"
#include "base/strmap.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_HEADER ((uint64_t)100 << 20)
#define MAX_INDEX ((size_t)64 << 20)
#define MAX_SHARDS 4096u

struct count {
  uint64_t parameters, bytes;
  struct strmap *types; /* dtype -> its parameters, as a boxed number */
};

static const struct {
  const char *name, *dtype;
} dtypes[] = {
    {"F64", "float64"},         {"F32", "float32"}, {"F16", "float16"},
    {"BF16", "bfloat16"},       {"I64", "int64"},   {"I32", "int32"},
    {"I16", "int16"},           {"I8", "int8"},     {"U8", "uint8"},
    {"BOOL", "bool"},           {"U16", "uint16"},  {"F8_E4M3", "float8_e4m3fn"},
    {"F8_E5M2", "float8_e5m2"},
};

static bool product_of(struct json_object *shape, uint64_t *out) {
  uint64_t n = 1;

  for (size_t i = 0; i < json_len(shape); i++) {
    struct json_object *dim = json_index(shape, i);
    int64_t d = json_is(dim, json_type_int) ? json_object_get_int64(dim) : -1;
    if (d < 0 || __builtin_mul_overflow(n, (uint64_t)d, &n) || n > (uint64_t)1 << 60)
      return false;
  }
  *out = n;
  return true;
}

static bool count_type(struct count *c, const char *type, uint64_t n) {
  uint64_t *sum = strmap_get(c->types, type);

  if (!sum) {
    sum = calloc(1, sizeof(*sum));
    if (!sum || !strmap_put(c->types, type, sum)) {
      free(sum);
      return false;
    }
  }
  *sum += n;
  return true;
}

static int32_t count_tensor(struct count *c, const char *path, const char *name, struct json_object *tensor,
                            uint64_t data_len, struct ome_err *err) {
  struct json_object *shape = json_get(tensor, "shape"), *offsets = json_get(tensor, "data_offsets");
  struct json_object *from = json_index(offsets, 0), *to = json_index(offsets, 1);
  uint64_t n = 0;

  if (!json_is(shape, json_type_array) || json_len(shape) > 16 || !product_of(shape, &n) || json_len(offsets) != 2 ||
      !json_is(from, json_type_int) || !json_is(to, json_type_int))
    return fail(err, OME_E_CORRUPT, "model: %s: tensor %.100s cannot be read", path, name);
  int64_t first = json_object_get_int64(from), last = json_object_get_int64(to);
  if (first < 0 || last < first || (uint64_t)last > data_len)
    return fail(err, OME_E_CORRUPT, "model: %s: tensor %.100s lies outside of the file", path, name);
  c->bytes += (uint64_t)(last - first);
  if (json_len(shape) == 0)
    return OME_OK; /* a scalar is no weight */
  if (__builtin_add_overflow(c->parameters, n, &c->parameters))
    return fail(err, OME_E_CORRUPT, "model: %s: more parameters than can be counted", path);
  return count_type(c, json_str(tensor, "dtype", ""), n) ? OME_OK : fail_memory(err);
}

static int32_t count_file(const struct model_source *src, const char *path, struct count *c, struct ome_err *err) {
  _cleanup_(reader_close) struct reader r = {0};
  _cleanup_json_ struct json_object *header = NULL;
  _cleanup_free_ char *text = NULL;
  uint64_t len = 0;
  int32_t rc = reader_open(src, path, &r, err);

  if (rc == OME_OK)
    rc = reader_u64(&r, &len, err);
  if (rc != OME_OK)
    return rc;
  if (len > MAX_HEADER || len > r.size - r.at)
    return fail(err, OME_E_CORRUPT, "model: %s: its header of %" PRIu64 " bytes does not fit", path, len);
  text = malloc((size_t)len + 1);
  if (!text)
    return fail_memory(err);
  rc = reader_get(&r, text, (size_t)len, err);
  if (rc != OME_OK)
    return rc;
  if (json_parse(text, (size_t)len, MAX_HEADER, &header, err) != OME_OK || !json_is(header, json_type_object))
    return fail(err, OME_E_CORRUPT, "model: %s: its header is no JSON object", path);
  json_object_object_foreach (header, name, tensor) {
    if (streq(name, "__metadata__"))
      continue;
    rc = count_tensor(c, path, name, tensor, r.size - r.at, err);
    if (rc != OME_OK)
      return rc;
  }
  return OME_OK;
}

static int32_t count_index(const struct model_source *src, const char *folder, struct json_object *index,
                           struct count *c, struct ome_err *err) {
  _cleanup_strmap_ struct strmap *seen = strmap_new(NULL);
  struct json_object *map = json_get(index, "weight_map");

  if (!seen)
    return fail_memory(err);
  if (!json_is(map, json_type_object) || json_object_object_length(map) == 0)
    return fail(err, OME_E_CORRUPT, "model: %smodel.safetensors.index.json: names no file", folder);
  json_object_object_foreach (map, tensor, file) {
    const char *name = json_is(file, json_type_string) ? json_object_get_string(file) : "";
    (void)tensor;
    if (strmap_has(seen, name))
      continue;
    if (*name == '\0' || strlen(name) > 512 || strmap_len(seen) == MAX_SHARDS)
      return fail(err, OME_E_CORRUPT, "model: %smodel.safetensors.index.json: its files cannot be read", folder);
    if (!strmap_put(seen, name, NULL))
      return fail_memory(err);
    char path[1024];
    (void)snprintf(path, sizeof(path), "%s%s", folder, name);
    int32_t rc = count_file(src, path, c, err);
    if (rc != OME_OK)
      return rc;
  }
  return OME_OK;
}

static int32_t count_folder(const struct model_source *src, const char *folder, struct count *c, bool *any,
                            struct ome_err *err) {
  size_t n = strlen(folder);
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < src->nfiles; i++) {
    const char *path = src->files[i].path;
    if (strncmp(path, folder, n) != 0 || strchr(path + n, '/') || !has_suffix(path, ".safetensors"))
      continue;
    *any = true;
    rc = count_file(src, path, c, err);
  }
  return rc;
}

static void name_dtype(const struct count *c, struct model_facts *f) {
  uint64_t most = 0;
  const char *type = "";

  for (struct strmap_iter it = strmap_first(c->types); it.key; strmap_next(&it)) {
    const uint64_t *n = it.value;
    if (*n > most) {
      most = *n;
      type = it.key;
    }
  }
  for (size_t i = 0; f->dtype[0] == '\0' && i < ARRAY_LEN(dtypes); i++)
    if (streq(dtypes[i].name, type))
      (void)snprintf(f->dtype, sizeof(f->dtype), "%s", dtypes[i].dtype);
}

int32_t safetensors_read(const struct model_source *src, const char *folder, struct model_facts *f,
                         struct ome_err *err) {
  _cleanup_strmap_ struct strmap *types = strmap_new(free);
  _cleanup_json_ struct json_object *index = NULL;
  struct count c = {.types = types};
  char path[1024];
  bool any = false;

  if (!types)
    return fail_memory(err);
  (void)snprintf(path, sizeof(path), "%smodel.safetensors.index.json", folder);
  int32_t rc = source_json(src, path, MAX_INDEX, &index, err);
  if (rc == OME_OK && index)
    rc = count_index(src, folder, index, &c, err);
  else if (rc == OME_OK)
    rc = count_folder(src, folder, &c, &any, err);
  if (rc != OME_OK || (!index && !any))
    return rc;
  f->parameters = c.parameters;
  f->weight_bytes = c.bytes;
  f->parameter_source = "safetensors";
  (void)snprintf(f->format, sizeof(f->format), "safetensors");
  (void)snprintf(f->format_version, sizeof(f->format_version), "1.0.0");
  name_dtype(&c, f);
  return OME_OK;
}
