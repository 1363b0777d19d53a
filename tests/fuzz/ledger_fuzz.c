/* The transfer engine's ledger: what a process that was killed, or a broken
 * disk, has left of it. */
#include "base/str.h"
#include "os/file.h"
#include "transfer/ledger.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/ome-ledger-XXXXXX";

static void clean(void) {
  struct ome_err err = ERR_INIT;

  (void)tree_remove(folder, &err);
}

/* Every piece that it calls there is one of the file. */
static void ask(struct ledger *l, struct manifest_file *f) {
  uint64_t piece = 100;
  const uint8_t *done = NULL;
  const char *sha256 = NULL;
  struct ome_err err = ERR_INIT;

  (void)ledger_knows(l, f, &sha256);
  if (ledger_file(l, f, &piece, &done, &sha256, &err) != OME_OK)
    return;
  for (uint64_t i = 0; i < piece_count(f->size, piece); i++)
    if (done[i] > 1)
      abort();
  if (ledger_piece(l, f->path, 0, &err) != OME_OK || ledger_verified(l, f->path, sha256, &err) != OME_OK)
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static char digest[] = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", name[] = "a",
              other[] = "b/c d";
  static bool is_made;
  struct manifest_file pinned = {.path = name, .size = 1000, .digest_type = OME_DIGEST_SHA256, .digest = digest};
  struct manifest_file plain = {.path = other, .size = 0};
  struct ome_err err = ERR_INIT;
  struct ledger *l = NULL;
  char path[64];
  char dir[48];

  if (!is_made && (!mkdtemp(folder) || atexit(clean) != 0))
    return 0;
  is_made = true;
  (void)snprintf(dir, sizeof(dir), "%s/files", folder);
  (void)snprintf(path, sizeof(path), "%s.ledger", dir);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool written = fd >= 0 && write(fd, data, size) == (ssize_t)size;
  if (fd >= 0)
    (void)close(fd);
  if (!written || ledger_open(dir, &l, &err) != OME_OK)
    return 0;
  ask(l, &pinned);
  ask(l, &plain);
  ledger_free(l);
  return 0;
}
