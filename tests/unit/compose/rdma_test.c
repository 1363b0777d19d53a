/* RDMA profiles: those built in, a site's of two vendors, and what is wrong with one. */
#include "../unit.h"

#include "base/str.h"
#include "compose/rdma.h"

#include <string.h>

static struct json_object *parsed(const char *text) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  if (json_parse(text, strlen(text), 0, &o, &err) != OME_OK)
    fail_msg("%s: %s", text, err.msg);
  return o;
}

/* One vendor's adapters are devices of the host, another's are counted by a device plugin. */
#define PROFILES                                                                                                         \
  "{\"mlx\": {\"devices\": [\"/dev/infiniband\", \"/dev/b\"], \"capabilities\": [\"IPC_LOCK\"], \"hostNetwork\": true, " \
  "\"env\": {\"NCCL_IB_HCA\": \"=mlx5\", \"A\": 1}}, \"efa\": {\"resources\": {\"vpc.amazonaws.com/efa\": 4}, "          \
  "\"env\": {\"FI_PROVIDER\": \"efa\"}}, \"nets\": {\"networks\": [\"infra/ib0\", \"ib1\"]}}"
#define POD "{\"containers\": [{\"name\": \"side\"}, {\"name\": \"ome-container\"}]}"
#define ASKS(profile) "{\"rdma.ome.io/auto-inject\": \"true\", \"rdma.ome.io/profile\": \"" profile "\"}"

static void test_profiles(UNUSED void **state) {
  static const struct {
    const char *annotations, *pod, *after, *networks; /* NULL: none */
  } cases[] = {
      {"{}", POD, POD, NULL},
      {"{\"rdma.ome.io/auto-inject\": \"false\"}", POD, POD, NULL},
      {ASKS("efa"), POD,
       "{\"containers\": [{\"name\": \"side\"}, {\"name\": \"ome-container\", \"env\": [{\"name\": \"FI_PROVIDER\", "
       "\"value\": \"efa\"}], \"resources\": {\"limits\": {\"vpc.amazonaws.com/efa\": 4}}}]}",
       NULL},
      {ASKS("efa"),
       "{\"containers\": [{\"name\": \"ome-container\", \"resources\": {\"limits\": {\"vpc.amazonaws.com/efa\": 1}}}]}",
       "{\"containers\": [{\"name\": \"ome-container\", \"env\": [{\"name\": \"FI_PROVIDER\", \"value\": \"efa\"}], "
       "\"resources\": {\"limits\": {\"vpc.amazonaws.com/efa\": 1}}}]}",
       NULL},
      {ASKS("mlx"),
       "{\"containers\": [{\"name\": \"ome-container\", \"env\": [{\"name\": \"A\", \"value\": \"mine\"}]}]}",
       "{\"hostNetwork\": true, \"volumes\": [{\"name\": \"dshm\", \"emptyDir\": {\"medium\": \"Memory\"}}, {\"name\": \"devinf\", "
       "\"hostPath\": {\"path\": \"/dev/infiniband\"}}, {\"name\": \"devinf-1\", \"hostPath\": {\"path\": \"/dev/b\"}}], "
       "\"containers\": [{\"name\": \"ome-container\", \"env\": [{\"name\": \"A\", \"value\": \"mine\"}, {\"name\": "
       "\"NCCL_IB_HCA\", \"value\": \"=mlx5\"}], \"volumeMounts\": [{\"name\": \"dshm\", \"mountPath\": \"/dev/shm\"}, "
       "{\"name\": \"devinf\", \"mountPath\": \"/dev/infiniband\"}, {\"name\": \"devinf-1\", \"mountPath\": \"/dev/b\"}], "
       "\"securityContext\": {\"capabilities\": {\"add\": [\"IPC_LOCK\"]}}}]}",
       NULL},
      {ASKS("nets"), POD, POD, "[{\"name\":\"ib0\",\"namespace\":\"infra\"},{\"name\":\"ib1\"}]"},
      {"{\"rdma.ome.io/auto-inject\": \"true\", \"rdma.ome.io/profile\": \"nets\", \"k8s.v1.cni.cncf.io/networks\": \"own/x, infra/ib0\"}",
       POD, POD,
       "[{\"name\":\"x\",\"namespace\":\"own\"},{\"name\":\"ib0\",\"namespace\":\"infra\"},{\"name\":\"ib1\"}]"},
      {"{\"rdma.ome.io/auto-inject\": \"true\", \"rdma.ome.io/profile\": \"nets\", \"rdma.ome.io/container-name\": \"none\"}",
       POD, POD, NULL},
  };

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_json_ struct json_object *annotations = parsed(cases[i].annotations), *pod = parsed(cases[i].pod),
                                      *after = parsed(cases[i].after), *profiles = parsed(PROFILES);
    struct ome_err err = ERR_INIT;
    for (int again = 0; again < 2; again++) { /* twice is as good as once */
      assert_int_equal(rdma_apply(annotations, pod, profiles, &err), OME_OK);
      if (!json_equal(pod, after))
        fail_msg("%zu: %s", i, json_object_to_json_string(pod));
      const char *networks = json_object_get_string(json_get(annotations, "k8s.v1.cni.cncf.io/networks"));
      assert_string_equal(networks ? networks : "", cases[i].networks ? cases[i].networks : "");
    }
  }
}

