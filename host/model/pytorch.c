/* PyTorch's torch.save() archives: a zip with a pickle, data.pkl, and one stored entry a storage, data/0, data/1, ...
 *
 * A pickle is a program, and running one from a stranger runs the stranger's code.  Nothing here runs or builds
 * anything: the opcodes are walked over as data, to see which storage is said to be of which type. */
#include "model/internal.h"
#include "model/tensors.h"
#include "model/zip.h"

#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_PICKLE ((size_t)64 << 20)
#define MAX_INDEX ((size_t)64 << 20)
#define MAX_MEMO 65536u
#define MAX_STORAGES 200000u

static const struct {
  const char *name;
  enum tensor_type type;
} storages[] = {
    {"DoubleStorage", TENSOR_F64},    {"FloatStorage", TENSOR_F32},        {"HalfStorage", TENSOR_F16},
    {"BFloat16Storage", TENSOR_BF16}, {"LongStorage", TENSOR_I64},         {"IntStorage", TENSOR_I32},
    {"ShortStorage", TENSOR_I16},     {"CharStorage", TENSOR_I8},          {"ByteStorage", TENSOR_U8},
    {"BoolStorage", TENSOR_BOOL},     {"ComplexFloatStorage", TENSOR_C64},
};

/* ---- the pickle -------------------------------------------------------------------------------------------------- */

/* How the argument of an opcode is written (CPython, Lib/pickletools.py).  Opcodes that are not here have none. */
enum argument { ARG_NONE, ARG_1, ARG_2, ARG_4, ARG_8, ARG_LEN1, ARG_LEN4, ARG_LEN8, ARG_LINE, ARG_LINES };
static const uint8_t arguments[256] = {
    [0x80] = ARG_1,   ['q'] = ARG_1,     ['h'] = ARG_1,     ['K'] = ARG_1,     [0x82] = ARG_1,    ['M'] = ARG_2,
    [0x83] = ARG_2,   ['r'] = ARG_4,     ['j'] = ARG_4,     ['J'] = ARG_4,     [0x84] = ARG_4,    ['G'] = ARG_8,
    [0x95] = ARG_8,   [0x8a] = ARG_LEN1, ['U'] = ARG_LEN1,  ['C'] = ARG_LEN1,  [0x8c] = ARG_LEN1, [0x8b] = ARG_LEN4,
    ['X'] = ARG_LEN4, ['T'] = ARG_LEN4,  ['B'] = ARG_LEN4,  [0x8d] = ARG_LEN8, [0x8e] = ARG_LEN8, [0x96] = ARG_LEN8,
    ['I'] = ARG_LINE, ['L'] = ARG_LINE,  ['F'] = ARG_LINE,  ['S'] = ARG_LINE,  ['V'] = ARG_LINE,  ['p'] = ARG_LINE,
    ['g'] = ARG_LINE, ['P'] = ARG_LINE,  ['c'] = ARG_LINES, ['i'] = ARG_LINES,
};

static uint64_t little(const uint8_t *p, size_t bytes) {
  uint64_t v = 0;

  while (bytes-- > 0)
    v = v << 8 | p[bytes];
  return v;
}

/* The argument of the opcode before AT: *FROM and *LEN; false: it is cut short.  *NEXT: the next opcode. */
static bool read_argument(const uint8_t *text, size_t len, size_t at, enum argument how, size_t *from, size_t *n,
                          size_t *next) {
  static const uint8_t fixed[] = {[ARG_NONE] = 0, [ARG_1] = 1, [ARG_2] = 2, [ARG_4] = 4, [ARG_8] = 8};
  static const uint8_t prefix[] = {[ARG_LEN1] = 1, [ARG_LEN4] = 4, [ARG_LEN8] = 8};
  uint64_t want = how <= ARG_8 ? fixed[how] : 0;

  *from = at;
  if (how >= ARG_LEN1 && how <= ARG_LEN8) {
    if (len - at < prefix[how])
      return false;
    want = little(text + at, prefix[how]);
    *from = at + prefix[how];
  }
  for (int lines = how == ARG_LINES ? 2 : how == ARG_LINE; lines > 0; lines--) {
    const uint8_t *end = memchr(text + at + want, '\n', len - at - (size_t)want);
    if (!end)
      return false;
    want = (uint64_t)(end - text) + 1 - at;
  }
  if (want > len - *from)
    return false;
  *n = (size_t)want;
  *next = *from + *n;
  return true;
}

