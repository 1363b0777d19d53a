/* Which nodes have an AcceleratorClass, and how many of its devices are free.  Labels and resources are those that the
 * vendors' device plugins and labellers write. */
#include "../unit.h"

#include "../documents.h"
#include "base/str.h"
#include "select/discovery.h"

#include <stdio.h>

#define NODE(name, labels, rest) "{\"metadata\":{\"name\":\"" name "\",\"labels\":{" labels "}}," rest "}"
#define HAS(map, resource, n) "\"" map "\":{\"" resource "\":\"" n "\",\"cpu\":\"64\",\"memory\":\"512Gi\"}"
#define STATUS(resource, n) "\"status\":{" HAS("capacity", resource, n) "," HAS("allocatable", resource, n) "}"

#define GFD(product, mib) "\"nvidia.com/gpu.product\":\"" product "\",\"nvidia.com/gpu.memory\":\"" mib "\""

/* Listed out of order: status.nodes is sorted. */
static const char nodes_text[] =
    "[" NODE("h1", GFD("NVIDIA-H100-80GB-HBM3", "81559"), STATUS("nvidia.com/gpu", "8")) "," NODE("a2", GFD("NVIDIA-A100-SXM4-80GB", "81920"), STATUS("nvidia.com/gpu", "8")) "," NODE(
        "a1", GFD("NVIDIA-A100-SXM4-80GB", "81920") ",\"zone\":\"east\"",
        STATUS(
            "nvidia.com/gpu",
            "8")) "," NODE("a40", GFD("NVIDIA-A100-SXM4-40GB", "40960"),
                           STATUS(
                               "nvidia.com/gpu",
                               "4")) "," NODE("broken", GFD("NVIDIA-A100-SXM4-80GB", "81920"),
                                              "\"status\":{}") "," NODE("cordoned", GFD("NVIDIA-L4", "23034"),
                                                                        "\"spec\":{\"unschedulable\":true}," STATUS(
                                                                            "nvidia.com/gpu",
                                                                            "4")) "," NODE("lost",
                                                                                           GFD("NVIDIA-L4", "23034"),
                                                                                           "\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"Unknown\"}]," HAS(
                                                                                               "capacity",
                                                                                               "nvidia.com/gpu",
                                                                                               "4") "," HAS("allocatable",
                                                                                                            "nvidia.com/gpu",
                                                                                                            "4") "}") "," NODE("half",
                                                                                                                               GFD("NVIDIA-L4",
                                                                                                                                   "23034"),
                                                                                                                               "\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]," HAS(
                                                                                                                                   "capacity",
                                                                                                                                   "nvidia.com/gpu",
                                                                                                                                   "4") "," HAS("allocatable",
                                                                                                                                                "nvidia.com/gpu",
                                                                                                                                                "2") "}") "," NODE("mig", GFD("NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", "9728"), STATUS("nvidia.com/mig-1g.10gb", "56")) "," NODE("mi",
                                                                                                                                                                                                                                                                             "\"amd.com/gpu.device-id\":\"74a1\",\"feature.node.kubernetes.io/pci-0302_1002_74a1.present\":\"true\"", STATUS("amd.com/gpu", "8")) "," NODE("mi2",
                                                                                                                                                                                                                                                                                                                                                                                                                           "\"feature.node.kubernetes.io/pci-0302_1002_74a5.present\":\"true\"", STATUS("amd.com/gpu", "8")) "," NODE("flex",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      "\"gpu.intel.com/product\":\"Flex_170\",\"feature.node.kubernetes.io/pci-0300_8086.present\":\"true\"",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      STATUS("gpu.intel.com/i915", "2")) "," NODE("gaudi",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                  "\"feature.node.kubernetes.io/pci-1200_1da3.present\":\"true\"", STATUS("habana.ai/gaudi", "8")) "," NODE("tpu", "\"cloud.google.com/gke-tpu-accelerator\":\"tpu-v5-lite-podslice\"", STATUS("google.com/tpu", "4")) "," NODE("plain",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                "\"kubernetes.io/os\":\"linux\"", STATUS("example.com/thing", "3")) "]";

#define ASKS(resource, n) "{\"resources\":{\"limits\":{\"" resource "\":\"" n "\"}}}"
#define POD(node, phase, spec)                                                                                         \
  "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"nodeName\":\"" node "\"," spec "},\"status\":{\"phase\":\"" phase "\"}}"