/* They grant no more than they have to. */
static void test_built_in(UNUSED void **state) {
  static const struct {
    const char *annotations;
    size_t env, volumes, networks;
  } cases[] = {
      {"{\"rdma.ome.io/auto-inject\": \"true\"}", 21, 2, 0},
      {ASKS("cks-gb-sglang"), 6, 2, 0},
      {ASKS("cks-gb-rdma"), 0, 0, 16},
  };

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_json_ struct json_object *annotations = parsed(cases[i].annotations), *pod = parsed(POD), *networks = NULL;
    struct ome_err err = ERR_INIT;
    assert_int_equal(rdma_apply(annotations, pod, NULL, &err), OME_OK);
    struct json_object *container = json_index(json_get(pod, "containers"), 1);
    struct json_object *added = json_at(container, "securityContext.capabilities.add");
    const char *text = json_object_get_string(json_get(annotations, "k8s.v1.cni.cncf.io/networks"));
    networks = text ? parsed(text) : NULL;
    assert_int_equal(json_len(json_get(container, "env")), cases[i].env);
    assert_int_equal(json_len(json_get(pod, "volumes")), cases[i].volumes);
    assert_int_equal(json_len(networks), cases[i].networks);
    assert_null(json_at(container, "securityContext.privileged"));
    assert_int_equal(json_len(added), cases[i].volumes ? 1 : 0);
    assert_true(json_len(added) == 0 || streq(json_object_get_string(json_index(added, 0)), "IPC_LOCK"));
  }
}

static void test_wrong(UNUSED void **state) {
  static const struct {
    const char *profiles, *says;
  } cases[] = {
      {"{\"b\": {}, \"a\": {}}", "unknown RDMA profile: x; there are: cks-gb-rdma, cks-gb-sglang, oci-roce, a, b"},
      {"{\"x\": []}", "rdmaProfiles.x of ConfigMap inferenceservice-config: must be an object"},
      {"{\"x\": {\"devices\": [\"dev\"]}}",
       "rdmaProfiles.x.devices of ConfigMap inferenceservice-config: must be a list of absolute paths"},
      {"{\"x\": {\"env\": {\"A\": {}}}}",
       "rdmaProfiles.x.env of ConfigMap inferenceservice-config: must be a map of variables"},
      {"{\"x\": {\"hostnetwork\": true}}",
       "rdmaProfiles.x.hostnetwork of ConfigMap inferenceservice-config: there is no such key; see docs/admission.md"},
  };

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_json_ struct json_object *annotations = parsed(ASKS("x")), *pod = parsed(POD), *before = parsed(POD),
                                      *profiles = parsed(cases[i].profiles);
    struct ome_err err = ERR_INIT;
    assert_int_equal(rdma_apply(annotations, pod, profiles, &err), OME_E_INVALID);
    assert_string_equal(err.msg, cases[i].says);
    assert_true(json_equal(pod, before));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_profiles),
      cmocka_unit_test(test_built_in),
      cmocka_unit_test(test_wrong),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
