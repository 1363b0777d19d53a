/* When a model that could not be brought is tried again, and whether that is worth a word.  [any-thread] */
#ifndef HOST_AGENT_RETRY_H
#define HOST_AGENT_RETRY_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct retries;

struct retries *retries_new(void); /* NULL: out of memory */
void retries_free(struct retries *r);
DEFINE_CLEANUP(struct retries *, retries_free)

/* Milliseconds that KEY has to wait before it is tried again as REQUEST (what is asked for, as text); 0: none.  Another
 * request need not wait.  *WHY (WHY may be NULL) is why it failed; untouched when there is no wait. */
uint64_t retries_wait_ms(struct retries *r, const char *key, const char *request, uint64_t now_ms, struct ome_err *why);
/* KEY failed with ERR: 1 s and twice as long each time up to what its cause allows, less a quarter at most by chance,
 * or what the server asks for.  True when nobody was told of that error yet, or not for five minutes. */
bool retries_failed(struct retries *r, const char *key, const char *request, const struct ome_err *err,
                    uint64_t now_ms);
/* How often KEY failed as REQUEST. */
uint32_t retries_count(struct retries *r, const char *key, const char *request);
void retries_forget(struct retries *r, const char *key);
/* What failed with CODE need not wait any more: LOOK hears of each. */
void retries_relieve(struct retries *r, int32_t code, void (*look)(void *arg, const char *key), void *arg);

#endif
