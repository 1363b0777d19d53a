/* What deployment "raw" makes of a Deployment's status.  The plugin is compiled in. */
#include "../unit.h"

#include <ome/render.h>

struct run {
  struct ome_status status;
  struct ome_err err;
};

static struct ome_bytes bytes(const char *s) {
  return (struct ome_bytes){s, strlen(s)};
}

static const struct ome_render_ops *ops(void) {
  return ome_plugin_v1()->factories[0]->ops;
}

static struct run observe(const char *observed) {
  struct run r = {.status = {.struct_size = sizeof(struct ome_status)}};
  struct ome_render_req req = {
      .struct_size = sizeof(req),
      .service = bytes("{}"),
      .component = bytes("{\"app\":\"s-engine\",\"namespace\":\"n\",\"podSpec\":{}}"),
      .cluster = bytes("{\"domain\":\"cluster.local\"}"),
  };

  assert_int_equal(ops()->observe(NULL, NULL, &req, bytes(observed), &r.status, &r.err), OME_OK);
  return r;
}

#define CONDITION(type, status, reason)                                                                                \
  "{\"type\":\"" type "\",\"status\":\"" status "\",\"reason\":\"" reason "\",\"message\":\"m\"}"

static const struct {
  const char *observed;
  int32_t phase;
  const char *reason;
  uint32_t ready, desired;
} cases[] = {
    {"[null]", OME_PHASE_PENDING, "Initializing", 0, 0},
    {"[{\"spec\":{\"replicas\":2}}]", OME_PHASE_PROGRESSING, "Initializing", 0, 2},
    {"[{\"spec\":{\"replicas\":2},\"status\":{\"readyReplicas\":1,\"conditions\":[" CONDITION(
         "Available", "False", "MinimumReplicasUnavailable") "]}}]",
     OME_PHASE_PROGRESSING, "MinimumReplicasUnavailable", 1, 2},
    {"[{\"spec\":{\"replicas\":2},\"status\":{\"readyReplicas\":2,\"conditions\":[" CONDITION(
         "Available", "True", "MinimumReplicasAvailable") "]}}]",
     OME_PHASE_READY, "MinimumReplicasAvailable", 2, 2},
    /* Available without a single ready pod is not ready. */
    {"[{\"spec\":{\"replicas\":0},\"status\":{\"conditions\":[" CONDITION("Available", "True",
                                                                          "MinimumReplicasAvailable") "]}}]",
     OME_PHASE_PROGRESSING, "MinimumReplicasAvailable", 0, 0},
    {"[{\"status\":{\"conditions\":[" CONDITION("Available", "False", "x") "," CONDITION(
         "Progressing", "False", "ProgressDeadlineExceeded") "]}}]",
     OME_PHASE_FAILED, "ProgressDeadlineExceeded", 0, 1},
    {"[{\"status\":{\"conditions\":[" CONDITION("ReplicaFailure", "True", "FailedCreate") "]}}]", OME_PHASE_FAILED,
     "FailedCreate", 0, 1},
};

static void judges_deployments(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
    struct run r = observe(cases[i].observed);
    if (r.status.phase != cases[i].phase || strcmp(r.status.reason, cases[i].reason) != 0 ||
        r.status.ready != cases[i].ready || r.status.desired != cases[i].desired)
      fail_msg("%zu: phase %d, %s, %u of %u", i, r.status.phase, r.status.reason, r.status.ready, r.status.desired);
    assert_string_equal(r.status.url, "http://s-engine.n.svc.cluster.local");
  }
}

static int32_t count_objects(struct ome_object_sink *s, struct ome_bytes json) {
  (void)json;
  ++*(int *)s->ctx;
  return OME_OK;
}

static int32_t full(struct ome_object_sink *s, struct ome_bytes json) {
  (void)s, (void)json;
  return OME_E_NO_SPACE;
}

static void refuses_what_it_cannot_render(void **state) {
  static const char *const components[] = {"", "{}", "{\"podSpec\":", "[]", "\xff"};
  struct ome_err err;
  int n = 0;
  struct ome_object_sink sink = {.struct_size = sizeof(sink), .ctx = &n, .object = count_objects};

  (void)state;
  for (size_t i = 0; i < sizeof(components) / sizeof(*components); i++) {
    struct ome_render_req req = {.struct_size = sizeof(req), .component = bytes(components[i]), .cluster = bytes("{}")};
    memset(&err, 0, sizeof(err));
    assert_int_equal(ops()->render(NULL, NULL, &req, &sink, &err), OME_E_INVALID);
    assert_true(err.msg[0] != '\0');
  }
  assert_int_equal(n, 0);
  struct ome_render_req req = {
      .struct_size = sizeof(req), .component = bytes("{\"podSpec\":{\"containers\":[]}}"), .cluster = bytes("{}")};
  sink.object = full;
  assert_int_equal(ops()->render(NULL, NULL, &req, &sink, &err), OME_E_NO_SPACE);
  sink.object = count_objects;
  assert_int_equal(ops()->render(NULL, NULL, &req, &sink, &err), OME_OK);
  assert_int_equal(n, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(judges_deployments),
      cmocka_unit_test(refuses_what_it_cannot_render),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
