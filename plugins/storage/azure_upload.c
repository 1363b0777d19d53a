#include "azure_upload.h"

#include "../common/upload.h"
#include "azure_answer.h"

#include <ome-sdk/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)
#define ONE_REQUEST (64 * MIB) /* files up to this size are not cut */
#define BLOCK (16 * MIB)
#define MAX_BLOCKS 50000u
#define MAX_BLOCK (4000 * MIB)
#define BATCH 16u /* blocks handed to the host at a time */
#define HEADERS (AZURE_HEADERS + 6)

uint64_t azure_block_bytes(uint64_t size) {
  uint64_t least = (size + MAX_BLOCKS - 1) / MAX_BLOCKS;

  return least <= BLOCK ? BLOCK : (least + MIB - 1) / MIB * MIB;
}

void azure_block_id(uint32_t i, char out[16]) {
  char text[16];

  (void)snprintf(text, sizeof(text), "ome-%05u", i % 100000);
  (void)base64_write(text, 9, out, 16);
}

struct upload {
  struct azure_session *s;
  const struct ome_upload_file *file;
  struct ome_uploader *to;
  struct ome_err *err;
  char name[AZURE_NAME_TEXT + 2048];
  char url[AZURE_MAX_URL]; /* of the blob */
  char md5[BASE64_TEXT(16)];
  uint64_t block_bytes;
  uint32_t nblocks;
};

static int32_t on_answer(void *arg, uint32_t index, const struct ome_upload_answer *a) {
  struct upload *u = arg;
  const struct http_answer answer = upload_answer(a);

  (void)index;
  return a->status / 100 == 2 ? OME_OK : azure_refused(u->s, &answer, u->name, u->err);
}

static int32_t too_long(const struct upload *u) {
  return ome_fail(u->err, OME_E_INVALID, "azure: az://%s/%s/%.80s...: the name is too long", u->s->uri.account,
                  u->s->uri.container, u->name);
}

/* A request with QUERY ("" or "comp=...") and the signature behind the blob's address. */
static int32_t send_one(struct upload *u, const char *query, struct ome_upload_request *request) {
  const struct ome_list list = {.data = request, .count = 1, .stride = sizeof(*request)};
  char url[AZURE_MAX_URL + 64], signed_url[2 * AZURE_MAX_URL];

  if (azure_with_query(u->url, query, url, sizeof(url)) != 0 ||
      azure_with_query(url, u->s->query, signed_url, sizeof(signed_url)) != 0)
    return too_long(u);
  request->struct_size = sizeof(*request);
  request->url = signed_url;
  return u->to->send(u->to, &list, on_answer, u, u->err);
}

/* What stays with the blob: its MD5, which the service does not compute of blobs in blocks, and our digest. */
static uint64_t describe(const struct upload *u, struct ome_kv *out) {
  uint64_t n = 0;

  out[n++] = (struct ome_kv){"x-ms-blob-content-type", "application/octet-stream"};
  if (*u->md5)
    out[n++] = (struct ome_kv){"x-ms-blob-content-md5", u->md5};
  if (u->file->sha256 && *u->file->sha256)
    out[n++] = (struct ome_kv){"x-ms-meta-" AZURE_SHA256, u->file->sha256};
  return n;
}

/* Put Blob */
static int32_t put(struct upload *u) {
  struct ome_kv headers[HEADERS];
  uint64_t n = azure_headers(u->s, headers);

  headers[n++] = (struct ome_kv){"x-ms-blob-type", "BlockBlob"};
  n += describe(u, headers + n);
  if (*u->md5)
    headers[n++] = (struct ome_kv){"content-md5", u->md5};
  struct ome_upload_request request = {.method = "PUT", .headers = headers, .nheaders = n, .len = u->file->size};
  if (u->file->size == 0)
    request.body = (struct ome_bytes){"", 0};
  return send_one(u, "", &request);
}

/* ---- in blocks --------------------------------------------------------------------------------------------------- */

struct block {
  char url[2 * AZURE_MAX_URL];
  char md5[BASE64_TEXT(16)];
  struct ome_kv headers[AZURE_HEADERS + 1];
};

static int block_url(const struct upload *u, uint32_t i, char *out, size_t size) {
  char id[16], id_text[48], query[96], url[AZURE_MAX_URL + 96];

  azure_block_id(i, id);
  if (uri_encode(id, 0, id_text, sizeof(id_text)) != 0)
    return -1;
  (void)snprintf(query, sizeof(query), "comp=block&blockid=%s", id_text);
  return azure_with_query(u->url, query, url, sizeof(url)) == 0 ? azure_with_query(url, u->s->query, out, size) : -1;
}

