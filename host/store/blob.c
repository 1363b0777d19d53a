/* Contents by their SHA-256. */
#include "store/internal.h"

#include "base/str.h"
#include "os/file.h"
#include "transfer/digest.h"
#include "transfer/ledger.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

bool is_sha256(const char *text) {
  return text && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

char *blob_path(const struct model_store *s, const char *sha256) {
  return str_printf("%s/blobs/%.2s/%s", s->root, sha256, sha256);
}

char *sums_path(const struct model_store *s, const char *sha256) {
  return str_printf("%s/blobs/%.2s/%s.sums", s->root, sha256, sha256);
}

void blob_name(const char *sha256, char out[BLOB_NAME_SIZE]) {
  memcpy(out, sha256, 2);
  out[2] = '/';
  memcpy(out + 3, sha256, 65);
}

int32_t blobs_open(const struct model_store *s, int *out, struct ome_err *err) {
  _cleanup_free_ char *path = path_join(s->root, "blobs");

  if (!path)
    return fail_memory(err);
  *out = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return *out >= 0 ? OME_OK : fail_errno(err, "open", path);
}

int32_t blob_open_folder(const struct model_store *s, const char *sha256, int *out, struct ome_err *err) {
  _cleanup_free_ char *path = str_printf("%s/blobs/%.2s", s->root, sha256);

  if (!path)
    return fail_memory(err);
  if (mkdir(path, 0755) != 0 && errno != EEXIST)
    return fail_errno(err, "make folder", path);
  *out = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return *out >= 0 ? OME_OK : fail_errno(err, "open", path);
}

enum blob_state blob_look(const struct model_store *s, const char *sha256, uint64_t size) {
  _cleanup_free_ char *path = blob_path(s, sha256);
  struct stat st;

  if (!path || lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
    return BLOB_ABSENT;
  bool as_sealed = (uint64_t)st.st_size == size && st.st_mtim.tv_sec == BLOB_TIME && st.st_mtim.tv_nsec == 0;
  return as_sealed ? BLOB_GOOD : BLOB_SUSPECT;
}

int model_store_open_content(const struct model_store *s, const char *sha256, uint64_t size) {
  _cleanup_free_ char *path = blob_look(s, sha256, size) == BLOB_GOOD ? blob_path(s, sha256) : NULL;

  return path ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
}

uint64_t blob_size(const struct model_store *s, const char *sha256) {
  _cleanup_free_ char *path = blob_path(s, sha256);
  struct stat st;

  return path && lstat(path, &st) == 0 ? (uint64_t)st.st_size : OME_SIZE_UNKNOWN;
}

/* ---- sums: little-endian, 8 bytes a piece ------------------------------------------------------------------------ */

static int32_t write_sums(const struct model_store *s, const char *sha256, const struct sums *sums,
                          struct ome_err *err) {
  _cleanup_free_ char *path = sums_path(s, sha256);
  size_t len = sums->list.len * 8;
  _cleanup_free_ uint8_t *data = malloc(len + 1);

  if (!path || !data)
    return fail_memory(err);
  for (size_t i = 0; i < len; i++)
    data[i] = (uint8_t)(sums->list.items[i / 8] >> (i % 8 * 8));
  return file_write(path, data, len, 0444, err);
}

static bool read_sums(const struct model_store *s, const char *sha256, size_t pieces, struct sums *out) {
  _cleanup_free_ char *path = sums_path(s, sha256);
  _cleanup_free_ char *data = NULL;
  struct ome_err err = ERR_INIT;
  size_t len = 0;

  if (!path || file_read(path, pieces * 8, &data, &len, &err) != OME_OK || len != pieces * 8)
    return false;
  for (size_t i = 0; i < pieces; i++) {
    uint64_t v = 0;
    for (size_t k = 8; k-- > 0;)
      v = v << 8 | (uint8_t)data[i * 8 + k];
    if (!VEC_PUSH(&out->list, v))
      return false;
  }
  return true;
}

/* ---- moving in --------------------------------------------------------------------------------------------------- */

static int32_t keep_sums(const struct model_store *s, int dir, const char *name, uint64_t size, const char *sha256,
                         const struct sums *sums, struct ome_err *err) {
  const struct manifest_file f = {.path = (char *)(uintptr_t)sha256, .size = size};
  uint64_t pieces = piece_count(size, SUMS_PIECE);
  struct sums own = {.failed = false};
  char found[65];
  char wanted[65];
  int fd = -1;

  if (pieces <= 1)
    return OME_OK;
  int32_t rc = blob_open_folder(s, sha256, &fd, err); /* it is there from here on */
  closep(&fd);
  if (rc == OME_OK && (!sums || sums->failed || sums->list.len != pieces)) {
    fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    rc = fd < 0 ? fail_errno(err, "open", name) : digest_file(fd, &f, NULL, NULL, found, wanted, &own, err);
    closep(&fd);
    sums = &own;
  }
  if (rc == OME_OK)
    rc = write_sums(s, sha256, sums, err);
  sums_fini(&own);
  return rc;
}

int32_t blob_seal(const struct model_store *s, int dir, const char *name, uint64_t size, const char *sha256,
                  const struct sums *sums, struct ome_err *err) {
  static const struct timespec times[] = {{BLOB_TIME, 0}, {BLOB_TIME, 0}};
  int32_t rc = keep_sums(s, dir, name, size, sha256, sums, err);

  if (rc == OME_OK && (fchmodat(dir, name, 0444, 0) != 0 || utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) != 0))
    rc = fail_errno(err, "seal", name);
  return rc;
}

int32_t blob_import(int blobs, int dir, const char *name, const char *sha256, struct ome_err *err) {
  char blob[BLOB_NAME_SIZE];
  char folder[3] = {sha256[0], sha256[1], '\0'};

  blob_name(sha256, blob);
  if (renameat(dir, name, blobs, blob) == 0)
    return OME_OK;
  /* The first of its folder. */
  if (errno == ENOENT && (mkdirat(blobs, folder, 0755) == 0 || errno == EEXIST) &&
      renameat(dir, name, blobs, blob) == 0)
    return OME_OK;
  return fail_errno(err, "move into the store", name);
}

int32_t blob_sync_folders(const struct model_store *s, const struct manifest *m, struct ome_err *err) {
  _cleanup_free_ char *blobs = path_join(s->root, "blobs");
  bool seen[256] = {false};
  int32_t rc = blobs ? OME_OK : fail_memory(err);

  for (size_t i = 0; rc == OME_OK && i < m->files.len; i++) {
    char digits[] = {m->files.items[i].sha256[0], m->files.items[i].sha256[1], '\0'};
    uint8_t first = 0;
    if (!hex_decode(digits, &first, 1) || seen[first])
      continue;
    seen[first] = true;
    _cleanup_free_ char *path = path_join(blobs, digits);
    rc = path ? dir_sync(path, err) : fail_memory(err);
  }
  return rc == OME_OK ? dir_sync(blobs, err) : rc;
}

int32_t blob_each(const struct model_store *s,
                  int32_t (*fn)(void *arg, const char *folder, const char *name, struct ome_err *err), void *arg,
                  struct ome_err *err) {
  int32_t rc = OME_OK;

  for (unsigned first = 0; rc == OME_OK && first < 256; first++) {
    _cleanup_free_ char *folder = str_printf("blobs/%02x", first);
    _cleanup_names_ struct names names = {{0}};
    struct ome_err absent = ERR_INIT;
    if (!folder)
      return fail_memory(err);
    if (names_in(s, folder, "", &names, &absent) != OME_OK)
      continue;
    for (size_t i = 0; rc == OME_OK && i < names.list.len; i++)
      rc = fn(arg, folder, names.list.items[i], err);
  }
  return rc;
}

/* ---- checking ---------------------------------------------------------------------------------------------------- */

void blob_check_fini(struct blob_check *c) {
  VEC_FREE(&c->good);
}

/* Which pieces are as they were, by what was written down when the blob was. */
static int32_t compare(const struct model_store *s, const char *sha256, const struct sums *now, struct blob_check *out,
                       struct ome_err *err) {
  size_t pieces = (size_t)piece_count(out->size, SUMS_PIECE);
  struct sums then = {.failed = false};
  bool known = read_sums(s, sha256, pieces, &then) && !now->failed;
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < pieces; i++) {
    bool good = known && i < now->list.len && now->list.items[i] == then.list.items[i];
    uint64_t rest = out->size - i * SUMS_PIECE;
    if (!VEC_PUSH(&out->good, good))
      rc = fail_memory(err);
    else if (!good)
      out->damaged += rest < SUMS_PIECE ? rest : SUMS_PIECE;
  }
  sums_fini(&then);
  if (rc == OME_OK && out->damaged == 0) { /* the checksums do not tell */
    out->damaged = out->size ? out->size : 1;
    memset(out->good.items, 0, out->good.len * sizeof(bool));
  }
  return rc;
}

int32_t blob_check(const struct model_store *s, const char *sha256, uint64_t size, bool (*stop)(void *), void *arg,
                   struct blob_check *out, struct ome_err *err) {
  _cleanup_free_ char *path = blob_path(s, sha256);
  _cleanup_close_ int fd = path ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
  struct sums now = {.failed = false};
  char found[65];
  char wanted[65];
  struct stat st;

  if (fd < 0 || fstat(fd, &st) != 0)
    return fail_errno(err, "check", path ? path : sha256);
  uint64_t there = (uint64_t)st.st_size < size ? (uint64_t)st.st_size : size;
  out->size = size;
  const struct manifest_file f = {.path = path, .size = there};
  int32_t rc = digest_file(fd, &f, stop, arg, found, wanted, &now, err);
  if (rc == OME_OK && ((uint64_t)st.st_size != size || !streq(found, sha256)))
    rc = compare(s, sha256, &now, out, err);
  sums_fini(&now);
  return rc;
}
