/* What an AWS identity shows to Google instead of a token (https://google.aip.dev/auth/4117, "AWS"): a signed request
 * that Google sends to AWS, to be told who signed it.  Pure. */
#ifndef PLUGINS_STORAGE_GCS_AWS_H
#define PLUGINS_STORAGE_GCS_AWS_H

#include <stddef.h>
#include <stdint.h>

struct gcs_aws_identity {
  const char *access_key, *secret_key, *session_token; /* secret; the last "" where there is none */
  const char *region;
};

/* The request to VERIFY_URL, in which "{region}" stands for the region, for AUDIENCE at NOW_S: signed with SigV4 as
 * JSON, percent-encoded.  Secret, the caller's to free; NULL: VERIFY_URL is no https address of AWS's STS, or something
 * is too long. */
char *gcs_aws_subject(const struct gcs_aws_identity *who, const char *verify_url, const char *audience, int64_t now_s);

#endif
