/* Probes' and hooks' actions. */
#include "local/action.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX 1024 /* of a command that fails, for the message */

struct action_run {
  struct loop *loop;
  action_done_fn *done; /* NULL: cancelled */
  void *arg;
  uint32_t timeout_ms;
  struct loop_timer *timer;
  bool timed_out;
  /* exec */
  struct process *process;
  char output[OUTPUT_MAX + 1];
  size_t output_len;
  /* tcp */
  int fd;
  struct event *event;
  /* http: touched by the client's thread under the lock */
  struct http_fetch *fetch;
  int status;
  char why[512];
};

/* HTTP runs between their start and the moment the loop's thread has seen their end. */
static pthread_mutex_t fetch_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t fetch_gone = PTHREAD_COND_INITIALIZER;
static size_t fetches;

static void run_free(struct action_run *run) {
  if (run->timer)
    loop_timer_free(run->timer);
  if (run->event)
    event_free(run->event);
  if (run->fd >= 0)
    (void)close(run->fd);
  free(run);
}

static void run_done(struct action_run *run, bool ok, const char *why) {
  action_done_fn *done = run->done;
  void *arg = run->arg;
  char copy[sizeof(run->output) + 64];

  (void)snprintf(copy, sizeof(copy), "%s", why);
  run_free(run);
  if (done)
    done(arg, ok, copy);
}

/* ---- exec -------------------------------------------------------------------------------------------------------- */

static void exec_output(void *arg, int stream UNUSED, const char *data, size_t len) {
  struct action_run *run = arg;
  size_t room = OUTPUT_MAX - run->output_len;

  len = len < room ? len : room;
  memcpy(run->output + run->output_len, data, len);
  run->output_len += len;
}

static void exec_exit(void *arg, int status, int start_errno) {
  struct action_run *run = arg;

  run->process = NULL;
  if (start_errno)
    run_done(run, false, strerror(start_errno));
  else if (run->timed_out)
    run_done(run, false, "command timed out");
  else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
    run_done(run, true, "");
  else
    run_done(run, false, run->output_len ? run->output : "command failed");
}

static const struct process_ops exec_ops = {.on_output = exec_output, .on_exit = exec_exit};

static void exec_timeout(void *arg) {
  struct action_run *run = arg;

  run->timed_out = true;
  process_signal(run->process, SIGKILL);
}

static void exec_missing(void *arg) {
  struct action_run *run = arg;

  run_done(run, false, run->why);
}

static bool exec_start(struct action_run *run, const struct action_env *env, const struct action *a) {
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *file = process_find(a->argv.items[0], strv_getenv(env->env, "PATH"), env->dir, &err);

  if (!file) { /* DONE must not run from here */
    (void)snprintf(run->why, sizeof(run->why), "%s", err.msg);
    loop_timer_free(run->timer);
    run->timer = loop_timer_new(run->loop, 0, false, exec_missing, run);
    return run->timer != NULL;
  }
  const struct process_spec spec = {.shim = env->shim,
                                    .file = file,
                                    .argv = a->argv.items,
                                    .env = env->env->items,
                                    .dir = env->dir,
                                    .cgroups = env->cgroups};
  return process_start(run->loop, &spec, &exec_ops, run, &run->process, &err) == OME_OK;
}

/* ---- tcp --------------------------------------------------------------------------------------------------------- */

static void tcp_ready(evutil_socket_t fd, short what UNUSED, void *arg) {
  int error = 0;
  socklen_t len = sizeof(error);

  (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
  run_done(arg, error == 0, error ? strerror(error) : "");
}

static void tcp_timeout(void *arg) {
  run_done(arg, false, "connection timed out");
}

static bool tcp_start(struct action_run *run, const struct action *a) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(a->port)};

  run->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (run->fd < 0)
    return false;
  if (inet_pton(AF_INET, a->host, &to.sin_addr) != 1) {
    (void)snprintf(run->why, sizeof(run->why), "\"%s\" is not an IPv4 address", a->host);
    loop_timer_free(run->timer);
    run->timer = loop_timer_new(run->loop, 0, false, exec_missing, run);
    return run->timer != NULL;
  }
  (void)connect(run->fd, (const struct sockaddr *)&to, sizeof(to)); /* whatever comes of it shows in SO_ERROR */
  run->event = event_new(loop_base(run->loop), run->fd, EV_WRITE, tcp_ready, run);
  return run->event && event_add(run->event, NULL) == 0;
}

