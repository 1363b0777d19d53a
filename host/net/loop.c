#include "net/loop.h"

#include "base/vec.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

struct call {
  loop_fn *fn;
  void *arg;
};

typedef VEC(struct call) call_list;

struct loop {
  struct event_base *base;
  struct event *wake;     /* posted calls wait */
  struct event *turn_end; /* lowest priority: runs when nothing else is ready */
  pthread_t thread;
  call_list at_end;
  char name[16];
  struct {
    pthread_mutex_t lock;
    call_list posted;
    bool stop;
  } shared;
};

struct loop_timer {
  struct event *event;
  loop_fn *fn;
  void *arg;
};

/* libevent gives new events the middle one; a lower number goes first. */
enum { PRIORITY_UNUSED, PRIORITY_NORMAL, PRIORITY_TURN_END, PRIORITIES };

/* Runs every call of LIST, those that calls add meanwhile included. */
static void run_all(call_list *list) {
  for (size_t i = 0; i < list->len; i++)
    list->items[i].fn(list->items[i].arg);
  list->len = 0;
}

static void on_wake(evutil_socket_t fd, short what, void *arg) {
  struct loop *l = arg;
  call_list calls;
  bool stop;

  (void)fd;
  (void)what;
  (void)pthread_mutex_lock(&l->shared.lock);
  calls = l->shared.posted;
  memset(&l->shared.posted, 0, sizeof(l->shared.posted));
  stop = l->shared.stop;
  (void)pthread_mutex_unlock(&l->shared.lock);
  run_all(&calls);
  VEC_FREE(&calls);
  if (stop)
    (void)event_base_loopbreak(l->base);
}

static void on_turn_end(evutil_socket_t fd, short what, void *arg) {
  struct loop *l = arg;

  (void)fd;
  (void)what;
  run_all(&l->at_end);
}

static void *run(void *arg) {
  struct loop *l = arg;

  (void)pthread_setname_np(pthread_self(), l->name);
  (void)event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
  on_wake(-1, 0, l); /* what was posted while the loop ended */
  run_all(&l->at_end);
  return NULL;
}

static int32_t make_base(struct loop *l, struct ome_err *err) {
  if (evthread_use_pthreads() != 0)
    return fail_memory(err);
  l->base = event_base_new();
  if (!l->base || event_base_priority_init(l->base, PRIORITIES) != 0)
    return fail(err, OME_E_INTERNAL, "event loop %s: cannot be made", l->name);
  l->wake = event_new(l->base, -1, 0, on_wake, l);
  l->turn_end = event_new(l->base, -1, 0, on_turn_end, l);
  if (!l->wake || !l->turn_end || event_priority_set(l->wake, PRIORITY_NORMAL) != 0 ||
      event_priority_set(l->turn_end, PRIORITY_TURN_END) != 0)
    return fail_memory(err);
  return OME_OK;
}

static void release(struct loop *l) {
  if (l->wake)
    event_free(l->wake);
  if (l->turn_end)
    event_free(l->turn_end);
  if (l->base)
    event_base_free(l->base);
  VEC_FREE(&l->shared.posted);
  VEC_FREE(&l->at_end);
  (void)pthread_mutex_destroy(&l->shared.lock);
  free(l);
}

int32_t loop_new(const char *name, struct loop **out, struct ome_err *err) {
  struct loop *l = calloc(1, sizeof(*l));

  if (!l)
    return fail_memory(err);
  (void)snprintf(l->name, sizeof(l->name), "%s", name);
  (void)pthread_mutex_init(&l->shared.lock, NULL);
  int32_t rc = make_base(l, err);
  if (rc == OME_OK && pthread_create(&l->thread, NULL, run, l) != 0)
    rc = fail(err, OME_E_UNAVAILABLE, "event loop %s: cannot start a thread", name);
  if (rc != OME_OK) {
    release(l);
    return rc;
  }
  *out = l;
  return OME_OK;
}

void loop_free(struct loop *l) {
  if (!l)
    return;
  (void)pthread_mutex_lock(&l->shared.lock);
  l->shared.stop = true;
  (void)pthread_mutex_unlock(&l->shared.lock);
  event_active(l->wake, 0, 0);
  (void)pthread_join(l->thread, NULL);
  release(l);
}

struct event_base *loop_base(struct loop *l) {
  return l->base;
}

void loop_post(struct loop *l, loop_fn *fn, void *arg) {
  struct call call = {fn, arg};

  (void)pthread_mutex_lock(&l->shared.lock);
  if (!VEC_PUSH(&l->shared.posted, call))
    abort(); /* a lost call would leave somebody waiting for ever */
  (void)pthread_mutex_unlock(&l->shared.lock);
  event_active(l->wake, 0, 0);
}

struct waiting_call {
  struct call call;
  pthread_mutex_t lock;
  pthread_cond_t done_cond;
  bool done;
};

static void run_waiting(void *arg) {
  struct waiting_call *w = arg;

  w->call.fn(w->call.arg);
  (void)pthread_mutex_lock(&w->lock);
  w->done = true;
  (void)pthread_cond_signal(&w->done_cond);
  (void)pthread_mutex_unlock(&w->lock);
}

void loop_call(struct loop *l, loop_fn *fn, void *arg) {
  struct waiting_call w = {.call = {fn, arg}, .lock = PTHREAD_MUTEX_INITIALIZER, .done_cond = PTHREAD_COND_INITIALIZER};

  if (pthread_equal(pthread_self(), l->thread)) {
    fn(arg);
    return;
  }
  loop_post(l, run_waiting, &w);
  (void)pthread_mutex_lock(&w.lock);
  while (!w.done)
    (void)pthread_cond_wait(&w.done_cond, &w.lock);
  (void)pthread_mutex_unlock(&w.lock);
}

void loop_at_turn_end(struct loop *l, loop_fn *fn, void *arg) {
  struct call call = {fn, arg};

  if (!VEC_PUSH(&l->at_end, call))
    abort();
  event_active(l->turn_end, 0, 0);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
  struct loop_timer *t = arg;

  (void)fd;
  (void)what;
  t->fn(t->arg);
}

struct loop_timer *loop_timer_new(struct loop *l, uint64_t ms, bool repeat, loop_fn *fn, void *arg) {
  struct timeval after = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
  struct loop_timer *t = calloc(1, sizeof(*t));

  if (!t)
    return NULL;
  t->fn = fn;
  t->arg = arg;
  t->event = event_new(l->base, -1, repeat ? EV_PERSIST : 0, on_timer, t);
  if (!t->event || event_add(t->event, &after) != 0) {
    loop_timer_free(t);
    return NULL;
  }
  return t;
}

void loop_timer_free(struct loop_timer *t) {
  if (!t)
    return;
  if (t->event)
    event_free(t->event);
  free(t);
}
