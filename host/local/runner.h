/* The runner: the pods of this machine as supervised processes.
 *
 * It is told which pods to run and to stop, and reports what their containers do; what that means for a pod's status is
 * podstatus.h's.  One thread (an event loop) drives everything and never waits for the API server. */
#ifndef HOST_LOCAL_RUNNER_H
#define HOST_LOCAL_RUNNER_H

#include "local/podspec.h"
#include "net/http_client.h"
#include "net/loop.h"

struct runner;

struct runner_event { /* for an Event of a pod */
  const char *ns, *name, *uid;
  bool warning;
  const char *reason, *message;
};

struct runner_config {
  const char *data_dir;     /* logs/ below it */
  const char *shim;         /* path of ome-shim */
  const char *id;           /* of this data folder: marks processes and control groups */
  struct http_client *http; /* for probes */
  /* Both on the runner's thread; they must not block. */
  void (*on_change)(void *arg, const char *ns, const char *name); /* runner_report() says something else now */
  void (*on_event)(void *arg, const struct runner_event *event);
  void *arg;
};

/* Ends the processes that an earlier run of the same ID left behind. */
int32_t runner_new(const struct runner_config *cfg, struct runner **out, struct ome_err *err);
/* Stops all pods: SIGTERM, at most GRACE_S for each, SIGKILL. */
void runner_free(struct runner *r, int64_t grace_s);

/* All of these [any-thread], waiting for the runner's thread at most. */

/* Starts the pod; takes SPEC.  A pod of that uid that is there already is left as it is. */
void runner_add(struct runner *r, struct pod_spec *spec);
/* Begins to stop the pod, with its preStop hooks, a moment from now when it serves; a shorter GRACE_S than before
 * shortens what is under way. */
void runner_stop_pod(struct runner *r, const char *uid, int64_t grace_s);
/* Drops a pod, killing what still runs of it. */
void runner_remove(struct runner *r, const char *uid);
/* The report of a pod (see podstatus.h) as JSON text, new; NULL: it is not here.  *STOPPED: nothing of it runs and
 * nothing will. */
char *runner_report(struct runner *r, const char *uid, bool *stopped);
/* The pod NS/NAME of today has UID (NULL: there is none): stops those of that name with other uids, drops the ones that
 * have stopped, and returns the uids of the dropped: array of strings, new. */
struct json_object *runner_stop_others(struct runner *r, const char *ns, const char *name, const char *uid);

#endif
