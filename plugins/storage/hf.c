/* storage "hf": models on the Hugging Face Hub, or on anything that speaks its API.
 *
 * The revision is pinned first, so that a model is one commit however long its download takes.  Files in LFS come with
 * their SHA-256, the others with git's blob id.  The token is sent to the endpoint only.  What is in
 * Xet storage comes from there (xet.h). */
#include "../common/http.h"
#include "../common/json.h"
#include "../common/secret.h"
#include "../common/storage.h"
#include "hf_upload.h"
#include "hf_uri.h"
#include "xet.h"
#include "xet_plan.h"

#include <ome-sdk/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_URL 2048
#define MAX_PAGES 2000
#define MAX_TOKEN ((size_t)4096)
#define XET_PIECE ((uint64_t)16 << 20) /* bytes that one read() of Xet storage gets; more is more memory */

struct hf {
  const struct ome_host *host;
  char endpoint[512];
  char *token; /* NULL: from the environment or file when asked */
  char *token_file;
  struct xet *xet; /* NULL: not to be used */
};

/* ---- configuration ----------------------------------------------------------------------------------------------- */

STORAGE_KEY(endpoint, OME_KEY_STRING, "Address of the hub; without it $HF_ENDPOINT, then https://huggingface.co.");
STORAGE_KEY(token, OME_KEY_SECRET,
            "Access token for models that bring none of their own; without it $HF_TOKEN, then token_file.");
STORAGE_KEY(token_file, OME_KEY_STRING, "File with an access token; without it $HF_TOKEN_PATH, then $HF_HOME/token.");
STORAGE_KEY(xet, OME_KEY_BOOL,
            "Read files that the hub keeps in Xet storage from there; without it unless $HF_HUB_DISABLE_XET says no.");
static const struct ome_key *const keys[] = {&key_endpoint, &key_token, &key_token_file, &key_xet, NULL};

static char *copy_of(const char *text) {
  return text ? strdup(text) : NULL;
}

static void destroy(void *self) {
  struct hf *h = self;

  if (!h)
    return;
  free(h->token);
  free(h->token_file);
  xet_free(h->xet);
  free(h);
}

static int wants_xet(const struct ome_kv *cfg, uint32_t ncfg) {
  const char *set = kv_text(cfg, ncfg, "xet"), *env = getenv("HF_HUB_DISABLE_XET");

  if (set)
    return strcmp(set, "true") == 0;
  return !env || (strcmp(env, "1") != 0 && strcasecmp(env, "true") != 0 && strcasecmp(env, "yes") != 0 &&
                  strcasecmp(env, "on") != 0);
}

static int32_t create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                      struct ome_err *err) {
  struct hf *h = calloc(1, sizeof(*h));
  const char *endpoint = kv_text(cfg, ncfg, "endpoint");
  const char *fallback = getenv("HF_ENDPOINT");

  if (!h)
    return ome_fail(err, OME_E_NO_MEMORY, "hf: out of memory");
  if (!endpoint)
    endpoint = fallback && *fallback ? fallback : "https://huggingface.co";
  size_t len = strlen(endpoint);
  while (len && endpoint[len - 1] == '/')
    len--;
  if (len >= sizeof(h->endpoint) || (strncmp(endpoint, "http://", 7) != 0 && strncmp(endpoint, "https://", 8) != 0)) {
    destroy(h);
    return ome_fail(err, OME_E_INVALID, "hf: the endpoint \"%.100s\" is no http(s) address", endpoint);
  }
  memcpy(h->endpoint, endpoint, len);
  h->host = host;
  h->token = copy_of(kv_text(cfg, ncfg, "token"));
  h->token_file = copy_of(kv_text(cfg, ncfg, "token_file"));
  if (wants_xet(cfg, ncfg) && !(h->xet = xet_new(host))) {
    destroy(h);
    return ome_fail(err, OME_E_NO_MEMORY, "hf: out of memory");
  }
  *out_self = h;
  return OME_OK;
}

/* ---- token ------------------------------------------------------------------------------------------------------- */

/* The token of the file, anew each time, since it may be renewed; the caller's to forget; NULL: there is none. */
static char *read_token_file(const struct hf *h) {
  const char *path = h->token_file ? h->token_file : getenv("HF_TOKEN_PATH");
  const char *home = getenv("HF_HOME"), *user = getenv("HOME");
  char fallback[1024] = "";

  if (!path && home)
    (void)snprintf(fallback, sizeof(fallback), "%s/token", home);
  else if (!path && user)
    (void)snprintf(fallback, sizeof(fallback), "%s/.cache/huggingface/token", user);
  return secret_read_word(path ? path : fallback, MAX_TOKEN);
}

