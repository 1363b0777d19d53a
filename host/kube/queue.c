#include "kube/queue.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/str.h"
#include "base/strmap.h"
#include "base/vec.h"
#include "os/file.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define BACKOFF_MIN_MS 5u
#define BACKOFF_MAX_MS 60000u

METRIC_HISTOGRAM(reconcile_seconds, "ome_reconcile_duration_seconds", "Time that one reconcile of an object took.",
                 METRIC_SECONDS, "controller");
METRIC_COUNTER(reconcile_errors, "ome_reconcile_errors_total", "Reconciles that failed and are tried again, by reason.",
               "controller", "reason");
METRIC_HISTOGRAM(waited_seconds, "ome_queue_wait_seconds", "Time from when an object was due until a worker took it.",
                 METRIC_SECONDS, "controller");
METRIC_GAUGE(depth, "ome_queue_depth", "Objects that wait for a worker, those that are not due yet included.",
             "controller");

/* Where items wait: until they are due, by time; then for a worker, by rank. */
enum heap_id { HEAP_LATER, HEAP_DUE, HEAPS };

struct item {
  char *key;
  uint64_t due_ms; /* monotonic; when it is waiting */
  int64_t rank;    /* lower first, of those that are due */
  uint64_t turn;   /* first come, first served among equals */
  uint32_t failures;
  bool waiting, running;
  enum heap_id heap; /* when it is waiting */
  bool again;        /* added while it ran */
  uint64_t again_ms;
  size_t place; /* in its heap, when it is waiting */
};

/* A binary heap: no item goes before its parent. */
struct heap {
  VEC(struct item *) at;
};

struct kube_queue {
  struct kube_queue_config cfg;
  char *name;
  pthread_t *threads;
  uint32_t nthreads;
  struct metric *depth, *waited, *took;
  struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct strmap *items; /* key -> struct item */
    struct heap heaps[HEAPS];
    uint64_t turns;
    bool stop;
  } shared;
};

static void item_free(void *p) {
  struct item *i = p;

  free(i->key);
  free(i);
}

/* ---- heaps ------------------------------------------------------------------------------------------------------- */

/* Two items of one heap. */
static bool is_before(const struct item *a, const struct item *b) {
  if (a->heap == HEAP_DUE && a->rank != b->rank)
    return a->rank < b->rank;
  return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->turn < b->turn;
}

static void put_at(struct heap *h, size_t i, struct item *item) {
  h->at.items[i] = item;
  item->place = i;
}

static void sift_up(struct heap *h, size_t i) {
  struct item *item = h->at.items[i];

  for (; i > 0 && is_before(item, h->at.items[(i - 1) / 2]); i = (i - 1) / 2)
    put_at(h, i, h->at.items[(i - 1) / 2]);
  put_at(h, i, item);
}

static void sift_down(struct heap *h, size_t i) {
  struct item *item = h->at.items[i];

  for (size_t child; (child = 2 * i + 1) < h->at.len; i = child) {
    if (child + 1 < h->at.len && is_before(h->at.items[child + 1], h->at.items[child]))
      child++;
    if (is_before(item, h->at.items[child]))
      break;
    put_at(h, i, h->at.items[child]);
  }
  put_at(h, i, item);
}

static bool enter(struct kube_queue *q, struct item *i, enum heap_id id) {
  struct heap *h = &q->shared.heaps[id];

  i->heap = id;
  if (!VEC_PUSH(&h->at, i)) {
    log_error(q->name, "%s: out of memory, left out until its next change", i->key);
    return false;
  }
  i->place = h->at.len - 1;
  sift_up(h, i->place);
  return true;
}

static void leave(struct kube_queue *q, struct item *i) {
  struct heap *h = &q->shared.heaps[i->heap];
  struct item *last = h->at.items[--h->at.len];

  if (last == i)
    return;
  put_at(h, i->place, last);
  sift_up(h, last->place);
  sift_down(h, last->place);
}

static bool wait_locked(struct kube_queue *q, struct item *i, uint64_t due_ms) {
  i->due_ms = due_ms;
  i->turn = q->shared.turns++;
  i->waiting = enter(q, i, due_ms <= mono_ms() ? HEAP_DUE : HEAP_LATER);
  metric_add(q->depth, i->waiting ? 1 : 0);
  return i->waiting;
}

