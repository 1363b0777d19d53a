/* The readers of model files.  FUZZ_PATH names the file that the input is; without it the first byte does. */
#include "base/str.h"
#include "model/facts.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
  const uint8_t *data;
  size_t len;
  const struct bytes *beside; /* config.json where that is another file; NULL: there is none */
};

static const char config[] =
    "{\"model_type\":\"llama\",\"hidden_size\":64,\"num_hidden_layers\":2,\"num_attention_heads\":4,"
    "\"intermediate_size\":128,\"vocab_size\":100}";
static const struct bytes llama = {(const uint8_t *)config, sizeof(config) - 1, NULL};

static int32_t read_bytes(void *arg, const char *path, uint64_t offset, void *out, size_t len, struct ome_err *err) {
  const struct bytes *b = arg;

  if (streq(path, "config.json") && b->beside)
    b = b->beside;
  if (offset > b->len || len > b->len - offset)
    return fail(err, OME_E_CORRUPT, "short");
  memcpy(out, b->data + offset, len);
  return OME_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
#ifndef FUZZ_PATH
  static const char *const paths[] = {
      "config.json",           "model.safetensors",      "model.gguf",          "model.safetensors.index.json",
      "pytorch_model.bin",     "model_index.json",       "adapter_config.json", "README.md",
      "tokenizer_config.json", "generation_config.json", "hf_quant_config.json"};
#endif
  struct model_facts f = {0};
  struct ome_err err = ERR_INIT;

  if (size == 0)
    return 0;
#ifdef FUZZ_PATH
  struct bytes rest = {data, size, NULL};
  const char *path = FUZZ_PATH;
#else
  struct bytes rest = {data + 1, size - 1, NULL};
  const char *path = paths[data[0] % ARRAY_LEN(paths)];
#endif
  /* These two say something of a model that another file describes. */
  if (streq(path, "generation_config.json") || streq(path, "hf_quant_config.json"))
    rest.beside = &llama;
  const struct model_file files[] = {{path, rest.len}, {"config.json", llama.len}};
  const struct model_source src = {.files = files, .nfiles = rest.beside ? 2 : 1, .read = read_bytes, .arg = &rest};
  if (model_facts_read(&src, &f, &err) == OME_OK) {
    json_unref(model_facts_json(&f));
    json_unref(model_facts_config(&f));
    model_facts_fini(&f);
  }
  return 0;
}
