#include "plugin/loader.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "plugin/elf.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <ltdl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLUGIN_MAX ((size_t)256 << 20)

static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER; /* libltdl has no locks of its own */
static char g_why[512]; /* dlerror() of the last open: libltdl keeps only a number; under g_lock */

/* ---- our loader behind libltdl ---------------------------------------------------------------------------------- */

static lt_module open_now(lt_user_data data, const char *path, lt_dladvise advise) {
  (void)data;
  (void)advise;
  void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  const char *why = module ? NULL : dlerror();
  (void)snprintf(g_why, sizeof(g_why), "%s", why ? why : "");
  return module;
}

static int never_close(lt_user_data data, lt_module module) {
  (void)data;
  (void)module;
  return 0;
}

static void *find_symbol(lt_user_data data, lt_module module, const char *name) {
  (void)data;
  return dlsym(module, name);
}

static int32_t start_locked(struct ome_err *err) {
  static const lt_dlvtable ours = {
      .name = "ome_now",
      .module_open = open_now,
      .module_close = never_close,
      .find_sym = find_symbol,
      .priority = LT_DLLOADER_PREPEND,
  };
  static bool started;

  if (started)
    return OME_OK;
  if (lt_dlinit() != 0)
    return fail(err, OME_E_INTERNAL, "libltdl: %s", lt_dlerror());
  /* A loader that was taken off the list is forgotten by libltdl: its table is the caller's. */
  free(lt_dlloader_remove("lt_dlopen"));
  free(lt_dlloader_remove("lt_preopen"));
  if (lt_dlloader_add(&ours) != 0)
    return fail(err, OME_E_INTERNAL, "libltdl: %s", lt_dlerror());
  started = true;
  return OME_OK;
}

/* ---- before a byte of it runs ----------------------------------------------------------------------------------- */

/* Whoever may write a plugin may run code here: nobody but root and ourselves.  A group of the owner's own number is
 * the owner's private group, which has no other member. */
static int32_t check_owner(const char *what, const char *path, const struct stat *st, struct ome_err *err) {
  mode_t others = st->st_gid == st->st_uid ? S_IWOTH : S_IWGRP | S_IWOTH;

  if (st->st_uid != 0 && st->st_uid != geteuid())
    return fail(err, OME_E_DENIED, "%s: its %s belongs to user %u; it must be root's or that of this process", path,
                what, (unsigned)st->st_uid);
  if (st->st_mode & others)
    return fail(err, OME_E_DENIED, "%s: its %s may be written by others; chmod go-w it", path, what);
  return OME_OK;
}

/* The folder of FILE, which is where PATH leads. */
static int32_t check_folder(const char *path, const char *file, struct ome_err *err) {
  _cleanup_free_ char *folder = str_copy(file, (size_t)(strrchr(file, '/') - file));
  struct stat st;

  if (!folder)
    return fail_memory(err);
  if (stat(*folder ? folder : "/", &st) != 0)
    return fail_errno(err, "stat", folder);
  return check_owner("folder", path, &st, err);
}

static int32_t check_bytes(const char *path, int fd, size_t len, const char *sha256, struct ome_err *err) {
  char digest[65];

  if (len == 0 || len > PLUGIN_MAX)
    return fail(err, OME_E_INVALID, "%s: %zu bytes are no plugin", path, len);
  void *data = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED)
    return fail_errno(err, "map", path);
  int32_t rc = elf_check(path, data, len, err);
  if (rc == OME_OK && sha256) {
    sha256_hex(data, len, digest);
    if (strcasecmp(digest, sha256) != 0)
      rc = fail(err, OME_E_CORRUPT, "%s: its SHA-256 is %s, plugins.conf says %s", path, digest, sha256);
  }
  (void)munmap(data, len);
  return rc;
}

/* PATH is how it was named, FILE the same without links: both folders count. */
static int32_t check_file(const char *path, const char *file, const char *sha256, struct ome_err *err) {
  _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  struct stat st;

  if (fd < 0 || fstat(fd, &st) != 0)
    return fail_errno(err, "open", path);
  if (!S_ISREG(st.st_mode))
    return fail(err, OME_E_INVALID, "%s: not a file", path);
  int32_t rc = check_owner("file", path, &st, err);
  if (rc == OME_OK)
    rc = check_folder(path, path, err);
  if (rc == OME_OK)
    rc = check_folder(path, file, err);
  return rc == OME_OK ? check_bytes(path, fd, (size_t)st.st_size, sha256, err) : rc;
}

/* ---- loading ---------------------------------------------------------------------------------------------------- */

/* dlerror() says "PATH: why"; the why is enough beside our own path. */
static const char *why_of(const char *path) {
  size_t n = strlen(path);

  return has_prefix(g_why, path) && g_why[n] == ':' ? g_why + n + 2 : g_why;
}

static int32_t open_locked(const char *path, const char *file, const struct ome_plugin **out, struct ome_err *err) {
  union {
    void *data;
    ome_plugin_fn *fn;
  } entry;
  int32_t rc = start_locked(err);

  if (rc != OME_OK)
    return rc;
  g_why[0] = '\0';
  lt_dlhandle handle = lt_dlopen(file);
  if (!handle)
    return fail(err, OME_E_INVALID, "%s: %s", path, *g_why ? why_of(file) : lt_dlerror());
  entry.data = lt_dlsym(handle, OME_PLUGIN_SYMBOL);
  if (!entry.data)
    return fail(err, OME_E_INVALID, "%s: does not export %s", path, OME_PLUGIN_SYMBOL);
  *out = entry.fn();
  return *out ? OME_OK : fail(err, OME_E_INVALID, "%s: %s() gave NULL", path, OME_PLUGIN_SYMBOL);
}

int32_t loader_open(const char *path, const char *sha256, const struct ome_plugin **out, struct ome_err *err) {
  _cleanup_free_ char *file = realpath(path, NULL);

  if (!file)
    return fail_errno(err, "open", path);
  int32_t rc = check_file(path, file, sha256, err);
  if (rc != OME_OK)
    return rc;
  (void)pthread_mutex_lock(&g_lock);
  rc = open_locked(path, file, out, err);
  (void)pthread_mutex_unlock(&g_lock);
  return rc;
}
