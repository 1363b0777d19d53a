/* Blob Storage's answers, addresses, connection strings and signatures; the first byte says which. */
#include "../../plugins/storage/azure_answer.h"
#include "../../plugins/storage/azure_sas.h"
#include "../../plugins/storage/azure_uri.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int32_t on_blob(void *arg, const struct azure_blob *b) {
  char url[AZURE_MAX_URL];

  (void)arg;
  (void)azure_blob_url("https://h", "container", b->name, "", url, sizeof(url));
  return OME_OK;
}

static void answers(const char *text, size_t len) {
  const struct ome_kv headers[] = {{"content-length", text}, {"etag", text}, {"content-md5", text}};
  struct azure_blob b = {.digest_type = OME_DIGEST_NONE};
  char next[AZURE_MARKER_TEXT], why[200];

  (void)azure_page_read(text, len, on_blob, NULL, next);
  azure_error_read(text, len, why, sizeof(why));
  (void)azure_headers_read(headers, 3, &b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char out[AZURE_SAS_TEXT], *text = malloc(size + 1);
  struct azure_connection connection;
  struct azure_uri uri;

  if (!text || size == 0) {
    free(text);
    return 0;
  }
  memcpy(text, data + 1, size - 1);
  text[size - 1] = '\0';
  switch (data[0]) {
  case 'x':
    answers(text, size - 1);
    break;
  case 'c':
    (void)azure_connection_parse(text, &connection);
    (void)azure_sas_take(text, out, sizeof(out));
    break;
  default:
    (void)azure_uri_parse(text, &uri);
    (void)azure_endpoint(text, "account", out, sizeof(out));
  }
  free(text);
  return 0;
}
