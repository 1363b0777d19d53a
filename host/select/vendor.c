#include "select/vendor.h"

#include "base/quantity.h"
#include "base/str.h"
#include "select/accelerator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NFD_PCI "feature.node.kubernetes.io/pci-" /* fields of the device, joined by "_", then ".present" */
#define NFD_FIELDS 5                              /* class, vendor, device and the subsystem's two */

/* ---- resources --------------------------------------------------------------------------------------------------- */

static const struct {
  const char *vendor;
  const char *resource;
} plugins[] = {
    {"nvidia", "nvidia.com/gpu"},  {"amd", "amd.com/gpu"},           {"intel", "gpu.intel.com/i915"},
    {"intel", "gpu.intel.com/xe"}, {"intel", "habana.ai/gaudi"},     {"habana", "habana.ai/gaudi"},
    {"google", "google.com/tpu"},  {"aws", "aws.amazon.com/neuron"}, {"huawei", "huawei.com/Ascend910"},
};

/* Slices and time shares of a device have names of their own, one a size. */
static const char *const slices[] = {"nvidia.com/mig-", "nvidia.com/gpu.shared", "amd.com/cpx_",
                                     "amd.com/dpx_",    "amd.com/qpx_",          "amd.com/spx_"};

bool vendor_is_device(const char *resource) {
  for (size_t i = 0; i < ARRAY_LEN(plugins); i++)
    if (streq(plugins[i].resource, resource))
      return true;
  for (size_t i = 0; i < ARRAY_LEN(slices); i++)
    if (strncmp(resource, slices[i], strlen(slices[i])) == 0)
      return true;
  return false;
}

const char *vendor_resource(const char *vendor, size_t i) {
  for (size_t k = 0; k < ARRAY_LEN(plugins); k++)
    if (strcasecmp(plugins[k].vendor, vendor) == 0 && i-- == 0)
      return plugins[k].resource;
  return NULL;
}

int64_t vendor_devices_of(struct json_object *container) {
  static const char *const kinds[] = {"limits", "requests"};

  for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
    struct json_object *map = json_get(json_get(container, "resources"), kinds[k]);
    if (!json_is(map, json_type_object))
      continue;
    json_object_object_foreach (map, name, quantity) {
      int64_t n = 0;
      if (vendor_is_device(name) && quantity && quantity_value(json_object_get_string(quantity), &n) && n > 0)
        return n;
    }
  }
  return 0;
}

/* ---- labels ------------------------------------------------------------------------------------------------------ */

/* Whether the label of a PCI device says VENDOR and, where it says more than class and vendor, one of DEVICES. */
static bool is_pci_of(const char *label, const char *vendor, struct json_object *devices) {
  char fields[NFD_FIELDS][8];
  bool is_vendor = false, is_device = json_len(devices) == 0;
  int n = sscanf(label + strlen(NFD_PCI), "%7[0-9a-f]_%7[0-9a-f]_%7[0-9a-f]_%7[0-9a-f]_%7[0-9a-f]", fields[0],
                 fields[1], fields[2], fields[3], fields[4]);

  for (int i = 0; i < n; i++) {
    is_vendor |= strcasecmp(fields[i], vendor) == 0;
    for (size_t k = 0; k < json_len(devices); k++)
      is_device |= strcasecmp(fields[i], json_object_get_string(json_index(devices, k))) == 0;
  }
  return is_vendor && (is_device || n <= 2);
}

static bool pci_allows(struct json_object *class, struct json_object *labels) {
  const char *vendor = json_str(class, "spec.discovery.pciVendorID", "");
  struct json_object *devices = json_at(class, "spec.discovery.deviceIDs");
  bool any = false;

  if (!*vendor || !json_is(labels, json_type_object))
    return true;
  vendor += strncasecmp(vendor, "0x", 2) == 0 ? 2 : 0;
  json_object_object_foreach (labels, key, unused) {
    (void)unused;
    if (strncmp(key, NFD_PCI, strlen(NFD_PCI)) != 0)
      continue;
    if (is_pci_of(key, vendor, devices))
      return true;
    any = true;
  }
  return !any;
}

/* In MiB, of what the driver leaves: up to a tenth less than what the device is sold by. */
static bool memory_allows(struct json_object *class, struct json_object *labels) {
  struct json_object *label = json_get(labels, "nvidia.com/gpu.memory");
  double has = label ? strtod(json_object_get_string(label), NULL) * (1 << 20) : 0;
  double wanted = (double)accelerator_memory(class);

  return has <= 0 || wanted <= 0 || (has > 0.85 * wanted && has < 1.15 * wanted);
}

bool vendor_labels_allow(struct json_object *class, struct json_object *node) {
  struct json_object *labels = json_at(node, "metadata.labels");

  return pci_allows(class, labels) && memory_allows(class, labels);
}
