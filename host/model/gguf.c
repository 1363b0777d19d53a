/* GGUF version 2 and 3 (github.com/ggml-org/ggml/blob/master/docs/gguf.md): key-value pairs, then a table of tensors.
 */
#include "model/internal.h"

#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_PAIRS ((uint64_t)65536)
#define MAX_TENSORS ((uint64_t)1 << 20)
#define MAX_ARRAY ((uint64_t)1 << 26)
#define MAX_KEY 1024u
#define MAX_TEXT ((uint64_t)1 << 26)

enum { T_U8, T_I8, T_U16, T_I16, T_U32, T_I32, T_F32, T_BOOL, T_STRING, T_ARRAY, T_U64, T_I64, T_F64, T_COUNT };
static const uint8_t widths[T_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

/* general.file_type */
static const char *const file_types[] = {
    [0] = "F32",     [1] = "F16",     [2] = "Q4_0",     [3] = "Q4_1",    [7] = "Q8_0",     [8] = "Q5_0",
    [9] = "Q5_1",    [10] = "Q2_K",   [11] = "Q3_K_S",  [12] = "Q3_K_M", [13] = "Q3_K_L",  [14] = "Q4_K_S",
    [15] = "Q4_K_M", [16] = "Q5_K_S", [17] = "Q5_K_M",  [18] = "Q6_K",   [19] = "IQ2_XXS", [20] = "IQ2_XS",
    [21] = "Q2_K_S", [22] = "IQ3_XS", [23] = "IQ3_XXS", [24] = "IQ1_S",  [25] = "IQ4_NL",  [26] = "IQ3_S",
    [27] = "IQ3_M",  [28] = "IQ2_S",  [29] = "IQ2_M",   [30] = "IQ4_XS", [31] = "IQ1_M",   [32] = "BF16",
    [36] = "TQ1_0",  [37] = "TQ2_0",  [38] = "MXFP4"};

/* general.architecture, and the names that Hugging Face has for the same. */
static const struct {
  const char *gguf, *type, *architecture;
} families[] = {
    {"llama", "llama", "LlamaForCausalLM"},           {"smollm3", "smollm3", "SmolLM3ForCausalLM"},
    {"qwen2", "qwen2", "Qwen2ForCausalLM"},           {"qwen3", "qwen3", "Qwen3ForCausalLM"},
    {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM"}, {"gemma2", "gemma2", "Gemma2ForCausalLM"},
    {"gemma3", "gemma3", "Gemma3ForCausalLM"},        {"phi3", "phi3", "Phi3ForCausalLM"},
};

static int32_t get_text(struct reader *r, char *out, size_t size, struct ome_err *err) {
  uint64_t len = 0;
  int32_t rc = reader_u64(r, &len, err);

  out[0] = '\0';
  if (rc == OME_OK && len > MAX_TEXT)
    rc = fail(err, OME_E_CORRUPT, "model: %s: a text of %" PRIu64 " bytes", r->path, len);
  if (rc != OME_OK)
    return rc;
  if (len >= size)
    return reader_skip(r, len, err);
  rc = reader_get(r, out, (size_t)len, err);
  out[rc == OME_OK ? len : 0] = '\0';
  return rc;
}

static int32_t skip_text(struct reader *r, struct ome_err *err) {
  char none[1];

  return get_text(r, none, sizeof(none), err);
}

static int32_t skip_array(struct reader *r, uint64_t *count, struct ome_err *err) {
  uint32_t type = 0;
  int32_t rc = reader_u32(r, &type, err);

  if (rc == OME_OK)
    rc = reader_u64(r, count, err);
  if (rc == OME_OK && (*count > MAX_ARRAY || type >= T_COUNT || type == T_ARRAY))
    rc = fail(err, OME_E_CORRUPT, "model: %s: an array that cannot be read", r->path);
  if (rc != OME_OK)
    return rc;
  if (type != T_STRING)
    return reader_skip(r, *count * widths[type], err);
  for (uint64_t i = 0; rc == OME_OK && i < *count; i++)
    rc = skip_text(r, err);
  return rc;
}

/* A number into *N (0 for fractions), a text into TEXT, the length of an array into *N. */
static int32_t get_value(struct reader *r, uint32_t type, uint64_t *n, char *text, size_t size, struct ome_err *err) {
  uint8_t raw[8] = {0};

  text[0] = '\0';
  *n = 0;
  if (type == T_STRING)
    return get_text(r, text, size, err);
  if (type == T_ARRAY)
    return skip_array(r, n, err);
  if (type >= T_COUNT)
    return fail(err, OME_E_CORRUPT, "model: %s: a value of the unknown type %u", r->path, type);
  int32_t rc = reader_get(r, raw, widths[type], err);
  for (int i = 7; rc == OME_OK && type != T_F32 && type != T_F64 && i >= 0; i--)
    *n = *n << 8 | raw[i];
  return rc;
}

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
    {".vocab_size", offsetof(struct model_facts, vocabulary)},
};

static void take_pair(struct model_facts *f, const char *key, uint32_t type, uint64_t n, const char *text) {
  const char *dot = strchr(key, '.');
  size_t prefix = strlen(f->type);

  if (streq(key, "general.architecture") && f->type[0] == '\0') {
    (void)snprintf(f->type, sizeof(f->type), "%.63s", text);
  } else if (streq(key, "general.file_type") && n < ARRAY_LEN(file_types) && file_types[n]) {
    (void)snprintf(f->quantization, sizeof(f->quantization), "%s", file_types[n]);
  } else if (streq(key, "tokenizer.ggml.tokens") && f->vocabulary == 0) {
    f->vocabulary = n;
  } else if (dot && (size_t)(dot - key) == prefix && strncmp(key, f->type, prefix) == 0 && type != T_ARRAY) {
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
      if (streq(key + prefix, numbers[i].suffix) && n < (uint64_t)1 << 48)
        *(uint64_t *)(void *)((char *)f + numbers[i].offset) = n;
  }
}

static int32_t read_pairs(struct reader *r, uint64_t count, struct model_facts *f, struct ome_err *err) {
  char key[MAX_KEY], text[256];
  int32_t rc = OME_OK;

  for (uint64_t i = 0; rc == OME_OK && i < count; i++) {
    uint32_t type = 0;
    uint64_t n = 0;
    rc = get_text(r, key, sizeof(key), err);
    if (rc == OME_OK)
      rc = reader_u32(r, &type, err);
    if (rc == OME_OK)
      rc = get_value(r, type, &n, text, sizeof(text), err);
    if (rc == OME_OK)
      take_pair(f, key, type, n, text);
  }
  return rc;
}

static int32_t read_tensor(struct reader *r, uint64_t *parameters, struct ome_err *err) {
  uint64_t n = 1, offset;
  uint32_t dims = 0, type;
  int32_t rc = skip_text(r, err);

  if (rc == OME_OK)
    rc = reader_u32(r, &dims, err);
  if (rc == OME_OK && dims > 8)
    rc = fail(err, OME_E_CORRUPT, "model: %s: a tensor of %u dimensions", r->path, dims);
  for (uint32_t i = 0; rc == OME_OK && i < dims; i++) {
    uint64_t d = 0;
    rc = reader_u64(r, &d, err);
    if (rc == OME_OK && (__builtin_mul_overflow(n, d, &n) || n > (uint64_t)1 << 60))
      rc = fail(err, OME_E_CORRUPT, "model: %s: a tensor too large to be one", r->path);
  }
  if (rc == OME_OK)
    rc = reader_u32(r, &type, err);
  if (rc == OME_OK)
    rc = reader_u64(r, &offset, err);
  if (rc == OME_OK && __builtin_add_overflow(*parameters, n, parameters))
    rc = fail(err, OME_E_CORRUPT, "model: %s: more parameters than can be counted", r->path);
  return rc;
}

static int32_t read_file(const struct model_source *src, const char *path, struct model_facts *f, struct ome_err *err) {
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
    return fail(err, OME_E_CORRUPT, "model: %s: is no GGUF file of version 2 or 3", path);
  if (ntensors > MAX_TENSORS || npairs > MAX_PAIRS)
    return fail(err, OME_E_CORRUPT, "model: %s: more tensors or keys than a model has", path);
  rc = read_pairs(&r, npairs, f, err);
  for (uint64_t i = 0; rc == OME_OK && i < ntensors; i++)
    rc = read_tensor(&r, &f->parameters, err);
  (void)snprintf(f->format_version, sizeof(f->format_version), "%u", version);
  f->weight_bytes += r.size;
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

static bool is_model(const char *path) {
  return has_suffix(path, ".gguf") && !strstr(path, "mmproj");
}

static void name_family(struct model_facts *f) {
  for (size_t i = 0; i < ARRAY_LEN(families); i++) {
    if (!streq(f->type, families[i].gguf))
      continue;
    (void)snprintf(f->architecture, sizeof(f->architecture), "%s", families[i].architecture);
    (void)snprintf(f->type, sizeof(f->type), "%s", families[i].type);
    return;
  }
  (void)snprintf(f->architecture, sizeof(f->architecture), "%s", f->type);
}

static void finish(struct model_facts *f) {
  const char *q = f->quantization;

  (void)snprintf(f->format, sizeof(f->format), "gguf");
  (void)snprintf(f->framework, sizeof(f->framework), "llama.cpp");
  (void)snprintf(f->dtype, sizeof(f->dtype), "%.31s",
                 streq(q, "F32")    ? "float32"
                 : streq(q, "F16")  ? "float16"
                 : streq(q, "BF16") ? "bfloat16"
                                    : q);
  if (streq(q, "F32") || streq(q, "F16") || streq(q, "BF16"))
    f->quantization[0] = '\0';
  f->parameter_source = "gguf";
  name_family(f);
  if (f->kv_heads == 0)
    f->kv_heads = f->heads;
  if (f->head_size == 0 && f->heads)
    f->head_size = f->hidden / f->heads;
}

int32_t gguf_read(const struct model_source *src, struct model_facts *f, struct ome_err *err) {
  const char *first = NULL;
  size_t others = 0;
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < src->nfiles; i++) {
    const char *path = src->files[i].path;
    size_t prefix = first ? split_prefix(first) : 0;
    if (!is_model(path))
      continue;
    if (first && !(prefix && split_prefix(path) == prefix && strncmp(path, first, prefix) == 0)) {
      others++;
      continue;
    }
    if (!first)
      first = path;
    rc = read_file(src, path, f, err);
  }
  if (rc != OME_OK || !first)
    return rc;
  if (others)
    facts_warn(f, "%zu more GGUF files are there; the facts are those of %s", others, first);
  finish(f);
  return OME_OK;
}
