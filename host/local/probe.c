/* Startup, readiness and liveness probes of a running container. */
#include "local/runner_int.h"

#include "base/clock.h"
#include "base/str.h"

static const char *const kind_names[PROBE_KINDS] = {"Startup", "Readiness", "Liveness"};

static void attempt(void *arg);

/* As long as a container has not been ready yet, readiness is asked for every second: a service should not wait for the
 * rest of a period after its engine is there. */
static uint64_t pause_ms(const struct probe_run *p) {
  uint64_t period_ms = (uint64_t)p->spec->period_s * 1000;

  return p->kind == PROBE_READINESS && !p->container->ready && period_ms > 1000 ? 1000 : period_ms;
}

static void schedule(struct probe_run *p, uint64_t ms) {
  struct runner *r = p->container->pod->runner;

  if (p->timer)
    loop_timer_free(p->timer);
  p->timer = loop_timer_new(r->loop, ms, false, attempt, p);
}

static void probe_begin(struct container *c, enum probe_kind kind, const struct probe *spec) {
  struct probe_run *p = &c->probes[kind];

  *p = (struct probe_run){.container = c, .spec = spec, .kind = kind};
  if (spec->action.kind != ACTION_NONE)
    schedule(p, (uint64_t)spec->initial_delay_s * 1000);
}

static void begin_after_startup(struct container *c) {
  c->started = true;
  c->ready = c->spec->readiness.action.kind == ACTION_NONE;
  probe_begin(c, PROBE_READINESS, &c->spec->readiness);
  probe_begin(c, PROBE_LIVENESS, &c->spec->liveness);
  pod_changed(c->pod);
  pod_step(c->pod); /* a sidecar that has started lets the next container go */
}

void probes_begin(struct container *c) {
  if (c->spec->startup.action.kind == ACTION_NONE)
    begin_after_startup(c);
  else
    probe_begin(c, PROBE_STARTUP, &c->spec->startup);
}

static void probe_end(struct probe_run *p) {
  if (p->timer)
    loop_timer_free(p->timer);
  if (p->run)
    action_cancel(p->run);
  p->timer = NULL;
  p->run = NULL;
}

void probes_end(struct container *c) {
  for (int i = 0; i < PROBE_KINDS; i++)
    probe_end(&c->probes[i]);
}

/* One Event a period is enough, however often we look. */
static void tell(struct probe_run *p, const char *why) {
  uint64_t now = mono_ms();

  if (p->told_ms && now - p->told_ms < (uint64_t)p->spec->period_s * 1000)
    return;
  p->told_ms = now;
  pod_event(p->container->pod, true, "Unhealthy", "%s probe failed: %s", kind_names[p->kind], why);
}

static void passed(struct probe_run *p) {
  struct container *c = p->container;

  if (p->kind == PROBE_STARTUP) {
    begin_after_startup(c);
  } else if (p->kind == PROBE_READINESS && !c->ready) {
    c->ready = true;
    pod_changed(c->pod);
  }
}

static void failed(struct probe_run *p) {
  struct container *c = p->container;
  _cleanup_free_ char *why = NULL;

  if (p->kind == PROBE_READINESS) {
    if (c->ready)
      pod_changed(c->pod);
    c->ready = false;
    return;
  }
  why = str_printf("Container %s failed %s probe, will be restarted", c->spec->name,
                   p->kind == PROBE_STARTUP ? "startup" : "liveness");
  container_stop(c, (uint64_t)c->pod->spec->grace_s * 1000, why);
}

static void done(void *arg, bool ok, const char *why) {
  struct probe_run *p = arg;

  p->run = NULL;
  p->passed = ok ? p->passed + 1 : 0;
  p->failed = ok ? 0 : p->failed + 1;
  if (!ok)
    tell(p, why);
  if (ok && p->kind == PROBE_STARTUP && p->passed >= p->spec->success) {
    passed(p); /* its work is done */
    return;
  }
  if (ok && p->passed >= p->spec->success)
    passed(p);
  else if (!ok && p->failed >= p->spec->failure)
    failed(p);
  if (!p->container->stopping)
    schedule(p, pause_ms(p));
}

static void attempt(void *arg) {
  struct probe_run *p = arg;
  const struct action_env env = container_action_env(p->container);

  loop_timer_free(p->timer);
  p->timer = NULL;
  p->run = action_start(&env, &p->spec->action, p->spec->timeout_s * 1000, done, p);
  if (!p->run)
    schedule(p, pause_ms(p));
}
