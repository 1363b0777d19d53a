/* Room in the node's store: who gets it, who gives it.  The decision is residency.h's; this asks the store and the
 * cluster what it has to know, and remembers who was promised room, who was asked to go and who waits.  [any-thread] */
#ifndef HOST_AGENT_ROOM_H
#define HOST_AGENT_ROOM_H

#include "agent/residency.h"
#include "base/cleanup.h"
#include "store/store.h"

#include <stdbool.h>

struct room;

struct room_config {
  struct model_store *store;
  const char *name;  /* of the store, for people; outlives this */
  uint64_t capacity; /* bytes; 0: what the store has and what its file system has left */
  unsigned percent_high, percent_low;
  /* Why the model that the store knows as KEY stays: RESIDENT_*; 0: it may go.  Of references that the agent owns. */
  unsigned (*stays)(void *arg, const char *key);
  /* KEY, as given to room_take() or as the store's names, is to be looked at. */
  void (*look)(void *arg, const char *key);
  /* What the node says its capacity is; 0: nothing.  May be NULL. */
  uint64_t (*capacity_now)(void *arg);
  void *arg;
};

struct room *room_new(const struct room_config *cfg); /* NULL: out of memory */
void room_free(struct room *r);
DEFINE_CLEANUP(struct room *, room_free)

/* Promises BYTES to the model that the store knows as NAME, until room_give_back().  FITS: it has them.  EVICT and
 * WAIT: not now; others were asked to go, or are in the way; it is looked at when that changes; WHY has the numbers.
 * OME_E_NO_SPACE: it is larger than the store. */
int32_t room_take(struct room *r, const char *name, uint64_t bytes, enum residency_verdict *out, char why[256],
                  struct ome_err *err);
void room_give_back(struct room *r, const char *name);
/* Bytes that it may hold; 0: that cannot be told now. */
uint64_t room_capacity(struct room *r);
/* Asks models to go until the store is below its low watermark, where it has a capacity of its own and is above the
 * high one; looks once a minute at most, however often it is called. */
void room_check(struct room *r);
/* Whether NAME was asked to go. */
bool room_is_asked(struct room *r, const char *name);
/* NAME went, or it stays after all: who waits is looked at. */
void room_answered(struct room *r, const char *name);
/* Something changed that may have made room. */
void room_changed(struct room *r);
/* Whether there is more space than some decision went by: somebody gave the store more, or freed what is not the
 * store's. Once. */
bool room_has_grown(struct room *r);
/* NAME waits no more. */
void room_forget(struct room *r, const char *name);

#endif
