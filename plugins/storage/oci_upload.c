#include "oci_upload.h"

#include <ome-sdk/error.h>

#include "../common/json.h"
#include "../common/upload.h"
#include "oci_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ONE_PUT ((uint64_t)64 << 20) /* files up to this are put as one */
#define PART ((uint64_t)16 << 20)    /* at least */
#define MAX_PARTS 10000u
#define BATCH                                                                                                          \
  8u /* parts that are signed together: they have to begin within the minutes that a signature is good for */
#define PIECE ((uint64_t)1 << 20)

static int32_t no_memory(struct ome_err *err) {
  return ome_fail(err, OME_E_NO_MEMORY, "oci: out of memory");
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

/* One that is signed; HEADERS are the signature's and up to three of its own. */
struct signed_request {
  struct oci_signed signature;
  struct ome_kv headers[8];
  char md5[BASE64_TEXT(16)];
};

static int32_t prepare(struct oci_session *s, struct signed_request *r, struct ome_upload_request *out,
                       const char *method, const char *url, const char *body, struct ome_err *err) {
  int32_t rc = oci_session_sign(s, method, url, body, &r->signature, err);

  memcpy(r->headers, r->signature.headers, sizeof(r->signature.headers));
  *out = (struct ome_upload_request){.struct_size = sizeof(*out),
                                     .method = method,
                                     .url = url,
                                     .headers = r->headers,
                                     .nheaders = r->signature.n,
                                     .body = {body, body ? strlen(body) : 0}};
  return rc;
}

static void add_header(struct ome_upload_request *r, struct signed_request *from, const char *key, const char *value) {
  from->headers[r->nheaders++] = (struct ome_kv){key, value};
}

/* What an answer leaves: status, its body's beginning, a header. */
struct outcome {
  const struct oci_session *session;
  const char *what;
  int32_t status;
  struct http_answer answer; /* BODY, LEN and STATUS only */
  char etag[256];
};

static int32_t keep_answer(struct outcome *o, const struct ome_upload_answer *a) {
  free(o->answer.body);
  o->status = o->answer.status = a->status;
  o->answer.len = 0;
  o->answer.body = malloc((size_t)a->body.len + 1);
  if (!o->answer.body)
    return OME_E_NO_MEMORY;
  if (a->body.len)
    memcpy(o->answer.body, a->body.ptr, (size_t)a->body.len);
  o->answer.len = (size_t)a->body.len;
  o->answer.body[o->answer.len] = '\0';
  const char *etag = kv_text(a->headers, a->nheaders, "etag");
  (void)snprintf(o->etag, sizeof(o->etag), "%s", etag ? etag : "");
  return OME_OK;
}

static int32_t on_answer(void *arg, uint32_t index, const struct ome_upload_answer *a) {
  (void)index;
  return keep_answer(arg, a);
}

/* Sends one request; a status of none of success is the error. */
static int32_t send_one(struct ome_uploader *to, const struct ome_upload_request *r, struct outcome *o,
                        struct ome_err *err) {
  const struct ome_list list = {r, 1, sizeof(*r)};
  int32_t rc = to->send(to, &list, on_answer, o, err);

  if (rc == OME_E_NO_MEMORY && !err->msg[0])
    return no_memory(err);
  if (rc == OME_OK && (o->status < 200 || o->status > 299))
    rc = oci_refused(o->session, &o->answer, o->what, err);
  return rc;
}

/* ---- one request ------------------------------------------------------------------------------------------------- */

static int32_t put_whole(struct oci_session *s, const char *name, const struct ome_upload_file *file,
                         struct ome_uploader *to, struct ome_err *err) {
  struct signed_request *r = calloc(1, sizeof(*r));
  struct outcome o = {.session = s, .what = file->path};
  struct ome_upload_request put;
  char url[OCI_URL_MAX];
  int32_t rc = r ? OME_OK : no_memory(err);

  if (rc == OME_OK && oci_object_url(s, "o", name, url, sizeof(url)) != 0)
    rc = ome_fail(err, OME_E_INVALID, "oci: %s: %.200s: the name is too long", s->name, file->path);
  if (rc == OME_OK)
    rc = prepare(s, r, &put, "PUT", url, NULL, err);
  if (rc == OME_OK) {
    add_header(&put, r, "content-type", "application/octet-stream");
    if (file->sha256)
      add_header(&put, r, "opc-meta-sha256", file->sha256);
    if (base64_from_hex(file->md5, 16, r->md5, sizeof(r->md5)) == 0)
      add_header(&put, r, "content-md5", r->md5);
    put.len = file->size;
    if (file->size == 0)
      put.body = (struct ome_bytes){"", 0};
    rc = send_one(to, &put, &o, err);
  }
  free(o.answer.body);
  free(r);
  return rc;
}

/* ---- in parts ---------------------------------------------------------------------------------------------------- */

struct parts {
  struct oci_session *session;
  const struct ome_upload_file *file;
  struct ome_uploader *to;
  char object[OCI_URL_MAX]; /* address of the upload's object */
  char id[200];
  uint64_t size; /* of a part */
  uint32_t n, first;
  char **etags;
  struct outcome last;
};

/* {"object", "contentType", "metadata"}; OME reads the whole file's MD5 in `md5`. */
static char *create_body(const char *name, const struct ome_upload_file *file) {
  struct json_object *o = json_object_new_object(), *metadata = json_object_new_object();
  char md5[BASE64_TEXT(16)], *out = NULL;

  (void)json_object_object_add(o, "object", json_object_new_string(name));
  (void)json_object_object_add(o, "contentType", json_object_new_string("application/octet-stream"));
  if (file->sha256)
    (void)json_object_object_add(metadata, "opc-meta-sha256", json_object_new_string(file->sha256));
  if (base64_from_hex(file->md5, 16, md5, sizeof(md5)) == 0)
    (void)json_object_object_add(metadata, "opc-meta-md5", json_object_new_string(md5));
  (void)json_object_object_add(o, "metadata", metadata);
  const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
  if (text)
    out = strdup(text);
  (void)json_object_put(o);
  return out;
}

/* A signed request with BODY (NULL: none) to what belongs to the upload as a whole. */
static int32_t send_signed(struct parts *p, const char *method, const char *url, const char *body,
                           struct ome_err *err) {
  struct signed_request *r = calloc(1, sizeof(*r));
  struct ome_upload_request request;
  int32_t rc = r ? prepare(p->session, r, &request, method, url, body, err) : no_memory(err);

  if (rc == OME_OK)
    rc = send_one(p->to, &request, &p->last, err);
  free(r);
  return rc;
}

static int32_t create(struct parts *p, const char *name, struct ome_err *err) {
  char url[sizeof(p->session->bucket) + 8], *body = create_body(name, p->file);
  int32_t rc = body ? OME_OK : no_memory(err);

  (void)snprintf(url, sizeof(url), "%s/u", p->session->bucket);
  if (rc == OME_OK)
    rc = send_signed(p, "POST", url, body, err);
  if (rc == OME_OK && oci_word_read(p->last.answer.body, p->last.answer.len, "uploadId", p->id, sizeof(p->id)) != 0)
    rc = ome_fail(err, OME_E_UNAVAILABLE, "oci: %s: %.200s: the server names no upload", p->session->name,
                  p->file->path);
  free(body);
  return rc;
}

static int32_t on_part(void *arg, uint32_t index, const struct ome_upload_answer *a) {
  struct parts *p = arg;
  char **slot = &p->etags[p->first + index];
  int32_t rc = keep_answer(&p->last, a);

  if (rc != OME_OK)
    return rc;
  if (p->last.status != 200 || !*p->last.etag)
    return OME_E_UNAVAILABLE; /* said by send_batch() */
  *slot = strdup(p->last.etag);
  return *slot ? OME_OK : OME_E_NO_MEMORY;
}

/* N parts from p->first on, at a time. */
static int32_t send_batch(struct parts *p, uint32_t n, struct ome_err *err) {
  struct signed_request *r = calloc(BATCH, sizeof(*r));
  char(*urls)[OCI_URL_MAX + 300] = malloc(BATCH * sizeof(*urls));
  struct ome_upload_request put[BATCH];
  int32_t rc = r && urls ? OME_OK : no_memory(err);

  for (uint32_t i = 0; rc == OME_OK && i < n; i++) {
    uint32_t part = p->first + i;
    uint64_t offset = p->size * part, len = p->file->size - offset;
    if (len > p->size)
      len = p->size;
    (void)snprintf(urls[i], sizeof(urls[i]), "%s?uploadId=%s&uploadPartNum=%u", p->object, p->id, part + 1);
    rc = upload_md5(p->to, p->session->call, offset, len, r[i].md5, err);
    if (rc == OME_OK)
      rc = prepare(p->session, &r[i], &put[i], "PUT", urls[i], NULL, err);
    add_header(&put[i], &r[i], "content-md5", r[i].md5);
    put[i].offset = offset;
    put[i].len = len;
  }
  if (rc == OME_OK) {
    const struct ome_list list = {put, n, sizeof(put[0])};
    rc = p->to->send(p->to, &list, on_part, p, err);
    if (rc != OME_OK && !err->msg[0])
      rc = rc == OME_E_NO_MEMORY ? no_memory(err) : oci_refused(p->session, &p->last.answer, p->file->path, err);
  }
  free(urls);
  free(r);
  return rc;
}

static int32_t commit(struct parts *p, struct ome_err *err) {
  char url[OCI_URL_MAX + 300], *body = oci_commit_body(p->etags, p->n);
  int32_t rc = body ? OME_OK : no_memory(err);

  (void)snprintf(url, sizeof(url), "%s?uploadId=%s", p->object, p->id);
  if (rc == OME_OK)
    rc = send_signed(p, "POST", url, body, err);
  free(body);
  return rc;
}

/* Parts of an upload that came to nothing would be paid for. */
static void abort_upload(struct parts *p) {
  char url[OCI_URL_MAX + 300];
  struct ome_err ignored = {0};

  (void)snprintf(url, sizeof(url), "%s?uploadId=%s", p->object, p->id);
  (void)send_signed(p, "DELETE", url, NULL, &ignored);
}

/* The identity may run out before the last part is sent. */
static int32_t renew(struct oci_session *s, struct ome_err *err) {
  struct oci_identity fresh;

  if (s->who.fresh_until > time(NULL))
    return OME_OK;
  int32_t rc = oci_identify(s->oci, s->call, s->ref, &fresh, err);
  if (rc == OME_OK) {
    oci_identity_fini(&s->who);
    s->who = fresh;
  }
  return rc;
}

static int32_t put_parts(struct parts *p, const char *name, struct ome_err *err) {
  int32_t rc = oci_object_url(p->session, "u", name, p->object, sizeof(p->object)) == 0
                   ? create(p, name, err)
                   : ome_fail(err, OME_E_INVALID, "oci: %s: %.200s: the name is too long", p->session->name, name);

  if (rc != OME_OK)
    return rc;
  for (p->first = 0; rc == OME_OK && p->first < p->n; p->first += BATCH) {
    rc = renew(p->session, err);
    if (rc == OME_OK)
      rc = send_batch(p, p->n - p->first < BATCH ? p->n - p->first : BATCH, err);
  }
  if (rc == OME_OK)
    rc = commit(p, err);
  if (rc != OME_OK)
    abort_upload(p);
  return rc;
}

int32_t oci_put(struct oci_session *s, const char *name, const struct ome_upload_file *file, struct ome_uploader *to,
                struct ome_err *err) {
  if (file->size <= ONE_PUT)
    return put_whole(s, name, file, to, err);
  struct parts *p = calloc(1, sizeof(*p));
  uint64_t least = (file->size + MAX_PARTS - 1) / MAX_PARTS;

  if (!p)
    return no_memory(err);
  p->session = s;
  p->file = file;
  p->to = to;
  p->size = least > PART ? (least + PIECE - 1) / PIECE * PIECE : PART;
  p->n = (uint32_t)((file->size + p->size - 1) / p->size);
  p->last = (struct outcome){.session = s, .what = file->path};
  p->etags = calloc(p->n, sizeof(*p->etags));
  int32_t rc = p->etags ? put_parts(p, name, err) : no_memory(err);
  for (uint32_t i = 0; p->etags && i < p->n; i++)
    free(p->etags[i]);
  free(p->etags);
  free(p->last.answer.body);
  free(p);
  return rc;
}
