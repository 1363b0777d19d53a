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
  struct pace_growth g = {.want = 4, .max = 64};

  pace_measure(&g, 0, 1000);
  pace_measure(&g, 1000000, 1500);
  assert_int_equal(g.want, 8); /* the first measurement is the one to beat */
  pace_measure(&g, 2300000, 2000);
  assert_int_equal(g.want, 16);
  pace_measure(&g, 3500000, 2500); /* twice as many, and no more came of it */
  assert_int_equal(g.want, 16);
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
      cmocka_unit_test(test_one_refusal_slows_all), cmocka_unit_test(test_recovers_step_by_step),
      cmocka_unit_test(test_reads_hints),           cmocka_unit_test(test_grows_while_it_pays),
      cmocka_unit_test(test_bucket_holds_the_rate),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
