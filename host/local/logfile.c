/* Writing container logs. */
#include "local/logfile.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define TAIL_BYTES 4096

struct logfile {
  int fd;
  char *path, *rotated;
  uint64_t size;
  struct buf partial[2]; /* unfinished lines by stream */
  struct buf out;        /* entries of one write */
  char tail[TAIL_BYTES]; /* the latest output, for termination messages */
  size_t tail_len;
};

char *logfile_dir(const char *data_dir, const char *ns, const char *pod, const char *uid, const char *container) {
  return str_printf("%s/logs/%s_%s_%s/%s", data_dir, ns, pod, uid, container);
}

static int32_t open_locked(struct logfile *l, struct ome_err *err) {
  struct stat st;

  l->fd = open(l->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (l->fd < 0)
    return fail_errno(err, "open", l->path);
  (void)flock(l->fd, LOCK_EX | LOCK_NB);
  l->size = fstat(l->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
  return OME_OK;
}

static void remove_old(const char *dir, int64_t n) {
  static const char *const suffixes[] = {"", ".1"};

  for (size_t i = 0; n >= 2 && i < ARRAY_LEN(suffixes); i++) {
    _cleanup_free_ char *old = str_printf("%s/%lld.log%s", dir, (long long)n - 2, suffixes[i]);
    if (old)
      (void)unlink(old);
  }
}

int32_t logfile_open(const char *dir, int64_t n, struct logfile **out, struct ome_err *err) {
  struct logfile *l = calloc(1, sizeof(*l));
  int32_t rc = l ? dir_make(dir, 0750, err) : fail_memory(err);

  if (rc == OME_OK) {
    l->fd = -1;
    l->path = str_printf("%s/%lld.log", dir, (long long)n);
    l->rotated = str_printf("%s/%lld.log.1", dir, (long long)n);
    for (int i = 0; i < 2; i++)
      buf_init(&l->partial[i], 2 * LOG_LINE_MAX);
    rc = l->path && l->rotated ? open_locked(l, err) : fail_memory(err);
  }
  if (rc != OME_OK) {
    if (l)
      logfile_close(l);
    return rc;
  }
  remove_old(dir, n);
  *out = l;
  return OME_OK;
}

static void rotate(struct logfile *l) {
  struct ome_err err = ERR_INIT;

  if (rename(l->path, l->rotated) != 0)
    return;
  int old = l->fd;
  if (open_locked(l, &err) != OME_OK)
    l->fd = -1; /* the next rotation tries again; what comes until then is lost */
  (void)close(old);
}

static void add_entry(struct logfile *l, int stream, char tag, const char *line, size_t len) {
  char now[TIME_TEXT_US];

  time_format_us(wall_us(), now);
  buf_addf(&l->out, "%s %s %c ", now, stream == 1 ? "stdout" : "stderr", tag);
  buf_add(&l->out, line, len);
  buf_addc(&l->out, '\n');
}

static void flush(struct logfile *l) {
  if (l->fd < 0 && open_locked(l, &(struct ome_err)ERR_INIT) != OME_OK)
    l->fd = -1;
  if (l->out.len && l->fd >= 0 && write(l->fd, l->out.data, l->out.len) > 0)
    l->size += l->out.len;
  buf_clear(&l->out);
  if (l->size >= LOG_MAX_BYTES)
    rotate(l);
}

static void remember(struct logfile *l, const char *data, size_t len) {
  if (len > TAIL_BYTES) {
    data += len - TAIL_BYTES;
    len = TAIL_BYTES;
  }
  size_t keep = TAIL_BYTES - len < l->tail_len ? TAIL_BYTES - len : l->tail_len;
  memmove(l->tail, l->tail + l->tail_len - keep, keep);
  memcpy(l->tail + keep, data, len);
  l->tail_len = keep + len;
}

void logfile_write(struct logfile *l, int stream, const char *data, size_t len) {
  struct buf *partial = &l->partial[stream - 1];

  remember(l, data, len);
  while (len) {
    const char *newline = memchr(data, '\n', len);
    size_t n = newline ? (size_t)(newline - data) : len, room = LOG_LINE_MAX - partial->len;
    bool cut = n >= room;
    n = cut ? room : n;
    if (partial->len || !newline || cut) {
      buf_add(partial, data, n);
      if (cut || newline) {
        add_entry(l, stream, cut ? 'P' : 'F', buf_str(partial), partial->len);
        buf_clear(partial);
      }
    } else
      add_entry(l, stream, 'F', data, n);
    data += n + (newline && !cut);
    len -= n + (newline && !cut);
  }
  flush(l);
}

void logfile_close(struct logfile *l) {
  for (int i = 0; i < 2; i++) {
    if (l->partial[i].len)
      add_entry(l, i + 1, 'P', buf_str(&l->partial[i]), l->partial[i].len);
    buf_fini(&l->partial[i]);
  }
  if (l->fd >= 0) {
    flush(l);
    (void)close(l->fd);
  }
  buf_fini(&l->out);
  free(l->path);
  free(l->rotated);
  free(l);
}

void logfile_tail(const struct logfile *l, char *out, size_t size) {
  size_t n = l->tail_len < size - 1 ? l->tail_len : size - 1;

  memcpy(out, l->tail + l->tail_len - n, n);
  out[n] = '\0';
}