static void unwait_locked(struct kube_queue *q, struct item *i) {
  leave(q, i);
  i->waiting = false;
  metric_add(q->depth, -1);
}

static struct item *first_of(const struct heap *h) {
  return h->at.len ? h->at.items[0] : NULL;
}

/* ---- adding ------------------------------------------------------------------------------------------------------ */

static char *make_key(const char *ns, const char *name) {
  return ns && *ns ? str_printf("%s/%s", ns, name) : strdup(name);
}

/* The item of KEY, made when there is none; NULL when memory ran out. */
static struct item *item_locked(struct kube_queue *q, const char *key) {
  struct item *i = strmap_get(q->shared.items, key);

  if (i)
    return i;
  i = calloc(1, sizeof(*i));
  if (i && (i->key = strdup(key)) && strmap_put(q->shared.items, key, i))
    return i;
  log_error(q->name, "%s: out of memory, left out until its next change", key);
  if (i)
    item_free(i);
  return NULL;
}

/* How soon, and what goes first of what is due. */
struct wish {
  uint64_t due_ms;
  const int64_t *rank; /* NULL: as it was */
};

/* Worked on at the moment: what is wished for comes after that. */
static void again_locked(struct item *i, const struct wish *wish) {
  i->again_ms = i->again && i->again_ms < wish->due_ms ? i->again_ms : wish->due_ms;
  i->again = true;
}

/* Whether I waits already for no later, and in that place. */
static bool has_wish(const struct item *i, const struct wish *wish) {
  return i->waiting && i->due_ms <= wish->due_ms && (!wish->rank || *wish->rank == i->rank);
}

/* The earlier of two times counts, and the last rank. */
static void schedule_locked(struct kube_queue *q, const char *key, const struct wish *wish) {
  struct item *i = item_locked(q, key);

  if (!i || has_wish(i, wish))
    return;
  bool waited = i->waiting;
  uint64_t due_ms = waited && i->due_ms < wish->due_ms ? i->due_ms : wish->due_ms;
  if (waited)
    unwait_locked(q, i);
  i->rank = wish->rank ? *wish->rank : i->rank;
  if (i->running)
    again_locked(i, wish);
  else if (!wait_locked(q, i, due_ms))
    (void)strmap_del(q->shared.items, key);
  (void)pthread_cond_signal(&q->shared.changed);
}

static void add(struct kube_queue *q, const char *ns, const char *name, const struct wish *wish) {
  _cleanup_free_ char *key = make_key(ns, name);

  if (!key)
    return;
  (void)pthread_mutex_lock(&q->shared.lock);
  schedule_locked(q, key, wish);
  (void)pthread_mutex_unlock(&q->shared.lock);
}

void kube_queue_add_after(struct kube_queue *q, const char *ns, const char *name, uint64_t ms) {
  add(q, ns, name, &(struct wish){.due_ms = mono_ms() + ms});
}

void kube_queue_add(struct kube_queue *q, const char *ns, const char *name) {
  add(q, ns, name, &(struct wish){.due_ms = mono_ms()});
}

void kube_queue_add_ranked(struct kube_queue *q, const char *ns, const char *name, int64_t rank) {
  add(q, ns, name, &(struct wish){.due_ms = mono_ms(), .rank = &rank});
}

size_t kube_queue_len(struct kube_queue *q) {
  size_t n;

  (void)pthread_mutex_lock(&q->shared.lock);
  n = strmap_len(q->shared.items);
  (void)pthread_mutex_unlock(&q->shared.lock);
  return n;
}

/* ---- working ----------------------------------------------------------------------------------------------------- */

/* Exponential with a quarter of jitter. */
static uint64_t backoff_ms(uint32_t failures) {
  uint64_t ms = BACKOFF_MIN_MS << (failures < 20 ? failures : 20);
  uint32_t chance;

  if (ms > BACKOFF_MAX_MS)
    ms = BACKOFF_MAX_MS;
  random_bytes(&chance, sizeof(chance));
  return ms - ms / 4 + chance % (ms / 2 + 1);
}

/* What has become due changes heaps; then the item that is to be worked on next, due or not; NULL: none waits. */
static struct item *first_locked(struct kube_queue *q, uint64_t now_ms) {
  struct item *i;

