#include "s3_uri.h"

#include "../common/http.h"
#include "../common/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char version_mark[] = "?versionId=";

static int is_name(const char *name, const char *also) {
  if (!isalnum((unsigned char)*name))
    return 0;
  for (; *name; name++)
    if (!isalnum((unsigned char)*name) && !strchr(also, *name))
      return 0;
  return 1;
}

/* Control characters have no place in a key that becomes a file's name. */
static int is_key(const char *key) {
  for (; *key; key++)
    if ((unsigned char)*key < 0x20 || *key == 0x7f)
      return 0;
  return 1;
}

static int is_valid(const struct s3_uri *u, int has_region) {
  return strlen(u->bucket) >= 3 && is_name(u->bucket, ".-_") && is_key(u->key) && is_key(u->version) &&
         (!has_region || is_name(u->region, "-"));
}

int s3_uri_parse(const char *uri, struct s3_uri *out) {
  struct s3_uri u = {.is_folder = 0};

  if (!uri || strncmp(uri, "s3://", 5) != 0)
    return -1;
  const char *host = uri + 5;
  size_t host_len = strcspn(host, "/?"), bucket_len = strcspn(host, "@/?");
  int has_region = bucket_len < host_len;
  const char *region = host + bucket_len + has_region, *key = host + host_len + (host[host_len] == '/');
  const char *mark = strstr(key, version_mark), *version = mark ? mark + sizeof(version_mark) - 1 : "";
  size_t key_len = mark ? (size_t)(mark - key) : strlen(key);
  if (text_copy(u.bucket, sizeof(u.bucket), host, bucket_len) || text_copy(u.key, sizeof(u.key), key, key_len) ||
      text_copy(u.region, sizeof(u.region), region, host_len - bucket_len - (size_t)has_region) ||
      text_copy(u.version, sizeof(u.version), version, strlen(version)))
    return -1;
  for (; key_len && u.key[key_len - 1] == '/'; u.is_folder = 1)
    u.key[--key_len] = '\0';
  if (!is_valid(&u, has_region))
    return -1;
  *out = u;
  return 0;
}

int s3_style_parse(const char *word, enum s3_style *out) {
  static const char *const words[] = {
      [S3_STYLE_AUTO] = "auto", [S3_STYLE_PATH] = "path", [S3_STYLE_VIRTUAL] = "virtual"};

  for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
    if (strcmp(word, words[i]) == 0) {
      *out = (enum s3_style)i;
      return 0;
    }
  return -1;
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

static const char *amazon_domain(const char *region) {
  return strncmp(region, "cn-", 3) == 0 ? "amazonaws.com.cn" : "amazonaws.com";
}

/* Length of "https://" or "http://"; 0: another. */
static size_t scheme_len(const char *url) {
  return strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;
}

int s3_base_url(const char *endpoint, enum s3_style style, const char *bucket, const char *region, char *out,
                size_t size) {
  char amazon[160];
  int has_dots = strchr(bucket, '.') != NULL;

  if (style == S3_STYLE_AUTO)
    style = endpoint || has_dots ? S3_STYLE_PATH : S3_STYLE_VIRTUAL;
  if (!endpoint) {
    (void)snprintf(amazon, sizeof(amazon), "https://s3.%s.%s", region, amazon_domain(region));
    endpoint = amazon;
  }
  size_t scheme = scheme_len(endpoint), len = strlen(endpoint);
  while (len > scheme && endpoint[len - 1] == '/')
    len--;
  if (!scheme || len == scheme || strpbrk(endpoint, "?#@ "))
    return -1;
  int n = style == S3_STYLE_VIRTUAL ? snprintf(out, size, "%.*s%s.%.*s", (int)scheme, endpoint, bucket,
                                               (int)(len - scheme), endpoint + scheme)
                                    : snprintf(out, size, "%.*s/%s", (int)len, endpoint, bucket);
  return n > 0 && (size_t)n < size ? 0 : -1;
}

int s3_region_of(const char *url, char *out, size_t size) {
  size_t scheme = scheme_len(url), host_len = strcspn(url + scheme, "/?");
  const char *host = url + scheme, *end = host + host_len;

  for (const char *p = host; p + 3 < end; p++) {
    if ((p != host && p[-1] != '.') || strncmp(p, "s3.", 3) != 0)
      continue;
    const char *region = p + 3;
    size_t len = strcspn(region, "./");
    if (strncmp(region + len, ".amazonaws.com", 14) == 0 && text_copy(out, size, region, len) == 0)
      return 0;
  }
  return -1;
}

int s3_object_url(const char *base, const char *key, const char *version, unsigned part, char *out, size_t size) {
  char version_text[3 * sizeof(((struct s3_uri *)0)->version)], part_text[32] = "";
  int n = snprintf(out, size, "%s/", base);

  if (n <= 0 || (size_t)n >= size || uri_encode(key, 1, out + n, size - (size_t)n) != 0 ||
      uri_encode(version, 0, version_text, sizeof(version_text)) != 0)
    return -1;
  if (part)
    (void)snprintf(part_text, sizeof(part_text), "?partNumber=%u", part);
  size_t len = strlen(out);
  n = snprintf(out + len, size - len, "%s%s%s", part_text, *version ? (part ? "&versionId=" : version_mark) : "",
               version_text);
  return n >= 0 && (size_t)n < size - len ? 0 : -1;
}
