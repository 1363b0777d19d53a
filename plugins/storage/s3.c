/* storage "s3": models in Amazon S3, or in what speaks its API (Ceph, MinIO, ...).
 *
 * A folder is what begins with the URI's key and '/'; where there is none, the key is an object.  Each object is looked
 * at (HEAD) for the digest that the service, or who uploaded it, left there.  Requests are signed by the host (SigV4).
 */
#include "../common/bucket.h"
#include "../common/storage.h"
#include "s3_answer.h"
#include "s3_session.h"
#include "s3_upload.h"

#include <ome-sdk/error.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_OBJECTS ((size_t)200000)
#define SMALL ((uint64_t)1 << 20)
#define MAX_LOOKS 500u /* at small objects; what they show stands for the others */

/* ---- one object -------------------------------------------------------------------------------------------------- */

struct listing {
  struct s3_session *s;
  struct ome_file_sink *out;
  struct s3_listing objects; /* of the folder */
  uint32_t looks;
  int etags_are_md5; /* of all that were looked at */
};

static uint64_t number_of(const struct http_answer *a, const char *name) {
  const char *text = http_answer_header(a, name);

  return text ? strtoull(text, NULL, 10) : 0;
}

/* The size of the parts that OBJECT was uploaded in; 0: the service does not say, or they are not all alike. */
static int32_t find_part_bytes(const struct listing *l, const struct s3_object *o, uint32_t parts, uint64_t *out,
                               struct ome_err *err) {
  char url[S3_MAX_URL];
  struct http_answer a = {0};

  *out = 0;
  if (s3_object_url(l->s->base, o->key, l->s->uri.version, 1, url, sizeof(url)) != 0)
    return OME_OK;
  int32_t rc = s3_ask(l->s, "HEAD", url, NULL, &a, err);
  if (rc == OME_OK && (a.status == 200 || a.status == 206) && number_of(&a, "x-amz-mp-parts-count") == parts &&
      s3_parts_fit(o->size, number_of(&a, "content-length"), parts))
    *out = number_of(&a, "content-length");
  http_answer_fini(&a);
  return rc;
}

/* Asks for the headers of OBJECT, which may know nothing but its key; sets its size and ETag. */
static int32_t look(struct listing *l, struct s3_object *o, const char *url, struct s3_digest *digest,
                    struct ome_err *err) {
  static const struct ome_kv mode = {"x-amz-checksum-mode", "ENABLED"};
  struct http_answer a = {0};
  int32_t rc = s3_ask(l->s, "HEAD", url, &mode, &a, err);

  if (rc == OME_OK && a.status != 200)
    rc = s3_refused(l->s, &a, o->key, err);
  if (rc == OME_OK) {
    const char *etag = http_answer_header(&a, "etag"), *restore = http_answer_header(&a, "x-amz-restore");
    s3_digest_of(a.headers, a.nheaders, digest);
    l->etags_are_md5 &= digest->etag_is_md5;
    o->size = number_of(&a, "content-length");
    free(o->etag);
    o->etag = etag ? strdup(etag) : NULL;
    if (o->is_archived && !(restore && strstr(restore, "ongoing-request=\"false\"")))
      rc = ome_fail(err, OME_E_INVALID, "s3: s3://%s/%.200s: the object is archived; restore it first",
                    l->s->uri.bucket, o->key);
  }
  http_answer_fini(&a);
  return rc;
}

/* A digest from the listing alone, where looking at each of very many small objects would take too long. */
static void guess(const struct listing *l, const struct s3_object *o, struct s3_digest *digest) {
  const struct ome_kv etag = {"etag", o->etag};

  s3_digest_of(&etag, o->etag && l->etags_are_md5 ? 1 : 0, digest);
}

