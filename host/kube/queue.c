#include "kube/queue.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "base/vec.h"
#include "os/file.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define BACKOFF_MIN_MS 5u
#define BACKOFF_MAX_MS 60000u

struct item {
  char *key;
  uint64_t due_ms; /* monotonic; when it is waiting */
  uint32_t failures;
  bool waiting, running;
  bool again; /* added while it ran */
  uint64_t again_ms;
};

struct kube_queue {
  struct kube_queue_config cfg;
  char *name;
  pthread_t *threads;
  uint32_t nthreads;
  struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct strmap *items; /* key -> struct item */
    bool stop;
  } shared;
};

static void item_free(void *p) {
  struct item *i = p;

  free(i->key);
  free(i);
}

static char *make_key(const char *ns, const char *name) {
  return ns && *ns ? str_printf("%s/%s", ns, name) : strdup(name);
}

static void schedule_locked(struct kube_queue *q, const char *key, uint64_t due_ms) {
  struct item *i = strmap_get(q->shared.items, key);

  if (!i) {
    i = calloc(1, sizeof(*i));
    if (!i || !(i->key = strdup(key)) || !strmap_put(q->shared.items, key, i)) {
      log_error(q->name, "%s: out of memory, left out until its next change", key);
      if (i)
        item_free(i);
      return;
    }
  }
  if (i->running) {
    i->again_ms = i->again && i->again_ms < due_ms ? i->again_ms : due_ms;
    i->again = true;
  } else if (!i->waiting || due_ms < i->due_ms) {
    i->due_ms = due_ms;
    i->waiting = true;
  }
  (void)pthread_cond_signal(&q->shared.changed);
}

void kube_queue_add_after(struct kube_queue *q, const char *ns, const char *name, uint64_t ms) {
  _cleanup_free_ char *key = make_key(ns, name);

  if (!key)
    return;
  (void)pthread_mutex_lock(&q->shared.lock);
  schedule_locked(q, key, mono_ms() + ms);
  (void)pthread_mutex_unlock(&q->shared.lock);
}

void kube_queue_add(struct kube_queue *q, const char *ns, const char *name) {
  kube_queue_add_after(q, ns, name, 0);
}

size_t kube_queue_len(struct kube_queue *q) {
  size_t n;

  (void)pthread_mutex_lock(&q->shared.lock);
  n = strmap_len(q->shared.items);
  (void)pthread_mutex_unlock(&q->shared.lock);
  return n;
}

/* Exponential with a quarter of jitter. */
static uint64_t backoff_ms(uint32_t failures) {
  uint64_t ms = BACKOFF_MIN_MS << (failures < 20 ? failures : 20);
  uint32_t chance;

  if (ms > BACKOFF_MAX_MS)
    ms = BACKOFF_MAX_MS;
  random_bytes(&chance, sizeof(chance));
  return ms - ms / 4 + chance % (ms / 2 + 1);
}

/* The waiting item that is due first; NULL: none. */
static struct item *first_locked(struct kube_queue *q) {
  struct item *first = NULL;

  for (struct strmap_iter it = strmap_first(q->shared.items); it.key; strmap_next(&it)) {
    struct item *i = it.value;
    if (i->waiting && (!first || i->due_ms < first->due_ms))
      first = i;
  }
  return first;
}

/* Waits until something is due; NULL: the queue ends. */
static struct item *next_locked(struct kube_queue *q) {
  while (!q->shared.stop) {
    struct item *i = first_locked(q);
    uint64_t now = mono_ms();
    if (i && i->due_ms <= now)
      return i;
    if (!i) {
      (void)pthread_cond_wait(&q->shared.changed, &q->shared.lock);
      continue;
    }
    struct timespec until = {(time_t)(i->due_ms / 1000), (long)(i->due_ms % 1000) * 1000000};
    (void)pthread_cond_timedwait(&q->shared.changed, &q->shared.lock, &until);
  }
  return NULL;
}

