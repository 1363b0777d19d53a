#include "oras_auth.h"

#include "../common/encode.h"
#include "../common/json.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* -1: does not fit. */
static int copy(char *out, size_t size, const char *from) {
  size_t len = strlen(from);

  if (len >= size)
    return -1;
  memcpy(out, from, len + 1);
  return 0;
}

/* ---- challenges -------------------------------------------------------------------------------------------------- */

/* One name=value or name="value" at *P, which is moved behind it; 0: there is none. */
static int next_parameter(const char **p, char *name, size_t name_size, char *value, size_t value_size) {
  const char *s = *p + strspn(*p, " \t,");
  size_t n = strcspn(s, "= \t,"), len = 0;

  if (n == 0 || n >= name_size || s[n] != '=')
    return 0;
  memcpy(name, s, n);
  name[n] = '\0';
  s += n + 1;
  int quoted = *s == '"';
  for (s += quoted; *s && (quoted ? *s != '"' : !strchr(" \t,", *s)); s++) {
    if (quoted && *s == '\\' && s[1])
      s++;
    if (len + 1 >= value_size)
      return 0;
    value[len++] = *s;
  }
  value[len] = '\0';
  *p = s + (quoted && *s == '"');
  return 1;
}

int oras_challenge_parse(const char *value, struct oras_challenge *out) {
  char name[64], text[512];

  memset(out, 0, sizeof(*out));
  if (!value)
    return -1;
  if (strncasecmp(value, "basic", 5) == 0 && strchr(" \t,", value[5]))
    return 0;
  if (strncasecmp(value, "bearer ", 7) != 0)
    return -1;
  out->is_bearer = 1;
  for (const char *p = value + 7; next_parameter(&p, name, sizeof(name), text, sizeof(text));) {
    if (strcasecmp(name, "realm") == 0 && copy(out->realm, sizeof(out->realm), text) != 0)
      return -1;
    if (strcasecmp(name, "service") == 0 && copy(out->service, sizeof(out->service), text) != 0)
      return -1;
  }
  return *out->realm ? 0 : -1;
}

/* ---- config.json ------------------------------------------------------------------------------------------------- */

/* "user:password" as base64. */
static int read_auth(const char *text, struct oras_credentials *out) {
  unsigned char raw[ORAS_MAX_SECRET];
  size_t len = strlen(text);

  if (len == 0 || len % 4 || len / 4 * 3 >= sizeof(raw))
    return -1;
  int n = base64_read(text, len, raw, sizeof(raw) - 1);
  if (n < 0)
    return -1;
  raw[n] = '\0';
  char *colon = strchr((char *)raw, ':');
  if (!colon)
    return -1;
  *colon = '\0';
  int rc = copy(out->username, sizeof(out->username), (char *)raw) == 0 &&
                   copy(out->password, sizeof(out->password), colon + 1) == 0
               ? 0
               : -1;
  OPENSSL_cleanse(raw, sizeof(raw));
  return rc;
}

/* "https://index.docker.io/v1/" and "registry.example.com/v2/" are their hosts. */
static int is_for(const char *key, const char *registry) {
  const char *host = strstr(key, "://");
  size_t n;

  host = host ? host + 3 : key;
  n = strcspn(host, "/");
  if (strncmp(host, "index.docker.io", n) == 0 && n == 15)
    return strcmp(registry, "docker.io") == 0;
  return strlen(registry) == n && strncmp(host, registry, n) == 0;
}

static int read_entry(struct json_object *entry, struct oras_credentials *out) {
  const char *auth = json_text_at(entry, "auth");

  if (copy(out->identity, sizeof(out->identity), json_text_at(entry, "identitytoken")) != 0 ||
      copy(out->token, sizeof(out->token), json_text_at(entry, "registrytoken")) != 0)
    return -1;
  if (*auth)
    return read_auth(auth, out);
  return copy(out->username, sizeof(out->username), json_text_at(entry, "username")) != 0 ||
                 copy(out->password, sizeof(out->password), json_text_at(entry, "password")) != 0
             ? -1
             : 0;
}

int oras_credentials_find(const char *config, size_t len, const char *registry, struct oras_credentials *out) {
  struct json_object *o = json_read(config, len), *auths = NULL;
  int rc = o ? 0 : -1;

  memset(out, 0, sizeof(*out));
  if (o && json_object_object_get_ex(o, "auths", &auths) && json_object_is_type(auths, json_type_object)) {
    json_object_object_foreach (auths, key, entry) {
      if (is_for(key, registry) && json_object_is_type(entry, json_type_object)) {
        rc = read_entry(entry, out);
        break;
      }
    }
  }
  (void)json_object_put(o);
  return rc;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

int oras_basic(const struct oras_credentials *c, char *out, size_t size) {
  char pair[ORAS_MAX_SECRET + 300];
  int n = snprintf(pair, sizeof(pair), "%s:%s", c->username, c->password);

  if (n < 0 || (size_t)n >= sizeof(pair) || (size_t)n * 4 / 3 + 16 > size)
    return -1;
  memcpy(out, "Basic ", 6);
  (void)base64_write(pair, (size_t)n, out + 6, size - 6);
  OPENSSL_cleanse(pair, sizeof(pair));
  return 0;
}

int oras_token_parse(const char *text, size_t len, char *out, size_t size, uint64_t *seconds) {
  struct json_object *o = json_read(text, len), *life = NULL;
  const char *token = o ? json_text_at(o, "token") : "";

  if (o && !*token)
    token = json_text_at(o, "access_token");
  *seconds = 60;
  if (o && json_object_object_get_ex(o, "expires_in", &life) && json_object_is_type(life, json_type_int) &&
      json_object_get_int64(life) > 0)
    *seconds = (uint64_t)json_object_get_int64(life);
  /* It goes into a header line. */
  int rc = *token && !strpbrk(token, "\r\n") ? copy(out, size, token) : -1;
  (void)json_object_put(o);
  return rc;
}

void oras_errors_text(const char *text, size_t len, char *out, size_t size) {
  struct json_object *o = json_read(text, len), *errors = NULL;

  out[0] = '\0';
  if (o && json_object_object_get_ex(o, "errors", &errors) && json_object_is_type(errors, json_type_array) &&
      json_object_array_length(errors) > 0) {
    struct json_object *first = json_object_array_get_idx(errors, 0);
    (void)snprintf(out, size, "%.40s: %.100s", json_text_at(first, "code"), json_text_at(first, "message"));
  }
  (void)json_object_put(o);
}
