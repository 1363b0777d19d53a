/* Waits for the disk on a thread of its own, so that the loop goes on meanwhile.  Loop thread, but for FLUSH. */
#ifndef HOST_APISERVER_FLUSHER_H
#define HOST_APISERVER_FLUSHER_H

#include "base/err.h"

#include <stdbool.h>

struct flusher;
struct loop;

typedef int32_t flush_fn(void *arg, struct ome_err *err);

/* FLUSH(ARG) is the work, on the thread; DONE(ARG) is then posted to LOOP, where flusher_end() tells of it. */
int32_t flusher_new(struct loop *loop, flush_fn *flush, void (*done)(void *arg), void *arg, struct flusher **out,
                    struct ome_err *err);
/* Ends the work first; DONE may be posted still, so that LOOP goes later. */
void flusher_free(struct flusher *f);

/* Begins; none is under way. */
void flusher_begin(struct flusher *f);
/* From flusher_begin() to flusher_end(); NULL is neither busy nor ready. */
bool flusher_busy(const struct flusher *f);
/* Whether what was begun is over. */
bool flusher_ready(struct flusher *f);
/* Waits for the end of what was begun; its result. */
int32_t flusher_end(struct flusher *f, struct ome_err *err);

#endif