static const char pods_text[] = "[" POD("a1", "Running", "\"containers\":[" ASKS("nvidia.com/gpu", "2") "," ASKS("nvidia.com/gpu", "1") "]") "," POD(
    "a1", "Pending",
    "\"containers\":[{}],\"initContainers\":[" ASKS(
        "nvidia.com/gpu",
        "1") "]") "," POD("a2", "Succeeded",
                          "\"containers\":[" ASKS(
                              "nvidia.com/gpu",
                              "8") "]") "," POD("a2", "Failed",
                                                "\"containers\":[" ASKS(
                                                    "nvidia.com/gpu",
                                                    "8") "]") "," POD("", "Pending",
                                                                      "\"containers\":[" ASKS(
                                                                          "nvidia.com/gpu",
                                                                          "8") "]") "," POD("h1", "Running",
                                                                                            "\"containers\":[" ASKS(
                                                                                                "nvidia.com/gpu",
                                                                                                "99") "]") "," POD("mig",
                                                                                                                   "Running",
                                                                                                                   "\"containers\":[" ASKS(
                                                                                                                       "nvidia.com/mig-1g.10gb", "3") "]") "," POD("mi",
                                                                                                                                                                   "Running",
                                                                                                                                                                   "\"containers\":[{\"resources\":{\"requests\":{\"amd.com/gpu\":\"2\"}}}]") "," POD("tpu", "Running", "\"containers\":[{\"resources\":{\"limits\":{\"google.com/tpu\":\"many\"}}}]") "," POD("plain", "Running", "\"containers\":[{\"resources\":{\"requests\":{\"cpu\":\"500m\"}}}]") "]";

static const struct {
  const char *what;
  const char *spec; /* of the class */
  const char *nodes;
  int64_t total; /* -1: not counted */
  int64_t left;
} cases[] = {
    {"GFD's product",
     "\"discovery\":{\"nodeSelector\":{\"nvidia.com/gpu.product\":\"NVIDIA-A100-SXM4-80GB\"}},"
     "\"resources\":[{\"name\":\"nvidia.com/gpu\"}]",
     "a1 a2", 16, 12},
    {"a node's memory is none of the class's business (OME 1.3)",
     "\"discovery\":{\"nodeSelector\":{\"nvidia.com/gpu.product\":\"NVIDIA-A100-SXM4-40GB\"}},"
     "\"capabilities\":{\"memoryGB\":\"900Gi\"},\"resources\":[{\"name\":\"nvidia.com/gpu\"}]",
     "a40", 4, 4},
    {"every label",
     "\"discovery\":{\"nodeSelector\":{\"nvidia.com/gpu.product\":\"NVIDIA-A100-SXM4-80GB\","
     "\"zone\":\"east\"}},\"resources\":[{\"name\":\"nvidia.com/gpu\"}]",
     "a1", 8, 4},
    {"every resource", "\"discovery\":{},\"resources\":[{\"name\":\"nvidia.com/gpu\"},{\"name\":\"amd.com/gpu\"}]", "",
     0, 0},
    {"more than there is leaves none",
     "\"discovery\":{\"nodeSelector\":{\"nvidia.com/gpu.product\":\"NVIDIA-H100-80GB-HBM3\"}},"
     "\"resources\":[{\"name\":\"nvidia.com/gpu\"}]",
     "h1", 8, 0},
    {"cordoned, not ready, half allocatable",
     "\"discovery\":{\"nodeSelector\":{\"nvidia.com/gpu.product\":\"NVIDIA-L4\"}},"
     "\"resources\":[{\"name\":\"nvidia.com/gpu\"}]",
     "cordoned half lost", 12, 2},
    {"a MIG slice", "\"vendor\":\"nvidia\",\"discovery\":{},\"resources\":[{\"name\":\"nvidia.com/mig-1g.10gb\"}]",
     "mig", 56, 53},
    {"node affinity",
     "\"discovery\":{\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":"
     "{\"nodeSelectorTerms\":[{\"matchExpressions\":[{\"key\":\"nvidia.com/gpu.product\",\"operator\":\"In\","
     "\"values\":[\"NVIDIA-H100-80GB-HBM3\",\"NVIDIA-A100-SXM4-40GB\"]}]}]}}}},"
     "\"resources\":[{\"name\":\"nvidia.com/gpu\"}]",
     "a40 h1", 12, 4},
    {"AMD's labeller",
     "\"vendor\":\"amd\",\"discovery\":{\"nodeSelector\":{\"amd.com/gpu.device-id\":\"74a1\"}},"
     "\"resources\":[{\"name\":\"amd.com/gpu\"}]",
     "mi", 8, 6},
    {"Intel",
     "\"vendor\":\"intel\",\"discovery\":{\"nodeSelector\":{\"gpu.intel.com/product\":\"Flex_170\"}},"
     "\"resources\":[{\"name\":\"gpu.intel.com/i915\"}]",
     "flex", 2, 2},
    {"Gaudi",
     "\"vendor\":\"intel\",\"discovery\":{\"nodeSelector\":"
     "{\"feature.node.kubernetes.io/pci-1200_1da3.present\":\"true\"}},"
     "\"resources\":[{\"name\":\"habana.ai/gaudi\"}]",
     "gaudi", 8, 8},
    {"TPU, and a request that is no quantity",
     "\"vendor\":\"google\",\"discovery\":{\"nodeSelector\":"
     "{\"cloud.google.com/gke-tpu-accelerator\":\"tpu-v5-lite-podslice\"}},\"resources\":[{\"name\":\"google.com/tpu\"}]",
     "tpu", 4, 4},
    {"processors, in parts",
     "\"vendor\":\"generic\",\"discovery\":{\"nodeSelector\":{\"kubernetes.io/os\":\"linux\"}},"
     "\"resources\":[{\"name\":\"cpu\"}]",
     "plain", 64, 63},
    {"a resource that nobody knows", "\"discovery\":{},\"resources\":[{\"name\":\"example.com/thing\"}]", "plain", 3,
     3},

    {"no resources: the vendor's", "\"vendor\":\"AMD\",\"discovery\":{}", "mi mi2", 16, 14},
    {"no resources: any of the vendor's", "\"vendor\":\"intel\",\"discovery\":{}", "flex gaudi", 10, 10},
    {"no labels: the memory that GFD tells",
     "\"vendor\":\"nvidia\",\"discovery\":{},\"capabilities\":{\"memoryGB\":\"40Gi\"}", "a40", 4, 4},
    {"no labels: PCI ids as far as they are known",
     "\"vendor\":\"amd\",\"discovery\":{\"pciVendorID\":\"1002\",\"deviceIDs\":[\"74a1\"]}", "mi", 8, 6},
    {"no labels: only the vendor's id is known",
     "\"vendor\":\"intel\",\"discovery\":{\"pciVendorID\":\"0x8086\",\"deviceIDs\":[\"56c0\"]}", "flex", 2, 2},
    {"no labels on the node either",
     "\"vendor\":\"nvidia\",\"discovery\":{\"pciVendorID\":\"10de\",\"nodeSelector\":{\"zone\":\"west\"}}", "", 0, 0},
    {"nothing stated: every node (as OME), and nothing to count", "\"discovery\":{}",
     "a1 a2 a40 broken cordoned flex gaudi h1 half lost mi mi2 mig plain tpu", -1, -1},
};

