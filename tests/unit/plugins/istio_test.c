/* Istio in front of a Knative service.  The plugin is compiled in. */
#include "../unit.h"

#include <ome/render.h>
#include <stdio.h>

static struct ome_bytes bytes(const char *s) {
  return (struct ome_bytes){s, strlen(s)};
}

static char objects[2][4096];
static size_t count;

static int32_t keep(struct ome_object_sink *s, struct ome_bytes json) {
  (void)s;
  assert_true(count < 2 && json.len < sizeof(objects[0]));
  memcpy(objects[count], json.ptr, json.len);
  objects[count++][json.len] = '\0';
  return OME_OK;
}

#define ENGINE                                                                                                         \
  "[{\"component\":\"engine\",\"name\":\"s-engine\",\"app\":\"s-engine\",\"namespace\":\"n\",\"mode\":\"Serverless\"," \
  "\"ports\":[{\"port\":8000}]}]"
#define CLUSTER "{\"config\":{\"ingress\":{\"ingressGateway\":\"istio-system/gw\",\"ingressDomain\":\"x.org\"}}}"

static void render(const char *service) {
  const struct ome_render_ops *ops = ome_plugin_v1()->factories[0]->ops;
  struct ome_object_sink sink = {.struct_size = sizeof(sink), .object = keep};
  struct ome_render_req req = {
      .struct_size = sizeof(req), .service = bytes(service), .components = bytes(ENGINE), .cluster = bytes(CLUSTER)};
  struct ome_err err;

  count = 0;
  if (ops->render(NULL, NULL, &req, &sink, &err) != OME_OK)
    fail_msg("%s", err.msg);
}

/* Knative listens on 80 and tells services apart by Host; OME sent requests to 8080. */
static void goes_through_the_local_gateway(void **state) {
  (void)state;
  render("{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\"}}");
  assert_int_equal(count, 2);
  assert_non_null(strstr(objects[0], "\"hosts\":[\"s.n.svc.cluster.local\",\"s.n.x.org\"]"));
  assert_non_null(
      strstr(objects[0], "\"gateways\":[\"knative-serving/knative-local-gateway\",\"mesh\",\"istio-system/gw\"]"));
  assert_non_null(strstr(
      objects[0], "{\"host\":\"knative-local-gateway.istio-system.svc.cluster.local\",\"port\":{\"number\":80}}"));
  assert_non_null(strstr(objects[0], "\"Host\":\"s-engine.n.svc.cluster.local\""));
  assert_non_null(strstr(objects[0], "\"regex\":\"^s\\\\.n(\\\\.svc(\\\\.cluster\\\\.local)?)?(?::\\\\d{1,5})?$\""));
  assert_non_null(strstr(objects[0], "\"regex\":\"^s\\\\.n\\\\.x\\\\.org(?::\\\\d{1,5})?$\""));
  assert_non_null(strstr(objects[1], "\"externalName\":\"knative-local-gateway.istio-system.svc.cluster.local\""));
}

static void stays_inside_by_label(void **state) {
  (void)state;
  render("{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\",\"labels\":{\"networking.knative.dev/visibility\":"
         "\"cluster-local\"}}}");
  assert_int_equal(count, 2);
  assert_non_null(strstr(objects[0], "\"hosts\":[\"s.n.svc.cluster.local\"]"));
  assert_null(strstr(objects[0], "istio-system/gw"));
}

static void may_be_left_out(void **state) {
  (void)state;
  render(
      "{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\",\"annotations\":{\"ome.io/ingress-disable-istio-virtualhost\":"
      "\"true\"}}}");
  assert_int_equal(count, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(goes_through_the_local_gateway),
      cmocka_unit_test(stays_inside_by_label),
      cmocka_unit_test(may_be_left_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
