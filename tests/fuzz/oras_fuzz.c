/* What the `oras` plugin reads of others: addresses, challenges, config.json, tokens, errors, manifests.  The first
 * byte says which. */
#include "../../plugins/common/json.h"
#include "../../plugins/storage/oras_auth.h"
#include "../../plugins/storage/oras_manifest.h"

#include <ome-sdk/error.h>

#include <stdlib.h>
#include <string.h>

static int32_t on_file(void *arg, const struct oras_layer *l) {
  uint64_t *sum = arg;

  *sum += l->size + strlen(l->path) + strlen(l->sha256);
  return OME_OK;
}

static void read_manifest(const char *text, size_t len) {
  struct json_object *o = NULL;
  struct ome_err err = {0};
  char digest[ORAS_DIGEST_TEXT];
  uint64_t sum = 0;

  if (oras_manifest_read(text, len, "fuzz", &o, &err) != OME_OK)
    return;
  if (oras_is_index(o))
    (void)oras_index_choose(o, "fuzz", digest, &err);
  (void)oras_manifest_files(o, "fuzz", on_file, &sum, &err);
  const struct oras_layer l = {"a/file", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", 2};
  if (oras_manifest_put(o, &l) == 0 && oras_manifest_put(o, &l) != 0)
    abort();
  json_object_put(o);
}

static void read_text(char what, const char *text, size_t len) {
  struct oras_credentials *who = calloc(1, sizeof(*who));
  struct oras_challenge challenge;
  struct oras_uri uri;
  char out[512];
  uint64_t seconds;

  if (what == 'u' && oras_uri_parse(text, NULL, &uri) == 0 && (!*uri.registry || !*uri.repository || !*uri.reference))
    abort();
  if (what == 'c')
    (void)oras_challenge_parse(text, &challenge);
  if (what == 'd' && who && oras_credentials_find(text, len, "registry.example.com", who) == 0)
    (void)oras_basic(who, out, sizeof(out));
  if (what == 't' && oras_token_parse(text, len, out, sizeof(out), &seconds) == 0 && strpbrk(out, "\r\n"))
    abort();
  if (what == 'e')
    oras_errors_text(text, len, out, sizeof(out));
  if (what == 'm')
    read_manifest(text, len);
  free(who);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = size ? malloc(size) : NULL;

  if (!text)
    return 0;
  memcpy(text, data + 1, size - 1);
  text[size - 1] = '\0';
  read_text((char)data[0], text, size - 1);
  free(text);
  return 0;
}
