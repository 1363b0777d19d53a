/* A thread that reads repositories, so that hashing a new model keeps no other request waiting. */
#ifndef HOST_HUB_READER_H
#define HOST_HUB_READER_H

#include "hub/api.h"
#include "net/loop.h"

struct reader;

/* R is the callee's; NULL: not read, and ERR says why.  Runs on the loop's thread. */
typedef void reader_done(void *arg, struct repository *r, const struct ome_err *err);

/* SOURCE is borrowed. */
int32_t reader_start(struct loop *loop, const struct hub_source *source, struct reader **out, struct ome_err *err);
/* Ends what is being read; what waits is answered with OME_E_CANCELLED.  Not from the loop's thread; afterwards no DONE
 * is outstanding. */
void reader_stop(struct reader *r);

/* Reads the repository NAME at REVISION, after those asked for before; DONE is called whatever happens. */
int32_t reader_ask(struct reader *r, const char *name, const char *revision, reader_done *done, void *arg,
                   struct ome_err *err);

#endif