/* What the walk remembers. */
struct walk {
  uint8_t memo[MAX_MEMO]; /* type + 1 of the storage class that is remembered there */
  size_t memoized;        /* by MEMOIZE */
  unsigned last;          /* type + 1 of the storage class named last; 0: something else was */
  bool fresh;             /* LAST was on top of the stack a moment ago: what is remembered now is that */
  char key[32];           /* text that came after it: the storage's name */
  struct strmap *types;   /* key -> type + 1 */
};

static unsigned class_of(const char *text, size_t len) {
  const char *name = memchr(text, '\n', len);

  for (size_t i = 0; name && i < ARRAY_LEN(storages); i++) {
    size_t n = strlen(storages[i].name);
    if (len - (size_t)(name + 1 - text) == n + 1 && memcmp(name + 1, storages[i].name, n) == 0)
      return (unsigned)storages[i].type + 1;
  }
  return 0;
}

static void take_text(struct walk *w, const uint8_t *text, size_t n) {
  if (w->last && w->key[0] == '\0' && n < sizeof(w->key)) {
    memcpy(w->key, text, n);
    w->key[n] = '\0';
  }
}

static void remember(struct walk *w, size_t index) {
  if (w->fresh && index < MAX_MEMO)
    w->memo[index] = (uint8_t)w->last;
}

static void recall(struct walk *w, size_t index) {
  unsigned type = index < MAX_MEMO ? w->memo[index] : 0;

  if (type) {
    w->last = type;
    w->key[0] = '\0';
  }
}

/* A storage is named as a persistent id: the tuple ("storage", its class, its key, its device, its length). */
static bool step(struct walk *w, uint8_t op, const uint8_t *arg, size_t n) {
  bool fresh = false;

  if (op == 'c') {
    w->last = class_of((const char *)arg, n);
    w->key[0] = '\0';
    fresh = w->last != 0;
  } else if (op == 'X' || op == 0x8c || op == 'U') {
    take_text(w, arg, n);
  } else if (op == 'q' || op == 'r') {
    remember(w, (size_t)little(arg, n));
  } else if (op == 0x94) {
    remember(w, w->memoized++);
  } else if (op == 'h' || op == 'j') {
    recall(w, (size_t)little(arg, n));
  } else if (op == 'Q') {
    bool ok = !w->last || !w->key[0] || strmap_len(w->types) >= MAX_STORAGES ||
              strmap_put(w->types, w->key, (void *)(uintptr_t)w->last); /* NOLINT: a number, not an address */
    w->last = 0;
    w->key[0] = '\0';
    if (!ok)
      return false;
  }
  w->fresh = fresh;
  return true;
}

/* Types of the storages that the pickle names, as far as it can be read. */
static int32_t find_types(const char *pickle, size_t len, struct strmap *types, struct ome_err *err) {
  _cleanup_free_ struct walk *w = calloc(1, sizeof(*w));
  const uint8_t *text = (const uint8_t *)pickle;
  size_t at = 0;

  if (!w)
    return fail_memory(err);
  w->types = types;
  while (at < len && text[at] != '.') {
    size_t from = 0, n = 0, next = 0;
    uint8_t op = text[at];
    if (!read_argument(text, len, at + 1, arguments[op], &from, &n, &next))
      return OME_OK;
    if (!step(w, op, text + from, n))
      return fail_memory(err);
    at = next;
  }
  return OME_OK;
}

/* ---- one archive ------------------------------------------------------------------------------------------------- */

struct storage {
  char key[32];
  uint64_t size;
};

struct archive {
  VEC(struct storage) storages;
  struct zip_entry pickle;
  bool has_pickle;
};

static void archive_fini(struct archive *a) {
  VEC_FREE(&a->storages);
}

static int32_t take_entry(void *arg, const struct zip_entry *e) {
  struct archive *a = arg;
  const char *slash = strrchr(e->name, '/');
  struct storage s = {.size = e->size};

  if (slash && streq(slash, "/data.pkl")) {
    a->pickle = *e;
    a->has_pickle = true;
  }
  if (!slash || slash - e->name < 5 || strncmp(slash - 5, "/data", 5) != 0 || strlen(slash + 1) >= sizeof(s.key))
    return OME_OK;
  (void)snprintf(s.key, sizeof(s.key), "%s", slash + 1);
  return a->storages.len < MAX_STORAGES && VEC_PUSH(&a->storages, s) ? OME_OK : OME_E_NO_MEMORY;
}

static int32_t read_types(const struct model_source *src, const char *path, const struct archive *a,
                          struct strmap *types, struct ome_err *err) {
  _cleanup_free_ char *pickle = NULL;
  int32_t rc = a->has_pickle ? zip_read(src, path, &a->pickle, MAX_PICKLE, &pickle, err) : OME_E_UNSUPPORTED;

  if (rc == OME_E_UNSUPPORTED) {
    err_clear(err);
    return OME_OK;
  }
  return rc == OME_OK ? find_types(pickle, (size_t)a->pickle.size, types, err) : rc;
}

