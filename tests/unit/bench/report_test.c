#include "../unit.h"

#include "base/str.h"
#include "bench/chart.h"
#include "bench/report.h"

#include <math.h>

#define MS 1000000u

/* COUNT requests of which every one takes about E2E ms, spread by a few. */
static struct json_object *report_of(uint64_t e2e_ms, unsigned count, unsigned failed) {
  struct json_object *report = json_object_new_object(), *runs = json_object_new_array();
  struct run r = {.scenario = "D(1,<b>)", .concurrency = 4, .seconds = 2};

  for (unsigned i = 0; i < count + failed; i++) {
    struct run_outcome o = {.intended_ns = 1 * MS,
                            .first_ns = 11 * MS + i % 7 * MS,
                            .last_ns = (e2e_ms + i % 5) * MS,
                            .end_ns = (e2e_ms + 1 + i % 5) * MS,
                            .input_tokens = 10,
                            .output_tokens = 5,
                            .status = 200,
                            .error = i < count ? RUN_OK : RUN_SERVER};
    run_tally(&r, &o);
    run_tally_tokens(&r, i * 100 * MS, 5, 4);
  }
  (void)json_object_array_add(runs, report_run(&r));
  (void)json_set_str(report, "schema", REPORT_SCHEMA);
  (void)json_set_str(report, "config.model", "<script>alert(1)</script>|x");
  (void)json_set_str(report, "config.metadata.engine", "a&b");
  (void)json_set(report, "runs", runs);
  run_fini(&r);
  return report;
}

static void genai_files_have_its_names_and_figures(void **state) {
  struct run r = {.scenario = "N(480,240)/(300,150)", .concurrency = 8, .seconds = 59.2};
  struct run_outcome good = {.intended_ns = 1 * MS,
                             .first_ns = 101 * MS,
                             .last_ns = 501 * MS,
                             .end_ns = 501 * MS,
                             .input_tokens = 100,
                             .output_tokens = 5,
                             .status = 200};
  struct run_outcome bad = {.intended_ns = 1 * MS, .end_ns = 2 * MS, .status = 429, .error = RUN_RATE_LIMITED};
  struct run_outcome lost = {.intended_ns = 1 * MS, .end_ns = 2 * MS, .error = RUN_TIMEOUT};

  (void)state;
  run_tally(&r, &good);
  run_tally(&r, &bad);
  run_tally(&r, &lost);
  _cleanup_free_ char *name = report_genai_name(&r, TASK_CHAT);
  assert_string_equal(name, "N480_240_300_150_text-to-text_concurrency_8_time_60s.json");
  _cleanup_json_ struct json_object *o = report_genai_run(&r);
  struct json_object *stats = json_at(o, "aggregated_metrics.stats");
  assert_true(fabs(report_number(stats, "ttft.mean") - 0.1) < 1e-9);
  assert_true(fabs(report_number(stats, "tpot.p50") - 0.1) < 1e-9);
  assert_true(fabs(report_number(stats, "output_throughput.max") - 10) < 1e-9);
  assert_true(fabs(report_number(stats, "input_throughput.max") - 1000) < 1e-6);
  assert_int_equal(json_i64(o, "aggregated_metrics.error_codes_frequency.429", 0), 1);
  assert_int_equal(json_i64(o, "aggregated_metrics.error_codes_frequency.408", 0), 1);
  struct json_object *each = json_get(o, "individual_request_metrics");
  assert_int_equal(json_len(each), 3);
  assert_null(json_get(json_index(each, 0), "error_code"));
  assert_int_equal(json_i64(json_index(each, 1), "error_code", 0), 429);
  run_fini(&r);
}

static void pages_are_whole_and_escaped(void **state) {
  _cleanup_json_ struct json_object *report = report_of(100, 20, 2);
  _cleanup_buf_ struct buf html = BUF_INIT, markdown = BUF_INIT;

  (void)state;
  report_html(report, &html);
  report_markdown(report, &markdown);
  assert_null(strstr(buf_str(&html), "<script"));
  assert_null(strstr(buf_str(&html), "src="));
  assert_null(strstr(buf_str(&html), "href="));
  assert_non_null(strstr(buf_str(&html), "&lt;script&gt;"));
  assert_non_null(strstr(buf_str(&html), "a&amp;b"));
  assert_non_null(strstr(buf_str(&html), "<polyline"));
  assert_null(strstr(buf_str(&html), "nan"));
  assert_non_null(strstr(buf_str(&markdown), "\\|x"));
  assert_non_null(strstr(buf_str(&markdown), "2 server"));
}

static void a_report_without_runs_is_still_one(void **state) {
  _cleanup_json_ struct json_object *report = json_object_new_object();
  _cleanup_buf_ struct buf html = BUF_INIT, markdown = BUF_INIT;

  (void)state;
  (void)json_set(report, "runs", json_object_new_array());
  report_html(report, &html);
  report_markdown(report, &markdown);
  assert_true(has_suffix(buf_str(&html), "</html>\n"));
}

