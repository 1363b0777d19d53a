/* The work queue: who is called, how often, when, and never twice at once. */
#include "fake.h"

#include "base/str.h"
#include "kube/queue.h"

#include <stdio.h>

#define CALLS 64

struct fixture {
  struct kube_queue *queue;
  pthread_mutex_t lock; /* of what follows */
  pthread_cond_t changed;
  struct {
    char key[16];
    uint64_t at_ns;
  } calls[CALLS]; /* in order of their beginning */
  unsigned ncalls, finished;
  unsigned held;         /* calls for "hold" that wait for release */
  unsigned held_at_most; /* at once */
  bool release;
  unsigned failures; /* so many more calls fail */
  uint32_t retry_after_ms;
  uint64_t requeue_ms; /* of the next call only */
};

static int32_t reconcile(void *arg, const char *ns, const char *name, uint64_t *requeue_ms, struct ome_err *err) {
  struct fixture *f = arg;
  int32_t rc = OME_OK;

  (void)pthread_mutex_lock(&f->lock);
  if (f->ncalls < CALLS) {
    (void)snprintf(f->calls[f->ncalls].key, sizeof(f->calls->key), "%s%s%s", ns ? ns : "", ns ? "/" : "", name);
    f->calls[f->ncalls++].at_ns = mono_ns();
  }
  (void)pthread_cond_broadcast(&f->changed);
  if (streq(name, "hold")) {
    f->held++;
    f->held_at_most = f->held > f->held_at_most ? f->held : f->held_at_most;
    while (!f->release)
      (void)pthread_cond_wait(&f->changed, &f->lock);
    f->held--;
  }
  *requeue_ms = f->requeue_ms;
  f->requeue_ms = 0;
  if (f->failures) {
    f->failures--;
    rc = fail(err, OME_E_CONFLICT, "%s: on purpose", name);
    err->retry_after_ms = f->retry_after_ms;
  }
  f->finished++;
  (void)pthread_cond_broadcast(&f->changed);
  (void)pthread_mutex_unlock(&f->lock);
  return rc;
}

static void start(struct fixture *f, uint32_t workers) {
  const struct kube_queue_config cfg = {.name = "test", .workers = workers, .reconcile = reconcile, .arg = f};
  struct ome_err err = ERR_INIT;

  memset(f, 0, sizeof(*f));
  sync_init(&f->lock, &f->changed);
  assert_int_equal(kube_queue_new(&cfg, &f->queue, &err), OME_OK);
}

static void end(struct fixture *f) {
  kube_queue_free(f->queue);
  (void)pthread_mutex_destroy(&f->lock);
  (void)pthread_cond_destroy(&f->changed);
}

static void release(struct fixture *f) {
  (void)pthread_mutex_lock(&f->lock);
  f->release = true;
  (void)pthread_cond_broadcast(&f->changed);
  (void)pthread_mutex_unlock(&f->lock);
}

/* Sets what the next calls answer. */
static void plan(struct fixture *f, unsigned failures, uint32_t retry_after_ms, uint64_t requeue_ms) {
  (void)pthread_mutex_lock(&f->lock);
  f->failures = failures;
  f->retry_after_ms = retry_after_ms;
  f->requeue_ms = requeue_ms;
  (void)pthread_mutex_unlock(&f->lock);
}

static unsigned calls_of(struct fixture *f, const char *key) {
  unsigned n = 0;

  (void)pthread_mutex_lock(&f->lock);
  for (unsigned i = 0; i < f->ncalls; i++)
    n += streq(f->calls[i].key, key);
  (void)pthread_mutex_unlock(&f->lock);
  return n;
}

/* Milliseconds between the calls I-1 and I. */
static double gap_ms(const struct fixture *f, unsigned i) {
  return (double)(f->calls[i].at_ns - f->calls[i - 1].at_ns) / 1e6;
}

static void expect_gap(const struct fixture *f, unsigned i, double at_least_ms) {
  /* Due times are whole milliseconds. */
  if (gap_ms(f, i) < at_least_ms - 1)
    fail_msg("call %u came after %.1f ms, not %.1f", i, gap_ms(f, i), at_least_ms);
}

