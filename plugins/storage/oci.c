/* storage "oci": models in Oracle Cloud's Object Storage, pulled and pushed: oci://n/NAMESPACE/b/BUCKET/o/PREFIX and
 * the other forms of oci_uri.h. */
#include "../common/bucket.h"
#include "../common/encode.h"
#include "../common/storage.h"
#include "oci_config.h"
#include "oci_list.h"
#include "oci_session.h"
#include "oci_upload.h"

#include <ome-sdk/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- listing ----------------------------------------------------------------------------------------------------- */

struct listing {
  struct oci_session *session;
  struct ome_file_sink *out;
  const char *shape; /* only objects below a folder of this name; NULL: all */
  uint64_t *files;
  struct ome_err *err; /* of the call that is under way */
  char next[OCI_NAME_TEXT];
};

/* The digest of the whole object, as HEAD has it: the service's own, then what the uploader left in its metadata. */
static const struct {
  const char *header;
  size_t bytes; /* in base64; 0: lower-case hex of a SHA-256 */
  uint32_t type;
} digests[] = {{"opc-content-sha256", 32, OME_DIGEST_SHA256},
               {"opc-meta-sha256", 0, OME_DIGEST_SHA256},
               {"content-md5", 16, OME_DIGEST_MD5},
               {"opc-meta-md5", 16, OME_DIGEST_MD5},
               {"opc-content-crc32c", 4, OME_DIGEST_CRC32C}};

static void read_digest(const struct http_answer *a, char out[OCI_HEX_TEXT], struct ome_model_file *f) {
  for (size_t i = 0; f->digest_type == OME_DIGEST_NONE && i < sizeof(digests) / sizeof(digests[0]); i++) {
    const char *value = http_answer_header(a, digests[i].header);
    if (!value)
      continue;
    if (digests[i].bytes == 0 && strlen(value) == 64 && strspn(value, "0123456789abcdef") == 64)
      (void)snprintf(out, OCI_HEX_TEXT, "%s", value);
    else if (digests[i].bytes == 0 || base64_to_hex(value, digests[i].bytes, out, OCI_HEX_TEXT) != 0)
      continue;
    f->digest_type = digests[i].type;
    f->digest = out;
  }
}

/* HEADs the object at F->url.  Any status is OME_OK. */
static int32_t look(struct oci_session *s, struct ome_model_file *f, char digest[OCI_HEX_TEXT], char etag[260],
                    struct http_answer *a, struct ome_err *err) {
  int32_t rc = oci_ask(s, "HEAD", f->url, a, err);
  const char *value = rc == OME_OK ? http_answer_header(a, "etag") : NULL;

  if (rc != OME_OK || a->status != 200)
    return rc;
  read_digest(a, digest, f);
  if (value)
    (void)snprintf(etag, 260, *value == '"' ? "%s" : "\"%s\"", value);
  return OME_OK;
}

static int32_t push(struct listing *l, const struct ome_model_file *f) {
  int32_t rc = l->out->file(l->out, f);

  return rc == OME_OK ? OME_OK
                      : ome_fail(l->err, rc, "oci: %s: the host did not take %.200s", l->session->name, f->path);
}

/* Objects that were uploaded in parts have no MD5 in lists; what there is instead only HEAD says. */
static int32_t complete(struct listing *l, struct ome_model_file *f, char digest[OCI_HEX_TEXT], char etag[260]) {
  struct http_answer a = {0};
  int32_t rc = look(l->session, f, digest, etag, &a, l->err);

  if (rc == OME_OK && a.status != 200)
    rc = oci_refused(l->session, &a, f->path, l->err);
  http_answer_fini(&a);
  return rc;
}

