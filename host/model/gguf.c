#include "base/str.h"
#include "model/formats.h"

#include <stdio.h>
#include <string.h>

#define WINDOW ((size_t)1 << 20)
#define MAX_PAIRS 65536u
#define MAX_TENSORS 200000u
#define MAX_TEXT ((uint64_t)1 << 20)
#define MAX_ARRAY ((uint64_t)10000000)

enum value_type { U8, I8, U16, I16, U32, I32, F32, BOOL, TEXT, ARRAY, U64, I64, F64, VALUE_TYPES };

/* A reader that moves a window over the file. */
struct cursor {
  const struct model_file *file;
  uint64_t at;
  uint8_t *window;
  uint64_t start;
  size_t len;
  struct ome_err *err;
};

static int32_t corrupt(struct cursor *c, const char *what) {
  return fail(c->err, OME_E_CORRUPT, "%s: not GGUF: %s at offset %llu", c->file->name, what,
              (unsigned long long)c->at);
}

static int32_t take(struct cursor *c, void *out, size_t n) {
  if (c->at < c->start || c->at + n > c->start + c->len) {
    int32_t rc = c->file->read(c->file->arg, c->at, c->window, WINDOW, &c->len, c->err);
    if (rc != OME_OK)
      return rc;
    c->start = c->at;
    if (c->len < n)
      return corrupt(c, "the file ends");
  }
  memcpy(out, c->window + (c->at - c->start), n);
  c->at += n;
  return OME_OK;
}

static int32_t take_u32(struct cursor *c, uint32_t *out) {
  uint8_t b[4];
  int32_t rc = take(c, b, sizeof(b));

  *out = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
  return rc;
}

static int32_t take_u64(struct cursor *c, uint64_t *out) {
  uint32_t low = 0;
  uint32_t high = 0;
  int32_t rc = take_u32(c, &low);

  if (rc == OME_OK)
    rc = take_u32(c, &high);
  *out = (uint64_t)high << 32 | low;
  return rc;
}

/* A text of up to SIZE-1 bytes is copied, the rest of a longer one skipped. */
static int32_t take_text(struct cursor *c, char *out, size_t size) {
  uint64_t len;
  int32_t rc = take_u64(c, &len);

  if (rc != OME_OK)
    return rc;
  if (len > MAX_TEXT || len > c->file->size - c->at)
    return corrupt(c, "a text is too long");
  size_t n = len < size ? (size_t)len : size - 1;
  rc = take(c, out, n);
  out[n] = '\0';
  c->at += len - n;
  return rc;
}

static const uint8_t sizes[VALUE_TYPES] = {
    [U8] = 1, [I8] = 1, [U16] = 2, [I16] = 2, [U32] = 4, [I32] = 4, [F32] = 4, [BOOL] = 1, [U64] = 8, [I64] = 8, [F64] = 8,
};

struct value {
  uint32_t type;
  uint64_t number;  /* of the integer types */
  uint64_t elements; /* of an array */
  char text[256];
};

static int32_t take_array(struct cursor *c, struct value *out) {
  char skipped[8];
  uint32_t type;
  int32_t rc = take_u32(c, &type);

  if (rc == OME_OK)
    rc = take_u64(c, &out->elements);
  if (rc != OME_OK)
    return rc;
  if (out->elements > MAX_ARRAY || type >= VALUE_TYPES || type == ARRAY)
    return corrupt(c, "an array is too long or of an unknown type");
  if (type != TEXT) {
    c->at += out->elements * sizes[type];
    return c->at <= c->file->size ? OME_OK : corrupt(c, "an array is longer than the file");
  }
  for (uint64_t i = 0; rc == OME_OK && i < out->elements; i++)
    rc = take_text(c, skipped, sizeof(skipped));
  return rc;
}

static int32_t take_value(struct cursor *c, struct value *out) {
  uint8_t raw[8] = {0};
  int32_t rc = take_u32(c, &out->type);

  if (rc != OME_OK)
    return rc;
  if (out->type == TEXT)
    return take_text(c, out->text, sizeof(out->text));
  if (out->type == ARRAY)
    return take_array(c, out);
  if (out->type >= VALUE_TYPES)
    return corrupt(c, "a value of an unknown type");
  rc = take(c, raw, sizes[out->type]);
  out->number = 0;
  for (size_t i = 0; i < sizes[out->type]; i++)
    out->number |= (uint64_t)raw[i] << (8 * i);
  return rc;
}

