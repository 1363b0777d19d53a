/* Single sign-on: what `aws sso login` has left of a session, renewed when it is about to end, exchanged for keys. */
#include "../common/encode.h"
#include "../common/secret.h"
#include "aws_internal.h"
#include "aws_profile.h"

#include <ome-sdk/error.h>

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_CACHED ((size_t)64 << 10)
#define RENEW_S (15 * 60) /* before its end a session is renewed, as the AWS tools do */

/* ---- profiles ---------------------------------------------------------------------------------------------------- */

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

/* The address of SERVICE, "portal.sso" or "oidc", or what VARIABLE has in its place; -1: the region is none. */
static int service_of(const struct sso *sso, const char *service, const char *variable, char *out, size_t size) {
  const char *endpoint = env_text(variable);
  int n = endpoint ? snprintf(out, size, "%s", endpoint)
                   : snprintf(out, size, "https://%s.%s.amazonaws.com%s", service, sso->region,
                              strncmp(sso->region, "cn-", 3) == 0 ? ".cn" : "");

  return strspn(sso->region, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(sso->region) && n > 0 &&
                 (size_t)n < size
             ? 0
             : -1;
}

/* ---- the session ------------------------------------------------------------------------------------------------- */

/* Where the tools leave it: a file named by the SHA-1 of the session's name, or of the portal's address. */
static int32_t place_of(const struct sso *sso, char *out, size_t size, struct ome_err *err) {
  const char *home = env_text("HOME"), *id = *sso->session ? sso->session : sso->start_url;
  unsigned char digest[EVP_MAX_MD_SIZE];
  char name[2 * EVP_MAX_MD_SIZE + 1];
  unsigned n = 0;

  if (EVP_Digest(id, strlen(id), digest, &n, EVP_sha1(), NULL) != 1)
    return ome_fail(err, OME_E_NO_MEMORY, "aws: out of memory");
  hex_write(digest, n, name);
  (void)snprintf(out, size, "%.1000s/.aws/sso/cache/%s.json", home ? home : "", name);
  return OME_OK;
}

static struct json_object *session_read(const char *path) {
  size_t len = 0;
  char *text = secret_read_file(path, MAX_CACHED, &len);
  struct json_object *o = text ? json_read(text, len) : NULL;

  secret_forget(text, len);
  return o;
}

/* For the next time, and for the tools; where it cannot be written, this time has it all the same. */
static void session_write(const char *path, struct json_object *o) {
  const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

  (void)secret_write_file(path, text, strlen(text));
}

static void set_text(struct json_object *o, const char *key, const char *value) {
  (void)json_object_object_add(o, key, json_object_new_string(value));
}

/* The answer of CreateToken into the session; -1: there is none in it. */
static int session_renewed(struct json_object *o, const struct http_answer *a, int64_t now_s) {
  struct json_object *new = a->body ? json_read(a->body, a->len) : NULL, *lasts = NULL;
  const char *token = json_text_at(new, "accessToken"), *next = json_text_at(new, "refreshToken");
  int found = *token && json_object_object_get_ex(new, "expiresIn", &lasts);
  time_t ends = (time_t)(now_s + (found ? json_object_get_int64(lasts) : 0));
  char text[32];
  struct tm tm;

  if (found) {
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&ends, &tm));
    set_text(o, "accessToken", token);
    set_text(o, "expiresAt", text);
    if (*next)
      set_text(o, "refreshToken", next);
  }
  (void)json_object_put(new);
  return found ? 0 : -1;
}

/* The body of CreateToken with what is known of the session; NULL: it was made without a way to renew it, or the client
 * that made it has ended. */
static struct json_object *renewal_of(struct json_object *o, int64_t now_s) {
  static const char *const keys[] = {"clientId", "clientSecret", "refreshToken"};
  struct json_object *body = json_object_new_object();
  int known = aws_time(json_text_at(o, "registrationExpiresAt")) > now_s;

  for (size_t i = 0; known && i < sizeof(keys) / sizeof(*keys); i++) {
    const char *value = json_text_at(o, keys[i]);
    known = *value != '\0';
    set_text(body, keys[i], value);
  }
  set_text(body, "grantType", "refresh_token");
  if (known)
    return body;
  (void)json_object_put(body);
  return NULL;
}

/* https://docs.aws.amazon.com/singlesignon/latest/OIDCAPIReference/API_CreateToken.html; 0: it goes on for longer. */
static int session_renew(const struct aws_sources *s, const struct sso *sso, const char *path, struct json_object *o) {
  static const struct ome_kv json[] = {{"content-type", "application/json"}};
  int64_t now_s = (int64_t)time(NULL);
  struct json_object *body = renewal_of(o, now_s);
  const char *text = body ? json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN) : NULL;
  struct http_answer a = {0};
  struct ome_err ignored;
  char url[600];
  int rc = -1;

  if (text && service_of(sso, "oidc", "AWS_ENDPOINT_URL_SSO_OIDC", url, sizeof(url) - 8) == 0) {
    (void)strcat(url, "/token");
    const struct ome_http_req req = {
        .method = "POST", .url = url, .headers = json, .nheaders = 1, .body = {text, strlen(text)}};
    if (aws_ask(s, AWS_SERVICE_MS, req, &a, &ignored) == OME_OK && a.status == 200)
      rc = session_renewed(o, &a, now_s);
  }
  if (rc == 0)
    session_write(path, o);
  http_answer_fini(&a);
  (void)json_object_put(body);
  return rc;
}

/* The session's token, of a session that has not ended. */
static int32_t session_token(const struct aws_sources *s, const struct sso *sso, char *out, size_t size,
                             struct ome_err *err) {
  char path[1200];
  int32_t rc = place_of(sso, path, sizeof(path), err);

  if (rc != OME_OK)
    return rc;
  struct json_object *o = session_read(path);
  if (!*json_text_at(o, "accessToken") || strlen(json_text_at(o, "accessToken")) >= size)
    rc = ended(sso, "nobody has signed in", err);
  else if (aws_time(json_text_at(o, "expiresAt")) > (int64_t)time(NULL) + RENEW_S)
    rc = OME_OK;
  else if (session_renew(s, sso, path, o) != 0 && aws_time(json_text_at(o, "expiresAt")) <= (int64_t)time(NULL))
    rc = ended(sso, "the session has ended", err);
  if (rc == OME_OK)
    (void)snprintf(out, size, "%s", json_text_at(o, "accessToken"));
  (void)json_object_put(o);
  return rc;
}

/* ---- keys of a role ---------------------------------------------------------------------------------------------- */

static int32_t address_of(const struct sso *sso, char *out, size_t size, struct ome_err *err) {
  char account[200], role[600];

  if (service_of(sso, "portal.sso", "AWS_ENDPOINT_URL_SSO", out, size) != 0 ||
      uri_encode(sso->account, 0, account, sizeof(account)) != 0 || uri_encode(sso->role, 0, role, sizeof(role)) != 0)
    return ome_fail(err, OME_E_INVALID, "aws: profile %.100s: its sso_region or sso_role_name is none", sso->profile);
  size_t len = strlen(out);
  int n = snprintf(out + len, size - len, "/federation/credentials?role_name=%s&account_id=%s", role, account);
  return n > 0 && (size_t)n < size - len
             ? OME_OK
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
  int32_t rc = session_token(s, &sso, token, sizeof(token), err);
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
