/* Inside the runner: pods, containers, probes.  Everything here belongs to the runner's loop thread. */
#ifndef HOST_LOCAL_RUNNER_INT_H
#define HOST_LOCAL_RUNNER_INT_H

#include "base/json.h"
#include "base/strmap.h"
#include "local/action.h"
#include "local/cgroup.h"
#include "local/logfile.h"
#include "local/process.h"
#include "local/runner.h"

#include <pthread.h>

struct container;
struct pod;

enum probe_kind { PROBE_STARTUP, PROBE_READINESS, PROBE_LIVENESS, PROBE_KINDS };

struct probe_run { /* one of a container's probes, while the container runs */
  struct container *container;
  const struct probe *spec;
  enum probe_kind kind;
  struct loop_timer *timer; /* until the next attempt */
  struct action_run *run;   /* the attempt under way */
  uint32_t passed, failed;  /* in a row */
  uint64_t told_ms;         /* monotonic; when its last Event was sent */
};

enum container_phase { CONTAINER_WAITING, CONTAINER_RUNNING, CONTAINER_TERMINATED };

struct container {
  struct pod *pod;
  const struct container_spec *spec;
  enum container_phase phase;
  char *reason, *message; /* of waiting or of the end */
  int exit_code, signal;
  int64_t started_ms, finished_ms; /* wall; of this start */
  uint64_t began_ms;               /* monotonic */
  int64_t restarts;
  bool tried, ever_ran; /* in this run of ome: a start was attempted, succeeded */
  bool over;            /* ended and not started again */
  bool ready, started;
  struct json_object *last; /* how the start before ended: v1.ContainerState; NULL: there was none */
  uint32_t backoff_s;

  struct process *process; /* NULL: nothing runs */
  struct logfile *log;
  struct cgroup cgroup;
  struct probe_run probes[PROBE_KINDS];
  struct action_run *hook;
  struct loop_timer *restart_timer, *kill_timer;
  bool stopping;       /* asked to end */
  uint64_t kill_at_ms; /* monotonic; when SIGKILL follows */
};

struct pod {
  struct runner *runner;
  struct pod_spec *spec;
  struct container *containers; /* as in spec->containers */
  bool stopping;
  int64_t grace_s;
  char *reason, *message; /* why the pod as a whole is over; NULL: it is not */
  struct loop_timer *deadline_timer, *drain_timer;
  int64_t drain_grace_s; /* for when it is drained */
};

struct runner {
  struct runner_config cfg; /* strings are copies */
  char *data_dir, *shim, *id;
  struct loop *loop;
  struct cgroups *cgroups;
  struct strmap *pods;  /* uid -> struct pod */
  struct strmap *dirty; /* uids whose report changed in this turn of the loop */
  bool flush_waits;
  pthread_mutex_t lock; /* guards live */
  pthread_cond_t idle;
  size_t live; /* processes */
};

/* runner.c */
void runner_live(struct runner *r, int change);
void pod_changed(struct pod *p); /* its report says something else */
void pod_event(struct pod *p, bool warning, const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* pod.c */
struct pod *pod_new(struct runner *r, struct pod_spec *spec); /* takes SPEC */
void pod_free(struct pod *p);                                 /* kills what runs */
void pod_step(struct pod *p); /* starts and stops what is due, after anything has changed */
void pod_stop(struct pod *p, int64_t grace_s);
/* The same, after those who send it requests have had a moment to look elsewhere. */
void pod_drain(struct pod *p, int64_t grace_s);
bool pod_stopped(const struct pod *p);
struct json_object *pod_report(struct pod *p); /* new */

/* container.c */
void container_init(struct container *c, struct pod *p, const struct container_spec *spec);
void container_fini(struct container *c);
void container_start(struct container *c);
/* Ends it: preStop, SIGTERM, and SIGKILL GRACE_MS after now.  WHY is for the Event. */
void container_stop(struct container *c, uint64_t grace_ms, const char *why);
/* It will not be started again. */
void container_give_up(struct container *c);
struct json_object *container_report(struct container *c); /* new */
struct action_env container_action_env(struct container *c);

/* probe.c */
void probes_begin(struct container *c);
void probes_end(struct container *c);

#endif
