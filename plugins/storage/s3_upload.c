#include "s3_upload.h"

#include "../common/upload.h"
#include "../common/xml.h"
#include "s3_answer.h"

#include <ome-sdk/error.h>

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)
#define ONE_REQUEST (64 * MIB) /* files up to this size are not cut */
#define PART (16 * MIB)
#define MAX_PARTS 10000u
#define MAX_ETAG 128
#define BATCH 16u /* parts handed to the host at a time */

uint64_t s3_part_bytes(uint64_t size) {
  uint64_t least = (size + MAX_PARTS - 1) / MAX_PARTS;

  return least <= PART ? PART : (least + MIB - 1) / MIB * MIB;
}

struct upload {
  struct s3_session *s;
  const struct ome_upload_file *file;
  struct ome_uploader *to;
  struct ome_err *err;
  char url[S3_MAX_URL]; /* of the object */
  char key[2048];
  char id[1024];          /* of the upload in parts */
  char id_text[3 * 1024]; /* the same in a query */
  uint64_t part_bytes;
  uint32_t nparts;
  char (*etags)[MAX_ETAG]; /* by part */
  uint32_t batch;          /* first part of the batch under way */
};

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static int32_t check(const struct upload *u, const struct ome_upload_answer *a) {
  const struct http_answer answer = upload_answer(a);

  return a->status / 100 == 2 ? OME_OK : s3_refused(u->s, &answer, u->key, u->err);
}

typedef int32_t answer_fn(void *arg, uint32_t index, const struct ome_upload_answer *a);

static int32_t send_one(struct upload *u, struct ome_upload_request *request, answer_fn *answer) {
  const struct ome_list list = {.data = request, .count = 1, .stride = sizeof(*request)};

  request->struct_size = sizeof(*request);
  return u->to->send(u->to, &list, answer, u, u->err);
}

static int32_t on_checked(void *arg, uint32_t index, const struct ome_upload_answer *a) {
  (void)index;
  return check(arg, a);
}

/* What stays with the object: its own digest, and for rclone, which looks for it there. */
static uint64_t describe(const struct upload *u, char md5[32], struct ome_kv *out) {
  uint64_t n = 0;

  if (u->file->sha256 && *u->file->sha256)
    out[n++] = (struct ome_kv){"x-amz-meta-ome-sha256", u->file->sha256};
  if (base64_from_hex(u->file->md5, 16, md5, 32) == 0)
    out[n++] = (struct ome_kv){"x-amz-meta-md5chksum", md5};
  return n;
}

/* PutObject */
static int32_t put(struct upload *u) {
  char md5[32], sha256[64];
  struct ome_kv headers[S3_HEADERS + 4];
  int has_sha256 = base64_from_hex(u->file->sha256, 32, sha256, sizeof(sha256)) == 0;
  uint64_t n = s3_headers(u->s, has_sha256 ? u->file->sha256 : "UNSIGNED-PAYLOAD", headers);
  uint64_t meta = describe(u, md5, headers + n);

  n += meta;
  if (meta && strcmp(headers[n - 1].key, "x-amz-meta-md5chksum") == 0)
    headers[n++] = (struct ome_kv){"content-md5", md5};
  if (has_sha256)
    headers[n++] = (struct ome_kv){"x-amz-checksum-sha256", sha256};
  struct ome_upload_request request = {
      .method = "PUT", .url = u->url, .headers = headers, .nheaders = n, .len = u->file->size};
  return send_one(u, &request, on_checked);
}

/* ---- in parts ---------------------------------------------------------------------------------------------------- */

static int32_t on_created(void *arg, uint32_t index, const struct ome_upload_answer *a) {
  struct upload *u = arg;
  int32_t rc = check(u, a);

  (void)index;
  if (rc == OME_OK && (xml_text(a->body.ptr, (size_t)a->body.len, "InitiateMultipartUploadResult/UploadId", u->id,
                                sizeof(u->id)) != 0 ||
                       !*u->id || uri_encode(u->id, 0, u->id_text, sizeof(u->id_text)) != 0))
    rc = ome_fail(u->err, OME_E_UNAVAILABLE, "s3: s3://%s/%.300s: the service gave the upload no id", u->s->uri.bucket,
                  u->key);
  return rc;
}

