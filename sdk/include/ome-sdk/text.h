/* ome-sdk/text.h - build strings in a buffer of fixed size, errors found at the end.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 *   char url[1024];
 *   struct ome_text t = OME_TEXT(url);
 *   ome_text_add(&t, self->endpoint);
 *   ome_text_add(&t, "/");
 *   ome_text_add_url(&t, path);
 *   if (t.full) return ome_fail(err, OME_E_INVALID, "the URL is too long");
 */
#ifndef OME_SDK_TEXT_H
#define OME_SDK_TEXT_H

#include <stddef.h>
#include <string.h>

struct ome_text {
  char *at;
  size_t len, size;
  int full; /* something did not fit; what did is NUL-terminated */
};

#define OME_TEXT(array)                                                                                                \
  { (array), 0, sizeof(array), ((array)[0] = '\0') }

static inline void ome_text_add_n(struct ome_text *t, const char *s, size_t n) {
  if (t->full || n >= t->size - t->len) {
    t->full = 1;
    return;
  }
  memcpy(t->at + t->len, s, n);
  t->len += n;
  t->at[t->len] = '\0';
}

static inline void ome_text_add(struct ome_text *t, const char *s) {
  ome_text_add_n(t, s, strlen(s));
}

/* Percent-encoded as RFC 3986 asks of a path: unreserved characters and '/' stay. */
static inline void ome_text_add_url(struct ome_text *t, const char *s) {
  static const char hex[] = "0123456789ABCDEF";

  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    char code[3];
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~/", c)) {
      ome_text_add_n(t, s, 1);
      continue;
    }
    code[0] = '%';
    code[1] = hex[c >> 4];
    code[2] = hex[c & 15];
    ome_text_add_n(t, code, 3);
  }
}

/* Whether S starts with "SCHEME://"; the rest, else NULL. */
static inline const char *ome_uri_rest(const char *s, const char *scheme) {
  size_t n = strlen(scheme);

  return strncmp(s, scheme, n) == 0 && strncmp(s + n, "://", 3) == 0 ? s + n + 3 : NULL;
}

#endif
