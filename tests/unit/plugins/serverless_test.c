/* What deployment "serverless" makes of a component and of a Knative Service's status.  The plugin is compiled in. */
#include "../unit.h"

#define DEPLOYMENT_SERVICE "{\"status\":{\"components\":{\"engine\":{\"latestRolledoutRevision\":\"r1\"}}}}"
#include "deployment.h"

#define COMPONENT                                                                                                      \
  "{\"name\":\"s-engine\",\"app\":\"s-engine\",\"namespace\":\"n\",\"component\":\"engine\",\"podSpec\":{\"containers\":[{\"name\":\"c\"}]}}"

static const struct {
  const char *observed;
  int32_t phase;
  const char *reason;
  uint32_t ready, desired;
  const char *message;
} cases[] = {
    {"[null]", OME_PHASE_PENDING, "Initializing", 0, 0, "does not exist yet"},
    {"[{}]", OME_PHASE_PROGRESSING, "Initializing", 0, 0, "not made it ready"},
    {"[{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"Unknown\",\"reason\":\"Deploying\",\"message\":"
     "\"m\"}]}}]",
     OME_PHASE_PROGRESSING, "Deploying", 0, 0, "m"},
    {"[{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\",\"reason\":\"RevisionFailed\","
     "\"message\":\"image\"}]}}]",
     OME_PHASE_FAILED, "RevisionFailed", 0, 0, "image"},
    {"[{\"status\":{\"url\":\"http://x\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}]", OME_PHASE_READY,
     "", 0, 0, ""},
};

static void judges(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
    struct run r = observe(COMPONENT, cases[i].observed);
    if (r.status.phase != cases[i].phase || strcmp(r.status.reason, cases[i].reason) != 0 ||
        r.status.ready != cases[i].ready || r.status.desired != cases[i].desired ||
        !strstr(r.status.message, cases[i].message))
      fail_msg("%zu: phase %d, %s, %u of %u: %s", i, r.status.phase, r.status.reason, r.status.ready, r.status.desired,
               r.status.message);
  }
}

static void takes_the_url_from_knative(void **state) {
  (void)state;
  assert_string_equal(observe(COMPONENT, "[{\"status\":{\"url\":\"http://x\"}}]").status.url, "http://x");
  assert_string_equal(observe(COMPONENT, "[null]").status.url, "http://s-engine.n.svc.cluster.local");
}

static void scales_and_times_out(void **state) {
  struct text t = render("{\"name\":\"s-engine\",\"component\":\"engine\",\"minReplicas\":0,\"maxReplicas\":3,"
                         "\"scaleTarget\":7,\"scaleMetric\":\"rps\",\"timeoutSeconds\":60,\"annotations\":{"
                         "\"serving.knative.dev/rollout-duration\":\"9s\"},\"podSpec\":{\"restartPolicy\":\"Always\","
                         "\"containers\":[{\"name\":\"c\",\"lifecycle\":{}}]}}");

  (void)state;
  assert_int_equal(t.rc, OME_OK);
  static const char *const there[] = {
      "min-scale\":\"0\"",          "max-scale\":\"3\"",     "/target\":\"7\"",
      "/metric\":\"rps\"",          "\"timeoutSeconds\":60", "\"responseStartTimeoutSeconds\":60",
      "kpa.autoscaling.knative.dev"};
  for (size_t i = 0; i < sizeof(there) / sizeof(*there); i++)
    if (!strstr(t.s, there[i]))
      fail_msg("%s is not in %s", there[i], t.s);
  /* What Knative does not know is left out; what it reads on the Service is not on its revisions. */
  assert_null(strstr(t.s, "restartPolicy"));
  assert_null(strstr(t.s, "lifecycle"));
  assert_true(strstr(t.s, "rollout-duration") < strstr(t.s, "\"template\""));
  assert_null(strstr(strstr(t.s, "\"template\""), "rollout-duration"));
}

static void a_canary_shares_with_the_last_one(void **state) {
  struct text t = render("{\"name\":\"s\",\"component\":\"engine\",\"canaryTrafficPercent\":20,\"podSpec\":{}}");

  (void)state;
  assert_non_null(strstr(t.s, "\"percent\":20"));
  assert_non_null(strstr(t.s, "\"percent\":80,\"revisionName\":\"r1\",\"tag\":\"prev\""));
  t = render("{\"name\":\"s\",\"component\":\"decoder\",\"canaryTrafficPercent\":20,\"podSpec\":{}}");
  assert_non_null(strstr(t.s, "\"percent\":100"));
}

static void refuses(void **state) {
  (void)state;
  assert_int_equal(render("{}").rc, OME_E_INVALID);
  assert_int_equal(render("{\"podSpec\":").rc, OME_E_INVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(judges),
      cmocka_unit_test(takes_the_url_from_knative),
      cmocka_unit_test(scales_and_times_out),
      cmocka_unit_test(a_canary_shares_with_the_last_one),
      cmocka_unit_test(refuses),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
