#include "agent/room.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/str.h"
#include "base/strmap.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK_MS 60000u

METRIC_GAUGE(store_bytes, "model_agent_store_bytes",
             "Bytes of the node's model stores: used, staying (may not be evicted), capacity.", "kind", "store");

struct room {
  struct room_config cfg;
  pthread_mutex_t deciding; /* one decision at a time: taken before LOCK */
  uint64_t checked_ms;      /* by room_check(); 0: not yet */
  pthread_mutex_t lock;
  uint64_t space;          /* as of space_now(): the least that a decision went by since it was seen to grow */
  struct strmap *promised; /* name -> uint64_t */
  struct strmap *asked;    /* name -> itself */
  struct strmap *waiting;  /* name -> itself */
};

struct room *room_new(const struct room_config *cfg) {
  struct room *r = calloc(1, sizeof(*r));

  if (!r)
    return NULL;
  r->cfg = *cfg;
  r->space = UINT64_MAX;
  (void)pthread_mutex_init(&r->deciding, NULL);
  (void)pthread_mutex_init(&r->lock, NULL);
  r->promised = strmap_new(free);
  r->asked = strmap_new(NULL);
  r->waiting = strmap_new(NULL);
  if (r->promised && r->asked && r->waiting)
    return r;
  room_free(r);
  return NULL;
}

void room_free(struct room *r) {
  if (!r)
    return;
  strmap_free(r->promised);
  strmap_free(r->asked);
  strmap_free(r->waiting);
  (void)pthread_mutex_destroy(&r->lock);
  (void)pthread_mutex_destroy(&r->deciding);
  free(r);
}

/* ---- what there is ----------------------------------------------------------------------------------------------- */

/* The residents and what their texts live in. */
struct census {
  struct json_object *list;
  VEC(struct resident) models;
  VEC(struct manifest) manifests; /* of each of them */
};

static void census_fini(struct census *c) {
  for (size_t i = 0; i < c->models.len; i++)
    free((void *)(uintptr_t)c->models.items[i].contents);
  for (size_t i = 0; i < c->manifests.len; i++)
    manifest_fini(&c->manifests.items[i]);
  VEC_FREE(&c->models);
  VEC_FREE(&c->manifests);
  json_unref(c->list);
}

static struct residency_content *contents_of(const struct manifest *m) {
  struct residency_content *c = calloc(m->files.len + 1, sizeof(*c));

  for (size_t i = 0; c && i < m->files.len; i++)
    c[i] = (struct residency_content){m->files.items[i].sha256, m->files.items[i].size};
  return c;
}

static bool add_resident(struct room *r, struct census *c, struct json_object *listed) {
  const char *name = json_str(listed, "name", "");
  struct manifest m = {0};
  struct resident one = {.key = name, .used = c->models.len, .leaving = room_is_asked(r, name)};

  json_unref(model_store_reference(r->cfg.store, name, &m));
  if (!VEC_PUSH(&c->manifests, m)) {
    manifest_fini(&m);
    return false;
  }
  one.ncontents = m.files.len;
  one.contents = contents_of(&m);
  one.stays = json_flag(listed, "owned", false) ? r->cfg.stays(r->cfg.arg, name) : RESIDENT_FOREIGN;
  if (one.contents && VEC_PUSH(&c->models, one))
    return true;
  free((void *)(uintptr_t)one.contents);
  return false;
}

/* All but NAME (may be NULL): what it has becomes what it gets. */
static int32_t take_census(struct room *r, const char *name, struct census *out, struct ome_err *err) {
  out->list = model_store_list(r->cfg.store, err); /* least recently used first */
  if (!out->list)
    return err->code;
  for (size_t i = 0; i < json_len(out->list); i++) {
    struct json_object *listed = json_index(out->list, i);
    bool is_other = !name || !streq(json_str(listed, "name", ""), name);
    if (is_other && json_flag(listed, "complete", false) && !add_resident(r, out, listed))
      return fail_memory(err);
  }
  return OME_OK;
}

static uint64_t promised_to_others(struct room *r, const char *name) {
  uint64_t sum = 0;

  (void)pthread_mutex_lock(&r->lock);
  for (struct strmap_iter it = strmap_first(r->promised); it.key; strmap_next(&it))
    if (!name || !streq(it.key, name))
      sum += *(const uint64_t *)it.value;
  (void)pthread_mutex_unlock(&r->lock);
  return sum;
}

