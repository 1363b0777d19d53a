/* Storage plugin "filelist": models on any web server that has a list of their files.
 *
 * filelist://org/model is BASE/org/model/files.txt, one "SHA256 SIZE PATH" a line ("-" for an unknown digest), as
 *   find . -type f -printf '%s %P\n'
 * and sha256sum give it.  BASE is the setting base_url.  The host asks for the list, downloads every file with many
 * connections, checks size and digest, and resumes; a plugin only says what there is. */
#include <ome-sdk/sdk.h>
#include <ome/service.h>
#include <ome/storage.h>

#include <stdlib.h>

#define LIST_MAX (4u << 20) /* bytes of files.txt */

struct filelist {
  const struct ome_http_service *http;
  const struct ome_host *host;
  char base_url[512];
};

/* ---- setting up ------------------------------------------------------------------------------------------------- */

static int32_t create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                      struct ome_err *err) {
  const struct ome_http_service *http = OME_HAS(ome_host, host, service) ? host->service(host, OME_SERVICE_HTTP) : NULL;
  const char *base = ome_kv_get(cfg, ncfg, "base_url", "");
  struct filelist *f;

  if (strlen(base) >= sizeof(f->base_url))
    return ome_fail(err, OME_E_INVALID, "base_url is longer than %zu characters", sizeof(f->base_url) - 1);
  f = calloc(1, sizeof(*f));
  if (!f)
    return ome_fail(err, OME_E_NO_MEMORY, "out of memory");
  f->http = http; /* NULL where this host has none: list() says so, `ome plugin list` still works */
  f->host = host;
  memcpy(f->base_url, base, strlen(base));
  *out_self = f;
  return OME_OK;
}

static void destroy(void *self) {
  free(self);
}

static int32_t match(void *self, const char *uri) {
  (void)self;
  return ome_uri_rest(uri, "filelist") ? 100 : 0;
}

/* ---- fetching files.txt ----------------------------------------------------------------------------------------- */

struct page {
  char *data;
  uint64_t len;
  int32_t status;
};

static int32_t on_head(struct ome_http_sink *s, int32_t status, const struct ome_kv *headers, uint32_t nheaders) {
  (void)headers, (void)nheaders;
  ((struct page *)s->ctx)->status = status;
  return OME_OK;
}

static int32_t on_body(struct ome_http_sink *s, const void *data, uint64_t len) {
  struct page *p = s->ctx;
  char *grown = len <= LIST_MAX - p->len ? realloc(p->data, p->len + len + 1) : NULL;

  if (!grown)
    return OME_E_NO_MEMORY;
  memcpy(grown + p->len, data, len);
  p->data = grown;
  p->len += len;
  p->data[p->len] = '\0';
  return OME_OK;
}

static int32_t fetch(struct filelist *f, const struct ome_call *call, const char *url, struct page *page,
                     struct ome_err *err) {
  struct ome_http_sink sink = {.struct_size = sizeof(sink), .ctx = page, .head = on_head, .body = on_body};
  struct ome_http_req req = {.struct_size = sizeof(req), .url = url, .max_body = LIST_MAX};
  int32_t rc = f->http->perform(f->host, call, &req, &sink, err);

  if (rc != OME_OK)
    return rc; /* the host's sentence and retry_after_ms */
  if (page->status == 404)
    return ome_fail(err, OME_E_NOT_FOUND, "%s: not found", url);
  if (page->status != 200)
    return ome_fail(err, page->status >= 500 ? OME_E_UNAVAILABLE : OME_E_DENIED, "%s: HTTP status %d", url,
                    (int)page->status);
  return OME_OK;
}

/* ---- reading it ------------------------------------------------------------------------------------------------- */

