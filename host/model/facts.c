#include "model/facts.h"

#include "base/str.h"
#include "base/vec.h"
#include "model/formats.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_FILES 4096

void model_facts_fini(struct model_facts *f) {
  char **const owned[] = {&f->type,      &f->architecture,      &f->format, &f->format_version,
                          &f->framework, &f->framework_version, &f->dtype,  &f->quantization};

  for (size_t i = 0; i < ARRAY_LEN(owned); i++)
    free(*owned[i]);
  json_unref(f->warnings);
  memset(f, 0, sizeof(*f));
}

void model_warn(struct model_facts *f, const char *sentence) {
  if (!f->warnings)
    f->warnings = json_object_new_array();
  (void)json_object_array_add(f->warnings, json_object_new_string(sentence));
}

void model_set(char **slot, const char *value) {
  if (value && *value) {
    free(*slot);
    *slot = strdup(value);
  }
}

/* ---- inspecting ------------------------------------------------------------------------------------------------- */

/* A part of a split GGUF model other than its first: "-00002-of-00003.gguf". */
static bool is_later_part(const char *name) {
  const char *of = strstr(name, "-of-");

  return of && of - name >= 6 && of[-6] == '-' && memcmp(of - 5, "00001", 5) != 0;
}

static int32_t inspect_gguf(const struct model_file *files, size_t n, struct model_facts *f, struct ome_err *err) {
  int32_t rc = OME_E_NOT_FOUND;

  for (size_t i = 0; i < n; i++) {
    if (!has_suffix(files[i].name, ".gguf"))
      continue;
    f->weight_bytes += files[i].size;
    /* Parts each count their own tensors; the first holds the metadata.  Of several models the first is meant. */
    bool first = rc == OME_E_NOT_FOUND;
    if (!first && !strstr(files[i].name, "-of-"))
      continue;
    rc = gguf_read(&files[i], first && !is_later_part(files[i].name), f, err);
    if (rc != OME_OK)
      return rc;
  }
  return rc;
}

static int32_t inspect_safetensors(const struct model_file *files, size_t n, struct model_facts *f,
                                   struct ome_err *err) {
  bool any = false;

  for (size_t i = 0; i < n; i++) {
    if (!has_suffix(files[i].name, ".safetensors") || has_prefix(files[i].name, "original/"))
      continue;
    int32_t rc = safetensors_read(&files[i], f, err);
    if (rc != OME_OK)
      return rc;
    f->weight_bytes += files[i].size;
    any = true;
  }
  if (any) {
    model_set(&f->format, "safetensors");
    f->source = MODEL_COUNT_SAFETENSORS;
  }
  return OME_OK;
}

static const struct model_file *find_file(const struct model_file *files, size_t n, const char *name) {
  for (size_t i = 0; i < n; i++)
    if (streq(files[i].name, name))
      return &files[i];
  return NULL;
}

int32_t model_inspect(const struct model_file *files, size_t n, struct model_facts *out, struct ome_err *err) {
  const struct model_file *config = find_file(files, n, "config.json");
  struct model_facts f = {NULL};
  int32_t rc = config ? config_read(config, &f, err) : OME_OK;

  if (rc == OME_OK)
    rc = inspect_safetensors(files, n, &f, err);
  if (rc == OME_OK && !f.format) {
    rc = inspect_gguf(files, n, &f, err);
    if (rc == OME_E_NOT_FOUND)
      rc = config ? OME_OK
                  : fail(err, OME_E_UNSUPPORTED, "no config.json, no .safetensors and no .gguf among %zu files", n);
  }
  if (rc != OME_OK) {
    model_facts_fini(&f);
    return rc;
  }
  if (!f.parameters)
    model_warn(&f, "the parameter count is not known: there are no weights to count");
  *out = f;
  return OME_OK;
}

/* ---- folders ---------------------------------------------------------------------------------------------------- */

struct open_file {
  char *name;
  int fd;
};

struct folder {
  VEC(struct open_file) files;
  VEC(struct model_file) list;
};

static int32_t read_fd(void *arg, uint64_t offset, void *data, size_t len, size_t *got, struct ome_err *err) {
  int fd = (int)(intptr_t)arg;
  ssize_t n = TEMP_FAILURE_RETRY(pread(fd, data, len, (off_t)offset));

  if (n < 0)
    return fail_errno(err, "read", "model file");
  *got = (size_t)n;
  return OME_OK;
}

static void folder_fini(struct folder *f) {
  for (size_t i = 0; i < f->files.len; i++) {
    free(f->files.items[i].name);
    (void)close(f->files.items[i].fd);
  }
  VEC_FREE(&f->files);
  VEC_FREE(&f->list);
}

static bool is_interesting(const char *name) {
  return streq(name, "config.json") || has_suffix(name, ".safetensors") || has_suffix(name, ".gguf");
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct model_file *)a)->name, ((const struct model_file *)b)->name);
}

static int32_t open_folder(const char *path, struct folder *f, struct ome_err *err) {
  DIR *dir = opendir(path);

  if (!dir)
    return fail_errno(err, "inspect", path);
  for (struct dirent *e; (e = readdir(dir)) && f->files.len < MAX_FILES;) {
    struct stat st;
    if (!is_interesting(e->d_name))
      continue;
    struct open_file file = {strdup(e->d_name), openat(dirfd(dir), e->d_name, O_RDONLY | O_CLOEXEC)};
    if (!file.name || file.fd < 0 || fstat(file.fd, &st) != 0 || !VEC_PUSH(&f->files, file)) {
      free(file.name);
      if (file.fd >= 0)
        (void)close(file.fd);
      (void)closedir(dir);
      return fail_errno(err, "inspect", path);
    }
    struct model_file m = {file.name, (uint64_t)st.st_size, read_fd, (void *)(intptr_t)file.fd};
    (void)VEC_PUSH(&f->list, m);
  }
  (void)closedir(dir);
  if (f->list.len)
    qsort(f->list.items, f->list.len, sizeof(*f->list.items), by_name);
  return OME_OK;
}

