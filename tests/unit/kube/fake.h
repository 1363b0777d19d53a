/* A scripted API server: requests are noted and answered from a script, watches are held open for the test to write
 * to.  Functions are for the test's thread. */
#ifndef TESTS_UNIT_KUBE_FAKE_H
#define TESTS_UNIT_KUBE_FAKE_H

#include "../unit.h"

#include "base/buf.h"
#include "base/clock.h"
#include "kube/client.h"
#include "net/http_server.h"

#include <pthread.h>
#include <stdbool.h>

#define DEADLINE_MS 20000

struct fake_answer {
  int status;
  const char *body; /* a literal or what outlives the fake */
  const char *retry_after;
};

struct fake {
  struct loop *loop;
  struct http_server *server;
  struct http_exchange *stream; /* the open watch; loop's thread */
  char folder[64];
  char kubeconfig[96];
  pthread_mutex_t lock; /* of what follows */
  pthread_cond_t changed;
  struct fake_answer answers[4]; /* of requests that are no watch, in turn; the last one stays */
  size_t nanswers, answered;
  int watch_status;        /* of the next watch only; 0: 200 */
  unsigned requests;       /* that are no watch */
  unsigned watches;        /* opened or refused */
  char line[1024];         /* "GET /path?query" of the last request that is no watch */
  char watch_line[1024];   /* of the last watch */
  char authorization[256]; /* of the last request */
  char content_type[128];
  char accept[128]; /* likewise */
  struct buf body;
};

void fake_start(struct fake *f);
void fake_stop(struct fake *f);
/* A group's setup and teardown of tests whose state is a fake. */
int fake_setup(void **state);
int fake_teardown(void **state);
/* A client of it, by a kubeconfig whose user has the fields USER (YAML flow: "{token: abc}"). */
struct kube_client *fake_client(struct fake *f, const char *user);
/* The N (up to 4) next answers. */
void fake_script(struct fake *f, const struct fake_answer *answers, size_t n);
/* Writes TEXT to the open watch; DROP ends it, in the middle of the body. */
void fake_push(struct fake *f, const char *text);
void fake_drop(struct fake *f);
/* A file of the fake's folder, which goes with it. */
void fake_file(struct fake *f, const char *name, const char *text);

void sync_init(pthread_mutex_t *lock, pthread_cond_t *changed);
/* One turn of waiting for CHANGED until DUE_MS (monotonic); false: too late. */
bool sync_wait(pthread_mutex_t *lock, pthread_cond_t *changed, uint64_t due_ms);

/* Waits until CONDITION, looked at under S->lock, holds; the test fails when it takes too long. */
#define AWAIT(s, condition)                                                                                            \
  do {                                                                                                                 \
    uint64_t due_ = mono_ms() + DEADLINE_MS;                                                                           \
    bool in_time_ = true;                                                                                              \
    (void)pthread_mutex_lock(&(s)->lock);                                                                              \
    while (!(condition) && in_time_)                                                                                   \
      in_time_ = sync_wait(&(s)->lock, &(s)->changed, due_);                                                           \
    (void)pthread_mutex_unlock(&(s)->lock);                                                                            \
    if (!in_time_)                                                                                                     \
      fail_msg("waited too long for: %s", #condition);                                                                 \
  } while (0)

#endif
