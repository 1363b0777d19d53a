/* Who decides how many devices a container asks for, and under which name. */
#include "../unit.h"

#include "../documents.h"

#include "compose/devices.h"

#include "base/str.h"
#include "select/vendor.h"

static const struct {
  const char *what;
  const char *container;
  const char *class; /* resources */
  const char *limits;
} cases[] = {
    {"the class's number where nothing is asked for", "{}", "[{\"name\":\"nvidia.com/gpu\",\"quantity\":\"2\"}]",
     "{\"nvidia.com/gpu\":\"2\"}"},
    {"a class without a number is of one", "{}", "[{\"name\":\"nvidia.com/gpu\"}]", "{\"nvidia.com/gpu\":\"1\"}"},
    {"the larger number stays", "{\"resources\":{\"limits\":{\"nvidia.com/gpu\":8}}}",
     "[{\"name\":\"nvidia.com/gpu\",\"quantity\":\"1\"}]", "{\"nvidia.com/gpu\":\"8\"}"},
    {"the class asks for more", "{\"resources\":{\"requests\":{\"nvidia.com/gpu\":\"1\"}}}",
     "[{\"name\":\"nvidia.com/gpu\",\"quantity\":\"4\"}]", "{\"nvidia.com/gpu\":\"4\"}"},
    {"another vendor's name, the same number", "{\"resources\":{\"limits\":{\"cpu\":\"4\",\"nvidia.com/gpu\":\"8\"}}}",
     "[{\"name\":\"amd.com/gpu\",\"quantity\":\"1\"}]", "{\"cpu\":\"4\",\"amd.com/gpu\":\"8\"}"},
    {"a slice instead of a device", "{\"resources\":{\"limits\":{\"nvidia.com/gpu\":\"1\"}}}",
     "[{\"name\":\"nvidia.com/mig-3g.40gb\"}]", "{\"nvidia.com/mig-3g.40gb\":\"1\"}"},
    {"what is no device is the class's", "{\"resources\":{\"limits\":{\"nvidia.com/gpu\":\"8\",\"memory\":\"1Gi\"}}}",
     "[{\"name\":\"memory\",\"quantity\":\"2Gi\"}]", "{\"nvidia.com/gpu\":\"8\",\"memory\":\"2Gi\"}"},
};

static void takes_devices(void **state) {
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct json_object *container = parse(cases[i].container), *class = json_object_new_object();
    struct json_object *want = parse(cases[i].limits);
    assert_true(json_set(class, "spec.resources", parse(cases[i].class)));
    assert_true(devices_take(container, class));
    if (!json_equal(json_at(container, "resources.limits"), want))
      fail_msg("%s: %s", cases[i].what, json_object_to_json_string(container));
    json_unref(container);
    json_unref(class);
    json_unref(want);
  }
}

static void takes_none_without_a_class(void **state) {
  struct json_object *container = parse("{\"resources\":{\"limits\":{\"nvidia.com/gpu\":\"8\"}}}");

  (void)state;
  assert_true(devices_take(container, NULL));
  assert_int_equal(vendor_devices_of(container), 8);
  json_unref(container);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(takes_devices), cmocka_unit_test(takes_none_without_a_class)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
