#include "model/tensors.h"

#include "model/internal.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define MAX_NAMES ((size_t)256 << 20)
#define MAX_TENSORS ((size_t)1 << 21)
#define MAX_NAME 1024u

static const struct {
  const char *name, *dtype;
  unsigned bits;
} types[] = {
    [TENSOR_F64] = {"F64", "float64", 64},
    [TENSOR_F32] = {"F32", "float32", 32},
    [TENSOR_F16] = {"F16", "float16", 16},
    [TENSOR_BF16] = {"BF16", "bfloat16", 16},
    [TENSOR_F8_E4M3] = {"F8_E4M3", "float8_e4m3fn", 8},
    [TENSOR_F8_E5M2] = {"F8_E5M2", "float8_e5m2", 8},
    [TENSOR_F8_E8M0] = {"F8_E8M0", "float8_e8m0fnu", 8},
    [TENSOR_F8_E4M3FNUZ] = {"F8_E4M3FNUZ", "float8_e4m3fnuz", 8},
    [TENSOR_F8_E5M2FNUZ] = {"F8_E5M2FNUZ", "float8_e5m2fnuz", 8},
    [TENSOR_F6_E2M3] = {"F6_E2M3", "float6_e2m3fn", 6},
    [TENSOR_F6_E3M2] = {"F6_E3M2", "float6_e3m2fn", 6},
    [TENSOR_F4] = {"F4", "float4_e2m1fn", 4},
    [TENSOR_I64] = {"I64", "int64", 64},
    [TENSOR_I32] = {"I32", "int32", 32},
    [TENSOR_I16] = {"I16", "int16", 16},
    [TENSOR_I8] = {"I8", "int8", 8},
    [TENSOR_U64] = {"U64", "uint64", 64},
    [TENSOR_U32] = {"U32", "uint32", 32},
    [TENSOR_U16] = {"U16", "uint16", 16},
    [TENSOR_U8] = {"U8", "uint8", 8},
    [TENSOR_BOOL] = {"BOOL", "bool", 8},
    [TENSOR_C64] = {"C64", "complex64", 64},
    [TENSOR_OTHER] = {"", "", 0},
};

enum tensor_type tensor_type_of(const char *name) {
  for (unsigned i = 0; i < TENSOR_OTHER; i++)
    if (streq(types[i].name, name))
      return (enum tensor_type)i;
  return TENSOR_OTHER;
}

unsigned tensor_type_bits(enum tensor_type type) {
  return types[type].bits;
}

