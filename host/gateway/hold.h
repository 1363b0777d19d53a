/* Requests for a service that has no replica: they wait here until one is there.  Loop thread. */
#ifndef HOST_GATEWAY_HOLD_H
#define HOST_GATEWAY_HOLD_H

#include "gateway/stream.h"

/* Holds X, which MATCH's route has no backend for yet, and calls for one.  Answers at once where too many are held. */
void hold(struct gateway_core *g, struct http_exchange *x, const struct match *match);
/* After the table has changed: sends those on their way whose route has a backend now. */
void held_release(struct gateway_core *g);
/* How many are held for the workload NS/NAME. */
size_t held_count(const struct gateway_core *g, const char *ns, const char *name);
/* Drops all of them; the exchanges are the server's. */
void held_end(struct gateway_core *g);

#endif
