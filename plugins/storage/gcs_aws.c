#include "gcs_aws.h"

#include "../common/encode.h"
#include "../common/http.h"
#include "../common/json.h"
#include "../common/secret.h"
#include "../common/sha256.h"

#include <ome-sdk/text.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_URL 1200
#define MAX_PAIRS 8
#define MAX_CANONICAL 16384 /* a session token is the longest of it */
#define HASH_BYTES 32

/* ---- the address ------------------------------------------------------------------------------------------------- */

struct place {
  char url[MAX_URL], host[256], query[512]; /* the query in the canonical order */
};

static int put_region(const char *template, const char *region, char *out, size_t size) {
  static const char mark[] = "{region}";
  const char *at = strstr(template, mark);
  int n = at ? snprintf(out, size, "%.*s%s%s", (int)(at - template), template, region, at + sizeof(mark) - 1)
             : snprintf(out, size, "%s", template);

  return n > 0 && (size_t)n < size && !strchr(out, '{') ? 0 : -1;
}

static int by_bytes(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static int sort_query(const char *query, char *out, size_t size) {
  char copy[sizeof(((struct place *)0)->query)], *pairs[MAX_PAIRS], *rest = NULL;
  struct ome_text t = {.at = out, .size = size};
  size_t n = 0;

  out[0] = '\0';
  if (strlen(query) >= sizeof(copy))
    return -1;
  (void)strcpy(copy, query);
  for (char *p = strtok_r(copy, "&", &rest); p; p = strtok_r(NULL, "&", &rest)) {
    if (n == MAX_PAIRS)
      return -1;
    pairs[n++] = p;
  }
  qsort(pairs, n, sizeof(*pairs), by_bytes);
  for (size_t i = 0; i < n; i++) {
    ome_text_add(&t, i ? "&" : "");
    ome_text_add(&t, pairs[i]);
  }
  return t.full ? -1 : 0;
}

/* "https://sts...[/]?QUERY" and nothing else: what is signed for is said to whoever is there. */
static int read_place(const char *template, const char *region, struct place *out) {
  if (put_region(template, region, out->url, sizeof(out->url)) != 0 || strncmp(out->url, "https://sts", 11) != 0)
    return -1;
  const char *host = out->url + 8, *path = host + strcspn(host, "/?#");
  const char *query = path + (*path == '/');
  if ((size_t)(path - host) >= sizeof(out->host) || *query != '?')
    return -1;
  memcpy(out->host, host, (size_t)(path - host));
  out->host[path - host] = '\0';
  return strpbrk(out->host, "@: ") ? -1 : sort_query(query + 1, out->query, sizeof(out->query));
}

/* ---- the signature (AWS Signature Version 4) --------------------------------------------------------------------- */

static void keyed(const void *key, size_t len, const char *text, unsigned char out[HASH_BYTES]) {
  unsigned n = 0;

  (void)HMAC(EVP_sha256(), key, (int)len, (const unsigned char *)text, strlen(text), out, &n);
}

/* What is signed, of an empty body; -1: too long. */
static int canonical(const struct gcs_aws_identity *who, const struct place *p, const char *audience, const char *when,
                     char *out, size_t size) {
  static const char of_nothing[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  int with_token = *who->session_token != '\0';
  int n = snprintf(out, size,
                   "POST\n/\n%s\nhost:%s\nx-amz-date:%s\n%s%s%sx-goog-cloud-target-resource:%s\n\n"
                   "host;x-amz-date;%sx-goog-cloud-target-resource\n%s",
                   p->query, p->host, when, with_token ? "x-amz-security-token:" : "", who->session_token,
                   with_token ? "\n" : "", audience, with_token ? "x-amz-security-token;" : "", of_nothing);

  return n > 0 && (size_t)n < size ? 0 : -1;
}

/* The Authorization header; -1: too long. */
static int sign(const struct gcs_aws_identity *who, const char *request, const char *when, char *out, size_t size) {
  unsigned char key[HASH_BYTES], signature[HASH_BYTES];
  char scope[200], secret[300], text[400], digest[SHA256_TEXT], hex[2 * HASH_BYTES + 1];
  const char *const steps[] = {who->region, "sts", "aws4_request"};

  if (snprintf(scope, sizeof(scope), "%.8s/%s/sts/aws4_request", when, who->region) >= (int)sizeof(scope) ||
      snprintf(secret, sizeof(secret), "AWS4%s", who->secret_key) >= (int)sizeof(secret) ||
      sha256_of(request, strlen(request), digest) != 0)
    return -1;
  (void)snprintf(text, sizeof(text), "%.8s", when);
  keyed(secret, strlen(secret), text, key);
  for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
    unsigned char next[HASH_BYTES];
    keyed(key, sizeof(key), steps[i], next);
    memcpy(key, next, sizeof(key));
  }
  (void)snprintf(text, sizeof(text), "AWS4-HMAC-SHA256\n%s\n%s\n%s", when, scope, digest);
  keyed(key, sizeof(key), text, signature);
  hex_write(signature, sizeof(signature), hex);
  explicit_bzero(secret, sizeof(secret));
  explicit_bzero(key, sizeof(key));
  int n = snprintf(out, size,
                   "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=host;x-amz-date;%sx-goog-cloud-target-resource, "
                   "Signature=%s",
                   who->access_key, scope, *who->session_token ? "x-amz-security-token;" : "", hex);
  return n > 0 && (size_t)n < size ? 0 : -1;
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

static void add_header(struct json_object *headers, const char *key, const char *value) {
  struct json_object *o = json_object_new_object();

  (void)json_object_object_add(o, "key", json_object_new_string(key));
  (void)json_object_object_add(o, "value", json_object_new_string(value));
  (void)json_object_array_add(headers, o);
}

static char *encoded(struct json_object *o) {
  const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
  size_t size = text ? 3 * strlen(text) + 1 : 0;
  char *out = text ? malloc(size) : NULL;

  if (out)
    (void)uri_encode(text, 0, out, size);
  return out;
}

char *gcs_aws_subject(const struct gcs_aws_identity *who, const char *verify_url, const char *audience, int64_t now_s) {
  char when[32], authorization[1024], *request = malloc(MAX_CANONICAL), *out = NULL;
  time_t now = (time_t)now_s;
  struct place place;
  struct tm tm;

  (void)strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
  if (request && read_place(verify_url, who->region, &place) == 0 &&
      canonical(who, &place, audience, when, request, MAX_CANONICAL) == 0 &&
      sign(who, request, when, authorization, sizeof(authorization)) == 0) {
    struct json_object *o = json_object_new_object(), *headers = json_object_new_array();
    (void)json_object_object_add(o, "url", json_object_new_string(place.url));
    (void)json_object_object_add(o, "method", json_object_new_string("POST"));
    (void)json_object_object_add(o, "headers", headers);
    add_header(headers, "Authorization", authorization);
    add_header(headers, "host", place.host);
    add_header(headers, "x-amz-date", when);
    if (*who->session_token)
      add_header(headers, "x-amz-security-token", who->session_token);
    add_header(headers, "x-goog-cloud-target-resource", audience);
    out = encoded(o);
    (void)json_object_put(o);
  }
  secret_forget(request, request ? MAX_CANONICAL : 0);
  return out;
}
