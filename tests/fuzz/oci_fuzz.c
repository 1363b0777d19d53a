/* What the `oci` plugin reads of others: addresses, configuration files, tokens, pages of objects, errors,
 * certificates. The first byte says which. */
#include "../../plugins/storage/oci_config.h"
#include "../../plugins/storage/oci_list.h"
#include "../../plugins/storage/oci_sign.h"
#include "../../plugins/storage/oci_uri.h"

#include <stdlib.h>
#include <string.h>

static int32_t on_object(void *arg, const struct oci_object *o) {
  size_t *sum = arg;

  *sum += strlen(o->name) + strlen(o->etag);
  if (*o->md5 && strlen(o->md5) != 32)
    abort();
  return OME_OK;
}

static void read_certificate(const char *text, size_t len) {
  struct oci_certificate c;

  if (oci_certificate_read(text, len, &c) == 0 && !c.base64)
    abort();
  free(c.base64);
}

static void read_text(char what, const char *text, size_t len) {
  char next[OCI_NAME_TEXT], why[200], code[64];
  struct ome_err err = {0};
  struct oci_profile profile;
  struct oci_uri uri;
  int64_t exp;
  size_t sum = 0;

  if (what == 'u' && oci_uri_parse(text, &uri) == 0 && (!*uri.bucket || strpbrk(uri.bucket, "/?#\n")))
    abort();
  if (what == 'c')
    (void)oci_config_read(text, len, "OTHER", &profile);
  if (what == 't')
    (void)oci_token_expiry(text, &exp);
  if (what == 'l')
    (void)oci_page_read(text, len, "fuzz", on_object, &sum, next, &err);
  if (what == 'e')
    oci_error_read(text, len, why, sizeof(why), code);
  if (what == 'w' && oci_word_read(text, len, NULL, code, sizeof(code)) == 0 && strpbrk(code, "/?#\n\""))
    abort();
  if (what == 'x')
    read_certificate(text, len);
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
