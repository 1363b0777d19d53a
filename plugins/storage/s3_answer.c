#include "s3_answer.h"

#include "../common/encode.h"
#include "../common/http.h"
#include "../common/xml.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DIGEST_BYTES 64

/* ---- ListObjectsV2 ----------------------------------------------------------------------------------------------- */

static void object_fini(struct s3_object *o) {
  free(o->key);
  free(o->etag);
  *o = (struct s3_object){0};
}

void s3_listing_fini(struct s3_listing *l) {
  for (size_t i = 0; i < l->n; i++)
    object_fini(&l->objects[i]);
  free(l->objects);
  free(l->next);
  *l = (struct s3_listing){0};
}

/* One page while it is read. */
struct page {
  struct s3_listing *listing;
  size_t first; /* of its objects */
  size_t max;
  struct s3_object now;
  int is_listing, is_encoded, is_truncated;
};

/* OLD becomes a copy of TEXT. */
static int32_t set_text(char **old, const char *text) {
  free(*old);
  *old = strdup(text);
  return *old ? OME_OK : OME_E_NO_MEMORY;
}

static int32_t set_size(uint64_t *out, const char *text) {
  char *end = NULL;

  if (!isdigit((unsigned char)*text) || strlen(text) > 18)
    return OME_E_INVALID;
  *out = strtoull(text, &end, 10);
  return *end ? OME_E_INVALID : OME_OK;
}

static int32_t keep_object(struct page *p) {
  struct s3_listing *l = p->listing;

  if (!p->now.key || !*p->now.key || l->n == p->max)
    return OME_E_INVALID;
  if (l->n == l->cap) {
    size_t cap = l->cap ? l->cap * 2 : 64;
    struct s3_object *grown = realloc(l->objects, cap * sizeof(*grown));
    if (!grown)
      return OME_E_NO_MEMORY;
    l->objects = grown;
    l->cap = cap;
  }
  l->objects[l->n++] = p->now;
  p->now = (struct s3_object){0};
  return OME_OK;
}

static int32_t on_element(void *arg, const char *path, const char *text) {
  static const char root[] = "ListBucketResult", object[] = "ListBucketResult/Contents/";
  struct page *p = arg;

  if (strncmp(path, root, sizeof(root) - 1) != 0)
    return OME_E_INVALID;
  if (strncmp(path, object, sizeof(object) - 1) == 0) {
    const char *name = path + sizeof(object) - 1;
    if (strcmp(name, "Key") == 0)
      return set_text(&p->now.key, text);
    if (strcmp(name, "ETag") == 0)
      return set_text(&p->now.etag, text);
    if (strcmp(name, "Size") == 0)
      return set_size(&p->now.size, text);
    if (strcmp(name, "StorageClass") == 0)
      p->now.is_archived = strcmp(text, "GLACIER") == 0 || strcmp(text, "DEEP_ARCHIVE") == 0;
    return OME_OK;
  }
  if (strcmp(path, "ListBucketResult/Contents") == 0)
    return keep_object(p);
  if (strcmp(path, "ListBucketResult/EncodingType") == 0)
    p->is_encoded = strcmp(text, "url") == 0;
  else if (strcmp(path, "ListBucketResult/IsTruncated") == 0)
    p->is_truncated = strcmp(text, "true") == 0;
  else if (strcmp(path, "ListBucketResult/NextContinuationToken") == 0)
    return set_text(&p->listing->next, text);
  else if (strcmp(path, root) == 0)
    p->is_listing = 1;
  return OME_OK;
}

