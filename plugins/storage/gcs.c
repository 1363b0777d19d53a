/* storage "gcs": models in Google Cloud Storage, by its JSON API.
 *
 * A folder is what begins with the URI's name and '/'; where there is none, the name is an object.  The list says the
 * generation of each object, which its address pins.
 */
#include "../common/storage.h"
#include "gcs_answer.h"
#include "gcs_session.h"
#include "gcs_upload.h"

#include <ome-sdk/error.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MAX_PAGES 10000

struct listing {
  const struct gcs_session *s;
  struct ome_file_sink *out;
  struct ome_err *err;
  size_t prefix; /* length of what is in front of the files' paths */
  uint64_t files;
  char next[GCS_PAGE_TEXT];
};

/* ---- objects ----------------------------------------------------------------------------------------------------- */

/* Some tools make empty objects so that folders can be seen. */
static int is_marker(const struct gcs_object *o) {
  static const char hadoop[] = "_$folder$";
  size_t len = strlen(o->name), n = sizeof(hadoop) - 1;

  return o->name[len - 1] == '/' || (o->size == 0 && len >= n && strcmp(o->name + len - n, hadoop) == 0);
}

/* An object that is kept as gzip is sent as what that holds: the size and digests of the list are of the gzip. */
static int32_t on_object(void *arg, const struct gcs_object *o) {
  struct listing *l = arg;
  char url[GCS_MAX_URL], query[80];

  if (strlen(o->name) <= l->prefix || strncmp(o->name, l->s->uri.name, l->prefix ? l->prefix - 1 : 0) != 0 ||
      is_marker(o))
    return OME_OK;
  (void)snprintf(query, sizeof(query), "?alt=media&generation=%s", o->generation);
  if (gcs_object_url(l->s->endpoint, 0, l->s->uri.bucket, o->name, query, url, sizeof(url)) != 0)
    return ome_fail(l->err, OME_E_INVALID, "gcs: gs://%s/%.80s...: the name is too long", l->s->uri.bucket, o->name);
  struct ome_model_file f = {.struct_size = sizeof(f), .path = o->name + l->prefix, .size = o->size, .url = url};
  if (o->is_compressed) {
    f.size = OME_SIZE_UNKNOWN;
  } else if (o->digest_type != OME_DIGEST_NONE) {
    f.digest_type = o->digest_type;
    f.digest = o->digest;
  }
  l->files++;
  int32_t rc = l->out->file(l->out, &f);
  return rc == OME_OK ? OME_OK : ome_fail(l->err, rc, "gcs: the host did not take %.300s", f.path);
}

/* Its generation is the revision where the URI or the caller names one. */
static int32_t on_single(void *arg, const struct gcs_object *o) {
  struct listing *l = arg;
  const char *slash = strrchr(o->name, '/');

  if (strcmp(o->name, l->s->uri.name) != 0)
    return ome_fail(l->err, OME_E_UNAVAILABLE, "gcs: %.200s: the service answered with another object", l->s->ref->uri);
  l->prefix = slash ? (size_t)(slash + 1 - o->name) : 0;
  int32_t rc = *l->s->uri.generation && l->out->revision ? l->out->revision(l->out, l->s->uri.generation) : OME_OK;
  return rc == OME_OK ? on_object(l, o) : ome_sink_failed(l->err, rc);
}

static int32_t push_single(struct listing *l) {
  const struct gcs_session *s = l->s;
  char url[GCS_MAX_URL], query[160];
  struct http_answer a = {0};
  int32_t rc;

  (void)snprintf(query, sizeof(query), "?fields=%s%s%s", GCS_FIELDS, *s->uri.generation ? "&generation=" : "",
                 s->uri.generation);
  if (gcs_object_url(s->endpoint, 0, s->uri.bucket, s->uri.name, query, url, sizeof(url)) != 0)
    return ome_fail(l->err, OME_E_INVALID, "gcs: %.200s: the name is too long", s->ref->uri);
  rc = gcs_ask(s, url, &a, l->err);
  if (rc == OME_OK && a.status != 200)
    rc = gcs_refused(s, &a, NULL, l->err);
  if (rc == OME_OK)
    rc = gcs_object_read(a.body, a.len, s->ref->uri, on_single, l, l->err);
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

static int32_t read_page(struct listing *l) {
  char url[2 * GCS_MAX_URL];
  struct http_answer a = {0};
  int32_t rc = OME_OK;

  if (page_url(l, url, sizeof(url)) != 0)
    return ome_fail(l->err, OME_E_INVALID, "gcs: %.200s: the name or the list's token is too long", l->s->ref->uri);
  rc = gcs_ask(l->s, url, &a, l->err);
  if (rc == OME_OK && a.status != 200)
    rc = gcs_refused(l->s, &a, NULL, l->err);
  if (rc == OME_OK)
    rc = gcs_page_read(a.body, a.len, l->s->ref->uri, on_object, l, l->next, l->err);
  http_answer_fini(&a);
  return rc;
}

static int32_t push_folder(struct listing *l) {
  int32_t rc = OME_OK;

  l->prefix = strlen(l->s->uri.name) + (*l->s->uri.name ? 1 : 0);
  for (int page = 0; rc == OME_OK && (page == 0 || *l->next); page++) {
    rc = ome_check_cancelled(l->s->call, l->err);
    if (rc == OME_OK && page == MAX_PAGES)
      rc = ome_fail(l->err, OME_E_INVALID, "gcs: %.200s: its list does not end", l->s->ref->uri);
    if (rc == OME_OK)
      rc = read_page(l);
  }
  return rc;
}

/* A folder where there is one, else an object.  Who may read an object may not always list its bucket. */
static int32_t list_name(struct listing *l, struct ome_err *err) {
  const struct gcs_uri *uri = &l->s->uri;
  int may_be_object = *uri->name && !uri->is_folder;

  if (*uri->generation)
    return may_be_object ? push_single(l)
                         : ome_fail(err, OME_E_INVALID,
                                    "gcs: %.200s: a generation is one of an object, not of a folder; leave it out",
                                    l->s->ref->uri);
  int32_t rc = push_folder(l);
  if (may_be_object && ((rc == OME_OK && l->files == 0) || rc == OME_E_DENIED)) {
    struct ome_err single = {0};
    l->err = &single;
    int32_t found = push_single(l);
    if (found == OME_OK || rc == OME_OK) {
      *err = single;
      rc = found;
    }
  } else if (rc == OME_OK && l->files == 0) {
    rc = ome_fail(err, OME_E_NOT_FOUND, "gcs: %.200s: there are no objects below it; check the name", l->s->ref->uri);
  }
  return rc;
}

static int32_t list(void *self, const struct ome_call *call, const struct ome_model_ref *ref, struct ome_file_sink *out,
                    struct ome_err *err) {
  struct gcs_session *s = NULL;
  int32_t rc = gcs_session_open(self, call, ref, &s, err);

  if (rc == OME_OK) {
    struct listing l = {.s = s, .out = out, .err = err};
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
    for (uint64_t i = 0; rc == OME_OK && i < n; i++)
      rc = out->kv(out, own[i].key, own[i].value);
    if (rc != OME_OK)
      rc = ome_sink_failed(err, rc);
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
