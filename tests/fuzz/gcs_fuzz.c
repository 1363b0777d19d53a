/* Cloud Storage's answers, Google's files of credentials, addresses; the first byte says which. */
#include "../../plugins/common/oauth.h"
#include "../../plugins/storage/gcs_answer.h"
#include "../../plugins/storage/gcs_external.h"
#include "../../plugins/storage/gcs_key.h"
#include "../../plugins/storage/gcs_uri.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int32_t on_object(void *arg, const struct gcs_object *o) {
  char url[GCS_MAX_URL];

  (void)arg;
  (void)gcs_object_url("https://h", 0, "bucket", o->name, o->generation, url, sizeof(url));
  return OME_OK;
}

static void answers(const char *text, size_t len) {
  struct oauth_token *token = malloc(sizeof(*token));
  char next[GCS_PAGE_TEXT], why[200], reason[64];
  struct ome_err err;

  (void)gcs_page_read(text, len, "u", on_object, NULL, next, &err);
  (void)gcs_object_read(text, len, "u", on_object, NULL, &err);
  gcs_error_read(text, len, why, sizeof(why), reason);
  oauth_error_read(text, len, why, sizeof(why));
  if (token)
    (void)oauth_token_read(text, len, 0, token);
  free(token);
}

static void keys(const char *text, size_t len) {
  struct gcs_key key;
  struct ome_err err;

  if (gcs_key_read(text, len, 1, "w", &key, &err) == OME_OK)
    free(gcs_token_form(&key, 0));
}

static void externals(const char *text, size_t len) {
  struct gcs_external *x = malloc(sizeof(*x));
  struct ome_err err;

  if (x && gcs_is_external(text, len) && gcs_external_read(text, len, "w", x, &err) == OME_OK) {
    char *subject = gcs_subject_token(x, text, len);
    free(gcs_exchange_form(x, subject ? subject : "s"));
    free(subject);
  }
  free(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char out[256], *text = malloc(size + 1);
  struct gcs_uri uri;

  if (!text || size == 0) {
    free(text);
    return 0;
  }
  memcpy(text, data + 1, size - 1);
  text[size - 1] = '\0';
  switch (data[0]) {
  case 'a':
    answers(text, size - 1);
    break;
  case 'k':
    keys(text, size - 1);
    break;
  case 'x':
    externals(text, size - 1);
    break;
  default:
    (void)gcs_uri_parse(text, &uri);
    (void)gcs_endpoint_parse(text, out, sizeof(out));
    (void)gcs_kept_of(text);
  }
  free(text);
  return 0;
}