static int32_t on_object(void *arg, const struct oci_object *o) {
  struct listing *l = arg;
  char url[OCI_URL_MAX], etag[260], digest[OCI_HEX_TEXT], folder[200];
  struct ome_model_file f = {.struct_size = sizeof(f), .size = o->size, .url = url};

  f.path = bucket_path(o->name, o->size, l->session->at.prefix);
  if (!f.path)
    return OME_OK;
  if (l->shape) {
    (void)snprintf(folder, sizeof(folder), "/%s/", l->shape);
    if (!strstr(o->name, folder))
      return OME_OK;
  }
  if (o->is_archived)
    return ome_fail(l->err, OME_E_UNAVAILABLE, "oci: %s: %.200s is archived; restore it first", l->session->name,
                    o->name);
  if (oci_object_url(l->session, "o", o->name, url, sizeof(url)) != 0)
    return ome_fail(l->err, OME_E_INVALID, "oci: %s: the name %.80s... is too long", l->session->name, o->name);
  (void)snprintf(etag, sizeof(etag), *o->etag == '"' || !*o->etag ? "%.250s" : "\"%.250s\"", o->etag);
  if (*o->md5) {
    f.digest_type = OME_DIGEST_MD5;
    f.digest = o->md5;
  } else {
    int32_t rc = complete(l, &f, digest, etag);
    if (rc != OME_OK)
      return rc;
  }
  f.etag = *etag ? etag : NULL;
  ++*l->files;
  return push(l, &f);
}

static int page_url(const struct listing *l, char *out, size_t size) {
  const struct oci_session *s = l->session;
  char below[OCI_NAME_TEXT + 1], prefix[3 * sizeof(below)], start[3 * OCI_NAME_TEXT];

  (void)snprintf(below, sizeof(below), "%s%s", s->at.prefix, *s->at.prefix ? "/" : "");
  if (uri_encode(below, 0, prefix, sizeof(prefix)) != 0 || uri_encode(l->next, 0, start, sizeof(start)) != 0)
    return -1;
  int n = snprintf(out, size, "%s/o?fields=name%%2Csize%%2Cmd5%%2Cetag%%2CarchivalState&limit=1000%s%s%s%s", s->bucket,
                   *prefix ? "&prefix=" : "", prefix, *start ? "&start=" : "", start);
  return n > 0 && (size_t)n < size ? 0 : -1;
}

static int32_t read_page(void *arg, uint64_t *files, int *is_last, struct ome_err *err) {
  struct listing *l = arg;
  struct oci_session *s = l->session;
  struct http_answer a = {0};
  char url[OCI_URL_MAX];

  l->err = err;
  l->files = files;
  if (page_url(l, url, sizeof(url)) != 0)
    return ome_fail(err, OME_E_INVALID, "oci: %s: the prefix or the start of the next page is too long", s->name);
  int32_t rc = oci_ask(s, "GET", url, &a, err);
  if (rc == OME_OK && a.status != 200)
    rc = oci_refused(s, &a, "list of objects", err);
  if (rc == OME_OK)
    rc = oci_page_read(a.body, a.len, s->name, on_object, l, l->next, err);
  http_answer_fini(&a);
  *is_last = !*l->next;
  return rc;
}

/* The prefix may be one object's name. */
static int32_t push_single(void *arg, struct ome_err *err) {
  struct listing *l = arg;
  struct oci_session *s = l->session;
  const char *size;
  struct http_answer a = {0};
  char url[OCI_URL_MAX], digest[OCI_HEX_TEXT], etag[260] = "";
  struct ome_model_file f = {.struct_size = sizeof(f), .path = bucket_base_name(s->at.prefix), .url = url};

  l->err = err;
  if (oci_object_url(s, "o", s->at.prefix, url, sizeof(url)) != 0)
    return ome_fail(err, OME_E_INVALID, "oci: %s: the name %.80s... is too long", s->name, s->at.prefix);
  int32_t rc = look(s, &f, digest, etag, &a, err);
  if (rc == OME_OK && a.status == 404) {
    rc = ome_fail(err, OME_E_NOT_FOUND, "oci: %s: there is no object %.300s, and none below it; check the name",
                  s->name, s->at.prefix);
  } else if (rc == OME_OK && (a.status != 200 || !(size = http_answer_header(&a, "content-length")))) {
    rc = oci_refused(s, &a, s->at.prefix, err);
  } else if (rc == OME_OK) {
    f.size = strtoull(size, NULL, 10);
    f.etag = *etag ? etag : NULL;
    rc = push(l, &f);
  }
  http_answer_fini(&a);
  return rc;
}

