/* storage "http": a file at an http(s) address, or the files that a list there names.
 *
 * Names come from addresses and lists, never from what a server proposes (Content-Disposition).  Credentials go to the
 * origin of the model's address only. */
#include "../common/http.h"
#include "../common/encode.h"
#include "../common/storage.h"
#include "http_manifest.h"

#include <ome-sdk/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADERS 16
#define EXTRA "header."

enum { ORIGIN, TOKEN, USERNAME, PASSWORD, SETTINGS };

STORAGE_KEY(origin, OME_KEY_STRING, "\"https://HOST[:PORT]\" that the other settings are for; they go nowhere else.");
STORAGE_KEY(token, OME_KEY_SECRET, "Bearer token for models that bring none of their own.");
STORAGE_KEY(username, OME_KEY_STRING, "User of basic authentication.");
STORAGE_KEY(password, OME_KEY_SECRET, "Its password.");
static const struct ome_key *const keys[] = {&key_origin, &key_token, &key_username, &key_password, NULL};

struct http {
  const struct ome_host *host;
  char *settings[SETTINGS];
};

static void destroy(void *self) {
  struct http *h = self;

  for (int i = 0; h && i < SETTINGS; i++) {
    if (h->settings[i])
      explicit_bzero(h->settings[i], strlen(h->settings[i]));
    free(h->settings[i]);
  }
  free(h);
}

