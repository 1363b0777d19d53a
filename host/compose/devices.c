#include "compose/devices.h"

#include "base/quantity.h"
#include "base/str.h"

#include <stdio.h>

/* What device plugins call what they hand out. */
static const char *const names[] = {"nvidia.com/gpu",        "amd.com/gpu",         "gpu.intel.com/i915",
                                    "gpu.intel.com/xe",      "habana.ai/gaudi",     "google.com/tpu",
                                    "aws.amazon.com/neuron", "huawei.com/Ascend910"};

static const char *const kinds[] = {"limits", "requests"};

static bool is_device(const char *name) {
  for (size_t i = 0; i < ARRAY_LEN(names); i++)
    if (streq(names[i], name))
      return true;
  return false;
}

static int64_t count_of(struct json_object *quantity) {
  int64_t n = 0;

  return quantity && quantity_value(json_object_get_string(quantity), &n) && n > 0 ? n : 0;
}

int64_t devices_of(struct json_object *container) {
  for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
    struct json_object *map = json_get(json_get(container, "resources"), kinds[k]);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
      int64_t n = count_of(json_get(map, names[i]));
      if (n)
        return n;
    }
  }
  return 0;
}

/* One of the class's resources; WANTED is what the container asked for in devices. */
static bool take_one(struct json_object *container, struct json_object *resource, int64_t wanted) {
  const char *name = json_str(resource, "name", "");
  struct json_object *quantity = json_get(resource, "quantity");
  const char *text = quantity ? json_object_get_string(quantity) : "1";
  struct json_object *resources = json_ensure(container, "resources");
  char more[24];

  if (is_device(name) && wanted > count_of(quantity)) {
    (void)snprintf(more, sizeof(more), "%lld", (long long)wanted);
    text = more;
  }
  for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
    struct json_object *map = resources ? json_ensure(resources, kinds[k]) : NULL;
    if (!map || json_object_object_add(map, name, json_object_new_string(text)) != 0)
      return false;
  }
  return true;
}

static bool has_device(struct json_object *list) {
  for (size_t i = 0; i < json_len(list); i++)
    if (is_device(json_str(json_index(list, i), "name", "")))
      return true;
  return false;
}

bool devices_take(struct json_object *container, struct json_object *class) {
  struct json_object *list = json_at(class, "spec.resources");
  int64_t wanted = devices_of(container);

  for (size_t k = 0; has_device(list) && k < ARRAY_LEN(kinds); k++)
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
      struct json_object *map = json_get(json_get(container, "resources"), kinds[k]);
      if (json_get(map, names[i]))
        json_object_object_del(map, names[i]);
    }
  for (size_t i = 0; i < json_len(list); i++)
    if (!take_one(container, json_index(list, i), wanted))
      return false;
  return true;
}
