#include "hub/reader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct job {
  struct job *next;
  char *name, *revision;
  reader_done *done;
  void *arg;
  struct repository *result; /* NULL: err */
  struct ome_err err;
};

struct reader {
  struct loop *loop;
  const struct hub_source *source;
  pthread_t thread;
  bool is_running;
  atomic_bool stop;
  pthread_mutex_t lock; /* of what follows */
  pthread_cond_t work;
  struct job *first, **last;
};

static void job_free(struct job *j) {
  if (!j)
    return;
  free(j->name);
  free(j->revision);
  free(j);
}

static void deliver(void *arg) {
  struct job *j = arg;

  j->done(j->arg, j->result, &j->err);
  job_free(j);
}

/* The next job; NULL: time to end. */
static struct job *next(struct reader *r) {
  (void)pthread_mutex_lock(&r->lock);
  while (!r->first && !atomic_load(&r->stop))
    (void)pthread_cond_wait(&r->work, &r->lock);
  struct job *j = r->first;
  if (j && !(r->first = j->next))
    r->last = &r->first;
  (void)pthread_mutex_unlock(&r->lock);
  return j;
}

static void *run(void *arg) {
  struct reader *r = arg;

  for (struct job *j; (j = next(r));) {
    if (atomic_load(&r->stop))
      (void)fail(&j->err, OME_E_CANCELLED, "%s: stopped", j->name);
    else
      (void)r->source->read(r->source->arg, j->name, j->revision, &r->stop, &j->result, &j->err);
    loop_post(r->loop, deliver, j);
  }
  return NULL;
}

int32_t reader_start(struct loop *loop, const struct hub_source *source, struct reader **out, struct ome_err *err) {
  struct reader *r = calloc(1, sizeof(*r));

  if (!r)
    return fail_memory(err);
  r->loop = loop;
  r->source = source;
  r->last = &r->first;
  (void)pthread_mutex_init(&r->lock, NULL);
  (void)pthread_cond_init(&r->work, NULL);
  r->is_running = pthread_create(&r->thread, NULL, run, r) == 0;
  if (!r->is_running) {
    reader_stop(r);
    return fail(err, OME_E_NO_MEMORY, "hub: no thread could be started");
  }
  *out = r;
  return OME_OK;
}

static void nothing(void *arg) {
  (void)arg;
}

void reader_stop(struct reader *r) {
  if (!r)
    return;
  (void)pthread_mutex_lock(&r->lock);
  atomic_store(&r->stop, true);
  (void)pthread_cond_signal(&r->work);
  (void)pthread_mutex_unlock(&r->lock);
  if (r->is_running) {
    (void)pthread_join(r->thread, NULL);
    loop_call(r->loop, nothing, NULL); /* what was posted has run */
  }
  (void)pthread_cond_destroy(&r->work);
  (void)pthread_mutex_destroy(&r->lock);
  free(r);
}

int32_t reader_ask(struct reader *r, const char *name, const char *revision, reader_done *done, void *arg,
                   struct ome_err *err) {
  struct job *j = calloc(1, sizeof(*j));

  if (j)
    *j = (struct job){.name = strdup(name), .revision = strdup(revision)};
  if (!j || !j->name || !j->revision) {
    job_free(j);
    return fail_memory(err);
  }
  j->done = done;
  j->arg = arg;
  (void)pthread_mutex_lock(&r->lock);
  *r->last = j;
  r->last = &j->next;
  (void)pthread_cond_signal(&r->work);
  (void)pthread_mutex_unlock(&r->lock);
  return OME_OK;
}
