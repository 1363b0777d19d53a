/* One container: starting, ending, starting again. */
#include "local/runner_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define BACKOFF_FIRST_S 10
#define BACKOFF_MAX_S 300
#define BACKOFF_RESET_MS (10 * 60 * 1000) /* a container that ran this long starts with a clean record */
#define HOOK_MIN_MS 2000

static void set_text(char **slot, const char *text) {
  free(*slot);
  *slot = text ? strdup(text) : NULL;
}

static void enter(struct container *c, enum container_phase phase, const char *reason, const char *message) {
  c->phase = phase;
  set_text(&c->reason, reason);
  set_text(&c->message, message);
  pod_changed(c->pod);
}

static struct json_object *parsed(const char *text) {
  struct ome_err err = ERR_INIT;
  struct json_object *o = NULL;

  if (text)
    (void)json_parse(text, strlen(text), 0, &o, &err);
  return o;
}

void container_init(struct container *c, struct pod *p, const struct container_spec *spec) {
  *c = (struct container){.pod = p, .spec = spec, .restarts = spec->restarts, .over = spec->final != NULL};
  c->last = parsed(spec->last_state);
  if (spec->final) {
    _cleanup_json_ struct json_object *final = parsed(spec->final);
    c->exit_code = (int)json_i64(final, "state.terminated.exitCode", 0);
  }
  set_text(&c->reason, spec->role == CONTAINER_INIT || spec == &p->spec->containers.items[0] ? "ContainerCreating"
                                                                                             : "PodInitializing");
}

static void cancel_timer(struct loop_timer **t) {
  if (*t)
    loop_timer_free(*t);
  *t = NULL;
}

static void release(struct container *c) {
  probes_end(c);
  if (c->hook)
    action_cancel(c->hook);
  c->hook = NULL;
  cancel_timer(&c->kill_timer);
  if (c->log)
    logfile_close(c->log);
  c->log = NULL;
  cgroup_remove(&c->cgroup);
}

void container_fini(struct container *c) {
  cancel_timer(&c->restart_timer);
  probes_end(c);
  if (c->hook)
    action_cancel(c->hook);
  c->hook = NULL;
  if (c->process) {
    process_destroy(c->process);
    runner_live(c->pod->runner, -1);
  }
  c->process = NULL;
  release(c);
  json_unref(c->last);
  free(c->reason);
  free(c->message);
}

struct action_env container_action_env(struct container *c) {
  struct runner *r = c->pod->runner;

  return (struct action_env){.loop = r->loop,
                             .http = r->cfg.http,
                             .shim = r->shim,
                             .env = &c->spec->env,
                             .dir = c->spec->dir,
                             .cgroups = (const char *const *)c->cgroup.procs};
}

/* ---- the report -------------------------------------------------------------------------------------------------- */

static void set_time(struct json_object *o, const char *key, int64_t ms) {
  char text[TIME_TEXT];

  time_format(ms / 1000, text);
  (void)json_set_str(o, key, text);
}

static char *container_id(const struct container *c) {
  return str_printf("ome://%s/%s/%lld", c->pod->spec->uid, c->spec->name, (long long)c->restarts);
}

/* v1.ContainerStateTerminated of the present start. */
static struct json_object *terminated(const struct container *c) {
  struct json_object *t = json_object_new_object();
  _cleanup_free_ char *id = container_id(c);

  (void)json_set_i64(t, "exitCode", c->exit_code);
  if (c->signal)
    (void)json_set_i64(t, "signal", c->signal);
  (void)json_set_str(t, "reason", c->reason ? c->reason : "Error");
  if (c->message)
    (void)json_set_str(t, "message", c->message);
  set_time(t, "startedAt", c->started_ms);
  set_time(t, "finishedAt", c->finished_ms);
  (void)json_set_str(t, "containerID", id);
  return t;
}

static struct json_object *state_of(const struct container *c) {
  struct json_object *state = json_object_new_object();

  if (c->phase == CONTAINER_RUNNING) {
    struct json_object *running = json_object_new_object();
    set_time(running, "startedAt", c->started_ms);
    (void)json_set(state, "running", running);
  } else if (c->phase == CONTAINER_TERMINATED) {
    (void)json_set(state, "terminated", terminated(c));
  } else {
    (void)json_set_str(state, "waiting.reason", c->reason ? c->reason : "ContainerCreating");
    if (c->message)
      (void)json_set_str(state, "waiting.message", c->message);
  }
  return state;
}

static struct json_object *status_of(struct container *c) {
  struct json_object *status = json_object_new_object();
  _cleanup_free_ char *id = container_id(c);
  bool done_init = c->spec->role == CONTAINER_INIT && c->over && c->exit_code == 0;

  (void)json_set_str(status, "name", c->spec->name);
  (void)json_set(status, "state", state_of(c));
  (void)json_set(status, "lastState", c->last ? json_copy(c->last) : json_object_new_object());
  (void)json_set_bool(status, "ready", (c->phase == CONTAINER_RUNNING && c->ready) || done_init);
  (void)json_set_bool(status, "started", c->phase == CONTAINER_RUNNING && c->started);
  (void)json_set_i64(status, "restartCount", c->restarts);
  (void)json_set_str(status, "image", c->spec->image);
  (void)json_set_str(status, "imageID", "");
  if (c->ever_ran)
    (void)json_set_str(status, "containerID", id);
  return status;
}