  while ((i = first_of(&q->shared.heaps[HEAP_LATER])) && i->due_ms <= now_ms) {
    leave(q, i);
    if (!enter(q, i, HEAP_DUE)) {
      metric_add(q->depth, -1);
      (void)strmap_del(q->shared.items, i->key);
    }
  }
  i = first_of(&q->shared.heaps[HEAP_DUE]);
  return i ? i : first_of(&q->shared.heaps[HEAP_LATER]);
}

/* Waits until something is due; NULL: the queue ends. */
static struct item *next_locked(struct kube_queue *q) {
  while (!q->shared.stop) {
    uint64_t now = mono_ms();
    struct item *i = first_locked(q, now);
    if (i && i->due_ms <= now) {
      metric_observe(q->waited, (double)(now - i->due_ms) / 1e3);
      return i;
    }
    if (!i) {
      (void)pthread_cond_wait(&q->shared.changed, &q->shared.lock);
      continue;
    }
    (void)cond_wait_until(&q->shared.changed, &q->shared.lock, i->due_ms);
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
  if (!wait || !wait_locked(q, i, due))
    (void)strmap_del(q->shared.items, i->key);
  else
    (void)pthread_cond_signal(&q->shared.changed);
}

/* A conflict with another writer is everyday; everything else is worth a line. */
static void report(const struct kube_queue *q, const char *key, uint32_t failures, const struct ome_err *err) {
  metric_add(METRIC(&reconcile_errors, q->name, err_name(err->code)), 1);
  if (err->code == OME_E_CONFLICT && failures < 5)
    log_debug(q->name, "%s: %s", key, err->msg);
  else
    log_warning(q->name, "%s: %s", key, err->msg);
}

/* One call for KEY, under a trace of its own. */
static int32_t reconcile(struct kube_queue *q, char *key, uint64_t *requeue_ms, struct ome_err *err) {
  char trace[LOG_TRACE_DIGITS + 1];
  char *slash = strchr(key, '/');
  uint64_t began = mono_ns();

  if (slash)
    *slash = '\0';
  random_hex(trace, LOG_TRACE_DIGITS);
  log_set_trace(trace);
  int32_t rc = q->cfg.reconcile(q->cfg.arg, slash ? key : NULL, slash ? slash + 1 : key, requeue_ms, err);
  metric_observe(q->took, (double)(mono_ns() - began) / 1e9);
  return rc;
}

static void *work(void *arg) {
  struct kube_queue *q = arg;
  char name[16];

  (void)snprintf(name, sizeof(name), "%.15s", q->name);
  (void)pthread_setname_np(pthread_self(), name);
  (void)pthread_mutex_lock(&q->shared.lock);
  for (struct item *i; (i = next_locked(q));) {
    struct ome_err err = ERR_INIT;
    uint64_t requeue_ms = 0;
    _cleanup_free_ char *key = strdup(i->key);
    unwait_locked(q, i);
    i->running = true;
    (void)pthread_mutex_unlock(&q->shared.lock);
    int32_t rc = key ? reconcile(q, key, &requeue_ms, &err) : fail_memory(&err);
    (void)pthread_mutex_lock(&q->shared.lock);
    if (rc != OME_OK)
      report(q, i->key, i->failures, &err);
    log_set_trace(NULL);
    settle_locked(q, i, rc, requeue_ms, &err);
  }
  (void)pthread_mutex_unlock(&q->shared.lock);
  return NULL;
}

int32_t kube_queue_new(const struct kube_queue_config *cfg, struct kube_queue **out, struct ome_err *err) {
  uint32_t workers = cfg->workers ? cfg->workers : 1;
  struct kube_queue *q = calloc(1, sizeof(*q));

  if (!q)
    return fail_memory(err);
  q->cfg = *cfg;
  (void)pthread_mutex_init(&q->shared.lock, NULL);
  cond_init(&q->shared.changed);
  q->name = strdup(cfg->name);
  q->depth = METRIC(&depth, cfg->name);
  q->waited = METRIC(&waited_seconds, cfg->name);
  q->took = METRIC(&reconcile_seconds, cfg->name);
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
  for (size_t i = 0; i < HEAPS; i++) {
    metric_add(q->depth, -(double)q->shared.heaps[i].at.len);
    VEC_FREE(&q->shared.heaps[i].at);
  }
  strmap_free(q->shared.items);
  (void)pthread_mutex_destroy(&q->shared.lock);
  (void)pthread_cond_destroy(&q->shared.changed);
  free(q->threads);
  free(q->name);
  free(q);
}
