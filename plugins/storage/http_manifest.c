#include "http_manifest.h"

#include "../common/http.h"
#include "../common/json.h"
#include "../common/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int http_sha256_parse(const char *text, size_t len, char out[65]) {
  if (len != 64)
    return -1;
  for (size_t i = 0; i < 64; i++) {
    if (!isxdigit((unsigned char)text[i]))
      return -1;
    out[i] = (char)tolower((unsigned char)text[i]);
  }
  out[64] = '\0';
  return 0;
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

/* "" or "#sha256=HEX" */
static int parse_fragment(const char *fragment, char out[65]) {
  static const char mark[] = "#sha256=";

  if (!*fragment)
    return 0;
  if (strncmp(fragment, mark, sizeof(mark) - 1) != 0)
    return -1;
  fragment += sizeof(mark) - 1;
  return http_sha256_parse(fragment, strlen(fragment), out);
}

static size_t scheme_len(const char *uri) {
  return strncmp(uri, "https://", 8) == 0 ? 8 : strncmp(uri, "http://", 7) == 0 ? 7 : 0;
}

int http_uri_parse(const char *uri, struct http_uri *out) {
  size_t scheme = uri ? scheme_len(uri) : 0;

  *out = (struct http_uri){.sha256 = ""};
  if (!scheme)
    return -1;
  size_t host = strcspn(uri + scheme, "/?#"), len = strcspn(uri, "#"), path_end = strcspn(uri, "?#");
  const char *slash = memrchr(uri + scheme, '/', path_end - scheme), *fragment = uri + len;
  size_t folder_len = slash ? (size_t)(slash - uri) + 1 : path_end;
  if (host == 0 || memchr(uri + scheme, '@', host) || text_copy(out->origin, sizeof(out->origin), uri, scheme + host) ||
      text_copy(out->url, sizeof(out->url), uri, len) ||
      text_copy(out->folder, sizeof(out->folder) - 1, uri, folder_len) ||
      text_copy(out->name, sizeof(out->name), uri + folder_len, path_end - folder_len))
    return -1;
  if (!slash)
    (void)strcat(out->folder, "/");
  if (parse_fragment(fragment, out->sha256) != 0)
    return -1;
  return uri_decode(out->name, 0) != 0 || strchr(out->name, '/') ? -1 : 0;
}

int http_is_manifest(const char *name) {
  static const char suffix[] = ".sha256sums";
  size_t len = strlen(name), n = sizeof(suffix) - 1;

  return strcmp(name, "SHA256SUMS") == 0 || strcmp(name, "index.json") == 0 ||
         (len > n && strcmp(name + len - n, suffix) == 0);
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

void http_manifest_fini(struct http_manifest *m) {
  for (size_t i = 0; i < m->n; i++)
    free(m->entries[i].path);
  free(m->entries);
  *m = (struct http_manifest){0};
}

static int32_t add(struct http_manifest *m, const char *path, size_t path_len, uint64_t size, const char *sha256,
                   size_t sha256_len) {
  struct http_entry e = {.size = size};

  if (path_len == 0 || m->n == HTTP_MAX_FILES || http_sha256_parse(sha256, sha256_len, e.sha256) != 0)
    return OME_E_INVALID;
  if (m->n == m->cap) {
    size_t cap = m->cap ? m->cap * 2 : 64;
    struct http_entry *grown = realloc(m->entries, cap * sizeof(*grown));
    if (!grown)
      return OME_E_NO_MEMORY;
    m->entries = grown;
    m->cap = cap;
  }
  e.path = strndup(path, path_len);
  if (!e.path)
    return OME_E_NO_MEMORY;
  m->entries[m->n++] = e;
  return OME_OK;
}

/* "HEX  PATH"; "./" before the path, as `find` gives it, is left out. */
static int32_t read_line(const char *line, size_t len, struct http_manifest *out) {
  if (len && line[len - 1] == '\r')
    len--;
  if (len == 0 || *line == '#')
    return OME_OK;
  if (len < 67 || line[64] != ' ' || (line[65] != ' ' && line[65] != '*'))
    return OME_E_INVALID;
  size_t skip = len > 68 && line[66] == '.' && line[67] == '/' ? 68 : 66;
  return add(out, line + skip, len - skip, OME_SIZE_UNKNOWN, line, 64);
}

static int32_t read_sums(const char *text, struct http_manifest *out) {
  int32_t rc = OME_OK;

  while (rc == OME_OK && *text) {
    size_t len = strcspn(text, "\n");
    rc = read_line(text, len, out);
    text += len + (text[len] == '\n');
  }
  return rc;
}

static int32_t read_index(struct json_object *root, struct http_manifest *out) {
  struct json_object *files = json_array_at(root, "files");
  int32_t rc = files ? OME_OK : OME_E_INVALID;

  for (size_t i = 0; rc == OME_OK && i < json_object_array_length(files); i++) {
    struct json_object *file = json_object_array_get_idx(files, i), *size = NULL;
    const char *path = json_text_at(file, "path"), *sha256 = json_text_at(file, "sha256");
    uint64_t bytes = OME_SIZE_UNKNOWN;
    if (json_object_is_type(file, json_type_object) && json_object_object_get_ex(file, "size", &size)) {
      if (!json_object_is_type(size, json_type_int) || json_object_get_int64(size) < 0)
        return OME_E_INVALID;
      bytes = (uint64_t)json_object_get_int64(size);
    }
    rc = add(out, path, strlen(path), bytes, sha256, strlen(sha256));
  }
  return rc;
}

int32_t http_manifest_read(const char *text, size_t len, struct http_manifest *out) {
  int is_json = text[strspn(text, " \t\r\n")] == '{';
  struct json_object *root = is_json ? json_read(text, len) : NULL;
  int32_t rc = is_json ? read_index(root, out) : read_sums(text, out);

  (void)json_object_put(root);
  return rc == OME_OK && out->n == 0 ? OME_E_INVALID : rc;
}
