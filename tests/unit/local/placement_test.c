/* Where pods go, what is behind a Service, which address is whose. */
#include "../unit.h"

#include "docs.h"
#include "kube/meta.h"
#include "local/address.h"
#include "local/endpoints.h"
#include "local/gpus.h"
#include "local/schedule.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

static const char node_text[] =
    "{'metadata':{'name':'n1','labels':{'kubernetes.io/os':'linux','zone':'a'}},'spec':{'taints':["
    "{'key':'soft','effect':'PreferNoSchedule'},{'key':'gpu','value':'yes','effect':'NoSchedule'}]},"
    "'status':{'allocatable':{'cpu':'2','memory':'4Gi','pods':'3'}}}";

#define TOLERATES "'tolerations':[{'key':'gpu','operator':'Exists'}]"

static void pods_fit_or_hear_why(void **state) {
  static const struct {
    const char *spec, *why; /* WHY NULL: it fits */
  } cases[] = {
      {TOLERATES, NULL},
      {"'tolerations':[{'key':'gpu','value':'yes'}]", NULL},
      {"'tolerations':[{'operator':'Exists'}]", NULL},
      {"'tolerations':[{'key':'gpu','value':'no'}]",
       "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: yes}."},
      {TOLERATES ",'nodeSelector':{'zone':'a'}", NULL},
      {TOLERATES ",'nodeSelector':{'zone':'b'}",
       "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector: the node lacks zone=b."},
      {TOLERATES ",'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'nodeSelectorTerms':["
                 "{'matchExpressions':[{'key':'zone','operator':'In','values':['a','c']}]}]}}}",
       NULL},
      {TOLERATES ",'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'nodeSelectorTerms':["
                 "{'matchExpressions':[{'key':'zone','operator':'NotIn','values':['a']}]}]}}}",
       "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."},
      {TOLERATES ",'containers':[{'resources':{'requests':{'cpu':'1','memory':'3Gi'}}}]", NULL},
      {TOLERATES ",'containers':[{'resources':{'requests':{'cpu':'1500m','memory':'5Gi'}}}]",
       "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."},
      {TOLERATES ",'containers':[{'resources':{'limits':{'nvidia.com/gpu':'1'}}}]",
       "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."},
      {TOLERATES ",'initContainers':[{'resources':{'requests':{'cpu':'1100m'}}}],"
                 "'containers':[{'resources':{'requests':{'cpu':'100m'}}}]",
       "0/1 nodes are available: 1 Insufficient cpu."},
  };
  _cleanup_json_ struct json_object *node = doc(node_text);
  _cleanup_json_ struct json_object *pods =
      doc("[{'metadata':{'uid':'1'},'spec':{'nodeName':'n1','containers':[{'resources':{'requests':{'cpu':'1'}}}]},"
          "'status':{'phase':'Running'}},"
          "{'metadata':{'uid':'2'},'spec':{'nodeName':'n1','containers':[{'resources':{'requests':{'cpu':'2'}}}]},"
          "'status':{'phase':'Succeeded'}},"
          "{'metadata':{'uid':'3'},'spec':{'nodeName':'n2','containers':[{'resources':{'requests':{'cpu':'2'}}}]}}]");
  (void)state;

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_free_ char *text = str_printf("{'metadata':{'uid':'new'},'spec':{%s}}", cases[i].spec);
    _cleanup_json_ struct json_object *pod = doc(text);
    _cleanup_free_ char *why = schedule_refusal(pod, node, pods);
    if (!streq(why, cases[i].why))
      fail_msg("case %zu: %s", i, why ? why : "(fits)");
  }
  _cleanup_json_ struct json_object *any = doc("{'metadata':{'uid':'new'},'spec':{}}");
  _cleanup_free_ char *why = schedule_refusal(any, NULL, pods);
  assert_non_null(why);
}

