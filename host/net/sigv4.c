#include "net/sigv4.h"

#include "base/buf.h"
#include "base/str.h"
#include "base/vec.h"

#include <string.h>

/* Compares names, then values: '=' must not take part, it is greater than '-' and '.'. */
static int by_name(const void *a, const void *b) {
  const char *x = *(char *const *)a, *y = *(char *const *)b;
  size_t nx = strcspn(x, "="), ny = strcspn(y, "=");
  int order = memcmp(x, y, nx < ny ? nx : ny);

  if (order == 0 && nx != ny)
    return nx < ny ? -1 : 1;
  return order ? order : strcmp(x + nx, y + ny);
}

char *sigv4_url(const char *url) {
  size_t path_len = strcspn(url, "?#");
  _cleanup_free_ char *query =
      url[path_len] == '?' ? str_copy(url + path_len + 1, strcspn(url + path_len + 1, "#")) : NULL;
  VEC(char *) pairs = {0};
  struct buf out = BUF_INIT;
  char *save = NULL;
  bool ok = true;

  if (url[path_len] != '?')
    return str_copy(url, path_len);
  for (char *p = query ? strtok_r(query, "&", &save) : NULL; ok && p; p = strtok_r(NULL, "&", &save))
    ok = VEC_PUSH(&pairs, p);
  if (pairs.len)
    qsort(pairs.items, pairs.len, sizeof(*pairs.items), by_name);
  buf_add(&out, url, path_len);
  for (size_t i = 0; i < pairs.len; i++) {
    buf_addc(&out, i ? '&' : '?');
    buf_adds(&out, pairs.items[i]);
    if (!strchr(pairs.items[i], '='))
      buf_addc(&out, '=');
  }
  VEC_FREE(&pairs);
  if (!ok || !query || !buf_ok(&out)) {
    buf_fini(&out);
    return NULL;
  }
  return out.data;
}

char *sigv4_content_header(const void *body, size_t len) {
  char hex[65];

  sha256_hex(body ? body : "", body ? len : 0, hex);
  return str_printf("x-amz-content-sha256: %s", hex);
}

int sigv4_is_service(const char *spec, const char *service) {
  const char *last = strrchr(spec, ':');

  return last && streq(last + 1, service);
}