const char *tensor_type_dtype(enum tensor_type type) {
  return types[type].dtype;
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

int32_t tensors_init(struct tensors *t, struct ome_err *err) {
  *t = (struct tensors){.arena.max = MAX_NAMES, .by_name = strmap_new(NULL)};
  return t->by_name ? OME_OK : fail_memory(err);
}

void tensors_fini(struct tensors *t) {
  VEC_FREE(&t->list);
  strmap_free(t->by_name);
  t->by_name = NULL;
  arena_fini(&t->arena);
}

static const struct tensor *find(const struct tensors *t, const char *name) {
  uintptr_t at = (uintptr_t)strmap_get(t->by_name, name);

  return at ? &t->list.items[at - 1] : NULL;
}

int32_t tensors_add(struct tensors *t, const struct tensor *one, struct ome_err *err) {
  struct tensor own = *one;

  if (strlen(one->name) > MAX_NAME)
    return fail(err, OME_E_CORRUPT, "model: tensor %.60s...: its name is too long", one->name);
  t->bytes += one->bytes;
  if (find(t, one->name)) {
    t->twice++;
    (void)snprintf(t->twice_name, sizeof(t->twice_name), "%.127s", one->name);
    return OME_OK;
  }
  if (t->list.len == MAX_TENSORS)
    return fail(err, OME_E_CORRUPT, "model: more than %zu tensors", MAX_TENSORS);
  own.name = arena_copy(&t->arena, one->name, strlen(one->name));
  if (!own.name || !VEC_PUSH(&t->list, own) ||
      !strmap_put(t->by_name, own.name, (void *)(uintptr_t)t->list.len)) /* NOLINT: an index, not an address */
    return fail_memory(err);
  return OME_OK;
}

/* ---- what is packed ---------------------------------------------------------------------------------------------- */

/* Which stored tensors hold several parameters a number.  The first row that fits. */
struct packing {
  const char *suffix; /* of the packed tensor's name */
  enum tensor_type type;
  const char *beside;           /* the suffix of one that must be there too; NULL: none */
  enum tensor_type beside_type; /* TENSOR_OTHER: any */
  unsigned bits;                /* of a parameter; 0: BITS of config.json, or what the zero points tell */
  const char *quantization;     /* NULL: several methods look like this */
};

static const struct packing packings[] = {
    {".qweight", TENSOR_I32, ".scales", TENSOR_OTHER, 0, NULL},                  /* GPTQ, AWQ */
    {".weight_packed", TENSOR_I32, NULL, TENSOR_OTHER, 0, "compressed-tensors"}, /* pack-quantized */
    {".weight_packed", TENSOR_U8, NULL, TENSOR_OTHER, 4, "compressed-tensors"},  /* nvfp4-pack-quantized */
    {"_blocks", TENSOR_U8, "_scales", TENSOR_OTHER, 4, "mxfp4"},                 /* gpt-oss */
    {".weight", TENSOR_U8, ".weight_scale", TENSOR_F8_E4M3, 4, "nvfp4"},         /* ModelOpt */
    {".weight", TENSOR_U8, ".weight_scale", TENSOR_U8, 4, "mxfp4"},              /* Quark */
    {".weight", TENSOR_U8, ".weight_scale", TENSOR_F8_E8M0, 4, "mxfp4"},         /* the same, typed */
    {".weight", TENSOR_U8, ".weight.absmax", TENSOR_OTHER, 4, "bitsandbytes"},   /* nf4, fp4 */
    {".weight", TENSOR_U32, ".scales", TENSOR_OTHER, 0, NULL},                   /* MLX */
    {".weight", TENSOR_I8, ".SCB", TENSOR_OTHER, 8, "bitsandbytes"},             /* LLM.int8() */
    {".weight", TENSOR_F8_E4M3, ".weight_scale_inv", TENSOR_OTHER, 8, "fp8"},    /* block scales */
    {".weight", TENSOR_F8_E4M3, ".weight_scale", TENSOR_OTHER, 8, "fp8"},
};

/* What lies beside a weight to unpack it: a name that ends in SUFFIX is no parameter where the one with OWNER instead
 * is there.  PACKED: only where that one is packed, for names that weights may have too. */
static const struct {
  const char *suffix, *owner;
  bool packed;
} helpers[] = {
    {".qzeros", ".qweight", false},
    {".scales", ".qweight", false},
    {".g_idx", ".qweight", false},
    {".weight_scale", ".weight_packed", false},
    {".weight_zero_point", ".weight_packed", false},
    {".weight_shape", ".weight_packed", false},
    {".weight_g_idx", ".weight_packed", false},
    {".weight_global_scale", ".weight_packed", false},
    {".input_global_scale", ".weight_packed", false},
    {".input_scale", ".weight_packed", false},
    {"_scales", "_blocks", true},
    {".weight_scale", ".weight", false},
    {".weight_scale_2", ".weight", false},
    {".weight_scale_inv", ".weight", false},
    {".weight_zero_point", ".weight", false},
    {".input_scale", ".weight", false},
    {".input_zero_point", ".weight", false},
    {".output_scale", ".weight", false},
    {".k_scale", ".weight", false},
    {".v_scale", ".weight", false},
    {".k_scale", ".k_proj.weight", false},
    {".v_scale", ".v_proj.weight", false},
    {"_scale_inv", "", false},
    {".weight.absmax", ".weight", true},
    {".weight.quant_map", ".weight", true},
    {".weight.nested_absmax", ".weight", true},
    {".weight.nested_quant_map", ".weight", true},
    {".weight.quant_state.bitsandbytes__nf4", ".weight", true},
    {".weight.quant_state.bitsandbytes__fp4", ".weight", true},
    {".SCB", ".weight", true},
    {".weight_format", ".weight", true},
    {".scales", ".weight", true},
    {".biases", ".weight", true},
};

/* The tensor that is called as NAME, with another suffix for its last LEN bytes. */
static const struct tensor *sibling(const struct tensors *t, const char *name, size_t len, const char *suffix) {
  char other[MAX_NAME + 64];
  size_t keep = strlen(name) - len;

  (void)snprintf(other, sizeof(other), "%.*s%s", (int)keep, name, suffix);
  return find(t, other);
}

static const struct packing *packing_of(const struct tensors *t, const struct tensor *one) {
  for (size_t i = 0; i < ARRAY_LEN(packings); i++) {
    const struct packing *p = &packings[i];
    if (one->type != p->type || !has_suffix(one->name, p->suffix))
      continue;
    const struct tensor *beside = p->beside ? sibling(t, one->name, strlen(p->suffix), p->beside) : one;
    if (beside && (!p->beside || p->beside_type == TENSOR_OTHER || p->beside_type == beside->type))
      return p;
  }
  return NULL;
}

static bool is_helper(const struct tensors *t, const struct tensor *one) {
  for (size_t i = 0; i < ARRAY_LEN(helpers); i++) {
    if (!has_suffix(one->name, helpers[i].suffix))
      continue;
    const struct tensor *owner = sibling(t, one->name, strlen(helpers[i].suffix), helpers[i].owner);
    if (owner && (!helpers[i].packed || packing_of(t, owner)))
      return true;
  }
  return false;
}

/* Zero points are packed as the weights are, one for each scale: that tells the bits whatever config.json says. */
static unsigned bits_of(const struct tensors *t, const struct tensor *one, const struct packing *p, unsigned said) {
  size_t len = strlen(p->suffix);
  const struct tensor *zeros = sibling(t, one->name, len, ".qzeros"), *scales = sibling(t, one->name, len, ".scales");

  if (p->bits)
    return p->bits;
  if (zeros && scales && zeros->type == TENSOR_I32 && zeros->elements && zeros->elements <= scales->elements &&
      zeros->elements * 32 % scales->elements == 0)
    return (unsigned)(zeros->elements * 32 / scales->elements);
  return said ? said : 4;
}

/* Bits that config.json says packed weights have: each method has a place of its own for it. */
unsigned tensors_bits(struct json_object *config) {
  static const char *const places[] = {"quantization_config.bits", "quantization_config.w_bit", "quantization.bits"};
  int64_t bits = 0;

  for (size_t i = 0; bits == 0 && i < ARRAY_LEN(places); i++)
    bits = json_i64(config, places[i], 0);
  struct json_object *groups = json_at(config, "quantization_config.config_groups");
  if (bits == 0 && json_is(groups, json_type_object)) {
    json_object_object_foreach (groups, name, group) { /* of several, the one whose weights are packed */
      (void)name;
      bool packed = streq(json_str(group, "format", ""), "pack-quantized");
      bits = bits && !packed ? bits : json_i64(group, "weights.num_bits", 0);
    }
  }
  return bits >= 1 && bits <= 16 ? (unsigned)bits : 0;
}

/* ---- counting ---------------------------------------------------------------------------------------------------- */

/* A matrix that the configuration says is another's too, stored all the same. */
static bool is_tied_copy(const struct tensors *t, const struct tensor *one) {
  static const char *const embeddings[] = {"model.embed_tokens.weight", "transformer.wte.weight",
                                           "model.language_model.embed_tokens.weight",
                                           "language_model.model.embed_tokens.weight", "embed_tokens.weight"};

  if (!streq(one->name, "lm_head.weight") && !has_suffix(one->name, ".lm_head.weight"))
    return false;
  for (size_t i = 0; i < ARRAY_LEN(embeddings); i++) {
    const struct tensor *e = find(t, embeddings[i]);
    if (e && e->elements == one->elements)
      return true;
  }
  return false;
}

struct tally {
  uint64_t parameters, of_type[TENSOR_OTHER + 1];
  const char *quantization;
  uint64_t packed; /* parameters of it */
  uint64_t routed; /* parameters of experts that tokens are sent to one by one */
};

static bool count_one(const struct tensors *t, const struct tensor *one, unsigned bits, struct tally *sum) {
  const struct packing *p = packing_of(t, one);
  uint64_t n = one->elements;

  if (p && __builtin_mul_overflow(n, (uint64_t)tensor_type_bits(one->type), &n))
    return false;
  n = p ? n / bits_of(t, one, p, bits) : n;
  if (p && p->quantization) {
    sum->quantization = p->quantization;
    sum->packed += n;
  }
  sum->of_type[one->type] += p ? 0 : n;
  sum->routed += strstr(one->name, ".experts.") ? n : 0;
  return !__builtin_add_overflow(sum->parameters, n, &sum->parameters);
}

/* The type that most of the weights have that are not packed. */
static const char *main_dtype(const struct tally *sum) {
  unsigned most = TENSOR_OTHER;

  for (unsigned i = 0; i < TENSOR_OTHER; i++)
    if (sum->of_type[i] > sum->of_type[most] || (most == TENSOR_OTHER && sum->of_type[i]))
      most = i;
  return tensor_type_dtype((enum tensor_type)most);
}

static void warn(const struct tensors *t, size_t tied, struct model_facts *f) {
  if (tied)
    facts_warn(f, "the output matrix is stored though it is the embedding's; it is counted once");
  if (t->twice)
    facts_warn(f, "%zu tensors are in more than one file, %s for one; each is counted once", t->twice, t->twice_name);
  if (t->others)
    facts_warn(f, "%zu tensors are of types that are not known, %s for one", t->others, t->other_name);
}

/* Of the parameters of routed experts a token uses its share. */
static uint64_t active_of(const struct tally *sum, const struct model_facts *f) {
  if (!f->experts || !f->experts_per_token || f->experts_per_token > f->experts || sum->routed > sum->parameters)
    return f->active_parameters;
  return sum->parameters - sum->routed + sum->routed / f->experts * f->experts_per_token;
}

int32_t tensors_count(const struct tensors *t, unsigned bits, struct model_facts *f, struct ome_err *err) {
  struct tally sum = {0};
  size_t tied = 0;

  for (size_t i = 0; i < t->list.len; i++) {
    const struct tensor *one = &t->list.items[i];
    if (f->tied && is_tied_copy(t, one)) {
      tied++;
      continue;
    }
    if (!is_helper(t, one) && !count_one(t, one, bits, &sum))
      return fail(err, OME_E_CORRUPT, "model: tensor %.100s: more parameters than can be counted", one->name);
  }
  f->parameters = sum.parameters;
  f->active_parameters = active_of(&sum, f);
  f->weight_bytes = t->bytes;
  f->weight_bits = sum.parameters ? (double)t->bytes * 8 / (double)sum.parameters : 0;
  if (f->dtype[0] == '\0')
    (void)snprintf(f->dtype, sizeof(f->dtype), "%s", main_dtype(&sum));
  if (f->quantization[0] == '\0' && sum.quantization)
    (void)snprintf(f->quantization, sizeof(f->quantization), "%s", sum.quantization);
  warn(t, tied, f);
  return OME_OK;
}