/* TensorRT-LLM engines are built for one shape of machine: models of that format keep those below /SHAPE/. */
static const char *shape_of(const struct ome_model_ref *ref) {
  return kv_text(ref->params, ref->nparams, "shapeAlias");
}

static int32_t list_prefix(struct listing *l, struct ome_err *err) {
  char things[160];
  const struct bucket b = {.plugin = "oci",
                           .things = things,
                           .uri = l->session->ref->uri,
                           .may_be_object = *l->session->at.prefix && !l->shape,
                           .call = l->session->call,
                           .arg = l,
                           .page = read_page,
                           .object = push_single};

  (void)snprintf(things, sizeof(things), "objects%s%.100s", l->shape ? " for the shape " : "",
                 l->shape ? l->shape : "");
  return bucket_list(&b, err);
}

static int32_t list(void *self, const struct ome_call *call, const struct ome_model_ref *ref, struct ome_file_sink *out,
                    struct ome_err *err) {
  struct oci_session s = {.oci = self, .call = call, .ref = ref};
  struct listing l = {.session = &s, .out = out, .shape = shape_of(ref)};
  int32_t rc = oci_session_init(&s, err);

  if (rc == OME_OK)
    rc = oci_session_find(&s, err);
  if (rc == OME_OK)
    rc = list_prefix(&l, err);
  oci_session_fini(&s);
  return rc;
}

/* ---- requests for files ------------------------------------------------------------------------------------------ */

static int32_t push_headers(const struct oci_session *s, const struct oci_signed *signature, const char *etag,
                            struct ome_kv_sink *out) {
  char life[32], match[260];
  int32_t rc = OME_OK;

  (void)snprintf(life, sizeof(life), "%llu", (unsigned long long)oci_session_life_ms(s));
  for (uint64_t i = 0; rc == OME_OK && i < signature->n; i++)
    rc = out->kv(out, signature->headers[i].key, signature->headers[i].value);
  if (rc == OME_OK)
    rc = out->kv(out, OME_REQUEST_EXPIRES, life);
  if (rc == OME_OK && etag && etag[0] == '"') { /* the service writes its tags without the quotes */
    (void)snprintf(match, sizeof(match), "%.*s", (int)strcspn(etag + 1, "\""), etag + 1);
    rc = out->kv(out, "If-Match", match);
  }
  return rc;
}

static int32_t headers(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                       const struct ome_model_file *file, struct ome_kv_sink *out, struct ome_err *err) {
  struct oci_session s = {.oci = self, .call = call, .ref = ref};
  struct oci_signed *signature = malloc(sizeof(*signature));
  int32_t rc = signature ? oci_session_init(&s, err) : ome_fail(err, OME_E_NO_MEMORY, "oci: out of memory");

  if (rc == OME_OK && file->url && uri_is_below(file->url, s.endpoint)) {
    rc = oci_session_sign(&s, "GET", file->url, NULL, signature, err);
    if (rc == OME_OK && (rc = push_headers(&s, signature, file->etag, out)) != OME_OK)
      rc = ome_sink_failed(err, rc);
  }
  oci_session_fini(&s);
  free(signature);
  return rc;
}

static int32_t upload(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                      const struct ome_upload_file *file, struct ome_uploader *to, struct ome_err *err) {
  struct oci_session s = {.oci = self, .call = call, .ref = ref};
  char name[2 * OCI_NAME_TEXT];
  int32_t rc = oci_session_init(&s, err);

  if (rc == OME_OK)
    rc = oci_session_find(&s, err);
  int n = snprintf(name, sizeof(name), "%s%s%s", s.at.prefix, *s.at.prefix ? "/" : "", file->path);
  if (rc == OME_OK && (n < 0 || n >= OCI_NAME_TEXT))
    rc = ome_fail(err, OME_E_INVALID, "oci: %s: the name %.80s... is longer than 1024 bytes", s.name, name);
  if (rc == OME_OK)
    rc = oci_put(&s, name, file, to, err);
  oci_session_fini(&s);
  return rc;
}

/* ---- descriptor -------------------------------------------------------------------------------------------------- */

