/* What probes and lifecycle hooks do: run a command, ask a URL, open a connection; once, with a time-out. */
#ifndef HOST_LOCAL_ACTION_H
#define HOST_LOCAL_ACTION_H

#include "local/podspec.h"
#include "local/process.h"
#include "net/http_client.h"

struct action_run;

struct action_env { /* where a command runs; borrowed until the call returns */
  struct loop *loop;
  struct http_client *http;
  const char *shim;
  const struct strv *env;
  const char *dir;
  const char *const *cgroups;
};

/* Loop thread; exactly once, unless cancelled.  WHY says what was wrong when not OK; the run is gone then. */
typedef void action_done_fn(void *arg, bool ok, const char *why);

/* Loop thread.  DONE never runs before this returns.  NULL when the machine refuses. */
struct action_run *action_start(const struct action_env *env, const struct action *action, uint32_t timeout_ms,
                                action_done_fn *done, void *arg);
/* DONE is not called any more. */
void action_cancel(struct action_run *run);
/* Waits until requests of cancelled runs have let go; not on the loop's thread. */
void action_settle(void);

#endif
