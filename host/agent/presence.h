/* Whether the files of the models that are ready are still there, as they were.
 *
 * Their sizes, times and inodes are looked at every two seconds, which also works where no file system tells (network
 * disks, overlays) and needs no watch a folder; a model is looked at once more when one differs.  [any-thread] */
#ifndef HOST_AGENT_PRESENCE_H
#define HOST_AGENT_PRESENCE_H

#include "transfer/manifest.h"

struct presence;

/* Called on a thread of its own. */
struct presence_config {
  void (*changed)(void *arg, const char *key); /* the model of KEY is no more what it was; once */
  void (*round)(void *arg);                    /* every two seconds; NULL: nothing more to look at */
  void *arg;
};

int32_t presence_start(const struct presence_config *cfg, struct presence **out, struct ome_err *err);
void presence_stop(struct presence *p);

/* From now on the files of M below PATH are KEY's.  To be called before they are verified: what changes in between then
 * shows. */
int32_t presence_watch(struct presence *p, const char *key, const char *path, const struct manifest *m,
                       struct ome_err *err);
void presence_forget(struct presence *p, const char *key);

#endif