static int32_t create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                      struct ome_err *err) {
  struct http *h = calloc(1, sizeof(*h));

  if (!h)
    return ome_fail(err, OME_E_NO_MEMORY, "http: out of memory");
  h->host = host;
  for (int i = 0; i < SETTINGS; i++) {
    const char *value = kv_text(cfg, ncfg, keys[i]->name);
    h->settings[i] = value ? strdup(value) : NULL;
  }
  int has_secret = h->settings[TOKEN] || h->settings[PASSWORD];
  if (has_secret && !h->settings[ORIGIN]) {
    destroy(h);
    return ome_fail(err, OME_E_INVALID, "http: token and password need origin, the host that they are for");
  }
  *out_self = h;
  return OME_OK;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

struct session {
  const struct http *h;
  const struct ome_call *call;
  const struct ome_model_ref *ref;
  struct http_uri uri;
  struct ome_kv headers[MAX_HEADERS]; /* for the origin; borrow from REF and AUTHORIZATION */
  uint64_t nheaders;
  char authorization[4096]; /* secret */
};

/* The model's, or the plugin's where those are for this origin. */
static const char *secret(const struct session *s, int i) {
  const char *value = kv_text(s->ref->params, s->ref->nparams, keys[i]->name), *origin = s->h->settings[ORIGIN];

  return value ? value : origin && uri_is_below(s->uri.url, origin) ? s->h->settings[i] : NULL;
}

static int32_t add_basic(struct session *s, const char *user, const char *password, struct ome_err *err) {
  char pair[2048];
  int n = snprintf(pair, sizeof(pair), "%s:%s", user, password ? password : "");

  if (n < 0 || (size_t)n >= sizeof(pair))
    return ome_fail(err, OME_E_INVALID, "http: the password is too long");
  memcpy(s->authorization, "Basic ", 6);
  (void)base64_write(pair, (size_t)n, s->authorization + 6, sizeof(s->authorization) - 6);
  explicit_bzero(pair, sizeof(pair));
  return OME_OK;
}

static int32_t add_credentials(struct session *s, struct ome_err *err) {
  const char *token = secret(s, TOKEN), *user = secret(s, USERNAME);
  int32_t rc = OME_OK;

  if (token &&
      (size_t)snprintf(s->authorization, sizeof(s->authorization), "Bearer %s", token) >= sizeof(s->authorization))
    rc = ome_fail(err, OME_E_INVALID, "http: the token is too long");
  else if (!token && user)
    rc = add_basic(s, user, secret(s, PASSWORD), err);
  if (rc == OME_OK && *s->authorization)
    s->headers[s->nheaders++] = (struct ome_kv){"authorization", s->authorization};
  for (uint64_t i = 0; i < s->ref->nparams && s->nheaders < MAX_HEADERS; i++) {
    const struct ome_kv *p = &s->ref->params[i];
    if (p->key && p->value && strncmp(p->key, EXTRA, sizeof(EXTRA) - 1) == 0 && p->key[sizeof(EXTRA) - 1])
      s->headers[s->nheaders++] = (struct ome_kv){p->key + sizeof(EXTRA) - 1, p->value};
  }
  return rc;
}

static int32_t open_session(const struct http *h, const struct ome_call *call, const struct ome_model_ref *ref,
                            struct session *s, struct ome_err *err) {
  *s = (struct session){.h = h, .call = call, .ref = ref};
  if (http_uri_parse(ref->uri, &s->uri) != 0)
    return ome_fail(
        err, OME_E_INVALID,
        "http: the address is not http(s)://HOST/PATH[#sha256=HEX] without a user in it; give credentials as "
        "token, or username and password");
  return add_credentials(s, err);
}

/* Asks for URL, of the session's origin; RANGE (may be NULL) is a header's value. */
static int32_t ask(const struct session *s, const char *method, const char *url, const char *range, uint64_t max,
                   struct http_answer *a, struct ome_err *err) {
  struct ome_kv headers[MAX_HEADERS + 2];
  uint64_t n = s->nheaders;

  memcpy(headers, s->headers, sizeof(s->headers));
  headers[n++] = (struct ome_kv){"accept-encoding", "identity"}; /* sizes are those of the file itself */
  if (range)
    headers[n++] = (struct ome_kv){"range", range};
  const struct ome_http_req req = {
      .struct_size = sizeof(req), .method = method, .url = url, .headers = headers, .nheaders = n, .max_body = max};
  return http_perform(s->h->host, s->call, &req, a, err);
}

/* Queries may be signatures: they are not repeated. */
static int32_t refused(const struct http_answer *a, const char *url, struct ome_err *err) {
  char what[220];

  (void)snprintf(what, sizeof(what), "http: %.*s", (int)(strcspn(url, "?") < 200 ? strcspn(url, "?") : 200), url);
  return http_refused(a, what, NULL, NULL, err);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

struct found {
  uint64_t size;
  char etag[256]; /* strong; "" none */
};

static uint64_t size_of(const struct http_answer *a) {
  const char *length = http_answer_header(a, "content-length"), *range = http_answer_header(a, "content-range");
  const char *total = range ? strchr(range, '/') : NULL, *text = a->status == 206 ? (total ? total + 1 : NULL) : length;
  char *end = NULL;

  if (!text || *text < '0' || *text > '9' || strlen(text) > 18)
    return OME_SIZE_UNKNOWN;
  uint64_t size = strtoull(text, &end, 10);
  return *end ? OME_SIZE_UNKNOWN : size;
}

static void keep(const struct http_answer *a, struct found *out) {
  const char *etag = http_answer_header(a, "etag");

  out->size = size_of(a);
  if (etag && *etag == '"' && strlen(etag) < sizeof(out->etag))
    memcpy(out->etag, etag, strlen(etag) + 1);
}

/* By HEAD; where that is refused or says no size (signed addresses are for GET alone), by a range of one byte. */
static int32_t look(const struct session *s, const char *url, struct found *out, struct ome_err *err) {
  struct http_answer a = {0};
  int32_t rc = ask(s, "HEAD", url, NULL, 0, &a, err);

  *out = (struct found){.size = OME_SIZE_UNKNOWN};
  if (rc == OME_OK && a.status == 200)
    keep(&a, out);
  if (rc == OME_OK && out->size == OME_SIZE_UNKNOWN) {
    rc = ask(s, "GET", url, "bytes=0-0", 1 << 16, &a, err);
    if (rc == OME_E_INVALID) /* all of it, and too much of it: the size is not known before it is there */
      rc = OME_OK;
    else if (rc == OME_OK && a.status != 200 && a.status != 206)
      rc = refused(&a, url, err);
    else if (rc == OME_OK)
      keep(&a, out);
  }
  http_answer_fini(&a);
  return rc;
}

static int32_t push(const struct session *s, struct ome_file_sink *out, const char *url, const char *path,
                    uint64_t size, const char *sha256, struct ome_err *err) {
  struct found found = {.size = size};
  int32_t rc = size == OME_SIZE_UNKNOWN ? look(s, url, &found, err) : OME_OK;

  if (rc != OME_OK)
    return rc;
  const struct ome_model_file f = {.struct_size = sizeof(f),
                                   .path = path,
                                   .size = found.size,
                                   .url = url,
                                   .etag = *found.etag ? found.etag : NULL,
                                   .digest_type = *sha256 ? OME_DIGEST_SHA256 : OME_DIGEST_NONE,
                                   .digest = *sha256 ? sha256 : NULL};
  rc = out->file(out, &f);
  return rc == OME_OK ? OME_OK : ome_fail(err, rc, "http: the host did not take %.300s", path);
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

/* Reads the list at URL; *IS_THERE is 0 where there is none. */
static int32_t read_manifest(const struct session *s, const char *url, struct http_manifest *m, int *is_there,
                             struct ome_err *err) {
  struct http_answer a = {0};
  int32_t rc = ask(s, "GET", url, NULL, 0, &a, err);

  *is_there = rc == OME_OK && a.status == 200;
  if (rc == OME_OK && !*is_there)
    rc = refused(&a, url, err);
  else if (rc == OME_OK && (!a.body || strlen(a.body) != a.len || http_manifest_read(a.body, a.len, m) != OME_OK))
    rc = ome_fail(err, OME_E_INVALID, "http: %.*s: it is neither SHA-256 sums nor {\"files\": [{path, size, sha256}]}",
                  (int)strcspn(url, "?"), url);
  http_answer_fini(&a);
  return rc;
}

/* The list that the address names, or the one in the folder that it names. */
static int32_t find_manifest(const struct session *s, struct http_manifest *m, struct ome_err *err) {
  static const char *const names[] = {"SHA256SUMS", "index.json"};
  char url[HTTP_MAX_URL + 16];
  int is_there = 0;
  int32_t rc = OME_OK;

  if (*s->uri.name)
    return read_manifest(s, s->uri.url, m, &is_there, err);
  for (size_t i = 0; !is_there && i < 2; i++) {
    (void)snprintf(url, sizeof(url), "%s%s", s->uri.folder, names[i]);
    rc = read_manifest(s, url, m, &is_there, err);
    if (rc != OME_OK && rc != OME_E_NOT_FOUND)
      return rc;
  }
  return is_there ? rc
                  : ome_fail(err, OME_E_NOT_FOUND,
                             "http: %.300s: it has neither SHA256SUMS nor index.json; name a file, or put one there",
                             s->uri.folder);
}

static int32_t list_manifest(const struct session *s, struct ome_file_sink *out, struct ome_err *err) {
  struct http_manifest m = {0};
  int32_t rc = find_manifest(s, &m, err);

  for (size_t i = 0; rc == OME_OK && i < m.n; i++) {
    char path[3072], url[HTTP_MAX_URL + sizeof(path)];
    rc = ome_check_cancelled(s->call, err);
    if (rc == OME_OK && uri_encode(m.entries[i].path, 1, path, sizeof(path)) != 0)
      rc = ome_fail(err, OME_E_INVALID, "http: %.80s...: the path is too long", m.entries[i].path);
    if (rc == OME_OK) {
      (void)snprintf(url, sizeof(url), "%s%s", s->uri.folder, path);
      rc = push(s, out, url, m.entries[i].path, m.entries[i].size, m.entries[i].sha256, err);
    }
  }
  http_manifest_fini(&m);
  return rc;
}

static int32_t list(void *self, const struct ome_call *call, const struct ome_model_ref *ref, struct ome_file_sink *out,
                    struct ome_err *err) {
  const char *wanted = kv_text(ref->params, ref->nparams, "sha256");
  struct session s;
  int32_t rc = open_session(self, call, ref, &s, err);

  if (rc == OME_OK && wanted && http_sha256_parse(wanted, strlen(wanted), s.uri.sha256) != 0)
    rc = ome_fail(err, OME_E_INVALID, "http: the parameter sha256 is not 64 hexadecimal digits");
  if (rc == OME_OK)
    rc = !*s.uri.name || http_is_manifest(s.uri.name)
             ? list_manifest(&s, out, err)
             : push(&s, out, s.uri.url, s.uri.name, OME_SIZE_UNKNOWN, s.uri.sha256, err);
  explicit_bzero(s.authorization, sizeof(s.authorization));
  return rc;
}

static int32_t headers(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                       const struct ome_model_file *file, struct ome_kv_sink *out, struct ome_err *err) {
  struct session s;
  int32_t rc = open_session(self, call, ref, &s, err);

  if (rc == OME_OK && file->url && uri_is_below(file->url, s.uri.origin))
    for (uint64_t i = 0; rc == OME_OK && i < s.nheaders; i++)
      if ((rc = out->kv(out, s.headers[i].key, s.headers[i].value)) != OME_OK)
        (void)ome_fail(err, rc, "http: the host did not take a header");
  explicit_bzero(s.authorization, sizeof(s.authorization));
  return rc;
}

/* ---- descriptor -------------------------------------------------------------------------------------------------- */

static int32_t match(void *self, const char *uri) {
  (void)self;
  return strncmp(uri, "https://", 8) == 0 || strncmp(uri, "http://", 7) == 0 ? 50 : 0;
}

STORAGE_SCHEMES("https://", "http://");

static const struct ome_storage_ops ops = {
    .struct_size = sizeof(ops), .match = match, .list = list, .headers = headers, .schemes = schemes};

STORAGE_PLUGIN("http", "Files at an address, or in a list of SHA-256 sums (https://)", keys, create, destroy);
