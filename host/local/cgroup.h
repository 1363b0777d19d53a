/* Control groups: limits for containers, and a way to reach every process of one.  Version 2, or version 1 hierarchies
 * of memory and cpu.  Where none is writable everything here is a no-op: containers run without limits. */
#ifndef HOST_LOCAL_CGROUP_H
#define HOST_LOCAL_CGROUP_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct cgroups;

/* Finds out what is writable; groups will be below "ome-ID" in our own group.  Never NULL unless memory ran out. */
struct cgroups *cgroups_new(const char *id);
/* Kills and removes what is left below. */
void cgroups_free(struct cgroups *c);
/* Kills and removes what an earlier run left below. */
void cgroups_clear(struct cgroups *c);
bool cgroups_available(const struct cgroups *c);

#define CGROUP_MAX_PROCS 3

struct cgroup { /* of one container */
  char *dirs[CGROUP_MAX_PROCS];
  char *procs[CGROUP_MAX_PROCS + 1]; /* cgroup.procs files, NULL-terminated */
  bool v2;
};

/* Makes the group NAME with the limits (0: none).  A limit that cannot be set is said in ERR and left out; the group is
 * usable all the same. */
int32_t cgroup_make(struct cgroups *c, const char *name, int64_t memory_bytes, int64_t cpu_milli, struct cgroup *out,
                    struct ome_err *err);
bool cgroup_ran_out_of_memory(const struct cgroup *g);
/* Removes the (empty) group and frees what G holds. */
void cgroup_remove(struct cgroup *g);

#endif