STORAGE_KEY(
    auth, OME_KEY_STRING,
    "UserPrincipal, InstancePrincipal, ResourcePrincipal or OkeWorkloadIdentity, for models that do not say; without it "
    "UserPrincipal where there is a configuration file, else InstancePrincipal.");
STORAGE_KEY(region, OME_KEY_STRING,
            "For models that say none; without it the principal's own, $OCI_REGION, $OCI_CLI_REGION.");
STORAGE_KEY(endpoint, OME_KEY_STRING, "Address of Object Storage, for private clouds; without it the region's.");
STORAGE_KEY(auth_endpoint, OME_KEY_STRING,
            "Address of the authentication service; without it $OCI_SDK_AUTH_CLIENT_REGION_URL, then the region's.");
STORAGE_KEY(
    config_file, OME_KEY_STRING,
    "Keys of UserPrincipal; without it $OCI_CONFIG_FILE, $OCI_CLI_CONFIG_FILE, $OCI_CONFIG_PATH, ~/.oci/config.");
STORAGE_KEY(profile, OME_KEY_STRING,
            "Section of config_file; without it $OCI_CONFIG_PROFILE, $OCI_CLI_PROFILE, DEFAULT.");
STORAGE_KEY(service_account, OME_KEY_STRING,
            "Folder with token and ca.crt, for OkeWorkloadIdentity; without it the pod's.");
static const struct ome_key *const keys[] = {&key_auth,        &key_region,  &key_endpoint,        &key_auth_endpoint,
                                             &key_config_file, &key_profile, &key_service_account, NULL};

static void destroy(void *self) {
  struct oci *o = self;

  if (!o)
    return;
  char *texts[] = {o->auth, o->region, o->endpoint, o->auth_endpoint, o->config_file, o->profile, o->service_account};
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
    free(texts[i]);
  for (int i = 0; i < OCI_KINDS; i++)
    oci_identity_fini(&o->kept[i]);
  (void)pthread_mutex_destroy(&o->lock);
  free(o);
}

/* An http(s) address without '/' at its end; "" and NULL are none. */
static int is_address(char *url) {
  size_t n = url ? strlen(url) : 0;

  if (!url)
    return 1;
  while (n && url[n - 1] == '/')
    url[--n] = '\0';
  return n < 300 && (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0);
}

static int32_t create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                      struct ome_err *err) {
  struct oci *o = calloc(1, sizeof(*o));

  if (!o)
    return ome_fail(err, OME_E_NO_MEMORY, "oci: out of memory");
  (void)pthread_mutex_init(&o->lock, NULL);
  o->host = host;
  char **slots[] = {&o->auth,        &o->region,  &o->endpoint,       &o->auth_endpoint,
                    &o->config_file, &o->profile, &o->service_account};
  int32_t rc = OME_OK;
  for (size_t i = 0; rc == OME_OK && keys[i]; i++) {
    const char *value = kv_text(cfg, ncfg, keys[i]->name);
    if (value && !(*slots[i] = strdup(value)))
      rc = ome_fail(err, OME_E_NO_MEMORY, "oci: out of memory");
  }
  if (rc == OME_OK && o->auth && oci_kind_of(o->auth) < 0)
    rc = ome_fail(err, OME_E_INVALID, "oci: auth \"%.40s\" is no principal", o->auth);
  if (rc == OME_OK && (!is_address(o->endpoint) || !is_address(o->auth_endpoint)))
    rc = ome_fail(err, OME_E_INVALID, "oci: endpoint and auth_endpoint are http(s) addresses");
  if (rc != OME_OK) {
    destroy(o);
    return rc;
  }
  *out_self = o;
  return OME_OK;
}

static int32_t match(void *self, const char *uri) {
  (void)self;
  return strncmp(uri, "oci://", 6) == 0 ? 100 : 0;
}

STORAGE_SCHEMES("oci://");

static const struct ome_storage_ops ops = {
    .struct_size = sizeof(ops), .match = match, .list = list, .headers = headers, .upload = upload, .schemes = schemes};

STORAGE_PLUGIN("oci", "Models in Oracle Cloud's Object Storage (oci://)", keys, create, destroy);
