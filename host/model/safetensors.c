/* Safetensors: eight bytes of length, a JSON object of tensors, the data (github.com/huggingface/safetensors). */
#include "model/internal.h"
#include "model/tensors.h"

#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_HEADER ((uint64_t)32 << 20)
#define MAX_INDEX ((size_t)64 << 20)
#define MAX_SHARDS 4096u
#define HEAD_GUESS ((size_t)256 << 10) /* read first of a file that no index describes */
#define ENTRY_GUESS 160u               /* bytes that a header has for a tensor, beside its name */

/* Where the data of one tensor lies, in bytes from the end of the header. */
struct span {
  uint64_t from, to;
  const char *name;
};

struct spans {
  VEC(struct span) list;
};

static void spans_fini(struct spans *s) {
  VEC_FREE(&s->list);
}

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

/* ---- one header -------------------------------------------------------------------------------------------------- */

/* What the header says of one tensor, in itself. */
static bool parse_tensor(struct json_object *tensor, const char **type, uint64_t *elements, int64_t *from,
                         int64_t *to) {
  struct json_object *shape = json_get(tensor, "shape"), *offsets = json_get(tensor, "data_offsets");

  *type = json_str(tensor, "dtype", "");
  if (!**type || !json_is(shape, json_type_array) || json_len(shape) > 16 || !product_of(shape, elements) ||
      json_len(offsets) != 2)
    return false;
  *from = json_object_get_int64(json_index(offsets, 0));
  *to = json_object_get_int64(json_index(offsets, 1));
  return json_is(json_index(offsets, 0), json_type_int) && json_is(json_index(offsets, 1), json_type_int);
}

static int32_t read_tensor(const char *path, const char *name, struct json_object *tensor, uint64_t data_len,
                           struct tensors *t, struct spans *spans, struct ome_err *err) {
  struct tensor one = {.name = name};
  const char *type = "";
  int64_t first = 0, last = 0;

  if (!parse_tensor(tensor, &type, &one.elements, &first, &last))
    return fail(err, OME_E_CORRUPT, "model: %s: tensor %.100s has no dtype, shape and data_offsets that make sense",
                path, name);
  if (first < 0 || last < first || (uint64_t)last > data_len)
    return fail(err, OME_E_CORRUPT,
                "model: %s: tensor %.100s lies at %" PRId64 " to %" PRId64 " of %" PRIu64 " bytes of data", path, name,
                first, last, data_len);
  one.type = tensor_type_of(type);
  one.bytes = (uint64_t)(last - first);
  unsigned bits = tensor_type_bits(one.type);
  if (bits && (one.elements > UINT64_MAX / bits - 7 || (one.elements * bits + 7) / 8 != one.bytes))
    return fail(err, OME_E_CORRUPT, "model: %s: tensor %.100s of %" PRIu64 " %s has %" PRIu64 " bytes", path, name,
                one.elements, type, one.bytes);
  const struct span span = {(uint64_t)first, (uint64_t)last, name};
  if (one.bytes && !VEC_PUSH(&spans->list, span))
    return fail_memory(err);
  if (!bits && t->others++ == 0)
    (void)snprintf(t->other_name, sizeof(t->other_name), "%.63s", type);
  return tensors_add(t, &one, err);
}

static int by_place(const void *a, const void *b) {
  const struct span *x = a, *y = b;

  return x->from < y->from ? -1 : x->from > y->from;
}

static int32_t check_overlaps(const char *path, struct spans *spans, struct ome_err *err) {
  if (spans->list.len)
    qsort(spans->list.items, spans->list.len, sizeof(*spans->list.items), by_place);
  for (size_t i = 1; i < spans->list.len; i++) {
    const struct span *a = &spans->list.items[i - 1], *b = &spans->list.items[i];
    if (b->from < a->to)
      return fail(err, OME_E_CORRUPT, "model: %s: tensors %.80s and %.80s overlap at byte %" PRIu64 " of the data",
                  path, a->name, b->name, b->from);
  }
  return OME_OK;
}

/* Where the entry of tensor NAME begins in the file, as far as a search of its text finds it. */
static size_t entry_at(const char *text, size_t len, const char *name) {
  _cleanup_free_ char *quoted = str_printf("\"%s\"", name);
  const char *at = quoted ? memmem(text, len, quoted, strlen(quoted)) : NULL;

  return sizeof(uint64_t) + (at ? (size_t)(at - text) : 0);
}

