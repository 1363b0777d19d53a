/* The stores of this node: which of them a model goes to, and which it is in.
 *
 * Pods look for a model where its spec.storage.path says, on every node alike, so that the path decides where there is
 * one: the store that it lies in.  A model without one goes to the store that its annotation models.ome.io/store names,
 * else where it is, else into the first that is large enough; where that was is then written into the spec.
 * [any-thread] */
#ifndef HOST_AGENT_STORES_H
#define HOST_AGENT_STORES_H

#include "agent/agent.h"
#include "agent/keeper.h"
#include "agent/room.h"
#include "store/store.h"

#define STORE_ANNOTATION "models.ome.io/store"             /* of a model */
#define CAPACITY_ANNOTATION "models.ome.io/store-capacity" /* of a Node; of a further store with "." and its name */

struct agent;

struct node_store {
  struct agent *agent;
  char *name; /* "" for the first, where it has no other for company */
  struct model_store *files;
  struct room *room;
  struct keeper *keeper; /* NULL: not started */
};

struct stores {
  struct node_store *list;
  size_t len;
};

int32_t stores_open(struct agent *a, const struct agent_config *cfg, struct ome_err *err);
void stores_close(struct stores *s);
/* After the caches, which they ask. */
int32_t stores_keep(struct stores *s, uint64_t scrub_every_s, struct ome_err *err);
void stores_stop_keeping(struct stores *s);

/* Where MODEL (KEY in stores) of BYTES (0: not known) is to be; *PATH, new, is its folder.  OME_E_INVALID: it names a
 * store that is not here. */
int32_t stores_choose(const struct stores *s, struct json_object *model, const char *key, uint64_t bytes,
                      struct node_store **out, char **path, struct ome_err *err);
/* The store that folder PATH lies in. */
struct node_store *stores_of_path(const struct stores *s, const char *path);
/* Where KEY is, whole if it is anywhere; NULL: nowhere. */
struct node_store *stores_holding(const struct stores *s, const char *key);
/* new: the folder of KEY in N, where its model does not say one. */
char *stores_folder(const struct node_store *n, const char *key);

void stores_changed(const struct stores *s);                 /* room_changed() of each */
bool stores_have_grown(const struct stores *s);              /* room_has_grown() of any */
void stores_collect_garbage(const struct stores *s);         /* frees what no model refers to any more */
void stores_forget(const struct stores *s, const char *key); /* KEY waits for room nowhere, and was asked for none */
void stores_give_back(const struct stores *s, const char *key);

#endif
