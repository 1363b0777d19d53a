/* storage "gcs": models in Google Cloud Storage, by its JSON API.
 *
 * A folder is what begins with the URI's name and '/'; where there is none, the name is an object.  The list says the
 * generation of each object, which its address pins.
 */
#include "../common/bucket.h"
#include "../common/storage.h"
#include "gcs_answer.h"
#include "gcs_session.h"
#include "gcs_upload.h"

#include <ome-sdk/error.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct listing {
  const struct gcs_session *s;
  struct ome_file_sink *out;
  struct ome_err *err; /* of the call that is under way */
  uint64_t *files;
  char next[GCS_PAGE_TEXT];
};

/* ---- objects ----------------------------------------------------------------------------------------------------- */

/* An object that is kept as gzip is sent as what that holds: the size and digests of the list are of the gzip. */
static int32_t push(struct listing *l, const struct gcs_object *o, const char *path) {
  char url[GCS_MAX_URL], query[80];

  (void)snprintf(query, sizeof(query), "?alt=media&generation=%s", o->generation);
  if (gcs_object_url(l->s->endpoint, 0, l->s->uri.bucket, o->name, query, url, sizeof(url)) != 0)
    return ome_fail(l->err, OME_E_INVALID, "gcs: gs://%s/%.80s...: the name is too long", l->s->uri.bucket, o->name);
  struct ome_model_file f = {.struct_size = sizeof(f), .path = path, .size = o->size, .url = url};
  if (o->is_compressed) {
    f.size = OME_SIZE_UNKNOWN;
  } else if (o->digest_type != OME_DIGEST_NONE) {
    f.digest_type = o->digest_type;
    f.digest = o->digest;
  }
  int32_t rc = l->out->file(l->out, &f);
  return rc == OME_OK ? OME_OK : ome_fail(l->err, rc, "gcs: the host did not take %.300s", f.path);
}

static int32_t on_object(void *arg, const struct gcs_object *o) {
  struct listing *l = arg;
  const char *path = bucket_path(o->name, o->size, l->s->uri.name);

  *l->files += path != NULL;
  return path ? push(l, o, path) : OME_OK;
}

/* Its generation is the revision where the URI or the caller names one. */
static int32_t on_single(void *arg, const struct gcs_object *o) {
  struct listing *l = arg;

  if (strcmp(o->name, l->s->uri.name) != 0)
    return ome_fail(l->err, OME_E_UNAVAILABLE, "gcs: %.200s: the service answered with another object", l->s->ref->uri);
  int32_t rc = *l->s->uri.generation && l->out->revision ? l->out->revision(l->out, l->s->uri.generation) : OME_OK;
  return rc == OME_OK ? push(l, o, bucket_base_name(o->name)) : ome_sink_failed(l->err, rc);
}

