#include "gcs_uri.h"

#include "../common/http.h"
#include "../common/text.h"

#include <stdio.h>
#include <string.h>

static int is_bucket(const char *name) {
  size_t n = strlen(name);

  return n >= 3 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == n && !strchr("-_.", name[0]) &&
         !strchr("-_.", name[n - 1]);
}

/* Where "#DIGITS" begins at the end of NAME, its end where there is none: names may have a '#' of their own. */
static size_t generation_at(const char *name) {
  const char *mark = strrchr(name, '#');

  return mark && mark[1] && strspn(mark + 1, "0123456789") == strlen(mark + 1) ? (size_t)(mark - name) : strlen(name);
}

int gcs_uri_parse(const char *uri, struct gcs_uri *out) {
  struct gcs_uri u = {.is_folder = 0};

  if (!uri || strncmp(uri, "gs://", 5) != 0)
    return -1;
  size_t bucket = strcspn(uri + 5, "/");
  const char *name = uri + 5 + bucket + (uri[5 + bucket] == '/');
  size_t len = generation_at(name);
  const char *generation = name + len + (name[len] == '#');
  if (text_copy(u.bucket, sizeof(u.bucket), uri + 5, bucket) != 0 ||
      text_copy(u.name, sizeof(u.name), name, len) != 0 ||
      text_copy(u.generation, sizeof(u.generation), generation, strlen(generation)) != 0)
    return -1;
  for (; len && u.name[len - 1] == '/'; u.is_folder = 1)
    u.name[--len] = '\0';
  if (!is_bucket(u.bucket) || text_has_control(u.name))
    return -1;
  *out = u;
  return 0;
}

int gcs_endpoint_parse(const char *text, char *out, size_t size) {
  static const char *const paths[] = {"/storage/v1", "/storage/v1/b"};
  const char *scheme = strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0 ? "" : "http://";
  int n = snprintf(out, size, "%s%s", scheme, text);

  if (n < 0 || (size_t)n >= size || strpbrk(text, "?#@ \\\"") || text_has_control(text))
    return -1;
  char *host = strstr(out, "://") + 3, *path = host + strcspn(host, "/");
  if (path == host || *host == ':')
    return -1;
  for (size_t len = strlen(path); len && path[len - 1] == '/';)
    path[--len] = '\0';
  for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
    if (strcmp(path, paths[i]) == 0)
      *path = '\0';
  return *path ? -1 : 0;
}

int gcs_object_url(const char *endpoint, int upload, const char *bucket, const char *name, const char *query, char *out,
                   size_t size) {
  int n = snprintf(out, size, "%s%s/storage/v1/b/%s/o%s", endpoint, upload ? "/upload" : "", bucket, *name ? "/" : "");

  if (n < 0 || (size_t)n >= size || uri_encode(name, 0, out + n, size - (size_t)n) != 0)
    return -1;
  size_t len = strlen(out);
  n = snprintf(out + len, size - len, "%s", query);
  return n >= 0 && (size_t)n < size - len ? 0 : -1;
}
