#include "gcs_upload.h"

#include "../common/upload.h"
#include "gcs_answer.h"

#include <ome-sdk/error.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK ((uint64_t)64 << 20) /* what a lost connection costs; a multiple of 256 KiB, as the service asks */
#define MAX_STANDSTILLS 3

struct upload {
  const struct gcs_session *s;
  const struct ome_upload_file *file;
  struct ome_uploader *to;
  struct ome_err *err;
  char name[2 * GCS_NAME_TEXT];
  char session[GCS_MAX_URL]; /* address of the upload; who has it may write: secret */
  uint64_t kept;             /* bytes that the service has */
  int is_done;
};

typedef int32_t answer_fn(void *arg, uint32_t index, const struct ome_upload_answer *a);

static int32_t send_one(struct upload *u, struct ome_upload_request *request, answer_fn *answer) {
  const struct ome_list list = {.data = request, .count = 1, .stride = sizeof(*request)};

  request->struct_size = sizeof(*request);
  return u->to->send(u->to, &list, answer, u, u->err);
}

/* ---- the beginning ----------------------------------------------------------------------------------------------- */

/* The file's bytes go to the endpoint, or over TLS to where it says. */
static int is_session(const struct upload *u, const char *url) {
  return url && strlen(url) < sizeof(u->session) &&
         (strncmp(url, "https://", 8) == 0 || uri_is_below(url, u->s->endpoint));
}

static int32_t on_begun(void *arg, uint32_t index, const struct ome_upload_answer *a) {
  struct upload *u = arg;
  const struct http_answer answer = upload_answer(a);
  const char *where = http_answer_header(&answer, "location");

  (void)index;
  if (a->status / 100 != 2)
    return gcs_refused(u->s, &answer, u->name, u->err);
  if (!is_session(u, where))
    return ome_fail(u->err, OME_E_UNAVAILABLE, "gcs: gs://%s/%.300s: the service gave the upload no address of its own",
                    u->s->uri.bucket, u->name);
  memcpy(u->session, where, strlen(where) + 1);
  return OME_OK;
}

/* The service refuses at the end what has not this MD5. */
static int32_t begin(struct upload *u) {
  char url[GCS_MAX_URL], size[32], md5[BASE64_TEXT(16)];
  struct ome_kv headers[GCS_HEADERS + 2];
  uint64_t n = gcs_headers(u->s, headers);
  int has_md5 = base64_from_hex(u->file->md5, 16, md5, sizeof(md5)) == 0;
  char *body = gcs_insert_body(u->name, has_md5 ? md5 : NULL, u->file->sha256);
  int32_t rc = body ? OME_OK : ome_fail(u->err, OME_E_NO_MEMORY, "gcs: out of memory");

  headers[n++] = (struct ome_kv){"content-type", "application/json; charset=UTF-8"};
  headers[n++] = (struct ome_kv){"x-upload-content-length", size};
  (void)snprintf(size, sizeof(size), "%" PRIu64, u->file->size);
  if (rc == OME_OK &&
      gcs_object_url(u->s->endpoint, 1, u->s->uri.bucket, "", "?uploadType=resumable", url, sizeof(url)) != 0)
    rc = ome_fail(u->err, OME_E_INVALID, "gcs: gs://%s: the address is too long", u->s->uri.bucket);
  if (rc == OME_OK) {
    struct ome_upload_request request = {
        .method = "POST", .url = url, .headers = headers, .nheaders = n, .body = {body, strlen(body)}};
    rc = send_one(u, &request, on_begun);
  }
  free(body);
  return rc;
}

/* ---- the bytes --------------------------------------------------------------------------------------------------- */

static int32_t on_chunk(void *arg, uint32_t index, const struct ome_upload_answer *a) {
  struct upload *u = arg;
  const struct http_answer answer = upload_answer(a);

  (void)index;
  u->is_done = a->status / 100 == 2;
  if (u->is_done)
    return OME_OK;
  if (a->status != 308)
    return gcs_refused(u->s, &answer, u->name, u->err);
  u->kept = gcs_kept_of(http_answer_header(&answer, "range"));
  return OME_OK;
}

/* From where the service has got to.  Bytes that it has already are ignored by it, so that the host may repeat them. */
static int32_t send_chunk(struct upload *u) {
  uint64_t left = u->file->size - u->kept, len = left < CHUNK ? left : CHUNK;
  char range[80];
  const struct ome_kv headers[] = {{"content-type", "application/octet-stream"}, {"content-range", range}};
  struct ome_upload_request request = {.method = "PUT",
                                       .url = u->session,
                                       .headers = headers,
                                       .nheaders = u->file->size ? 2 : 1,
                                       .offset = u->kept,
                                       .len = len};

  (void)snprintf(range, sizeof(range), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, u->kept, u->kept + len - 1,
                 u->file->size);
  if (u->file->size == 0)
    request.body = (struct ome_bytes){"", 0};
  return send_one(u, &request, on_chunk);
}

static int32_t on_ignored(void *arg, uint32_t index, const struct ome_upload_answer *a) {
  (void)arg, (void)index, (void)a;
  return OME_OK;
}

static void give_up(struct upload *u) {
  struct ome_upload_request request = {.method = "DELETE", .url = u->session, .body = {"", 0}};
  struct ome_err failed = *u->err; /* that is what the caller hears of */

  (void)send_one(u, &request, on_ignored);
  *u->err = failed;
}

static int32_t send_all(struct upload *u) {
  int standstills = 0;
  int32_t rc = OME_OK;

  while (rc == OME_OK && !u->is_done) {
    uint64_t before = u->kept;
    rc = ome_check_cancelled(u->s->call, u->err);
    if (rc == OME_OK)
      rc = send_chunk(u);
    standstills = u->kept > before ? 0 : standstills + 1;
    if (rc == OME_OK && !u->is_done && (standstills > MAX_STANDSTILLS || u->kept >= u->file->size))
      rc = ome_fail(u->err, OME_E_UNAVAILABLE,
                    "gcs: gs://%s/%.300s: the service takes no more after %" PRIu64 " of %" PRIu64 " bytes; try again",
                    u->s->uri.bucket, u->name, u->kept, u->file->size);
  }
  return rc;
}

int32_t gcs_upload(const struct gcs_session *s, const struct ome_upload_file *file, struct ome_uploader *to,
                   struct ome_err *err) {
  struct upload *u = calloc(1, sizeof(*u));
  int32_t rc = OME_OK;

  if (!u)
    return ome_fail(err, OME_E_NO_MEMORY, "gcs: out of memory");
  u->s = s;
  u->file = file;
  u->to = to;
  u->err = err;
  int n = snprintf(u->name, sizeof(u->name), "%s%s%s", s->uri.name, *s->uri.name ? "/" : "", file->path);
  if (n < 0 || n >= GCS_NAME_TEXT)
    rc = ome_fail(err, OME_E_INVALID, "gcs: gs://%s/%.80s...: the name is longer than 1024 bytes", s->uri.bucket,
                  u->name);
  if (rc == OME_OK)
    rc = begin(u);
  if (rc == OME_OK && (rc = send_all(u)) != OME_OK)
    give_up(u);
  explicit_bzero(u, sizeof(*u));
  free(u);
  return rc;
}
