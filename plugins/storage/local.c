/* storage "local": models that are on this machine's file systems already: local://PATH, file://PATH, and
 * pvc://[NAMESPACE:]CLAIM/PATH where the claim is mounted below `pvc_root`. */
#include <ome/storage.h>

#include <ome-sdk/error.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DEPTH 32
#define PIECE ((size_t)1 << 20)

struct local {
  char *pvc_root;
};

static int32_t fail_file(struct ome_err *err, const char *what, const char *path) {
  int saved = errno;
  int32_t code = saved == ENOENT || saved == ENOTDIR ? OME_E_NOT_FOUND
                 : saved == EACCES || saved == EPERM ? OME_E_DENIED
                                                     : OME_E_UNAVAILABLE;

  return ome_fail(err, code, "local: %s %.300s: %s", what, path, strerror(saved));
}

/* ---- where ------------------------------------------------------------------------------------------------------- */

static int has_prefix(const char *s, const char *prefix) {
  return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Whether every part of PATH leads down. */
static int is_down(const char *path) {
  for (const char *p = path; *p;) {
    size_t n = strcspn(p, "/");
    if (n == 2 && p[0] == '.' && p[1] == '.')
      return 0;
    p += n + (p[n] == '/');
  }
  return 1;
}

static int32_t root_of(const struct local *l, const char *uri, char *out, size_t size, struct ome_err *err) {
  int n = -1;

  if (!uri)
    uri = "";
  if (has_prefix(uri, "local://"))
    n = snprintf(out, size, "%s", uri + 8);
  else if (has_prefix(uri, "file://"))
    n = snprintf(out, size, "%s", uri + 7);
  else if (has_prefix(uri, "pvc://") && !l->pvc_root)
    return ome_fail(err, OME_E_UNSUPPORTED, "local: %.200s: set pvc_root to where claims are mounted on the nodes",
                    uri);
  else if (has_prefix(uri, "pvc://")) {
    const char *rest = uri + 6, *colon = strchr(rest, ':'), *slash = strchr(rest, '/');
    if (colon && slash && colon < slash)
      n = snprintf(out, size, "%s/%.*s/%s", l->pvc_root, (int)(colon - rest), rest, colon + 1);
    else
      n = snprintf(out, size, "%s/%s", l->pvc_root, rest);
  }
  if (n <= 0 || (size_t)n >= size || !is_down(out))
    return ome_fail(err, OME_E_INVALID, "local: \"%.200s\" names no path", uri);
  return OME_OK;
}

/* ---- listing ----------------------------------------------------------------------------------------------------- */

struct walk {
  struct ome_file_sink *out;
  const struct ome_call *call;
  struct ome_err *err;
  char path[4096]; /* root and what is below */
  size_t root_len;
};

static int32_t push(struct walk *w, const char *name, const struct stat *st) {
  const struct ome_model_file f = {.struct_size = sizeof(f), .path = name, .size = (uint64_t)st->st_size};
  int32_t rc = w->out->file(w->out, &f);

  return rc == OME_OK ? OME_OK : ome_fail(w->err, rc, "local: the host did not take %.300s", w->path);
}

static int32_t walk(struct walk *w, int depth);

static int32_t visit(struct walk *w, const char *name, size_t len, int depth) {
  struct stat st;
  int n = snprintf(w->path + len, sizeof(w->path) - len, "/%s", name);
  int32_t rc = OME_OK;

  if (n < 0 || (size_t)n >= sizeof(w->path) - len)
    return ome_fail(w->err, OME_E_INVALID, "local: %.300s: the path is too long", w->path);
  /* Links to files are followed, as in hub caches; links to folders could go in circles. */
  if (stat(w->path, &st) != 0)
    rc = fail_file(w->err, "look at", w->path);
  else if (S_ISREG(st.st_mode))
    rc = push(w, w->path + w->root_len + 1, &st);
  else if (S_ISDIR(st.st_mode) && lstat(w->path, &st) == 0 && S_ISDIR(st.st_mode))
    rc = walk(w, depth + 1);
  w->path[len] = '\0';
  return rc;
}

static int32_t walk(struct walk *w, int depth) {
  DIR *d = opendir(w->path);
  size_t len = strlen(w->path);
  int32_t rc = OME_OK;

  if (!d)
    return fail_file(w->err, "open", w->path);
  if (depth > MAX_DEPTH)
    rc = ome_fail(w->err, OME_E_INVALID, "local: %.300s: folders are nested too deep", w->path);
  for (struct dirent *e; rc == OME_OK && (e = readdir(d));) {
    if (e->d_name[0] == '.')
      continue;
    if (OME_HAS(ome_call, w->call, cancelled) && w->call->cancelled(w->call))
      rc = ome_fail(w->err, OME_E_CANCELLED, "local: stopped");
    else
      rc = visit(w, e->d_name, len, depth);
  }
  (void)closedir(d);
  return rc;
}

static int32_t match(void *self, const char *uri) {
  (void)self;
  return has_prefix(uri, "local://") || has_prefix(uri, "file://") ? 100 : has_prefix(uri, "pvc://") ? 50 : 0;
}

static int32_t list(void *self, const struct ome_call *call, const struct ome_model_ref *ref, struct ome_file_sink *out,
                    struct ome_err *err) {
  struct walk w = {.out = out, .call = call, .err = err};
  struct stat st;
  int32_t rc = root_of(self, ref->uri, w.path, sizeof(w.path), err);

  if (rc != OME_OK)
    return rc;
  w.root_len = strlen(w.path);
  while (w.root_len > 1 && w.path[w.root_len - 1] == '/')
    w.path[--w.root_len] = '\0';
  if (stat(w.path, &st) != 0)
    return fail_file(err, "look at", w.path);
  if (S_ISDIR(st.st_mode))
    return walk(&w, 0);
  const char *slash = strrchr(w.path, '/');
  return push(&w, slash ? slash + 1 : w.path, &st);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int32_t copy_range(int fd, const char *path, const struct ome_call *call, uint64_t offset, uint64_t len,
                          struct ome_byte_sink *out, struct ome_err *err) {
  char *piece = malloc(PIECE);
  int32_t rc = piece ? OME_OK : ome_fail(err, OME_E_NO_MEMORY, "local: out of memory");

  while (rc == OME_OK && len) {
    ssize_t n = pread(fd, piece, len < PIECE ? (size_t)len : PIECE, (off_t)offset);
    if (n < 0)
      rc = fail_file(err, "read", path);
    if (n <= 0)
      break;
    rc = out->write(out, piece, (uint64_t)n);
    if (rc != OME_OK)
      (void)ome_fail(err, rc, "local: the host did not take bytes of %.300s", path);
    else if (OME_HAS(ome_call, call, cancelled) && call->cancelled(call))
      rc = ome_fail(err, OME_E_CANCELLED, "local: stopped");
    offset += (uint64_t)n;
    len -= (uint64_t)n;
  }
  free(piece);
  return rc;
}

static int32_t read_range(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                          const struct ome_model_file *file, uint64_t offset, uint64_t len, struct ome_byte_sink *out,
                          struct ome_err *err) {
  char root[4096], path[8192];
  struct stat st;
  int32_t rc = root_of(self, ref->uri, root, sizeof(root), err);

  if (rc != OME_OK)
    return rc;
  if (!file->path || !is_down(file->path))
    return ome_fail(err, OME_E_INVALID, "local: no file is named");
  int is_folder = stat(root, &st) == 0 && S_ISDIR(st.st_mode);
  (void)snprintf(path, sizeof(path), "%s%s%s", root, is_folder ? "/" : "", is_folder ? file->path : "");
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fail_file(err, "open", path);
  rc = copy_range(fd, path, call, offset, len, out, err);
  (void)close(fd);
  return rc;
}

/* ---- descriptor -------------------------------------------------------------------------------------------------- */

static const struct ome_key key_pvc_root = {
    sizeof(struct ome_key),
    OME_KEY_STRING,
    0,
    0,
    "pvc_root",
    NULL,
    "Folder that persistent volume claims are mounted below, as [NAMESPACE/]CLAIM; without it pvc:// is refused."};
static const struct ome_key *const keys[] = {&key_pvc_root, NULL};

static void destroy(void *self) {
  struct local *l = self;

  if (l)
    free(l->pvc_root);
  free(l);
}

static int32_t create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                      struct ome_err *err) {
  struct local *l = calloc(1, sizeof(*l));

  (void)host;
  for (uint32_t i = 0; l && i < ncfg; i++)
    if (strcmp(cfg[i].key, "pvc_root") == 0)
      l->pvc_root = strdup(cfg[i].value);
  if (!l)
    return ome_fail(err, OME_E_NO_MEMORY, "local: out of memory");
  *out_self = l;
  return OME_OK;
}

static const char *const *schemes(void *self) {
  static const char *const known[] = {"local://", "file://", "pvc://", NULL};

  (void)self;
  return known;
}

static const struct ome_storage_ops ops = {
    .struct_size = sizeof(ops), .match = match, .list = list, .read = read_range, .schemes = schemes};
static const struct ome_factory factory = {.struct_size = sizeof(factory),
                                           .threads = OME_THREADS_PARALLEL,
                                           .kind = OME_KIND_STORAGE,
                                           .name = "local",
                                           .keys = keys,
                                           .ops = &ops,
                                           .create = create,
                                           .destroy = destroy};
static const struct ome_factory *const factories[] = {&factory, NULL};
static const struct ome_plugin plugin = {.struct_size = sizeof(plugin),
                                         .abi_epoch = OME_ABI_EPOCH,
                                         .abi_minor = OME_ABI_MINOR,
                                         .name = "storage-local",
                                         .version = OME_VERSION,
                                         .license = "Apache-2.0",
                                         .summary = "Models on this machine's file systems (local://, file://, pvc://)",
                                         .factories = factories};

const struct ome_plugin *ome_plugin_v1(void) {
  return &plugin;
}
