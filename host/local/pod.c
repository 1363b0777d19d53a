/* One pod: which of its containers is due to start or to stop. */
#include "local/runner_int.h"

#include "base/str.h"

#include <string.h>

/* How long a pod that is being stopped waits for its sidecars after its main containers have gone. */
#define SIDECAR_GRACE_MS 2000
/* Between the decision to stop a pod that serves and SIGTERM: until proxies and the gateway send it nothing new. */
#define DRAIN_MS 300

static void deadline(void *arg) {
  struct pod *p = arg;

  loop_timer_free(p->deadline_timer);
  p->deadline_timer = NULL;
  p->reason = strdup("DeadlineExceeded");
  p->message = strdup("Pod was active on the node longer than the specified deadline");
  pod_stop(p, p->spec->grace_s);
}

struct pod *pod_new(struct runner *r, struct pod_spec *spec) {
  struct pod *p = calloc(1, sizeof(*p));

  if (p)
    p->containers = calloc(spec->containers.len + 1, sizeof(*p->containers));
  if (!p || !p->containers) {
    free(p);
    pod_spec_free(spec);
    return NULL;
  }
  p->runner = r;
  p->spec = spec;
  p->grace_s = spec->grace_s;
  for (size_t i = 0; i < spec->containers.len; i++)
    container_init(&p->containers[i], p, &spec->containers.items[i]);
  if (spec->deadline_s > 0)
    p->deadline_timer = loop_timer_new(r->loop, (uint64_t)spec->deadline_s * 1000, false, deadline, p);
  return p;
}

void pod_free(struct pod *p) {
  if (p->deadline_timer)
    loop_timer_free(p->deadline_timer);
  if (p->drain_timer)
    loop_timer_free(p->drain_timer);
  for (size_t i = 0; i < p->spec->containers.len; i++)
    container_fini(&p->containers[i]);
  free(p->containers);
  free(p->reason);
  free(p->message);
  pod_spec_free(p->spec);
  free(p);
}

static bool is_idle(const struct container *c) {
  return !c->process && !c->restart_timer && !c->over;
}

static bool any_running(const struct pod *p, bool sidecars) {
  for (size_t i = 0; i < p->spec->containers.len; i++)
    if (p->containers[i].process && (p->containers[i].spec->role == CONTAINER_SIDECAR) == sidecars)
      return true;
  return false;
}

static void stop_container(struct container *c, uint64_t grace_ms) {
  _cleanup_free_ char *why = str_printf("Stopping container %s", c->spec->name);

  container_stop(c, grace_ms, why ? why : "Stopping");
}

/* Main containers first; sidecars when those have ended, the last one first. */
static void stop_step(struct pod *p) {
  bool mains_run = any_running(p, false);

  for (size_t i = p->spec->containers.len; i-- > 0;) {
    struct container *c = &p->containers[i];
    container_give_up(c);
    if (!c->process)
      continue;
    if (c->spec->role != CONTAINER_SIDECAR) {
      stop_container(c, (uint64_t)p->grace_s * 1000);
    } else if (!mains_run) {
      uint64_t grace_ms = (uint64_t)p->grace_s * 1000;
      stop_container(c, grace_ms < SIDECAR_GRACE_MS ? grace_ms : SIDECAR_GRACE_MS);
      return; /* its end brings us back here */
    }
  }
}

/* Whether everything that must come before the main containers has; starts what is next. */
static bool init_step(struct pod *p) {
  for (size_t i = 0; i < p->spec->containers.len; i++) {
    struct container *c = &p->containers[i];
    if (c->spec->role == CONTAINER_MAIN)
      return true;
    if (is_idle(c))
      container_start(c);
    if (c->spec->role == CONTAINER_INIT ? !c->over || c->exit_code : !c->started && !c->over)
      return false;
  }
  return true;
}

static bool mains_over(const struct pod *p) {
  for (size_t i = 0; i < p->spec->containers.len; i++)
    if (p->containers[i].spec->role == CONTAINER_MAIN && !p->containers[i].over)
      return false;
  return true;
}

void pod_step(struct pod *p) {
  if (!p->stopping && init_step(p))
    for (size_t i = 0; i < p->spec->containers.len; i++)
      if (p->containers[i].spec->role == CONTAINER_MAIN && is_idle(&p->containers[i]))
        container_start(&p->containers[i]);
  if (!p->stopping && mains_over(p) && any_running(p, true))
    p->stopping = true; /* a finished pod needs its sidecars no longer */
  if (p->stopping)
    stop_step(p);
  pod_changed(p);
}

void pod_stop(struct pod *p, int64_t grace_s) {
  if (!p->stopping || grace_s < p->grace_s)
    p->grace_s = grace_s;
  p->stopping = true;
  pod_step(p);
}

static void drained(void *arg) {
  struct pod *p = arg;

  loop_timer_free(p->drain_timer);
  p->drain_timer = NULL;
  pod_stop(p, p->drain_grace_s);
}

static bool any_ready(const struct pod *p) {
  for (size_t i = 0; i < p->spec->containers.len; i++)
    if (p->containers[i].ready)
      return true;
  return false;
}

void pod_drain(struct pod *p, int64_t grace_s) {
  if (p->stopping || grace_s <= 0 || !any_ready(p)) {
    pod_stop(p, grace_s);
    return;
  }
  p->drain_grace_s = grace_s;
  if (!p->drain_timer)
    p->drain_timer = loop_timer_new(p->runner->loop, DRAIN_MS, false, drained, p);
  if (!p->drain_timer)
    pod_stop(p, grace_s);
}

bool pod_stopped(const struct pod *p) {
  bool failed_init = false;

  for (size_t i = 0; i < p->spec->containers.len; i++) {
    const struct container *c = &p->containers[i];
    if (c->process || c->restart_timer)
      return false;
    failed_init = failed_init || (c->spec->role == CONTAINER_INIT && c->over && c->exit_code != 0);
  }
  return p->stopping || failed_init || mains_over(p);
}

struct json_object *pod_report(struct pod *p) {
  struct json_object *report = json_object_new_object(), *containers = json_object_new_array();

  for (size_t i = 0; i < p->spec->containers.len; i++)
    (void)json_add(containers, container_report(&p->containers[i]));
  (void)json_set(report, "containers", containers);
  if (p->reason) {
    (void)json_set_str(report, "reason", p->reason);
    (void)json_set_str(report, "message", p->message ? p->message : "");
  }
  return report;
}
