/* One runtime against one model: every entry through gates and scorers, the best one kept. */
#ifndef HOST_SELECT_SCORE_H
#define HOST_SELECT_SCORE_H

#include "select/select.h"

struct score_context {
  const struct select_request *req;
  const struct select_model *model;
  const struct ome_accelerator_facts *accelerator; /* NULL: none */
  struct ome_bytes service;                        /* text of req->service */
  bool automatic;                                  /* autoSelect counts: the runtime was not named */
};

/* Fills OUT (zeroed by the caller): entry, score, terms, or rejected. */
int32_t score_runtime(const struct score_context *ctx, const struct select_runtime *runtime,
                      struct select_candidate *out, struct ome_err *err);

#endif