struct json_object *container_report(struct container *c) {
  static const char *const roles[] = {"init", "sidecar", "main"};
  struct json_object *o = json_object_new_object();

  (void)json_set_str(o, "role", roles[c->spec->role]);
  (void)json_set_bool(o, "over", c->over);
  (void)json_set(o, "status", c->spec->final ? parsed(c->spec->final) : status_of(c));
  return o;
}

/* ---- ending ------------------------------------------------------------------------------------------------------ */

static bool starts_again(const struct container *c) {
  enum restart_policy policy = c->pod->spec->restart;

  if (c->pod->stopping)
    return false;
  if (c->spec->role == CONTAINER_SIDECAR)
    return true;
  if (c->spec->role == CONTAINER_INIT)
    return c->exit_code != 0 && policy != RESTART_NEVER;
  return policy == RESTART_ALWAYS || (policy == RESTART_ON_FAILURE && c->exit_code != 0);
}

static void restart(void *arg) {
  struct container *c = arg;

  cancel_timer(&c->restart_timer);
  pod_step(c->pod);
}

/* The first restart is at once; then it waits, twice as long each time. */
static void schedule_restart(struct container *c) {
  struct pod *p = c->pod;
  uint32_t wait_s = c->backoff_s;

  c->backoff_s = !wait_s ? BACKOFF_FIRST_S : wait_s * 2 < BACKOFF_MAX_S ? wait_s * 2 : BACKOFF_MAX_S;
  c->restart_timer = loop_timer_new(p->runner->loop, (uint64_t)wait_s * 1000, false, restart, c);
  if (!wait_s)
    return;
  _cleanup_free_ char *message = str_printf("back-off %us restarting failed container=%s pod=%s_%s(%s)", wait_s,
                                            c->spec->name, p->spec->name, p->spec->ns, p->spec->uid);
  enter(c, CONTAINER_WAITING, "CrashLoopBackOff", message);
  pod_event(p, true, "BackOff", "Back-off restarting failed container %s in pod %s_%s(%s)", c->spec->name,
            p->spec->name, p->spec->ns, p->spec->uid);
}

/* The present start is over, one way or another. */
static void ended(struct container *c, const char *reason, const char *message) {
  c->finished_ms = wall_ms();
  c->ready = c->started = c->stopping = false;
  enter(c, CONTAINER_TERMINATED, reason, message);
  if (!starts_again(c)) {
    c->over = true;
    return;
  }
  json_unref(c->last);
  c->last = json_object_new_object();
  (void)json_set(c->last, "terminated", terminated(c));
  if (c->began_ms && mono_ms() - c->began_ms >= BACKOFF_RESET_MS)
    c->backoff_s = 0;
  schedule_restart(c);
}

static void on_output(void *arg, int stream, const char *data, size_t len) {
  struct container *c = arg;

  if (c->log)
    logfile_write(c->log, stream, data, len);
}

