/* What the instance's metadata service says: the credentials of its role, its region. */
#include "../common/secret.h"
#include "aws_internal.h"

#include <ome-sdk/error.h>

#include <stdio.h>
#include <string.h>

#define METADATA_MS 1000 /* where there is no such service, packets may just vanish */
#define TOKEN_TEXT 512

/* Length of "http://HOST" of URL. */
static size_t origin_len(const char *url) {
  const char *host = strstr(url, "://");

  return host ? (size_t)(host - url) + 3 + strcspn(host + 3, "/?#") : 0;
}

/* PATH of the instance's metadata service. */
static int32_t ask_instance(const struct aws_sources *s, const char *method, const char *path,
                            const struct ome_kv *header, struct http_answer *a, struct ome_err *err) {
  const char *base = env_text("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  size_t len = base ? strlen(base) : 0;
  char url[900];

  if (!base) {
    base = s->metadata_url && *s->metadata_url ? s->metadata_url : "http://169.254.169.254";
    len = origin_len(base);
  }
  while (len && base[len - 1] == '/')
    len--;
  (void)snprintf(url, sizeof(url), "%.*s%s", (int)len, base, path);
  return aws_ask(s, METADATA_MS, (struct ome_http_req){.method = method, .url = url, .headers = header, .nheaders = 1},
                 a, err);
}

static int may_ask_instance(const struct aws_sources *s) {
  const char *off = env_text("AWS_EC2_METADATA_DISABLED");

  return !s->no_metadata && !(off && strcmp(off, "true") == 0);
}

/* The TOKEN that everything else is asked for with.  That there is no such service, or none of Amazon's, is no error.
 */
static int has_instance(const struct aws_sources *s, char token[TOKEN_TEXT]) {
  const struct ome_kv ttl = {"x-aws-ec2-metadata-token-ttl-seconds", "21600"};
  struct http_answer a = {0};
  struct ome_err ignored;
  int found = ask_instance(s, "PUT", "/latest/api/token", &ttl, &a, &ignored) == OME_OK && a.status == 200 && a.body &&
              a.len < TOKEN_TEXT;

  if (found)
    memcpy(token, a.body, a.len + 1);
  http_answer_fini(&a);
  return found;
}

/* The first line of what the instance says at PATH; 0: nothing. */
static int instance_says(const struct aws_sources *s, const char token[TOKEN_TEXT], const char *path, char *out,
                         size_t size) {
  const struct ome_kv with_token = {"x-aws-ec2-metadata-token", token};
  struct http_answer a = {0};
  struct ome_err ignored;
  int n = -1;

  if (ask_instance(s, "GET", path, &with_token, &a, &ignored) == OME_OK && a.status == 200 && a.body)
    n = snprintf(out, size, "%.*s", (int)strcspn(a.body, "\r\n/?#"), a.body);
  http_answer_fini(&a);
  return n > 0 && (size_t)n < size;
}

/* Whether the instance has a role; the path of its credentials and the TOKEN to ask for them then. */
static int has_role(const struct aws_sources *s, char token[TOKEN_TEXT], char *path, size_t size) {
  static const char roles[] = "/latest/meta-data/iam/security-credentials/";
  char role[200];

  if (!has_instance(s, token) || !instance_says(s, token, roles, role, sizeof(role)))
    return 0;
  int n = snprintf(path, size, "%s%s", roles, role);
  return n > 0 && (size_t)n < size;
}

/* IMDSv2: a token first, then the name of the instance's role, then its credentials. */
int32_t aws_find_instance(const struct aws_sources *s, struct aws_credentials *out, struct ome_err *err) {
  char token[TOKEN_TEXT], path[300];
  const struct ome_kv with_token = {"x-aws-ec2-metadata-token", token};
  struct http_answer a = {0};

  if (!may_ask_instance(s) || !has_role(s, token, path, sizeof(path)))
    return ome_check_cancelled(s->call, err);
  int32_t rc = ask_instance(s, "GET", path, &with_token, &a, err);
  if (rc == OME_OK)
    rc = a.status == 200 ? aws_document_take(&a, "aws: the instance's metadata service", out, err)
                         : http_refused(&a, "aws: the instance's metadata service", NULL, NULL, err);
  http_answer_fini(&a);
  return rc;
}

int aws_region(const struct aws_sources *s, char *out, size_t size) {
  static const char *const names[] = {"AWS_REGION", "AWS_DEFAULT_REGION"};
  char token[TOKEN_TEXT];

  for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
    const char *value = env_text(names[i]);
    if (value && strlen(value) < size) {
      (void)strcpy(out, value);
      return 0;
    }
  }
  if (aws_profile_setting(s, "region", out, size) == 0)
    return 0;
  return may_ask_instance(s) && has_instance(s, token) &&
                 instance_says(s, token, "/latest/meta-data/placement/region", out, size)
             ? 0
             : -1;
}
