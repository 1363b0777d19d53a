#include "../unit.h"

#include "bench/stability.h"

#include <math.h>

static bool near(double a, double b) {
  return fabs(a - b) < 1e-6 * (1 + fabs(b));
}

/* Expected by another route: Simpson's rule over Student's density. */
static void welch_is_as_the_textbooks_have_it(void **state) {
  const double a[] = {19.8, 20.4, 19.6, 17.8, 18.5, 18.9, 18.3, 18.9, 19.5, 22.0};
  const double b[] = {28.2, 26.6, 20.1, 23.3, 25.2, 22.1, 17.7, 27.6, 20.6, 13.7};
  struct sample_facts x = sample_of(a, 10), y = sample_of(b, 10);

  (void)state;
  assert_true(near(x.mean, 19.37));
  assert_true(near(sample_welch(&x, &y), 0.064279997725)); /* t = -2.07, 10.21 degrees of freedom */
  assert_true(near(sample_welch(&x, &x), 1));
}

static void margins_follow_students_t(void **state) {
  const double v[] = {1, 2, 3, 4, 5};
  struct sample_facts s = sample_of(v, 5);

  (void)state;
  assert_true(near(sample_margin(&s), 2.7764451051977987 * s.stddev / sqrt(5)));
  s.n = 1;
  assert_true(isinf(sample_margin(&s)));
}

static void equal_constants_are_equal_and_others_are_not(void **state) {
  struct sample_facts a = {5, 0, 3}, b = {6, 0, 3};

  (void)state;
  assert_true(near(sample_welch(&a, &a), 1));
  assert_true(sample_welch(&a, &b) < 1e-9);
}

static void stable_is_known_after_three_runs(void **state) {
  struct stability s = {0};
  struct run r = {.completed = 100, .output_tokens = 1000};

  (void)state;
  for (int i = 0; i < 3; i++) {
    assert_false(stability_is_known(&s, 5));
    r.seconds = 10 + 0.05 * i;
    stability_add(&s, &r);
  }
  assert_true(stability_is_known(&s, 5));
  assert_false(stability_is_known(&s, 0.1));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(welch_is_as_the_textbooks_have_it),
      cmocka_unit_test(margins_follow_students_t),
      cmocka_unit_test(equal_constants_are_equal_and_others_are_not),
      cmocka_unit_test(stable_is_known_after_three_runs),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
