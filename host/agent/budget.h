/* How much is fetched at a time: bounded by bytes, not by a number of models, so that a large model does not come
 * beside another large one while small ones need not stand in line.  [any-thread] */
#ifndef HOST_AGENT_BUDGET_H
#define HOST_AGENT_BUDGET_H

#include "base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

struct budget;

/* At most BYTES together, unless it is one alone; at most MODELS of them.  WAKE is called, without any lock, for every
 * key that was refused since, whenever something ends.  NULL: out of memory. */
struct budget *budget_new(uint64_t bytes, uint32_t models, void (*wake)(void *arg, const char *key), void *arg);
void budget_free(struct budget *b);
DEFINE_CLEANUP(struct budget *, budget_free)

/* Takes BYTES for KEY, which has none; false: not now, KEY will be woken. */
bool budget_take(struct budget *b, const char *key, uint64_t bytes);
/* Nothing where KEY has none. */
void budget_give_back(struct budget *b, const char *key);
/* Bytes of the models that are being fetched, and *MODELS (may be NULL) how many these are. */
uint64_t budget_in_flight(struct budget *b, uint32_t *models);
/* Forgets that KEY was refused. */
void budget_forget(struct budget *b, const char *key);

#endif
