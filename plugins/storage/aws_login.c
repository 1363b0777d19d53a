/* Keys that a profile does not hold but leads to: a program that prints them (credential_process), and what `aws sso
 * login` has left.  Programs are those of this machine's own files, run without a shell. */
#include "../common/encode.h"
#include "../common/secret.h"
#include "aws_internal.h"
#include "aws_process.h"
#include "aws_profile.h"

#include <ome-sdk/error.h>

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_CACHED ((size_t)64 << 10)
#define MAX_COMMAND 4096

/* ---- credential_process ------------------------------------------------------------------------------------------ */

/* https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html */
int32_t aws_find_process(const struct aws_sources *s, const struct profile_files *f, const char *profile,
                         struct aws_credentials *out, struct ome_err *err) {
  char command[MAX_COMMAND], what[200], *text = NULL;
  struct json_object *o = NULL, *version = NULL;

  if (!aws_setting_of(f, profile, "credential_process", command, sizeof(command)))
    return OME_OK;
  (void)snprintf(what, sizeof(what), "profile %.100s: its credential_process", profile);
  int32_t rc = aws_process_run(s->call, what, command, &text, err);
  if (rc == OME_OK)
    o = json_read(text, strlen(text));
  if (rc == OME_OK && (!json_object_object_get_ex(o, "Version", &version) || json_object_get_int(version) != 1))
    rc = ome_fail(err, OME_E_DENIED, "aws: %s: it prints no JSON of \"Version\": 1", what);
  if (rc == OME_OK)
    rc = aws_document_read(o, "SessionToken", what, out, err);
  if (rc == OME_OK && out->expires_s && out->expires_s <= (int64_t)time(NULL))
    rc = ome_fail(err, OME_E_DENIED, "aws: %s: it prints credentials that have expired", what);
  (void)json_object_put(o);
  secret_forget(text, text ? strlen(text) : 0);
  return rc;
}

/* ---- single sign-on ---------------------------------------------------------------------------------------------- */

struct sso {
  const char *profile;
  char session[200], start_url[512], region[64], account[64], role[200];
};

/* Both forms: a session of its own, which profiles share, and all of it in the profile.  0: the profile has none. */
static int read_sso(const struct profile_files *f, const char *profile, struct sso *out) {
  char section[256] = "";

  out->profile = profile;
  if (!aws_setting_of(f, profile, "sso_account_id", out->account, sizeof(out->account)) ||
      !aws_setting_of(f, profile, "sso_role_name", out->role, sizeof(out->role)))
    return 0;
  if (!aws_setting_of(f, profile, "sso_session", out->session, sizeof(out->session)))
    return aws_setting_of(f, profile, "sso_start_url", out->start_url, sizeof(out->start_url)) &&
           aws_setting_of(f, profile, "sso_region", out->region, sizeof(out->region));
  (void)snprintf(section, sizeof(section), "sso-session %s", out->session);
  return f->config && aws_profile_get(f->config, section, "sso_region", out->region, sizeof(out->region)) == 1;
}

static int32_t ended(const struct sso *sso, const char *why, struct ome_err *err) {
  return ome_fail(err, OME_E_DENIED, "aws: profile %.100s: single sign-on: %s; run `aws sso login --profile %.100s`",
                  sso->profile, why, sso->profile);
}

/* The token that the tools have left: a file named by the SHA-1 of the session's name, or of the portal's address. */
static int32_t cached_token(const struct sso *sso, char *out, size_t size, struct ome_err *err) {
  const char *home = env_text("HOME"), *id = *sso->session ? sso->session : sso->start_url;
  unsigned char digest[EVP_MAX_MD_SIZE];
  char name[2 * EVP_MAX_MD_SIZE + 1], path[1200];
  unsigned n = 0;
  size_t len = 0;

  if (EVP_Digest(id, strlen(id), digest, &n, EVP_sha1(), NULL) != 1)
    return ome_fail(err, OME_E_NO_MEMORY, "aws: out of memory");
  hex_write(digest, n, name);
  (void)snprintf(path, sizeof(path), "%.1000s/.aws/sso/cache/%s.json", home ? home : "", name);
  char *text = secret_read_file(path, MAX_CACHED, &len);
  struct json_object *o = text ? json_read(text, len) : NULL;
  const char *token = json_text_at(o, "accessToken");
  int32_t rc = OME_OK;
  if (!*token || strlen(token) >= size)
    rc = ended(sso, "nobody has signed in", err);
  else if (aws_time(json_text_at(o, "expiresAt")) <= (int64_t)time(NULL))
    rc = ended(sso, "the session has ended", err);
  else
    (void)strcpy(out, token);
  (void)json_object_put(o);
  secret_forget(text, len);
  return rc;
}

