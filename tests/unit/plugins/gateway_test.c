/* Which gateways routes attach to, as ingress "gateway" says it.  The plugin is compiled in. */
#include "../unit.h"

#include "ingress.h"

#include <stdio.h>

#define ENGINE "[{\"component\":\"engine\",\"app\":\"s-engine\",\"namespace\":\"n\",\"ports\":[{\"port\":8000}]}]"
#define SITE "\"omeIngressGateway\":\"g/main\",\"omeIngressGatewaySection\":\"tls\",\"ingressDomain\":\"x.org\""
#define MORE ",\"additionalIngressGateways\":[{\"omeIngressGateway\":\"g/out\",\"ingressDomain\":\"out.org\"}]"
#define OF_N(what) ",\"namespaceIngressGateways\":{\"n\":{" what "}}"
#define PRIMARY "\"primary\":{\"omeIngressGateway\":\"g/own\",\"ingressDomain\":\"own.org\",\"class\":\"internal\"}"
#define ANNOTATED(list) "\"ome.io/ingress-additional-gateways\":\"" list "\""

struct request {
  char service[512], cluster[1024];
  struct ome_render_req req;
};

static void request_init(struct request *r, const char *annotations, const char *ingress) {
  (void)snprintf(r->service, sizeof(r->service),
                 "{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\",\"annotations\":{%s}}}", annotations);
  (void)snprintf(r->cluster, sizeof(r->cluster), "{\"config\":{\"ingress\":{" SITE "%s}}}", ingress);
  r->req = (struct ome_render_req){.struct_size = sizeof(r->req),
                                   .service = bytes(r->service),
                                   .components = bytes(ENGINE),
                                   .cluster = bytes(r->cluster)};
}

/* What the route has of SITE's own gateway, and of another. */
#define PARENT(name, more)                                                                                             \
  "{\"group\":\"gateway.networking.k8s.io\",\"kind\":\"Gateway\",\"namespace\":\"g\",\"name\":\"" name "\"" more "}"
#define MAIN PARENT("main", ",\"sectionName\":\"tls\"")

static const struct {
  const char *about, *annotations, *ingress;
  const char *parents, *hosts; /* of the route */
  const char *url;
} cases[] = {
    {"the site's one", "", "", MAIN, "\"s.n.x.org\"", "http://s.n.x.org"},
    {"a further one, with a host of its domain", "", MORE, MAIN "," PARENT("out", ""), "\"s.n.x.org\",\"s.n.out.org\"",
     "http://s.n.x.org"},
    {"on shared hosts", "", MORE ",\"sharedHostPrefix\":\"llm\"", MAIN "," PARENT("out", ""),
     "\"llm.x.org\",\"llm.out.org\"", "http://llm.x.org/n/s"},
    {"the namespace's in the place of the site's", "", OF_N(PRIMARY) MORE, PARENT("own", "") "," PARENT("out", ""),
     "\"s.n.own.org\",\"s.n.out.org\"", "http://s.n.own.org"},
    {"of a namespace without further ones", "", OF_N(PRIMARY ",\"additional\":[]") MORE, PARENT("own", ""),
     "\"s.n.own.org\"", "http://s.n.own.org"},
    {"further ones of the namespace alone", "",
     OF_N("\"additional\":[{\"omeIngressGateway\":\"g/b\",\"ingressDomain\":\"b.org\"}]") MORE,
     MAIN "," PARENT("b", ""), "\"s.n.x.org\",\"s.n.b.org\"", "http://s.n.x.org"},
    {"another namespace's", "", ",\"namespaceIngressGateways\":{\"m\":{" PRIMARY "}}", MAIN, "\"s.n.x.org\"",
     "http://s.n.x.org"},
    {"the service's own word first", "\"ome.io/ingress-gateway\":\"g/mine\",\"ome.io/ingress-domain\":\"mine.org\"",
     OF_N(PRIMARY), PARENT("mine", ",\"sectionName\":\"tls\""), "\"s.n.mine.org\"", "http://s.n.mine.org"},
    {"the service's further ones",
     ANNOTATED("[{\\\"omeIngressGateway\\\":\\\"g/c\\\",\\\"ingressDomain\\\":\\\"c.org\\\"}]"),
     OF_N("\"additional\":[]") MORE, MAIN "," PARENT("c", ""), "\"s.n.x.org\",\"s.n.c.org\"", "http://s.n.x.org"},
    {"one gateway with two domains", "",
     ",\"additionalIngressGateways\":[{\"omeIngressGateway\":\"g/main\",\"ingressDomain\":\"y.org\"}]", MAIN,
     "\"s.n.x.org\",\"s.n.y.org\"", "http://s.n.x.org"},
    {"additional domains are the site's own gateway's", "", MORE ",\"additionalIngressDomains\":[\"z.org\"]",
     MAIN "," PARENT("out", ""), "\"s.n.x.org\",\"s.n.z.org\",\"s.n.out.org\"", "http://s.n.x.org"},
};

