/* What lies beside the weights: tokenizer, chat template, generation defaults, licence. */
#include "model/internal.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define MAX_CARD ((size_t)64 << 10)
#define MAX_SMALL ((size_t)4 << 20)

static const struct model_file *find_in(const struct model_source *src, const char *folder, const char *name) {
  char path[1600];

  (void)snprintf(path, sizeof(path), "%s%s", folder, name);
  return source_find(src, path);
}

/* The files that are read whole, fetched together from where that takes a while. */
int32_t beside_prepare(const struct model_source *src, struct ome_err *err) {
  static const char *const names[] = {"config.json",
                                      "model_index.json",
                                      "adapter_config.json",
                                      "config_sentence_transformers.json",
                                      "hf_quant_config.json",
                                      "generation_config.json",
                                      "tokenizer_config.json",
                                      "README.md",
                                      ".safetensors.index.json",
                                      "pytorch_model.bin.index.json"};
  VEC(struct model_range) list = {0};
  int32_t rc = OME_OK;

  for (size_t i = 0; src->prepare && rc == OME_OK && i < src->nfiles; i++)
    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
      const struct model_file *f = &src->files[i];
      struct model_range range = {f->path, f->size < MAX_SMALL ? (size_t)f->size : MAX_SMALL};
      range.len = streq(names[k], "README.md") && range.len > MAX_CARD ? MAX_CARD : range.len;
      if (has_suffix(f->path, names[k]) && range.len && list.len < 256 && !VEC_PUSH(&list, range))
        rc = fail_memory(err);
    }
  if (rc == OME_OK)
    rc = source_prepare(src, list.items, list.len, err);
  VEC_FREE(&list);
  return rc;
}

/* ---- licence ----------------------------------------------------------------------------------------------------- */

/* "key: value" of a line, without quotes; false: another key, or no plain value. */
static bool take_line(const char *line, size_t len, const char *key, char *out, size_t size) {
  size_t n = strlen(key);

  if (len <= n + 1 || strncmp(line, key, n) != 0 || line[n] != ':')
    return false;
  line += n + 1;
  len -= n + 1;
  while (len && strchr(" '\"", *line)) {
    line++;
    len--;
  }
  while (len && strchr(" '\"\r", line[len - 1]))
    len--;
  for (size_t i = 0; i < len; i++)
    if (line[i] <= ' ' || line[i] > '~')
      return false;
  if (len == 0 || len >= size)
    return false;
  memcpy(out, line, len);
  out[len] = '\0';
  return true;
}

/* The front matter of a model card: YAML between two lines of dashes, of which two keys are wanted. */
static void read_card(const char *text, char *out, size_t size) {
  char name[64] = "", own[64] = "";

  if (strncmp(text, "---", 3) != 0)
    return;
  for (const char *line = strchr(text, '\n'); line; line = strchr(line, '\n')) {
    line++;
    if (strncmp(line, "---", 3) == 0)
      break;
    size_t len = strcspn(line, "\n");
    (void)(take_line(line, len, "license", name, sizeof(name)) ||
           take_line(line, len, "license_name", own, sizeof(own)));
  }
  (void)snprintf(out, size, "%s", streq(name, "other") && *own ? own : name);
}

static int32_t read_license(const struct model_source *src, const char *folder, struct model_facts *f,
                            struct ome_err *err) {
  const struct model_file *card = find_in(src, folder, "README.md");

  if (!card || card->size == 0 || f->license[0] != '\0')
    return OME_OK;
  size_t len = card->size < MAX_CARD ? (size_t)card->size : MAX_CARD;
  _cleanup_free_ char *text = malloc(len + 1);
  if (!text)
    return fail_memory(err);
  int32_t rc = src->read(src->arg, card->path, 0, text, len, err);
  if (rc != OME_OK)
    return rc;
  text[len] = '\0';
  read_card(text, f->license, sizeof(f->license));
  return OME_OK;
}

/* ---- how it is meant to be sampled ------------------------------------------------------------------------------- */

static int32_t read_generation(const struct model_source *src, const char *folder, struct model_facts *f,
                               struct ome_err *err) {
  static const char *const keys[][2] = {{"temperature", "temperature"},
                                        {"top_p", "topP"},
                                        {"top_k", "topK"},
                                        {"min_p", "minP"},
                                        {"repetition_penalty", "repetitionPenalty"},
                                        {"max_new_tokens", "maxNewTokens"},
                                        {"max_length", "maxLength"}};
  _cleanup_json_ struct json_object *config = NULL;
  char path[1600];

  (void)snprintf(path, sizeof(path), "%sgeneration_config.json", folder);
  f->generation_config = source_find(src, path) != NULL;
  int32_t rc = source_json(src, path, MAX_SMALL, &config, err);
  for (size_t i = 0; rc == OME_OK && i < ARRAY_LEN(keys); i++) {
    struct json_object *v = json_get(config, keys[i][0]);
    if (json_is(v, json_type_int) || json_is(v, json_type_double))
      f->defaults[f->ndefaults++] = (struct model_default){keys[i][1], json_object_get_double(v)};
  }
  return rc;
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

int32_t beside_read(const struct model_source *src, const char *folder, struct model_facts *f, struct ome_err *err) {
  static const char *const tokenizers[] = {
      "tokenizer.json", "tokenizer.model", "tiktoken.model", "spiece.model",
      "vocab.json",     "vocab.txt",       "tekken.json",    "sentencepiece.bpe.model"};
  static const char *const templates[] = {"chat_template.jinja", "chat_template.json"};
  _cleanup_json_ struct json_object *config = NULL;
  char path[1600];

  for (size_t i = 0; i < ARRAY_LEN(tokenizers); i++)
    f->tokenizer = f->tokenizer || find_in(src, folder, tokenizers[i]);
  for (size_t i = 0; i < ARRAY_LEN(templates); i++)
    f->chat_template = f->chat_template || find_in(src, folder, templates[i]);
  if (read_generation(src, folder, f, err) != OME_OK) {
    facts_warn(f, "%.200s", err->msg);
    err_clear(err);
  }
  (void)snprintf(path, sizeof(path), "%stokenizer_config.json", folder);
  if (!f->chat_template && source_json(src, path, MAX_SMALL, &config, err) != OME_OK) {
    facts_warn(f, "%.200s", err->msg);
    err_clear(err);
  }
  struct json_object *template = json_get(config, "chat_template"); /* one, or a list of named ones */
  f->chat_template = f->chat_template || json_len(template) ||
                     (json_is(template, json_type_string) && json_object_get_string_len(template) > 0);
  if (read_license(src, folder, f, err) != OME_OK) {
    facts_warn(f, "%.200s", err->msg);
    err_clear(err);
  }
  return OME_OK;
}
