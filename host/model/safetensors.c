#include "base/str.h"
#include "model/formats.h"

#include <string.h>

#define HEADER_MAX ((uint64_t)100000000) /* the format's own bound */

/* How many parameters one element of a tensor stands for: packed 4-bit and 8-bit formats keep several in one, and
 * scales and zero points are none. */
static uint64_t parameters_of(const char *name, const char *dtype, uint64_t elements) {
  static const char *const helpers[] = {".weight_scale", ".weight_scale_inv", ".input_scale", ".qzeros", ".scales",
                                        ".g_idx",        ".weight_zero_point", ".absmax",     ".quant_map",
                                        ".k_scale",      ".v_scale"};

  for (size_t i = 0; i < ARRAY_LEN(helpers); i++)
    if (has_suffix(name, helpers[i]))
      return 0;
  if ((has_suffix(name, ".qweight") || has_suffix(name, ".weight_packed")) && streq(dtype, "I32"))
    return elements * 8;
  return elements;
}

/* The product of SHAPE; false when it is no shape or does not fit. */
static bool count_elements(struct json_object *shape, uint64_t *out) {
  uint64_t n = 1;

  if (!json_is(shape, json_type_array) || json_len(shape) > 16)
    return false;
  for (size_t i = 0; i < json_len(shape); i++) {
    int64_t d = json_is(json_index(shape, i), json_type_int) ? json_object_get_int64(json_index(shape, i)) : -1;
    if (d < 0 || __builtin_mul_overflow(n, (uint64_t)d, &n))
      return false;
  }
  *out = n;
  return true;
}

static int32_t count(struct json_object *header, const char *file, struct model_facts *f, struct ome_err *err) {
  json_object_object_foreach(header, name, t) {
    const char *dtype = json_str(t, "dtype", "");
    uint64_t elements;
    if (streq(name, "__metadata__"))
      continue;
    if (!count_elements(json_at(t, "shape"), &elements))
      return fail(err, OME_E_CORRUPT, "%s: tensor \"%.100s\" has no valid shape", file, name);
    f->parameters += parameters_of(name, dtype, elements);
  }
  return OME_OK;
}

int32_t safetensors_read(const struct model_file *file, struct model_facts *f, struct ome_err *err) {
  _cleanup_free_ char *text = NULL;
  _cleanup_json_ struct json_object *header = NULL;
  uint8_t raw[8];
  uint64_t len = 0;
  size_t got = 0;
  int32_t rc = file->read(file->arg, 0, raw, sizeof(raw), &got, err);

  if (rc != OME_OK)
    return rc;
  for (size_t i = 0; i < sizeof(raw) && got == sizeof(raw); i++)
    len |= (uint64_t)raw[i] << (8 * i);
  if (got != sizeof(raw) || len < 2 || len > HEADER_MAX || len > file->size - 8)
    return fail(err, OME_E_CORRUPT, "%s: not safetensors: its header says %llu bytes", file->name,
                (unsigned long long)len);
  text = malloc((size_t)len);
  if (!text)
    return fail_memory(err);
  rc = file->read(file->arg, 8, text, (size_t)len, &got, err);
  if (rc == OME_OK && got != len)
    rc = fail(err, OME_E_CORRUPT, "%s: ends within its header", file->name);
  if (rc == OME_OK)
    rc = json_parse(text, (size_t)len, (size_t)len, &header, err);
  if (rc == OME_OK && !json_is(header, json_type_object))
    rc = fail(err, OME_E_CORRUPT, "%s: its header is no object", file->name);
  return rc == OME_OK ? count(header, file->name, f, err) : rc;
}