/* Distinct bytes of C. */
static int32_t used_by(const struct census *c, uint64_t *out, struct ome_err *err) {
  const struct residency_limits none = {0, UINT64_MAX, UINT64_MAX};
  _cleanup_residency_ struct residency_decision d = {.used = 0};
  int32_t rc = residency_decide(&none, c->models.items, c->models.len, 0, 0, &d, err);

  *out = d.used;
  return rc;
}

/* Bytes that the store was given; 0: it has what its file system has. */
static uint64_t capacity_given(const struct room *r) {
  uint64_t now = r->cfg.capacity_now ? r->cfg.capacity_now(r->cfg.arg) : 0;

  return now ? now : r->cfg.capacity;
}

/* What room there is without a look at the models: what was given, else what is free. */
static int32_t space_now(const struct room *r, uint64_t *out, struct ome_err *err) {
  *out = capacity_given(r);
  return *out ? OME_OK : model_store_free(r->cfg.store, out, err);
}

static int32_t limits_now(struct room *r, const struct census *c, struct residency_limits *out, struct ome_err *err) {
  uint64_t capacity = capacity_given(r), used = 0;
  int32_t rc = OME_OK;

  if (!capacity) {
    rc = model_store_free(r->cfg.store, &capacity, err);
    if (rc == OME_OK)
      rc = used_by(c, &used, err);
    capacity += used;
  }
  *out = residency_limits_of(capacity, r->cfg.percent_high, r->cfg.percent_low);
  return rc;
}

/* ---- decisions --------------------------------------------------------------------------------------------------- */

static void remember(struct strmap *names, const char *name) {
  if (!strmap_put(names, name, names))
    log_warning("agent", "out of memory; %s comes later", name);
}

static void publish(const struct room *r, const struct residency_decision *d, const struct residency_limits *limits) {
  metric_set(METRIC(&store_bytes, "used", r->cfg.name), (double)d->used);
  metric_set(METRIC(&store_bytes, "staying", r->cfg.name), (double)d->staying);
  metric_set(METRIC(&store_bytes, "capacity", r->cfg.name), (double)limits->capacity);
}

/* Before a decision: who is told to wait by it is looked at when there is more. */
static int32_t note_space(struct room *r, struct ome_err *err) {
  uint64_t now;
  int32_t rc = space_now(r, &now, err);

  (void)pthread_mutex_lock(&r->lock);
  if (rc == OME_OK && now < r->space)
    r->space = now;
  (void)pthread_mutex_unlock(&r->lock);
  return rc;
}

/* Decides, and asks those that are to go. */
static int32_t decide(struct room *r, const char *name, uint64_t bytes, struct residency_decision *d,
                      struct ome_err *err) {
  _cleanup_(census_fini) struct census c = {.list = NULL};
  struct residency_limits limits;
  int32_t rc = note_space(r, err);

  if (rc == OME_OK)
    rc = take_census(r, name, &c, err);
  if (rc == OME_OK)
    rc = limits_now(r, &c, &limits, err);
  if (rc == OME_OK)
    rc = residency_decide(&limits, c.models.items, c.models.len, promised_to_others(r, name), bytes, d, err);
  if (rc != OME_OK)
    return rc;
  publish(r, d, &limits);
  for (size_t i = 0; i < d->evict.len; i++) {
    const char *key = c.models.items[d->evict.items[i]].key;
    (void)pthread_mutex_lock(&r->lock);
    remember(r->asked, key);
    (void)pthread_mutex_unlock(&r->lock);
    r->cfg.look(r->cfg.arg, key);
  }
  return OME_OK;
}

static int32_t promise_locked(struct room *r, const char *name, uint64_t bytes, struct ome_err *err) {
  uint64_t *mine = malloc(sizeof(*mine));

  if (mine)
    *mine = bytes;
  if (mine && strmap_put(r->promised, name, mine))
    return OME_OK;
  free(mine);
  return fail_memory(err);
}

