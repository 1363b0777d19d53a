#include "oras_uri.h"

#include <string.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static int copy(char *out, size_t size, const char *from, size_t len) {
  if (len == 0 || len >= size)
    return -1;
  memcpy(out, from, len);
  out[len] = '\0';
  return 0;
}

int oras_is_digest(const char *text) {
  return strncmp(text, "sha256:", 7) == 0 && strspn(text + 7, DIGITS "abcdef") == 64 && text[71] == '\0';
}

static int is_tag(const char *text) {
  size_t n = strlen(text);

  return n > 0 && n <= 128 && text[0] != '.' && text[0] != '-' && strspn(text, LOWER UPPER DIGITS "._-") == n;
}

/* host, host:port, [v6], [v6]:port */
static int is_registry(const char *text) {
  const char *p = text;

  if (*p == '[') {
    p += 1 + strspn(p + 1, DIGITS "abcdefABCDEF:.");
    if (*p++ != ']')
      return 0;
  } else {
    p += strspn(p, LOWER UPPER DIGITS ".-");
  }
  if (p == text)
    return 0;
  if (*p == ':') {
    size_t n = strspn(p + 1, DIGITS);
    return n > 0 && n <= 5 && p[1 + n] == '\0';
  }
  return *p == '\0';
}

/* Parts of lower-case letters and digits, joined by '.', '_' and '-', apart by '/'. */
static int is_repository(const char *text) {
  for (const char *p = text;; p++) {
    size_t n = strspn(p, LOWER DIGITS "._-");
    if (n == 0 || strchr("._-", p[0]) || strchr("._-", p[n - 1]))
      return 0;
    p += n;
    if (*p != '/')
      return *p == '\0';
  }
}

static int set_reference(struct oras_uri *out, const char *text) {
  out->is_digest = oras_is_digest(text);
  if (!out->is_digest && !is_tag(text))
    return -1;
  return copy(out->reference, sizeof(out->reference), text, strlen(text));
}

/* NAME[:TAG] of LEN characters; *TAGGED: whether out->reference is set. */
static int set_name(struct oras_uri *out, const char *name, size_t len, int *tagged) {
  const char *colon = memchr(name, ':', len);
  size_t n = colon ? (size_t)(colon - name) : len;

  *tagged = colon != NULL;
  if (copy(out->repository, sizeof(out->repository), name, n) != 0 || !is_repository(out->repository))
    return -1;
  if (!colon)
    return 0;
  return copy(out->reference, sizeof(out->reference), colon + 1, len - n - 1) == 0 && is_tag(out->reference) ? 0 : -1;
}

int oras_uri_parse(const char *uri, const char *revision, struct oras_uri *out) {
  const char *slash = uri && strncmp(uri, "oras://", 7) == 0 ? strchr(uri + 7, '/') : NULL;
  int tagged;

  memset(out, 0, sizeof(*out));
  if (!slash || copy(out->registry, sizeof(out->registry), uri + 7, (size_t)(slash - uri - 7)) != 0 ||
      !is_registry(out->registry))
    return -1;
  const char *name = slash + 1, *at = strchr(name, '@');
  if (set_name(out, name, at ? (size_t)(at - name) : strlen(name), &tagged) != 0 || (at && !oras_is_digest(at + 1)))
    return -1;
  if (revision && *revision)
    return set_reference(out, revision);
  if (at)
    return set_reference(out, at + 1);
  return tagged ? 0 : set_reference(out, "latest");
}