/* llama.cpp's names of what Hugging Face calls architectures. */
static const struct {
  const char *gguf, *type, *architecture;
} families[] = {
    {"llama", "llama", "LlamaForCausalLM"},    {"qwen2", "qwen2", "Qwen2ForCausalLM"},
    {"qwen3", "qwen3", "Qwen3ForCausalLM"},    {"qwen2moe", "qwen2_moe", "Qwen2MoeForCausalLM"},
    {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM"}, {"gemma", "gemma", "GemmaForCausalLM"},
    {"gemma2", "gemma2", "Gemma2ForCausalLM"}, {"gemma3", "gemma3", "Gemma3ForCausalLM"},
    {"phi3", "phi3", "Phi3ForCausalLM"},       {"mistral", "mistral", "MistralForCausalLM"},
    {"smollm3", "smollm3", "SmolLM3ForCausalLM"}, {"deepseek2", "deepseek_v2", "DeepseekV2ForCausalLM"},
    {"bert", "bert", "BertModel"},             {"nomic-bert", "nomic_bert", "NomicBertModel"},
};

/* general.file_type, ggml's LLAMA_FTYPE numbers. */
static const char *const file_types[] = {
    "F32",  "F16",    "Q4_0",   "Q4_1",   NULL,     NULL,     NULL,     "Q8_0",   "Q5_0",  "Q5_1",
    "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K",
};

static void set_architecture(struct model_facts *f, const char *name) {
  for (size_t i = 0; i < ARRAY_LEN(families); i++)
    if (streq(families[i].gguf, name)) {
      model_set(&f->type, families[i].type);
      model_set(&f->architecture, families[i].architecture);
      return;
    }
  model_set(&f->type, name);
  model_warn(f, "this GGUF architecture is not known: no architecture name was derived");
}

static void note(struct model_facts *f, const char *key, const struct value *v) {
  const struct {
    const char *suffix;
    uint64_t *slot;
  } numbers[] = {
      {".context_length", &f->context_length},       {".embedding_length", &f->hidden_size},
      {".block_count", &f->layers},                  {".feed_forward_length", &f->intermediate_size},
      {".attention.head_count", &f->heads},          {".attention.head_count_kv", &f->kv_heads},
      {".attention.key_length", &f->head_size},      {".vocab_size", &f->vocabulary},
  };

  if (streq(key, "general.architecture") && v->type == TEXT)
    set_architecture(f, v->text);
  else if (streq(key, "general.file_type") && v->number < ARRAY_LEN(file_types) && file_types[v->number])
    model_set(v->number < 2 ? &f->dtype : &f->quantization, v->number == 0   ? "float32"
                                                            : v->number == 1 ? "float16"
                                                                             : file_types[v->number]);
  else if (streq(key, "general.file_type") && v->number == 32)
    model_set(&f->dtype, "bfloat16");
  else if (streq(key, "tokenizer.ggml.tokens") && v->type == ARRAY)
    f->vocabulary = v->elements;
  for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
    if (has_suffix(key, numbers[i].suffix) && v->type != TEXT && v->type != ARRAY && v->type != F32)
      *numbers[i].slot = v->number;
}

static int32_t read_pairs(struct cursor *c, uint64_t n, bool metadata, struct model_facts *f) {
  for (uint64_t i = 0; i < n; i++) {
    struct value v = {.type = VALUE_TYPES};
    char key[256];
    int32_t rc = take_text(c, key, sizeof(key));
    if (rc == OME_OK)
      rc = take_value(c, &v);
    if (rc != OME_OK)
      return rc;
    if (metadata)
      note(f, key, &v);
  }
  return OME_OK;
}

static int32_t read_tensors(struct cursor *c, uint64_t n, struct model_facts *f) {
  for (uint64_t i = 0; i < n; i++) {
    char name[128];
    uint32_t dimensions = 0;
    uint32_t type;
    uint64_t offset;
    uint64_t elements = 1;
    int32_t rc = take_text(c, name, sizeof(name));
    if (rc == OME_OK)
      rc = take_u32(c, &dimensions);
    if (rc == OME_OK && dimensions > 8)
      return corrupt(c, "a tensor of too many dimensions");
    for (uint32_t d = 0; rc == OME_OK && d < dimensions; d++) {
      uint64_t length;
      rc = take_u64(c, &length);
      if (rc == OME_OK && __builtin_mul_overflow(elements, length, &elements))
        return corrupt(c, "a tensor that is too large");
    }
    if (rc == OME_OK)
      rc = take_u32(c, &type);
    if (rc == OME_OK)
      rc = take_u64(c, &offset);
    if (rc != OME_OK)
      return rc;
    /* Tables that llama.cpp computes ahead are no parameters. */
    if (!streq(name, "rope_freqs.weight") && __builtin_add_overflow(f->parameters, elements, &f->parameters))
      return corrupt(c, "more parameters than can be counted");
  }
  return OME_OK;
}

static int32_t read_all(struct cursor *c, bool metadata, struct model_facts *f) {
  char magic[4];
  char version_text[16];
  uint32_t version = 0;
  uint64_t tensors = 0;
  uint64_t pairs = 0;
  int32_t rc = take(c, magic, sizeof(magic));

  if (rc == OME_OK && memcmp(magic, "GGUF", 4) != 0)
    return corrupt(c, "no magic number");
  if (rc == OME_OK)
    rc = take_u32(c, &version);
  if (rc == OME_OK && (version < 2 || version > 3))
    return fail(c->err, OME_E_UNSUPPORTED, "%s: GGUF version %u; 2 and 3 are known", c->file->name, version);
  if (rc == OME_OK)
    rc = take_u64(c, &tensors);
  if (rc == OME_OK)
    rc = take_u64(c, &pairs);
  if (rc != OME_OK)
    return rc;
  if (tensors > MAX_TENSORS || pairs > MAX_PAIRS)
    return corrupt(c, "too many tensors or values");
  (void)snprintf(version_text, sizeof(version_text), "%u", version);
  model_set(&f->format, "gguf");
  model_set(&f->format_version, version_text);
  rc = read_pairs(c, pairs, metadata, f);
  return rc == OME_OK ? read_tensors(c, tensors, f) : rc;
}

int32_t gguf_read(const struct model_file *file, bool metadata, struct model_facts *f, struct ome_err *err) {
  struct cursor c = {.file = file, .window = malloc(WINDOW), .err = err};
  int32_t rc = c.window ? read_all(&c, metadata, f) : fail_memory(err);

  free(c.window);
  f->source = MODEL_COUNT_GGUF;
  if (!f->head_size && f->heads)
    f->head_size = f->hidden_size / f->heads;
  if (!f->kv_heads)
    f->kv_heads = f->heads;
  return rc;
}
