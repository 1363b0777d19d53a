/* One runtime against one model: every entry through gates and scorers, the best one kept. */
#ifndef HOST_SELECT_SCORE_H
#define HOST_SELECT_SCORE_H

#include "select/select.h"

struct score_context {
  const struct select_request *req;
  const struct select_model *model;
  struct ome_bytes service;      /* text of req->service */
  bool automatic;                /* autoSelect counts: the runtime was not named */
  struct kind_verdict *verdicts; /* struct select_field's; NULL: kinds are not known */
};

/* Fills OUT (zeroed by the caller): score, terms, or rejected. */
int32_t score_runtime(const struct score_context *ctx, const struct select_runtime *runtime,
                      struct select_candidate *out, struct ome_err *err);

/* The same score without a word why, and without an allocation; entry is NULL when it is rejected. */
int32_t score_quickly(const struct score_context *ctx, const struct select_runtime *runtime, struct score *out,
                      struct ome_err *err);

/* Points, then distance; below 0: A goes first. */
int score_compare(const struct score *a, const struct score *b);

#endif
