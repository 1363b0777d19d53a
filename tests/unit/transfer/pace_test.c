/* When requests may start, how many at a time, and how fast bytes pass. */
#include "../unit.h"

#include "base/cleanup.h"
#include "transfer/pace.h"

static void test_one_refusal_slows_all(UNUSED void **state) {
  struct pace_host h = {.limit = 8, .flying = 8};

  pace_too_many(&h, 5000);
  assert_int_equal(h.limit, 4);
  pace_too_many(&h, 4000); /* the same storm */
  assert_int_equal(h.limit, 4);
  assert_int_equal(h.held_until_ms, 5000);
  h.flying = 0;
  assert_false(pace_may_start(&h, 4999));
  assert_true(pace_may_start(&h, 5000));
  h.flying = 4;
  assert_false(pace_may_start(&h, 6000));
}

static void test_recovers_step_by_step(UNUSED void **state) {
  struct pace_host h = {.limit = 2};

  pace_good(&h, 4);
  assert_int_equal(h.limit, 2);
  pace_good(&h, 4);
  assert_int_equal(h.limit, 3);
  for (int i = 0; i < 20; i++)
    pace_good(&h, 4);
  assert_int_equal(h.limit, 4);
}

static void test_reads_hints(UNUSED void **state) {
  assert_int_equal(pace_hint_ms("content-length: 5\n", 0), 0);
  assert_int_equal(pace_hint_ms("ratelimit: \"resolvers\";r=0;t=12\n", 0), 12000);
  assert_int_equal(pace_hint_ms("ratelimit: \"resolvers\";r=3;t=12\n", 0), 0);
  assert_int_equal(pace_hint_ms("x-ratelimit-remaining: 0\nx-ratelimit-reset: 1700000030\n", 1700000000), 30000);
  assert_int_equal(pace_hint_ms("x-ratelimit-remaining: 0\nx-ratelimit-reset: 1700000030\n", 1800000000), 0);
  assert_int_equal(pace_hint_ms("ratelimit-remaining: 0\nratelimit-reset: 99999\n", 0), 300000);
  assert_int_equal(pace_hint_ms("ratelimit-remaining: many\nratelimit-reset: 7\n", 0), 0);
}

static void test_grows_while_it_pays(UNUSED void **state) {
  static const struct pace_sample idle[] = {
      {1000, 0, 0}, {1500, 1000000, 10}, {2000, 2300000, 20}, {2500, 3500000, 30}};
  struct pace_growth g = {.want = 4, .max = 64, .processors = 2};

  pace_measure(&g, &idle[0]);
  pace_measure(&g, &idle[1]);
  assert_int_equal(g.want, 8); /* the first measurement is the one to beat */
  pace_measure(&g, &idle[2]);
  assert_int_equal(g.want, 16);
  pace_measure(&g, &idle[3]); /* twice as many, and no more came of it */
  assert_int_equal(g.want, 16);
}

/* Each row is one measurement on two processors of which it takes CPU_MS in 500 ms. */
static void test_shrinks_where_processors_are_the_bound(UNUSED void **state) {
  static const struct {
    uint64_t work, cpu_ms;
    uint32_t want;
  } rows[] = {
      {1000000, 800, 2}, /* bound: half of it is tried */
      {1200000, 750, 1}, /* more came of it */
      {1100000, 760, 2}, /* less did: back, for good */
      {1200000, 900, 2}, /* bound still, but settled */
      {1200000, 300, 2}, /* not bound any longer, and no more than before */
      {1900000, 300, 4}, /* the line was the bound after all */
  };
  struct pace_growth g = {.want = 4, .max = 64, .processors = 2};
  struct pace_sample now = {.now_ms = 1000};

  pace_measure(&g, &now);
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    now.now_ms += 500;
    now.work += rows[i].work;
    now.cpu_ms += rows[i].cpu_ms;
    pace_measure(&g, &now);
    assert_int_equal(g.want, rows[i].want);
  }
}

/* Where the processors are the bound a tenth of a second says enough; a line is looked at for longer. */
static void test_soon_sees_that_processors_are_the_bound(UNUSED void **state) {
  static const struct pace_sample start = {1000, 0, 0}, busy = {1100, 100000000, 190}, idle = {1100, 100000000, 20},
                                  later = {1400, 400000000, 80};
  struct pace_growth g = {.want = 4, .max = 64, .processors = 2}, other = g;

  pace_measure(&g, &start);
  pace_measure(&g, &busy);
  assert_int_equal(g.want, 2);
  pace_measure(&other, &start);
  pace_measure(&other, &idle);
  assert_int_equal(other.want, 4);
  pace_measure(&other, &later);
  assert_int_equal(other.want, 8);
}

static void test_bucket_holds_the_rate(UNUSED void **state) {
  struct pace_bucket b = PACE_BUCKET_INIT;
  uint64_t now = 10000000000u;

  assert_int_equal(pace_take(&b, 1000000, now), now); /* no bound */
  b.rate = 1000000;
  uint64_t until = 0;
  for (int i = 0; i < 10; i++)
    until = pace_take(&b, 100000, now);
  assert_in_range(until, now + 900000000u, now + 1000000000u); /* a megabyte takes a second */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_one_refusal_slows_all),
      cmocka_unit_test(test_recovers_step_by_step),
      cmocka_unit_test(test_soon_sees_that_processors_are_the_bound),
      cmocka_unit_test(test_shrinks_where_processors_are_the_bound),
      cmocka_unit_test(test_reads_hints),
      cmocka_unit_test(test_grows_while_it_pays),
      cmocka_unit_test(test_bucket_holds_the_rate),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
