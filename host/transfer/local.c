/* Bytes that are on this machine already: shared where the file system can (FICLONE), copied inside the kernel
 * otherwise (copy_file_range), and through memory where neither is possible. */
#include "transfer/internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define COPY_STEP ((size_t)8 << 20)
#define BUFFER ((size_t)256 << 10)

static int32_t check_source(const struct item *it, int from, struct ome_err *err) {
  const struct manifest_file *f = it->file;
  struct stat st;

  if (from < 0 || fstat(from, &st) != 0)
    return fail_errno(err, "open", f->local_path);
  if (!S_ISREG(st.st_mode) || (f->size != OME_SIZE_UNKNOWN && (uint64_t)st.st_size != f->size))
    return fail(err, OME_E_CORRUPT, "fetch: %.160s: %.160s has not the listed size; try again when nobody changes it",
                f->path, f->local_path);
  return OME_OK;
}

/* Up to COPY_STEP bytes at AT; 0: the source ends there. */
static ssize_t copy_some(int from, const struct item *it, uint64_t at, uint8_t *buffer, bool *by_kernel) {
  off_t in = (off_t)at, out = (off_t)at;

  if (*by_kernel) {
    ssize_t n = copy_file_range(from, &in, it->fd, &out, COPY_STEP, 0);
    if (n > 0 || (n == 0 && at >= it->file->size))
      return n;
    *by_kernel = false; /* another file system, or one that does not do it */
  }
  ssize_t n = pread(from, buffer, BUFFER, (off_t)at);
  return n > 0 ? pwrite(it->fd, buffer, (size_t)n, (off_t)at) : n;
}

static int32_t copy_all(struct engine *e, struct item *it, int from, struct ome_err *err) {
  _cleanup_free_ uint8_t *buffer = malloc(BUFFER);
  bool by_kernel = true;
  uint64_t at = 0;

  if (!buffer)
    return fail_memory(err);
  while (at < it->file->size) {
    ssize_t n = copy_some(from, it, at, buffer, &by_kernel);
    if (n < 0)
      return fail_errno(err, "copy", it->file->local_path);
    if (n == 0)
      return fail(err, OME_E_CORRUPT, "fetch: %.160s: %.160s ends after %" PRIu64 " bytes", it->file->path,
                  it->file->local_path, at);
    if (atomic_load(&e->stop))
      return fail(err, OME_E_CANCELLED, "fetch: %.200s: stopped", it->file->path);
    at += (uint64_t)n;
    (void)atomic_fetch_add(&e->fetched, (uint64_t)n);
    (void)atomic_fetch_add(&e->bytes, (uint64_t)n);
  }
  return OME_OK;
}

int32_t local_copy(struct engine *e, struct item *it, struct ome_err *err) {
  _cleanup_close_ int from = open(it->file->local_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat st;
  int32_t rc = check_source(it, from, err);

  if (rc == OME_OK && it->file->size == OME_SIZE_UNKNOWN) {
    if (fstat(from, &st) != 0)
      return fail_errno(err, "look at", it->file->local_path);
    it->file->size = (uint64_t)st.st_size;
    it->piece = it->file->size ? it->file->size : 1;
    (void)atomic_fetch_add(&e->learnt, it->file->size);
    if (!hash_begin(it))
      return fail_memory(err);
  }
  if (rc != OME_OK)
    return rc;
  if (ioctl(it->fd, FICLONE, from) == 0)
    (void)atomic_fetch_add(&e->bytes, it->file->size);
  else
    rc = copy_all(e, it, from, err);
  if (rc != OME_OK)
    return rc;
  (void)pthread_mutex_lock(&e->lock);
  it->state[0] = PIECE_DONE;
  it->ndone = 1;
  e->nabsent--;
  rc = ledger_piece(e->ledger, it->file->path, 0, err);
  (void)pthread_mutex_unlock(&e->lock);
  return rc;
}
