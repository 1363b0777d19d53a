/* What goes on behind the models' backs: models that went while nobody looked are let go of, and every byte in the
 * store is read again from time to time. */
#ifndef HOST_AGENT_KEEPER_H
#define HOST_AGENT_KEEPER_H

#include "store/store.h"

struct keeper;

struct keeper_config { /* the functions are called on the keeper's thread */
  struct model_store *store;
  /* Whether all models are known, waiting a while for it. */
  bool (*synced)(void *arg);
  /* Whether there is such a model; NS NULL: cluster-scoped. */
  bool (*is_model)(void *arg, const char *ns, const char *name);
  /* Something is to be looked at. */
  void (*look)(void *arg, const char *ns, const char *name);
  void *arg;
  uint64_t bytes_per_second; /* of reading; 0: 64 MiB */
  uint64_t every_s;          /* from the end of one reading to the next; 0: a day */
};

int32_t keeper_start(const struct keeper_config *cfg, struct keeper **out, struct ome_err *err);
void keeper_stop(struct keeper *k);

/* The models that KEY (name_model_key()) may stand for, into NS and NAME of SIZE bytes; NS "": cluster-scoped, or
 * NS_WEIGHTS.  WHICH is 0 for the first, 1 for the second; false: there is none.  Two, because names may hold dots.
 * Pure. */
bool keeper_parse_key(const char *key, int which, char *ns, char *name, size_t size);

#endif