/* ---- http -------------------------------------------------------------------------------------------------------- */

static void fetch_settled(struct action_run *run) {
  pthread_mutex_lock(&fetch_lock);
  if (--fetches == 0)
    pthread_cond_broadcast(&fetch_gone);
  pthread_mutex_unlock(&fetch_lock);
  (void)run;
}

static void http_finish(void *arg) {
  struct action_run *run = arg;
  char why[sizeof(run->why)];
  bool ok = run->status >= 200 && run->status < 400;

  if (run->status && !ok)
    (void)snprintf(why, sizeof(why), "HTTP probe failed with statuscode: %d", run->status);
  else
    (void)snprintf(why, sizeof(why), "%s", ok ? "" : run->why);
  fetch_settled(run);
  run_done(run, ok, why);
}

static bool http_head(void *arg, int status, const char *headers UNUSED, const char *url UNUSED) {
  struct action_run *run = arg;

  run->status = status;
  return false; /* the status is all we want to know */
}

static bool http_body_ignored(void *arg UNUSED, const void *data UNUSED, size_t len UNUSED) {
  return false;
}

static void http_done(void *arg, int32_t rc UNUSED, const struct ome_err *err) {
  struct action_run *run = arg;

  pthread_mutex_lock(&fetch_lock);
  run->fetch = NULL;
  (void)snprintf(run->why, sizeof(run->why), "%s", err ? err->msg : "no answer");
  struct loop *loop = run->loop;
  pthread_mutex_unlock(&fetch_lock);
  loop_post(loop, http_finish, run);
}

static const struct http_fetch_ops fetch_ops = {
    .on_head = http_head, .on_body = http_body_ignored, .on_done = http_done};

static bool http_start(struct action_run *run, const struct action_env *env, const struct action *a) {
  const char *const *headers = (const char *const *)a->headers.items;
  const struct http_tls tls = {.insecure = true}; /* as the kubelet: a probe asks whether, not who */

  const struct http_request req = {.url = a->url,
                                   .headers = headers,
                                   .tls = has_prefix(a->url, "https:") ? &tls : NULL,
                                   .proxy = "",
                                   .connect_timeout_ms = run->timeout_ms,
                                   .timeout_ms = run->timeout_ms};
  pthread_mutex_lock(&fetch_lock);
  fetches++;
  run->fetch = http_fetch_start(env->http, &req, &fetch_ops, run);
  bool started = run->fetch != NULL;
  if (!started)
    fetches--;
  pthread_mutex_unlock(&fetch_lock);
  return started;
}

void action_settle(void) {
  pthread_mutex_lock(&fetch_lock);
  while (fetches)
    pthread_cond_wait(&fetch_gone, &fetch_lock);
  pthread_mutex_unlock(&fetch_lock);
}

/* ---- all
 * -------------------------------------------------------------------------------------------------------------------
 */

struct action_run *action_start(const struct action_env *env, const struct action *action, uint32_t timeout_ms,
                                action_done_fn *done, void *arg) {
  struct action_run *run = calloc(1, sizeof(*run));
  bool ok = false;

  if (!run)
    return NULL;
  *run = (struct action_run){.loop = env->loop, .done = done, .arg = arg, .timeout_ms = timeout_ms, .fd = -1};
  if (action->kind != ACTION_HTTP) /* an HTTP request has a time-out of its own */
    run->timer =
        loop_timer_new(run->loop, timeout_ms, false, action->kind == ACTION_EXEC ? exec_timeout : tcp_timeout, run);
  if (action->kind == ACTION_HTTP)
    ok = http_start(run, env, action);
  else if (run->timer)
    ok = action->kind == ACTION_EXEC ? exec_start(run, env, action) : tcp_start(run, action);
  if (ok)
    return run;
  run_free(run);
  return NULL;
}

void action_cancel(struct action_run *run) {
  run->done = NULL;
  if (run->process) {
    process_destroy(run->process);
    run_free(run);
  } else if (run->event || run->timer) {
    run_free(run);
  } else { /* its end, which is on its way, frees it */
    pthread_mutex_lock(&fetch_lock);
    if (run->fetch)
      http_fetch_cancel(run->fetch);
    run->fetch = NULL;
    pthread_mutex_unlock(&fetch_lock);
  }
}
