/* What deployment "multinode" makes of a component and of a LeaderWorkerSet's status.  The plugin is compiled in. */
#include "../unit.h"

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
    {"[{\"spec\":{\"replicas\":2}}]", OME_PHASE_PROGRESSING, "Initializing", 0, 2, "0 of 2 groups"},
    {"[{\"spec\":{\"replicas\":2},\"status\":{\"readyReplicas\":2,\"conditions\":[{\"type\":\"Available\",\"status\":"
     "\"True\",\"reason\":\"AllGroupsReady\",\"message\":\"all\"}]}}]",
     OME_PHASE_READY, "AllGroupsReady", 2, 2, "2 of 2 groups are ready: all"},
    /* One group serves while the other one is made. */
    {"[{\"spec\":{\"replicas\":2},\"status\":{\"readyReplicas\":1,\"conditions\":[{\"type\":\"Available\",\"status\":"
     "\"False\"}]}}]",
     OME_PHASE_READY, "GroupsReady", 1, 2, "1 of 2 groups"},
    {"[{\"spec\":{\"replicas\":-3},\"status\":{\"readyReplicas\":-1}}]", OME_PHASE_PROGRESSING, "Initializing", 0, 0,
     ""},
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

static void makes_groups(void **state) {
  struct text t = render(
      "{\"name\":\"s-engine\",\"app\":\"s-engine\",\"replicas\":2,\"annotations\":{\"prometheus.io/port\":\"1\"},"
      "\"podSpec\":{\"containers\":[{\"name\":\"leads\"}]},\"worker\":{\"size\":3,\"podSpec\":{\"containers\":[{"
      "\"name\":\"works\"}]}}}");

  (void)state;
  assert_int_equal(t.rc, OME_OK);
  assert_non_null(strstr(t.s, "\"name\":\"lws-s-engine\""));
  assert_non_null(strstr(t.s, "\"size\":4"));
  assert_non_null(strstr(t.s, "RecreateGroupOnPodRestart"));
  const char *worker = strstr(t.s, "\"workerTemplate\"");
  const char *service = strstr(t.s, "\"kind\":\"Service\"");
  assert_true(worker && service && worker < service);
  /* Workers are neither scraped nor asked. */
  const char *scraped = strstr(worker, "prometheus.io/port");
  assert_true(!scraped || scraped > service);
  const char *app = strstr(worker, "\"app\"");
  assert_true(app && app > strstr(worker, "works"));
}

static void names_are_cut_at_the_front(void **state) {
  struct text t = render("{\"name\":\"abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-engine\",\"podSpec\":{}}");

  (void)state;
  assert_int_equal(t.rc, OME_OK);
  assert_non_null(strstr(t.s, "\"lws-klmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-engine\""));
}

static void a_leader_alone_is_a_group_of_one(void **state) {
  (void)state;
  assert_non_null(strstr(render(COMPONENT).s, "\"size\":1"));
}

static void refuses(void **state) {
  (void)state;
  assert_int_equal(render("{}").rc, OME_E_INVALID);
  assert_int_equal(render("[").rc, OME_E_INVALID);
  assert_int_equal(render("{\"podSpec\":{},\"worker\":{\"size\":-1,\"podSpec\":{}}}").rc, OME_E_INVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(judges),
      cmocka_unit_test(makes_groups),
      cmocka_unit_test(names_are_cut_at_the_front),
      cmocka_unit_test(a_leader_alone_is_a_group_of_one),
      cmocka_unit_test(refuses),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
