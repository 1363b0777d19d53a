/* storage "local": models that are on this machine's file systems already: local://PATH, file://PATH, and
 * pvc://[NAMESPACE:]CLAIM/PATH where the claim is mounted below `pvc_root`. */
#include <ome/storage.h>

#include <ome-sdk/error.h>

#include "../common/http.h"
#include "../common/sha256.h"
#include "../common/storage.h"
#include "local_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DEPTH 32
#define PIECE ((size_t)1 << 20)

struct local {
  char *pvc_root;
  int digests; /* SHA-256 of every file in list() */
};

static int32_t stopped(struct ome_err *err) {
  return ome_fail(err, OME_E_CANCELLED, "local: stopped");
}

/* ---- listing ----------------------------------------------------------------------------------------------------- */

struct walk {
  const struct local_place *place;
  struct ome_file_sink *out;
  const struct ome_call *call;
  struct ome_err *err;
  int base;
  int digests;
  size_t root_len;           /* of PATH, where names of files begin; with the '/' */
  char path[LOCAL_MAX_PATH]; /* from the base */
};

/* SHA-256 of what FD holds, up to its end. */
static int32_t digest(const struct walk *w, int fd, char out[SHA256_TEXT]) {
  struct sha256 *s = sha256_new();
  char *piece = malloc(PIECE);
  int32_t rc = s && piece ? OME_OK : ome_fail(w->err, OME_E_NO_MEMORY, "local: out of memory");

  for (ssize_t n = 1; rc == OME_OK && n;) {
    n = read(fd, piece, PIECE);
    if (n < 0)
      rc = local_fail(w->err, "read", w->path);
    else if (OME_HAS(ome_call, w->call, cancelled) && w->call->cancelled(w->call))
      rc = stopped(w->err);
    else
      sha256_add(s, piece, (size_t)n);
  }
  if (s)
    sha256_end(s, out);
  free(piece);
  return rc;
}

/* Pushes the file that w->path names; what is no regular file is left out.  Links are followed, as hub caches have
 * them. */
static int32_t push(struct walk *w) {
  struct ome_model_file f = {.struct_size = sizeof(f), .path = w->path + w->root_len};
  char sha256[SHA256_TEXT], link[32], real[LOCAL_MAX_PATH];
  struct stat st;
  int32_t rc = OME_OK;
  int fd = local_open(w->place, w->base, w->path, w->digests ? O_RDONLY | O_NONBLOCK : O_PATH);

  if (fd < 0 || fstat(fd, &st) != 0)
    rc = local_fail(w->err, "open", w->path);
  if (rc != OME_OK || !S_ISREG(st.st_mode))
    goto out;
  f.size = (uint64_t)st.st_size;
  if (w->digests) {
    rc = digest(w, fd, sha256);
    f.digest_type = OME_DIGEST_SHA256;
    f.digest = sha256;
  }
  if (!w->place->confined) { /* who writes to a claim could put another file there until the host looks */
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, real, sizeof(real) - 1);
    if (n > 0 && real[0] == '/') {
      real[n] = '\0';
      f.local_path = real;
    }
  }
  if (rc == OME_OK && (rc = w->out->file(w->out, &f)) != OME_OK)
    (void)ome_fail(w->err, rc, "local: the host did not take %.300s", w->path);
out:
  if (fd >= 0)
    (void)close(fd);
  return rc;
}

static int32_t walk(struct walk *w, int depth);

/* NAME in the folder that the first LEN characters of w->path are; ST is of the entry itself. */
static int32_t visit(struct walk *w, const char *name, const struct stat *st, size_t len, int depth) {
  int n = snprintf(w->path + len, sizeof(w->path) - len, "/%s", name);
  int32_t rc = OME_OK;

  if (n < 0 || (size_t)n >= sizeof(w->path) - len)
    rc = ome_fail(w->err, OME_E_INVALID, "local: %.300s: the path is too long", w->path);
  else if (S_ISDIR(st->st_mode))
    rc = walk(w, depth + 1);
  else if (S_ISREG(st->st_mode))
    rc = push(w);
  else if (S_ISLNK(st->st_mode)) /* to a folder: could go in circles, left out */
    rc = push(w);
  w->path[len] = '\0';
  return rc;
}

