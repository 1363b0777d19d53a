/* storage "azure": models in Azure's Blob Storage.
 *
 * A folder is what begins with the URI's name and '/'; where there is none, the name is a blob.  Blobs are read with
 * If-Match, so that what is replaced meanwhile is refused.  An account's key signs for a container and an hour (shared
 * access signature): its other way, signing each request, would cover the Range header, which is the host's.
 */
#include "../common/bucket.h"
#include "../common/storage.h"
#include "azure_answer.h"
#include "azure_session.h"
#include "azure_upload.h"

#include <ome-sdk/error.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TO_READ "r"
#define TO_LIST "rl"
#define TO_WRITE "cw"

struct listing {
  const struct azure_session *s;
  struct ome_file_sink *out;
  struct ome_err *err; /* of the call that is under way */
  uint64_t *files;
  int has_failed; /* ERR says why */
  char next[AZURE_MARKER_TEXT];
};

/* ---- blobs ------------------------------------------------------------------------------------------------------- */

static int32_t push(struct listing *l, const struct azure_blob *b, const char *path) {
  const struct azure_uri *uri = &l->s->uri;
  char url[AZURE_MAX_URL];

  if (b->is_archived)
    return ome_fail(l->err, OME_E_INVALID, "azure: az://%s/%s/%.300s: the blob is archived; rehydrate it first",
                    uri->account, uri->container, b->name);
  if (azure_blob_url(l->s->endpoint, uri->container, b->name, uri->version, url, sizeof(url)) != 0)
    return ome_fail(l->err, OME_E_INVALID, "azure: az://%s/%s/%.80s...: the name is too long", uri->account,
                    uri->container, b->name);
  const struct ome_model_file f = {.struct_size = sizeof(f),
                                   .path = path,
                                   .size = b->size,
                                   .url = url,
                                   .etag = *b->etag ? b->etag : NULL,
                                   .digest_type = b->digest_type,
                                   .digest = b->digest_type != OME_DIGEST_NONE ? b->digest : NULL};
  int32_t rc = l->out->file(l->out, &f);
  return rc == OME_OK ? OME_OK : ome_fail(l->err, rc, "azure: the host did not take %.300s", f.path);
}

static int32_t on_blob(void *arg, const struct azure_blob *b) {
  struct listing *l = arg;
  const char *path = b->is_folder ? NULL : bucket_path(b->name, b->size, l->s->uri.name);

  if (!path)
    return OME_OK;
  ++*l->files;
  int32_t rc = push(l, b, path);
  l->has_failed = rc != OME_OK;
  return rc;
}

