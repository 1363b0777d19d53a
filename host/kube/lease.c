#include "kube/lease.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "base/str.h"
#include "os/file.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct kube_lease {
  struct kube_lease_config cfg;
  char *ns;
  char *name;
  char *identity;
  struct json_object *stored; /* our last write as the server has it; the renewing thread's, then release's */
  /* Of the present holder, while we wait. */
  char *seen;       /* holder and renewal time */
  uint64_t seen_ms; /* when that was new to us */
  pthread_t thread;
  bool running;
  struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop;
  } shared;
};

/* ---- the record -------------------------------------------------------------------------------------------------- */

static char *make_identity(void) {
  char host[64] = "";
  char part[9];

  (void)gethostname(host, sizeof(host) - 1);
  random_hex(part, 8);
  return str_printf("%s_%s", host, part);
}

/* LEASE with us as the holder now; a copy of what is stored, or a new one. */
static struct json_object *claimed(const struct kube_lease *l, struct json_object *stored) {
  _cleanup_json_ struct json_object *o = stored ? json_copy(stored) : json_object_new_object();
  bool ours = streq(json_str(stored, "spec.holderIdentity", ""), l->identity);
  char now[TIME_TEXT_US];

  time_format_us(wall_us(), now);
  if (!o || !json_set_str(o, "apiVersion", "coordination.k8s.io/v1") || !json_set_str(o, "kind", "Lease") ||
      !json_set_str(o, "metadata.name", l->name) || !json_set_str(o, "metadata.namespace", l->ns) ||
      !json_set_str(o, "spec.holderIdentity", l->identity) ||
      !json_set_i64(o, "spec.leaseDurationSeconds", l->cfg.duration_ms / 1000) ||
      !json_set_str(o, "spec.renewTime", now))
    return NULL;
  if (!ours && (!json_set_str(o, "spec.acquireTime", now) ||
                !json_set_i64(o, "spec.leaseTransitions", json_i64(stored, "spec.leaseTransitions", -1) + 1)))
    return NULL;
  return TAKE_PTR(o);
}

/* Whether the lease is free for us to take. */
static bool is_free(struct kube_lease *l, struct json_object *stored) {
  const char *holder = json_str(stored, "spec.holderIdentity", "");
  uint64_t duration_ms = (uint64_t)json_i64(stored, "spec.leaseDurationSeconds", 0) * 1000;

  if (!*holder || streq(holder, l->identity))
    return true;
  char *record = str_printf("%s %s", holder, json_str(stored, "spec.renewTime", ""));
  if (!record || !l->seen || !streq(record, l->seen)) {
    free(l->seen);
    l->seen = record;
    l->seen_ms = mono_ms();
    return false;
  }
  free(record);
  return mono_ms() - l->seen_ms > duration_ms;
}

static int32_t write_claim(struct kube_lease *l, struct json_object *stored, struct ome_err *err) {
  _cleanup_json_ struct json_object *claim = claimed(l, stored);
  struct json_object *now = NULL;

  if (!claim)
    return fail_memory(err);
  int32_t rc = stored ? kube_update(l->cfg.client, &KUBE_LEASES, claim, &now, err)
                      : kube_create(l->cfg.client, &KUBE_LEASES, claim, &now, err);
  if (rc != OME_OK)
    return rc;
  json_unref(l->stored);
  l->stored = now;
  return OME_OK;
}

/* One try to become or stay the leader.  OME_E_BUSY: somebody else is. */
static int32_t try_once(struct kube_lease *l, struct ome_err *err) {
  _cleanup_json_ struct json_object *stored = NULL;
  int32_t rc = kube_get(l->cfg.client, &KUBE_LEASES, l->ns, l->name, &stored, err);

  if (rc != OME_OK && rc != OME_E_NOT_FOUND)
    return rc;
  if (stored && !is_free(l, stored))
    return fail(err, OME_E_BUSY, "lease %s/%s: %s leads", l->ns, l->name, json_str(stored, "spec.holderIdentity", ""));
  return write_claim(l, stored, err);
}

/* ---- renewing ---------------------------------------------------------------------------------------------------- */

