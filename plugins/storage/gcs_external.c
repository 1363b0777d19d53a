#include "gcs_external.h"

#include "../common/encode.h"
#include "../common/http.h"
#include "../common/json.h"
#include "gcs_key.h"

#include <ome-sdk/error.h>
#include <ome-sdk/text.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIFE_S 3600
#define LEAST_LIFE_S 600
#define MOST_LIFE_S 43200
#define PROGRAM_S 30 /* that a program may take, where nothing is said; at least and at most: */
#define LEAST_PROGRAM_S 5
#define MOST_PROGRAM_S 120
#define CLOUD_SCOPE "https://www.googleapis.com/auth/cloud-platform"

static struct json_object *at(struct json_object *o, const char *key) {
  struct json_object *value = NULL;

  (void)json_object_object_get_ex(o, key, &value);
  return value;
}

/* Objects in credential_source with fields of their own. */
static const char executable[] = "executable", certificate[] = "certificate";

/* ---- the file ---------------------------------------------------------------------------------------------------- */

enum need { MAY, MUST };

static const struct {
  const char *parent, *name; /* PARENT NULL: of the document itself */
  size_t offset, size;
  enum need need;
} fields[] = {
#define FIELD(parent, json_name, member, need)                                                                         \
  { parent, json_name, offsetof(struct gcs_external, member), sizeof(((struct gcs_external *)0)->member), need }
    FIELD(NULL, "audience", audience, MUST),
    FIELD(NULL, "subject_token_type", subject_type, MUST),
    FIELD(NULL, "token_url", token_url, MUST),
    FIELD(NULL, "service_account_impersonation_url", impersonation_url, MAY),
    FIELD(NULL, "client_id", client_id, MAY),
    FIELD(NULL, "client_secret", client_secret, MAY),
    FIELD(NULL, "workforce_pool_user_project", user_project, MAY),
    FIELD("credential_source", "file", file, MAY),
    FIELD("credential_source", "url", url, MAY),
    FIELD("credential_source", "environment_id", environment, MAY),
    FIELD("credential_source", "regional_cred_verification_url", verify_url, MAY),
    FIELD(executable, "command", command, MAY),
    FIELD(executable, "output_file", output_file, MAY),
    FIELD(certificate, "certificate_config_location", certificates, MAY),
    FIELD(certificate, "trust_chain_path", chain, MAY),
#undef FIELD
};

/* The object that a field's PARENT names. */
static struct json_object *parent_of(struct json_object *o, const char *parent) {
  if (!parent)
    return o;
  return parent == executable || parent == certificate ? at(at(o, "credential_source"), parent) : at(o, parent);
}

static int32_t read_fields(struct json_object *o, const char *where, struct gcs_external *out, struct ome_err *err) {
  for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
    const char *value = json_text_at(parent_of(o, fields[i].parent), fields[i].name);
    if ((!*value && fields[i].need == MUST) || strlen(value) >= fields[i].size)
      return ome_fail(err, OME_E_INVALID, "gcs: %s: its %s is missing or too long", where, fields[i].name);
    memcpy((char *)out + fields[i].offset, value, strlen(value) + 1);
  }
  return OME_OK;
}

/* What a header may hold: nothing that ends its line. */
static int is_header_text(const char *text) {
  for (; *text; text++)
    if ((unsigned char)*text < ' ' || *text == 0x7f)
      return 0;
  return 1;
}

static int32_t read_headers(struct json_object *o, const char *where, struct gcs_external *out, struct ome_err *err) {
  struct json_object *headers = at(o, "headers");

  if (!json_object_is_type(headers, json_type_object))
    return OME_OK;
  json_object_object_foreach (headers, name, unused) {
    const char *value = json_text_at(headers, name);
    uint32_t n = out->nheaders;
    (void)unused;
    if (n == GCS_EXTERNAL_HEADERS || strlen(name) >= sizeof(out->headers[n].name) ||
        strlen(value) >= sizeof(out->headers[n].value) || !is_header_text(name) || !is_header_text(value))
      return ome_fail(err, OME_E_INVALID, "gcs: %s: the header %.40s of its credential_source cannot be sent", where,
                      name);
    (void)strcpy(out->headers[n].name, name);
    (void)strcpy(out->headers[n].value, value);
    out->nheaders++;
  }
  return OME_OK;
}

