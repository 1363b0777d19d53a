/* The token bucket, on a clock of its own. */
#include "../unit.h"

#include "kube/flow.h"

#define MS 1000000u

static void holds_a_burst_and_fills_up_again(void **state) {
  struct flow f;
  (void)state;

  flow_init(&f, 10, 3, 0);
  for (int i = 0; i < 3; i++)
    assert_int_equal(flow_take(&f, 0), 0);
  /* Each one that comes is behind those that wait. */
  assert_in_range(flow_take(&f, 0), 100 * MS - 1, 100 * MS);
  assert_in_range(flow_take(&f, 0), 200 * MS - 1, 200 * MS);
  assert_in_range(flow_take(&f, 100 * MS), 200 * MS - 1, 200 * MS);
  /* A pause fills the bucket, and no more than that. */
  for (int i = 0; i < 3; i++)
    assert_int_equal(flow_take(&f, 3600000ull * MS), 0);
  assert_true(flow_take(&f, 3600000ull * MS) > 0);
}

static void survives_odd_numbers(void **state) {
  struct flow f;
  (void)state;

  flow_init(&f, 0, 0, 0); /* no limit */
  for (int i = 0; i < 1000; i++)
    assert_int_equal(flow_take(&f, 0), 0);
  flow_init(&f, 1, 0, 5 * MS); /* a bucket without room holds one */
  assert_int_equal(flow_take(&f, 5 * MS), 0);
  assert_in_range(flow_take(&f, 0), 1000u * MS - 1, 1000u * MS); /* a clock that was read earlier */
}

static void lets_deletions_and_leases_by(void **state) {
  (void)state;

  assert_true(flow_is_exempt("DELETE", "/api/v1/namespaces/a/services/b"));
  assert_true(flow_is_exempt("PUT", "/apis/coordination.k8s.io/v1/namespaces/ome/leases/l"));
  assert_false(flow_is_exempt("PUT", "/apis/apps/v1/namespaces/leases/deployments/a"));
  assert_false(flow_is_exempt("GET", "/api/v1/pods"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(holds_a_burst_and_fills_up_again),
      cmocka_unit_test(survives_odd_numbers),
      cmocka_unit_test(lets_deletions_and_leases_by),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
