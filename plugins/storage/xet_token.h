/* The token that a hub gives for its content-addressed store, kept until shortly before it ends. */
#ifndef PLUGINS_STORAGE_XET_TOKEN_H
#define PLUGINS_STORAGE_XET_TOKEN_H

#include "xet.h"

struct xet_token {
  char cas[512];     /* the store's address, without '/' at its end */
  char bearer[4200]; /* "Bearer ..."; secret */
};

struct xet_tokens;
struct xet_tokens *xet_tokens_new(const struct ome_host *host); /* NULL: out of memory */
void xet_tokens_free(struct xet_tokens *t);

/* A token that reads F.  REFUSED (may be NULL) is one that the store does not take: another one is asked for.
 * [any-thread] */
int32_t xet_token_get(struct xet_tokens *t, const struct ome_call *call, const struct xet_file *f,
                      const struct xet_token *refused, struct xet_token *out, struct ome_err *err);

#endif