static void test_waiting_keys_are_one(void **state) {
  struct fixture f;
  (void)state;

  start(&f, 1);
  kube_queue_add(f.queue, NULL, "hold");
  AWAIT(&f, f.held == 1);
  for (int i = 0; i < 3; i++) {
    kube_queue_add(f.queue, "ns", "a");
    kube_queue_add(f.queue, NULL, "a");
  }
  assert_int_equal(kube_queue_len(f.queue), 3); /* the running one, ns/a and a */
  release(&f);
  AWAIT(&f, f.finished == 3);
  kube_queue_stop(f.queue);
  assert_int_equal(calls_of(&f, "ns/a"), 1);
  assert_int_equal(calls_of(&f, "a"), 1);
  assert_int_equal(kube_queue_len(f.queue), 0);
  end(&f);
}

static void test_a_key_runs_once_at_a_time(void **state) {
  struct fixture f;
  (void)state;

  start(&f, 4);
  kube_queue_add(f.queue, "ns", "hold");
  AWAIT(&f, f.held == 1);
  kube_queue_add(f.queue, "ns", "hold");
  kube_queue_add(f.queue, "ns", "hold");
  /* Others go on meanwhile: three workers are free, and each would take the held key if it were there to take. */
  for (unsigned i = 1; i <= 12; i++) {
    kube_queue_add(f.queue, "ns", "other");
    AWAIT(&f, f.finished == i);
  }
  assert_int_equal(calls_of(&f, "ns/hold"), 1);
  release(&f);
  AWAIT(&f, f.finished == 14); /* what was added while it ran makes one more call */
  kube_queue_stop(f.queue);
  assert_int_equal(calls_of(&f, "ns/hold"), 2);
  assert_int_equal(f.held_at_most, 1);
  end(&f);
}

static void test_requeue_after_success(void **state) {
  struct fixture f;
  (void)state;

  start(&f, 2);
  plan(&f, 0, 0, 40);
  kube_queue_add(f.queue, "ns", "a");
  AWAIT(&f, f.finished == 2);
  kube_queue_stop(f.queue);
  expect_gap(&f, 1, 40);
  assert_int_equal(kube_queue_len(f.queue), 0);
  end(&f);
}

/* NAME waits for MS after a call that went well. */
static void delay(struct fixture *f, const char *name, uint64_t ms) {
  unsigned before = f->finished;

  plan(f, 0, 0, ms);
  kube_queue_add(f->queue, NULL, name);
  AWAIT(f, f->finished == before + 1);
}

static void test_delayed_keys_let_others_by(void **state) {
  struct fixture f;
  (void)state;

  start(&f, 1);
  delay(&f, "late", 60);
  kube_queue_add(f.queue, NULL, "now");
  AWAIT(&f, f.finished == 3);
  assert_string_equal(f.calls[1].key, "now");
  assert_string_equal(f.calls[2].key, "late");
  /* An earlier time wins over a later one. */
  kube_queue_add_after(f.queue, NULL, "late", 3600000);
  kube_queue_add_after(f.queue, NULL, "late", 20);
  kube_queue_add_after(f.queue, NULL, "late", 3600000);
  AWAIT(&f, f.finished == 4);
  end(&f);
}

static void test_backoff_grows_and_resets(void **state) {
  struct fixture f;
  (void)state;

  start(&f, 2);
  plan(&f, 6, 0, 0);
  kube_queue_add(f.queue, "ns", "a");
  AWAIT(&f, f.finished == 7);
  for (unsigned i = 1; i <= 6; i++)
    expect_gap(&f, i, 0.75 * (double)(5u << (i - 1)));
  /* After a success it begins at 5 ms again: without that the four gaps were 320 ms and more each. */
  uint64_t began = mono_ms();
  plan(&f, 4, 0, 0);
  kube_queue_add(f.queue, "ns", "a");
  AWAIT(&f, f.finished == 12);
  assert_in_range(mono_ms() - began, 0, 1500);
  end(&f);
}

static void test_retry_after_is_honoured(void **state) {
  struct fixture f;
  (void)state;

  start(&f, 1);
  plan(&f, 1, 150, 0); /* a first back-off would be 6 ms */
  kube_queue_add(f.queue, "ns", "a");
  AWAIT(&f, f.finished == 2);
  kube_queue_stop(f.queue);
  expect_gap(&f, 1, 150);
  end(&f);
}

