/* How weights are packed, and what that makes of a parameter's size. */
#include "model/families.h"
#include "model/internal.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* Methods with one width: bits of a weight and what its scales add, spread over their block. */
static const struct {
  const char *method;
  double bits;
} methods[] = {
    {"fbgemm_fp8", 8},   {"fp8", 8},          {"mxfp4", 4.25}, {"nvfp4", 4.5}, {"modelopt_fp4", 4.5},
    {"modelopt_fp8", 8}, {"modelopt", 8},     {"int8", 8},     {"int4", 4.25}, {"float-quantized", 8},
    {"awq", 4.25},       {"gptq", 4.25},      {"quark", 8},    {"bitnet", 2},  {"eetq", 8},
    {"w8a8_int8", 8},    {"bitsandbytes", 8},
};

static const struct {
  const char *dtype;
  double bits;
} dtypes[] = {
    {"bfloat16", 16}, {"float16", 16}, {"float32", 32}, {"float64", 64},      {"float", 32}, {"half", 16},
    {"bf16", 16},     {"fp16", 16},    {"float8", 8},   {"float8_e4m3fn", 8}, {"int8", 8},   {"int4", 4},
};

static void name_it(struct model_facts *f, const char *name) {
  (void)snprintf(f->quantization, sizeof(f->quantization), "%s", name);
}

/* Bits that the configuration itself states; 0: it does not. */
static uint64_t stated_bits(struct json_object *q) {
  uint64_t bits = config_number(q, "bits", "w_bit", "weight_bits", NULL);

  if (bits == 0)
    bits = config_number(q, "config_groups.group_0.weights.num_bits", NULL);
  if (bits == 0 && json_flag(q, "load_in_4bit", false))
    bits = 4;
  return bits <= 32 ? bits : 0;
}

static double with_scales(struct json_object *q, uint64_t bits) {
  uint64_t group = config_number(q, "group_size", "q_group_size", "config_groups.group_0.weights.group_size", NULL);

  return (double)bits + (group >= 8 && bits < 16 ? 16.0 / (double)group : 0);
}

/* ModelOpt says what it made in another place: NVFP4, FP8. */
static void read_modelopt(struct json_object *q, struct model_facts *f) {
  const char *algorithm = json_str(q, "quant_algo", json_str(q, "quantization.quant_algo", ""));

  if (strcasestr(algorithm, "NVFP4"))
    name_it(f, "nvfp4");
  else if (strcasestr(algorithm, "FP8"))
    name_it(f, "fp8");
}

void quantization_read(struct json_object *config, struct model_facts *f) {
  struct json_object *q = json_get(config, "quantization_config");
  const char *format = json_str(q, "format", ""), *method = json_str(q, "quant_method", "");

  f->weight_bits = 16;
  for (size_t i = 0; i < ARRAY_LEN(dtypes); i++)
    if (streq(f->dtype, dtypes[i].dtype))
      f->weight_bits = dtypes[i].bits;
  if (!json_is(q, json_type_object))
    return;
  bool packed = streq(method, "compressed-tensors");
  name_it(f, packed && streq(format, "float-quantized") ? format : *method ? method : format);
  if (has_prefix(method, "modelopt"))
    read_modelopt(q, f);
  for (size_t i = 0; i < ARRAY_LEN(methods); i++)
    if (streq(f->quantization, methods[i].method))
      f->weight_bits = methods[i].bits;
  if (stated_bits(q))
    f->weight_bits = with_scales(q, stated_bits(q));
  if (streq(format, "float-quantized") && stated_bits(q) == 8 &&
      streq(json_str(q, "config_groups.group_0.weights.type", ""), "float"))
    (void)snprintf(f->dtype, sizeof(f->dtype), "float8");
}
