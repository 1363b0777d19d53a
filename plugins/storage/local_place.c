#include "local_place.h"

#include <ome-sdk/error.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int32_t local_fail(struct ome_err *err, const char *what, const char *path) {
  static const struct {
    int number;
    int32_t code;
    const char *advice;
  } known[] = {
      {ENOENT, OME_E_NOT_FOUND, "; check the path"},
      {ENOTDIR, OME_E_NOT_FOUND, ""},
      {ELOOP, OME_E_INVALID, "; a link leads in circles or out of the folder"},
      {EXDEV, OME_E_INVALID, "; a link leads out of the folder"},
      {ENAMETOOLONG, OME_E_INVALID, ""},
      {EACCES, OME_E_DENIED, "; let this user read it"},
      {EPERM, OME_E_DENIED, ""},
      {EROFS, OME_E_DENIED, "; it is mounted to be read only"},
      {ENOSPC, OME_E_NO_SPACE, "; free some"},
      {EDQUOT, OME_E_NO_SPACE, "; free some or raise the quota"},
      {ENOSYS, OME_E_UNSUPPORTED, "; this needs Linux 5.6 or later"},
  };
  int saved = errno;

  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
    if (known[i].number == saved)
      return ome_fail(err, known[i].code, "local: %s %.300s: %s%s", what, path, strerror(saved), known[i].advice);
  return ome_fail(err, OME_E_UNAVAILABLE, "local: %s %.300s: %s", what, path, strerror(saved));
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

int local_is_down(const char *path) {
  if (*path == '\0' || *path == '/')
    return 0;
  for (const char *p = path; *p;) {
    size_t n = strcspn(p, "/");
    if (n == 2 && p[0] == '.' && p[1] == '.')
      return 0;
    p += n + (p[n] == '/');
  }
  return 1;
}

/* A name of Kubernetes: a label of up to 63 characters, with DOTS a subdomain of up to 253. */
static int is_name(const char *s, size_t len, int dots) {
  static const char label[] = "abcdefghijklmnopqrstuvwxyz0123456789-",
                    subdomain[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";

  if (len == 0 || len > (dots ? 253 : 63) || strchr("-.", s[0]) || strchr("-.", s[len - 1]))
    return 0;
  return strspn(s, dots ? subdomain : label) >= len;
}

static int fits(int n) {
  return n > 0 && n < LOCAL_MAX_PATH;
}

/* pvc://CLAIM/PATH, pvc://NAMESPACE:CLAIM/PATH */
static int32_t claim_of(const char *pvc_root, const char *uri, struct local_place *out, struct ome_err *err) {
  const char *name = uri + 6, *slash = strchr(name, '/'), *namespace = NULL;
  const char *colon = slash ? memchr(name, ':', (size_t)(slash - name)) : NULL;
  size_t namespace_len = 0;
  int n;

  if (!pvc_root)
    return ome_fail(err, OME_E_UNSUPPORTED, "local: %.200s: set pvc_root to where claims are mounted on the nodes",
                    uri);
  if (colon) {
    namespace = name;
    namespace_len = (size_t)(colon - name);
    name = colon + 1;
  }
  if (!slash || !is_name(name, (size_t)(slash - name), 1) || (namespace && !is_name(namespace, namespace_len, 0)) ||
      !local_is_down(slash + 1))
    return ome_fail(err, OME_E_INVALID, "local: \"%.200s\" is not pvc://[NAMESPACE:]CLAIM/PATH", uri);
  if (namespace)
    n = snprintf(out->base, sizeof(out->base), "%s/%.*s/%.*s", pvc_root, (int)namespace_len, namespace,
                 (int)(slash - name), name);
  else
    n = snprintf(out->base, sizeof(out->base), "%s/%.*s", pvc_root, (int)(slash - name), name);
  if (!fits(n) || !fits(snprintf(out->path, sizeof(out->path), "%s", slash + 1)))
    return ome_fail(err, OME_E_INVALID, "local: \"%.200s\" is too long", uri);
  out->confined = 1;
  return OME_OK;
}

int32_t local_place_of(const char *pvc_root, const char *uri, struct local_place *out, struct ome_err *err) {
  const char *path = NULL;

  memset(out, 0, sizeof(*out));
  if (!uri)
    return ome_fail(err, OME_E_INVALID, "local: no address");
  if (strncmp(uri, "pvc://", 6) == 0)
    return claim_of(pvc_root, uri, out, err);
  if (strncmp(uri, "local://", 8) == 0)
    path = uri + 8;
  else if (strncmp(uri, "file://", 7) == 0)
    path = uri + 7;
  if (!path || !*path)
    return ome_fail(err, OME_E_INVALID, "local: \"%.200s\" names no path", uri);
  (void)snprintf(out->base, sizeof(out->base), "%s", *path == '/' ? "/" : ".");
  path += strspn(path, "/");
  if (!fits(snprintf(out->path, sizeof(out->path), "%s", *path ? path : ".")) || !local_is_down(out->path))
    return ome_fail(err, OME_E_INVALID, "local: \"%.200s\" does not lead down, or is too long", uri);
  for (size_t n = strlen(out->path); n > 1 && out->path[n - 1] == '/'; n--)
    out->path[n - 1] = '\0';
  return OME_OK;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

int local_open_base(const struct local_place *p, struct ome_err *err) {
  int fd = open(p->base, O_PATH | O_DIRECTORY | O_CLOEXEC);

  if (fd < 0)
    (void)local_fail(err, "open", p->base);
  return fd;
}

static int open_in(int folder, const char *path, int flags, uint64_t resolve) {
  const struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC), .resolve = resolve};

  return (int)syscall(SYS_openat2, folder, path, &how, sizeof(how));
}

int local_open(const struct local_place *p, int base, const char *path, int flags) {
  return p->confined ? open_in(base, path, flags, RESOLVE_IN_ROOT) : openat(base, path, flags | O_CLOEXEC);
}

int local_make_folder(const struct local_place *p, int folder, const char *path, int follow) {
  uint64_t resolve = !follow ? RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS : p->confined ? RESOLVE_IN_ROOT : 0;
  char part[LOCAL_MAX_PATH];
  int parent = dup(folder);

  for (const char *end = path; parent >= 0 && *end;) {
    end += strcspn(end, "/");
    size_t len = (size_t)(end - path);
    if (len >= sizeof(part)) {
      errno = ENAMETOOLONG;
      break;
    }
    memcpy(part, path, len);
    part[len] = '\0';
    int next = open_in(folder, part, O_PATH | O_DIRECTORY, resolve);
    const char *slash = strrchr(part, '/');
    if (next < 0 && errno == ENOENT && (mkdirat(parent, slash ? slash + 1 : part, 0755) == 0 || errno == EEXIST))
      next = open_in(folder, part, O_PATH | O_DIRECTORY, resolve);
    int saved = errno;
    (void)close(parent);
    errno = saved;
    parent = next;
    end += strspn(end, "/");
  }
  return parent;
}