static int32_t address_of(const struct sso *sso, char *out, size_t size, struct ome_err *err) {
  const char *endpoint = env_text("AWS_ENDPOINT_URL_SSO");
  char account[200], role[600];

  if (strspn(sso->region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(sso->region) ||
      uri_encode(sso->account, 0, account, sizeof(account)) != 0 || uri_encode(sso->role, 0, role, sizeof(role)) != 0)
    return ome_fail(err, OME_E_INVALID, "aws: profile %.100s: its sso_region or sso_role_name is none", sso->profile);
  int n = endpoint ? snprintf(out, size, "%s", endpoint)
                   : snprintf(out, size, "https://portal.sso.%s.amazonaws.com%s", sso->region,
                              strncmp(sso->region, "cn-", 3) == 0 ? ".cn" : "");
  if (n > 0 && (size_t)n < size)
    n += snprintf(out + n, size - (size_t)n, "/federation/credentials?role_name=%s&account_id=%s", role, account);
  return n > 0 && (size_t)n < size ? OME_OK
                                   : ome_fail(err, OME_E_INVALID, "aws: the address of single sign-on is too long");
}

/* {"roleCredentials": {"accessKeyId", "secretAccessKey", "sessionToken", "expiration": milliseconds}} */
static int32_t read_role(const struct sso *sso, const struct http_answer *a, struct aws_credentials *out,
                         struct ome_err *err) {
  struct json_object *o = a->body ? json_read(a->body, a->len) : NULL, *keys = NULL, *end = NULL;

  (void)json_object_object_get_ex(o, "roleCredentials", &keys);
  const char *access = json_text_at(keys, "accessKeyId"), *secret = json_text_at(keys, "secretAccessKey");
  int32_t rc = *access && *secret
                   ? aws_credentials_set(out, access, secret, json_text_at(keys, "sessionToken"), err)
                   : ome_fail(err, OME_E_UNAVAILABLE,
                              "aws: profile %.100s: single sign-on: its answer has no credentials", sso->profile);
  if (rc == OME_OK && json_object_object_get_ex(keys, "expiration", &end))
    out->expires_s = json_object_get_int64(end) / 1000;
  (void)json_object_put(o);
  return rc;
}

/* https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/API_GetRoleCredentials.html */
int32_t aws_find_sso(const struct aws_sources *s, const struct profile_files *f, const char *profile,
                     struct aws_credentials *out, struct ome_err *err) {
  struct sso sso = {.profile = NULL};
  char token[4096], url[1600], what[200];
  struct http_answer a = {0};

  if (!read_sso(f, profile, &sso))
    return OME_OK;
  int32_t rc = cached_token(&sso, token, sizeof(token), err);
  if (rc == OME_OK)
    rc = address_of(&sso, url, sizeof(url), err);
  const struct ome_kv header = {"x-amz-sso_bearer_token", token};
  const struct ome_http_req req = {.url = url, .headers = &header, .nheaders = 1};
  if (rc == OME_OK)
    rc = aws_ask(s, AWS_SERVICE_MS, req, &a, err);
  (void)snprintf(what, sizeof(what), "aws: profile %.100s: single sign-on", profile);
  if (rc == OME_OK && a.status == 401)
    rc = ended(&sso, "the session is not taken", err);
  else if (rc == OME_OK)
    rc = a.status == 200 ? read_role(&sso, &a, out, err)
                         : http_refused(&a, what, NULL, "check sso_account_id and sso_role_name", err);
  explicit_bzero(token, sizeof(token));
  http_answer_fini(&a);
  return rc;
}