/* The folder that w->path is. */
static int32_t walk(struct walk *w, int depth) {
  int fd = local_open(w->place, w->base, w->path, O_RDONLY | O_DIRECTORY);
  DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
  size_t len = strlen(w->path);
  int32_t rc = OME_OK;

  if (!d) {
    rc = local_fail(w->err, "open", w->path);
    if (fd >= 0)
      (void)close(fd);
    return rc;
  }
  if (depth > MAX_DEPTH)
    rc = ome_fail(w->err, OME_E_INVALID, "local: %.300s: folders are nested deeper than %d", w->path, MAX_DEPTH);
  for (struct dirent *e; rc == OME_OK && (e = readdir(d));) {
    struct stat st;
    if (e->d_name[0] == '.')
      continue;
    if (OME_HAS(ome_call, w->call, cancelled) && w->call->cancelled(w->call))
      rc = stopped(w->err);
    else if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
      rc = visit(w, e->d_name, &st, len, depth);
    else if (errno != ENOENT) /* removed meanwhile */
      rc = local_fail(w->err, "look at", w->path);
  }
  (void)closedir(d);
  return rc;
}

static int32_t match(void *self, const char *uri) {
  (void)self;
  if (strncmp(uri, "local://", 8) == 0 || strncmp(uri, "file://", 7) == 0)
    return 100;
  return strncmp(uri, "pvc://", 6) == 0 ? 50 : 0;
}

/* What the address leads to: *IS_FOLDER. */
static int32_t look_at(const struct local_place *p, int base, int *is_folder, struct ome_err *err) {
  int fd = local_open(p, base, p->path, O_PATH);
  char shown[2 * LOCAL_MAX_PATH];
  struct stat st;
  int32_t rc = OME_OK;

  (void)snprintf(shown, sizeof(shown), "%s%s%s", strcmp(p->base, ".") == 0 ? "" : p->base,
                 strcmp(p->base, "/") == 0 || strcmp(p->base, ".") == 0 ? "" : "/", p->path);
  if (fd < 0 || fstat(fd, &st) != 0)
    rc = local_fail(err, "open", shown);
  else if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
    rc = ome_fail(err, OME_E_INVALID, "local: %.300s: is neither a file nor a folder", p->path);
  else
    *is_folder = S_ISDIR(st.st_mode);
  if (fd >= 0)
    (void)close(fd);
  return rc;
}

static int wants_digests(const struct local *l, const struct ome_model_ref *ref) {
  const char *asked = kv_text(ref->params, ref->nparams, "digests");

  return asked ? strcmp(asked, "sha256") == 0 : l->digests;
}