static const char *verdict_of(struct json_object *result, const char *figure) {
  return json_str(json_find(json_get(result, "figures"), "figure", figure), "verdict", "");
}

static void differences_beyond_noise_are_told(void **state) {
  _cleanup_json_ struct json_object *a = report_of(100, 200, 0);
  _cleanup_json_ struct json_object *slow = report_of(130, 200, 0);
  _cleanup_json_ struct json_object *broken = report_of(100, 150, 50);
  _cleanup_json_ struct json_object *same = report_compare(a, a, 3);
  _cleanup_json_ struct json_object *worse = report_compare(a, slow, 3);
  _cleanup_json_ struct json_object *better = report_compare(slow, a, 3);
  _cleanup_json_ struct json_object *careless = report_compare(a, slow, 50);
  _cleanup_json_ struct json_object *failing = report_compare(a, broken, 3);

  (void)state;
  assert_int_equal(json_i64(same, "worse", -1), 0);
  assert_int_equal(json_i64(same, "better", -1), 0);
  assert_string_equal(verdict_of(worse, "e2eMs"), "worse");
  assert_string_equal(verdict_of(worse, "ttftMs"), "same");
  assert_string_equal(verdict_of(better, "e2eMs"), "better");
  assert_int_equal(json_i64(careless, "worse", -1), 0);
  assert_string_equal(verdict_of(failing, "failedPercent"), "worse");
}

static void few_requests_prove_nothing(void **state) {
  _cleanup_json_ struct json_object *a = report_of(100, 1, 0);
  _cleanup_json_ struct json_object *b = report_of(130, 1, 0);
  _cleanup_json_ struct json_object *result = report_compare(a, b, 3);

  (void)state;
  assert_int_equal(json_i64(result, "compared", 0), 1);
  assert_int_equal(json_i64(result, "worse", -1), 0);
}

static void repeats_decide_where_there_are_any(void **state) {
  _cleanup_json_ struct json_object *a = report_of(100, 50, 0);
  _cleanup_json_ struct json_object *b = report_of(100, 50, 0);

  (void)state;
  for (int i = 0; i < 2; i++) {
    struct json_object *repeats = json_object_new_array();
    for (int j = 0; j < 4; j++) {
      struct json_object *o = json_object_new_object();
      (void)json_set(o, "outputTokensPerSecond", json_object_new_double((i ? 80 : 100) + j));
      (void)json_set(o, "ttftMs", json_object_new_double(10 + j));
      (void)json_object_array_add(repeats, o);
    }
    (void)json_set(json_index(json_get(i ? b : a, "runs"), 0), "repeats", repeats);
  }
  _cleanup_json_ struct json_object *result = report_compare(a, b, 3);
  assert_string_equal(verdict_of(result, "outputTokensPerSecond"), "worse");
  assert_string_equal(verdict_of(result, "ttftMs"), "same");
}

static void charts_bear_any_numbers(void **state) {
  static const double values[] = {0, 1e-9, 1, 1e12, NAN, INFINITY};
  struct chart c;
  _cleanup_buf_ struct buf out = BUF_INIT;

  (void)state;
  for (size_t i = 0; i < 6; i++) {
    chart_init(&c, "t", "x", "y");
    chart_line(&c, 0, false, "l");
    chart_point(&c, values[i], values[5 - i], "");
    chart_write(&c, &out);
  }
  chart_init(&c, "t", "x", "y");
  for (unsigned i = 0; i < CHART_LINES + 5; i++) {
    chart_line(&c, i, true, "l%u", i);
    chart_point(&c, 1, 1, "");
  }
  assert_int_equal(c.npoints, CHART_LINES);
  chart_write(&c, &out);
  assert_true(buf_ok(&out));
  assert_null(strstr(buf_str(&out), "nan"));
  assert_null(strstr(buf_str(&out), "inf"));
}

static void margins_are_said_with_two_digits_that_count(void **state) {
  _cleanup_json_ struct json_object *run = json_object_new_object();
  char text[200];

  (void)state;
  assert_false(report_confidence(run, text));
  (void)json_set(run, "confidence.outputTokensPerSecond.mean", json_object_new_double(1337.26));
  (void)json_set(run, "confidence.outputTokensPerSecond.margin", json_object_new_double(219.8));
  (void)json_set(run, "confidence.ttftMs.mean", json_object_new_double(46.2983));
  (void)json_set(run, "confidence.ttftMs.margin", json_object_new_double(0.7123));
  assert_true(report_confidence(run, text));
  assert_string_equal(text, "1337\u00a0±\u00a0220 tokens/s, TTFT 46.30\u00a0±\u00a00.71 ms");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(margins_are_said_with_two_digits_that_count),
      cmocka_unit_test(genai_files_have_its_names_and_figures),
      cmocka_unit_test(pages_are_whole_and_escaped),
      cmocka_unit_test(a_report_without_runs_is_still_one),
      cmocka_unit_test(differences_beyond_noise_are_told),
      cmocka_unit_test(few_requests_prove_nothing),
      cmocka_unit_test(repeats_decide_where_there_are_any),
      cmocka_unit_test(charts_bear_any_numbers),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
