#include "../unit.h"

#include "bench/arrival.h"

#include <math.h>

/* How many come before SECONDS. */
static uint64_t count_until(struct arrival *a, double seconds) {
  uint64_t at = 0, last = 0, n = 0;

  while (arrival_next(a, &at) && (double)at < seconds * 1e9) {
    assert_true(at >= last);
    last = at;
    n++;
  }
  return n;
}

static void constant_arrivals_are_evenly_spaced(void **state) {
  struct arrival a = {.kind = ARRIVAL_CONSTANT, .rate = 4};
  uint64_t at;

  (void)state;
  for (uint64_t i = 0; i < 100; i++) {
    assert_true(arrival_next(&a, &at));
    assert_int_equal(at, i * 250000000u);
  }
}

static void poisson_arrivals_have_the_rate_and_the_spread(void **state) {
  struct arrival a = {.kind = ARRIVAL_POISSON, .rate = 50, .random = {11}};
  uint64_t at = 0, last = 0;
  double sum = 0, squares = 0;

  (void)state;
  for (int i = 0; i < 20000; i++) {
    assert_true(arrival_next(&a, &at));
    double gap = (double)(at - last) / 1e9;
    sum += gap;
    squares += gap * gap;
    last = at;
  }
  double mean = sum / 20000;
  assert_true(fabs(mean - 0.02) < 0.0006);
  assert_true(fabs(sqrt(squares / 20000 - mean * mean) - 0.02) < 0.0006); /* exponential: deviation is mean */
}

static void a_ramp_reaches_its_end(void **state) {
  struct arrival up = {.kind = ARRIVAL_RAMP, .rate = 0, .rate_end = 20, .seconds = 10};
  struct arrival down = {.kind = ARRIVAL_RAMP, .rate = 20, .rate_end = 10, .seconds = 10};
  struct arrival half = up, level = {.kind = ARRIVAL_RAMP, .rate = 5, .rate_end = 5, .seconds = 10};

  (void)state;
  assert_in_range(count_until(&up, 10), 100, 101);
  assert_in_range(count_until(&half, 5), 25, 26); /* a quarter of them in the first half */
  assert_in_range(count_until(&down, 10), 150, 151);
  assert_in_range(count_until(&level, 20), 100, 101); /* the last rate is kept */
}

static void replays_are_read(void **state) {
  struct arrival_offsets o = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  assert_int_equal(arrival_read("f", "# seconds\n0\n0.5\r\n\n1.25\n", &o, &err), OME_OK);
  struct arrival a = {.kind = ARRIVAL_REPLAY, .offsets = o.ns.items, .noffsets = o.ns.len};
  assert_int_equal(count_until(&a, 100), 3);
  assert_int_equal(o.ns.items[2], 1250000000u);
  VEC_FREE(&o.ns);
  assert_int_equal(arrival_read("f", "{\"timestamp\": 1700000000}\n{\"timestamp\": 1700000002.5}\n", &o, &err), OME_OK);
  assert_int_equal(o.ns.items[0], 0);
  assert_int_equal(o.ns.items[1], 2500000000u);
  VEC_FREE(&o.ns);
}

static void bad_replays_name_the_line(void **state) {
  static const char *const bad[] = {"0\nsoon\n", "0\n-1\n", "2\n1\n", "0\n1e99\n", "0\n{\"time\":1}\n", "0\n1 2\n"};
  struct ome_err err = ERR_INIT;

  (void)state;
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    struct arrival_offsets o = {0};
    assert_int_equal(arrival_read("file", bad[i], &o, &err), OME_E_INVALID);
    assert_non_null(strstr(err.msg, "file:2: "));
    VEC_FREE(&o.ns);
  }
  struct arrival_offsets none = {0};
  assert_int_equal(arrival_read("file", "\n# only this\n", &none, &err), OME_E_INVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(constant_arrivals_are_evenly_spaced),
      cmocka_unit_test(poisson_arrivals_have_the_rate_and_the_spread),
      cmocka_unit_test(a_ramp_reaches_its_end),
      cmocka_unit_test(replays_are_read),
      cmocka_unit_test(bad_replays_name_the_line),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
