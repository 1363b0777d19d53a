/* Lists of files with digests, and addresses. */
#include "../../plugins/storage/http_manifest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  struct http_manifest m = {0};
  struct http_uri uri;

  if (!text)
    return 0;
  memcpy(text, data, size);
  text[size] = '\0';
  (void)http_manifest_read(text, size, &m);
  http_manifest_fini(&m);
  (void)http_uri_parse(text, &uri);
  free(text);
  return 0;
}