static int32_t list(void *self, const struct ome_call *call, const struct ome_model_ref *ref, struct ome_file_sink *out,
                    struct ome_err *err) {
  const struct local *l = self;
  struct local_place place;
  struct walk w = {.place = &place, .out = out, .call = call, .err = err, .digests = wants_digests(l, ref)};
  int is_folder = 0;
  int32_t rc = local_place_of(l->pvc_root, ref->uri, &place, err);

  if (rc != OME_OK)
    return rc;
  w.base = local_open_base(&place, err);
  if (w.base < 0)
    return err->code;
  rc = look_at(&place, w.base, &is_folder, err);
  memcpy(w.path, place.path, sizeof(w.path));
  const char *slash = strrchr(w.path, '/');
  w.root_len = is_folder ? strlen(w.path) + 1 : slash ? (size_t)(slash - w.path) + 1 : 0;
  if (rc == OME_OK)
    rc = is_folder ? walk(&w, 0) : push(&w);
  (void)close(w.base);
  return rc;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int32_t copy_range(int fd, const char *path, const struct ome_call *call, uint64_t offset, uint64_t len,
                          struct ome_byte_sink *out, struct ome_err *err) {
  char *piece = malloc(PIECE);
  int32_t rc = piece ? OME_OK : ome_fail(err, OME_E_NO_MEMORY, "local: out of memory");

  while (rc == OME_OK && len) {
    ssize_t n = pread(fd, piece, len < PIECE ? (size_t)len : PIECE, (off_t)offset);
    if (n < 0)
      rc = local_fail(err, "read", path);
    if (n <= 0)
      break;
    rc = out->write(out, piece, (uint64_t)n);
    if (rc != OME_OK)
      (void)ome_fail(err, rc, "local: the host did not take bytes of %.300s", path);
    else if (OME_HAS(ome_call, call, cancelled) && call->cancelled(call))
      rc = stopped(err);
    offset += (uint64_t)n;
    len -= (uint64_t)n;
  }
  free(piece);
  return rc;
}

static int32_t read_range(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                          const struct ome_model_file *file, uint64_t offset, uint64_t len, struct ome_byte_sink *out,
                          struct ome_err *err) {
  const struct local *l = self;
  struct local_place place;
  char path[2 * LOCAL_MAX_PATH];
  int is_folder = 0;
  int32_t rc = local_place_of(l->pvc_root, ref->uri, &place, err);

  if (rc != OME_OK)
    return rc;
  if (!file->path || !local_is_down(file->path) || strlen(file->path) >= LOCAL_MAX_PATH)
    return ome_fail(err, OME_E_INVALID, "local: no file is named");
  int base = local_open_base(&place, err);
  if (base < 0)
    return err->code;
  rc = look_at(&place, base, &is_folder, err);
  (void)snprintf(path, sizeof(path), "%s%s%s", place.path, is_folder ? "/" : "", is_folder ? file->path : "");
  int fd = rc == OME_OK ? local_open(&place, base, path, O_RDONLY | O_NONBLOCK) : -1;
  if (rc == OME_OK && fd < 0)
    rc = local_fail(err, "open", path);
  if (rc == OME_OK)
    rc = copy_range(fd, path, call, offset, len, out, err);
  if (fd >= 0)
    (void)close(fd);
  (void)close(base);
  return rc;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static int32_t write_all(int fd, const char *path, const char *data, size_t len, struct ome_err *err) {
  while (len) {
    ssize_t n = write(fd, data, len);
    if (n < 0 && errno != EINTR)
      return local_fail(err, "write", path);
    if (n > 0) {
      data += n;
      len -= (size_t)n;
    }
  }
  return OME_OK;
}

/* The file's bytes into FD, a piece at a time, and into S. */
static int32_t copy_pieces(struct ome_uploader *from, const struct ome_upload_file *file, int fd, struct sha256 *s,
                           char *piece, struct ome_err *err) {
  int32_t rc = OME_OK;

  for (uint64_t at = 0; rc == OME_OK && at < file->size;) {
    size_t len = file->size - at < PIECE ? (size_t)(file->size - at) : PIECE;
    rc = from->read(from, at, len, piece, err);
    if (rc == OME_OK)
      rc = write_all(fd, file->path, piece, len, err);
    if (rc == OME_OK)
      sha256_add(s, piece, len);
    at += len;
  }
  return rc;
}

/* The file into FD, onto stable storage; it must be what the host hashed. */
static int32_t copy_from(struct ome_uploader *from, const struct ome_upload_file *file, int fd, struct ome_err *err) {
  struct sha256 *s = sha256_new();
  char *piece = malloc(PIECE), sha256[SHA256_TEXT] = "";
  int32_t rc = s && piece ? OME_OK : ome_fail(err, OME_E_NO_MEMORY, "local: out of memory");

  if (rc == OME_OK && file->size && fallocate(fd, 0, 0, (off_t)file->size) != 0 && errno == ENOSPC)
    rc = local_fail(err, "write", file->path);
  if (rc == OME_OK)
    rc = copy_pieces(from, file, fd, s, piece, err);
  if (s)
    sha256_end(s, sha256);
  free(piece);
  if (rc == OME_OK && file->sha256 && strcmp(file->sha256, sha256) != 0)
    rc = ome_fail(err, OME_E_CORRUPT, "local: %.300s: it changed while it was read; push it again", file->path);
  if (rc == OME_OK && fsync(fd) != 0)
    rc = local_fail(err, "write", file->path);
  return rc;
}

/* FILE as NAME into FOLDER, whole or not at all: a hidden file beside it, on stable storage, renamed. */
static int32_t place(struct ome_uploader *from, const struct ome_upload_file *file, int folder, const char *name,
                     struct ome_err *err) {
  char temporary[40];
  uint64_t random = 0;
  int32_t rc;

  if (getrandom(&random, sizeof(random), 0) != sizeof(random))
    return local_fail(err, "name a temporary file for", file->path);
  (void)snprintf(temporary, sizeof(temporary), ".ome-push-%016llx", (unsigned long long)random);
  int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0)
    return local_fail(err, "create", file->path);
  rc = copy_from(from, file, fd, err);
  (void)close(fd);
  if (rc == OME_OK && renameat(folder, temporary, folder, name) != 0)
    rc = local_fail(err, "create", file->path);
  if (rc != OME_OK) {
    (void)unlinkat(folder, temporary, 0);
    return rc;
  }
  int synced = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (synced < 0 || fsync(synced) != 0)
    rc = local_fail(err, "write", file->path);
  if (synced >= 0)
    (void)close(synced);
  return rc;
}

/* The folder below ROOT that the file goes to; links below ROOT are not followed, as list() does not. */
static int parent_of(const struct local_place *p, int root, const char *path) {
  const char *slash = strrchr(path, '/');
  char folder[LOCAL_MAX_PATH];

  (void)snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) : 0, path);
  return local_make_folder(p, root, folder, 0);
}