/* How the token is laid out in what a file or an address holds. */
static int32_t read_format(struct json_object *o, const char *where, struct gcs_external *out, struct ome_err *err) {
  struct json_object *format = at(o, "format");
  const char *type = json_text_at(format, "type"), *field = json_text_at(format, "subject_token_field_name");

  if (*type && strcmp(type, "json") != 0 && strcmp(type, "text") != 0)
    return ome_fail(err, OME_E_INVALID,
                    "gcs: %s: its credential_source has the format \"%.20s\"; text and json are known", where, type);
  if (strcmp(type, "json") != 0)
    return OME_OK;
  if (!*field || strlen(field) >= sizeof(out->field))
    return ome_fail(err, OME_E_INVALID, "gcs: %s: its subject_token_field_name is missing or too long", where);
  (void)strcpy(out->field, field);
  return OME_OK;
}

static int32_t read_program(struct json_object *o, const char *where, struct gcs_external *out, struct ome_err *err) {
  struct json_object *ms = at(at(o, executable), "timeout_millis");

  out->timeout_s = ms ? json_object_get_int(ms) / 1000 : PROGRAM_S;
  if (!*out->command)
    return ome_fail(err, OME_E_INVALID, "gcs: %s: its executable has no command", where);
  if (out->timeout_s < LEAST_PROGRAM_S || out->timeout_s > MOST_PROGRAM_S)
    return ome_fail(err, OME_E_INVALID, "gcs: %s: its timeout_millis is not from %d to %d seconds", where,
                    LEAST_PROGRAM_S, MOST_PROGRAM_S);
  return OME_OK;
}

static int32_t read_aws(const char *where, struct gcs_external *out, struct ome_err *err) {
  static const char otherwise[] = "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15";

  if (strcmp(out->environment, "aws1") != 0)
    return ome_fail(err, OME_E_UNSUPPORTED, "gcs: %s: its environment_id is \"%s\"; aws1 is known", where,
                    out->environment);
  if (!*out->verify_url)
    memcpy(out->verify_url, otherwise, sizeof(otherwise));
  return OME_OK;
}

/* The usual configuration has to be asked for. */
static int32_t read_certificate(struct json_object *o, const char *where, struct gcs_external *out,
                                struct ome_err *err) {
  int is_usual = json_object_get_boolean(at(at(o, certificate), "use_default_certificate_config"));

  if (is_usual == (*out->certificates != '\0'))
    return ome_fail(
        err, OME_E_INVALID,
        "gcs: %s: its certificate has no certificate_config_location and no use_default_certificate_config, "
        "or both",
        where);
  return OME_OK;
}

/* Which one it is: there may be one alone, but that AWS has a url, too. */
static int32_t read_source(struct json_object *o, const char *where, struct gcs_external *out, struct ome_err *err) {
  int is_aws = *out->environment != '\0';
  const int is[] = {[GCS_SOURCE_FILE] = *out->file != '\0',
                    [GCS_SOURCE_URL] = *out->url && !is_aws,
                    [GCS_SOURCE_PROGRAM] = at(o, executable) != NULL,
                    [GCS_SOURCE_AWS] = is_aws,
                    [GCS_SOURCE_CERTIFICATE] = at(o, certificate) != NULL};
  int n = 0;

  for (size_t i = 0; i < sizeof(is) / sizeof(*is); i++) {
    n += is[i];
    if (is[i])
      out->source = (enum gcs_source)i;
  }
  if (n != 1)
    return ome_fail(err, OME_E_INVALID,
                    "gcs: %s: its credential_source has none of file, url, executable, environment_id and certificate, "
                    "or several",
                    where);
  int32_t rc = out->source == GCS_SOURCE_PROGRAM       ? read_program(o, where, out, err)
               : out->source == GCS_SOURCE_AWS         ? read_aws(where, out, err)
               : out->source == GCS_SOURCE_CERTIFICATE ? read_certificate(o, where, out, err)
                                                       : read_format(o, where, out, err);
  return rc == OME_OK ? read_headers(o, where, out, err) : rc;
}

static int is_web(const char *url) {
  return strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0;
}