/* Waits MS; true: release() was called. */
static bool pause_renewal(struct kube_lease *l, uint32_t ms) {
  uint64_t due = mono_ms() + ms;

  (void)pthread_mutex_lock(&l->shared.lock);
  while (!l->shared.stop && cond_wait_until(&l->shared.changed, &l->shared.lock, due))
    continue;
  bool stop = l->shared.stop;
  (void)pthread_mutex_unlock(&l->shared.lock);
  return stop;
}

static void *renew(void *arg) {
  struct kube_lease *l = arg;
  uint64_t renewed_ms = mono_ms();

  (void)pthread_setname_np(pthread_self(), "lease");
  while (!pause_renewal(l, l->cfg.retry_ms)) {
    struct ome_err err = ERR_INIT;
    int32_t rc = try_once(l, &err);
    if (rc == OME_OK) {
      renewed_ms = mono_ms();
      continue;
    }
    if (rc != OME_E_BUSY && mono_ms() - renewed_ms < l->cfg.renew_deadline_ms)
      continue;
    log_error("lease", "%s/%s: lost: %s", l->ns, l->name, err.msg);
    json_unref(l->stored);
    l->stored = NULL;
    l->cfg.on_lost(l->cfg.arg);
    break;
  }
  return NULL;
}

static int32_t start_renewing(struct kube_lease *l, struct ome_err *err) {
  if (pthread_create(&l->thread, NULL, renew, l) != 0)
    return fail(err, OME_E_UNAVAILABLE, "lease %s/%s: cannot start a thread", l->ns, l->name);
  l->running = true;
  return OME_OK;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int32_t wait_for_it(struct kube_lease *l, struct ome_err *err) {
  struct ome_err said = ERR_INIT;

  for (;;) {
    int32_t rc = try_once(l, err);
    if (rc == OME_OK)
      return OME_OK;
    if (!streq(err->msg, said.msg))
      log_info("lease", "%s", err->msg);
    said = *err;
    if (l->cfg.wait(l->cfg.arg, l->cfg.retry_ms))
      return fail(err, OME_E_CANCELLED, "lease %s/%s: told to stop while waiting", l->ns, l->name);
  }
}

int32_t kube_lease_acquire(const struct kube_lease_config *cfg, struct kube_lease **out, struct ome_err *err) {
  _cleanup_(kube_lease_releasep) struct kube_lease *l = calloc(1, sizeof(*l));

  if (!l)
    return fail_memory(err);
  l->cfg = *cfg;
  l->cfg.duration_ms = cfg->duration_ms ? cfg->duration_ms : 15000;
  l->cfg.renew_deadline_ms = cfg->renew_deadline_ms ? cfg->renew_deadline_ms : 10000;
  l->cfg.retry_ms = cfg->retry_ms ? cfg->retry_ms : 2000;
  (void)pthread_mutex_init(&l->shared.lock, NULL);
  cond_init(&l->shared.changed);
  l->ns = strdup(cfg->ns);
  l->name = strdup(cfg->name);
  l->identity = cfg->identity ? strdup(cfg->identity) : make_identity();
  if (!l->ns || !l->name || !l->identity)
    return fail_memory(err);
  int32_t rc = wait_for_it(l, err);
  if (rc == OME_OK)
    rc = start_renewing(l, err);
  if (rc == OME_OK)
    *out = TAKE_PTR(l);
  return rc;
}

/* Best effort: who does not hear of it waits for the duration to pass. */
static void hand_over(struct kube_lease *l) {
  struct ome_err err = ERR_INIT;

  if (l->stored && json_set_str(l->stored, "spec.holderIdentity", "") &&
      json_set_i64(l->stored, "spec.leaseDurationSeconds", 1))
    (void)kube_update(l->cfg.client, &KUBE_LEASES, l->stored, NULL, &err);
}

void kube_lease_release(struct kube_lease *l) {
  if (!l)
    return;
  (void)pthread_mutex_lock(&l->shared.lock);
  l->shared.stop = true;
  (void)pthread_cond_broadcast(&l->shared.changed);
  (void)pthread_mutex_unlock(&l->shared.lock);
  if (l->running)
    (void)pthread_join(l->thread, NULL);
  hand_over(l);
  json_unref(l->stored);
  (void)pthread_cond_destroy(&l->shared.changed);
  (void)pthread_mutex_destroy(&l->shared.lock);
  free(l->seen);
  free(l->ns);
  free(l->name);
  free(l->identity);
  free(l);
}