static int32_t push_single(void *arg, struct ome_err *err) {
  struct listing *l = arg;
  const struct gcs_session *s = l->s;
  char url[GCS_MAX_URL], query[160];
  struct http_answer a = {0};
  int32_t rc;

  l->err = err;
  (void)snprintf(query, sizeof(query), "?fields=%s%s%s", GCS_FIELDS, *s->uri.generation ? "&generation=" : "",
                 s->uri.generation);
  if (gcs_object_url(s->endpoint, 0, s->uri.bucket, s->uri.name, query, url, sizeof(url)) != 0)
    return ome_fail(err, OME_E_INVALID, "gcs: %.200s: the name is too long", s->ref->uri);
  rc = gcs_ask(s, url, &a, err);
  if (rc == OME_OK && a.status != 200)
    rc = gcs_refused(s, &a, NULL, err);
  if (rc == OME_OK)
    rc = gcs_object_read(a.body, a.len, s->ref->uri, on_single, l, err);
  http_answer_fini(&a);
  return rc;
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

static int page_url(const struct listing *l, char *out, size_t size) {
  const struct gcs_uri *uri = &l->s->uri;
  char prefix[3 * (GCS_NAME_TEXT + 1)], token[3 * GCS_PAGE_TEXT], below[GCS_NAME_TEXT + 1], query[GCS_MAX_URL];

  (void)snprintf(below, sizeof(below), "%s%s", uri->name, *uri->name ? "/" : "");
  if (uri_encode(below, 0, prefix, sizeof(prefix)) != 0 || uri_encode(l->next, 0, token, sizeof(token)) != 0)
    return -1;
  int n = snprintf(query, sizeof(query), "?maxResults=1000&prefix=%s&fields=kind,nextPageToken,items(%s)%s%s", prefix,
                   GCS_FIELDS, *token ? "&pageToken=" : "", token);
  return n > 0 && (size_t)n < sizeof(query) ? gcs_object_url(l->s->endpoint, 0, uri->bucket, "", query, out, size) : -1;
}

static int32_t read_page(void *arg, uint64_t *files, int *is_last, struct ome_err *err) {
  struct listing *l = arg;
  char url[2 * GCS_MAX_URL];
  struct http_answer a = {0};
  int32_t rc = OME_OK;

  l->err = err;
  l->files = files;
  if (page_url(l, url, sizeof(url)) != 0)
    return ome_fail(err, OME_E_INVALID, "gcs: %.200s: the name or the list's token is too long", l->s->ref->uri);
  rc = gcs_ask(l->s, url, &a, err);
  if (rc == OME_OK && a.status != 200)
    rc = gcs_refused(l->s, &a, NULL, err);
  if (rc == OME_OK)
    rc = gcs_page_read(a.body, a.len, l->s->ref->uri, on_object, l, l->next, err);
  http_answer_fini(&a);
  *is_last = !*l->next;
  return rc;
}

static int32_t list_name(struct listing *l, struct ome_err *err) {
  const struct gcs_uri *uri = &l->s->uri;
  const struct bucket b = {.plugin = "gcs",
                           .things = "objects",
                           .uri = l->s->ref->uri,
                           .may_be_object = *uri->name && !uri->is_folder,
                           .version = *uri->generation ? "generation is one of an object" : NULL,
                           .call = l->s->call,
                           .arg = l,
                           .page = read_page,
                           .object = push_single};

  return bucket_list(&b, err);
}

static int32_t list(void *self, const struct ome_call *call, const struct ome_model_ref *ref, struct ome_file_sink *out,
                    struct ome_err *err) {
  struct gcs_session *s = NULL;
  int32_t rc = gcs_session_open(self, call, ref, &s, err);

  if (rc == OME_OK) {
    struct listing l = {.s = s, .out = out};
    rc = list_name(&l, err);
  }
  gcs_session_close(s);
  return rc;
}

/* ---- requests for files ------------------------------------------------------------------------------------------ */

static int32_t headers(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                       const struct ome_model_file *file, struct ome_kv_sink *out, struct ome_err *err) {
  struct gcs_session *s = NULL;
  struct ome_kv own[GCS_HEADERS];
  char life[32];
  int32_t rc = gcs_session_open(self, call, ref, &s, err);

  if (rc == OME_OK && file->url && uri_is_below(file->url, s->endpoint)) {
    uint64_t n = gcs_headers(s, own);
    if (*s->authorization) {
      (void)snprintf(life, sizeof(life), "%" PRIu64, oauth_life_ms(&s->token, (int64_t)time(NULL)));
      own[n++] = (struct ome_kv){OME_REQUEST_EXPIRES, life};
    }
    rc = kv_push(out, own, n, err);
  }
  gcs_session_close(s);
  return rc;
}

static int32_t upload(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                      const struct ome_upload_file *file, struct ome_uploader *to, struct ome_err *err) {
  struct gcs_session *s = NULL;
  int32_t rc = gcs_session_open(self, call, ref, &s, err);

  if (rc == OME_OK)
    rc = gcs_upload(s, file, to, err);
  gcs_session_close(s);
  return rc;
}

/* ---- descriptor -------------------------------------------------------------------------------------------------- */

static int32_t match(void *self, const char *uri) {
  (void)self;
  return strncmp(uri, "gs://", 5) == 0 ? 100 : 0;
}

STORAGE_SCHEMES("gs://");

static const struct ome_storage_ops ops = {
    .struct_size = sizeof(ops), .match = match, .list = list, .headers = headers, .upload = upload, .schemes = schemes};

STORAGE_PLUGIN("gcs", "Models in Google Cloud Storage (gs://)", gcs_keys, gcs_create, gcs_destroy);
