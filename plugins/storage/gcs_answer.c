#include "gcs_answer.h"

#include "../common/encode.h"
#include "../common/json.h"
#include "gcs_uri.h"

#include <ome-sdk/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHA256_KEY "ome-sha256" /* of an object's own metadata */

/* ---- objects ----------------------------------------------------------------------------------------------------- */

/* Decimal digits, as the API writes 64-bit numbers. */
static int is_number(const char *text) {
  size_t n = strlen(text);

  return n > 0 && n < 20 && strspn(text, "0123456789") == n;
}

static int is_sha256(const char *text) {
  return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static void read_digest(struct json_object *entry, struct gcs_object *o) {
  struct json_object *metadata = NULL;

  (void)json_object_object_get_ex(entry, "metadata", &metadata);
  const char *sha256 = json_text_at(metadata, SHA256_KEY);
  if (is_sha256(sha256)) {
    memcpy(o->digest, sha256, sizeof(o->digest));
    o->digest_type = OME_DIGEST_SHA256;
  } else if (base64_to_hex(json_text_at(entry, "md5Hash"), 16, o->digest, sizeof(o->digest)) == 0) {
    o->digest_type = OME_DIGEST_MD5;
  } else if (base64_to_hex(json_text_at(entry, "crc32c"), 4, o->digest, sizeof(o->digest)) == 0) {
    o->digest_type = OME_DIGEST_CRC32C;
  }
}

static int32_t read_object(struct json_object *entry, const char *what,
                           int32_t (*on_object)(void *arg, const struct gcs_object *o), void *arg,
                           struct ome_err *err) {
  struct gcs_object o = {.name = json_text_at(entry, "name"),
                         .generation = json_text_at(entry, "generation"),
                         .digest_type = OME_DIGEST_NONE};
  const char *size = json_text_at(entry, "size");

  if (!*o.name || strlen(o.name) >= GCS_NAME_TEXT || !is_number(size) || !is_number(o.generation))
    return ome_fail(err, OME_E_UNAVAILABLE, "gcs: %.200s: an object of its list has no name, size or generation", what);
  o.size = strtoull(size, NULL, 10);
  o.is_compressed = strcmp(json_text_at(entry, "contentEncoding"), "gzip") == 0;
  read_digest(entry, &o);
  return on_object(arg, &o);
}

int32_t gcs_page_read(const char *text, size_t len, const char *what,
                      int32_t (*on_object)(void *arg, const struct gcs_object *o), void *arg, char next[GCS_PAGE_TEXT],
                      struct ome_err *err) {
  struct json_object *page = json_read(text, len), *items = json_array_at(page, "items");
  int32_t rc = OME_OK;

  next[0] = '\0';
  /* A page without objects has no "items", but says what it is. */
  if (!items && strcmp(json_text_at(page, "kind"), "storage#objects") != 0)
    rc = ome_fail(err, OME_E_UNAVAILABLE,
                  "gcs: %.200s: its list of objects cannot be read; check that the endpoint is Cloud Storage", what);
  for (size_t i = 0; rc == OME_OK && items && i < json_object_array_length(items); i++)
    rc = read_object(json_object_array_get_idx(items, i), what, on_object, arg, err);
  const char *token = rc == OME_OK ? json_text_at(page, "nextPageToken") : "";
  if (strlen(token) < GCS_PAGE_TEXT)
    memcpy(next, token, strlen(token) + 1);
  else
    rc = ome_fail(err, OME_E_UNAVAILABLE, "gcs: %.200s: the token of the next page is too long", what);
  (void)json_object_put(page);
  return rc;
}

int32_t gcs_object_read(const char *text, size_t len, const char *what,
                        int32_t (*on_object)(void *arg, const struct gcs_object *o), void *arg, struct ome_err *err) {
  struct json_object *entry = json_read(text, len);
  int32_t rc = read_object(entry, what, on_object, arg, err);

  (void)json_object_put(entry);
  return rc;
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void one_line(char *text) {
  for (; *text; text++)
    if ((unsigned char)*text < ' ' || *text == 0x7f)
      *text = ' ';
}

void gcs_error_read(const char *text, size_t len, char *why, size_t size, char reason[64]) {
  struct json_object *answer = json_read(text, len), *error = NULL;

  (void)json_object_object_get_ex(answer, "error", &error);
  struct json_object *errors = json_array_at(error, "errors");
  struct json_object *first = errors ? json_object_array_get_idx(errors, 0) : NULL;
  const char *message = json_text_at(error, "message");
  (void)snprintf(reason, 64, "%s", json_text_at(first, "reason"));
  if (*message)
    (void)snprintf(why, size, "%s", message);
  else
    (void)snprintf(why, size, "%.*s", text && len < size && *text != '<' ? (int)len : 0, text ? text : "");
  one_line(reason);
  one_line(why);
  (void)json_object_put(answer);
}

static const struct {
  int status;
  const char *reason, *advice; /* "" any reason */
} advices[] = {
    {400, "required", "the bucket's owner lets callers pay; set user_project"},
    {400, "userProjectMissing", "the bucket's owner lets callers pay; set user_project"},
    {401, "", "the token is not valid there; check the credentials"},
    {403, "accountDisabled", "the project's billing is off; ask its owner"},
    {403, "accessNotConfigured", "switch the Cloud Storage API on in the project"},
    {403, "rateLimitExceeded", "the service limits the rate, try again later"},
    {403, "userRateLimitExceeded", "the service limits the rate, try again later"},
    {403, "", "these credentials may not do that; they need storage.objects.list and storage.objects.get"},
    {404, "", "there is no such thing; check the names of bucket and object"},
    {412, "", "it was changed meanwhile"},
};

const char *gcs_advice(int status, const char *reason, int anonymous) {
  if (anonymous && (status == 401 || status == 403))
    return "no credentials were found and the bucket is not public; give them (Secret, "
           "GOOGLE_APPLICATION_CREDENTIALS, metadata server)";
  for (size_t i = 0; i < sizeof(advices) / sizeof(*advices); i++)
    if (advices[i].status == status && (!*advices[i].reason || strcmp(advices[i].reason, reason) == 0))
      return advices[i].advice;
  return NULL;
}

/* ---- uploads ----------------------------------------------------------------------------------------------------- */

uint64_t gcs_kept_of(const char *range) {
  static const char start[] = "bytes=0-";

  if (!range || strncmp(range, start, sizeof(start) - 1) != 0 || !is_number(range + sizeof(start) - 1))
    return 0;
  return strtoull(range + sizeof(start) - 1, NULL, 10) + 1;
}

char *gcs_insert_body(const char *name, const char *md5, const char *sha256) {
  struct json_object *o = json_object_new_object(), *metadata = json_object_new_object();
  char *out = NULL;

  (void)json_object_object_add(o, "name", json_object_new_string(name));
  (void)json_object_object_add(o, "contentType", json_object_new_string("application/octet-stream"));
  if (md5)
    (void)json_object_object_add(o, "md5Hash", json_object_new_string(md5));
  if (sha256)
    (void)json_object_object_add(metadata, SHA256_KEY, json_object_new_string(sha256));
  (void)json_object_object_add(o, "metadata", metadata);
  const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
  if (text)
    out = strdup(text);
  (void)json_object_put(o);
  return out;
}