static int32_t check_keys(const char *path, const char *text, size_t len, struct json_object *header,
                          struct ome_err *err) {
  size_t keys = json_count(header), below = 0;
  char twice[128];
  size_t at = 0;

  if (json_text_keys(text, len, 1) != keys)
    return json_text_twice(text, len, twice, &at)
               ? fail(err, OME_E_CORRUPT, "model: %s: its header names tensor %.100s twice, again at byte %zu", path,
                      twice, sizeof(uint64_t) + at)
               : fail(err, OME_E_CORRUPT, "model: %s: its header at byte 8 names a tensor twice", path);
  json_object_object_foreach (header, name, value) {
    (void)name;
    below += json_is(value, json_type_object) ? json_count(value) : 0;
  }
  if (json_text_keys(text, len, 2) != keys + below)
    return fail(err, OME_E_CORRUPT, "model: %s: its header at byte 8 says a property of a tensor twice", path);
  return OME_OK;
}

static int32_t read_header(const struct model_source *src, const char *path, char **text, size_t *len, uint64_t *data,
                           struct ome_err *err) {
  _cleanup_(reader_close) struct reader r = {0};
  uint64_t n = 0;
  int32_t rc = reader_open(src, path, &r, err);

  if (rc == OME_OK)
    rc = reader_u64(&r, &n, err);
  if (rc != OME_OK)
    return rc;
  if (n > r.size - r.at)
    return fail(err, OME_E_CORRUPT, "model: %s: its header of %" PRIu64 " bytes at byte 8 is longer than the file",
                path, n);
  if (n > MAX_HEADER)
    return fail(err, OME_E_CORRUPT, "model: %s: its header of %" PRIu64 " bytes is longer than any model needs", path,
                n);
  *text = malloc((size_t)n + 1);
  if (!*text)
    return fail_memory(err);
  rc = reader_get(&r, *text, (size_t)n, err);
  *len = (size_t)n;
  *data = r.size - r.at;
  return rc;
}

static int32_t read_file(const struct model_source *src, const char *path, struct tensors *t, struct ome_err *err) {
  _cleanup_(spans_fini) struct spans spans = {0};
  _cleanup_json_ struct json_object *header = NULL;
  _cleanup_free_ char *text = NULL;
  uint64_t data = 0;
  size_t len = 0;
  int32_t rc = read_header(src, path, &text, &len, &data, err);

  if (rc != OME_OK)
    return rc;
  if (json_parse(text, len, MAX_HEADER, &header, err) != OME_OK) {
    err->code = OME_E_CORRUPT;
    return fail_prefix(err, "model: %s: header at byte 8", path);
  }
  if (!json_is(header, json_type_object))
    return fail(err, OME_E_CORRUPT, "model: %s: its header is no JSON object", path);
  rc = check_keys(path, text, len, header, err);
  if (rc != OME_OK)
    return rc;
  json_object_object_foreach (header, name, tensor) {
    if (streq(name, "__metadata__"))
      continue;
    rc = read_tensor(path, name, tensor, data, t, &spans, err);
    if (rc == OME_E_CORRUPT) {
      const struct ome_err said = *err;
      return fail(err, said.code, "%s; its entry is at byte %zu", said.msg, entry_at(text, len, name));
    }
    if (rc != OME_OK)
      return rc;
  }
  return check_overlaps(path, &spans, err);
}

/* ---- all files --------------------------------------------------------------------------------------------------- */

/* Files to read, and how much of each there is to a header as far as one can tell. */
struct shards {
  VEC(struct model_range) list;
  struct strmap *seen; /* path -> its index + 1 */
  struct arena paths;
};

static void shards_fini(struct shards *s) {
  VEC_FREE(&s->list);
  strmap_free(s->seen);
  s->seen = NULL;
  arena_fini(&s->paths);
}

static int32_t add_shard(struct shards *s, const char *path, size_t len, struct ome_err *err) {
  uintptr_t at = (uintptr_t)strmap_get(s->seen, path);

  if (at) {
    s->list.items[at - 1].len += len;
    return OME_OK;
  }
  struct model_range range = {.path = arena_copy(&s->paths, path, strlen(path)), .len = len};
  if (!range.path || !VEC_PUSH(&s->list, range) ||
      !strmap_put(s->seen, path, (void *)(uintptr_t)s->list.len)) /* NOLINT: an index, not an address */
    return fail_memory(err);
  return OME_OK;
}

