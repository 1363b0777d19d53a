/* Control groups, versions 1 and 2 (kernel documentation: admin-guide/cgroup-v1, admin-guide/cgroup-v2). */
#include "local/cgroup.h"

#include "base/str.h"
#include "base/strmap.h"
#include "base/vec.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ROOT "/sys/fs/cgroup"
#define CPU_PERIOD_US 100000

/* One hierarchy that we may write to. */
struct hierarchy {
  char *base; /* .../ome-ID */
  bool memory, cpu;
};

struct cgroups {
  bool v2;
  VEC(struct hierarchy) list;
};

static bool write_file(const char *dir, const char *file, const char *text) {
  _cleanup_free_ char *path = path_join(dir, file);
  _cleanup_close_ int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;

  return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static char *read_file(const char *dir, const char *file) {
  _cleanup_free_ char *path = path_join(dir, file);
  struct ome_err err = ERR_INIT;
  char *text = NULL;

  return path && file_read(path, 1 << 20, &text, NULL, &err) == OME_OK ? text : NULL;
}

/* ---- finding our place ------------------------------------------------------------------------------------------- */

/* Our group in the hierarchy whose controller list (second field of /proc/self/cgroup) holds NAME ("" for v2); new. */
static char *own_group(const char *name) {
  _cleanup_free_ char *text = read_file("/proc/self", "cgroup");
  _cleanup_free_ char **lines = text ? str_split(text, '\n') : NULL;

  for (size_t i = 0; lines && lines[i]; i++) {
    char *controllers = strchr(lines[i], ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path)
      continue;
    _cleanup_free_ char *list = str_copy(controllers + 1, (size_t)(path - controllers - 1));
    _cleanup_free_ char **names = list ? str_split(list, ',') : NULL;
    for (size_t k = 0; names && names[k]; k++)
      if (streq(names[k], name))
        return strdup(path + 1);
  }
  return NULL;
}

static void add_hierarchy(struct cgroups *c, const char *mount, const char *own, const char *id, bool memory,
                          bool cpu) {
  struct hierarchy h = {str_printf("%s%s/ome-%s", mount, streq(own, "/") ? "" : own, id), memory, cpu};

  if (!h.base || (mkdir(h.base, 0755) != 0 && errno != EEXIST) || !VEC_PUSH(&c->list, h))
    free(h.base);
}

static void find_v1(struct cgroups *c, const char *id) {
  static const char *const names[] = {"memory", "cpu"};

  for (size_t i = 0; i < ARRAY_LEN(names); i++) {
    _cleanup_free_ char *own = own_group(names[i]);
    _cleanup_free_ char *mount = str_printf(ROOT "/%s", names[i]);
    if (own && mount && file_exists(mount))
      add_hierarchy(c, mount, own, id, i == 0, i == 1);
  }
}

/* Below our own group if it passes its controllers on; otherwise below the root group, which always may. */
static void find_v2(struct cgroups *c, const char *id) {
  _cleanup_free_ char *own = own_group("");
  _cleanup_free_ char *dir = own ? str_printf(ROOT "%s", own) : NULL;
  bool passes = dir && write_file(dir, "cgroup.subtree_control", "+memory +cpu");

  if (!passes && write_file(ROOT, "cgroup.subtree_control", "+memory +cpu")) {
    free(own);
    own = strdup("/");
    passes = true;
  }
  if (own)
    add_hierarchy(c, ROOT, own, id, passes, passes);
  if (c->list.len && passes)
    (void)write_file(c->list.items[0].base, "cgroup.subtree_control", "+memory +cpu");
}

struct cgroups *cgroups_new(const char *id) {
  struct cgroups *c = calloc(1, sizeof(*c));

  if (!c)
    return NULL;
  c->v2 = file_exists(ROOT "/cgroup.controllers");
  if (c->v2)
    find_v2(c, id);
  else
    find_v1(c, id);
  return c;
}

bool cgroups_available(const struct cgroups *c) {
  return c->list.len > 0;
}

/* ---- clearing up ------------------------------------------------------------------------------------------------- */

static void kill_members(const char *dir) {
  if (write_file(dir, "cgroup.kill", "1"))
    return;
  _cleanup_free_ char *text = read_file(dir, "cgroup.procs");
  _cleanup_free_ char **lines = text ? str_split(text, '\n') : NULL;
  int64_t pid;

  for (size_t i = 0; lines && lines[i]; i++)
    if (str_to_i64(lines[i], &pid) && pid > 1)
      (void)kill((pid_t)pid, SIGKILL);
}

/* Removes an emptied group.  Members that were just killed leave it a moment after they are gone for wait(). */
static void remove_group(const char *dir) {
  for (int i = 0; i < 20 && rmdir(dir) != 0 && errno == EBUSY; i++) {
    kill_members(dir);
    (void)poll(NULL, 0, 5); /* there is nothing to wait on: version 1 does not tell */
  }
}

static void clear_hierarchy(const char *base) {
  DIR *d = opendir(base);

  for (struct dirent *e; d && (e = readdir(d));) {
    _cleanup_free_ char *dir = e->d_type == DT_DIR && e->d_name[0] != '.' ? path_join(base, e->d_name) : NULL;
    if (!dir)
      continue;
    kill_members(dir);
    remove_group(dir);
  }
  if (d)
    (void)closedir(d);
}

void cgroups_clear(struct cgroups *c) {
  for (size_t i = 0; i < c->list.len; i++)
    clear_hierarchy(c->list.items[i].base);
}

void cgroups_free(struct cgroups *c) {
  cgroups_clear(c);
  for (size_t i = 0; i < c->list.len; i++) {
    (void)rmdir(c->list.items[i].base);
    free(c->list.items[i].base);
  }
  VEC_FREE(&c->list);
  free(c);
}

/* ---- one container's --------------------------------------------------------------------------------------------- */

static bool set_limits(const struct cgroups *c, const struct hierarchy *h, const char *dir, int64_t memory_bytes,
                       int64_t cpu_milli) {
  char text[64];
  bool ok = true;

  if (h->memory && memory_bytes > 0) {
    (void)snprintf(text, sizeof(text), "%lld", (long long)memory_bytes);
    ok = write_file(dir, c->v2 ? "memory.max" : "memory.limit_in_bytes", text);
    (void)write_file(dir, c->v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes", c->v2 ? "0" : text);
    (void)write_file(dir, "memory.oom.group", "1");
  }
  if (h->cpu && cpu_milli > 0) {
    long long quota = (long long)cpu_milli * CPU_PERIOD_US / 1000;
    if (quota < 1000) /* the kernel's smallest */
      quota = 1000;
    (void)snprintf(text, sizeof(text), c->v2 ? "%lld 100000" : "%lld", quota);
    ok = write_file(dir, c->v2 ? "cpu.max" : "cpu.cfs_quota_us", text) && ok;
  }
  return ok;
}

/* The group's folder in one hierarchy, with its limits; false when it cannot be had. */
static bool make_in(const struct cgroups *c, const struct hierarchy *h, const char *name, int64_t memory_bytes,
                    int64_t cpu_milli, struct cgroup *g, size_t n, bool *set) {
  _cleanup_free_ char *dir = path_join(h->base, name);

  if (!dir || (mkdir(dir, 0755) != 0 && errno != EEXIST))
    return false;
  *set = set_limits(c, h, dir, memory_bytes, cpu_milli);
  g->procs[n] = path_join(dir, "cgroup.procs");
  g->dirs[n] = g->procs[n] ? TAKE_PTR(dir) : NULL;
  return g->procs[n] != NULL;
}

int32_t cgroup_make(struct cgroups *c, const char *name, int64_t memory_bytes, int64_t cpu_milli, struct cgroup *out,
                    struct ome_err *err) {
  bool memory = memory_bytes <= 0, cpu = cpu_milli <= 0;
  size_t n = 0;

  *out = (struct cgroup){.v2 = c->v2};
  for (size_t i = 0; i < c->list.len && n < CGROUP_MAX_PROCS; i++) {
    const struct hierarchy *h = &c->list.items[i];
    bool set = false;
    if (!h->memory && h->cpu && cpu_milli <= 0)
      continue; /* a cpu group without a limit is of no use */
    n += make_in(c, h, name, memory_bytes, cpu_milli, out, n, &set);
    memory = memory || (h->memory && set);
    cpu = cpu || (h->cpu && set);
  }
  if (memory && cpu)
    return OME_OK;
  return fail(err, OME_E_DENIED, "the %s limit is not in force: no writable control group for it",
              memory ? "cpu"
              : cpu  ? "memory"
                     : "memory and cpu");
}

bool cgroup_ran_out_of_memory(const struct cgroup *g) {
  for (size_t i = 0; i < CGROUP_MAX_PROCS && g->dirs[i]; i++) {
    _cleanup_free_ char *text = read_file(g->dirs[i], g->v2 ? "memory.events" : "memory.oom_control");
    const char *at = text ? strstr(text, "oom_kill ") : NULL;
    if (at && at[strlen("oom_kill ")] != '0')
      return true;
  }
  return false;
}

void cgroup_remove(struct cgroup *g) {
  for (size_t i = 0; i < CGROUP_MAX_PROCS; i++) {
    if (g->dirs[i])
      remove_group(g->dirs[i]);
    free(g->dirs[i]);
    free(g->procs[i]);
  }
  *g = (struct cgroup){0};
}