static void joined(struct json_object *names, char *out, size_t cap) {
  size_t n = 0;

  out[0] = '\0';
  for (size_t i = 0; i < json_len(names) && n < cap; i++)
    n += (size_t)snprintf(out + n, cap - n, "%s%s", i ? " " : "", json_object_get_string(json_index(names, i)));
}

static size_t count_having(struct json_object *class, struct json_object *nodes) {
  size_t n = 0;

  for (size_t i = 0; i < json_len(nodes); i++)
    n += discovery_fits(class, json_index(nodes, i)) == DISCOVERY_HAS;
  return n;
}

static void discovers(void **state) {
  struct json_object *nodes = parse(nodes_text), *pods = parse(pods_text);

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    char text[1024], names[512];
    (void)snprintf(text, sizeof(text), "{\"metadata\":{\"name\":\"c\"},\"spec\":{%s}}", cases[i].spec);
    struct json_object *class = parse(text);
    struct json_object *status = discovery_status(class, nodes, pods);
    joined(json_get(status, "nodes"), names, sizeof(names));
    assert_int_equal(count_having(class, nodes), json_len(json_get(status, "nodes")));
    if (!streq(names, cases[i].nodes) || json_i64(status, "totalAccelerators", -1) != cases[i].total ||
        json_i64(status, "availableAccelerators", -1) != cases[i].left ||
        json_i64(status, "availableNodes", -1) != (int64_t)json_len(json_get(status, "nodes")))
      fail_msg("%s: %s", cases[i].what, json_object_to_json_string(status));
    json_unref(status);
    json_unref(class);
  }
  json_unref(nodes);
  json_unref(pods);
}

/* What strangers write must not overflow, and a class without a spec is no reason to fall. */
static void bears_nonsense(void **state) {
  static const char huge[] = "9000000000000000";
  char text[1024];

  (void)state;
  (void)snprintf(
      text, sizeof(text),
      "[{\"metadata\":{\"name\":\"a\"},\"status\":{\"capacity\":{\"x\":\"%s\"},\"allocatable\":{\"x\":\"%s\"}}},"
      "{\"metadata\":{\"name\":\"b\"},\"status\":{\"capacity\":{\"x\":\"%s\"},\"allocatable\":{\"x\":\"-4\"}}},"
      "{\"metadata\":{\"name\":\"c\"},\"status\":{\"capacity\":{\"x\":{}},\"allocatable\":[]}},7,null]",
      huge, huge, huge);
  struct json_object *nodes = parse(text);
  struct json_object *class = parse("{\"spec\":{\"resources\":[{\"name\":\"x\"}],\"discovery\":7}}");
  struct json_object *pods = parse("[{\"spec\":{\"nodeName\":\"a\",\"containers\":7}},{},null]");
  struct json_object *status = discovery_status(class, nodes, pods);
  assert_int_equal(json_i64(status, "totalAccelerators", 0), INT32_MAX);
  assert_int_equal(json_i64(status, "availableAccelerators", 0), INT32_MAX);
  assert_int_equal(json_i64(status, "availableNodes", 0), 2);
  json_unref(status);
  json_unref(class);
  class = parse("{}");
  status = discovery_status(class, NULL, NULL);
  assert_int_equal(json_i64(status, "availableNodes", -1), 0);
  json_unref(status);
  json_unref(class);
  json_unref(nodes);
  json_unref(pods);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(discovers), cmocka_unit_test(bears_nonsense)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
