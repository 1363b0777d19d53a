#include "cli/depot.h"

#include "base/str.h"
#include "os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *env(const char *name) {
  const char *value = getenv(name);

  return value && *value ? value : NULL;
}

char *depot_shared(const char *store, bool *given) {
  const char *home = env("HOME");
  const char *cache = env("XDG_CACHE_HOME");

  *given = store || env("OME_STORE");
  if (*given)
    return strdup(store ? store : env("OME_STORE"));
  if (cache)
    return path_join(cache, "ome");
  return home && file_exists(home) ? path_join(home, ".cache/ome") : NULL;
}

/* Whether a hard link leads from STORE into DIR: mounts of one file system have one device, and no links between. */
static bool links_lead(const char *store, const char *dir) {
  _cleanup_free_ char *from = path_join(store, "lock");
  _cleanup_free_ char *to = path_join(dir, ".ome-link");
  _cleanup_close_ int fd = from ? open(from, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644) : -1;

  if (fd < 0 || !to)
    return false;
  (void)unlink(to);
  bool ok = link(from, to) == 0;
  (void)unlink(to);
  return ok;
}

static int32_t open_shared(struct depot *d, const char *store, struct ome_err *err) {
  bool given = false;
  _cleanup_free_ char *path = depot_shared(store, &given);
  int32_t rc = path ? model_store_open(path, &d->store, err) : OME_E_NOT_FOUND;

  if (given)
    return rc;
  if (rc == OME_OK && links_lead(model_store_root(d->store), d->dir))
    return OME_OK;
  model_store_closep(&d->store);
  d->store = NULL;
  err_clear(err);
  return OME_OK;
}

int32_t depot_open(struct depot *d, const char *store, const char *dir, struct ome_err *err) {
  char digest[65];
  int32_t rc = dir_make(dir, 0755, err);

  if (rc != OME_OK)
    return rc;
  d->dir = realpath(dir, NULL);
  if (!d->dir)
    return fail_errno(err, "open", dir);
  sha256_hex(d->dir, strlen(d->dir), digest);
  (void)snprintf(d->name, sizeof(d->name), "dir-%.16s", digest);
  rc = open_shared(d, store, err);
  if (rc != OME_OK || d->store)
    return rc;
  _cleanup_free_ char *own = path_join(d->dir, DEPOT_PRIVATE);
  d->passing = true;
  return own ? model_store_open(own, &d->store, err) : fail_memory(err);
}

void depot_close(struct depot *d) {
  model_store_closep(&d->store);
  free(d->dir);
  *d = (struct depot){.store = NULL};
}
