#include "hf_uri.h"

#include "../common/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Organisation and name are letters, digits, "-", "_" and "."; neither is "." or "..". */
static int is_repo(const char *repo) {
  size_t part = 0, dots = 0;

  for (const char *p = repo;; p++) {
    if (*p == '/' || *p == '\0') {
      if (part == 0 || part == dots)
        return 0;
      part = dots = 0;
      if (*p == '\0')
        return 1;
      continue;
    }
    if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
      return 0;
    part++;
    dots += *p == '.';
  }
}

int hf_uri_parse(const char *uri, struct hf_uri *out) {
  if (!uri || strncmp(uri, "hf://", 5) != 0)
    return -1;
  const char *id = uri + 5;
  size_t len = strcspn(id, "@");
  const char *at = id[len] == '@' ? id + len + 1 : "";
  const char *slash = memchr(id, '/', len);
  const char *second = slash ? memchr(slash + 1, '/', len - (size_t)(slash + 1 - id)) : NULL;
  size_t repo_len = second ? (size_t)(second - id) : len;

  if (text_copy(out->repo, sizeof(out->repo), id, repo_len) || !is_repo(out->repo))
    return -1;
  const char *path = second ? second + 1 : "";
  size_t path_len = second ? len - repo_len - 1 : 0;
  while (path_len && path[path_len - 1] == '/')
    path_len--;
  if (text_copy(out->path, sizeof(out->path), path, path_len))
    return -1;
  return text_copy(out->revision, sizeof(out->revision), *at ? at : "main", strlen(*at ? at : "main"));
}

int hf_is_below(const char *path, const char *root) {
  size_t n = strlen(root);

  return n == 0 || (strncmp(path, root, n) == 0 && (path[n] == '\0' || path[n] == '/'));
}