int32_t room_take(struct room *r, const char *name, uint64_t bytes, enum residency_verdict *out, char why[256],
                  struct ome_err *err) {
  _cleanup_residency_ struct residency_decision d = {.verdict = RESIDENCY_REFUSE};

  (void)pthread_mutex_lock(&r->deciding);
  (void)pthread_mutex_lock(&r->lock);
  remember(r->waiting, name); /* before the look at the others: what changes from now on wakes it */
  (void)pthread_mutex_unlock(&r->lock);
  int32_t rc = decide(r, name, bytes, &d, err);
  (void)pthread_mutex_lock(&r->lock);
  if (rc == OME_OK && d.verdict == RESIDENCY_FITS)
    rc = promise_locked(r, name, bytes, err);
  if (rc != OME_OK || d.verdict == RESIDENCY_FITS || d.verdict == RESIDENCY_REFUSE)
    (void)strmap_del(r->waiting, name);
  (void)pthread_mutex_unlock(&r->lock);
  (void)pthread_mutex_unlock(&r->deciding);
  *out = d.verdict;
  if (rc == OME_OK && d.verdict == RESIDENCY_REFUSE)
    return fail(err, OME_E_NO_SPACE, "%s: store %s: %s", name, r->cfg.name, d.why);
  if (d.verdict == RESIDENCY_EVICT)
    (void)snprintf(why, 256, "waiting: %zu models that nobody uses make room for it", d.evict.len);
  else if (d.verdict == RESIDENCY_WAIT)
    (void)snprintf(why, 256, "waiting: store %.63s: %.170s", r->cfg.name, d.why);
  return rc;
}

uint64_t room_capacity(struct room *r) {
  _cleanup_(census_fini) struct census c = {.list = NULL};
  struct residency_limits limits = {.capacity = 0};
  struct ome_err err = ERR_INIT;

  if (take_census(r, NULL, &c, &err) != OME_OK || limits_now(r, &c, &limits, &err) != OME_OK)
    log_warning("agent", "%s", err.msg);
  return limits.capacity;
}

void room_check(struct room *r) {
  _cleanup_residency_ struct residency_decision d = {.verdict = RESIDENCY_FITS};
  struct ome_err err = ERR_INIT;

  if (!capacity_given(r))
    return;
  (void)pthread_mutex_lock(&r->deciding);
  bool is_due = !r->checked_ms || mono_ms() - r->checked_ms >= CHECK_MS;
  if (is_due)
    r->checked_ms = mono_ms();
  if (is_due && decide(r, NULL, 0, &d, &err) != OME_OK)
    log_warning("agent", "%s", err.msg);
  (void)pthread_mutex_unlock(&r->deciding);
}

/* ---- news -------------------------------------------------------------------------------------------------------- */

void room_changed(struct room *r) {
  struct strmap *fresh = strmap_new(NULL);

  if (!fresh)
    return; /* they look again by themselves, later */
  (void)pthread_mutex_lock(&r->lock);
  struct strmap *waiting = r->waiting;
  r->waiting = fresh;
  (void)pthread_mutex_unlock(&r->lock);
  for (struct strmap_iter it = strmap_first(waiting); it.key; strmap_next(&it))
    r->cfg.look(r->cfg.arg, it.key);
  strmap_free(waiting);
}

void room_give_back(struct room *r, const char *name) {
  (void)pthread_mutex_lock(&r->lock);
  bool had = strmap_del(r->promised, name);
  (void)pthread_mutex_unlock(&r->lock);
  if (had)
    room_changed(r);
}

bool room_has_grown(struct room *r) {
  struct ome_err err = ERR_INIT;
  uint64_t now;

  if (space_now(r, &now, &err) != OME_OK)
    return false;
  (void)pthread_mutex_lock(&r->lock);
  bool has = now > r->space;
  if (has)
    r->space = UINT64_MAX; /* who still waits then decides anew */
  (void)pthread_mutex_unlock(&r->lock);
  return has;
}

bool room_is_asked(struct room *r, const char *name) {
  (void)pthread_mutex_lock(&r->lock);
  bool is = strmap_has(r->asked, name);
  (void)pthread_mutex_unlock(&r->lock);
  return is;
}

void room_answered(struct room *r, const char *name) {
  (void)pthread_mutex_lock(&r->lock);
  bool was = strmap_del(r->asked, name);
  (void)pthread_mutex_unlock(&r->lock);
  if (was)
    room_changed(r);
}

void room_forget(struct room *r, const char *name) {
  (void)pthread_mutex_lock(&r->lock);
  (void)strmap_del(r->waiting, name);
  (void)pthread_mutex_unlock(&r->lock);
}
