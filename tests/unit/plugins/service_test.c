/* Which pods ingress "service" sends requests to.  The plugin is compiled in. */
#include "../unit.h"

#include "ingress.h"

#include <stdbool.h>
#include <stdio.h>

static void groups_are_reached_by_their_leaders(void **state) {
  static const struct {
    const char *more; /* of the engine */
    bool leaders;
  } cases[] = {{"\"mode\":\"RawDeployment\"", false},
               {"\"mode\":\"Serverless\"", false},
               {"\"mode\":\"MultiNode\",\"worker\":{\"size\":1,\"podSpec\":{}}", true},
               {"\"mode\":\"MultiNodeRayVLLM\"", true}};
  const struct ome_render_ops *ops = ome_plugin_v1()->factories[0]->ops;
  struct ome_object_sink sink = {.struct_size = sizeof(sink), .object = keep};
  struct ome_err err;
  char components[512];

  (void)state;
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
    (void)snprintf(components, sizeof(components),
                   "[{\"component\":\"engine\",\"app\":\"s-engine\",\"namespace\":\"n\",\"labels\":"
                   "{\"ome.io/inferenceservice\":\"s\"},\"ports\":[{\"port\":8000}],%s}]",
                   cases[i].more);
    struct ome_render_req req = {.struct_size = sizeof(req),
                                 .service = bytes("{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\"}}"),
                                 .components = bytes(components),
                                 .cluster = bytes("{}")};
    last[0] = '\0';
    assert_int_equal(ops->render(NULL, NULL, &req, &sink, &err), OME_OK);
    assert_non_null(strstr(last, "\"component\":\"engine\""));
    assert_int_equal(strstr(last, "\"ray.io/node-type\":\"head\"") != NULL, cases[i].leaders);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(groups_are_reached_by_their_leaders)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
