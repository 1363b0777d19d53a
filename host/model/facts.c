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

/* The folder of config.json: the root, the usual ones below, then the first anywhere.  NULL: there is none. */
static const struct model_file *find_config(const struct model_source *src) {
  static const char *const usual[] = {"config.json", "safetensors/config.json", "pytorch_model/config.json",
                                      "model/config.json"};

  for (size_t i = 0; i < ARRAY_LEN(usual); i++)
    if (source_find(src, usual[i]))
      return source_find(src, usual[i]);
  for (size_t i = 0; i < src->nfiles; i++)
    if (has_suffix(src->files[i].path, "/config.json"))
      return &src->files[i];
  return NULL;
}

static int32_t read_config(const struct model_source *src, const struct model_file *config, struct model_facts *f,
                           unsigned *bits, struct ome_err *err) {
  _cleanup_json_ struct json_object *doc = NULL;
  _cleanup_json_ struct json_object *sentence = NULL;
  size_t folder = strlen(config->path) - strlen("config.json");
  char path[1100];
  int32_t rc = source_json(src, config->path, MAX_CONFIG, &doc, err);

  if (rc == OME_OK)
    rc = config_read(doc, f, err);
  if (rc != OME_OK)
    return rc;
  *bits = tensors_bits(doc);
  (void)snprintf(path, sizeof(path), "%.*sconfig_sentence_transformers.json", (int)folder, config->path);
  if (source_json(src, path, MAX_CONFIG, &sentence, err) == OME_OK && sentence)
    f->embedding = *json_str(sentence, "similarity_fn_name", "") != '\0';
  err_clear(err);
  return OME_OK;
}

static int32_t read_weights(const struct model_source *src, const struct model_file *config, unsigned bits,
                            struct model_facts *f, struct ome_err *err) {
  char folder[1024] = "";

  if (config)
    (void)snprintf(folder, sizeof(folder), "%.*s", (int)(strlen(config->path) - strlen("config.json")), config->path);
  int32_t rc = safetensors_read(src, folder, bits, f, err);
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

int32_t model_facts_read(const struct model_source *src, struct model_facts *out, struct ome_err *err) {
  struct model_facts f = {.parameter_source = "unknown"};
  const struct model_file *config = find_config(src);
  unsigned bits = 0;
  int32_t rc = config ? read_config(src, config, &f, &bits, err) : OME_OK;

  if (rc == OME_OK)
    rc = read_weights(src, config, bits, &f, err);
  if (rc == OME_OK && !config && f.format[0] == '\0')
    rc = fail(err, OME_E_NOT_FOUND, "model: no config.json, safetensors or GGUF file says what it is");
  if (rc != OME_OK) {
    model_facts_fini(&f);
    return rc;
  }
  if (f.parameters == 0 && (f.parameters = config_parameters(&f)) != 0) {
    f.parameter_source = "config";
    facts_warn(&f, "the number of parameters is worked out from config.json");
  }
  if (f.format[0] == '\0')
    facts_warn(&f, "there are no safetensors or GGUF weights");
  if (f.active_parameters == 0)
    f.active_parameters = f.parameters;
  facts_capabilities(&f);
  *out = f;
  return OME_OK;
}
