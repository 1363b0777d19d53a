/* GGUF version 2 and 3 (github.com/ggml-org/ggml/blob/master/docs/gguf.md): key-value pairs, then a table of tensors.
 */
#include "model/gguf_names.h"
#include "model/internal.h"

#include "base/str.h"
#include "base/strmap.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_PAIRS ((uint64_t)65536)
#define MAX_TENSORS ((uint64_t)1 << 20)
#define MAX_ARRAY ((uint64_t)1 << 24)
#define MAX_DEPTH 4
#define MAX_KEY 1024u
#define MAX_TEXT ((uint64_t)1 << 26)
#define MAX_ALIGN ((uint64_t)1 << 20)
#define HEAD_GUESS ((size_t)1 << 20) /* read first: the vocabulary is in there */

enum { T_U8, T_I8, T_U16, T_I16, T_U32, T_I32, T_F32, T_BOOL, T_STRING, T_ARRAY, T_U64, T_I64, T_F64, T_COUNT };
static const uint8_t widths[T_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

/* One value.  An array of integers has their sum, their largest and how many are not 0. */
struct value {
  uint32_t type;
  uint64_t n; /* an integer; the length of an array; 0 for fractions */
  uint64_t sum, most, nonzero;
  char text[256];
};

/* What is gathered over the parts of a model. */
struct gguf {
  struct model_facts *f;
  struct strmap *names; /* of tensors */
  uint64_t by_type[64]; /* bytes of the weights of each type */
  uint64_t experts;     /* parameters of routed experts */
  uint64_t parts;       /* that the file says there are */
  uint64_t align;
  size_t others; /* tensors of types that are not known */
  uint64_t data; /* bytes behind the tables */
};

static int32_t get_text(struct reader *r, char *out, size_t size, struct ome_err *err) {
  uint64_t len = 0;
  int32_t rc = reader_u64(r, &len, err);

  out[0] = '\0';
  if (rc == OME_OK && len > MAX_TEXT)
    rc = fail(err, OME_E_CORRUPT, "model: %s: a text of %" PRIu64 " bytes at byte %" PRIu64, r->path, len, r->at);
  if (rc != OME_OK)
    return rc;
  if (len >= size)
    return reader_skip(r, len, err);
  rc = reader_get(r, out, (size_t)len, err);
  out[rc == OME_OK ? len : 0] = '\0';
  return rc;
}

static bool is_integer(uint32_t type) {
  return type < T_COUNT && type != T_F32 && type != T_F64 && type != T_STRING && type != T_ARRAY;
}

static int32_t get_number(struct reader *r, uint32_t type, uint64_t *n, struct ome_err *err) {
  uint8_t raw[8] = {0};
  int32_t rc = reader_get(r, raw, widths[type], err);

  *n = 0;
  for (int i = 7; rc == OME_OK && is_integer(type) && i >= 0; i--)
    *n = *n << 8 | raw[i];
  return rc;
}

/* Layers are few: what has more entries than this is a vocabulary. */
#define MAX_LAYERS 4096u

static int32_t get_array(struct reader *r, struct value *v, int depth, struct ome_err *err);

static int32_t get_element(struct reader *r, uint32_t type, struct value *array, int depth, struct ome_err *err) {
  struct value inner = {.type = type};
  char none[1];

  if (type == T_STRING)
    return get_text(r, none, sizeof(none), err);
  if (type == T_ARRAY)
    return get_array(r, &inner, depth + 1, err);
  int32_t rc = get_number(r, type, &inner.n, err);
  inner.n = inner.n < (uint64_t)1 << 48 ? inner.n : 0;
  array->sum += inner.n;
  array->nonzero += inner.n != 0;
  array->most = inner.n > array->most ? inner.n : array->most;
  return rc;
}

static int32_t get_array(struct reader *r, struct value *v, int depth, struct ome_err *err) {
  uint32_t type = 0;
  uint64_t count = 0;
  int32_t rc = reader_u32(r, &type, err);

  if (rc == OME_OK)
    rc = reader_u64(r, &count, err);
  if (rc == OME_OK && (count > MAX_ARRAY || type >= T_COUNT || depth > MAX_DEPTH))
    rc = fail(err, OME_E_CORRUPT, "model: %s: an array of %" PRIu64 " values of type %u at byte %" PRIu64, r->path,
              count, type, r->at);
  if (rc != OME_OK)
    return rc;
  v->n = count;
  if (type != T_STRING && type != T_ARRAY && !(is_integer(type) && count <= MAX_LAYERS))
    return reader_skip(r, count * widths[type], err);
  for (uint64_t i = 0; rc == OME_OK && i < count; i++)
    rc = get_element(r, type, v, depth, err);
  return rc;
}

static int32_t get_value(struct reader *r, struct value *v, struct ome_err *err) {
  if (v->type == T_STRING)
    return get_text(r, v->text, sizeof(v->text), err);
  if (v->type == T_ARRAY)
    return get_array(r, v, 0, err);
  if (v->type >= T_COUNT)
    return fail(err, OME_E_CORRUPT, "model: %s: a value of the unknown type %u at byte %" PRIu64, r->path, v->type,
                r->at);
  return get_number(r, v->type, &v->n, err);
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static const struct {
  const char *suffix;
  size_t offset;
} numbers[] = {
    {".context_length", offsetof(struct model_facts, context_length)},
    {".embedding_length", offsetof(struct model_facts, hidden)},
    {".block_count", offsetof(struct model_facts, layers)},
    {".feed_forward_length", offsetof(struct model_facts, intermediate)},
    {".attention.head_count", offsetof(struct model_facts, heads)},
    {".attention.head_count_kv", offsetof(struct model_facts, kv_heads)},
    {".attention.key_length", offsetof(struct model_facts, head_size)},
    {".attention.value_length", offsetof(struct model_facts, value_size)},
    {".attention.q_lora_rank", offsetof(struct model_facts, q_latent)},
    {".attention.kv_lora_rank", offsetof(struct model_facts, kv_latent)},
    {".attention.sliding_window", offsetof(struct model_facts, sliding_window)},
    {".rope.dimension_count", offsetof(struct model_facts, rope_head_size)},
    {".rope.scaling.original_context_length", offsetof(struct model_facts, native_context)},
    {".expert_count", offsetof(struct model_facts, experts)},
    {".expert_used_count", offsetof(struct model_facts, experts_per_token)},
    {".expert_shared_count", offsetof(struct model_facts, shared_experts)},
    {".expert_feed_forward_length", offsetof(struct model_facts, expert_intermediate)},
    {".vocab_size", offsetof(struct model_facts, vocabulary)},
};

/* A key of the architecture's own, "llama.block_count".  What differs from layer to layer comes as an array. */
static void take_number(struct model_facts *f, const char *suffix, const struct value *v) {
  uint64_t n = v->type == T_ARRAY ? v->most : v->n;

  for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
    if (streq(suffix, numbers[i].suffix) && n < (uint64_t)1 << 48)
      *(uint64_t *)(void *)((char *)f + numbers[i].offset) = n;
  if (v->type != T_ARRAY || !streq(suffix, ".attention.head_count_kv"))
    return;
  f->uncached_layers = v->n - v->nonzero;
  f->kv_heads_sum = v->nonzero && v->sum != v->most * v->nonzero ? v->sum : 0;
}

/* Nothing says that a text of a stranger is UTF-8, or a word. */
static void take_word(char *out, size_t size, const char *text) {
  for (const char *p = text; *p; p++)
    if (*p <= ' ' || *p > '~')
      return;
  (void)snprintf(out, size, "%.*s", (int)size - 1, text);
}

/* Keys that mean the same for every architecture. */
static void take_general(struct gguf *g, const char *key, const struct value *v) {
  struct model_facts *f = g->f;

  if (streq(key, "general.architecture") && f->type[0] == '\0')
    take_word(f->type, sizeof(f->type), v->text);
  else if (streq(key, "general.file_type") && gguf_file_type(v->n))
    (void)snprintf(f->quantization, sizeof(f->quantization), "%s", gguf_file_type(v->n));
  else if (streq(key, "general.license") && f->license[0] == '\0')
    take_word(f->license, sizeof(f->license), v->text);
  else if (streq(key, "general.alignment") && v->n && v->n <= MAX_ALIGN)
    g->align = v->n;
  else if (streq(key, "split.count"))
    g->parts = v->n;
}

static void take_tokenizer(struct model_facts *f, const char *key, const struct value *v) {
  f->chat_template = f->chat_template || streq(key, "tokenizer.chat_template");
  if (!streq(key, "tokenizer.ggml.tokens"))
    return;
  f->tokenizer = true;
  f->vocabulary = f->vocabulary ? f->vocabulary : v->n;
}

static void take_pair(struct gguf *g, const char *key, const struct value *v) {
  size_t prefix = strlen(g->f->type);

  if (has_prefix(key, "general.") || has_prefix(key, "split."))
    take_general(g, key, v);
  else if (has_prefix(key, "tokenizer."))
    take_tokenizer(g->f, key, v);
  else if (prefix && strncmp(key, g->f->type, prefix) == 0 && key[prefix] == '.')
    take_number(g->f, key + prefix, v);
}

static int32_t read_pairs(struct reader *r, uint64_t count, struct gguf *g, struct ome_err *err) {
  _cleanup_strmap_ struct strmap *seen = strmap_new(NULL);
  char key[MAX_KEY];
  int32_t rc = seen ? OME_OK : fail_memory(err);

  for (uint64_t i = 0; rc == OME_OK && i < count; i++) {
    struct value v = {0};
    rc = get_text(r, key, sizeof(key), err);
    if (rc == OME_OK && strmap_has(seen, key))
      rc = fail(err, OME_E_CORRUPT, "model: %s: the key %.100s is there twice, at byte %" PRIu64, r->path, key, r->at);
    if (rc == OME_OK && !strmap_put(seen, key, NULL))
      rc = fail_memory(err);
    if (rc == OME_OK)
      rc = reader_u32(r, &v.type, err);
    if (rc == OME_OK)
      rc = get_value(r, &v, err);
    if (rc == OME_OK)
      take_pair(g, key, &v);
  }
  return rc;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

struct shape {
  uint64_t elements, first; /* the first dimension is what blocks lie along */
};

static int32_t get_shape(struct reader *r, struct shape *s, struct ome_err *err) {
  uint32_t dims = 0;
  int32_t rc = reader_u32(r, &dims, err);

  *s = (struct shape){.elements = 1};
  if (rc == OME_OK && dims > 8)
    rc = fail(err, OME_E_CORRUPT, "model: %s: a tensor of %u dimensions at byte %" PRIu64, r->path, dims, r->at);
  for (uint32_t i = 0; rc == OME_OK && i < dims; i++) {
    uint64_t d = 0;
    rc = reader_u64(r, &d, err);
    s->first = i ? s->first : d;
    if (rc == OME_OK && (__builtin_mul_overflow(s->elements, d, &s->elements) || s->elements > (uint64_t)1 << 56))
      rc = fail(err, OME_E_CORRUPT, "model: %s: a tensor too large to be one at byte %" PRIu64, r->path, r->at);
  }
  return rc;
}

/* Where the last byte of the tensor data is that any entry of the table speaks of goes to *END. */
static int32_t count_tensor(struct gguf *g, const struct reader *r, const char *name, const struct shape *s,
                            uint32_t type, uint64_t offset, uint64_t *end, struct ome_err *err) {
  const struct gguf_type *t = gguf_type_of(type);
  uint64_t bytes = 0, to = 0;

  if (strmap_has(g->names, name))
    return fail(err, OME_E_CORRUPT, "model: %s: tensor %.100s is there twice, at byte %" PRIu64, r->path, name, r->at);
  if (!strmap_put(g->names, name, NULL))
    return fail_memory(err);
  if (__builtin_add_overflow(g->f->parameters, s->elements, &g->f->parameters))
    return fail(err, OME_E_CORRUPT, "model: %s: more parameters than can be counted", r->path);
  if (strstr(name, "_exps."))
    g->experts += s->elements;
  if (!t) {
    g->others++;
    return OME_OK;
  }
  if (s->first % t->block)
    return fail(err, OME_E_CORRUPT, "model: %s: tensor %.100s: rows of %" PRIu64 " are no whole blocks of %s", r->path,
                name, s->first, t->name);
  bytes = s->elements / t->block * t->bytes;
  if (offset % g->align || __builtin_add_overflow(offset, bytes, &to))
    return fail(err, OME_E_CORRUPT, "model: %s: tensor %.100s lies at byte %" PRIu64 " of the data", r->path, name,
                offset);
  *end = to > *end ? to : *end;
  g->by_type[type] += bytes;
  return OME_OK;
}

static int32_t read_tensors(struct reader *r, uint64_t count, struct gguf *g, struct ome_err *err) {
  char name[MAX_KEY];
  uint64_t end = 0;
  int32_t rc = OME_OK;

  for (uint64_t i = 0; rc == OME_OK && i < count; i++) {
    struct shape shape;
    uint32_t type = 0;
    uint64_t offset = 0;
    rc = get_text(r, name, sizeof(name), err);
    if (rc == OME_OK)
      rc = get_shape(r, &shape, err);
    if (rc == OME_OK)
      rc = reader_u32(r, &type, err);
    if (rc == OME_OK)
      rc = reader_u64(r, &offset, err);
    if (rc == OME_OK)
      rc = count_tensor(g, r, name, &shape, type, offset, &end, err);
  }
  uint64_t data = (r->at + g->align - 1) / g->align * g->align;
  if (rc == OME_OK && data < r->size)
    g->data += r->size - data;
  if (rc != OME_OK || end == 0)
    return rc;
  if (data > r->size || end > r->size - data)
    return fail(err, OME_E_CORRUPT, "model: %s: its tensors end at byte %" PRIu64 " of %" PRIu64 "; it is cut short",
                r->path, data + end, r->size);
  return OME_OK;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static int32_t read_file(const struct model_source *src, const char *path, struct gguf *g, struct ome_err *err) {
  _cleanup_(reader_close) struct reader r = {0};
  uint32_t magic = 0, version = 0;
  uint64_t ntensors = 0, npairs = 0;
  int32_t rc = reader_open(src, path, &r, err);

  if (rc == OME_OK)
    rc = reader_u32(&r, &magic, err);
  if (rc == OME_OK)
    rc = reader_u32(&r, &version, err);
  if (rc == OME_OK)
    rc = reader_u64(&r, &ntensors, err);
  if (rc == OME_OK)
    rc = reader_u64(&r, &npairs, err);
  if (rc != OME_OK)
    return rc;
  if (magic != 0x46554747u || version < 2 || version > 3)
    return fail(err, OME_E_CORRUPT, "model: %s: is no little-endian GGUF file of version 2 or 3", path);
  if (ntensors > MAX_TENSORS || npairs > MAX_PAIRS)
    return fail(err, OME_E_CORRUPT, "model: %s: %" PRIu64 " tensors and %" PRIu64 " keys are more than a model has",
                path, ntensors, npairs);
  g->align = 32;
  rc = read_pairs(&r, npairs, g, err);
  if (rc == OME_OK)
    rc = read_tensors(&r, ntensors, g, err);
  (void)snprintf(g->f->format_version, sizeof(g->f->format_version), "%u", version);
  return rc;
}

/* "NAME-00002-of-00005.gguf": the length of NAME; 0: not a part. */
static size_t split_prefix(const char *path) {
  size_t n = strlen(path);
  static const char shape[] = "-00000-of-00000.gguf";
  size_t len = sizeof(shape) - 1;

  if (n <= len)
    return 0;
  for (size_t i = 0; i < len; i++) {
    char c = path[n - len + i];
    if (shape[i] == '0' ? c < '0' || c > '9' : c != shape[i])
      return 0;
  }
  return n - len;
}

/* Projectors turn pictures into tokens for the model beside them. */
static bool is_projector(const char *path) {
  return has_suffix(path, ".gguf") && strstr(path, "mmproj");
}

static bool is_model(const char *path) {
  return has_suffix(path, ".gguf") && !strstr(path, "mmproj");
}

static void name_family(struct model_facts *f) {
  const struct gguf_family *family = gguf_family_of(f->type);

  (void)snprintf(f->architecture, sizeof(f->architecture), "%s", family ? family->architecture : f->type);
  if (family)
    (void)snprintf(f->type, sizeof(f->type), "%s", family->type);
}

/* The type that takes the most bytes, where the file does not say what it is as a whole. */
static const char *main_type(const struct gguf *g) {
  uint32_t most = 0;

  for (uint32_t i = 1; i < ARRAY_LEN(g->by_type); i++)
    most = g->by_type[i] > g->by_type[most] ? i : most;
  return g->by_type[most] ? gguf_type_of(most)->name : "";
}

static void name_types(const struct gguf *g) {
  static const char *const plain[][2] = {{"F32", "float32"}, {"F16", "float16"}, {"BF16", "bfloat16"}};
  struct model_facts *f = g->f;

  if (f->quantization[0] == '\0')
    (void)snprintf(f->quantization, sizeof(f->quantization), "%s", main_type(g));
  (void)snprintf(f->dtype, sizeof(f->dtype), "%.31s", f->quantization);
  for (size_t i = 0; i < ARRAY_LEN(plain); i++)
    if (streq(f->quantization, plain[i][0])) {
      (void)snprintf(f->dtype, sizeof(f->dtype), "%s", plain[i][1]);
      f->quantization[0] = '\0';
    }
}

/* What the tensors take; with types that nobody has heard of among them, all that is not a table. */
static uint64_t weight_bytes(const struct gguf *g) {
  uint64_t n = 0;

  for (size_t i = 0; i < ARRAY_LEN(g->by_type); i++)
    n += g->by_type[i];
  return g->others || n > g->data ? g->data : n;
}

static void finish(struct gguf *g) {
  struct model_facts *f = g->f;

  (void)snprintf(f->format, sizeof(f->format), "gguf");
  (void)snprintf(f->framework, sizeof(f->framework), "llama.cpp");
  f->parameter_source = "gguf";
  f->weight_bytes = weight_bytes(g);
  f->weight_bits = f->parameters ? (double)f->weight_bytes * 8 / (double)f->parameters : 0;
  f->active_parameters = f->parameters;
  if (f->experts && f->experts_per_token && f->experts_per_token <= f->experts && g->experts <= f->parameters)
    f->active_parameters = f->parameters - g->experts + g->experts / f->experts * f->experts_per_token;
  name_types(g);
  name_family(f);
  if (f->kv_heads == 0)
    f->kv_heads = f->heads;
  if (f->head_size == 0 && f->heads)
    f->head_size = f->hidden / f->heads;
  if (g->others)
    facts_warn(f, "%zu tensors are of types that are not known", g->others);
}

struct parts {
  VEC(struct model_range) list;
  size_t others; /* GGUF files that are of another model */
};

/* The parts of the model whose first file in order is FIRST, which may be the only one. */
static int32_t find_parts(const struct model_source *src, const char *first, struct parts *out, struct ome_err *err) {
  size_t prefix = split_prefix(first);

  for (size_t i = 0; i < src->nfiles; i++) {
    const char *path = src->files[i].path;
    bool part = streq(path, first) || (prefix && split_prefix(path) == prefix && strncmp(path, first, prefix) == 0);
    const struct model_range range = {path, HEAD_GUESS};
    out->others += is_model(path) && !part;
    if (part && is_model(path) && !VEC_PUSH(&out->list, range))
      return fail_memory(err);
  }
  return source_prepare(src, out->list.items, out->list.len, err);
}

static int32_t read_parts(const struct model_source *src, const char *first, struct gguf *g, struct ome_err *err) {
  struct parts parts = {.others = 0};
  int32_t rc = find_parts(src, first, &parts, err);

  for (size_t i = 0; rc == OME_OK && i < parts.list.len; i++)
    rc = read_file(src, parts.list.items[i].path, g, err);
  if (rc == OME_OK && g->parts > parts.list.len)
    facts_warn(g->f, "%zu of %" PRIu64 " parts are there; the facts are those of what is", parts.list.len, g->parts);
  if (rc == OME_OK && parts.others)
    facts_warn(g->f, "%zu more GGUF files are there; the facts are those of %s", parts.others, first);
  VEC_FREE(&parts.list);
  return rc;
}

int32_t gguf_read(const struct model_source *src, struct model_facts *f, struct ome_err *err) {
  struct gguf g = {.f = f, .align = 32};
  const char *first = NULL;
  bool projector = false;

  for (size_t i = 0; i < src->nfiles; i++) {
    projector = projector || is_projector(src->files[i].path);
    if (!first && is_model(src->files[i].path))
      first = src->files[i].path;
  }
  if (!first)
    return OME_OK;
  _cleanup_strmap_ struct strmap *names = strmap_new(NULL);
  g.names = names;
  int32_t rc = names ? read_parts(src, first, &g, err) : fail_memory(err);
  if (rc != OME_OK)
    return rc;
  f->vision = projector;
  finish(&g);
  return OME_OK;
}