int32_t model_inspect_dir(const char *path, struct model_facts *out, struct ome_err *err) {
  _cleanup_(folder_fini) struct folder f = {{0}, {0}};
  int32_t rc = open_folder(path, &f, err);

  if (rc == OME_OK)
    rc = model_inspect(f.list.items, f.list.len, out, err);
  return rc == OME_OK ? rc : fail_prefix(err, "%s", path);
}

/* ---- derived ---------------------------------------------------------------------------------------------------- */

uint64_t model_kv_bytes(const struct model_facts *f) {
  uint64_t heads = f->kv_heads ? f->kv_heads : f->heads;

  return 2 * f->layers * heads * f->head_size * 2;
}

void model_size_text(uint64_t parameters, char out[32]) {
  static const struct {
    double unit;
    const char *suffix;
  } units[] = {{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "K"}};

  for (size_t i = 0; i < ARRAY_LEN(units); i++) {
    double v = (double)parameters / units[i].unit;
    if (v < 1)
      continue;
    (void)snprintf(out, 32, "%.2f", v);
    char *end = out + strlen(out);
    while (end > out && end[-1] == '0')
      *--end = '\0';
    if (end > out && end[-1] == '.')
      *--end = '\0';
    (void)strcat(out, units[i].suffix);
    return;
  }
  (void)snprintf(out, 32, "%llu", (unsigned long long)parameters);
}

const char *const *model_capabilities(const struct model_facts *f) {
  static const char *const text[] = {"TEXT_GENERATION", NULL};
  static const char *const embeddings[] = {"TEXT_EMBEDDINGS", NULL};
  static const char *const rerank[] = {"TEXT_RERANK", NULL};
  static const char *const vision[] = {"TEXT_GENERATION", "IMAGE_TEXT_TO_TEXT", NULL};
  static const char *const none[] = {NULL};
  const char *a = f->architecture;

  if (!a)
    return none;
  if (f->vision)
    return vision;
  if (strstr(a, "ForSequenceClassification"))
    return rerank;
  if (strstr(a, "ForCausalLM") || strstr(a, "LMHeadModel"))
    return text;
  if (has_suffix(a, "Model"))
    return embeddings;
  return none;
}

/* ---- documents -------------------------------------------------------------------------------------------------- */

static void put(struct json_object *o, const char *path, const char *value) {
  if (value && *value)
    (void)json_set_str(o, path, value);
}

static void put_number(struct json_object *o, const char *path, uint64_t value) {
  if (value)
    (void)json_set_i64(o, path, (int64_t)value);
}

static struct json_object *capability_list(const struct model_facts *f) {
  struct json_object *list = json_object_new_array();

  for (const char *const *c = model_capabilities(f); *c; c++)
    (void)json_object_array_add(list, json_object_new_string(*c));
  return list;
}

/* What the two documents share. */
static struct json_object *common(const struct model_facts *f) {
  struct json_object *o = json_object_new_object();
  char size[32];

  put(o, "modelType", f->type);
  put(o, "modelArchitecture", f->architecture);
  put(o, "modelFormat.name", f->format);
  put(o, "modelFormat.version", f->format_version);
  put(o, "modelFramework.name", f->framework);
  put(o, "modelFramework.version", f->framework_version);
  if (f->parameters) {
    model_size_text(f->parameters, size);
    put(o, "modelParameterSize", size);
  }
  put(o, "quantization", f->quantization);
  (void)json_set(o, "modelCapabilities", capability_list(f));
  return o;
}

struct json_object *model_document(const struct model_facts *f) {
  static const char *const sources[] = {"unknown", "config", "safetensors", "gguf"};
  struct json_object *o = common(f);

  put_number(o, "parameterCount", f->parameters);
  put_number(o, "activeParameterCount", f->parameters);
  (void)json_set_str(o, "parameterCountSource", sources[f->source]);
  put_number(o, "contextLength", f->context_length);
  put(o, "dtype", f->dtype);
  put_number(o, "weightBytes", f->weight_bytes);
  put_number(o, "kvBytesPerToken", model_kv_bytes(f));
  (void)json_set(o, "warnings", f->warnings ? json_copy(f->warnings) : json_object_new_array());
  return o;
}

struct json_object *model_report(const struct model_facts *f) {
  struct json_object *o = common(f);
  char count[32];

  put_number(o, "maxTokens", f->context_length);
  (void)snprintf(count, sizeof(count), "%llu", (unsigned long long)f->parameters);
  put(o, "decodedModelConfiguration.model_type", f->type);
  put(o, "decodedModelConfiguration.architecture", f->architecture);
  put_number(o, "decodedModelConfiguration.context_length", f->context_length);
  put(o, "decodedModelConfiguration.parameter_count", f->parameters ? count : NULL);
  put(o, "decodedModelConfiguration.torch_dtype", f->dtype);
  put(o, "decodedModelConfiguration.transformers_version", f->framework_version);
  put_number(o, "decodedModelConfiguration.model_size_bytes", f->weight_bytes);
  (void)json_set_bool(o, "decodedModelConfiguration.has_vision", f->vision);
  return o;
}