/* Takes the outcome of a call into account. */
static void settle_locked(struct kube_queue *q, struct item *i, int32_t rc, uint64_t requeue_ms,
                          const struct ome_err *err) {
  i->running = false;
  i->failures = rc == OME_OK ? 0 : i->failures + 1;
  bool wait = rc != OME_OK || requeue_ms;
  uint64_t after = rc == OME_OK ? requeue_ms : err->retry_after_ms ? err->retry_after_ms : backoff_ms(i->failures - 1);
  uint64_t due = mono_ms() + after;
  if (i->again) {
    due = !wait || i->again_ms < due ? i->again_ms : due;
    wait = true;
  }
  i->again = false;
  i->waiting = wait;
  i->due_ms = due;
  if (!wait)
    (void)strmap_del(q->shared.items, i->key);
  else
    (void)pthread_cond_signal(&q->shared.changed);
}

/* A conflict with another writer is everyday; everything else is worth a line. */
static void report(const struct kube_queue *q, const char *key, uint32_t failures, const struct ome_err *err) {
  if (err->code == OME_E_CONFLICT && failures < 5)
    log_debug(q->name, "%s: %s", key, err->msg);
  else
    log_warning(q->name, "%s: %s", key, err->msg);
}

static void *work(void *arg) {
  struct kube_queue *q = arg;

  (void)pthread_setname_np(pthread_self(), q->name);
  (void)pthread_mutex_lock(&q->shared.lock);
  for (struct item *i; (i = next_locked(q));) {
    struct ome_err err = ERR_INIT;
    uint64_t requeue_ms = 0;
    _cleanup_free_ char *key = strdup(i->key);
    i->waiting = false;
    i->running = true;
    (void)pthread_mutex_unlock(&q->shared.lock);
    char *slash = key ? strchr(key, '/') : NULL;
    if (slash)
      *slash = '\0';
    int32_t rc = key ? q->cfg.reconcile(q->cfg.arg, slash ? key : NULL, slash ? slash + 1 : key, &requeue_ms, &err)
                     : fail_memory(&err);
    (void)pthread_mutex_lock(&q->shared.lock);
    if (rc != OME_OK)
      report(q, i->key, i->failures, &err);
    settle_locked(q, i, rc, requeue_ms, &err);
  }
  (void)pthread_mutex_unlock(&q->shared.lock);
  return NULL;
}

static void init_condition(pthread_cond_t *cond) {
  pthread_condattr_t attr;

  (void)pthread_condattr_init(&attr);
  (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  (void)pthread_cond_init(cond, &attr);
  (void)pthread_condattr_destroy(&attr);
}

int32_t kube_queue_new(const struct kube_queue_config *cfg, struct kube_queue **out, struct ome_err *err) {
  uint32_t workers = cfg->workers ? cfg->workers : 1;
  struct kube_queue *q = calloc(1, sizeof(*q));

  if (!q)
    return fail_memory(err);
  q->cfg = *cfg;
  (void)pthread_mutex_init(&q->shared.lock, NULL);
  init_condition(&q->shared.changed);
  q->name = str_copy(cfg->name, strnlen(cfg->name, 15));
  q->shared.items = strmap_new(item_free);
  q->threads = calloc(workers, sizeof(*q->threads));
  if (!q->name || !q->shared.items || !q->threads) {
    kube_queue_free(q);
    return fail_memory(err);
  }
  for (; q->nthreads < workers; q->nthreads++)
    if (pthread_create(&q->threads[q->nthreads], NULL, work, q) != 0) {
      kube_queue_free(q);
      return fail(err, OME_E_UNAVAILABLE, "%s: cannot start a thread", cfg->name);
    }
  *out = q;
  return OME_OK;
}

void kube_queue_stop(struct kube_queue *q) {
  if (!q)
    return;
  (void)pthread_mutex_lock(&q->shared.lock);
  q->shared.stop = true;
  (void)pthread_cond_broadcast(&q->shared.changed);
  (void)pthread_mutex_unlock(&q->shared.lock);
  for (uint32_t i = 0; i < q->nthreads; i++)
    (void)pthread_join(q->threads[i], NULL);
  q->nthreads = 0;
}

void kube_queue_free(struct kube_queue *q) {
  if (!q)
    return;
  kube_queue_stop(q);
  strmap_free(q->shared.items);
  (void)pthread_mutex_destroy(&q->shared.lock);
  (void)pthread_cond_destroy(&q->shared.changed);
  free(q->threads);
  free(q->name);
  free(q);
}