/* LINE is "SHA256 SIZE PATH" and is taken apart. */
static int32_t push_line(const char *folder_url, char *line, struct ome_file_sink *out, struct ome_err *err) {
  char *size = strchr(line, ' ');
  char *path = size ? strchr(size + 1, ' ') : NULL;
  char *end;
  char url[2048];
  struct ome_text t = OME_TEXT(url);
  struct ome_model_file file = {.struct_size = sizeof(file)};

  if (!path)
    return ome_fail(err, OME_E_CORRUPT, "%s/files.txt: \"%s\" is not \"SHA256 SIZE PATH\"", folder_url, line);
  *size++ = *path++ = '\0';
  file.size = strtoull(size, &end, 10);
  if (*end || (strlen(line) != 64 && strcmp(line, "-") != 0))
    return ome_fail(err, OME_E_CORRUPT, "%s/files.txt: bad size or digest of %s", folder_url, path);
  ome_text_add(&t, folder_url);
  ome_text_add(&t, "/");
  ome_text_add_url(&t, path);
  if (t.full)
    return ome_fail(err, OME_E_INVALID, "%s: the URL is too long", path);
  file.path = path;
  file.url = url;
  if (*line != '-') {
    file.digest_type = OME_DIGEST_SHA256;
    file.digest = line;
  }
  int32_t rc = out->file(out, &file);
  return rc == OME_OK ? rc : ome_sink_failed(err, rc);
}

static int32_t list(void *self, const struct ome_call *call, const struct ome_model_ref *ref, struct ome_file_sink *out,
                    struct ome_err *err) {
  struct filelist *f = self;
  const char *model = ome_uri_rest(ref->uri, "filelist");
  struct page page = {0};
  char folder[1024], url[1056], *save = NULL;
  struct ome_text t = OME_TEXT(folder);
  int32_t rc = ome_check_cancelled(call, err);

  if (rc != OME_OK)
    return rc;
  if (!model || !*model)
    return ome_fail(err, OME_E_INVALID, "\"%s\" is not filelist://ORG/MODEL", ref->uri);
  if (!f->http)
    return ome_fail(err, OME_E_UNSUPPORTED, "this host has no %s", OME_SERVICE_HTTP);
  ome_text_add(&t, f->base_url);
  ome_text_add(&t, "/");
  ome_text_add_url(&t, model);
  if (t.full)
    return ome_fail(err, OME_E_INVALID, "\"%s\" is too long", ref->uri);
  (void)snprintf(url, sizeof(url), "%s/files.txt", folder);
  rc = fetch(f, call, url, &page, err);
  for (char *line = rc == OME_OK && page.data ? strtok_r(page.data, "\r\n", &save) : NULL; rc == OME_OK && line;
       line = strtok_r(NULL, "\r\n", &save)) {
    rc = ome_check_cancelled(call, err);
    if (rc == OME_OK)
      rc = push_line(folder, line, out, err);
  }
  free(page.data);
  return rc;
}

/* ---- what the host sees ----------------------------------------------------------------------------------------- */

static const struct ome_key base_url = {
    .struct_size = sizeof(base_url),
    .type = OME_KEY_STRING,
    .flags = OME_KEY_REQUIRED,
    .name = "base_url",
    .doc = "Where the models are, without a slash at the end: https://models.example.com.",
};
static const struct ome_key *const keys[] = {&base_url, NULL};

static const struct ome_storage_ops ops = {.struct_size = sizeof(ops), .match = match, .list = list};

static const struct ome_factory factory = {
    .struct_size = sizeof(factory),
    .threads = OME_THREADS_PARALLEL, /* self is never written after create() */
    .kind = OME_KIND_STORAGE,
    .name = "filelist",
    .keys = keys,
    .ops = &ops,
    .create = create,
    .destroy = destroy,
};
static const struct ome_factory *const factories[] = {&factory, NULL};

const struct ome_plugin *ome_plugin_v1(void) {
  static const struct ome_plugin plugin = {
      .struct_size = sizeof(plugin),
      .abi_epoch = OME_ABI_EPOCH,
      .abi_minor = OME_ABI_MINOR,
      .min_host_minor = 0,
      .name = "storage-filelist",
      .version = PLUGIN_VERSION,
      .license = "Apache-2.0",
      .summary = "Models on a web server with a list of their files.",
      .factories = factories,
  };

  return &plugin;
}