/* CreateMultipartUpload */
static int32_t create(struct upload *u) {
  char url[S3_MAX_URL + 16], md5[32];
  struct ome_kv headers[S3_HEADERS + 2];
  uint64_t n = s3_headers(u->s, S3_SHA256_OF_NOTHING, headers);

  n += describe(u, md5, headers + n);
  (void)snprintf(url, sizeof(url), "%s?uploads=", u->url);
  struct ome_upload_request request = {
      .method = "POST", .url = url, .headers = headers, .nheaders = n, .body = {"", 0}};
  return send_one(u, &request, on_created);
}

static int32_t on_part(void *arg, uint32_t index, const struct ome_upload_answer *a) {
  struct upload *u = arg;
  const struct http_answer answer = upload_answer(a);
  const char *etag = http_answer_header(&answer, "etag");
  int32_t rc = check(u, a);

  if (rc != OME_OK)
    return rc;
  if (!etag || strlen(etag) >= MAX_ETAG || strpbrk(etag, "<>&"))
    return ome_fail(u->err, OME_E_UNAVAILABLE, "s3: s3://%s/%.300s: the service gave part %u no ETag", u->s->uri.bucket,
                    u->key, u->batch + index + 1);
  (void)snprintf(u->etags[u->batch + index], MAX_ETAG, "%s", etag);
  return OME_OK;
}

struct part {
  char url[S3_MAX_URL + 3 * 1024 + 64];
  char md5[32];
  struct ome_kv headers[S3_HEADERS + 1];
};

/* UploadPart, for a batch of N. */
static int32_t send_batch(struct upload *u, uint32_t n) {
  struct part *parts = calloc(n, sizeof(*parts));
  struct ome_upload_request requests[BATCH];
  const struct ome_list list = {.data = requests, .count = n, .stride = sizeof(*requests)};
  int32_t rc = parts ? OME_OK : ome_fail(u->err, OME_E_NO_MEMORY, "s3: out of memory");

  for (uint32_t i = 0; rc == OME_OK && i < n; i++) {
    uint64_t at = (u->batch + i) * u->part_bytes, left = u->file->size - at;
    struct part *p = &parts[i];
    uint64_t nheaders = s3_headers(u->s, "UNSIGNED-PAYLOAD", p->headers);
    p->headers[nheaders++] = (struct ome_kv){"content-md5", p->md5};
    (void)snprintf(p->url, sizeof(p->url), "%s?partNumber=%u&uploadId=%s", u->url, u->batch + i + 1, u->id_text);
    requests[i] = (struct ome_upload_request){.struct_size = sizeof(requests[i]),
                                              .method = "PUT",
                                              .url = p->url,
                                              .headers = p->headers,
                                              .nheaders = nheaders,
                                              .offset = at,
                                              .len = left < u->part_bytes ? left : u->part_bytes};
    rc = upload_md5(u->to, u->s->call, at, requests[i].len, p->md5, u->err);
  }
  if (rc == OME_OK)
    rc = u->to->send(u->to, &list, on_part, u, u->err);
  free(parts);
  return rc;
}

static int32_t on_completed(void *arg, uint32_t index, const struct ome_upload_answer *a) {
  struct upload *u = arg;
  char code[80], etag[MAX_ETAG];
  int32_t rc = check(u, a);

  (void)index;
  if (rc != OME_OK ||
      xml_text(a->body.ptr, (size_t)a->body.len, "CompleteMultipartUploadResult/ETag", etag, sizeof(etag)) == 0)
    return rc;
  /* The service answers 200 before it is done, and may find out later that it cannot be. */
  (void)xml_text(a->body.ptr, (size_t)a->body.len, "Error/Code", code, sizeof(code));
  return ome_fail(u->err, OME_E_UNAVAILABLE, "s3: s3://%s/%.300s: the parts were not joined (%s); try again",
                  u->s->uri.bucket, u->key, *code ? code : "no ETag in the answer");
}

