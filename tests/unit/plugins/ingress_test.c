/* Where a service is reached, as ingress "kubernetes" says it.  The plugin is compiled in. */
#include "../unit.h"

#include "ingress.h"

#include <stdio.h>

#define ENGINE "{\"component\":\"engine\",\"app\":\"s-engine\",\"namespace\":\"n\",\"ports\":[{\"port\":8000}]}"
#define ROUTER "{\"component\":\"router\",\"app\":\"s-router\",\"namespace\":\"n\",\"ports\":[{\"port\":9000}]}"

static int32_t render(const char *service, const char *components, const char *ingress, struct ome_err *err) {
  const struct ome_render_ops *ops = ome_plugin_v1()->factories[0]->ops;
  struct ome_object_sink sink = {.struct_size = sizeof(sink), .object = keep};
  char cluster[512];
  struct ome_render_req req = {.struct_size = sizeof(req), .service = bytes(service), .components = bytes(components)};

  (void)snprintf(cluster, sizeof(cluster), "{\"config\":{\"ingress\":%s}}", ingress);
  req.cluster = bytes(cluster);
  last[0] = '\0';
  return ops->render(NULL, NULL, &req, &sink, err);
}

#define SERVICE(more) "{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\"" more "}}"

static void leads_to_the_entry(void **state) {
  struct ome_err err;

  (void)state;
  assert_int_equal(render(SERVICE(""), "[" ENGINE "]", "{\"ingressDomain\":\"x.org\"}", &err), OME_OK);
  assert_non_null(strstr(last, "\"host\":\"s.n.x.org\""));
  assert_non_null(strstr(last, "\"name\":\"s-engine\",\"port\":{\"number\":8000}"));
  assert_null(strstr(last, "s-engine.n.x.org"));
  assert_int_equal(render(SERVICE(""), "[" ENGINE "," ROUTER "]", "{\"ingressDomain\":\"x.org\"}", &err), OME_OK);
  assert_non_null(strstr(last, "\"name\":\"s-router\",\"port\":{\"number\":9000}"));
  assert_non_null(strstr(last, "\"host\":\"s-engine.n.x.org\""));
}

static void fills_templates_in(void **state) {
  static const struct {
    const char *template;
    const char *host; /* NULL: refused */
  } cases[] = {
      {"{{ .Name }}-{{.Namespace}}.{{ .IngressDomain }}", "s-n.x.org"},
      {"{{ .Labels.team }}.example.com", "blue.example.com"},
      {"{{ .Annotations.ome.io/site }}.example.com", "west.example.com"},
      {"plain.example.com", "plain.example.com"},
      {"{{ .Labels.none }}.example.com", NULL},
      {"{{ .Name", NULL},
      {"-{{ .Name }}", NULL},
      {"a..b", NULL},
      {"Upper.example.com", NULL},
  };
  struct ome_err err;

  (void)state;
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
    char ingress[256];
    char host[128];
    (void)snprintf(ingress, sizeof(ingress), "{\"ingressDomain\":\"x.org\",\"domainTemplate\":\"%s\"}",
                   cases[i].template);
    int32_t rc = render(SERVICE(",\"labels\":{\"team\":\"blue\"},\"annotations\":{\"ome.io/site\":\"west\"}"),
                        "[" ENGINE "]", ingress, &err);
    (void)snprintf(host, sizeof(host), "\"host\":\"%s\"", cases[i].host ? cases[i].host : "");
    if (cases[i].host ? rc != OME_OK || !strstr(last, host) : rc != OME_E_INVALID)
      fail_msg("%s: %d %s %s", cases[i].template, rc, last, err.msg);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(leads_to_the_entry),
      cmocka_unit_test(fills_templates_in),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
