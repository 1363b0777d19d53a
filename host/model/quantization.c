/* How weights are packed, and what that makes of their size. */
#include "model/internal.h"
#include "model/packing.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* Scales, zero points and what else lies beside, as the methods write them where config.json says nothing else. */
static const struct {
  const char *method;
  struct packing_scheme scheme;
} methods[] = {
    {"fp8", {.bits = 8, .scale_bits = 32}},
    {"fbgemm_fp8", {.bits = 8, .block_out = 1, .scale_bits = 32}},
    {"modelopt", {.bits = 8, .fixed_bits = 64}}, /* a scale for the weight, one for what comes in */
    {"modelopt_fp8", {.bits = 8, .fixed_bits = 64}},
    {"float-quantized", {.bits = 8, .block_out = 1, .scale_bits = 16}},
    {"int8", {.bits = 8, .block_out = 1, .scale_bits = 16}},
    {"w8a8_int8", {.bits = 8, .block_out = 1, .scale_bits = 16}},
    {"eetq", {.bits = 8, .block_out = 1, .scale_bits = 16}},
    {"quark", {.bits = 8, .scale_bits = 16}},
    {"compressed-tensors", {.bits = 8, .block_out = 1, .scale_bits = 16}},
    {"mxfp4", {.bits = 4, .block_in = 32, .block_out = 1, .scale_bits = 8}},
    {"nvfp4", {.bits = 4, .block_in = 16, .block_out = 1, .scale_bits = 8, .fixed_bits = 64}},
    {"modelopt_fp4", {.bits = 4, .block_in = 16, .block_out = 1, .scale_bits = 8, .fixed_bits = 64}},
    {"gptq", {.bits = 4, .block_in = 128, .block_out = 1, .scale_bits = 16, .zero_bits = 4, .input_bits = 32}},
    {"awq", {.bits = 4, .block_in = 128, .block_out = 1, .scale_bits = 16, .zero_bits = 4}},
    {"auto-round", {.bits = 4, .block_in = 128, .block_out = 1, .scale_bits = 16, .zero_bits = 4}},
    {"int4", {.bits = 4, .block_in = 64, .block_out = 1, .scale_bits = 16}},
    {"bitsandbytes", {.bits = 8, .block_out = 1, .scale_bits = 32, .fixed_bits = 8}}, /* LLM.int8() */
    {"bitnet", {.bits = 2, .scale_bits = 16}},
};

static const struct {
  const char *dtype;
  unsigned bits;
} dtypes[] = {
    {"bfloat16", 16}, {"float16", 16}, {"float32", 32}, {"float64", 64},      {"float", 32}, {"half", 16},
    {"bf16", 16},     {"fp16", 16},    {"float8", 8},   {"float8_e4m3fn", 8}, {"int8", 8},   {"int4", 4},
};

static void name_it(struct model_facts *f, const char *name) {
  (void)snprintf(f->quantization, sizeof(f->quantization), "%s", name);
}

static unsigned dtype_bits(const char *dtype) {
  for (size_t i = 0; i < ARRAY_LEN(dtypes); i++)
    if (streq(dtype, dtypes[i].dtype))
      return dtypes[i].bits;
  return 16;
}

/* ---- schemes ----------------------------------------------------------------------------------------------------- */

static struct packing_scheme scheme_of_method(const char *method) {
  for (size_t i = 0; i < ARRAY_LEN(methods); i++)
    if (streq(methods[i].method, method))
      return methods[i].scheme;
  return (struct packing_scheme){.bits = 0};
}

/* Numbers in a row of inputs that share a scale; -1 is all of them. */
static void read_group_size(struct json_object *o, struct packing_scheme *s) {
  uint64_t size = config_number(o, "group_size", "q_group_size", NULL);

  if (size)
    s->block_in = size;
  else if (json_i64(o, "group_size", json_i64(o, "q_group_size", 0)) == -1)
    s->block_in = 0;
}

/* A scale for a block of [OUT, IN]. */
static bool read_blocks(struct json_object *block, struct packing_scheme *s) {
  int64_t out = json_object_get_int64(json_index(block, 0)), in = json_object_get_int64(json_index(block, 1));

  if (json_len(block) != 2 || out <= 0 || in <= 0 || out >= 1 << 20 || in >= 1 << 20)
    return false;
  s->block_out = (uint64_t)out;
  s->block_in = (uint64_t)in;
  return true;
}

/* The methods that say their width at the top: GPTQ, AWQ, AutoRound, bitsandbytes, block-scaled fp8. */
static void read_stated(struct json_object *q, const char *method, struct packing_scheme *s) {
  uint64_t bits = config_number(q, "bits", "w_bit", "weight_bits", NULL);

  if (bits && bits <= 16) {
    s->zero_bits = s->zero_bits ? (unsigned)bits : 0;
    s->bits = (unsigned)bits;
  }
  read_group_size(q, s);
  if (streq(method, "awq") && !json_flag(q, "zero_point", true))
    s->zero_bits = 0;
  if (read_blocks(json_get(q, "weight_block_size"), s))
    s->scale_bits = 32;
  else if (streq(method, "fp8") && streq(json_str(q, "activation_scheme", ""), "static"))
    s->fixed_bits = 32;
  if (!json_flag(q, "load_in_4bit", false))
    return;
  /* Blocks of 64 in the order of storage, with a byte each where those are quantized once more, by 256; the values of
   * the four bits. */
  bool twice = json_flag(q, "bnb_4bit_use_double_quant", false);
  *s = (struct packing_scheme){.bits = 4,
                               .block_in = 64,
                               .block_out = 1,
                               .scale_bits = twice ? 8 : 32,
                               .fixed_bits = twice ? (16 + 256) * 32 : 16 * 32};
}