/* PATH is what the file is called below the model's folder. */
static int32_t push(struct listing *l, struct s3_object *o, const char *path, struct ome_err *err) {
  char url[S3_MAX_URL];
  struct s3_digest digest = {0};
  uint64_t part_bytes = 0;
  int32_t rc = OME_OK;

  if (s3_object_url(l->s->base, o->key, l->s->uri.version, 0, url, sizeof(url)) != 0)
    return ome_fail(err, OME_E_INVALID, "s3: s3://%s/%.80s...: the key is too long", l->s->uri.bucket, o->key);
  if (o->size >= SMALL || l->looks < MAX_LOOKS) {
    l->looks += o->size < SMALL;
    rc = look(l, o, url, &digest, err);
  } else {
    guess(l, o, &digest);
  }
  if (rc == OME_OK && digest.type & OME_DIGEST_OF_PARTS) {
    rc = find_part_bytes(l, o, digest.parts, &part_bytes, err);
    if (!part_bytes)
      digest.type = OME_DIGEST_NONE;
  }
  if (rc != OME_OK)
    return rc;
  int has_digest = l->s->wants_digest && digest.type != OME_DIGEST_NONE;
  const struct ome_model_file f = {.struct_size = sizeof(f),
                                   .path = path,
                                   .size = o->size,
                                   .url = url,
                                   .etag = o->etag && o->etag[0] == '"' ? o->etag : NULL,
                                   .digest_type = has_digest ? digest.type : OME_DIGEST_NONE,
                                   .digest = has_digest ? digest.hex : NULL,
                                   .digest_part_bytes = has_digest ? part_bytes : 0};
  rc = l->out->file(l->out, &f);
  return rc == OME_OK ? OME_OK : ome_fail(err, rc, "s3: the host did not take %.300s", path);
}

static int32_t push_single(void *arg, struct ome_err *err) {
  struct listing *l = arg;
  const char *key = l->s->uri.key;
  struct s3_object o = {.key = strdup(key)};
  int32_t rc = OME_OK;

  if (!o.key)
    return ome_fail(err, OME_E_NO_MEMORY, "s3: out of memory");
  if (*l->s->uri.version && l->out->revision)
    rc = l->out->revision(l->out, l->s->uri.version);
  if (rc == OME_OK)
    rc = push(l, &o, bucket_base_name(key), err);
  free(o.key);
  free(o.etag);
  return rc;
}

/* ---- a folder ---------------------------------------------------------------------------------------------------- */

static int page_url(const struct s3_session *s, const char *next, char *out, size_t size) {
  char prefix[3 * sizeof(s->uri.key) + 8], token[2048] = "", *folder;

  if (asprintf(&folder, "%s%s", s->uri.key, *s->uri.key ? "/" : "") < 0)
    return -1;
  int rc = uri_encode(folder, 0, prefix, sizeof(prefix));
  free(folder);
  if (rc != 0 || (next && uri_encode(next, 0, token, sizeof(token)) != 0))
    return -1;
  int n = snprintf(out, size, "%s?%s%s%sencoding-type=url&list-type=2&max-keys=1000&prefix=%s", s->base,
                   next ? "continuation-token=" : "", token, next ? "&" : "", prefix);
  return n > 0 && (size_t)n < size ? 0 : -1;
}

/* Whether the answer says that Amazon has the bucket in another region; the session is moved there then. */
static int is_moved(struct s3_session *s, const struct http_answer *a) {
  const char *region = http_answer_header(a, "x-amz-bucket-region");
  struct ome_err ignored;

  return (a->status == 301 || a->status == 307 || a->status == 400) && !*s->endpoint && region &&
         strcmp(region, s->region) != 0 && s3_session_move(s, region, &ignored) == OME_OK;
}

/* Only the list: what the objects are is asked when all are known. */
static int32_t read_page(void *arg, uint64_t *files, int *is_last, struct ome_err *err) {
  struct listing *l = arg;
  struct s3_session *s = l->s;
  size_t known = l->objects.n;
  char url[S3_MAX_URL + 4096];
  struct http_answer a = {0};
  int32_t rc = OME_OK;

  for (int moves = 0; moves < 2; moves++) {
    if (page_url(s, l->objects.next, url, sizeof(url)) != 0)
      rc = ome_fail(err, OME_E_INVALID, "s3: %.200s: the key or the list's token is too long", s->ref->uri);
    else
      rc = s3_ask(s, "GET", url, NULL, &a, err);
    if (rc != OME_OK || !is_moved(s, &a))
      break;
  }
  if (rc == OME_OK && a.status != 200)
    rc = s3_refused(s, &a, NULL, err);
  if (rc == OME_OK && s3_listing_add(&l->objects, a.body ? a.body : "", a.len, MAX_OBJECTS) != OME_OK)
    rc = ome_fail(err, OME_E_UNAVAILABLE,
                  "s3: %.200s: the list cannot be read, or has more than %zu objects; check that %.200s is S3",
                  s->ref->uri, MAX_OBJECTS, s->base);
  http_answer_fini(&a);
  for (; rc == OME_OK && known < l->objects.n; known++)
    *files += bucket_path(l->objects.objects[known].key, l->objects.objects[known].size, s->uri.key) != NULL;
  *is_last = !l->objects.next;
  return rc;
}

