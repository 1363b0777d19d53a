#include "gcs_key.h"

#include "../common/encode.h"
#include "../common/http.h"
#include "../common/json.h"
#include "../common/rsa.h"

#include <ome-sdk/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIFE_S 3600 /* the most that Google gives */

/* ---- files ------------------------------------------------------------------------------------------------------- */

static const struct {
  const char *name;
  size_t offset, size;
  enum gcs_key_kind kind; /* that cannot do without it */
} fields[] = {
#define FIELD(json_name, member, kind)                                                                                 \
  { json_name, offsetof(struct gcs_key, member), sizeof(((struct gcs_key *)0)->member), kind }
    FIELD("client_email", email, GCS_KEY_SERVICE_ACCOUNT), FIELD("private_key", private_key, GCS_KEY_SERVICE_ACCOUNT),
    FIELD("client_id", client_id, GCS_KEY_USER),           FIELD("client_secret", client_secret, GCS_KEY_USER),
    FIELD("refresh_token", refresh_token, GCS_KEY_USER),
#undef FIELD
};

int gcs_is_googles(const char *url) {
  static const char domain[] = ".googleapis.com";
  size_t n = sizeof(domain) - 1;

  if (strncmp(url, "https://", 8) != 0)
    return 0;
  const char *host = url + 8;
  size_t len = strcspn(host, "/?#");
  return len > n && strncmp(host + len - n, domain, n) == 0 &&
         strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-.") == len;
}

static int32_t read_fields(struct json_object *o, const char *where, struct gcs_key *out, struct ome_err *err) {
  for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
    const char *value = json_text_at(o, fields[i].name);
    if (fields[i].kind != out->kind)
      continue;
    if (!*value || strlen(value) >= fields[i].size)
      return ome_fail(err, OME_E_INVALID, "gcs: %s: its %s is missing or too long", where, fields[i].name);
    memcpy((char *)out + fields[i].offset, value, strlen(value) + 1);
  }
  return OME_OK;
}

static int32_t fail_type(const char *type, int from_model, const char *where, struct ome_err *err) {
  int32_t code = !*type ? OME_E_INVALID : from_model ? OME_E_DENIED : OME_E_UNSUPPORTED;

  return ome_fail(
      err, code,
      "gcs: %s: credentials of type \"%.40s\" are not supported%s; use those of a service account, of a user "
      "(authorized_user), or the metadata server",
      where, type, from_model ? " of a model" : "");
}

int32_t gcs_key_read(const char *text, size_t len, int from_model, const char *where, struct gcs_key *out,
                     struct ome_err *err) {
  struct json_object *o = json_read(text, len);
  const char *type = json_text_at(o, "type"), *uri = json_text_at(o, "token_uri");
  int32_t rc = OME_OK;

  memset(out, 0, sizeof(*out));
  if (!*uri)
    uri = GCS_TOKEN_URI;
  if (strcmp(type, "authorized_user") == 0)
    out->kind = GCS_KEY_USER;
  else if (strcmp(type, "service_account") != 0)
    rc = fail_type(type, from_model, where, err);
  if (rc == OME_OK)
    rc = read_fields(o, where, out, err);
  (void)snprintf(out->key_id, sizeof(out->key_id), "%.100s", json_text_at(o, "private_key_id"));
  if (rc == OME_OK && ((from_model && !gcs_is_googles(uri)) || strlen(uri) >= sizeof(out->token_uri)))
    rc = ome_fail(err, OME_E_DENIED, "gcs: %s: its token_uri \"%.100s\" is not an https address of googleapis.com",
                  where, uri);
  if (rc == OME_OK)
    memcpy(out->token_uri, uri, strlen(uri) + 1);
  (void)json_object_put(o);
  return rc;
}

/* ---- assertions -------------------------------------------------------------------------------------------------- */

static char *plain(struct json_object *o) {
  const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
  char *out = text ? strdup(text) : NULL;

  (void)json_object_put(o);
  return out;
}

char *gcs_claims(const struct gcs_key *key, int64_t now_s) {
  struct json_object *o = json_object_new_object();

  (void)json_object_object_add(o, "iss", json_object_new_string(key->email));
  (void)json_object_object_add(o, "scope", json_object_new_string(GCS_SCOPE));
  (void)json_object_object_add(o, "aud", json_object_new_string(key->token_uri));
  (void)json_object_object_add(o, "iat", json_object_new_int64(now_s));
  (void)json_object_object_add(o, "exp", json_object_new_int64(now_s + LIFE_S));
  return plain(o);
}

static char *header_of(const struct gcs_key *key) {
  struct json_object *o = json_object_new_object();

  (void)json_object_object_add(o, "alg", json_object_new_string("RS256"));
  (void)json_object_object_add(o, "typ", json_object_new_string("JWT"));
  if (*key->key_id)
    (void)json_object_object_add(o, "kid", json_object_new_string(key->key_id));
  return plain(o);
}

char *gcs_assertion(const struct gcs_key *key, int64_t now_s) {
  EVP_PKEY *rsa = rsa_key_read(key->private_key, strlen(key->private_key), NULL);
  char *header = header_of(key), *claims = gcs_claims(key, now_s), *out = NULL;
  unsigned char signature[RSA_MAX_SIGNATURE];

  if (rsa && header && claims) {
    size_t size = BASE64_TEXT(strlen(header)) + BASE64_TEXT(strlen(claims)) + BASE64_TEXT(sizeof(signature));
    out = malloc(size);
    if (out && base64_write_url(header, strlen(header), out, size) == 0) {
      size_t n = strlen(out);
      out[n++] = '.';
      (void)base64_write_url(claims, strlen(claims), out + n, size - n);
      n += strlen(out + n);
      int len = rsa_sign(rsa, out, n, signature);
      out[n++] = '.';
      if (len < 0 || base64_write_url(signature, (size_t)len, out + n, size - n) != 0) {
        free(out);
        out = NULL;
      }
    }
  }
  free(header);
  free(claims);
  EVP_PKEY_free(rsa);
  return out;
}

char *gcs_token_form(const struct gcs_key *key, int64_t now_s) {
  char id[3 * sizeof(key->client_id)], secret[3 * sizeof(key->client_secret)], token[3 * sizeof(key->refresh_token)];
  char *assertion = NULL, *out = NULL;
  int n = -1;

  if (key->kind == GCS_KEY_SERVICE_ACCOUNT) {
    assertion = gcs_assertion(key, now_s);
    if (assertion)
      n = asprintf(&out, "grant_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Agrant-type%%3Ajwt-bearer&assertion=%s",
                   assertion);
    free(assertion);
  } else if (uri_encode(key->client_id, 0, id, sizeof(id)) == 0 &&
             uri_encode(key->client_secret, 0, secret, sizeof(secret)) == 0 &&
             uri_encode(key->refresh_token, 0, token, sizeof(token)) == 0) {
    n = asprintf(&out, "grant_type=refresh_token&client_id=%s&client_secret=%s&refresh_token=%s", id, secret, token);
  }
  return n < 0 ? NULL : out;
}
