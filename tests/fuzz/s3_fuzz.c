/* S3's answers, the AWS tools' files and addresses; the first byte says which. */
#include "../../plugins/common/process.h"
#include "../../plugins/common/xml.h"
#include "../../plugins/storage/aws_profile.h"
#include "../../plugins/storage/s3_answer.h"
#include "../../plugins/storage/s3_uri.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *words[8], out[256], *text = malloc(size + 1);
  struct s3_listing l = {0};
  struct s3_uri uri;
  struct s3_digest digest;

  if (!text || size == 0) {
    free(text);
    return 0;
  }
  memcpy(text, data + 1, size - 1);
  text[size - 1] = '\0';
  const struct ome_kv headers[] = {{"etag", text}, {"x-amz-checksum-sha256", text}, {"x-amz-meta-s3cmd-attrs", text}};
  switch (data[0]) {
  case 'x':
    (void)s3_listing_add(&l, text, size - 1, 100);
    (void)xml_text(text, size - 1, "Error/Code", out, sizeof(out));
    s3_listing_fini(&l);
    break;
  case 'p':
    (void)aws_profile_get(text, "default", "s3.addressing_style", out, sizeof(out));
    (void)aws_profile_get(text, "default", "region", out, sizeof(out));
    (void)aws_profile_has(text, "default");
    (void)aws_time(text);
    (void)process_words(text, words, sizeof(words) / sizeof(*words));
    break;
  case 'h':
    for (size_t i = 0; i < 3; i++)
      s3_digest_of(&headers[i], 1, &digest);
    break;
  default:
    (void)s3_uri_parse(text, &uri);
    (void)s3_region_of(text, out, sizeof(out));
    (void)s3_base_url(text, S3_STYLE_AUTO, "bucket", "us-east-1", out, sizeof(out));
  }
  free(text);
  return 0;
}
