/* storage hf: models of the Hugging Face Hub, and of whatever speaks its API ("hf://org/name[@revision][/path]").
 *
 * Resolves the revision to a commit, lists the tree of that commit page by page, and describes each file by its size, its
 * digest (SHA-256 of files in LFS, git's SHA-1 of the others) and its resolve URL. */
#include <ome/service.h>
#include <ome/storage.h>

#include <fnmatch.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_ENDPOINT "https://huggingface.co"
#define PAGE_MAX ((size_t)32 << 20)
#define MAX_PAGES 1000

struct hf {
  const struct ome_host *host;
  char *endpoint; /* without a trailing slash */
  char *token;    /* secret; NULL: none */
};

/* A URI taken apart. */
struct repository {
  char name[256];     /* "org/name" */
  char revision[256]; /* "main" */
  char path[1024];    /* a file or folder in it; "": all */
};

static int32_t fail(struct ome_err *err, int32_t code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int32_t fail(struct ome_err *err, int32_t code, const char *fmt, ...) {
  va_list ap;

  va_start(ap, fmt);
  (void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
  va_end(ap);
  err->code = code;
  err->retry_after_ms = 0;
  return code;
}

/* ---- configuration ---------------------------------------------------------------------------------------------- */

static const char *setting(const struct ome_kv *cfg, uint32_t n, const char *name) {
  for (uint32_t i = 0; i < n; i++)
    if (strcmp(cfg[i].key, name) == 0 && cfg[i].value[0])
      return cfg[i].value;
  return NULL;
}

/* The first line of FILE, new. */
static char *read_token(const char *file) {
  char line[4096] = "";
  FILE *f = fopen(file, "re");

  if (!f)
    return NULL;
  bool any = fgets(line, sizeof(line), f) != NULL;
  (void)fclose(f);
  line[strcspn(line, "\r\n")] = '\0';
  return any && *line ? strdup(line) : NULL;
}

static void destroy(void *self) {
  struct hf *hf = self;

  if (!hf)
    return;
  if (hf->token)
    explicit_bzero(hf->token, strlen(hf->token));
  free(hf->token);
  free(hf->endpoint);
  free(hf);
}

static int32_t create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t n, void **out_self,
                      struct ome_err *err) {
  struct hf *hf = calloc(1, sizeof(*hf));
  const char *endpoint = setting(cfg, n, "endpoint");
  const char *token = setting(cfg, n, "token");
  const char *file = setting(cfg, n, "token_file");

  if (!hf)
    return fail(err, OME_E_NO_MEMORY, "out of memory");
  hf->host = host;
  if (!endpoint)
    endpoint = getenv("HF_ENDPOINT");
  if (!token)
    token = getenv("HF_TOKEN");
  hf->endpoint = strdup(endpoint && *endpoint ? endpoint : DEFAULT_ENDPOINT);
  if (token && *token)
    hf->token = strdup(token);
  else if (file)
    hf->token = read_token(file);
  if (file && !hf->token) {
    destroy(hf);
    return fail(err, OME_E_NOT_FOUND, "token_file %s: cannot be read or is empty", file);
  }
  if (!hf->endpoint) {
    destroy(hf);
    return fail(err, OME_E_NO_MEMORY, "out of memory");
  }
  for (size_t len = strlen(hf->endpoint); len && hf->endpoint[len - 1] == '/';)
    hf->endpoint[--len] = '\0';
  *out_self = hf;
  return OME_OK;
}

/* A parameter of the model, which goes before our own setting. */
static const char *parameter(const struct ome_model_ref *ref, const char *name) {
  for (uint64_t i = 0; i < ref->nparams; i++)
    if (strcmp(ref->params[i].key, name) == 0 && ref->params[i].value && ref->params[i].value[0])
      return ref->params[i].value;
  return NULL;
}

static const char *token_for(const struct hf *hf, const struct ome_model_ref *ref) {
  const char *own = parameter(ref, "token");

  return own ? own : hf->token;
}

/* ---- URIs ------------------------------------------------------------------------------------------------------- */

static int32_t match(void *self, const char *uri) {
  (void)self;
  return strncmp(uri, "hf://", 5) == 0 ? 100 : 0;
}

static bool is_plain(const char *s) {
  for (; *s; s++)
    if ((unsigned char)*s <= ' ' || strchr("?#%\\\"<>", *s))
      return false;
  return true;
}

static bool copy_part(char *out, size_t size, const char *from, size_t len) {
  if (len >= size)
    return false;
  memcpy(out, from, len);
  out[len] = '\0';
  return true;
}

/* "hf://org/name@revision" is OME's form: what follows '@' is the revision, slashes and all.  Without one, segments
 * after org/name are a path in the repository. */
static int32_t parse_uri(const struct ome_model_ref *ref, struct repository *out, struct ome_err *err) {
  const char *p = ref->uri + strlen("hf://");
  const char *at = strchr(p, '@');
  const char *end = at ? at : p + strlen(p);
  const char *slash = memchr(p, '/', (size_t)(end - p));
  const char *second = slash ? memchr(slash + 1, '/', (size_t)(end - slash - 1)) : NULL;
  const char *revision = at && at[1] ? at + 1 : ref->revision && ref->revision[0] ? ref->revision : "main";
  const char *name_end = second ? second : end;

  memset(out, 0, sizeof(*out));
  if (end == p || !is_plain(p) || !copy_part(out->name, sizeof(out->name), p, (size_t)(name_end - p)) ||
      !copy_part(out->revision, sizeof(out->revision), revision, strlen(revision)) ||
      (second && !copy_part(out->path, sizeof(out->path), second + 1, (size_t)(end - second - 1))))
    return fail(err, OME_E_INVALID, "%.200s: not of the form hf://org/name[@revision]", ref->uri);
  return OME_OK;
}

/* Percent-encodes S into OUT; '/' is kept when KEEP_SLASH.  False: it does not fit. */
static bool encode(const char *s, bool keep_slash, char *out, size_t size) {
  size_t n = 0;

  for (; *s; s++) {
    bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
                 strchr("-._~", *s) || (keep_slash && *s == '/');
    if (n + 4 > size)
      return false;
    n += (size_t)snprintf(out + n, size - n, plain ? "%c" : "%%%02X", (unsigned char)*s);
  }
  out[n] = '\0';
  return true;
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

struct answer {
  struct ome_http_sink sink;
  int32_t status;
  char code[64];     /* X-Error-Code */
  char message[256]; /* X-Error-Message */
  char next[2048];   /* URL of the next page */
  uint32_t retry_after_ms;
  char *body;
  size_t len;
};

/* The target of rel="next" in a Link header (RFC 8288). */
static void read_link(const char *value, char *out, size_t size) {
  const char *rel = strstr(value, "rel=\"next\"");
  const char *open = NULL;

  for (const char *p = value; rel && p < rel; p++)
    if (*p == '<')
      open = p + 1;
  const char *close = open ? strchr(open, '>') : NULL;
  if (close && (size_t)(close - open) < size) {
    memcpy(out, open, (size_t)(close - open));
    out[close - open] = '\0';
  }
}

static int32_t on_head(struct ome_http_sink *sink, int32_t status, const struct ome_kv *headers, uint32_t n) {
  struct answer *a = sink->ctx;

  a->status = status;
  for (uint32_t i = 0; i < n; i++) {
    const char *key = headers[i].key;
    if (strcmp(key, "x-error-code") == 0)
      (void)snprintf(a->code, sizeof(a->code), "%s", headers[i].value);
    else if (strcmp(key, "x-error-message") == 0)
      (void)snprintf(a->message, sizeof(a->message), "%s", headers[i].value);
    else if (strcmp(key, "link") == 0)
      read_link(headers[i].value, a->next, sizeof(a->next));
    else if (strcmp(key, "retry-after") == 0)
      a->retry_after_ms = (uint32_t)(strtoul(headers[i].value, NULL, 10) * 1000);
  }
  return OME_OK;
}

static int32_t on_body(struct ome_http_sink *sink, const void *data, uint64_t len) {
  struct answer *a = sink->ctx;
  char *grown = len < PAGE_MAX - a->len ? realloc(a->body, a->len + (size_t)len + 1) : NULL;

  if (!grown)
    return OME_E_NO_MEMORY;
  memcpy(grown + a->len, data, (size_t)len);
  a->body = grown;
  a->len += (size_t)len;
  a->body[a->len] = '\0';
  return OME_OK;
}

/* What an answer other than 200 means for the person. */
static int32_t fail_answer(const struct answer *a, const struct repository *repo, bool has_token, struct ome_err *err) {
  const char *detail = a->message[0] ? a->message : a->code[0] ? a->code : "no reason given";
  int32_t rc;

  if (strcmp(a->code, "GatedRepo") == 0)
    return fail(err, OME_E_DENIED, "%s is gated (%d): accept its terms on the hub with the account of your token",
                repo->name, a->status);
  switch (a->status) {
  case 401:
  case 403:
    return fail(err, OME_E_DENIED, "%s: the hub answered %d: %s; %s", repo->name, a->status, detail,
                has_token ? "the token does not give access" : "set a token, or check the name");
  case 404:
    return fail(err, OME_E_NOT_FOUND, "%s: revision %s was not found on the hub (404): %s", repo->name, repo->revision,
                detail);
  case 429:
    rc = fail(err, OME_E_BUSY, "%s: the hub asks to slow down (429)", repo->name);
    err->retry_after_ms = a->retry_after_ms;
    return rc;
  default:
    return fail(err, a->status >= 500 ? OME_E_UNAVAILABLE : OME_E_INVALID, "%s: the hub answered %d: %s", repo->name,
                a->status, detail);
  }
}

/* GETs URL; the body is JSON in *OUT. */
static int32_t get_json(struct hf *hf, const struct ome_call *call, const struct ome_model_ref *ref,
                        const struct repository *repo, const char *url, char *next, size_t next_size,
                        struct json_object **out, struct ome_err *err) {
  const struct ome_http_service *http = hf->host->service(hf->host, OME_SERVICE_HTTP);
  const char *token = token_for(hf, ref);
  struct answer a = {.sink = {.struct_size = sizeof(a.sink), .head = on_head, .body = on_body}};
  char bearer[4200] = "";
  struct ome_kv headers[2] = {{"Accept", "application/json"}, {"Authorization", bearer}};

  if (!http || !http->perform)
    return fail(err, OME_E_UNSUPPORTED, "this host offers no %s", OME_SERVICE_HTTP);
  if (token)
    (void)snprintf(bearer, sizeof(bearer), "Bearer %s", token);
  a.sink.ctx = &a;
  const struct ome_http_req req = {.struct_size = sizeof(req),
                                   .url = url,
                                   .headers = headers,
                                   .nheaders = token ? 2 : 1,
                                   .max_body = PAGE_MAX};
  int32_t rc = http->perform(hf->host, call, &req, &a.sink, err);
  explicit_bzero(bearer, sizeof(bearer));
  if (rc == OME_OK && a.status != 200)
    rc = fail_answer(&a, repo, token != NULL, err);
  if (rc == OME_OK) {
    *out = a.body ? json_tokener_parse(a.body) : NULL;
    if (!*out)
      rc = fail(err, OME_E_UNAVAILABLE, "%s: the hub's answer is not JSON", repo->name);
    (void)snprintf(next, next_size, "%s", a.next);
  }
  free(a.body);
  return rc;
}

static const char *text_at(struct json_object *o, const char *key) {
  struct json_object *v = NULL;

  return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string) ? json_object_get_string(v)
                                                                                            : NULL;
}

/* ---- listing ---------------------------------------------------------------------------------------------------- */

/* Whether PATH is wanted: below the URI's own path, and as the parameters include and exclude (comma-separated shell
 * patterns) say. */
static bool listed(const char *patterns, const char *path) {
  char one[256];

  while (*patterns) {
    size_t n = strcspn(patterns, ",");
    if (copy_part(one, sizeof(one), patterns, n) && fnmatch(one, path, 0) == 0)
      return true;
    patterns += n + (patterns[n] == ',');
  }
  return false;
}

static bool is_wanted(const struct ome_model_ref *ref, const struct repository *repo, const char *path) {
  const char *include = parameter(ref, "include");
  const char *exclude = parameter(ref, "exclude");
  size_t n = strlen(repo->path);

  if (n && (strncmp(path, repo->path, n) != 0 || (path[n] && path[n] != '/')))
    return false;
  return (!include || listed(include, path)) && !(exclude && listed(exclude, path));
}

static int32_t push_file(struct hf *hf, const struct repository *repo, struct json_object *o, struct ome_file_sink *out,
                         struct ome_err *err) {
  struct json_object *lfs = NULL;
  struct json_object *size = NULL;
  const char *path = text_at(o, "path");
  const char *sha256 = json_object_object_get_ex(o, "lfs", &lfs) ? text_at(lfs, "oid") : NULL;
  const char *sha1 = text_at(o, "oid");
  char encoded[3072];
  char url[4096];

  if (!path || !json_object_object_get_ex(lfs ? lfs : o, "size", &size) || json_object_get_int64(size) < 0)
    return fail(err, OME_E_UNAVAILABLE, "%s: the hub's list of files is not understood", repo->name);
  if (!encode(path, true, encoded, sizeof(encoded)))
    return fail(err, OME_E_INVALID, "%s: file name \"%.100s\" is too long", repo->name, path);
  if (snprintf(url, sizeof(url), "%s/%s/resolve/%s/%s", hf->endpoint, repo->name, repo->revision, encoded) >=
      (int)sizeof(url))
    return fail(err, OME_E_INVALID, "%s: file name \"%.100s\" is too long", repo->name, path);
  const struct ome_model_file file = {
      .struct_size = sizeof(file),
      .digest_type = sha256 ? OME_DIGEST_SHA256 : sha1 ? OME_DIGEST_GIT_SHA1 : OME_DIGEST_NONE,
      .path = path,
      .size = (uint64_t)json_object_get_int64(size),
      .digest = sha256 ? sha256 : sha1,
      .url = url,
  };
  return out->file(out, &file);
}

/* One page of the tree. */
static int32_t push_page(struct hf *hf, const struct ome_model_ref *ref, const struct repository *repo,
                         struct json_object *page, struct ome_file_sink *out, struct ome_err *err) {
  if (!json_object_is_type(page, json_type_array))
    return fail(err, OME_E_UNAVAILABLE, "%s: the hub's list of files is not a list", repo->name);
  for (size_t i = 0; i < json_object_array_length(page); i++) {
    struct json_object *o = json_object_array_get_idx(page, i);
    const char *type = text_at(o, "type");
    const char *path = text_at(o, "path");
    if (!type || strcmp(type, "file") != 0 || !path || !is_wanted(ref, repo, path))
      continue;
    int32_t rc = push_file(hf, repo, o, out, err);
    if (rc != OME_OK)
      return rc;
  }
  return OME_OK;
}

/* Replaces the revision by the commit it names now. */
static int32_t pin(struct hf *hf, const struct ome_call *call, const struct ome_model_ref *ref, struct repository *repo,
                   struct ome_file_sink *out, struct ome_err *err) {
  struct json_object *info = NULL;
  char revision[800];
  char url[2048];
  char next[2048];

  if (!encode(repo->revision, false, revision, sizeof(revision)))
    return fail(err, OME_E_INVALID, "%s: the revision is too long", repo->name);
  (void)snprintf(url, sizeof(url), "%s/api/models/%s/revision/%s", hf->endpoint, repo->name, revision);
  int32_t rc = get_json(hf, call, ref, repo, url, next, sizeof(next), &info, err);
  if (rc != OME_OK)
    return rc;
  const char *sha = text_at(info, "sha");
  if (!sha || !copy_part(repo->revision, sizeof(repo->revision), sha, strlen(sha)) || !is_plain(sha))
    rc = fail(err, OME_E_UNAVAILABLE, "%s: the hub names no commit", repo->name);
  else if (OME_HAS(ome_file_sink, out, revision))
    rc = out->revision(out, sha);
  json_object_put(info);
  return rc;
}

static int32_t list(void *self, const struct ome_call *call, const struct ome_model_ref *ref, struct ome_file_sink *out,
                    struct ome_err *err) {
  struct hf *hf = self;
  struct repository repo;
  char url[2048];
  int32_t rc = parse_uri(ref, &repo, err);

  if (rc == OME_OK)
    rc = pin(hf, call, ref, &repo, out, err);
  (void)snprintf(url, sizeof(url), "%s/api/models/%s/tree/%s?recursive=true", hf->endpoint, repo.name, repo.revision);
  for (int page = 0; rc == OME_OK && url[0]; page++) {
    struct json_object *tree = NULL;
    char next[2048] = "";
    if (page == MAX_PAGES)
      return fail(err, OME_E_INVALID, "%s: the hub's list of files does not end", repo.name);
    rc = get_json(hf, call, ref, &repo, url, next, sizeof(next), &tree, err);
    if (rc == OME_OK)
      rc = push_page(hf, ref, &repo, tree, out, err);
    json_object_put(tree);
    (void)snprintf(url, sizeof(url), "%s", next);
  }
  return rc;
}

static int32_t headers(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                       const struct ome_model_file *file, struct ome_kv_sink *out, struct ome_err *err) {
  const char *token = token_for(self, ref);
  char bearer[4200];

  (void)call;
  (void)file;
  (void)err;
  if (!token)
    return OME_OK;
  (void)snprintf(bearer, sizeof(bearer), "Bearer %s", token);
  int32_t rc = out->kv(out, "Authorization", bearer);
  explicit_bzero(bearer, sizeof(bearer));
  return rc;
}

/* ---- descriptor ------------------------------------------------------------------------------------------------- */

static const struct ome_key key_endpoint = {
    .struct_size = sizeof(struct ome_key),
    .type = OME_KEY_STRING,
    .name = "endpoint",
    .doc = "URL of the hub; unset: $HF_ENDPOINT, then " DEFAULT_ENDPOINT ".",
};
static const struct ome_key key_token = {
    .struct_size = sizeof(struct ome_key),
    .type = OME_KEY_SECRET,
    .name = "token",
    .doc = "Access token for gated and private models; unset: $HF_TOKEN. A model's own Secret goes before it.",
};
static const struct ome_key key_token_file = {
    .struct_size = sizeof(struct ome_key),
    .type = OME_KEY_STRING,
    .name = "token_file",
    .doc = "File whose first line is the token.",
};
static const struct ome_key *const keys[] = {&key_endpoint, &key_token, &key_token_file, NULL};

static const struct ome_storage_ops ops = {
    .struct_size = sizeof(ops),
    .match = match,
    .list = list,
    .headers = headers,
};
static const struct ome_factory factory = {
    .struct_size = sizeof(factory),
    .threads = OME_THREADS_PARALLEL,
    .kind = OME_KIND_STORAGE,
    .name = "hf",
    .keys = keys,
    .ops = &ops,
    .create = create,
    .destroy = destroy,
};
static const struct ome_factory *const factories[] = {&factory, NULL};
static const struct ome_plugin plugin = {
    .struct_size = sizeof(plugin),
    .abi_epoch = OME_ABI_EPOCH,
    .abi_minor = OME_ABI_MINOR,
    .name = "storage-hf",
    .version = OME_VERSION,
    .license = "Apache-2.0",
    .summary = "Models of the Hugging Face Hub and of servers that speak its API",
    .factories = factories,
};

const struct ome_plugin *ome_plugin_v1(void) {
  return &plugin;
}
