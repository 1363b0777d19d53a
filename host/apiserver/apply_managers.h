/* metadata.managedFields: who owns which fields. */
#ifndef HOST_APISERVER_APPLY_MANAGERS_H
#define HOST_APISERVER_APPLY_MANAGERS_H

#include "apiserver/apply_fieldset.h"
#include "apiserver/patch.h"
#include "base/vec.h"

/* One entry.  An applier is one whatever its version; an updater is another one in another version.  Strings live in
 * the pool. */
struct manager {
  const char *name;
  const char *api_version;
  const char *subresource; /* "": none */
  bool applied;            /* operation Apply, else Update */
  bool has_time;
  int64_t time_s;
  const struct fieldset *set;
};

struct managers {
  VEC(struct manager) list;
};
void managers_fini(struct managers *m);
#define _cleanup_managers_ _cleanup_(managers_fini)

/* Reads a managedFields list (NULL: none).  Fails on an operation other than Apply and Update and on bad fieldsV1. */
int32_t managers_decode(struct fieldset_pool *pool, struct json_object *entries, struct managers *out,
                        struct ome_err *err);
/* The list in the order of a real API server: Apply before Update, then by time, name, version, subresource; new.
 * Managers of nothing are left out; NULL: nobody owns anything. */
struct json_object *managers_encode(struct managers *m);

/* The manager that there is, or a new one that owns nothing yet; NULL when memory ran out. */
struct manager *managers_ensure(struct fieldset_pool *pool, struct managers *m, const struct manager_info *who,
                                bool applied);

/* Above ten updaters, folds the oldest of each version into "ancient-changes". */
bool managers_cap(struct fieldset_pool *pool, struct managers *m);

#endif
