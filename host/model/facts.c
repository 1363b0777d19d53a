#include "model/families.h"
#include "model/internal.h"
#include "model/tensors.h"

#include "base/str.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_CONFIG ((size_t)8 << 20)

void model_facts_fini(struct model_facts *f) {
  for (size_t i = 0; i < f->warnings.len; i++)
    free(f->warnings.items[i]);
  VEC_FREE(&f->warnings);
  VEC_FREE(&f->components);
}

void facts_warn(struct model_facts *f, const char *fmt, ...) {
  char *text = NULL;
  va_list ap;

  va_start(ap, fmt);
  int n = vasprintf(&text, fmt, ap);
  va_end(ap);
  if (n < 0 || !VEC_PUSH(&f->warnings, text))
    free(n < 0 ? NULL : text);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* The file NAME that says what the model is: in the root, in the usual folders, then the first anywhere.  NULL: none.
 */
static const struct model_file *find_named(const struct model_source *src, const char *name) {
  static const char *const usual[] = {"", "safetensors/", "pytorch_model/", "model/"};
  char path[128];

  for (size_t i = 0; i < ARRAY_LEN(usual); i++) {
    (void)snprintf(path, sizeof(path), "%s%s", usual[i], name);
    if (source_find(src, path))
      return source_find(src, path);
  }
  for (size_t i = 0; i < src->nfiles; i++) {
    const char *slash = strrchr(src->files[i].path, '/');
    if (slash && streq(slash + 1, name))
      return &src->files[i];
  }
  return NULL;
}

/* Older releases of ModelOpt say what they did in a file of its own: it goes where newer ones write it. */
static int32_t read_modelopt(const struct model_source *src, const struct model_file *config, size_t folder,
                             struct json_object *doc, struct ome_err *err) {
  _cleanup_json_ struct json_object *said = NULL;
  char path[1100];

  if (!json_is(doc, json_type_object) || json_get(doc, "quantization_config"))
    return OME_OK;
  (void)snprintf(path, sizeof(path), "%.*shf_quant_config.json", (int)folder, config->path);
  int32_t rc = source_json(src, path, MAX_CONFIG, &said, err);
  struct json_object *q = json_get(said, "quantization");
  if (rc != OME_OK || !json_is(q, json_type_object))
    return rc;
  return json_set_str(q, "quant_method", "modelopt") && json_set(doc, "quantization_config", json_object_get(q))
             ? OME_OK
             : fail_memory(err);
}

static int32_t read_config(const struct model_source *src, const struct model_file *config, struct model_facts *f,
                           unsigned *bits, struct ome_err *err) {
  _cleanup_json_ struct json_object *doc = NULL;
  _cleanup_json_ struct json_object *sentence = NULL;
  size_t folder = strlen(config->path) - strlen("config.json");
  char path[1100];

  (void)snprintf(path, sizeof(path), "%.*sconfig_sentence_transformers.json", (int)folder, config->path);
  if (source_json(src, path, MAX_CONFIG, &sentence, err) == OME_OK && sentence)
    f->embedding = *json_str(sentence, "similarity_fn_name", "") != '\0';
  err_clear(err);
  bool twice = false;
  int32_t rc = source_json_twice(src, config->path, MAX_CONFIG, &doc, &twice, err);
  if (twice)
    facts_warn(f, "%.200s has a key twice in one object; the last of them counts", config->path);
  if (rc == OME_OK)
    rc = read_modelopt(src, config, folder, doc, err);
  if (rc == OME_OK)
    rc = config_read(doc, f, err);
  if (rc == OME_OK)
    *bits = tensors_bits(doc);
  return rc;
}

/* The first form of weights that is there. */
static int32_t read_weights(const struct model_source *src, const char *folder, unsigned bits, struct model_facts *f,
                            struct ome_err *err) {
  int32_t rc = safetensors_read(src, folder, bits, f, err);

  if (rc == OME_OK && f->format[0] == '\0')
    rc = pytorch_read(src, folder, f, err);
  if (rc != OME_OK || f->format[0] != '\0')
    return rc;
  struct model_facts from_gguf = {.parameter_source = "unknown"};
  rc = gguf_read(src, &from_gguf, err);
  if (rc == OME_OK && from_gguf.format[0] != '\0') {
    model_facts_fini(f);
    *f = from_gguf;
  } else {
    model_facts_fini(&from_gguf);
  }
  return rc;
}

static void use_config(struct model_facts *f) {
  f->parameters = f->config_parameters;
  f->active_parameters = f->config_active;
  f->parameter_source = "config";
  if (f->weight_bytes == 0 && f->config_bytes)
    f->weight_bits = (double)f->config_bytes * 8 / (double)f->parameters;
  if (f->weight_bytes == 0)
    f->weight_bytes = f->config_bytes ? f->config_bytes : (uint64_t)((double)f->parameters * f->weight_bits / 8);
  facts_warn(f, f->estimated ? "the number of parameters is estimated from config.json: the architecture is not known"
                             : "the number of parameters is worked out from config.json");
}

static int32_t read_model(const struct model_source *src, const struct model_file *config, const char *folder,
                          struct model_facts *f, struct ome_err *err) {
  unsigned bits = 0;
  int32_t rc = config ? read_config(src, config, f, &bits, err) : OME_OK;

  if (rc == OME_OK)
    rc = read_weights(src, folder, bits, f, err);
  if (rc == OME_OK && !config && f->format[0] == '\0')
    rc = fail(err, OME_E_NOT_FOUND,
              "model: no config.json, model_index.json, adapter_config.json, safetensors or GGUF file says what it is");
  if (rc == OME_OK && f->parameters == 0 && f->config_parameters != 0)
    use_config(f);
  if (rc == OME_OK && f->format[0] == '\0')
    facts_warn(f, "there are no weights in safetensors, PyTorch's or GGUF form");
  return rc;
}

static int32_t read_adapter(const struct model_source *src, const char *path, const char *folder, struct model_facts *f,
                            struct ome_err *err) {
  int32_t rc = adapter_read(src, path, f, err);

  return rc == OME_OK ? read_weights(src, folder, 0, f, err) : rc;
}

/* The file that says what the model is. */
struct subject {
  const struct model_file *file; /* NULL: none says it, and the weights have to */
  enum { SUBJECT_MODEL, SUBJECT_PIPELINE, SUBJECT_ADAPTER } kind;
};

static struct subject find_subject(const struct model_source *src) {
  const struct model_file *root = source_find(src, "model_index.json"), *config = find_named(src, "config.json");
  const struct model_file *adapter = find_named(src, "adapter_config.json");

  if (root)
    return (struct subject){root, SUBJECT_PIPELINE};
  if (config)
    return (struct subject){config, SUBJECT_MODEL};
  if (adapter)
    return (struct subject){adapter, SUBJECT_ADAPTER};
  const struct model_file *below = find_named(src, "model_index.json");
  return (struct subject){below, below ? SUBJECT_PIPELINE : SUBJECT_MODEL};
}

int32_t model_facts_read(const struct model_source *src, struct model_facts *out, struct ome_err *err) {
  struct model_facts f = {.parameter_source = "unknown"};
  struct subject says = find_subject(src);
  const char *slash = says.file ? strrchr(says.file->path, '/') : NULL;
  char folder[1024] = "";
  int32_t rc = beside_prepare(src, err);

  if (slash)
    (void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash + 1 - says.file->path), says.file->path);
  if (rc == OME_OK && says.kind == SUBJECT_PIPELINE)
    rc = diffusers_read(src, says.file->path, &f, err);
  else if (rc == OME_OK && says.kind == SUBJECT_ADAPTER)
    rc = read_adapter(src, says.file->path, folder, &f, err);
  else if (rc == OME_OK)
    rc = read_model(src, says.file, folder, &f, err);
  if (rc == OME_OK)
    rc = beside_read(src, folder, &f, err);
  if (rc != OME_OK) {
    model_facts_fini(&f);
    return rc;
  }
  if (f.active_parameters == 0)
    f.active_parameters = f.parameters;
  if (f.family[0] == '\0')
    (void)snprintf(f.family, sizeof(f.family), "%s",
                   says.kind == SUBJECT_PIPELINE ? "diffusers" : family_of(f.type)->name);
  facts_capabilities(&f);
  *out = f;
  return OME_OK;
}
