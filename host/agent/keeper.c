#include "agent/keeper.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "base/str.h"
#include "compose/names.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define KEY_FULL 252u
#define EVERY_S ((uint64_t)24 * 3600)
#define STEP ((uint64_t)1 << 20) /* the store asks whether to stop after so many bytes */

struct keeper {
  struct keeper_config cfg;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  atomic_bool stop;
};

/* ---- keys -------------------------------------------------------------------------------------------------------- */

bool keeper_parse_key(const char *key, int which, char *ns, char *name, size_t size) {
  static const char *const prefixes[][2] = {{"clusterbasemodel.", ""}, {NS_WEIGHTS, NS_WEIGHTS}};
  static const char space[] = ".basemodel.";
  const char *middle = strstr(key, space);
  const char *rest, *const *prefix = NULL;

  for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
    prefix = has_prefix(key, prefixes[i][0]) ? prefixes[i] : prefix;
  if (which == 0 && prefix) {
    rest = key + strlen(prefix[0]);
    (void)snprintf(ns, size, "%s", prefix[1]);
  } else {
    if (which > 1 || (which == 1 && !prefix) || !middle || middle == key || (size_t)(middle - key) >= size)
      return false;
    rest = middle + sizeof(space) - 1;
    (void)snprintf(ns, size, "%.*s", (int)(middle - key), key);
  }
  return *rest && (size_t)snprintf(name, size, "%s", rest) < size;
}

static void look(const struct keeper *k, const char *key) {
  char ns[256];
  char name[256];

  for (int which = 0; keeper_parse_key(key, which, ns, name, sizeof(name)); which++)
    k->cfg.look(k->cfg.arg, *ns ? ns : NULL, name);
}

static bool is_anyones(const struct keeper *k, const char *key) {
  char ns[256];
  char name[256];

  if (strlen(key) >= KEY_FULL) /* it may be shortened: whose it is cannot be told */
    return true;
  for (int which = 0; keeper_parse_key(key, which, ns, name, sizeof(name)); which++)
    if (k->cfg.is_model(k->cfg.arg, *ns ? ns : NULL, name))
      return true;
  return false;
}

/* ---- work -------------------------------------------------------------------------------------------------------- */

/* Models that were deleted while the agent was not there to see it. */
static void sweep(const struct keeper *k) {
  struct ome_err err = ERR_INIT;
  _cleanup_json_ struct json_object *all = model_store_list(k->cfg.store, &err);

  if (!all)
    log_warning("agent", "%s", err.msg);
  for (size_t i = 0; i < json_len(all); i++) {
    const char *key = json_str(json_index(all, i), "name", "");
    if (!is_anyones(k, key))
      look(k, key);
  }
}

static void on_damage(void *arg, const struct store_damage *d) {
  const struct keeper *k = arg;

  log_warning("agent", "store: %s of %s is damaged; fetching it again", d->path ? d->path : d->sha256,
              d->name ? d->name : "nothing");
  if (d->name)
    look(k, d->name);
}

/* Asked between pieces: the place to go slowly. */
static bool is_stopped(void *arg) {
  struct keeper *k = arg;
  uint64_t rate = k->cfg.bytes_per_second ? k->cfg.bytes_per_second : (uint64_t)64 << 20;
  const struct timespec pause = {0, (long)(STEP * 1000000000 / rate % 1000000000)};

  if (!atomic_load(&k->stop))
    (void)nanosleep(&pause, NULL);
  return atomic_load(&k->stop);
}

static void scrub(struct keeper *k) {
  const struct store_scrub job = {.damage = on_damage, .cancelled = is_stopped, .arg = k};
  struct store_scrub_result r;
  struct ome_err err = ERR_INIT;
  char bytes[32];

  int32_t rc = model_store_scrub(k->cfg.store, &job, &r, &err);
  format_bytes(r.bytes, bytes);
  if (rc == OME_OK)
    log_write(r.damaged ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, "agent", "store: %u blobs of %s read, %u damaged",
              r.blobs, bytes, r.damaged);
  else if (rc != OME_E_CANCELLED)
    log_warning("agent", "%s", err.msg);
}

static void sleep_until_due(struct keeper *k) {
  uint64_t due_ms = mono_ms() + (k->cfg.every_s ? k->cfg.every_s : EVERY_S) * 1000;

  (void)pthread_mutex_lock(&k->lock);
  while (!atomic_load(&k->stop) && cond_wait_until(&k->changed, &k->lock, due_ms))
    continue;
  (void)pthread_mutex_unlock(&k->lock);
}

static void *keep(void *arg) {
  struct keeper *k = arg;

  while (!atomic_load(&k->stop) && !k->cfg.synced(k->cfg.arg))
    ;
  while (!atomic_load(&k->stop)) {
    sweep(k);
    scrub(k);
    sleep_until_due(k);
  }
  return NULL;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void release(struct keeper *k) {
  (void)pthread_cond_destroy(&k->changed);
  (void)pthread_mutex_destroy(&k->lock);
  free(k);
}

int32_t keeper_start(const struct keeper_config *cfg, struct keeper **out, struct ome_err *err) {
  struct keeper *k = calloc(1, sizeof(*k));

  if (!k)
    return fail_memory(err);
  k->cfg = *cfg;
  (void)pthread_mutex_init(&k->lock, NULL);
  cond_init(&k->changed);
  if (pthread_create(&k->thread, NULL, keep, k) != 0) {
    release(k);
    return fail(err, OME_E_NO_MEMORY, "cannot start a thread");
  }
  *out = k;
  return OME_OK;
}

void keeper_stop(struct keeper *k) {
  if (!k)
    return;
  (void)pthread_mutex_lock(&k->lock);
  atomic_store(&k->stop, true);
  (void)pthread_cond_signal(&k->changed);
  (void)pthread_mutex_unlock(&k->lock);
  (void)pthread_join(k->thread, NULL);
  release(k);
}
