#include "../unit.h"

#include "bench/report.h"

#include <math.h>

#define MS 1000000u

static void latencies_count_from_the_intended_start(void **state) {
  /* Meant to start at 1000 ms, handed to the network at 1400: 10 tokens from 1500 to 1590. */
  const struct run_outcome o = {.start_ns = 500 * MS,
                                .due_ns = 1000 * MS,
                                .intended_ns = 1000 * MS,
                                .sent_ns = 1400 * MS,
                                .connect_ns = 30 * MS,
                                .first_ns = 1500 * MS,
                                .last_ns = 1590 * MS,
                                .end_ns = 1600 * MS,
                                .input_tokens = 7,
                                .output_tokens = 10,
                                .status = 200,
                                .source = TOKENS_USAGE};
  struct run r = {.seconds = 2};

  (void)state;
  run_tally(&r, &o);
  assert_int_equal(r.ttft.least, 500 * MS);
  assert_int_equal(r.e2e.least, 600 * MS);
  assert_int_equal(r.tpot.least, 10 * MS);
  assert_int_equal(r.late.least, 400 * MS);
  assert_int_equal(r.connect.least, 30 * MS);
  _cleanup_json_ struct json_object *figures = report_run(&r);
  assert_true(fabs(json_object_get_double(json_at(figures, "outputTokensPerSecond")) - 5) < 1e-9);
  assert_true(fabs(json_object_get_double(json_at(figures, "ttftMs.p99")) - 500) < 0.25);
  assert_string_equal(json_str(figures, "tokenSource", ""), "usage");
  run_fini(&r);
}

static void failures_are_counted_by_class_and_not_measured(void **state) {
  struct run_outcome o = {.intended_ns = 1, .end_ns = 5 * MS};
  struct run r = {.seconds = 1};

  (void)state;
  for (int e = RUN_OK; e < RUN_ERRORS; e++)
    for (int i = 0; i <= e; i++) {
      o.error = (enum run_error)e;
      run_tally(&r, &o);
    }
  o.cut = true;
  run_tally(&r, &o);
  assert_int_equal(r.completed, 1);
  assert_int_equal(r.cut, 1);
  assert_int_equal(r.e2e.count, 1);
  assert_true(r.partial);
  _cleanup_json_ struct json_object *figures = report_run(&r);
  assert_int_equal(json_i64(figures, "errors.connection", 0), RUN_CONNECTION + 1);
  assert_int_equal(json_i64(figures, "errors.server", 0), RUN_SERVER + 1);
  assert_int_equal(json_object_object_length(json_get(figures, "errors")), RUN_ERRORS - 1);
  run_fini(&r);
}

static void a_long_run_keeps_a_short_timeline(void **state) {
  struct run r = {0};
  uint64_t tokens = 0;

  (void)state;
  for (uint64_t s = 0; s < 7200; s++)
    run_tally_tokens(&r, s * 1000 * MS, 3, 5);
  assert_true(r.nslots <= RUN_MAX_SLOTS);
  for (uint32_t i = 0; i < r.nslots; i++)
    tokens += r.slots[i].tokens;
  assert_int_equal(tokens, 3 * 7200);
  assert_true(r.slot_seconds * r.nslots >= 7200);
}

static void merged_runs_add_up(void **state) {
  const struct run_outcome o = {.intended_ns = 1, .end_ns = 5 * MS, .output_tokens = 4};
  struct run a = {.seconds = 1}, b = {.seconds = 3};

  (void)state;
  run_tally(&a, &o);
  run_tally(&b, &o);
  run_tally(&b, &o);
  run_merge(&a, &b);
  assert_int_equal(a.completed, 3);
  assert_int_equal(a.output_tokens, 12);
  assert_int_equal(a.e2e.count, 3);
  assert_int_equal(a.records.len, 3);
  assert_true(fabs(a.seconds - 4) < 1e-9);
  run_fini(&a);
  run_fini(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(latencies_count_from_the_intended_start),
      cmocka_unit_test(failures_are_counted_by_class_and_not_measured),
      cmocka_unit_test(a_long_run_keeps_a_short_timeline),
      cmocka_unit_test(merged_runs_add_up),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
