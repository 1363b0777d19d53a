/* A tokenizer.json, and behind a NUL a text that it counts. */
#include "tokens/tokenizer.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t *end = size ? memchr(data, '\0', size) : NULL;
  size_t len = end ? (size_t)(end - data) : size, rest = end ? size - len - 1 : 0;
  _cleanup_(tokenizer_freep) struct tokenizer *t = NULL;
  struct ome_err err = {0};
  uint64_t n;

  if (tokenizer_read("fuzz", (const char *)data, len, &t, &err) == OME_OK) {
    (void)tokenizer_count(t, end ? (const char *)end + 1 : "", rest, &n, &err);
    (void)tokenizer_token(t, 0);
  }
  return 0;
}
