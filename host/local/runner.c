/* The runner's table of pods and its doors to other threads. */
#include "local/runner.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "base/str.h"
#include "local/orphans.h"
#include "local/runner_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- what happened ----------------------------------------------------------------------------------------------- */

void runner_live(struct runner *r, int change) {
  pthread_mutex_lock(&r->lock);
  r->live = change > 0 ? r->live + 1 : r->live - 1;
  if (!r->live)
    pthread_cond_broadcast(&r->idle);
  pthread_mutex_unlock(&r->lock);
}

static void flush(void *arg) {
  struct runner *r = arg;

  r->flush_waits = false;
  if (!r->pods) /* the end */
    return;
  for (struct strmap_iter it = strmap_first(r->dirty); it.key; strmap_next(&it)) {
    struct pod *p = strmap_get(r->pods, it.key);
    if (p)
      r->cfg.on_change(r->cfg.arg, p->spec->ns, p->spec->name);
    (void)strmap_del(r->dirty, it.key);
  }
}

void pod_changed(struct pod *p) {
  struct runner *r = p->runner;

  (void)strmap_put(r->dirty, p->spec->uid, r);
  if (!r->flush_waits)
    loop_at_turn_end(r->loop, flush, r);
  r->flush_waits = true;
}

void pod_event(struct pod *p, bool warning, const char *reason, const char *fmt, ...) {
  char message[1024];
  va_list ap;

  va_start(ap, fmt);
  (void)vsnprintf(message, sizeof(message), fmt, ap);
  va_end(ap);
  const struct runner_event e = {p->spec->ns, p->spec->name, p->spec->uid, warning, reason, message};
  p->runner->cfg.on_event(p->runner->cfg.arg, &e);
}

/* ---- calls from other threads ------------------------------------------------------------------------------------ */

struct call {
  struct runner *r;
  struct pod_spec *spec;
  const char *ns, *name, *uid;
  int64_t grace_s;
  bool stopped;
  char *text;
  struct json_object *list;
};

static void do_add(void *arg) {
  struct call *c = arg;

  if (strmap_has(c->r->pods, c->spec->uid)) {
    pod_spec_free(c->spec);
    return;
  }
  struct pod *p = pod_new(c->r, c->spec);
  if (!p)
    return;
  if (!strmap_put(c->r->pods, p->spec->uid, p)) {
    pod_free(p);
    return;
  }
  pod_step(p);
}

void runner_add(struct runner *r, struct pod_spec *spec) {
  struct call c = {.r = r, .spec = spec};

  loop_call(r->loop, do_add, &c);
}

static void do_stop(void *arg) {
  struct call *c = arg;
  struct pod *p = strmap_get(c->r->pods, c->uid);

  if (p)
    pod_drain(p, c->grace_s);
}

void runner_stop_pod(struct runner *r, const char *uid, int64_t grace_s) {
  struct call c = {.r = r, .uid = uid, .grace_s = grace_s};

  loop_call(r->loop, do_stop, &c);
}

static void do_remove(void *arg) {
  struct call *c = arg;

  (void)strmap_del(c->r->pods, c->uid);
}

void runner_remove(struct runner *r, const char *uid) {
  struct call c = {.r = r, .uid = uid};

  loop_call(r->loop, do_remove, &c);
}

static void do_report(void *arg) {
  struct call *c = arg;
  struct pod *p = strmap_get(c->r->pods, c->uid);

  if (!p)
    return;
  _cleanup_json_ struct json_object *report = pod_report(p);
  c->text = json_text(report);
  c->stopped = pod_stopped(p);
}

char *runner_report(struct runner *r, const char *uid, bool *stopped) {
  struct call c = {.r = r, .uid = uid};

  loop_call(r->loop, do_report, &c);
  *stopped = c.stopped;
  return c.text;
}

static void do_stop_others(void *arg) {
  struct call *c = arg;

  for (struct strmap_iter it = strmap_first(c->r->pods); it.key; strmap_next(&it)) {
    struct pod *p = it.value;
    if (!streq(p->spec->ns, c->ns) || !streq(p->spec->name, c->name) || streq(it.key, c->uid))
      continue;
    if (pod_stopped(p)) {
      (void)json_object_array_add(c->list, json_object_new_string(it.key));
      (void)strmap_del(c->r->pods, it.key);
    } else if (!p->stopping)
      pod_stop(p, p->spec->grace_s);
  }
}

struct json_object *runner_stop_others(struct runner *r, const char *ns, const char *name, const char *uid) {
  struct call c = {.r = r, .ns = ns, .name = name, .uid = uid, .list = json_object_new_array()};

  loop_call(r->loop, do_stop_others, &c);
  return c.list;
}

/* ---- life
 * ----------------------------------------------------------------------------------------------------------------------
 */

static void free_pod(void *p) {
  pod_free(p);
}

static void do_stop_all(void *arg) {
  struct call *c = arg;

  for (struct strmap_iter it = strmap_first(c->r->pods); it.key; strmap_next(&it)) {
    struct pod *p = it.value;
    pod_stop(p, p->spec->grace_s < c->grace_s ? p->spec->grace_s : c->grace_s);
  }
}

static void do_free_all(void *arg) {
  struct runner *r = arg;

  strmap_free(r->pods);
  r->pods = NULL;
}

/* Until no process is left, but not longer than GRACE_S and a little for SIGKILL. */
static void wait_idle(struct runner *r, int64_t grace_s) {
  uint64_t due_ms = mono_ms() + (uint64_t)(grace_s + 3) * 1000;

  pthread_mutex_lock(&r->lock);
  while (r->live && cond_wait_until(&r->idle, &r->lock, due_ms))
    continue;
  pthread_mutex_unlock(&r->lock);
}

static void release(struct runner *r) {
  if (r->loop)
    loop_free(r->loop);
  if (r->dirty)
    strmap_free(r->dirty);
  if (r->cgroups)
    cgroups_free(r->cgroups);
  free(r->data_dir);
  free(r->shim);
  free(r->id);
  pthread_cond_destroy(&r->idle);
  pthread_mutex_destroy(&r->lock);
  free(r);
}

void runner_free(struct runner *r, int64_t grace_s) {
  struct call c = {.r = r, .grace_s = grace_s};

  loop_call(r->loop, do_stop_all, &c);
  wait_idle(r, grace_s);
  loop_call(r->loop, do_free_all, r);
  action_settle();
  release(r);
}

int32_t runner_new(const struct runner_config *cfg, struct runner **out, struct ome_err *err) {
  struct runner *r = calloc(1, sizeof(*r));

  if (!r)
    return fail_memory(err);
  r->cfg = *cfg;
  pthread_mutex_init(&r->lock, NULL);
  cond_init(&r->idle);
  r->data_dir = strdup(cfg->data_dir);
  r->shim = strdup(cfg->shim);
  r->id = strdup(cfg->id);
  r->dirty = strmap_new(NULL);
  r->cgroups = cgroups_new(cfg->id);
  r->pods = strmap_new(free_pod);
  int32_t rc = r->data_dir && r->shim && r->id && r->dirty && r->cgroups && r->pods ? OME_OK : fail_memory(err);
  if (rc == OME_OK) {
    size_t orphans = orphans_kill(cfg->id);
    if (orphans)
      log_info("runner", "killed %zu processes that an earlier run had left behind", orphans);
    cgroups_clear(r->cgroups);
    rc = loop_new("runner", &r->loop, err);
  }
  if (rc != OME_OK) {
    if (r->pods)
      strmap_free(r->pods);
    release(r);
    return rc;
  }
  *out = r;
  return OME_OK;
}
