#include "apiserver/flusher.h"

#include "net/loop.h"

#include <pthread.h>
#include <stdlib.h>

struct flusher {
  struct loop *loop;
  flush_fn *flush;
  void (*done)(void *arg);
  void *arg;
  bool busy; /* the loop's */
  pthread_t thread;
  struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool wanted, ready, stop;
    struct ome_err err; /* of what is ready */
  } shared;
};

/* Waits for work; false: the end. */
static bool await_work(struct flusher *f) {
  (void)pthread_mutex_lock(&f->shared.lock);
  while (!f->shared.wanted && !f->shared.stop)
    (void)pthread_cond_wait(&f->shared.changed, &f->shared.lock);
  bool work = f->shared.wanted;
  f->shared.wanted = false;
  (void)pthread_mutex_unlock(&f->shared.lock);
  return work;
}

static void *run(void *arg) {
  struct flusher *f = arg;

  (void)pthread_setname_np(pthread_self(), "flusher");
  while (await_work(f)) {
    struct ome_err err = ERR_INIT;
    (void)f->flush(f->arg, &err);
    (void)pthread_mutex_lock(&f->shared.lock);
    f->shared.err = err;
    f->shared.ready = true;
    (void)pthread_cond_broadcast(&f->shared.changed);
    (void)pthread_mutex_unlock(&f->shared.lock);
    loop_post(f->loop, f->done, f->arg);
  }
  return NULL;
}

int32_t flusher_new(struct loop *loop, flush_fn *flush, void (*done)(void *arg), void *arg, struct flusher **out,
                    struct ome_err *err) {
  struct flusher *f = calloc(1, sizeof(*f));

  if (!f)
    return fail_memory(err);
  f->loop = loop;
  f->flush = flush;
  f->done = done;
  f->arg = arg;
  (void)pthread_mutex_init(&f->shared.lock, NULL);
  (void)pthread_cond_init(&f->shared.changed, NULL);
  if (pthread_create(&f->thread, NULL, run, f) != 0) {
    free(f);
    return fail(err, OME_E_UNAVAILABLE, "apiserver: cannot start a thread");
  }
  *out = f;
  return OME_OK;
}

void flusher_free(struct flusher *f) {
  if (!f)
    return;
  (void)pthread_mutex_lock(&f->shared.lock);
  f->shared.stop = true;
  (void)pthread_cond_broadcast(&f->shared.changed);
  (void)pthread_mutex_unlock(&f->shared.lock);
  (void)pthread_join(f->thread, NULL);
  (void)pthread_mutex_destroy(&f->shared.lock);
  (void)pthread_cond_destroy(&f->shared.changed);
  free(f);
}

void flusher_begin(struct flusher *f) {
  f->busy = true;
  (void)pthread_mutex_lock(&f->shared.lock);
  f->shared.wanted = true;
  f->shared.ready = false;
  (void)pthread_cond_broadcast(&f->shared.changed);
  (void)pthread_mutex_unlock(&f->shared.lock);
}

bool flusher_busy(const struct flusher *f) {
  return f && f->busy;
}

bool flusher_ready(struct flusher *f) {
  if (!flusher_busy(f))
    return false;
  (void)pthread_mutex_lock(&f->shared.lock);
  bool ready = f->shared.ready;
  (void)pthread_mutex_unlock(&f->shared.lock);
  return ready;
}

int32_t flusher_end(struct flusher *f, struct ome_err *err) {
  (void)pthread_mutex_lock(&f->shared.lock);
  while (!f->shared.ready)
    (void)pthread_cond_wait(&f->shared.changed, &f->shared.lock);
  *err = f->shared.err;
  (void)pthread_mutex_unlock(&f->shared.lock);
  f->busy = false;
  return err->code;
}
