/* A service that names its runtime: the one that is used, or why there is none, and what a person should know of it. */
#ifndef HOST_SELECT_NAMED_H
#define HOST_SELECT_NAMED_H

#include "select/score.h"

/* Chooses NAME for S, whose candidates are entered. */
int32_t named_use(struct selection *s, const struct score_context *ctx, const char *name, struct ome_err *err);

#endif
