/* An event loop (libevent) and the thread that runs it.  Everything attached to a loop is used on its thread only,
 * except where marked [any-thread]. */
#ifndef HOST_NET_LOOP_H
#define HOST_NET_LOOP_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct loop;

typedef void loop_fn(void *arg);

/* Starts the thread, named NAME (15 characters are shown). */
int32_t loop_new(const char *name, struct loop **out, struct ome_err *err);
/* Stops and joins the thread.  Posted calls that did not run yet are run first.  Not from the loop's own thread. */
void loop_free(struct loop *l);
DEFINE_CLEANUP(struct loop *, loop_free)

struct event_base *loop_base(struct loop *l);

/* Runs FN(ARG) on the loop's thread, soon, in order of posting.  [any-thread] */
void loop_post(struct loop *l, loop_fn *fn, void *arg);
/* The same, and waits until it has run; runs directly when called on the loop's own thread.  [any-thread] */
void loop_call(struct loop *l, loop_fn *fn, void *arg);

/* Runs FN(ARG) once at the end of the present turn of the loop, after every event that is ready now. */
void loop_at_turn_end(struct loop *l, loop_fn *fn, void *arg);

struct loop_timer;
/* Calls FN(ARG) after MS, and every MS again when REPEAT, until freed.  Loop thread. */
struct loop_timer *loop_timer_new(struct loop *l, uint64_t ms, bool repeat, loop_fn *fn, void *arg);
void loop_timer_free(struct loop_timer *t);

#endif
