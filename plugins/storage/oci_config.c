#include "oci_config.h"

#include "../common/encode.h"
#include "../common/json.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* ---- the configuration file -------------------------------------------------------------------------------------- */

static const struct {
  const char *name;
  size_t offset, size;
} fields[] = {
#define FIELD(name)                                                                                                    \
  { #name, offsetof(struct oci_profile, name), sizeof(((struct oci_profile *)0)->name) }
    FIELD(user),     FIELD(tenancy),     FIELD(fingerprint),         FIELD(region),
    FIELD(key_file), FIELD(pass_phrase), FIELD(security_token_file),
#undef FIELD
};

struct line {
  const char *at;
  size_t len;
};

static struct line trimmed(const char *at, size_t len) {
  while (len && (*at == ' ' || *at == '\t')) {
    at++;
    len--;
  }
  while (len && strchr(" \t\r", at[len - 1]))
    len--;
  return (struct line){at, len};
}

static int is_text(struct line l, const char *text) {
  return l.len == strlen(text) && memcmp(l.at, text, l.len) == 0;
}

/* -1: a known key whose value does not fit. */
static int set_field(struct oci_profile *p, struct line key, struct line value) {
  for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
    if (!is_text(key, fields[i].name))
      continue;
    if (value.len >= fields[i].size || memchr(value.at, '\0', value.len))
      return -1;
    char *to = (char *)p + fields[i].offset;
    memcpy(to, value.at, value.len);
    to[value.len] = '\0';
  }
  return 0;
}

/* The keys of section NAME into OUT; *FOUND: whether it is there. */
static int read_section(const char *text, size_t len, const char *name, struct oci_profile *out, int *found) {
  int inside = 0;

  for (size_t at = 0; at < len;) {
    const char *end = memchr(text + at, '\n', len - at);
    size_t n = end ? (size_t)(end - text) - at : len - at;
    struct line l = trimmed(text + at, n);
    at += n + 1;
    if (l.len == 0 || *l.at == '#' || *l.at == ';')
      continue;
    if (*l.at == '[') {
      if (l.at[l.len - 1] != ']')
        return -2;
      inside = is_text(trimmed(l.at + 1, l.len - 2), name);
      *found |= inside;
      continue;
    }
    const char *equals = memchr(l.at, '=', l.len);
    if (!equals)
      return -2;
    struct line key = trimmed(l.at, (size_t)(equals - l.at));
    if (inside && set_field(out, key, trimmed(equals + 1, l.len - (size_t)(equals - l.at) - 1)) != 0)
      return -2;
  }
  return 0;
}

int oci_config_read(const char *text, size_t len, const char *profile, struct oci_profile *out) {
  int found = 0, ignored = 0;

  memset(out, 0, sizeof(*out));
  int rc = read_section(text, len, "DEFAULT", out, &ignored);
  if (rc == 0)
    rc = read_section(text, len, profile, out, &found);
  return rc != 0 ? rc : found ? 0 : -1;
}

/* ---- tokens ------------------------------------------------------------------------------------------- */

int oci_token_expiry(const char *token, int64_t *exp) {
  const char *begin = strchr(token, '.');
  const char *end = begin ? strchr(begin + 1, '.') : NULL;
  size_t len = end ? (size_t)(end - begin) - 1 : 0;
  unsigned char *claims = len && len < (1u << 20) ? malloc(len) : NULL;
  int n = claims ? base64_read(begin + 1, len, claims, len) : -1;
  struct json_object *o = n > 0 ? json_read((const char *)claims, (size_t)n) : NULL, *v = NULL;
  int rc = -1;

  if (json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, "exp", &v) &&
      json_object_is_type(v, json_type_int)) {
    *exp = json_object_get_int64(v);
    rc = 0;
  }
  (void)json_object_put(o);
  free(claims);
  return rc;
}
