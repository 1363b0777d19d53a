/* What does not decide unless a site wants it to: scorers that tell how well a runtime suits and give no points, so
 * that the winner stays OME's, with the keys `points` (what a good answer is worth) and `require` (a bad one rejects).
 */
#ifndef PLUGINS_SCORER_PREFERENCE_H
#define PLUGINS_SCORER_PREFERENCE_H

#include "match.h"

extern const struct ome_key *const preference_keys[];

int32_t preference_create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                          struct ome_err *err);
void preference_destroy(void *self);

/* Says REASON, a printf format; SELF may be NULL: no points, nothing required. */
int32_t prefer(void *self, const struct ome_score_req *req, struct ome_term_sink *out, int good, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* The service's wish; NULL: a bare model, or a host of before 1.4. */
const struct ome_wish_facts *wish_of(const struct ome_score_req *req);

/* Whether LIST, NULL-terminated or NULL, has NAME. */
int list_has(const char *const *list, const char *name);

#define PREFERENCE_FACTORY(id, text)                                                                                   \
  SCORER_FACTORY_WITH(id, text, OME_SCORER_BY_RUNTIME, preference_keys, preference_create, preference_destroy)

#endif