/* CompleteMultipartUpload */
static int32_t complete(struct upload *u) {
  size_t size = 128 + (size_t)u->nparts * (MAX_ETAG + 80), len = 0;
  char url[S3_MAX_URL + 3 * 1024 + 16], sha256[65], *body = malloc(size);
  unsigned char digest[EVP_MAX_MD_SIZE];
  struct ome_kv headers[S3_HEADERS + 1];

  if (!body)
    return ome_fail(u->err, OME_E_NO_MEMORY, "s3: out of memory");
  len = (size_t)snprintf(body, size, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
  for (uint32_t i = 0; i < u->nparts; i++)
    len += (size_t)snprintf(body + len, size - len, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", i + 1,
                            u->etags[i]);
  len += (size_t)snprintf(body + len, size - len, "</CompleteMultipartUpload>");
  (void)EVP_Digest(body, len, digest, NULL, EVP_sha256(), NULL);
  for (size_t i = 0; i < 32; i++)
    (void)snprintf(sha256 + 2 * i, 3, "%02x", digest[i]);
  uint64_t n = s3_headers(u->s, sha256, headers);
  headers[n++] = (struct ome_kv){"content-type", "application/xml"};
  (void)snprintf(url, sizeof(url), "%s?uploadId=%s", u->url, u->id_text);
  struct ome_upload_request request = {
      .method = "POST", .url = url, .headers = headers, .nheaders = n, .body = {body, len}};
  int32_t rc = send_one(u, &request, on_completed);
  free(body);
  return rc;
}

static int32_t on_ignored(void *arg, uint32_t index, const struct ome_upload_answer *a) {
  (void)arg, (void)index, (void)a;
  return OME_OK;
}

/* AbortMultipartUpload: parts that nobody joins cost their owner until they are removed. */
static void give_up(struct upload *u) {
  char url[S3_MAX_URL + 3 * 1024 + 16];
  struct ome_kv headers[S3_HEADERS];
  const uint64_t n = s3_headers(u->s, S3_SHA256_OF_NOTHING, headers);
  struct ome_upload_request request = {
      .method = "DELETE", .url = url, .headers = headers, .nheaders = n, .body = {"", 0}};
  struct ome_err failed = *u->err; /* that is what the caller hears of */

  (void)snprintf(url, sizeof(url), "%s?uploadId=%s", u->url, u->id_text);
  (void)send_one(u, &request, on_ignored);
  *u->err = failed;
}

static int32_t put_parts(struct upload *u) {
  u->part_bytes = s3_part_bytes(u->file->size);
  u->nparts = (uint32_t)((u->file->size + u->part_bytes - 1) / u->part_bytes);
  u->etags = calloc(u->nparts, sizeof(*u->etags));
  if (!u->etags)
    return ome_fail(u->err, OME_E_NO_MEMORY, "s3: out of memory");
  int32_t rc = create(u);
  for (; rc == OME_OK && u->batch < u->nparts; u->batch += BATCH) {
    rc = s3_session_renew(u->s, u->err); /* credentials may run out meanwhile */
    if (rc == OME_OK)
      rc = send_batch(u, u->nparts - u->batch < BATCH ? u->nparts - u->batch : BATCH);
  }
  if (rc == OME_OK)
    rc = complete(u);
  if (rc != OME_OK && *u->id_text)
    give_up(u);
  free(u->etags);
  return rc;
}

int32_t s3_upload(struct s3_session *s, const struct ome_upload_file *file, struct ome_uploader *to,
                  struct ome_err *err) {
  struct upload *u = calloc(1, sizeof(*u));
  const char *prefix = s->uri.key;
  int32_t rc = OME_OK;

  if (!u)
    return ome_fail(err, OME_E_NO_MEMORY, "s3: out of memory");
  u->s = s;
  u->file = file;
  u->to = to;
  u->err = err;
  int n = snprintf(u->key, sizeof(u->key), "%s%s%s", prefix, *prefix ? "/" : "", file->path);
  if (n < 0 || n > 1024 || s3_object_url(s->base, u->key, "", 0, u->url, sizeof(u->url)) != 0)
    rc = ome_fail(err, OME_E_INVALID, "s3: s3://%s/%.80s...: the key is too long", s->uri.bucket, u->key);
  else if (file->size > MAX_PARTS * ((uint64_t)5 << 30))
    rc = ome_fail(err, OME_E_INVALID, "s3: s3://%s/%.300s: it is larger than S3 takes", s->uri.bucket, u->key);
  else
    rc = file->size <= ONE_REQUEST ? put(u) : put_parts(u);
  free(u);
  return rc;
}
