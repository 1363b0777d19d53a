/* Metrics: the exposition's bytes, the bound on series, and many threads on one counter. */
#include "../unit.h"

#include "base/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static const double BOUNDS[] = {0.1, 1, 0};

METRIC_COUNTER(requests, "a_requests_total", "Requests.", "verb", "code");
METRIC_GAUGE(depth, "b_depth", "Depth.");
METRIC_HISTOGRAM(latency, "c_latency_seconds", "Latency.", BOUNDS, "queue");
METRIC_COUNTER(names, "d_names_total", "Names.", "name");
METRIC_COUNTER(raced, "e_raced_total", "Raced.", "thread");
METRIC_COUNTER(unseen, "f_unseen_total", "Unseen.");

static char *text(void) {
  struct buf b = BUF_INIT;

  metrics_render(&b);
  return buf_take(&b);
}

static void test_exposition(void **state) {
  (void)state;
  metric_observe(METRIC(&latency, "models"), 0.05);
  metric_observe(METRIC(&latency, "models"), 1); /* a bound is part of its bucket */
  metric_observe(METRIC(&latency, "models"), 7.5);
  metric_set(METRIC(&depth), 12);
  metric_add(METRIC(&depth), -2.5);
  metric_add(METRIC(&requests, "PUT", "200"), 1);
  metric_add(METRIC(&requests, "GET", "404"), 0);
  metric_add(METRIC(&requests, "GET", "200"), 2);
  metric_add(METRIC(&requests, "GET", "200"), 1);
  _cleanup_free_ char *all = text();
  assert_string_equal(all, "# HELP a_requests_total Requests.\n"
                           "# TYPE a_requests_total counter\n"
                           "a_requests_total{verb=\"GET\",code=\"200\"} 3\n"
                           "a_requests_total{verb=\"GET\",code=\"404\"} 0\n"
                           "a_requests_total{verb=\"PUT\",code=\"200\"} 1\n"
                           "# HELP b_depth Depth.\n"
                           "# TYPE b_depth gauge\n"
                           "b_depth 9.5\n"
                           "# HELP c_latency_seconds Latency.\n"
                           "# TYPE c_latency_seconds histogram\n"
                           "c_latency_seconds_bucket{queue=\"models\",le=\"0.1\"} 1\n"
                           "c_latency_seconds_bucket{queue=\"models\",le=\"1\"} 2\n"
                           "c_latency_seconds_bucket{queue=\"models\",le=\"+Inf\"} 3\n"
                           "c_latency_seconds_sum{queue=\"models\"} 8.55\n"
                           "c_latency_seconds_count{queue=\"models\"} 3\n");
  assert_null(strstr(all, "f_unseen"));
  assert_true(metric_value(METRIC(&unseen)) == 0);
}

static void test_values(void **state) {
  (void)state;
  struct metric *m = METRIC(&names, "a\"b\\c\nd\xff");
  metric_add(m, 1);
  assert_ptr_equal(m, METRIC(&names, "a\"b\\c\nd\xff"));
  assert_ptr_not_equal(METRIC(&requests, "ab", "c"), METRIC(&requests, "a", "bc"));
  assert_ptr_equal(METRIC(&requests, "ab"), METRIC(&requests, "ab", NULL)); /* a missing value is empty */
  _cleanup_free_ char *all = text();
  assert_non_null(strstr(all, "d_names_total{name=\"a\\\"b\\\\c\\nd?\"} 1\n"));
  char longer[400];
  memset(longer, 'x', sizeof(longer) - 1);
  longer[sizeof(longer) - 1] = '\0';
  struct metric *cut = METRIC(&names, longer);
  longer[METRIC_VALUE_MAX] = '\0';
  assert_ptr_equal(METRIC(&names, longer), cut);
  longer[METRIC_VALUE_MAX - 1] = '\0';
  assert_ptr_not_equal(METRIC(&names, longer), cut);
  metric_set(METRIC(&depth), NAN);
  _cleanup_free_ char *nan = text();
  assert_non_null(strstr(nan, "b_depth NaN\n"));
}

/* However many names come, the family stays bounded and nothing is lost. */
static void test_bound(void **state) {
  (void)state;
  size_t lines = 0;
  for (int i = 0; i < 5000; i++) {
    char name[32];
    (void)snprintf(name, sizeof(name), "name-%d", i);
    metric_add(METRIC(&names, name), 1);
  }
  _cleanup_free_ char *all = text();
  for (const char *p = all; (p = strstr(p, "\nd_names_total{")); p++)
    lines++;
  assert_int_equal(lines, METRIC_SERIES_MAX + 1);
  /* Three are of the test before. */
  assert_true(metric_value(METRIC(&names, "other")) == 5000 - (METRIC_SERIES_MAX - 3));
}

static void *race(void *arg) {
  for (int i = 0; i < 20000; i++) {
    metric_add(METRIC(&raced, "all"), 1);
    metric_observe(METRIC(&latency, "raced"), 0.25);
    if (i % 1000 == 0) {
      metric_add(METRIC(&raced, arg), 1);
      free(text());
    }
  }
  return NULL;
}

static void test_threads(void **state) {
  (void)state;
  static const char *const own[] = {"one", "two", "three", "four"};
  pthread_t threads[4];

  for (size_t i = 0; i < 4; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, race, (void *)(uintptr_t)own[i]), 0);
  for (size_t i = 0; i < 4; i++)
    assert_int_equal(pthread_join(threads[i], NULL), 0);
  assert_true(metric_value(METRIC(&raced, "all")) == 80000);
  assert_true(metric_value(METRIC(&latency, "raced")) == 80000);
  for (size_t i = 0; i < 4; i++)
    assert_true(metric_value(METRIC(&raced, own[i])) == 20);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_exposition),
      cmocka_unit_test(test_values),
      cmocka_unit_test(test_bound),
      cmocka_unit_test(test_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
