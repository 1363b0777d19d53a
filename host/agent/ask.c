/* The credential of one model, from the controller. */
#include "agent/internal.h"

#include "agent/handover.h"
#include "base/clock.h"
#include "base/str.h"
#include "kube/meta.h"

#include <string.h>
#include <time.h>

#define PATIENCE_MS 20000u /* then the attempt has failed, and there will be another */
#define PAUSE_MS 50u       /* between two looks, doubled each time */
#define LONGEST_MS 1000u
#define STEP_MS 100u             /* how soon a model that is not wanted any more is noticed */
#define PUBLISHED_AGAIN_MS 2000u /* the cache may lag behind our own write */

struct ask {
  const struct task *task;
  struct handover of;
  bool (*cancelled)(void *arg);
  void *arg;
  uint64_t published_ms; /* 0: not yet */
};

/* The controller seals for the key that the record says. */
static int32_t publish_key(struct ask *q, struct ome_err *err) {
  struct agent *a = q->task->agent;
  _cleanup_json_ struct json_object *map = kube_cache_get(a->caches[WATCH_RECORD], a->ns, a->node);
  const char *own = seal_key_public(a->key);
  const char *said = meta_annotation(map, HANDOVER_KEY);

  if ((said && streq(said, own)) || (q->published_ms && mono_ms() - q->published_ms < PUBLISHED_AGAIN_MS))
    return OME_OK;
  q->published_ms = mono_ms();
  return record_annotate(&a->record, HANDOVER_KEY, own, err);
}

/* OME_E_CORRUPT: not yet, and why. */
static int32_t look(struct ask *q, struct json_object **out, struct ome_err *err) {
  struct agent *a = q->task->agent;
  _cleanup_free_ char *name = handover_name(q->of.node, q->of.model_key);
  _cleanup_json_ struct json_object *map = NULL;
  int32_t rc = name ? publish_key(q, err) : fail_memory(err);

  if (rc == OME_OK)
    rc = kube_get(a->client, &KUBE_CONFIGMAPS, q->of.ns, name, &map, err);
  if (rc == OME_E_NOT_FOUND) {
    err_clear(err);
    return fail(err, OME_E_CORRUPT, "it hands nothing over");
  }
  return rc == OME_OK ? handover_open(&q->of, map, a->key, wall_ms(), out, err) : rc;
}

/* False: the model is not wanted any more. */
static bool nap(const struct ask *q, uint64_t ms) {
  const uint64_t end = mono_ms() + ms;

  for (uint64_t now = mono_ms(); now < end; now = mono_ms()) {
    uint64_t left = end - now < STEP_MS ? end - now : STEP_MS;
    const struct timespec step = {0, (long)(left * 1000000)};
    if (q->cancelled(q->arg))
      return false;
    (void)nanosleep(&step, NULL);
  }
  return true;
}

int32_t credential_ask(const struct task *t, const char *secret, bool (*cancelled)(void *arg), void *arg,
                       struct json_object **out, struct ome_err *err) {
  struct agent *a = t->agent;
  struct ask q = {.task = t, .of = {a->ns, a->node, t->key, t->uid}, .cancelled = cancelled, .arg = arg};
  const uint64_t end = mono_ms() + PATIENCE_MS;

  for (uint64_t pause = PAUSE_MS;; pause = pause * 2 < LONGEST_MS ? pause * 2 : LONGEST_MS) {
    int32_t rc = look(&q, out, err);
    if (rc != OME_E_CORRUPT)
      return rc == OME_OK ? rc : fail_prefix(err, "spec.storage.key");
    if (mono_ms() >= end)
      break;
    err_clear(err);
    if (!nap(&q, pause))
      return fail(err, OME_E_CANCELLED, "%s: cancelled", t->key);
  }
  struct ome_err why = *err;
  err_clear(err);
  return fail(err, OME_E_UNAVAILABLE,
              "spec.storage.key: the controller has not handed Secret %s to this node within %u s: %s; see that `ome "
              "controller` runs and may read the Secret",
              secret, PATIENCE_MS / 1000, why.msg);
}