static int32_t upload(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                      const struct ome_upload_file *file, struct ome_uploader *to, struct ome_err *err) {
  const struct local *l = self;
  struct local_place where;
  int32_t rc = local_place_of(l->pvc_root, ref->uri, &where, err);

  (void)call; /* the uploader asks */
  if (rc != OME_OK)
    return rc;
  if (!file->path || !local_is_down(file->path) || strlen(file->path) >= LOCAL_MAX_PATH)
    return ome_fail(err, OME_E_INVALID, "local: no file is named");
  int base = local_open_base(&where, err);
  if (base < 0)
    return err->code;
  int root = local_make_folder(&where, base, where.path, 1);
  int folder = root >= 0 ? parent_of(&where, root, file->path) : -1;
  const char *slash = strrchr(file->path, '/');
  if (folder < 0)
    rc = local_fail(err, "make the folder of", file->path);
  else
    rc = place(to, file, folder, slash ? slash + 1 : file->path, err);
  if (folder >= 0)
    (void)close(folder);
  if (root >= 0)
    (void)close(root);
  (void)close(base);
  return rc;
}

/* ---- descriptor -------------------------------------------------------------------------------------------------- */

STORAGE_KEY(
    pvc_root, OME_KEY_STRING,
    "Folder that persistent volume claims are mounted below, as [NAMESPACE/]CLAIM; without it pvc:// is refused.");
static const struct ome_key key_digests = {
    sizeof(struct ome_key),
    OME_KEY_BOOL,
    0,
    0,
    "digests",
    "false",
    "Whether list() reads every file to name its SHA-256; the model's parameter digests: sha256 goes before it."};
static const struct ome_key *const keys[] = {&key_pvc_root, &key_digests, NULL};

static void destroy(void *self) {
  struct local *l = self;

  if (l)
    free(l->pvc_root);
  free(l);
}

static int32_t create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                      struct ome_err *err) {
  struct local *l = calloc(1, sizeof(*l));
  const char *root = kv_text(cfg, ncfg, "pvc_root"), *digests = kv_text(cfg, ncfg, "digests");

  (void)host;
  if (l && root)
    l->pvc_root = strdup(root);
  if (!l || (root && !l->pvc_root)) {
    destroy(l);
    return ome_fail(err, OME_E_NO_MEMORY, "local: out of memory");
  }
  l->digests = digests && strcmp(digests, "true") == 0;
  *out_self = l;
  return OME_OK;
}

STORAGE_SCHEMES("local://", "file://", "pvc://");

static const struct ome_storage_ops ops = {
    .struct_size = sizeof(ops), .match = match, .list = list, .read = read_range, .upload = upload, .schemes = schemes};

STORAGE_PLUGIN("local", "Models on this machine's file systems (local://, file://, pvc://)", keys, create, destroy);
