#include "transfer/ledger.h"

#include "base/buf.h"
#include "base/str.h"
#include "base/strmap.h"
#include "os/file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define LEDGER_MAX ((size_t)64 << 20)
#define MAX_PIECES ((uint64_t)1 << 24)

struct entry {
  char identity[65];
  uint64_t piece, npieces;
  uint8_t *done; /* grows as far as pieces are named */
  char sha256[65];
};

struct ledger {
  pthread_mutex_t lock;
  int fd;
  char *path;
  char boot[64];
  struct strmap *files;
  struct buf pending; /* lines that are not written yet */
};

static void entry_free(void *p) {
  struct entry *e = p;

  free(e->done);
  free(e);
}

void ledger_free(struct ledger *l) {
  struct ome_err ignored = ERR_INIT;

  if (l->fd >= 0)
    (void)ledger_flush(l, &ignored); /* the worst is a file looked at again */
  buf_fini(&l->pending);
  if (l->fd >= 0)
    (void)close(l->fd);
  strmap_free(l->files);
  free(l->path);
  (void)pthread_mutex_destroy(&l->lock);
  free(l);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static struct entry *begin(struct ledger *l, const char *identity, uint64_t piece, const char *path) {
  struct entry *e = calloc(1, sizeof(*e));

  if (!e || piece == 0 || !strmap_put(l->files, path, e)) {
    free(e);
    return NULL;
  }
  (void)snprintf(e->identity, sizeof(e->identity), "%s", identity);
  e->piece = piece;
  return e;
}

static bool mark(struct entry *e, uint64_t index) {
  if (index >= MAX_PIECES)
    return false;
  if (index >= e->npieces) {
    uint64_t n = index < 64 ? 64 : index * 2;
    uint8_t *grown = realloc(e->done, n);
    if (!grown)
      return false;
    memset(grown + e->npieces, 0, n - e->npieces);
    e->done = grown;
    e->npieces = n;
  }
  e->done[index] = 1;
  return true;
}

/* One line, its newline cut off.  What makes no sense is passed over: the worst is a piece fetched again. */
static void read_line(struct ledger *l, char *line) {
  char *save = NULL;
  char type = line[0];
  char *first = line[0] && line[1] == ' ' ? strtok_r(line + 2, " ", &save) : NULL;
  char *second = first && type == 'F' ? strtok_r(NULL, " ", &save) : NULL;
  char *path = first ? strtok_r(NULL, "", &save) : NULL;
  struct entry *e = path ? strmap_get(l->files, path) : NULL;
  uint64_t n = 0;

  if (!path || !path_is_safe(path))
    return;
  if (type == 'F' && second && str_to_u64(second, &n))
    (void)begin(l, first, n, path);
  else if (type == 'P' && e && str_to_u64(first, &n))
    (void)mark(e, n);
  else if (type == 'V' && e && strlen(first) == 64)
    memcpy(e->sha256, first, 65);
}

static int32_t load(struct ledger *l, struct ome_err *err) {
  _cleanup_free_ char *text = NULL;
  size_t len = 0;
  int32_t rc = file_read(l->path, LEDGER_MAX, &text, &len, err);

  if (rc == OME_E_NOT_FOUND) {
    err_clear(err);
    return OME_OK;
  }
  if (rc != OME_OK)
    return rc;
  char *line = text;
  for (char *end; (end = memchr(line, '\n', len - (size_t)(line - text))); line = end + 1) {
    *end = '\0';
    read_line(l, line);
  }
  return truncate(l->path, line - text) == 0 ? OME_OK : fail_errno(err, "truncate", l->path);
}

static void read_boot_id(char out[64]) {
  _cleanup_free_ char *text = NULL;
  struct ome_err err = ERR_INIT;
  size_t len = 0;

  if (file_read("/proc/sys/kernel/random/boot_id", 63, &text, &len, &err) == OME_OK)
    (void)snprintf(out, 64, "%s", text);
}

int32_t ledger_open(const char *dir, struct ledger **out, struct ome_err *err) {
  _cleanup_(ledger_freep) struct ledger *l = calloc(1, sizeof(*l));

  if (!l)
    return fail_memory(err);
  (void)pthread_mutex_init(&l->lock, NULL);
  l->fd = -1;
  l->path = str_printf("%s.ledger", dir); /* beside: no file of a model can be in its way */
  l->files = strmap_new(entry_free);
  if (!l->path || !l->files)
    return fail_memory(err);
  read_boot_id(l->boot);
  int32_t rc = load(l, err);
  if (rc != OME_OK)
    return rc;
  l->fd = open(l->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (l->fd < 0)
    return fail_errno(err, "open", l->path);
  *out = TAKE_PTR(l);
  return OME_OK;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static int32_t flush_locked(struct ledger *l, struct ome_err *err) {
  if (!buf_ok(&l->pending))
    return fail_memory(err);
  ssize_t n = l->pending.len ? write(l->fd, l->pending.data, l->pending.len) : 0;
  if (n < 0)
    return fail_errno(err, "write", l->path);
  bool whole = (size_t)n == l->pending.len;
  buf_clear(&l->pending);
  return whole ? OME_OK : fail(err, OME_E_NO_SPACE, "write: %s: no space left; free some", l->path);
}

int32_t ledger_flush(struct ledger *l, struct ome_err *err) {
  (void)pthread_mutex_lock(&l->lock);
  int32_t rc = flush_locked(l, err);
  (void)pthread_mutex_unlock(&l->lock);
  return rc;
}

/* What the pieces on disk are pieces of. */
static void identify(const struct ledger *l, const struct manifest_file *f, char out[65]) {
  _cleanup_buf_ struct buf text = BUF_INIT;

  buf_addf(&text, "%" PRIu64 " %u %s", f->size, f->digest_type, f->digest ? f->digest : l->boot);
  if (!f->digest)
    buf_addf(&text, " %s", f->etag ? f->etag : "");
  sha256_hex(buf_str(&text), text.len, out);
}

static int32_t restart_locked(struct ledger *l, const struct manifest_file *f, const char *identity, uint64_t piece,
                              struct ome_err *err) {
  buf_addf(&l->pending, "F %s %" PRIu64 " ", identity, piece);
  buf_adds(&l->pending, f->path);
  buf_addc(&l->pending, '\n');
  return begin(l, identity, piece, f->path) ? OME_OK : fail_memory(err);
}

int32_t ledger_restart(struct ledger *l, const struct manifest_file *f, uint64_t piece, struct ome_err *err) {
  char identity[65];

  identify(l, f, identity);
  (void)pthread_mutex_lock(&l->lock);
  int32_t rc = restart_locked(l, f, identity, piece, err);
  (void)pthread_mutex_unlock(&l->lock);
  return rc;
}

static const struct entry *entry_of(struct ledger *l, const struct manifest_file *f) {
  (void)pthread_mutex_lock(&l->lock);
  const struct entry *e = strmap_get(l->files, f->path);
  (void)pthread_mutex_unlock(&l->lock);
  return e;
}

bool ledger_knows(struct ledger *l, const struct manifest_file *f, const char **sha256) {
  const struct entry *e = entry_of(l, f);
  char identity[65];

  if (!e)
    return false;
  identify(l, f, identity);
  *sha256 = e->sha256;
  return streq(e->identity, identity);
}

static int32_t file_locked(struct ledger *l, const struct manifest_file *f, const char *identity, uint64_t *piece,
                           const uint8_t **done, const char **sha256, struct ome_err *err) {
  struct entry *e = strmap_get(l->files, f->path);

  if (!e || !streq(e->identity, identity) || piece_count(f->size, e->piece) > MAX_PIECES) {
    int32_t rc = restart_locked(l, f, identity, *piece, err);
    if (rc != OME_OK)
      return rc;
    e = strmap_get(l->files, f->path);
  }
  uint64_t last = piece_count(f->size, e->piece) - 1;
  bool has_last = last < e->npieces && e->done[last];
  if (!mark(e, last)) /* makes the array long enough */
    return fail_memory(err);
  e->done[last] = has_last;
  *piece = e->piece;
  *done = e->done;
  *sha256 = e->sha256;
  return OME_OK;
}

int32_t ledger_file(struct ledger *l, const struct manifest_file *f, uint64_t *piece, const uint8_t **done,
                    const char **sha256, struct ome_err *err) {
  char identity[65];

  identify(l, f, identity);
  (void)pthread_mutex_lock(&l->lock);
  int32_t rc = file_locked(l, f, identity, piece, done, sha256, err);
  (void)pthread_mutex_unlock(&l->lock);
  return rc;
}

int32_t ledger_piece(struct ledger *l, const char *path, uint64_t index, struct ome_err *err) {
  (void)pthread_mutex_lock(&l->lock);
  buf_addf(&l->pending, "P %" PRIu64 " ", index);
  buf_adds(&l->pending, path);
  buf_addc(&l->pending, '\n');
  int32_t rc = flush_locked(l, err);
  (void)pthread_mutex_unlock(&l->lock);
  return rc;
}

int32_t ledger_verified(struct ledger *l, const char *path, const char *sha256, struct ome_err *err) {
  (void)pthread_mutex_lock(&l->lock);
  buf_addf(&l->pending, "V %s ", sha256);
  buf_adds(&l->pending, path);
  buf_addc(&l->pending, '\n');
  bool ok = buf_ok(&l->pending);
  (void)pthread_mutex_unlock(&l->lock);
  return ok ? OME_OK : fail_memory(err);
}