static void routes_attach_to_every_gateway(void **state) {
  const struct ome_render_ops *ops = ome_plugin_v1()->factories[0]->ops;
  struct ome_object_sink sink = {.struct_size = sizeof(sink), .object = keep};

  (void)state;
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
    struct ome_status status = {.struct_size = sizeof(status)};
    struct ome_err err = {0};
    struct request r;
    char parents[1024], hosts[256];
    request_init(&r, cases[i].annotations, cases[i].ingress);
    (void)snprintf(parents, sizeof(parents), "\"parentRefs\":[%s]", cases[i].parents);
    (void)snprintf(hosts, sizeof(hosts), "\"hostnames\":[%s]", cases[i].hosts);
    if (ops->render(NULL, NULL, &r.req, &sink, &err) != OME_OK || !strstr(last, parents) || !strstr(last, hosts))
      fail_msg("%s: %s: %s", cases[i].about, err.msg, last);
    if (ops->observe(NULL, NULL, &r.req, bytes("[null]"), &status, &err) != OME_OK ||
        strcmp(status.url, cases[i].url) != 0)
      fail_msg("%s: %s %s", cases[i].about, status.url, err.msg);
  }
}

static void a_wrong_entry_is_named(void **state) {
  static const struct {
    const char *annotations, *ingress, *said;
  } wrong[] = {
      {"", ",\"additionalIngressGateways\":[{\"omeIngressGateway\":\"out\",\"ingressDomain\":\"out.org\"}]",
       "ingress: additionalIngressGateways[0].omeIngressGateway: \"out\" must be NAMESPACE/NAME"},
      {"", ",\"additionalIngressGateways\":[{\"omeIngressGateway\":\"g/out\"}]",
       "ingress: additionalIngressGateways[0].ingressDomain: \"\" must be"},
      {"", ",\"additionalIngressGateways\":{}", "ingress: additionalIngressGateways: must be a list"},
      {"", OF_N("\"primary\":{\"omeIngressGateway\":\"g/own\",\"ingressDomain\":\"Own\"}"),
       "ingress: namespaceIngressGateways.n.primary.ingressDomain: \"Own\" must be"},
      {"", OF_N("\"additional\":[{}]"),
       "ingress: namespaceIngressGateways.n.additional[0].omeIngressGateway: \"\" must"},
      {"", ",\"omeIngressGatewayClass\":\"In ternal\"", "omeIngressGatewayClass: \"In ternal\" must be a label"},
      {"",
       ",\"additionalIngressGateways\":[{\"omeIngressGateway\":\"g/a\",\"ingressDomain\":\"a.org\",\"class\":\"a.b\"}]",
       "additionalIngressGateways[0].class: \"a.b\" must be a label"},
      {ANNOTATED("none"), "", "metadata.annotations[ome.io/ingress-additional-gateways]: not JSON: none"},
      {ANNOTATED("[{}]"), "", "metadata.annotations[ome.io/ingress-additional-gateways][0].omeIngressGateway: "},
  };
  const struct ome_render_ops *ops = ome_plugin_v1()->factories[0]->ops;
  struct ome_object_sink sink = {.struct_size = sizeof(sink), .object = keep};

  (void)state;
  for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
    struct ome_err err = {0};
    struct request r;
    request_init(&r, wrong[i].annotations, wrong[i].ingress);
    last[0] = '\0';
    if (ops->render(NULL, NULL, &r.req, &sink, &err) != OME_E_INVALID || !strstr(err.msg, wrong[i].said) || *last)
      fail_msg("%s: %s %s", wrong[i].said, err.msg, last);
  }
}

static char said[1024];

static int32_t note(struct ome_object_sink *s, struct ome_bytes json) {
  size_t n = strlen(said);

  (void)s;
  (void)snprintf(said + n, sizeof(said) - n, "%.*s\n", (int)json.len, (const char *)json.ptr);
  return OME_OK;
}

