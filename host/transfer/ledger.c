#include "transfer/ledger.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct ledger {
  char *path, *key;
  int fd;
  uint64_t size, range_bytes, ranges, bytes;
  uint8_t *there; /* one byte a range */
};

uint64_t ledger_ranges(const struct ledger *l) {
  return l->ranges;
}

uint64_t ledger_bytes(const struct ledger *l) {
  return l->bytes;
}

uint64_t ledger_range_length(const struct ledger *l, uint64_t range) {
  uint64_t start = range * l->range_bytes;

  return l->size - start < l->range_bytes ? l->size - start : l->range_bytes;
}

bool ledger_has(const struct ledger *l, uint64_t range) {
  return l->there[range];
}

static void mark(struct ledger *l, uint64_t range) {
  if (!l->there[range])
    l->bytes += ledger_range_length(l, range);
  l->there[range] = 1;
}

/* Takes over what the file says, as far as it is about KEY. */
static void recall(struct ledger *l, const char *text) {
  size_t key = strlen(l->key);

  if (strncmp(text, l->key, key) != 0 || text[key] != '\n')
    return;
  for (const char *p = text + key + 1, *end; (end = strchr(p, '\n')); p = end + 1) {
    _cleanup_free_ char *line = str_copy(p, (size_t)(end - p));
    uint64_t range;
    if (line && str_to_u64(line, &range) && range < l->ranges)
      mark(l, range);
  }
}

static int32_t begin(struct ledger *l, struct ome_err *err) {
  _cleanup_free_ char *head = str_printf("%s\n", l->key);

  if (!head)
    return fail_memory(err);
  if (l->fd >= 0)
    (void)close(l->fd);
  l->fd = open(l->path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (l->fd < 0 || write(l->fd, head, strlen(head)) != (ssize_t)strlen(head))
    return fail_errno(err, "write ledger", l->path);
  return OME_OK;
}

int32_t ledger_reset(struct ledger *l, struct ome_err *err) {
  memset(l->there, 0, l->ranges);
  l->bytes = 0;
  return begin(l, err);
}

int32_t ledger_open(const char *path, const char *key, uint64_t size, uint64_t range_bytes, struct ledger **out,
                    struct ome_err *err) {
  struct ledger *l = calloc(1, sizeof(*l));
  _cleanup_free_ char *text = NULL;
  struct ome_err ignored = ERR_INIT;
  int32_t rc = OME_OK;

  if (!l)
    return fail_memory(err);
  l->fd = -1;
  l->size = size;
  l->range_bytes = range_bytes;
  l->ranges = (size + range_bytes - 1) / range_bytes;
  l->path = strdup(path);
  l->key = strdup(key);
  l->there = calloc((size_t)l->ranges + 1, 1);
  if (!l->path || !l->key || !l->there)
    rc = fail_memory(err);
  else if (file_read(path, (size_t)64 << 20, &text, NULL, &ignored) == OME_OK)
    recall(l, text);
  if (rc == OME_OK && l->bytes) {
    l->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    /* A half line that a killed process left behind must not swallow the next one. */
    if (l->fd < 0 || write(l->fd, "\n", 1) != 1)
      rc = fail_errno(err, "write ledger", path);
  } else if (rc == OME_OK) {
    rc = begin(l, err);
  }
  if (rc != OME_OK) {
    ledger_close(l);
    return rc;
  }
  *out = l;
  return OME_OK;
}

int32_t ledger_add(struct ledger *l, uint64_t range, struct ome_err *err) {
  char line[32];
  int n = snprintf(line, sizeof(line), "%llu\n", (unsigned long long)range);

  mark(l, range);
  return write(l->fd, line, (size_t)n) == n ? OME_OK : fail_errno(err, "write ledger", l->path);
}

void ledger_close(struct ledger *l) {
  if (!l)
    return;
  if (l->fd >= 0)
    (void)close(l->fd);
  free(l->path);
  free(l->key);
  free(l->there);
  free(l);
}

void ledger_remove(struct ledger *l) {
  (void)unlink(l->path);
  ledger_close(l);
}