static int32_t shards_of_index(const char *folder, const char *file_name, struct json_object *index, struct shards *s,
                               struct ome_err *err) {
  struct json_object *map = json_get(index, "weight_map");

  if (!json_is(map, json_type_object) || json_object_object_length(map) == 0)
    return fail(err, OME_E_CORRUPT, "model: %s: names no file", file_name);
  json_object_object_foreach (map, tensor, file) {
    const char *name = json_as_str(file, "");
    char path[1600];
    if (*name == '\0' || strlen(name) > 512 || strchr(name, '/') || s->list.len == MAX_SHARDS)
      return fail(err, OME_E_CORRUPT, "model: %s: the file of tensor %.100s, \"%.100s\", %s", file_name, tensor, name,
                  s->list.len == MAX_SHARDS ? "is one too many" : "is no name of a file beside it");
    (void)snprintf(path, sizeof(path), "%s%s", folder, name);
    int32_t rc = add_shard(s, path, strlen(tensor) + ENTRY_GUESS, err);
    if (rc != OME_OK)
      return rc;
  }
  for (size_t i = 0; i < s->list.len; i++)
    s->list.items[i].len += 4096; /* metadata, and what the shard has beside */
  return OME_OK;
}

/* The same weights once more, which are there beside the usual files at times: in the form of their makers, in another
 * precision, without averaging. */
static bool is_original(const char *name) {
  return has_prefix(name, "consolidated") || has_prefix(name, "adapter_") || strstr(name, ".fp16.") ||
         strstr(name, ".bf16.") || strstr(name, "non_ema");
}

/* The index of the usual files of FOLDER: "model.safetensors.index.json", "diffusion_pytorch_model...". */
static void find_index(const struct model_source *src, const char *folder, char *path, size_t size) {
  size_t n = strlen(folder);

  (void)snprintf(path, size, "%smodel.safetensors.index.json", folder);
  for (size_t i = 0; !source_find(src, path) && i < src->nfiles; i++) {
    const char *other = src->files[i].path;
    if (strncmp(other, folder, n) == 0 && !strchr(other + n, '/') && has_suffix(other, ".safetensors.index.json") &&
        !is_original(other + n))
      (void)snprintf(path, size, "%s", other);
  }
}

static int32_t shards_of_folder(const struct model_source *src, const char *folder, struct shards *s,
                                struct ome_err *err) {
  size_t n = strlen(folder);
  int32_t rc = OME_OK;

  for (int original = 0; rc == OME_OK && s->list.len == 0 && original < 2; original++)
    for (size_t i = 0; rc == OME_OK && i < src->nfiles; i++) {
      const char *path = src->files[i].path;
      if (strncmp(path, folder, n) == 0 && !strchr(path + n, '/') && has_suffix(path, ".safetensors") &&
          is_original(path + n) == (original == 1))
        rc = s->list.len < MAX_SHARDS ? add_shard(s, path, HEAD_GUESS, err)
                                      : fail(err, OME_E_CORRUPT, "model: more than %u safetensors files", MAX_SHARDS);
    }
  return rc;
}

/* A tensor of the index that is in no file is a file that is not whole. */
static void check_index(const struct tensors *t, struct json_object *index, struct model_facts *f) {
  size_t missing = 0;
  const char *first = "";
  struct json_object *map = json_get(index, "weight_map");

  json_object_object_foreach (map, tensor, file) {
    (void)file;
    if (strmap_has(t->by_name, tensor))
      continue;
    first = missing++ ? first : tensor;
  }
  if (missing)
    facts_warn(f, "%zu tensors of the index are in no file, %.100s for one", missing, first);
}

int32_t safetensors_read(const struct model_source *src, const char *folder, unsigned bits, struct model_facts *f,
                         struct ome_err *err) {
  _cleanup_tensors_ struct tensors t = {0};
  _cleanup_(shards_fini) struct shards s = {.seen = strmap_new(NULL)};
  _cleanup_json_ struct json_object *index = NULL;
  char path[1600];
  int32_t rc = s.seen ? tensors_init(&t, err) : fail_memory(err);

  find_index(src, folder, path, sizeof(path));
  if (rc == OME_OK)
    rc = source_json(src, path, MAX_INDEX, &index, err);
  if (rc == OME_OK)
    rc = index ? shards_of_index(folder, path, index, &s, err) : shards_of_folder(src, folder, &s, err);
  if (rc != OME_OK || s.list.len == 0)
    return rc;
  rc = source_prepare(src, s.list.items, s.list.len, err);
  for (size_t i = 0; rc == OME_OK && i < s.list.len; i++)
    rc = read_file(src, s.list.items[i].path, &t, err);
  if (rc == OME_OK)
    rc = tensors_count(&t, bits, f, err);
  if (rc != OME_OK)
    return rc;
  if (index)
    check_index(&t, index, f);
  f->parameter_source = "safetensors";
  (void)snprintf(f->format, sizeof(f->format), "safetensors");
  (void)snprintf(f->format_version, sizeof(f->format_version), "1.0.0");
  return OME_OK;
}