/* The model's own, the configured, the environment's, the file's; "" none. */
static void find_token(const struct hf *h, const struct ome_model_ref *ref, char *out, size_t size) {
  const char *token = kv_text(ref->params, ref->nparams, "token");
  char *from_file = NULL;

  if (!token)
    token = h->token ? h->token : env_text("HF_TOKEN");
  if (!token)
    token = from_file = read_token_file(h);
  (void)snprintf(out, size, "%s", token ? token : "");
  secret_forget(from_file, from_file ? strlen(from_file) : 0);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

/* <URL>; rel="next" (RFC 8288) */
static void read_link(const char *value, char *out, size_t size) {
  const char *open = value ? strchr(value, '<') : NULL, *close = open ? strchr(open, '>') : NULL;

  out[0] = '\0';
  if (close && strstr(close, "rel=\"next\"") && (size_t)(close - open) < size)
    (void)snprintf(out, size, "%.*s", (int)(close - open - 1), open + 1);
}

static const char *advice_for(int32_t status, const char *code, int has_token) {
  if (status == 401 || status == 403)
    return strcmp(code, "GatedRepo") == 0 ? "accept the model's terms on the hub and give a token of that account"
           : has_token                    ? "the token is not valid or may not read this model"
                                          : "private, gated or not there; give a token (Secret, HF_TOKEN)";
  if (status == 404)
    return strcmp(code, "RevisionNotFound") == 0 ? "there is no such revision" : "there is no such model";
  if (status == 429)
    return has_token ? "the hub limits the rate, try again later" : "the hub limits the rate, a token raises the limit";
  return NULL;
}

static int32_t refused(const struct http_answer *a, const char *repo, const char *token, struct ome_err *err) {
  const char *code = http_answer_header(a, "x-error-code"), *message = http_answer_header(a, "x-error-message");
  char what[220], why[300];

  (void)snprintf(what, sizeof(what), "hf: %s", repo);
  (void)snprintf(why, sizeof(why), "%s%s%s", code ? code : "", code && message ? ": " : "", message ? message : "");
  int32_t rc = http_refused(a, what, *why ? why : NULL, advice_for(a->status, code ? code : "", *token != '\0'), err);

  if (rc == OME_E_DENIED && code && strcmp(code, "GatedRepo") == 0)
    rc = err->code = OME_E_GATED;
  return rc;
}

/* GETs URL. */
static int32_t get(const struct hf *h, const struct ome_call *call, const char *url, const char *repo,
                   const char *token, struct http_answer *a, struct ome_err *err) {
  char bearer[600];
  const struct ome_kv headers[] = {{"accept", "application/json"}, {"authorization", bearer}};
  const struct ome_http_req req = {
      .struct_size = sizeof(req), .url = url, .headers = headers, .nheaders = *token ? 2 : 1};

  (void)snprintf(bearer, sizeof(bearer), "Bearer %s", token);
  int32_t rc = http_perform(h->host, call, &req, a, err);
  return rc == OME_OK && a->status != 200 ? refused(a, repo, token, err) : rc;
}

/* ---- listing ----------------------------------------------------------------------------------------------------- */

struct listing {
  const struct hf *h;
  const struct ome_model_ref *ref;
  struct ome_file_sink *out;
  struct hf_uri uri;
  char token[512];
  char commit[200];
};

static int32_t pin(struct listing *l, const struct ome_call *call, struct ome_err *err) {
  char url[MAX_URL], revision[640];
  struct http_answer a = {0};

  if (uri_encode(l->uri.revision, 0, revision, sizeof(revision)) != 0)
    return ome_fail(err, OME_E_INVALID, "hf: %s: the revision is too long", l->uri.repo);
  (void)snprintf(url, sizeof(url), "%s/api/models/%s/revision/%s", l->h->endpoint, l->uri.repo, revision);
  int32_t rc = get(l->h, call, url, l->uri.repo, l->token, &a, err);
  struct json_object *info = rc == OME_OK ? json_read(a.body, a.len) : NULL;
  if (rc == OME_OK && !info) {
    rc = ome_fail(err, OME_E_UNAVAILABLE, "hf: %s: the hub's answer is no JSON; check that %.200s is a hub",
                  l->uri.repo, l->h->endpoint);
  } else if (rc == OME_OK) {
    const char *sha = json_text_at(info, "sha");
    if (*sha == '\0' || strlen(sha) >= sizeof(l->commit) || strspn(sha, "0123456789abcdefABCDEF") != strlen(sha))
      rc = ome_fail(err, OME_E_UNAVAILABLE, "hf: %s: the hub names no commit for %s", l->uri.repo, l->uri.revision);
    else
      (void)snprintf(l->commit, sizeof(l->commit), "%s", sha);
  }
  (void)json_object_put(info);
  http_answer_fini(&a);
  if (rc == OME_OK && l->out->revision)
    rc = l->out->revision(l->out, l->commit);
  return rc;
}

/* What the hub keeps in Xet storage is read from there, and known by its Xet hash: read() finds it in the etag.  Only
 * with a SHA-256, because that is what verifies it. */
static void use_xet(struct ome_model_file *f, const char *hash, char etag[XET_HASH + 2]) {
  (void)snprintf(etag, XET_HASH + 2, "\"%s\"", hash);
  f->etag = etag;
  f->url = NULL;
  f->range_bytes = XET_PIECE;
}

/* A part of a repository keeps its place in it when it is pulled; who pushes wants to know what is below the address.
 */
static const char *told_path(const struct listing *l, const char *path) {
  const char *wanted = kv_text(l->ref->params, l->ref->nparams, "paths");
  size_t root = strlen(l->uri.path);

  return wanted && strcmp(wanted, "relative") == 0 && root && path[root] == '/' ? path + root + 1 : path;
}

static int32_t push_file(const struct listing *l, struct json_object *entry, struct ome_err *err) {
  char url[MAX_URL], path_text[1600], etag[XET_HASH + 2];
  struct json_object *size = NULL, *lfs = NULL;
  const char *path = json_text_at(entry, "path");
  const char *sha256 = json_object_object_get_ex(entry, "lfs", &lfs) ? json_text_at(lfs, "oid") : "";
  const char *oid = json_text_at(entry, "oid");
  struct ome_model_file f = {.struct_size = sizeof(f), .path = told_path(l, path), .url = url};

  if (strcmp(json_text_at(entry, "type"), "file") != 0 || !hf_is_below(path, l->uri.path))
    return OME_OK;
  if (uri_encode(path, 1, path_text, sizeof(path_text)) != 0)
    return ome_fail(err, OME_E_INVALID, "hf: %s: the path %.80s... is too long", l->uri.repo, path);
  int n = snprintf(url, sizeof(url), "%s/%s/resolve/%s/%s", l->h->endpoint, l->uri.repo, l->commit, path_text);
  if (n >= (int)sizeof(url))
    return ome_fail(err, OME_E_INVALID, "hf: %s: the path %.80s... is too long", l->uri.repo, path);
  if (json_object_object_get_ex(entry, "size", &size) && json_object_get_int64(size) >= 0)
    f.size = (uint64_t)json_object_get_int64(size);
  if (strlen(sha256) == 64) {
    f.digest_type = OME_DIGEST_SHA256;
    f.digest = sha256;
  } else if (strlen(oid) == 40) {
    f.digest_type = OME_DIGEST_GIT_SHA1;
    f.digest = oid;
  }
  const char *hash = json_text_at(entry, "xetHash");
  if (l->h->xet && f.digest_type == OME_DIGEST_SHA256 && f.size && xet_is_hash(hash))
    use_xet(&f, hash, etag);
  int32_t rc = l->out->file(l->out, &f);
  return rc == OME_OK ? OME_OK : ome_fail(err, rc, "hf: %s: the host did not take %.200s", l->uri.repo, path);
}

struct pushing {
  const struct listing *l;
  struct ome_err *err;
};

static int32_t push_entry(void *arg, struct json_object *entry) {
  const struct pushing *p = arg;

  return push_file(p->l, entry, p->err);
}

static int32_t list_pages(struct listing *l, const struct ome_call *call, struct ome_err *err) {
  char url[MAX_URL];
  int32_t rc = OME_OK;

  (void)snprintf(url, sizeof(url), "%s/api/models/%s/tree/%s?recursive=true", l->h->endpoint, l->uri.repo, l->commit);
  for (int page = 0; rc == OME_OK && *url; page++) {
    char next[MAX_URL] = "";
    struct http_answer a = {0};
    if (page == MAX_PAGES)
      return ome_fail(err, OME_E_INVALID, "hf: %s: its file list does not end", l->uri.repo);
    /* The token goes nowhere else. */
    if (!uri_is_below(url, l->h->endpoint))
      return ome_fail(err, OME_E_INVALID, "hf: %s: the next page of the file list is on another host", l->uri.repo);
    struct pushing p = {l, err};
    rc = get(l->h, call, url, l->uri.repo, l->token, &a, err);
    if (rc == OME_OK)
      rc = json_each(a.body, a.len, push_entry, &p);
    if (rc == JSON_NO_ARRAY)
      rc = ome_fail(err, OME_E_UNAVAILABLE, "hf: %s: the hub's file list cannot be read", l->uri.repo);
    read_link(http_answer_header(&a, "link"), next, MAX_URL);
    http_answer_fini(&a);
    (void)snprintf(url, sizeof(url), "%s", next);
  }
  return rc;
}

static int32_t match(void *self, const char *uri) {
  (void)self;
  return strncmp(uri, "hf://", 5) == 0 ? 100 : 0;
}

static int32_t open_ref(const struct hf *h, const struct ome_model_ref *ref, struct listing *l, struct ome_err *err) {

  if (hf_uri_parse(ref->uri, &l->uri) != 0)
    return ome_fail(err, OME_E_INVALID, "hf: \"%.200s\" is not hf://ORG/NAME[/PATH][@REVISION]",
                    ref->uri ? ref->uri : "");
  if (ref->revision && *ref->revision)
    (void)snprintf(l->uri.revision, sizeof(l->uri.revision), "%s", ref->revision);
  l->h = h;
  l->ref = ref;
  find_token(h, ref, l->token, sizeof(l->token));
  return OME_OK;
}

static int32_t list(void *self, const struct ome_call *call, const struct ome_model_ref *ref, struct ome_file_sink *out,
                    struct ome_err *err) {
  struct listing l = {.out = out};
  int32_t rc = open_ref(self, ref, &l, err);

  if (rc == OME_OK)
    rc = pin(&l, call, err);
  if (rc == OME_OK)
    rc = list_pages(&l, call, err);
  return rc;
}

static int32_t headers(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                       const struct ome_model_file *file, struct ome_kv_sink *out, struct ome_err *err) {
  struct listing l = {0};
  char bearer[600];
  int32_t rc = open_ref(self, ref, &l, err);

  (void)call;
  if (rc != OME_OK || !*l.token || !file->url || !uri_is_below(file->url, l.h->endpoint))
    return rc;
  (void)snprintf(bearer, sizeof(bearer), "Bearer %s", l.token);
  return kv_push(out, &(struct ome_kv){"Authorization", bearer}, 1, err);
}

/* A file in Xet storage; a revision that has moved on does no harm, the hash says what is read. */
static int32_t read_xet(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                        const struct ome_model_file *file, uint64_t offset, uint64_t len, struct ome_byte_sink *out,
                        struct ome_err *err) {
  char bearer[600], hash[XET_HASH] = "", url[MAX_URL], revision[640], name[600];
  const struct hf *h = self;
  struct listing l = {0};
  int32_t rc = open_ref(h, ref, &l, err);

  if (rc != OME_OK)
    return rc;
  if (file->etag && file->etag[0] == '"')
    (void)snprintf(hash, sizeof(hash), "%.64s", file->etag + 1);
  if (!h->xet || !xet_is_hash(hash) || uri_encode(l.uri.revision, 0, revision, sizeof(revision)) != 0)
    return ome_fail(err, OME_E_INVALID, "hf: %s: %.200s is not in Xet storage", l.uri.repo, file->path);
  (void)snprintf(bearer, sizeof(bearer), "Bearer %s", l.token);
  (void)snprintf(url, sizeof(url), "%s/api/models/%s/xet-read-token/%s", h->endpoint, l.uri.repo, revision);
  (void)snprintf(name, sizeof(name), "%.200s: %.300s", l.uri.repo, file->path);
  const struct xet_file f = {name, hash, url, *l.token ? bearer : NULL};
  return xet_read(h->xet, call, &f, offset, len, out, err);
}

static int32_t upload(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                      const struct ome_upload_file *file, struct ome_uploader *to, struct ome_err *err) {
  struct listing l = {0};
  int32_t rc = open_ref(self, ref, &l, err);

  (void)call;
  if (rc != OME_OK)
    return rc;
  const struct hf_target target = {l.h->endpoint, l.uri.repo, l.uri.revision, l.uri.path, l.token, refused};
  return hf_upload(&target, file, to, err);
}

/* ---- descriptor -------------------------------------------------------------------------------------------------- */

STORAGE_SCHEMES("hf://");

static const struct ome_storage_ops ops = {.struct_size = sizeof(ops),
                                           .match = match,
                                           .list = list,
                                           .headers = headers,
                                           .read = read_xet,
                                           .upload = upload,
                                           .schemes = schemes};

STORAGE_PLUGIN("hf", "Models on the Hugging Face Hub (hf://)", keys, create, destroy);
