/* Keys that a program prints: a profile's credential_process.  It is one of this machine's own files, run without a
 * shell. */
#include "../common/process.h"
#include "../common/secret.h"
#include "aws_internal.h"

#include <ome-sdk/error.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MAX_COMMAND 4096
#define LONGEST_S 60

/* https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html */
int32_t aws_find_process(const struct aws_sources *s, const struct profile_files *f, const char *profile,
                         struct aws_credentials *out, struct ome_err *err) {
  char command[MAX_COMMAND], what[200], *text = NULL;
  struct json_object *o = NULL, *version = NULL;

  if (!aws_setting_of(f, profile, "credential_process", command, sizeof(command)))
    return OME_OK;
  (void)snprintf(what, sizeof(what), "aws: profile %.100s: its credential_process", profile);
  const struct process p = {.what = what, .command = command, .longest_s = LONGEST_S};
  int32_t rc = process_run(s->call, &p, &text, err);
  if (rc == OME_OK)
    o = json_read(text, strlen(text));
  if (rc == OME_OK && (!json_object_object_get_ex(o, "Version", &version) || json_object_get_int(version) != 1))
    rc = ome_fail(err, OME_E_DENIED, "%s: it prints no JSON of \"Version\": 1", what);
  if (rc == OME_OK)
    rc = aws_document_read(o, "SessionToken", what, out, err);
  if (rc == OME_OK && out->expires_s && out->expires_s <= (int64_t)time(NULL))
    rc = ome_fail(err, OME_E_DENIED, "%s: it prints credentials that have expired", what);
  (void)json_object_put(o);
  secret_forget(text, text ? strlen(text) : 0);
  return rc;
}