static void an_address_has_its_gateways_class_as_its_name(void **state) {
  static const struct {
    const char *annotations, *ingress, *addresses;
  } named[] = {
      {"", "", "{\"url\":\"http://s.n.x.org\"}\n"},
      {"",
       ",\"omeIngressGatewayClass\":\"internal\",\"additionalIngressGateways\":[{\"omeIngressGateway\":\"g/out\","
       "\"ingressDomain\":\"out.org\",\"class\":\"external\"},{\"omeIngressGateway\":\"g/more\",\"ingressDomain\":"
       "\"more.org\"}]",
       "{\"url\":\"http://s.n.x.org\",\"name\":\"internal\"}\n{\"url\":\"http://s.n.out.org\",\"name\":\"external\"}\n"
       "{\"url\":\"http://s.n.more.org\"}\n"},
      {"", ",\"omeIngressGatewayClass\":\"site\"" OF_N(PRIMARY) MORE ",\"sharedHostPrefix\":\"llm\"",
       "{\"url\":\"http://llm.own.org/n/s\",\"name\":\"internal\"}\n{\"url\":\"http://llm.out.org/n/s\"}\n"},
      {"\"ome.io/ingress-path-template\":\"/m/{{ .Name }}\"", MORE,
       "{\"url\":\"http://x.org/m/s\"}\n{\"url\":\"http://out.org/m/s\"}\n"},
  };
  const struct ome_render_ops *ops = ome_plugin_v1()->factories[0]->ops;
  struct ome_object_sink sink = {.struct_size = sizeof(sink), .object = note};

  (void)state;
  for (size_t i = 0; i < sizeof(named) / sizeof(*named); i++) {
    struct ome_status status = {.struct_size = sizeof(status), .addresses = &sink};
    struct ome_status old = {.struct_size = offsetof(struct ome_status, addresses), .addresses = &sink};
    struct ome_err err = {0};
    struct request r;
    said[0] = '\0';
    request_init(&r, named[i].annotations, named[i].ingress);
    assert_int_equal(ops->observe(NULL, NULL, &r.req, bytes("[null]"), &status, &err), OME_OK);
    assert_string_equal(said, named[i].addresses);
    assert_int_equal(ops->observe(NULL, NULL, &r.req, bytes("[null]"), &old, &err), OME_OK);
    assert_string_equal(said, named[i].addresses); /* a host of ABI 1.0 has nothing there */
  }
}

#define ACCEPTED(name)                                                                                                 \
  "{\"parentRef\":{\"namespace\":\"g\",\"name\":\"" name                                                               \
  "\"},\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\"}]}"
#define LIVE(parents)                                                                                                  \
  "[{\"kind\":\"HTTPRoute\",\"metadata\":{\"name\":\"s\"},\"spec\":{\"parentRefs\":[" MAIN                             \
  "," PARENT("out", "") "]},"                                                                                          \
                        "\"status\":{\"parents\":[" parents "]}}]"

static void is_ready_when_every_gateway_has_accepted(void **state) {
  static const struct {
    const char *live;
    int32_t phase;
    const char *said;
  } seen[] = {
      {LIVE(""), OME_PHASE_PROGRESSING, "no gateway has looked at it yet"},
      {LIVE(ACCEPTED("main")), OME_PHASE_PROGRESSING, "Gateway g/out has not looked at it yet"},
      {LIVE(ACCEPTED("main") "," ACCEPTED("out")), OME_PHASE_READY, ""},
  };
  const struct ome_render_ops *ops = ome_plugin_v1()->factories[0]->ops;

  (void)state;
  for (size_t i = 0; i < sizeof(seen) / sizeof(*seen); i++) {
    struct ome_status status = {.struct_size = sizeof(status)};
    struct ome_err err = {0};
    struct request r;
    request_init(&r, "", MORE);
    assert_int_equal(ops->observe(NULL, NULL, &r.req, bytes(seen[i].live), &status, &err), OME_OK);
    if (status.phase != seen[i].phase || !strstr(status.message, seen[i].said))
      fail_msg("step %zu: %d %s", i, status.phase, status.message);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(routes_attach_to_every_gateway),
      cmocka_unit_test(a_wrong_entry_is_named),
      cmocka_unit_test(an_address_has_its_gateways_class_as_its_name),
      cmocka_unit_test(is_ready_when_every_gateway_has_accepted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
