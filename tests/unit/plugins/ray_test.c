/* What deployment "ray" makes of a component and of its RayClusters' status.  The plugin is compiled in. */
#include "../unit.h"

#include "deployment.h"

#define COMPONENT                                                                                                      \
  "{\"name\":\"s-engine\",\"app\":\"s-engine\",\"namespace\":\"n\",\"replicas\":2,\"component\":\"engine\",\"podSpec\":{\"containers\":[{\"name\":\"c\"}]}}"

static const struct {
  const char *observed;
  int32_t phase;
  const char *reason;
  uint32_t ready, desired;
  const char *message;
} cases[] = {
    {"[null,null,null]", OME_PHASE_PROGRESSING, "Initializing", 0, 2, "0 of 2"},
    {"[{\"status\":{\"state\":\"failed\",\"reason\":\"no quota\"}}]", OME_PHASE_PROGRESSING, "Initializing", 0, 2,
     "0 of 2 Ray clusters are ready: no quota"},
    {"[{\"status\":{\"state\":\"ready\",\"conditions\":[{\"type\":\"HeadPodReady\",\"status\":\"False\"}]}},null,null]",
     OME_PHASE_PROGRESSING, "Initializing", 0, 2, "0 of 2"},
    {"[{\"status\":{\"state\":\"ready\",\"conditions\":[{\"type\":\"HeadPodReady\",\"status\":\"True\"}]}},null,null]",
     OME_PHASE_READY, "RayClustersReady", 1, 2, "1 of 2"},
    {"[{\"status\":{\"state\":\"ready\"}},null,null]", OME_PHASE_READY, "RayClustersReady", 1, 2, "1 of 2"},
    {"[{\"status\":{\"state\":\"ready\"}},{\"status\":{\"state\":\"ready\"}},{}]", OME_PHASE_READY, "RayClustersReady",
     2, 2, "2 of 2"},
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

static void makes_a_cluster_a_replica(void **state) {
  struct text t = render(COMPONENT);

  (void)state;
  assert_int_equal(t.rc, OME_OK);
  static const char *const there[] = {"\"name\":\"s-engine-0\"", "\"name\":\"s-engine-1\"", "KUBERAY_GEN_RAY_START_CMD",
                                      "ray stop", "\"name\":\"dashboard\""};
  for (size_t i = 0; i < sizeof(there) / sizeof(*there); i++)
    if (!strstr(t.s, there[i]))
      fail_msg("%s is not in %s", there[i], t.s);
  assert_null(strstr(t.s, "s-engine-2"));
}

/* KubeRay's own port for metrics would be the engine's; a worker's engine has nothing to be asked. */
static void fits_kuberay(void **state) {
  static const char component[] =
      "{\"name\":\"s-engine\",\"app\":\"s-engine\",\"namespace\":\"n\",\"component\":\"engine\",\"ports\":[{\"port\":8080},"
      "{\"name\":\"dashboard\",\"port\":8265}],\"podSpec\":{\"containers\":[{\"name\":\"ome-container\",\"livenessProbe\":{},"
      "\"ports\":[{\"name\":\"http\",\"containerPort\":8080}]}]}}";
  struct text t = render(component);
  static const struct {
    const char *what;
    int times;
  } counts[] = {{"{\"name\":\"metrics\",\"containerPort\":8000,\"protocol\":\"TCP\"}", 2},
                {"\"readinessProbe\":{\"tcpSocket\":{\"port\":8080}", 1},
                {"livenessProbe", 1},
                {"\"name\":\"dashboard\"", 1},
                {"\"headService\":{\"metadata\":{\"name\":\"s-engine-0\"},\"spec\":{\"clusterIP\":\"None\","
                 "\"publishNotReadyAddresses\":true}}",
                 1}};

  (void)state;
  assert_int_equal(t.rc, OME_OK);
  for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
    int n = 0;
    for (const char *p = t.s; (p = strstr(p, counts[i].what)); p++)
      n++;
    if (n != counts[i].times)
      fail_msg("%s is there %d times: %s", counts[i].what, n, t.s);
  }
}

static void long_names_begin_with_a_letter(void **state) {
  struct text t = render("{\"name\":\"a23456789-123456789-123456789-123456789-1234567890-engine\",\"podSpec\":{}}");

  (void)state;
  assert_int_equal(t.rc, OME_OK);
  assert_non_null(strstr(t.s, "\"r123456789-123456789-123456789-1234567890-engine-0\""));
}

static void refuses(void **state) {
  (void)state;
  assert_int_equal(render("{}").rc, OME_E_INVALID);
  assert_int_equal(render("{\"podSpec\":{},\"replicas\":0}").rc, OME_E_INVALID);
  assert_int_equal(render("{\"podSpec\":{},\"replicas\":61}").rc, OME_E_INVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(judges),       cmocka_unit_test(makes_a_cluster_a_replica),
      cmocka_unit_test(fits_kuberay), cmocka_unit_test(long_names_begin_with_a_letter),
      cmocka_unit_test(refuses),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