static void ready_pods_are_behind_a_service(void **state) {
  _cleanup_json_ struct json_object *service = doc(
      "{'apiVersion':'v1','kind':'Service','metadata':{'name':'s','namespace':'ns','uid':'su','annotations':{'x':'y'}},"
      "'spec':{'selector':{'app':'a'},'ports':[{'name':'http','port':80,'targetPort':'web'},{'name':'raw','port':9}]}}");
#define POD(name, ip, port, ready, more)                                                                               \
  "{'metadata':{'name':'" name "','namespace':'ns','uid':'" name "','labels':{'app':'a'}" more                         \
  "},'spec':{'nodeName':'n',"                                                                                          \
  "'containers':[{'ports':[{'name':'web','containerPort':" port "}]}]},'status':{'phase':'Running','podIP':'" ip "',"  \
  "'conditions':[{'type':'Ready','status':'" ready "'}]}}"
  _cleanup_json_ struct json_object *pods =
      doc("[" POD("p1", "127.64.0.1", "8080", "True", "") "," POD("p2", "127.64.0.2", "8080", "False", "") "," POD(
          "p3", "127.64.0.3", "9090", "True",
          "") "," POD("p4", "127.64.0.4", "8080", "True",
                      ",'deletionTimestamp':'x'") ",{'metadata':{'name':'other','labels':{'app':'b'}},'status':{'phase':'Running','podIP':'127.64.0.5'}}]");
  (void)state;

  _cleanup_json_ struct json_object *slices = endpoint_slices(service, pods);
  assert_int_equal(json_len(slices), 2);
  assert_holds(json_index(slices, 0),
               "{'kind':'EndpointSlice','addressType':'IPv4','metadata':{'namespace':'ns','labels':{"
               "'kubernetes.io/service-name':'s'}},'ports':[{'name':'http','port':8080},{'name':'raw','port':9}],"
               "'endpoints':[{'addresses':['127.64.0.1'],'conditions':{'ready':true},'targetRef':{'name':'p1'}},"
               "{'conditions':{'ready':false,'serving':false}},"
               "{'conditions':{'ready':false,'serving':true,'terminating':true}}]}");
  assert_null(meta_annotation(json_index(slices, 0), "x"));
  struct json_object *ports = json_at(service, "spec.ports");
  _cleanup_json_ struct json_object *http = endpoint_targets(slices, json_index(ports, 0));
  assert_holds(http, "['127.64.0.1:8080','127.64.0.3:9090']");
  _cleanup_json_ struct json_object *raw = endpoint_targets(slices, json_index(ports, 1));
  assert_holds(raw, "['127.64.0.1:9','127.64.0.3:9']");
  (void)json_set_bool(service, "spec.publishNotReadyAddresses", true);
  _cleanup_json_ struct json_object *all = endpoint_slices(service, pods);
  _cleanup_json_ struct json_object *every = endpoint_targets(all, json_index(ports, 1));
  assert_int_equal(json_len(every), 4);
  json_del(service, "spec.selector");
  _cleanup_json_ struct json_object *none = endpoint_slices(service, pods);
  assert_int_equal(json_len(none), 0);
}

static bool first_ten(void *arg, const char *address) {
  int *asked = arg;

  (void)address;
  return (*asked)++ < 10;
}

static void addresses_are_ones_own(void **state) {
  char a[ADDRESS_TEXT], b[ADDRESS_TEXT], c[ADDRESS_TEXT];
  struct addresses *all = addresses_new(ADDRESS_PODS);
  int asked = 0;
  (void)state;

  assert_true(address_pick(ADDRESS_SERVICES, "x", first_ten, &asked, a));
  assert_true(address_in(ADDRESS_SERVICES, a) && !address_in(ADDRESS_PODS, a));
  assert_int_equal(asked, 11);
  assert_false(address_in(ADDRESS_PODS, "10.64.0.1") || address_in(ADDRESS_PODS, "127.0.0.1") ||
               address_in(ADDRESS_PODS, "x") || address_in(ADDRESS_PODS, NULL));
  assert_true(addresses_get(all, "one", NULL, a) && addresses_get(all, "two", NULL, b));
  assert_string_not_equal(a, b);
  assert_true(addresses_get(all, "one", b, c)); /* what it has, whatever it wants */
  assert_string_equal(a, c);
  assert_true(addresses_get(all, "three", b, c)); /* wanted, but taken */
  assert_string_not_equal(b, c);
  addresses_release(all, "two");
  assert_true(addresses_get(all, "four", b, c));
  assert_string_equal(b, c);
  addresses_free(all);
}

static void gpus_are_shared_out(void **state) {
  struct gpus *g = gpus_new(4);
  char list[GPUS_TEXT];
  (void)state;

  assert_true(gpus_take(g, "a", "c", 2, list));
  assert_string_equal(list, "0,1");
  assert_true(gpus_take(g, "a", "c", 2, list)); /* the same again */
  assert_string_equal(list, "0,1");
  assert_true(gpus_take(g, "a", "d", 1, list));
  assert_string_equal(list, "2");
  assert_false(gpus_take(g, "b", "c", 2, list)); /* and what it could get is not held back */
  assert_true(gpus_take(g, "c", "c", 1, list));
  assert_string_equal(list, "3");
  gpus_release(g, "a");
  assert_true(gpus_take(g, "b", "c", 3, list));
  assert_string_equal(list, "0,1,2");
  gpus_free(g);
}

static void listeners_are_seen(void **state) {
  struct sockaddr_in at = {.sin_family = AF_INET};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  (void)state;

  assert_int_equal(inet_pton(AF_INET, "127.77.66.55", &at.sin_addr), 1);
  assert_false(address_has_listener("127.77.66.55"));
  assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
  assert_int_equal(listen(fd, 1), 0);
  assert_true(address_has_listener("127.77.66.55"));
  assert_false(address_has_listener("127.77.66.5"));
  (void)close(fd);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pods_fit_or_hear_why),   cmocka_unit_test(ready_pods_are_behind_a_service),
      cmocka_unit_test(addresses_are_ones_own), cmocka_unit_test(gpus_are_shared_out),
      cmocka_unit_test(listeners_are_seen),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