/* AMD's Quark says what a number is, and the blocks. */
static void read_quark(struct json_object *weight, struct packing_scheme *s) {
  const char *dtype = json_str(weight, "dtype", "");

  if (has_prefix(dtype, "fp4"))
    *s = scheme_of_method("mxfp4");
  else if (has_prefix(dtype, "int4") || has_prefix(dtype, "uint4"))
    *s = scheme_of_method(has_prefix(dtype, "u") ? "awq" : "int4");
  read_group_size(weight, s);
}

/* A group of compressed-tensors, as ModelOpt writes them too. */
static struct packing_scheme scheme_of_group(struct json_object *group, const char *format) {
  struct json_object *w = json_get(group, "weights");
  const char *strategy = json_str(w, "strategy", "");
  uint64_t bits = config_number(w, "num_bits", NULL);
  bool is_float = streq(json_str(w, "type", ""), "float");
  const char *own = json_str(group, "format", format);
  struct packing_scheme s = {.bits = bits <= 16 ? (unsigned)bits : 0, .block_out = 1, .scale_bits = 16};

  if (is_float && bits == 4)
    return scheme_of_method(config_number(w, "group_size", NULL) == 32 ? "mxfp4" : "nvfp4");
  read_group_size(w, &s);
  if (streq(strategy, "tensor"))
    s.block_out = 0;
  (void)read_blocks(json_get(w, "block_structure"), &s);
  if (streq(own, "pack-quantized")) {
    s.fixed_bits = 128; /* the shape, two numbers of 64 bits */
    s.zero_bits = json_flag(w, "symmetric", true) ? 0 : s.bits;
  }
  if (is_float && json_is(json_get(group, "input_activations"), json_type_object) &&
      !json_flag(group, "input_activations.dynamic", true))
    s.fixed_bits = 16;
  return s;
}

static void read_groups(struct json_object *q, const char *format, struct packing_plan *plan) {
  struct json_object *groups = json_get(q, "config_groups");

  if (!json_is(groups, json_type_object))
    return;
  plan->ngroups = 0;
  json_object_object_foreach (groups, name, group) {
    (void)name;
    if (plan->ngroups == ARRAY_LEN(plan->groups))
      return;
    struct json_object *targets = json_get(group, "targets");
    plan->groups[plan->ngroups++] = (struct packing_group){scheme_of_group(group, format), targets};
  }
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

/* ModelOpt says what it made in another place: NVFP4, FP8. */
static void name_modelopt(struct json_object *q, struct model_facts *f) {
  const char *algorithm = json_str(q, "quant_algo", json_str(q, "quantization.quant_algo", ""));

  if (strcasestr(algorithm, "NVFP4"))
    name_it(f, "nvfp4");
  else if (strcasestr(algorithm, "FP8"))
    name_it(f, "fp8");
}

/* Which of the configurations says it: that of the whole, that of the language model, under its older name. */
static struct json_object *find_quantization(struct json_object *config) {
  static const char *const places[] = {"quantization_config", "text_config.quantization_config", "compression_config",
                                       "text_config.compression_config"};

  for (size_t i = 0; i < ARRAY_LEN(places); i++)
    if (json_is(json_at(config, places[i]), json_type_object))
      return json_at(config, places[i]);
  return NULL;
}

static void read_plan(struct json_object *q, const struct model_facts *f, struct packing_plan *plan) {
  static const char *const lists[] = {"modules_to_not_convert", "ignore", "exclude_modules", "llm_int8_skip_modules",
                                      "exclude"};
  const char *method = json_str(q, "quant_method", "");
  bool packed = streq(method, "compressed-tensors"), modelopt = has_prefix(method, "modelopt");
  struct packing_group *first = &plan->groups[0];

  plan->ngroups = 1;
  first->scheme = scheme_of_method(f->quantization);
  if (modelopt && streq(f->quantization, "fp8"))
    first->scheme = scheme_of_method("modelopt_fp8");
  if (!modelopt)
    read_stated(q, method, &first->scheme);
  if (streq(method, "quark"))
    read_quark(json_at(q, "global_quant_config.weight"), &first->scheme);
  read_groups(q, json_str(q, "format", ""), plan);
  for (size_t i = 0; i < ARRAY_LEN(lists); i++)
    plan->without[i] = json_at(q, lists[i]);
  plan->dynamic = json_get(q, "dynamic");
  plan->experts_only = streq(method, "mxfp4");
  plan->towers = packed || modelopt || streq(method, "quark");
  plan->head = plan->towers || json_flag(q, "lm_head", false);
}

void quantization_read(struct json_object *config, struct model_facts *f, struct packing_plan *plan) {
  struct json_object *q = find_quantization(config);
  const char *format = json_str(q, "format", ""), *method = json_str(q, "quant_method", "");

  *plan = (struct packing_plan){.ngroups = 0};
  plan->dtype_bits = dtype_bits(f->dtype);
  f->weight_bits = plan->dtype_bits;
  if (!q)
    return;
  bool packed = streq(method, "compressed-tensors");
  name_it(f, packed && streq(format, "float-quantized") ? format : *method ? method : format);
  if (has_prefix(method, "modelopt"))
    name_modelopt(q, f);
  read_plan(q, f, plan);
  if (plan->groups[0].scheme.bits)
    f->weight_bits = packing_nominal(&plan->groups[0].scheme);
  if (streq(format, "float-quantized") && config_number(q, "config_groups.group_0.weights.num_bits", NULL) == 8 &&
      streq(json_str(q, "config_groups.group_0.weights.type", ""), "float"))
    (void)snprintf(f->dtype, sizeof(f->dtype), "float8");
}
