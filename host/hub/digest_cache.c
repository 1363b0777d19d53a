#include "hub/digest_cache.h"

#include "base/str.h"
#include "base/strmap.h"
#include "os/file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_FILE ((size_t)64 << 20) /* some 300,000 states; a longer file is begun anew */
#define KEY_TEXT 160
#define SETTLED_S 2
#define HEX "0123456789abcdef"

struct digest_cache {
  struct strmap *known; /* state -> struct digest_pair */
  int fd;               /* -1: memory only */
};

static void key_of(const struct stat *st, char out[KEY_TEXT]) {
  (void)snprintf(out, KEY_TEXT, "%ju:%ju:%jd:%jd.%09ld:%jd.%09ld", (uintmax_t)st->st_dev, (uintmax_t)st->st_ino,
                 (intmax_t)st->st_size, (intmax_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, (intmax_t)st->st_ctim.tv_sec,
                 st->st_ctim.tv_nsec);
}

static bool put(struct digest_cache *d, const char *key, const struct digest_pair *pair) {
  struct digest_pair *copy = malloc(sizeof(*copy));

  if (!copy)
    return false;
  *copy = *pair;
  if (strmap_put(d->known, key, copy))
    return true;
  free(copy);
  return false;
}

/* "STATE SHA256 SHA1" */
static void read_line(struct digest_cache *d, char *line) {
  struct digest_pair pair;
  char *rest = NULL;
  const char *key = strtok_r(line, " ", &rest), *sha256 = strtok_r(NULL, " ", &rest), *sha1 = rest;

  if (!key || !sha256 || !sha1 || strlen(key) >= KEY_TEXT || strlen(sha256) != 64 || strspn(sha256, HEX) != 64 ||
      strlen(sha1) != 40 || strspn(sha1, HEX) != 40)
    return;
  memcpy(pair.sha256, sha256, sizeof(pair.sha256));
  memcpy(pair.sha1, sha1, sizeof(pair.sha1));
  (void)put(d, key, &pair);
}

static int32_t load(struct digest_cache *d, const char *path, struct ome_err *err) {
  _cleanup_free_ char *text = NULL;
  struct ome_err unread = ERR_INIT;
  char *rest = NULL;
  int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC;

  if (file_exists(path) && file_read(path, MAX_FILE, &text, NULL, &unread) != OME_OK)
    flags |= O_TRUNC;
  for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest))
    read_line(d, line);
  d->fd = open(path, flags, 0600);
  return d->fd < 0 ? fail_errno(err, "write", path) : OME_OK;
}

int32_t digest_cache_open(const char *path, struct digest_cache **out, struct ome_err *err) {
  _cleanup_(digest_cache_freep) struct digest_cache *d = calloc(1, sizeof(*d));

  if (!d)
    return fail_memory(err);
  d->fd = -1;
  d->known = strmap_new(free);
  int32_t rc = !d->known ? fail_memory(err) : path ? load(d, path, err) : OME_OK;
  if (rc == OME_OK)
    *out = TAKE_PTR(d);
  return rc;
}

void digest_cache_free(struct digest_cache *d) {
  if (!d)
    return;
  strmap_free(d->known);
  if (d->fd >= 0)
    (void)close(d->fd);
  free(d);
}

const struct digest_pair *digest_cache_find(const struct digest_cache *d, const struct stat *st) {
  char key[KEY_TEXT];

  key_of(st, key);
  return strmap_get(d->known, key);
}

void digest_cache_keep(struct digest_cache *d, const struct stat *st, const struct digest_pair *pair) {
  char key[KEY_TEXT], line[KEY_TEXT + 128];
  time_t settled = time(NULL) - SETTLED_S;

  if (st->st_mtim.tv_sec > settled || st->st_ctim.tv_sec > settled)
    return;
  key_of(st, key);
  if (!put(d, key, pair) || d->fd < 0)
    return;
  int n = snprintf(line, sizeof(line), "%s %s %s\n", key, pair->sha256, pair->sha1);
  (void)!write(d->fd, line, (size_t)n);
}