/* Its version is the revision where the URI or the caller names one. */
static int32_t push_single(void *arg, struct ome_err *err) {
  struct listing *l = arg;
  const struct azure_uri *uri = &l->s->uri;
  const char *version = strchr(uri->version, '=');
  struct azure_blob b = {.digest_type = OME_DIGEST_NONE};
  struct http_answer a = {0};
  char url[AZURE_MAX_URL];

  l->err = err;
  if (azure_blob_url(l->s->endpoint, uri->container, uri->name, uri->version, url, sizeof(url)) != 0)
    return ome_fail(err, OME_E_INVALID, "azure: %.200s: the name is too long", l->s->ref->uri);
  memcpy(b.name, uri->name, sizeof(b.name));
  int32_t rc = azure_ask(l->s, "HEAD", url, &a, err);
  if (rc == OME_OK && a.status != 200)
    rc = azure_refused(l->s, &a, NULL, err);
  else if (rc == OME_OK && azure_headers_read(a.headers, a.nheaders, &b) != 0)
    rc = ome_fail(err, OME_E_UNAVAILABLE,
                  "azure: %.200s: the server says no size; check that the endpoint is Blob Storage", l->s->ref->uri);
  if (rc == OME_OK && version && l->out->revision && (rc = l->out->revision(l->out, version + 1)) != OME_OK)
    rc = ome_sink_failed(err, rc);
  if (rc == OME_OK && b.is_folder)
    rc = ome_fail(err, OME_E_NOT_FOUND, "azure: %.200s: there are no blobs below it", l->s->ref->uri);
  if (rc == OME_OK)
    rc = push(l, &b, bucket_base_name(b.name));
  http_answer_fini(&a);
  return rc;
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

static int page_url(const struct listing *l, char *out, size_t size) {
  const struct azure_uri *uri = &l->s->uri;
  char below[AZURE_NAME_TEXT + 1], prefix[3 * sizeof(below)], marker[3 * AZURE_MARKER_TEXT], base[1024];

  (void)snprintf(below, sizeof(below), "%s%s", uri->name, *uri->name ? "/" : "");
  if (uri_encode(below, 0, prefix, sizeof(prefix)) != 0 || uri_encode(l->next, 0, marker, sizeof(marker)) != 0 ||
      azure_blob_url(l->s->endpoint, uri->container, "", "", base, sizeof(base)) != 0)
    return -1;
  int n = snprintf(out, size, "%s?restype=container&comp=list&include=metadata&maxresults=1000&prefix=%s%s%s", base,
                   prefix, *marker ? "&marker=" : "", marker);
  return n > 0 && (size_t)n < size ? 0 : -1;
}

static int32_t read_page(void *arg, uint64_t *files, int *is_last, struct ome_err *err) {
  struct listing *l = arg;
  char url[AZURE_MAX_URL + 4096];
  struct http_answer a = {0};

  l->err = err;
  l->files = files;
  if (page_url(l, url, sizeof(url)) != 0)
    return ome_fail(err, OME_E_INVALID, "azure: %.200s: the name or the list's marker is too long", l->s->ref->uri);
  int32_t rc = azure_ask(l->s, "GET", url, &a, err);
  if (rc == OME_OK && a.status != 200)
    rc = azure_refused(l->s, &a, NULL, err);
  else if (rc == OME_OK)
    rc = azure_page_read(a.body ? a.body : "", a.len, on_blob, l, l->next);
  if (rc == OME_E_INVALID && a.status == 200 && !l->has_failed)
    rc = ome_fail(err, OME_E_UNAVAILABLE,
                  "azure: %.200s: the list cannot be read; check that the endpoint is Blob Storage", l->s->ref->uri);
  http_answer_fini(&a);
  *is_last = !*l->next;
  return rc;
}

static int32_t list_name(struct listing *l, struct ome_err *err) {
  const struct azure_uri *uri = &l->s->uri;
  const struct bucket b = {.plugin = "azure",
                           .things = "blobs",
                           .uri = l->s->ref->uri,
                           .may_be_object = *uri->name && !uri->is_folder,
                           .version = *uri->version ? "version is one of a blob" : NULL,
                           .call = l->s->call,
                           .arg = l,
                           .page = read_page,
                           .object = push_single};

  return bucket_list(&b, err);
}

static int32_t list(void *self, const struct ome_call *call, const struct ome_model_ref *ref, struct ome_file_sink *out,
                    struct ome_err *err) {
  struct azure_session *s = NULL;
  int32_t rc = azure_session_open(self, call, ref, TO_LIST, &s, err);

  if (rc == OME_OK) {
    struct listing l = {.s = s, .out = out};
    rc = list_name(&l, err);
  }
  azure_session_close(s);
  return rc;
}

/* ---- requests for files ------------------------------------------------------------------------------------------ */

static int32_t push_request(const struct azure_session *s, const struct ome_model_file *file, struct ome_kv_sink *out,
                            struct ome_err *err) {
  struct ome_kv own[AZURE_HEADERS + 3];
  char url[2 * AZURE_MAX_URL], life[32];
  uint64_t n = azure_headers(s, own), life_ms = azure_life_ms(s);

  if (azure_with_query(file->url, s->query, url, sizeof(url)) != 0)
    return ome_fail(err, OME_E_INVALID, "azure: %.200s: the name is too long", s->ref->uri);
  if (*s->query)
    own[n++] = (struct ome_kv){OME_REQUEST_URL, url};
  (void)snprintf(life, sizeof(life), "%" PRIu64, life_ms);
  if (life_ms)
    own[n++] = (struct ome_kv){OME_REQUEST_EXPIRES, life};
  if (file->etag)
    own[n++] = (struct ome_kv){"If-Match", file->etag};
  return kv_push(out, own, n, err);
}

static int32_t headers(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                       const struct ome_model_file *file, struct ome_kv_sink *out, struct ome_err *err) {
  struct azure_session *s = NULL;
  int32_t rc = azure_session_open(self, call, ref, TO_READ, &s, err);

  if (rc == OME_OK && file->url && uri_is_below(file->url, s->endpoint))
    rc = push_request(s, file, out, err);
  azure_session_close(s);
  return rc;
}

static int32_t reopen(struct azure_session **s, struct ome_err *err) {
  struct azure_session *old = *s;
  int32_t rc = azure_session_open(old->azure, old->call, old->ref, TO_WRITE, s, err);

  azure_session_close(old);
  return rc;
}

static int32_t upload(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                      const struct ome_upload_file *file, struct ome_uploader *to, struct ome_err *err) {
  struct azure_session *s = NULL;
  int32_t rc = azure_session_open(self, call, ref, TO_WRITE, &s, err);

  if (rc == OME_OK && *s->uri.version)
    rc = ome_fail(err, OME_E_INVALID, "azure: %.200s: what was is not written to; leave the version out", ref->uri);
  if (rc == OME_OK)
    rc = azure_upload(&s, file, to, reopen, err);
  azure_session_close(s);
  return rc;
}

/* ---- descriptor -------------------------------------------------------------------------------------------------- */

static int32_t match(void *self, const char *uri) {
  (void)self;
  return strncmp(uri, "az://", 5) == 0 ? 100 : 0;
}

STORAGE_SCHEMES("az://");

static const struct ome_storage_ops ops = {
    .struct_size = sizeof(ops), .match = match, .list = list, .headers = headers, .upload = upload, .schemes = schemes};

STORAGE_PLUGIN("azure", "Models in Azure's Blob Storage (az://)", azure_keys, azure_create, azure_destroy);
