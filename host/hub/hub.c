#include "hub/hub.h"

#include "base/str.h"
#include "hub/api.h"
#include "net/http_server.h"
#include "os/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct hub {
  char *dir;
  struct digest_cache *digests; /* the API's thread's */
  struct loop *loop;
  struct hub_api *api;
  struct http_server *http;
};

/* ---- the folder as a source -------------------------------------------------------------------------------------- */

/* A folder has one revision, and any branch leads to it. */
static int32_t read_folder(void *arg, const char *name, const char *revision, const atomic_bool *stop,
                           struct repository **out, struct ome_err *err) {
  const struct hub *h = arg;
  _cleanup_free_ char *dir = path_join(h->dir, name);

  (void)revision;
  if (!strchr(name, '/')) /* the folder of an organisation */
    return fail(err, OME_E_NOT_FOUND, "%s: repositories are called ORG/NAME", name);
  return dir ? repository_read(name, dir, h->digests, stop, out, err) : fail_memory(err);
}

static int open_file(void *arg, const struct repository *r, const struct repo_file *f) {
  _cleanup_free_ char *path = path_join(r->place, f->path);

  (void)arg;
  return path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

static bool is_current(void *arg, const struct repository *r, const struct repo_file *f) {
  _cleanup_free_ char *path = path_join(r->place, f->path);
  struct stat st;

  (void)arg;
  return path && stat(path, &st) == 0 && (uint64_t)st.st_size == f->size && st.st_ino == f->inode &&
         st.st_mtim.tv_sec == f->changed.tv_sec && st.st_mtim.tv_nsec == f->changed.tv_nsec;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int32_t start(struct hub *h, const struct hub_config *cfg, struct ome_err *err) {
  const struct hub_api_config api = {
      .source = {.read = read_folder, .open = open_file, .is_current = is_current, .arg = h},
      .token = cfg->token,
      .fault_status = cfg->fault_status,
      .fault_cut = cfg->fault_cut};

  h->dir = realpath(cfg->dir, NULL);
  if (!h->dir)
    return fail_errno(err, "hub", cfg->dir);
  int32_t rc = loop_new("hub", &h->loop, err);
  if (rc == OME_OK)
    rc = digest_cache_open(cfg->digests, &h->digests, err);
  if (rc == OME_OK)
    rc = hub_api_new(h->loop, &api, &h->api, err);
  const struct http_server_config http = {
      .address = cfg->address, .port = cfg->port, .handler = hub_api_handle, .arg = h->api};
  return rc == OME_OK ? http_server_new(h->loop, &http, &h->http, err) : rc;
}

int32_t hub_start(const struct hub_config *cfg, struct hub **out, struct ome_err *err) {
  struct hub *h = calloc(1, sizeof(*h));

  if (!h)
    return fail_memory(err);
  int32_t rc = start(h, cfg, err);
  if (rc != OME_OK) {
    hub_stop(h);
    return rc;
  }
  *out = h;
  return OME_OK;
}

void hub_stop(struct hub *h) {
  if (!h)
    return;
  http_server_free(h->http); /* no request waits any more */
  hub_api_free(h->api);
  loop_free(h->loop);
  digest_cache_free(h->digests);
  free(h->dir);
  free(h);
}

uint16_t hub_port(const struct hub *h) {
  return http_server_port(h->http);
}