static int32_t push_folder(struct listing *l, struct ome_err *err) {
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < l->objects.n; i++) {
    struct s3_object *o = &l->objects.objects[i];
    const char *path = bucket_path(o->key, o->size, l->s->uri.key);
    if (!path)
      continue;
    rc = ome_check_cancelled(l->s->call, err);
    if (rc == OME_OK)
      rc = push(l, o, path, err);
  }
  return rc;
}

static int32_t list_key(struct listing *l, struct ome_err *err) {
  const struct s3_uri *uri = &l->s->uri;
  const struct bucket b = {.plugin = "s3",
                           .things = "objects",
                           .uri = l->s->ref->uri,
                           .may_be_object = *uri->key && !uri->is_folder,
                           .version = *uri->version ? "version is one of an object" : NULL,
                           .call = l->s->call,
                           .arg = l,
                           .page = read_page,
                           .object = push_single};

  int32_t rc = bucket_list(&b, err);
  return rc == OME_OK ? push_folder(l, err) : rc;
}

static int32_t list(void *self, const struct ome_call *call, const struct ome_model_ref *ref, struct ome_file_sink *out,
                    struct ome_err *err) {
  struct listing l = {.out = out, .etags_are_md5 = 1};
  int32_t rc = s3_session_open(self, call, ref, &l.s, err);

  if (rc == OME_OK)
    rc = list_key(&l, err);
  s3_listing_fini(&l.objects);
  s3_session_close(l.s);
  return rc;
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

static int32_t push_headers(const struct s3_session *s, struct ome_kv_sink *out, struct ome_err *err) {
  struct ome_kv headers[S3_HEADERS + 1];
  char ms[32];
  uint64_t n = s3_headers(s, S3_SHA256_OF_NOTHING, headers);
  int64_t left_s = s->who.expires_s - (int64_t)time(NULL);

  if (s->who.expires_s) {
    left_s = left_s > 600 ? left_s - 300 : left_s / 2;
    (void)snprintf(ms, sizeof(ms), "%" PRId64, left_s > 1 ? left_s * 1000 : 1000);
    headers[n++] = (struct ome_kv){OME_REQUEST_EXPIRES, ms};
  }
  return kv_push(out, headers, n, err);
}

static int32_t headers(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                       const struct ome_model_file *file, struct ome_kv_sink *out, struct ome_err *err) {
  struct s3_session *s = NULL;
  char region[64];
  int32_t rc = s3_session_open(self, call, ref, &s, err);

  /* The list may have found the bucket in another region; the file's address remembers it. */
  if (rc == OME_OK && file->url && !*s->endpoint && s3_region_of(file->url, region, sizeof(region)) == 0)
    rc = s3_session_move(s, region, err);
  if (rc == OME_OK && file->url && uri_is_below(file->url, s->base))
    rc = push_headers(s, out, err);
  s3_session_close(s);
  return rc;
}

/* ---- upload ------------------------------------------------------------------------------------------------------ */

static int32_t upload(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                      const struct ome_upload_file *file, struct ome_uploader *to, struct ome_err *err) {
  struct s3_session *s = NULL;
  int32_t rc = s3_session_open(self, call, ref, &s, err);

  if (rc == OME_OK)
    rc = s3_upload(s, file, to, err);
  s3_session_close(s);
  return rc;
}

/* ---- descriptor -------------------------------------------------------------------------------------------------- */

static int32_t match(void *self, const char *uri) {
  (void)self;
  return strncmp(uri, "s3://", 5) == 0 ? 100 : 0;
}

STORAGE_SCHEMES("s3://");

static const struct ome_storage_ops ops = {
    .struct_size = sizeof(ops), .match = match, .list = list, .headers = headers, .upload = upload, .schemes = schemes};

STORAGE_PLUGIN("s3", "Models in S3 and what speaks its API (s3://)", s3_keys, s3_create, s3_destroy);
