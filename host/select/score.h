/* One runtime against one model: every entry through gates and scorers, the best one kept. */
#ifndef HOST_SELECT_SCORE_H
#define HOST_SELECT_SCORE_H

#include "select/select.h"

struct score_context {
  const struct select_request *req;
  const struct select_model *model;
  struct ome_bytes service;          /* text of req->service */
  const struct ome_wish_facts *wish; /* of req->service; NULL: there is none */
  bool automatic;                    /* autoSelect counts: the runtime was not named */
};

/* Fills OUT (zeroed by the caller): score, terms, or rejected. */
int32_t score_runtime(const struct score_context *ctx, const struct select_runtime *runtime,
                      struct select_candidate *out, struct ome_err *err);

/* Told of an entry of R that the model is taken by. */
typedef void score_fn(void *arg, const struct select_runtime *r, const struct score *score);

/* The same without a word why and without an allocation, for all of the request's field, which is sorted, that its
 * namespace sees.  FN is called in no stated order. */
int32_t score_field(const struct score_context *ctx, score_fn *fn, void *arg, struct ome_err *err);

/* Whether a runtime's entry goes before its best one so far, whose entry may be NULL. */
bool score_is_better(const struct score *a, const struct score *best);

/* Points, then distance; below 0: A goes first. */
int score_compare(const struct score *a, const struct score *b);

#endif
