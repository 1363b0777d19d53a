#include "compose/devices.h"

#include "base/quantity.h"
#include "base/str.h"
#include "select/vendor.h"

#include <stdio.h>

static const char *const kinds[] = {"limits", "requests"};

/* One of the class's resources; WANTED is what the container asked for in devices. */
static bool take_one(struct json_object *container, struct json_object *resource, int64_t wanted) {
  const char *name = json_str(resource, "name", "");
  struct json_object *quantity = json_get(resource, "quantity");
  const char *text = quantity ? json_object_get_string(quantity) : "1";
  struct json_object *resources = json_ensure(container, "resources");
  int64_t stated = 1;
  char more[24];

  if (quantity && !quantity_value(text, &stated))
    stated = 0;
  if (vendor_is_device(name) && wanted > stated) {
    (void)snprintf(more, sizeof(more), "%lld", (long long)wanted);
    text = more;
  }
  for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
    struct json_object *map = resources ? json_ensure(resources, kinds[k]) : NULL;
    if (!map || !json_put_str(map, name, text))
      return false;
  }
  return true;
}

static bool has_device(struct json_object *list) {
  for (size_t i = 0; i < json_len(list); i++)
    if (vendor_is_device(json_str(json_index(list, i), "name", "")))
      return true;
  return false;
}

static void drop_devices(struct json_object *map) {
  if (!json_is(map, json_type_object))
    return;
  json_object_object_foreach (map, name, unused) {
    (void)unused;
    if (vendor_is_device(name))
      json_object_object_del(map, name);
  }
}

bool devices_take(struct json_object *container, struct json_object *class) {
  struct json_object *list = json_at(class, "spec.resources");
  int64_t wanted = vendor_devices_of(container);

  for (size_t k = 0; has_device(list) && k < ARRAY_LEN(kinds); k++)
    drop_devices(json_get(json_get(container, "resources"), kinds[k]));
  for (size_t i = 0; i < json_len(list); i++)
    if (!take_one(container, json_index(list, i), wanted))
      return false;
  return true;
}
