/* Which store a command works in, and what it calls a folder there. */
#ifndef HOST_CLI_DEPOT_H
#define HOST_CLI_DEPOT_H

#include "store/store.h"

#define DEPOT_PRIVATE ".ome-store" /* in the folder */

struct depot {
  struct model_store *store;
  char *dir;     /* the folder as the kernel calls it */
  char name[32]; /* of its reference */
  bool passing;  /* a store in the folder itself, gone when all is there */
};

/* The store that people share: STORE when given, then $OME_STORE, $XDG_CACHE_HOME/ome, ~/.cache/ome; new; NULL: none
 * of these.  *GIVEN: somebody asked for it. */
char *depot_shared(const char *store, bool *given);

/* The store for DIR, which is made: the shared one where links lead from it into DIR, else one in DIR itself, so that
 * nothing is on two file systems; one that was asked for in any case. */
int32_t depot_open(struct depot *d, const char *store, const char *dir, struct ome_err *err);
void depot_close(struct depot *d);
#define _cleanup_depot_ _cleanup_(depot_close)

#endif
