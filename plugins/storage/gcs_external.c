#include "gcs_external.h"

#include "../common/json.h"
#include "gcs_key.h"

#include <ome-sdk/error.h>
#include <ome-sdk/text.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIFE_S 3600
#define LEAST_LIFE_S 600
#define MOST_LIFE_S 43200
#define CLOUD_SCOPE "https://www.googleapis.com/auth/cloud-platform"

static struct json_object *at(struct json_object *o, const char *key) {
  struct json_object *value = NULL;

  (void)json_object_object_get_ex(o, key, &value);
  return value;
}

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
#undef FIELD
};

static int32_t read_fields(struct json_object *o, const char *where, struct gcs_external *out, struct ome_err *err) {
  for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
    const char *value = json_text_at(fields[i].parent ? at(o, fields[i].parent) : o, fields[i].name);
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

static int32_t read_source(struct json_object *o, const char *where, struct gcs_external *out, struct ome_err *err) {
  static const char *const others[] = {"executable", "environment_id", "certificate"};
  struct json_object *format = at(o, "format");
  const char *type = json_text_at(format, "type"), *field = json_text_at(format, "subject_token_field_name");

  for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
    if (at(o, others[i]))
      return ome_fail(
          err, OME_E_UNSUPPORTED,
          "gcs: %s: an external_account whose token comes from \"%s\" is not supported; use one with a file "
          "or a URL for its credential_source",
          where, others[i]);
  if (!*out->file == !*out->url)
    return ome_fail(err, OME_E_INVALID, "gcs: %s: its credential_source names no file and no URL, or both", where);
  if (strcmp(type, "json") == 0 && (!*field || strlen(field) >= sizeof(out->field)))
    return ome_fail(err, OME_E_INVALID, "gcs: %s: its subject_token_field_name is missing or too long", where);
  if (*type && strcmp(type, "json") != 0 && strcmp(type, "text") != 0)
    return ome_fail(err, OME_E_INVALID,
                    "gcs: %s: its credential_source has the format \"%.20s\"; text and json are known", where, type);
  if (strcmp(type, "json") == 0)
    (void)strcpy(out->field, field);
  return read_headers(o, where, out, err);
}

static int is_web(const char *url) {
  return strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0;
}

static int32_t check(const struct gcs_external *x, const char *where, struct ome_err *err) {
  const char *const urls[] = {x->token_url, x->impersonation_url, x->url};

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

/* ---- the exchange ------------------------------------------------------------------------------------------------ */

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

static void add_field(struct ome_text *t, const char *name, const char *value) {
  ome_text_add(t, t->len ? "&" : "");
  ome_text_add(t, name);
  ome_text_add(t, "=");
  ome_text_add_url(t, value);
}

char *gcs_exchange_form(const struct gcs_external *x, const char *subject_token) {
  size_t size = 3 * strlen(subject_token) + 8192;
  char *out = calloc(1, size), options[200];
  struct ome_text t = {.at = out, .size = size};

  if (!out)
    return NULL;
  add_field(&t, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
  add_field(&t, "audience", x->audience);
  add_field(&t, "scope", *x->impersonation_url ? CLOUD_SCOPE : GCS_SCOPE);
  add_field(&t, "requested_token_type", "urn:ietf:params:oauth:token-type:access_token");
  add_field(&t, "subject_token_type", x->subject_type);
  add_field(&t, "subject_token", subject_token);
  if (*x->user_project && !*x->client_id) {
    (void)snprintf(options, sizeof(options), "{\"userProject\":\"%s\"}", x->user_project);
    add_field(&t, "options", options);
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