/* Put Block, for N of them from FIRST on. */
static int32_t send_batch(struct upload *u, uint32_t first, uint32_t n) {
  struct block *blocks = calloc(n, sizeof(*blocks));
  struct ome_upload_request requests[BATCH];
  const struct ome_list list = {.data = requests, .count = n, .stride = sizeof(*requests)};
  int32_t rc = blocks ? OME_OK : ome_fail(u->err, OME_E_NO_MEMORY, "azure: out of memory");

  for (uint32_t i = 0; rc == OME_OK && i < n; i++) {
    uint64_t at = (first + i) * u->block_bytes, left = u->file->size - at;
    struct block *b = &blocks[i];
    uint64_t nheaders = azure_headers(u->s, b->headers);
    b->headers[nheaders++] = (struct ome_kv){"content-md5", b->md5};
    requests[i] = (struct ome_upload_request){.struct_size = sizeof(requests[i]),
                                              .method = "PUT",
                                              .url = b->url,
                                              .headers = b->headers,
                                              .nheaders = nheaders,
                                              .offset = at,
                                              .len = left < u->block_bytes ? left : u->block_bytes};
    rc = block_url(u, first + i, b->url, sizeof(b->url)) == 0
             ? upload_md5(u->to, u->s->call, at, requests[i].len, b->md5, u->err)
             : too_long(u);
  }
  if (rc == OME_OK)
    rc = u->to->send(u->to, &list, on_answer, u, u->err);
  if (blocks)
    explicit_bzero(blocks, n * sizeof(*blocks));
  free(blocks);
  return rc;
}

/* Put Block List */
static int32_t join(struct upload *u) {
  size_t size = 128 + (size_t)u->nblocks * 40, len = 0;
  struct ome_kv headers[HEADERS];
  uint64_t n = azure_headers(u->s, headers);
  char *body = malloc(size), id[16];

  if (!body)
    return ome_fail(u->err, OME_E_NO_MEMORY, "azure: out of memory");
  len = (size_t)snprintf(body, size, "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
  for (uint32_t i = 0; i < u->nblocks; i++) {
    azure_block_id(i, id);
    len += (size_t)snprintf(body + len, size - len, "<Latest>%s</Latest>", id);
  }
  len += (size_t)snprintf(body + len, size - len, "</BlockList>");
  n += describe(u, headers + n);
  headers[n++] = (struct ome_kv){"content-type", "application/xml"};
  struct ome_upload_request request = {.method = "PUT", .headers = headers, .nheaders = n, .body = {body, len}};
  int32_t rc = send_one(u, "comp=blocklist", &request);
  free(body);
  return rc;
}

static int32_t put_blocks(struct upload *u, int32_t (*reopen)(struct azure_session **s, struct ome_err *err),
                          struct azure_session **s) {
  int32_t rc = OME_OK;

  u->block_bytes = azure_block_bytes(u->file->size);
  u->nblocks = (uint32_t)((u->file->size + u->block_bytes - 1) / u->block_bytes);
  for (uint32_t i = 0; rc == OME_OK && i < u->nblocks; i += BATCH) {
    rc = reopen(s, u->err); /* credentials may run out meanwhile */
    u->s = *s;
    if (rc == OME_OK)
      rc = send_batch(u, i, u->nblocks - i < BATCH ? u->nblocks - i : BATCH);
  }
  return rc == OME_OK ? join(u) : rc;
}

int32_t azure_upload(struct azure_session **s, const struct ome_upload_file *file, struct ome_uploader *to,
                     int32_t (*reopen)(struct azure_session **s, struct ome_err *err), struct ome_err *err) {
  struct upload *u = calloc(1, sizeof(*u));
  const struct azure_uri *uri = &(*s)->uri;
  int32_t rc = OME_OK;

  if (!u)
    return ome_fail(err, OME_E_NO_MEMORY, "azure: out of memory");
  u->s = *s;
  u->file = file;
  u->to = to;
  u->err = err;
  if (base64_from_hex(file->md5, 16, u->md5, sizeof(u->md5)) != 0)
    u->md5[0] = '\0';
  int n = snprintf(u->name, sizeof(u->name), "%s%s%s", uri->name, *uri->name ? "/" : "", file->path);
  if (n < 0 || n >= AZURE_NAME_TEXT ||
      azure_blob_url(u->s->endpoint, uri->container, u->name, "", u->url, sizeof(u->url)) != 0)
    rc = too_long(u);
  else if (file->size > MAX_BLOCKS * MAX_BLOCK)
    rc = ome_fail(err, OME_E_INVALID, "azure: az://%s/%s/%.300s: it is larger than a blob may be", uri->account,
                  uri->container, u->name);
  else
    rc = file->size <= ONE_REQUEST ? put(u) : put_blocks(u, reopen, s);
  free(u);
  return rc;
}