static int32_t check(const struct gcs_external *x, const char *where, struct ome_err *err) {
  const char *const urls[] = {x->token_url, x->impersonation_url, x->url, x->verify_url};

  for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++)
    if (*urls[i] && !is_web(urls[i]))
      return ome_fail(err, OME_E_INVALID, "gcs: %s: \"%.100s\" is no http address", where, urls[i]);
  if (strpbrk(x->user_project, "\"\\"))
    return ome_fail(err, OME_E_INVALID, "gcs: %s: its workforce_pool_user_project is no project's name", where);
  if (x->lifetime_s < LEAST_LIFE_S || x->lifetime_s > MOST_LIFE_S)
    return ome_fail(err, OME_E_INVALID, "gcs: %s: its token_lifetime_seconds is not from %d to %d", where, LEAST_LIFE_S,
                    MOST_LIFE_S);
  return OME_OK;
}

int gcs_is_external(const char *text, size_t len) {
  struct json_object *o = json_read(text, len);
  int is = strcmp(json_text_at(o, "type"), "external_account") == 0;

  (void)json_object_put(o);
  return is;
}

int32_t gcs_external_read(const char *text, size_t len, const char *where, struct gcs_external *out,
                          struct ome_err *err) {
  struct json_object *o = json_read(text, len), *life;

  memset(out, 0, sizeof(*out));
  life = at(at(o, "service_account_impersonation"), "token_lifetime_seconds");
  out->lifetime_s = life ? json_object_get_int(life) : LIFE_S;
  int32_t rc = read_fields(o, where, out, err);
  if (rc == OME_OK)
    rc = read_source(at(o, "credential_source"), where, out, err);
  if (rc == OME_OK)
    rc = check(out, where, err);
  (void)json_object_put(o);
  return rc;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

char *gcs_subject_token(const struct gcs_external *x, const char *text, size_t len) {
  struct json_object *o = *x->field ? json_read(text, len) : NULL;
  const char *found = *x->field ? json_text_at(o, x->field) : text;
  size_t from = strspn(found, " \t\r\n"), n = strlen(found + from);

  while (n && strchr(" \t\r\n", found[from + n - 1]))
    n--;
  char *token = n && n <= GCS_SUBJECT_TOKEN ? strndup(found + from, n) : NULL;
  (void)json_object_put(o);
  return token;
}

int32_t gcs_program_token(const char *text, size_t len, int kept, int64_t now_s, const char *what, char **out,
                          struct ome_err *err) {
  struct json_object *o = json_read(text, len), *end = at(o, "expiration_time");
  int is_saml = strcmp(json_text_at(o, "token_type"), "urn:ietf:params:oauth:token-type:saml2") == 0;
  const char *token = json_text_at(o, is_saml ? "saml_response" : "id_token");
  int32_t rc = OME_OK;

  *out = NULL;
  if (json_object_get_int(at(o, "version")) != 1 || !at(o, "success"))
    rc = ome_fail(err, OME_E_DENIED, "gcs: %s: it gives no JSON of \"version\": 1 with \"success\"", what);
  else if (!json_object_get_boolean(at(o, "success")))
    rc = ome_fail(err, OME_E_DENIED, "gcs: %s: it says: %.60s: %.200s", what, json_text_at(o, "code"),
                  json_text_at(o, "message"));
  else if (end ? json_object_get_int64(end) <= now_s : kept)
    rc = ome_fail(err, OME_E_DENIED, "gcs: %s: its token has expired", what);
  else if (!*token || strlen(token) > GCS_SUBJECT_TOKEN)
    rc = ome_fail(err, OME_E_DENIED, "gcs: %s: its answer has no %s, or one that is too long", what,
                  is_saml ? "saml_response" : "id_token");
  else if (!(*out = strdup(token)))
    rc = ome_fail(err, OME_E_NO_MEMORY, "gcs: out of memory");
  (void)json_object_put(o);
  return rc;
}

/* ---- certificates ------------------------------------------------------------------------------------------------ */

int gcs_certificate_files(const char *text, size_t len, char cert[GCS_PATH_TEXT], char key[GCS_PATH_TEXT]) {
  struct json_object *o = json_read(text, len), *workload = at(at(o, "cert_configs"), "workload");
  int n = snprintf(cert, GCS_PATH_TEXT, "%s", json_text_at(workload, "cert_path"));
  int m = snprintf(key, GCS_PATH_TEXT, "%s", json_text_at(workload, "key_path"));

  (void)json_object_put(o);
  return n > 0 && n < GCS_PATH_TEXT && m > 0 && m < GCS_PATH_TEXT ? 0 : -1;
}

/* The next certificate of PEM as base64 of its DER, the caller's to free; NULL: there is none any more. */
static char *next_certificate(BIO *pem) {
  char *name = NULL, *header = NULL, *out = NULL;
  unsigned char *der = NULL;
  long len = 0;

  while (!out && PEM_read_bio(pem, &name, &header, &der, &len) == 1) {
    size_t size = BASE64_TEXT((size_t)len);
    if (strcmp(name, PEM_STRING_X509) == 0 && (out = malloc(size)) != NULL)
      (void)base64_write(der, (size_t)len, out, size);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
  }
  ERR_clear_error(); /* the end of a file is one */
  return out;
}

/* Adds CHAIN's certificates to ALL, whose only one is LEAF; -1: LEAF is in it, and not at its top. */
static int add_chain(struct json_object *all, const char *leaf, const char *chain) {
  BIO *pem = BIO_new_mem_buf(chain, -1);
  int rc = 0, i = 0;

  for (char *next; pem && rc == 0 && (next = next_certificate(pem)) != NULL; i++) {
    if (strcmp(next, leaf) != 0)
      (void)json_object_array_add(all, json_object_new_string(next));
    else if (i > 0)
      rc = -1;
    free(next);
  }
  (void)BIO_free(pem);
  return rc;
}

char *gcs_certificate_subject(const char *text, const char *chain) {
  BIO *pem = BIO_new_mem_buf(text, -1);
  char *leaf = pem ? next_certificate(pem) : NULL, *out = NULL;
  struct json_object *all = json_object_new_array();

  if (leaf)
    (void)json_object_array_add(all, json_object_new_string(leaf));
  if (leaf && (!chain || add_chain(all, leaf, chain) == 0))
    out = strdup(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
  (void)json_object_put(all);
  (void)BIO_free(pem);
  free(leaf);
  return out;
}

/* ---- the exchange ------------------------------------------------------------------------------------------------ */

void gcs_impersonated(const struct gcs_external *x, char *out, size_t size) {
  static const char mark[] = "/serviceAccounts/";
  const char *at_mark = strstr(x->impersonation_url, mark);
  const char *email = at_mark ? at_mark + sizeof(mark) - 1 : "";

  (void)snprintf(out, size, "%.*s", (int)strcspn(email, ":/"), email);
}

char *gcs_exchange_form(const struct gcs_external *x, const char *subject_token) {
  size_t size = 3 * strlen(subject_token) + 8192;
  char *out = calloc(1, size), options[200];
  struct ome_text t = {.at = out, .size = size};

  if (!out)
    return NULL;
  form_add(&t, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
  form_add(&t, "audience", x->audience);
  form_add(&t, "scope", *x->impersonation_url ? CLOUD_SCOPE : GCS_SCOPE);
  form_add(&t, "requested_token_type", "urn:ietf:params:oauth:token-type:access_token");
  form_add(&t, "subject_token_type", x->subject_type);
  form_add(&t, "subject_token", subject_token);
  if (*x->user_project && !*x->client_id) {
    (void)snprintf(options, sizeof(options), "{\"userProject\":\"%s\"}", x->user_project);
    form_add(&t, "options", options);
  }
  if (!t.full)
    return out;
  explicit_bzero(out, t.len);
  free(out);
  return NULL;
}

void gcs_impersonation_body(const struct gcs_external *x, char *out, size_t size) {
  (void)snprintf(out, size, "{\"delegates\":null,\"scope\":[\"%s\"],\"lifetime\":\"%ds\"}", GCS_SCOPE, x->lifetime_s);
}

int gcs_impersonation_read(const struct gcs_external *x, const char *text, size_t len, int64_t now_s,
                           struct oauth_token *out) {
  struct json_object *o = json_read(text, len);
  const char *token = json_text_at(o, "accessToken");
  int ok = *token && strlen(token) < sizeof(out->text) && is_header_text(token);

  if (ok) {
    (void)strcpy(out->text, token);
    out->expires_s = now_s + x->lifetime_s; /* what was asked for is given, or refused */
  }
  (void)json_object_put(o);
  return ok ? 0 : -1;
}
