#include "../unit.h"

#include "base/cleanup.h"
#include "bench/histogram.h"
#include "bench/random.h"

#include <math.h>
#include <stdlib.h>

enum { VALUES = 20000 };

static int ascending(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

  return x < y ? -1 : x > y;
}

static void percentiles_are_those_of_the_sorted_values(void **state) {
  static const double percents[] = {0, 1, 25, 50, 75, 90, 95, 99, 99.9, 100};
  _cleanup_free_ uint64_t *values = calloc(VALUES, sizeof(*values));
  struct histogram h = {0};
  struct random r = {3};

  (void)state;
  for (int i = 0; i < VALUES; i++) { /* from nanoseconds to minutes */
    values[i] = (uint64_t)exp(random_unit(&r) * 25);
    histogram_add(&h, values[i]);
  }
  qsort(values, VALUES, sizeof(*values), ascending);
  for (size_t i = 0; i < ARRAY_LEN(percents); i++) {
    size_t rank = (size_t)ceil(percents[i] / 100 * VALUES - 1e-9);
    double exact = (double)values[rank ? rank - 1 : 0];
    assert_true(fabs((double)histogram_percentile(&h, percents[i]) - exact) <= exact / 2048 + 1);
  }
  assert_int_equal(h.least, values[0]);
  assert_int_equal(histogram_percentile(&h, 100), values[VALUES - 1]);
  histogram_fini(&h);
}

static void mean_and_spread_are_exact(void **state) {
  struct histogram a = {0}, b = {0};

  (void)state;
  for (uint64_t v = 1; v <= 100; v++)
    histogram_add(v <= 30 ? &a : &b, v * 1000003);
  histogram_merge(&a, &b);
  assert_int_equal(a.count, 100);
  assert_true(fabs(a.mean / 1000003 - 50.5) < 1e-9);
  assert_true(fabs(histogram_stddev(&a) / 1000003 - 29.011491975882016) < 1e-9);
  histogram_fini(&a);
  histogram_fini(&b);
}

static void the_ends_of_the_range_hold(void **state) {
  struct histogram h = {0};

  (void)state;
  assert_int_equal(histogram_percentile(&h, 50), 0);
  histogram_add(&h, UINT64_MAX);
  histogram_add(&h, 0);
  assert_int_equal(histogram_percentile(&h, 100), ((uint64_t)1 << 43) - 1);
  assert_int_equal(histogram_percentile(&h, 50), 0);
  histogram_fini(&h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(percentiles_are_those_of_the_sorted_values),
      cmocka_unit_test(mean_and_spread_are_exact),
      cmocka_unit_test(the_ends_of_the_range_hold),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