/* What is not said in the pickle is of the type that config.json names. */
static enum tensor_type usual_type(const struct model_facts *f) {
  for (unsigned i = 0; i < TENSOR_OTHER; i++)
    if (f->dtype[0] && streq(tensor_type_dtype((enum tensor_type)i), f->dtype))
      return (enum tensor_type)i;
  return TENSOR_OTHER;
}

static int32_t read_archive(const struct model_source *src, const char *path, const struct model_facts *f,
                            struct tensors *t, struct ome_err *err) {
  _cleanup_(archive_fini) struct archive a = {.has_pickle = false};
  _cleanup_strmap_ struct strmap *types = strmap_new(NULL);
  int32_t rc = types ? zip_list(src, path, take_entry, &a, err) : fail_memory(err);

  if (rc == OME_E_NO_MEMORY)
    return fail_memory(err);
  if (rc == OME_OK)
    rc = read_types(src, path, &a, types, err);
  for (size_t i = 0; rc == OME_OK && i < a.storages.len; i++) {
    const struct storage *s = &a.storages.items[i];
    uintptr_t type = (uintptr_t)strmap_get(types, s->key);
    char name[1024];
    struct tensor one = {name, type ? (enum tensor_type)(type - 1) : usual_type(f), 0, s->size};
    unsigned bits = tensor_type_bits(one.type);
    (void)snprintf(name, sizeof(name), "%.900s/%s", path, s->key);
    one.elements = bits ? s->size * 8 / bits : 0;
    t->others += bits == 0;
    rc = tensors_add(t, &one, err);
  }
  return rc;
}

/* ---- all files --------------------------------------------------------------------------------------------------- */

static bool is_weights(const char *name) {
  static const char *const prefixes[] = {"pytorch_model", "consolidated", "model"};
  bool known = false;

  for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
    known = known || has_prefix(name, prefixes[i]);
  return known && (has_suffix(name, ".bin") || has_suffix(name, ".pth") || has_suffix(name, ".pt"));
}

/* The files of the index where there is one, else what is in FOLDER and called as weights are. */
static bool is_wanted(struct json_object *map, const char *name) {
  if (!map)
    return is_weights(name);
  json_object_object_foreach (map, tensor, file) {
    (void)tensor;
    if (json_is(file, json_type_string) && streq(json_object_get_string(file), name))
      return true;
  }
  return false;
}

static int32_t read_all(const struct model_source *src, const char *folder, struct json_object *map,
                        const struct model_facts *f, struct tensors *t, size_t *n, struct ome_err *err) {
  size_t prefix = strlen(folder), old = 0;
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < src->nfiles; i++) {
    const char *path = src->files[i].path;
    if (strncmp(path, folder, prefix) != 0 || strchr(path + prefix, '/') || !is_wanted(map, path + prefix))
      continue;
    (*n)++;
    rc = read_archive(src, path, f, t, err);
    if (rc == OME_E_UNSUPPORTED) { /* before PyTorch 1.6: a bare pickle, of which only the size is known */
      err_clear(err);
      t->bytes += src->files[i].size;
      old++;
      rc = OME_OK;
    }
  }
  if (old)
    t->others += old;
  return rc;
}

int32_t pytorch_read(const struct model_source *src, const char *folder, struct model_facts *f, struct ome_err *err) {
  _cleanup_tensors_ struct tensors t = {0};
  _cleanup_json_ struct json_object *index = NULL;
  char path[1100];
  size_t n = 0;
  int32_t rc = tensors_init(&t, err);

  (void)snprintf(path, sizeof(path), "%spytorch_model.bin.index.json", folder);
  if (rc == OME_OK)
    rc = source_json(src, path, MAX_INDEX, &index, err);
  struct json_object *map = json_get(index, "weight_map");
  if (rc == OME_OK)
    rc = read_all(src, folder, json_is(map, json_type_object) ? map : NULL, f, &t, &n, err);
  if (rc != OME_OK || n == 0)
    return rc;
  size_t others = t.others;
  t.others = 0;
  rc = tensors_count(&t, 0, f, err);
  if (rc != OME_OK)
    return rc;
  (void)snprintf(f->format, sizeof(f->format), "pytorch");
  if (others) { /* then the count is not that of the model */
    facts_warn(f, "what types the weights of %spytorch_model.bin have cannot be told without running it", folder);
    f->parameters = f->active_parameters = 0;
    f->weight_bits = 0;
    return OME_OK;
  }
  f->parameter_source = "pytorch";
  return OME_OK;
}