int32_t s3_listing_add(struct s3_listing *l, const char *xml, size_t len, size_t max) {
  struct page p = {.listing = l, .first = l->n, .max = max};

  free(l->next);
  l->next = NULL;
  int32_t rc = xml_read(xml, len, on_element, &p);
  object_fini(&p.now);
  for (size_t i = p.first; rc == OME_OK && p.is_encoded && i < l->n; i++)
    if (uri_decode(l->objects[i].key, 1) != 0)
      rc = OME_E_INVALID;
  /* A page that goes on without saying where would pass for the whole. */
  if (rc == OME_OK && (!p.is_listing || (p.is_truncated && (!l->next || !*l->next))))
    rc = OME_E_INVALID;
  if (!p.is_truncated) {
    free(l->next);
    l->next = NULL;
  }
  return rc;
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static const struct {
  const char *code, *advice;
} advices[] = {
    {"NoSuchBucket", "there is no such bucket; check its name and the endpoint"},
    {"NoSuchKey", "there is no such object; check the key"},
    {"NoSuchVersion", "the object has no such version; check versionId"},
    {"InvalidAccessKeyId", "the access key is not known there; check aws_access_key_id and the endpoint"},
    {"SignatureDoesNotMatch", "the secret key does not belong to the access key; check aws_secret_access_key"},
    {"RequestTimeTooSkewed", "the clock of this machine is wrong; set it (NTP)"},
    {"ExpiredToken", "the session has ended; get new credentials"},
    {"InvalidToken", "the session token is not valid there; check aws_session_token"},
    {"TokenRefreshRequired", "the session has ended; get new credentials"},
    {"PermanentRedirect", "the bucket is in another region; set region"},
    {"AuthorizationHeaderMalformed", "the bucket is in another region; set region"},
    {"IllegalLocationConstraintException", "the bucket is in another region; set region"},
    {"InvalidObjectState", "the object is archived; restore it first"},
    {"SlowDown", "the service limits the rate, try again later"},
    {"AccountProblem", "the account cannot be used; ask its owner"},
};

const char *s3_advice(const char *code, int anonymous) {
  if (strcmp(code, "AccessDenied") == 0)
    return anonymous
               ? "no credentials were found and the bucket is not public; give them (Secret, environment, profile)"
               : "these credentials may not do that; the policy must allow s3:ListBucket and s3:GetObject";
  for (size_t i = 0; i < sizeof(advices) / sizeof(*advices); i++)
    if (strcmp(code, advices[i].code) == 0)
      return advices[i].advice;
  return NULL;
}

/* ---- digests ----------------------------------------------------------------------------------------------------- */

static const char *header(const struct ome_kv *headers, uint64_t n, const char *name) {
  const char *value = kv_text(headers, n, name);

  return value ? value : "";
}

/* The base64 of WANTED bytes at the beginning of TEXT, as hex; what follows it, NULL: it is none. */
static const char *from_base64(const char *text, size_t wanted, char *hex) {
  unsigned char bytes[MAX_DIGEST_BYTES];
  size_t len = BASE64_TEXT(wanted) - 1;

  if (strlen(text) < len || memchr(text, '-', len) || base64_read(text, len, bytes, sizeof(bytes)) != (int)wanted)
    return NULL;
  hex_write(bytes, wanted, hex);
  return text + len;
}

/* The same of hexadecimal digits. */
static const char *from_hex(const char *text, size_t wanted, char *hex) {
  size_t i = 0;

  for (; i < 2 * wanted && isxdigit((unsigned char)text[i]); i++)
    hex[i] = (char)tolower((unsigned char)text[i]);
  hex[i] = '\0';
  return i == 2 * wanted && !isxdigit((unsigned char)text[i]) ? text + i : NULL;
}

/* "HEX" of an ETag, or "HEX-N". */
static const char *from_etag(const char *text, size_t wanted, char *hex) {
  return *text == '"' ? from_hex(text + 1, wanted, hex) : NULL;
}

/* "atime:.../md5:HEX/mode:..." */
static const char *from_s3cmd(const char *text, size_t wanted, char *hex) {
  const char *md5 = strstr(text, "md5:");

  return md5 && from_hex(md5 + 4, wanted, hex) ? "" : NULL;
}

/* What follows a digest says of how many parts it is: nothing, or "-N"; -1: anything else. */
static long parts_of(const char *rest) {
  char *end = NULL;
  long n = 0;

  if (*rest == '-' && isdigit((unsigned char)rest[1])) {
    n = strtol(rest + 1, &end, 10);
    rest = n > 0 ? end : "?";
  }
  rest += *rest == '"';
  return *rest == '\0' && n <= 10000 ? n : -1;
}

/* Keeps a digest of the whole before one of parts, and an earlier one before a later one. */
static void offer(struct s3_digest *out, uint32_t type, const char *hex, long parts) {
  if (parts < 0 || (out->type != OME_DIGEST_NONE && (!(out->type & OME_DIGEST_OF_PARTS) || parts > 0)))
    return;
  out->type = type | (parts ? OME_DIGEST_OF_PARTS : 0);
  out->parts = (uint32_t)parts;
  (void)snprintf(out->hex, sizeof(out->hex), "%s", hex);
}

/* Best first.  Checksums of the service; ours; rclone's and s3cmd's MD5 of uploads in parts. */
static const struct {
  const char *header;
  size_t bytes;
  uint32_t type;
  const char *(*read)(const char *text, size_t wanted, char *hex);
} sources[] = {
    {"x-amz-checksum-sha256", 32, OME_DIGEST_SHA256, from_base64},
    {"x-amz-meta-ome-sha256", 32, OME_DIGEST_SHA256, from_hex},
    {"x-amz-checksum-sha1", 20, OME_DIGEST_SHA1, from_base64},
    {"etag", 16, OME_DIGEST_MD5, from_etag},
    {"x-amz-meta-md5chksum", 16, OME_DIGEST_MD5, from_base64},
    {"x-amz-meta-s3cmd-attrs", 16, OME_DIGEST_MD5, from_s3cmd},
    {"x-amz-checksum-crc32c", 4, OME_DIGEST_CRC32C, from_base64},
    {"x-amz-checksum-crc32", 4, OME_DIGEST_CRC32, from_base64},
};

void s3_digest_of(const struct ome_kv *headers, uint64_t n, struct s3_digest *out) {
  int plain = strncmp(header(headers, n, "x-amz-server-side-encryption"), "aws:kms", 7) != 0 &&
              !*header(headers, n, "x-amz-server-side-encryption-customer-algorithm");

  *out = (struct s3_digest){.type = OME_DIGEST_NONE, .etag_is_md5 = plain};
  for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++) {
    char hex[2 * MAX_DIGEST_BYTES + 1];
    const char *rest = sources[i].read(header(headers, n, sources[i].header), sources[i].bytes, hex);
    if (rest && (plain || sources[i].read != from_etag))
      offer(out, sources[i].type, hex, parts_of(rest));
  }
}

int s3_parts_fit(uint64_t size, uint64_t part_bytes, uint32_t parts) {
  return part_bytes > 0 && parts > 0 && size > 0 && (size - 1) / part_bytes + 1 == parts;
}