static void on_exit_(void *arg, int status, int start_errno) {
  struct container *c = arg;
  struct pod *p = c->pod;
  char tail[2048] = "";
  bool oom = cgroup_ran_out_of_memory(&c->cgroup);

  c->process = NULL;
  c->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  c->exit_code = start_errno ? 128 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + c->signal;
  if (c->log && c->spec->log_fallback && c->exit_code)
    logfile_tail(c->log, tail, sizeof(tail));
  release(c);
  runner_live(p->runner, -1);
  if (start_errno) {
    _cleanup_free_ char *message = str_printf("cannot start \"%s\": %s", c->spec->argv.items[0], strerror(start_errno));
    pod_event(p, true, "Failed", "Error: %s", message);
    ended(c, "StartError", message);
  } else
    ended(c, oom ? "OOMKilled" : c->exit_code ? "Error" : "Completed", *tail ? tail : NULL);
  pod_step(p);
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

static void post_start_done(void *arg, bool ok, const char *why) {
  struct container *c = arg;

  c->hook = NULL;
  if (ok) {
    probes_begin(c);
    return;
  }
  pod_event(c->pod, true, "FailedPostStartHook", "PostStartHook failed: %s", why);
  container_stop(c, (uint64_t)c->pod->spec->grace_s * 1000, "FailedPostStartHook");
}

static void on_started(void *arg, pid_t pid UNUSED) {
  struct container *c = arg;

  c->started_ms = wall_ms();
  c->began_ms = mono_ms();
  c->ever_ran = true;
  enter(c, CONTAINER_RUNNING, NULL, NULL);
  pod_event(c->pod, false, "Started", "Started container %s", c->spec->name);
  if (c->stopping)
    return;
  if (c->spec->post_start.kind != ACTION_NONE) {
    const struct action_env env = container_action_env(c);
    c->hook = action_start(&env, &c->spec->post_start, UINT32_MAX / 2, post_start_done, c);
  }
  if (!c->hook)
    probes_begin(c);
}

static const struct process_ops container_ops = {.on_started = on_started, .on_output = on_output, .on_exit = on_exit_};

/* A command that is not there may be installed later: it is tried again like one that crashed, but it says what it
 * waits for instead of that it waits. */
static void cannot_start(struct container *c, const char *reason, const char *message) {
  pod_event(c->pod, true, "Failed", "Error: %s", message);
  release(c);
  c->exit_code = 127;
  c->started_ms = wall_ms();
  ended(c, "StartError", message);
  if (c->restart_timer) {
    if (c->backoff_s == BACKOFF_FIRST_S) { /* at once would be in vain */
      cancel_timer(&c->restart_timer);
      schedule_restart(c);
    }
    enter(c, CONTAINER_WAITING, reason, message);
  }
}

static int32_t open_log(struct container *c, struct ome_err *err) {
  const struct pod_spec *p = c->pod->spec;
  _cleanup_free_ char *dir = logfile_dir(c->pod->runner->data_dir, p->ns, p->name, p->uid, c->spec->name);

  return dir ? logfile_open(dir, c->restarts, &c->log, err) : fail_memory(err);
}

static void make_cgroup(struct container *c) {
  struct runner *r = c->pod->runner;
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *name = str_printf("%s-%s", c->pod->spec->uid, c->spec->name);

  if (name && cgroup_make(r->cgroups, name, c->spec->memory_bytes, c->spec->cpu_milli, &c->cgroup, &err) != OME_OK &&
      !c->ever_ran)
    pod_event(c->pod, true, "LimitNotEnforced", "Container %s: %s", c->spec->name, err.msg);
}

void container_start(struct container *c) {
  struct runner *r = c->pod->runner;
  struct ome_err err = ERR_INIT;
  const struct container_spec *s = c->spec;

  if (c->tried)
    c->restarts++;
  c->tried = true;
  c->exit_code = c->signal = 0;
  c->stopping = false;
  _cleanup_free_ char *file = process_find(s->argv.items[0], strv_getenv(&s->env, "PATH"), s->dir, &err);
  if (!file) {
    cannot_start(c, "RunContainerError", err.msg);
    return;
  }
  if (open_log(c, &err) != OME_OK) {
    cannot_start(c, "CreateContainerError", err.msg);
    return;
  }
  make_cgroup(c);
  const struct process_spec spec = {.shim = r->shim,
                                    .file = file,
                                    .argv = s->argv.items,
                                    .env = s->env.items,
                                    .dir = s->dir,
                                    .cgroups = (const char *const *)c->cgroup.procs};
  if (process_start(r->loop, &spec, &container_ops, c, &c->process, &err) != OME_OK) {
    cannot_start(c, "RunContainerError", err.msg);
    return;
  }
  runner_live(r, 1);
  enter(c, CONTAINER_WAITING, "ContainerCreating", NULL);
}

/* ---- stopping ---------------------------------------------------------------------------------------------------- */

static void kill_now(void *arg) {
  struct container *c = arg;

  cancel_timer(&c->kill_timer);
  process_signal(c->process, SIGKILL);
}

static void send_term(struct container *c) {
  process_signal(c->process, SIGTERM);
}

static void pre_stop_done(void *arg, bool ok, const char *why) {
  struct container *c = arg;

  c->hook = NULL;
  if (!ok)
    pod_event(c->pod, true, "FailedPreStopHook", "PreStopHook failed: %s", why);
  send_term(c);
}

static void arm_kill(struct container *c, uint64_t grace_ms) {
  uint64_t at = mono_ms() + grace_ms;

  if (c->kill_timer && at >= c->kill_at_ms)
    return;
  cancel_timer(&c->kill_timer);
  c->kill_at_ms = at;
  c->kill_timer = loop_timer_new(c->pod->runner->loop, grace_ms, false, kill_now, c);
}

void container_stop(struct container *c, uint64_t grace_ms, const char *why) {
  if (!c->process)
    return;
  arm_kill(c, grace_ms);
  if (c->stopping)
    return;
  c->stopping = true;
  c->ready = false;
  probes_end(c);
  if (c->hook)
    action_cancel(c->hook);
  c->hook = NULL;
  pod_event(c->pod, false, "Killing", "%s", why);
  pod_changed(c->pod);
  if (c->spec->pre_stop.kind != ACTION_NONE && grace_ms) {
    const struct action_env env = container_action_env(c);
    uint64_t bound = grace_ms < HOOK_MIN_MS ? HOOK_MIN_MS : grace_ms < UINT32_MAX ? grace_ms : UINT32_MAX;
    c->hook = action_start(&env, &c->spec->pre_stop, (uint32_t)bound, pre_stop_done, c);
  }
  if (!c->hook)
    send_term(c);
}

void container_give_up(struct container *c) {
  cancel_timer(&c->restart_timer);
  if (c->process || c->over)
    return;
  c->over = true;
  if (c->last && c->phase == CONTAINER_WAITING) /* waited for a restart: how it ended last is how it ended */
    pod_changed(c->pod);
}
