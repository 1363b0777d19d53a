/* The life of one model on one node, as a table: phase x event -> phase, action.  Pure.
 *
 * What happens in the world is put into an event; the action is done by gopher.c and ends in another event, until there
 * is nothing to do.  Two promises, kept by tests over all ways through the table: only a model that was just found
 * whole is made known as ready, and only one that does not belong here is removed, or one that nobody uses evicted. */
#ifndef HOST_AGENT_MACHINE_H
#define HOST_AGENT_MACHINE_H

enum phase { PHASE_ABSENT, PHASE_WAITING, PHASE_FETCHING, PHASE_READY, PHASE_FAILED, PHASE_EVICTED, PHASE_LEAVING };
#define PHASES 7

enum happening {
  HAPPENED_UNWANTED,  /* does not belong here */
  HAPPENED_HELD,      /* belongs here and is not whole, but the node takes nothing new */
  HAPPENED_MISSING,   /* belongs here and is not whole */
  HAPPENED_BACKOFF,   /* as MISSING, and the pause after a failure is not over */
  HAPPENED_EVICTED,   /* belongs here, but made room for others or was asked to, and nobody uses it */
  HAPPENED_WHOLE,     /* belongs here and is verified */
  HAPPENED_NO_ROOM,   /* enough bytes are in flight */
  HAPPENED_FETCHED,   /* every byte was verified just now */
  HAPPENED_FAILED,    /* the attempt failed */
  HAPPENED_CANCELLED, /* the attempt is not worth another byte */
  HAPPENED_REMOVED,   /* nothing of it is here */
};
#define HAPPENINGS 11

enum action {
  ACTION_NONE,
  ACTION_FETCH,   /* ends in FETCHED, FAILED, CANCELLED or NO_ROOM */
  ACTION_PUBLISH, /* say Ready, where that is not said */
  ACTION_FAIL,    /* say Failed and why */
  ACTION_WAIT,    /* say Updating and what for */
  ACTION_EVICT,   /* say Evicted, then let the files go */
  ACTION_REMOVE,  /* ends in REMOVED */
};
#define ACTIONS 7

struct transition {
  enum phase next;
  enum action action;
};

struct transition machine_step(enum phase phase, enum happening happening);
const char *phase_name(enum phase phase); /* "fetching" */

#endif