/* A change ends the waiting of a key that failed. */
static void test_add_overtakes_backoff(void **state) {
  struct fixture f;
  (void)state;

  start(&f, 1);
  plan(&f, 1, 3600000, 0);
  kube_queue_add(f.queue, "ns", "a");
  AWAIT(&f, f.finished == 1);
  kube_queue_add(f.queue, "ns", "a");
  AWAIT(&f, f.finished == 2);
  end(&f);
}

/* The lowest rank goes first; among equals the one that is due longer; a delay is no way around. */
static void test_lowest_rank_goes_first(void **state) {
  static const char *const expected[] = {"late", "later", "hold", "late", "ns/gone", "a", "b", "c", "kept"};
  struct fixture f;
  (void)state;

  start(&f, 1);
  delay(&f, "late", 3600000);
  delay(&f, "later", 3600000);
  kube_queue_add(f.queue, NULL, "hold");
  AWAIT(&f, f.held == 1);
  kube_queue_add_ranked(f.queue, NULL, "kept", 3);
  kube_queue_add(f.queue, NULL, "a");
  kube_queue_add_ranked(f.queue, NULL, "b", 7);
  kube_queue_add_ranked(f.queue, NULL, "c", 2);
  kube_queue_add_ranked(f.queue, "ns", "gone", -1);
  kube_queue_add_ranked(f.queue, NULL, "late", -2); /* it waits already */
  kube_queue_add_ranked(f.queue, NULL, "b", 1);     /* the last word counts */
  kube_queue_add(f.queue, "ns", "gone");            /* and silence changes nothing */
  kube_queue_add(f.queue, NULL, "kept");
  release(&f);
  AWAIT(&f, f.finished == ARRAY_LEN(expected));
  for (unsigned i = 0; i < ARRAY_LEN(expected); i++)
    assert_string_equal(f.calls[i].key, expected[i]);
  kube_queue_stop(f.queue);
  assert_int_equal(kube_queue_len(f.queue), 1); /* "later" */
  end(&f);
}

/* A thousand keys in no order come out in order of their rank. */
static void test_many_in_order(void **state) {
  struct fixture f;
  (void)state;

  start(&f, 1);
  kube_queue_add(f.queue, NULL, "hold");
  AWAIT(&f, f.held == 1);
  for (unsigned i = 0; i < 1000; i++) {
    char name[16];
    (void)snprintf(name, sizeof(name), "%03u", i * 7 % 1000);
    kube_queue_add_ranked(f.queue, NULL, name, 1000 + i * 7 % 1000);
  }
  for (unsigned i = 0; i < 1000; i += 2) { /* every other one is moved forward */
    char name[16];
    (void)snprintf(name, sizeof(name), "%03u", i);
    kube_queue_add_ranked(f.queue, NULL, name, i);
  }
  release(&f);
  AWAIT(&f, f.ncalls == CALLS);
  for (unsigned i = 2; i < CALLS; i++)
    assert_true(strcmp(f.calls[i - 1].key, f.calls[i].key) < 0);
  end(&f);
}

static void test_stop(void **state) {
  struct fixture f;
  (void)state;

  start(&f, 2);
  delay(&f, "never", 3600000);
  kube_queue_add(f.queue, NULL, "hold");
  AWAIT(&f, f.held == 1);
  release(&f);
  kube_queue_stop(f.queue); /* not before the call in progress is over */
  assert_int_equal(f.finished, 2);
  kube_queue_add(f.queue, NULL, "after");
  kube_queue_stop(f.queue);
  assert_int_equal(f.finished, 2);
  assert_int_equal(kube_queue_len(f.queue), 2);
  end(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_waiting_keys_are_one),
      cmocka_unit_test(test_a_key_runs_once_at_a_time),
      cmocka_unit_test(test_requeue_after_success),
      cmocka_unit_test(test_delayed_keys_let_others_by),
      cmocka_unit_test(test_backoff_grows_and_resets),
      cmocka_unit_test(test_retry_after_is_honoured),
      cmocka_unit_test(test_add_overtakes_backoff),
      cmocka_unit_test(test_lowest_rank_goes_first),
      cmocka_unit_test(test_many_in_order),
      cmocka_unit_test(test_stop),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
