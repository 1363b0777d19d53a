/* What the model store finds on its disk: the journal of another process's
 * session, manifests, references. */
#include "os/file.h"
#include "store/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ID "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

static char folder[] = "/tmp/ome-store-XXXXXX";
static struct model_store *store;
static int journal = -1, manifest = -1, reference = -1;

static void clean(void) {
  struct ome_err err = ERR_INIT;

  model_store_close(store);
  (void)tree_remove(folder, &err);
}

static int make(const char *name) {
  char path[200];

  (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
  return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

/* A store where another session is at work: its journal is locked. */
static bool set_up(void) {
  struct ome_err err = ERR_INIT;
  char path[64];

  if (!mkdtemp(folder) || model_store_open(folder, &store, &err) != OME_OK || atexit(clean) != 0)
    return false;
  (void)snprintf(path, sizeof(path), "%s/staging/x", folder);
  if (mkdir(path, 0700) != 0)
    return false;
  journal = make("staging/x/session");
  manifest = make("manifests/" ID ".json");
  reference = make("references/x.json");
  return journal >= 0 && manifest >= 0 && reference >= 0 && flock(journal, LOCK_EX | LOCK_NB) == 0;
}

static bool put(int fd, const uint8_t *data, size_t size) {
  return ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char points_to_it[] =
      "{\"uri\": \"a://b\", \"path\": \"/c\", \"manifest\": \"" ID "\", \"complete\": true}";
  _cleanup_others_ struct others others = {.reserved = 0};
  _cleanup_manifest_ struct manifest m = {0};
  _cleanup_manifest_ struct manifest whole = {0};
  struct ome_err err = ERR_INIT;

  if (!store && !set_up())
    abort();
  if (!put(journal, data, size) || !put(manifest, data, size) || !put(reference, data, size))
    abort();
  if (others_read_locked(store, NULL, &others, &err) != OME_OK || others.live.list.len != 1)
    abort();
  for (struct strmap_iter it = strmap_first(others.landed); it.key; strmap_next(&it))
    if (!is_sha256(it.value))
      abort();
  if (manifest_read(store, ID, &m))
    for (size_t i = 0; i < m.files.len; i++)
      if (!is_sha256(m.files.items[i].sha256) || !path_is_safe(m.files.items[i].path))
        abort();
  json_unref(model_store_reference(store, "x", &whole));
  json_unref(model_store_list(store, &err));
  if (!put(reference, (const uint8_t *)points_to_it, sizeof(points_to_it) - 1))
    abort();
  strmap_free(known_contents(store));
  return 0;
}
