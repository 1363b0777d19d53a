#include "aws_credentials.h"

#include "../common/identity.h"
#include "../common/secret.h"
#include "../common/xml.h"
#include "aws_internal.h"
#include "aws_profile.h"

#include <ome-sdk/error.h>
#include <ome-sdk/text.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_FILE ((size_t)1 << 20)
#define MAX_TOKEN ((size_t)20000) /* what STS takes */
#define MAX_PROFILES 4            /* that name each other */

static int32_t keep(char *out, size_t size, const char *text, const char *what, struct ome_err *err) {
  if (strlen(text) >= size)
    return ome_fail(err, OME_E_INVALID, "aws: %s is too long", what);
  memcpy(out, text, strlen(text) + 1);
  return OME_OK;
}

int32_t aws_credentials_set(struct aws_credentials *out, const char *access, const char *secret, const char *session,
                            struct ome_err *err) {
  int32_t rc = keep(out->access_key, sizeof(out->access_key), access, "the access key", err);

  if (rc == OME_OK)
    rc = keep(out->secret_key, sizeof(out->secret_key), secret, "the secret key", err);
  if (rc == OME_OK)
    rc = keep(out->session_token, sizeof(out->session_token), session ? session : "", "the session token", err);
  return rc;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static char *read_named(const char *path, const char *env, const char *below_home) {
  const char *named = path ? path : env_text(env), *home = env_text("HOME");
  char fallback[1024] = "";

  if (!named && home)
    (void)snprintf(fallback, sizeof(fallback), "%s/%s", home, below_home);
  return secret_read_file(named ? named : fallback, MAX_FILE, NULL);
}

static void files_close(struct profile_files *f) {
  if (f->credentials)
    explicit_bzero(f->credentials, strlen(f->credentials));
  free(f->credentials);
  free(f->config);
}

static struct profile_files files_open(const struct aws_sources *s) {
  return (struct profile_files){read_named(s->credentials_file, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
                                read_named(s->config_file, "AWS_CONFIG_FILE", ".aws/config")};
}

static const char *profile_name(const struct aws_sources *s) {
  const char *name = s->profile ? s->profile : env_text("AWS_PROFILE");

  return name ? name : "default";
}

/* The credentials file calls a profile by its name, the config file "profile NAME", but for the default. */
static void config_section(const char *profile, char *out, size_t size) {
  (void)snprintf(out, size, "%s%s", strcmp(profile, "default") == 0 ? "" : "profile ", profile);
}

int aws_setting_of(const struct profile_files *f, const char *profile, const char *key, char *out, size_t size) {
  char section[256];

  config_section(profile, section, sizeof(section));
  out[0] = '\0';
  return (f->credentials && aws_profile_get(f->credentials, profile, key, out, size) == 1) ||
         (f->config && aws_profile_get(f->config, section, key, out, size) == 1);
}

static int has_profile(const struct profile_files *f, const char *profile) {
  char section[256];

  config_section(profile, section, sizeof(section));
  return (f->credentials && aws_profile_has(f->credentials, profile)) ||
         (f->config && aws_profile_has(f->config, section));
}

int aws_profile_setting(const struct aws_sources *sources, const char *key, char *out, size_t size) {
  struct profile_files files = files_open(sources);
  int found = aws_setting_of(&files, profile_name(sources), key, out, size);

  files_close(&files);
  return found ? 0 : -1;
}

/* ---- services ---------------------------------------------------------------------------------------------------- */

int32_t aws_ask(const struct aws_sources *s, uint32_t ms, struct ome_http_req req, struct http_answer *a,
                struct ome_err *err) {
  return identity_ask(s->host, s->call, ms, req, a, err);
}

int32_t aws_document_read(struct json_object *o, const char *session, const char *what, struct aws_credentials *out,
                          struct ome_err *err) {
  const char *access = json_text_at(o, "AccessKeyId"), *secret = json_text_at(o, "SecretAccessKey");
  int32_t rc = *access && *secret ? aws_credentials_set(out, access, secret, json_text_at(o, session), err)
                                  : ome_fail(err, OME_E_UNAVAILABLE, "%s: its answer has no credentials", what);

  if (rc == OME_OK)
    out->expires_s = aws_time(json_text_at(o, "Expiration"));
  return rc;
}

int32_t aws_document_take(const struct http_answer *a, const char *what, struct aws_credentials *out,
                          struct ome_err *err) {
  struct json_object *o = a->body ? json_read(a->body, a->len) : NULL;
  int32_t rc = aws_document_read(o, "Token", what, out, err);

  (void)json_object_put(o);
  return rc;
}

/* ---- STS --------------------------------------------------------------------------------------------------------- */

struct role {
  const char *action;                              /* "AssumeRole", "AssumeRoleWithWebIdentity" */
  const char *arn, *session, *token, *external_id; /* the last two may be NULL */
  const struct aws_credentials *signer;            /* NULL: the token says enough */
};

static int32_t sts_refused(const struct http_answer *a, const struct role *role, struct ome_err *err) {
  char what[300], code[100];

  (void)snprintf(what, sizeof(what), "aws: %s for %.200s", role->action, role->arn);
  (void)xml_text(a->body, a->len, "ErrorResponse/Error/Code", code, sizeof(code));
  return http_refused(a, what, *code ? code : NULL, "check the role's trust policy and the identity", err);
}

static int32_t read_role(const struct http_answer *a, const struct role *role, struct aws_credentials *out,
                         struct ome_err *err) {
  static const char *const names[] = {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"};
  char expires[64];
  char *const to[] = {out->access_key, out->secret_key, out->session_token, expires};
  const size_t size[] = {sizeof(out->access_key), sizeof(out->secret_key), sizeof(out->session_token), sizeof(expires)};

  for (size_t i = 0; i < 4; i++) {
    char path[200];
    (void)snprintf(path, sizeof(path), "%sResponse/%sResult/Credentials/%s", role->action, role->action, names[i]);
    if (xml_text(a->body, a->len, path, to[i], size[i]) != 0)
      return ome_fail(err, OME_E_UNAVAILABLE, "aws: %s for %.200s: the answer has no %s", role->action, role->arn,
                      names[i]);
  }
  out->expires_s = aws_time(expires);
  return OME_OK;
}

/* The headers of a request to STS, signed with the credentials of ROLE's signer. */
static uint64_t sts_headers(const struct aws_sources *s, const struct role *role, char scope[128], char pair[400],
                            struct ome_kv out[4]) {
  uint64_t n = 0;

  out[n++] = (struct ome_kv){"content-type", "application/x-www-form-urlencoded"};
  if (!role->signer)
    return n;
  (void)snprintf(scope, 128, "aws:amz:%s:sts", s->region ? s->region : "us-east-1");
  (void)snprintf(pair, 400, "%s:%s", role->signer->access_key, role->signer->secret_key);
  out[n++] = (struct ome_kv){OME_REQUEST_SIGV4, scope};
  out[n++] = (struct ome_kv){OME_REQUEST_CREDENTIALS, pair};
  if (*role->signer->session_token)
    out[n++] = (struct ome_kv){"x-amz-security-token", role->signer->session_token};
  return n;
}

/* https://docs.aws.amazon.com/STS/latest/APIReference: AssumeRole, AssumeRoleWithWebIdentity */
static int32_t assume(const struct aws_sources *s, const struct role *role, struct aws_credentials *out,
                      struct ome_err *err) {
  const char *endpoint = s->sts_endpoint ? s->sts_endpoint : env_text("AWS_ENDPOINT_URL_STS");
  const char *region = s->region ? s->region : "us-east-1";
  char url[600], scope[128], pair[400], *body = malloc(MAX_TOKEN + 4096);
  struct ome_kv headers[4];
  struct http_answer a = {0};

  if (!body)
    return ome_fail(err, OME_E_NO_MEMORY, "aws: out of memory");
  struct ome_text form = {.at = body, .size = MAX_TOKEN + 4096};
  body[0] = '\0';
  form_add(&form, "Action", role->action);
  form_add(&form, "Version", "2011-06-15");
  form_add(&form, "RoleArn", role->arn);
  form_add(&form, "RoleSessionName", role->session);
  form_add(&form, "ExternalId", role->external_id);
  form_add(&form, "WebIdentityToken", role->token);
  if (endpoint)
    (void)snprintf(url, sizeof(url), "%s", endpoint);
  else
    (void)snprintf(url, sizeof(url), "https://sts.%s.amazonaws.com%s/", region,
                   strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
  uint64_t nheaders = sts_headers(s, role, scope, pair, headers);
  const struct ome_http_req req = {
      .method = "POST", .url = url, .headers = headers, .nheaders = nheaders, .body = {body, form.len}};
  int32_t rc = form.full ? ome_fail(err, OME_E_INVALID, "aws: the identity token for %.200s is too long", role->arn)
                         : aws_ask(s, AWS_SERVICE_MS, req, &a, err);
  if (rc == OME_OK)
    rc = a.status == 200 ? read_role(&a, role, out, err) : sts_refused(&a, role, err);
  explicit_bzero(body, form.len);
  explicit_bzero(pair, sizeof(pair));
  free(body);
  http_answer_fini(&a);
  return rc;
}

static int32_t assume_with_token(const struct aws_sources *s, const char *arn, const char *file,
                                 struct aws_credentials *out, struct ome_err *err) {
  const char *session = env_text("AWS_ROLE_SESSION_NAME");
  char *token = secret_read_file(file, MAX_TOKEN, NULL);

  if (!token)
    return ome_fail(err, OME_E_DENIED, "aws: the identity token %.300s cannot be read; check that it is mounted", file);
  token[strcspn(token, " \t\r\n")] = '\0';
  const struct role role = {
      .action = "AssumeRoleWithWebIdentity", .arn = arn, .session = session ? session : "ome", .token = token};
  int32_t rc = assume(s, &role, out, err);
  explicit_bzero(token, strlen(token));
  free(token);
  return rc;
}

/* ---- sources ----------------------------------------------------------------------------------------------------- */

static int32_t find_given(const struct aws_sources *s, struct aws_credentials *out, struct ome_err *err) {
  if (!s->access_key && !s->secret_key)
    return OME_OK;
  if (!s->access_key || !s->secret_key)
    return ome_fail(err, OME_E_DENIED, "aws: %s is given without %s; give both",
                    s->access_key ? "aws_access_key_id" : "aws_secret_access_key",
                    s->access_key ? "aws_secret_access_key" : "aws_access_key_id");
  return aws_credentials_set(out, s->access_key, s->secret_key, s->session_token, err);
}

static int32_t find_environment(const struct aws_sources *s, struct aws_credentials *out, struct ome_err *err) {
  const char *access = env_text("AWS_ACCESS_KEY_ID"), *secret = env_text("AWS_SECRET_ACCESS_KEY");

  /* A profile that was asked for goes before the environment's keys, as in the AWS tools. */
  if (!access || !secret || s->profile)
    return OME_OK;
  return aws_credentials_set(out, access, secret, env_text("AWS_SESSION_TOKEN"), err);
}

/* https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html; EKS Pod Identity does the same. */
static int32_t find_container(const struct aws_sources *s, struct aws_credentials *out, struct ome_err *err) {
  const char *relative = env_text("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
             *full = env_text("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
             *token = env_text("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
             *token_file = env_text("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  char url[600], *from_file = NULL;
  struct http_answer a = {0};

  if (!relative && !full)
    return OME_OK;
  (void)snprintf(url, sizeof(url), "%s%s", relative ? "http://169.254.170.2" : "", relative ? relative : full);
  if (token_file) {
    from_file = secret_read_file(token_file, MAX_TOKEN, NULL);
    if (!from_file)
      return ome_fail(err, OME_E_DENIED, "aws: the container's token %.300s cannot be read", token_file);
    from_file[strcspn(from_file, "\r\n")] = '\0';
    token = from_file;
  }
  const struct ome_kv headers[] = {{"authorization", token}};
  const struct ome_http_req req = {.url = url, .headers = headers, .nheaders = token ? 1 : 0};
  int32_t rc = aws_ask(s, AWS_SERVICE_MS, req, &a, err);
  if (rc == OME_OK)
    rc = a.status == 200 ? aws_document_take(&a, "aws: the container's credentials service", out, err)
                         : http_refused(&a, "aws: the container's credentials service", NULL, NULL, err);
  free(from_file);
  http_answer_fini(&a);
  return rc;
}

static int32_t find_web_identity(const struct aws_sources *s, struct aws_credentials *out, struct ome_err *err) {
  const char *arn = s->role_arn ? s->role_arn : env_text("AWS_ROLE_ARN");
  const char *file = s->token_file ? s->token_file : env_text("AWS_WEB_IDENTITY_TOKEN_FILE");

  return arn && file ? assume_with_token(s, arn, file, out, err) : OME_OK;
}

/* ---- profiles ---------------------------------------------------------------------------------------------------- */

static int32_t find_in_profile(const struct aws_sources *s, const struct profile_files *f, const char *name, int depth,
                               struct aws_credentials *out, struct ome_err *err);

/* Who a profile with a role takes it as: another profile, or one of the other sources. */
static int32_t find_signer(const struct aws_sources *s, const struct profile_files *f, const char *name, int depth,
                           struct aws_credentials *out, struct ome_err *err) {
  static const struct {
    const char *name;
    int32_t (*find)(const struct aws_sources *s, struct aws_credentials *out, struct ome_err *err);
  } others[] = {
      {"Environment", find_environment}, {"EcsContainer", find_container}, {"Ec2InstanceMetadata", aws_find_instance}};
  struct aws_sources plain = *s;
  char source[200];

  plain.profile = NULL;
  if (aws_setting_of(f, name, "source_profile", source, sizeof(source))) {
    if (depth + 1 == MAX_PROFILES)
      return ome_fail(err, OME_E_INVALID, "aws: profile %.100s: its source profiles go in circles", name);
    /* A profile may name itself: its own keys, then. */
    return find_in_profile(s, f, source, strcmp(source, name) == 0 ? MAX_PROFILES : depth + 1, out, err);
  }
  if (aws_setting_of(f, name, "credential_source", source, sizeof(source)))
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
      if (strcmp(source, others[i].name) == 0)
        return others[i].find(&plain, out, err);
  return OME_OK;
}

static int32_t find_role(const struct aws_sources *s, const struct profile_files *f, const char *name, const char *arn,
                         int depth, struct aws_credentials *out, struct ome_err *err) {
  char session[100], external_id[256], file[1024];
  struct aws_credentials *signer = calloc(1, sizeof(*signer));
  struct role role = {
      .action = "AssumeRole", .arn = arn, .session = session, .external_id = external_id, .signer = signer};

  if (!signer)
    return ome_fail(err, OME_E_NO_MEMORY, "aws: out of memory");
  (void)aws_setting_of(f, name, "external_id", external_id, sizeof(external_id));
  if (!aws_setting_of(f, name, "role_session_name", session, sizeof(session)))
    (void)snprintf(session, sizeof(session), "ome");
  int32_t rc = OME_OK;
  if (aws_setting_of(f, name, "web_identity_token_file", file, sizeof(file)))
    rc = assume_with_token(s, arn, file, out, err);
  else if ((rc = find_signer(s, f, name, depth, signer, err)) == OME_OK)
    rc = *signer->access_key
             ? assume(s, &role, out, err)
             : ome_fail(err, OME_E_DENIED,
                        "aws: profile %.100s: nothing says whose credentials take its role; set source_profile", name);
  explicit_bzero(signer, sizeof(*signer));
  free(signer);
  return rc;
}

static int32_t find_in_profile(const struct aws_sources *s, const struct profile_files *f, const char *name, int depth,
                               struct aws_credentials *out, struct ome_err *err) {
  char access[sizeof(out->access_key)], secret[sizeof(out->secret_key)], session[sizeof(out->session_token)], arn[256];

  if (depth < MAX_PROFILES && aws_setting_of(f, name, "role_arn", arn, sizeof(arn)))
    return find_role(s, f, name, arn, depth, out, err);
  int32_t rc = aws_find_sso(s, f, name, out, err);
  if (rc != OME_OK || *out->access_key)
    return rc;
  if (aws_setting_of(f, name, "aws_access_key_id", access, sizeof(access)) &&
      aws_setting_of(f, name, "aws_secret_access_key", secret, sizeof(secret))) {
    (void)aws_setting_of(f, name, "aws_session_token", session, sizeof(session));
    rc = aws_credentials_set(out, access, secret, session, err);
  } else {
    rc = aws_find_process(s, f, name, out, err);
  }
  explicit_bzero(secret, sizeof(secret));
  explicit_bzero(session, sizeof(session));
  return rc;
}

static int32_t find_profile(const struct aws_sources *s, struct aws_credentials *out, struct ome_err *err) {
  const char *name = profile_name(s);
  int is_named = s->profile || env_text("AWS_PROFILE");
  struct profile_files files = files_open(s);
  int32_t rc = find_in_profile(s, &files, name, 0, out, err);

  if (rc == OME_OK && is_named && !*out->access_key)
    rc = ome_fail(
        err, OME_E_DENIED, "aws: profile %.100s: %s", name,
        has_profile(&files, name)
            ? "it has no keys that can be used here; set aws_access_key_id and aws_secret_access_key, or a role"
            : "there is no such profile; check ~/.aws/credentials, ~/.aws/config");
  files_close(&files);
  return rc;
}

int32_t aws_credentials_find(const struct aws_sources *sources, struct aws_credentials *out, struct ome_err *err) {
  static int32_t (*const steps[])(const struct aws_sources *s, struct aws_credentials *out, struct ome_err *err) = {
      find_given, find_environment, find_profile, find_web_identity, find_container, aws_find_instance};
  int32_t rc = OME_OK;

  *out = (struct aws_credentials){.expires_s = 0};
  for (size_t i = 0; rc == OME_OK && !*out->access_key && i < sizeof(steps) / sizeof(*steps); i++)
    rc = steps[i](sources, out, err);
  return rc;
}
