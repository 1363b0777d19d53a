/* Which AcceleratorClass a component gets.  The figures are OME's own test data: h100-80gb, a100-40gb and t4. */
#include "../unit.h"

#include "../documents.h"
#include "base/str.h"
#include "select/accelerator.h"

#include <stdio.h>

#define CLASS(name, family, memory, bandwidth, capability, performance, cost)                                          \
  "{\"metadata\":{\"name\":\"" name "\"},\"spec\":{\"vendor\":\"nvidia\",\"family\":\"" family                         \
  "\",\"capabilities\":{\"memoryGB\":" memory ",\"memoryBandwidthGBps\":\"" bandwidth                                  \
  "\",\"computeCapability\":\"" capability                                                                             \
  "\",\"features\":[\"tensor-cores\",\"NVLink\"],\"performance\":{" performance "}},\"cost\":{" cost "}}}"

static const char classes_text[] =
    "[" CLASS("h100-80gb", "hopper", "\"80Gi\"", "3000", "9.0", "\"fp32Tflops\":67,\"fp16Tflops\":1979,\"int8Tops\":3958,\"int4Tops\":7916", "\"perHour\":\"4\",\"spotPerHour\":\"2\"") "," CLASS(
        "a100-40gb", "ampere", "\"40Gi\"", "1555", "8.0",
        "\"fp32Tflops\":19,\"fp16Tflops\":312,\"int8Tops\":"
        "624",
        "\"perHour\":\"2\",\"spotPerHour\":\"1\"") "," CLASS("t4", "turing", "\"16Gi\"", "320", "7.5",
                                                             "\"fp32Tflops\":8,\"fp16Tflops\":65,\"int8Tops\":130",
                                                             "\"perHour\":\"1\",\"spotPerHour\":\"0\"") "," CLASS("b200",
                                                                                                                  "blackwell",
                                                                                                                  "180",
                                                                                                                  "8000",
                                                                                                                  "10.0",
                                                                                                                  "\"fp16Tflops\":2250",
                                                                                                                  "\"tier\":\"high\"") ","
                                                                                                                                       "{\"metadata\":{\"name\":\"bare\"},\"spec\":{\"capabilities\":{}}}]";

#define ALL3 "[\"h100-80gb\",\"a100-40gb\",\"t4\"]"

static const struct {
  const char *what;
  const char *selector; /* spec.acceleratorSelector */
  const char *list;     /* the runtime's acceleratorClasses */
  const char *class;    /* "": none */
  const char *reason;   /* is in the reason */
} cases[] = {
    {"nothing asked for", "{}", ALL3, "", ""},
    {"a name", "{\"acceleratorClass\":\"t4\"}", ALL3, "t4", "names it"},
    {"a name that is not there", "{\"acceleratorClass\":\"t5\"}", ALL3, "", "accelerator class t5 not found"},
    {"a runtime without classes", "{\"policy\":\"BestFit\"}", "[]", "", "lists no acceleratorRequirements"},
    {"a class that is not there is left out", "{\"policy\":\"FirstAvailable\"}", "[\"x\",\"t4\"]", "t4",
     "x (there is no such AcceleratorClass)"},
    {"no policy of that name", "{\"policy\":\"Fastest\"}", ALL3, "", "write BestFit"},

    {"BestFit of 40", "{\"policy\":\"BestFit\",\"constraints\":{\"minMemory\":40,\"preferredPrecisions\":[\"fp16\"]}}",
     ALL3, "a100-40gb", "the best fit with 1.000"},
    {"BestFit of 80", "{\"policy\":\"BestFit\",\"constraints\":{\"minMemory\":80}}", ALL3, "h100-80gb", "only one"},
    {"BestFit without constraints", "{\"policy\":\"BestFit\"}", ALL3, "h100-80gb", "1.000"},
    {"BestFit: a precision without figures halves the next",
     "{\"policy\":\"BestFit\",\"constraints\":{\"preferredPrecisions\":[\"int4\",\"fp16\"]}}", "[\"t4\",\"h100-80gb\"]",
     "h100-80gb", "compute 1.000"},
    {"MostCapable between 16 and 50",
     "{\"policy\":\"MostCapable\",\"constraints\":{\"minMemory\":16,\"maxMemory\":50}}", ALL3, "a100-40gb",
     "h100-80gb (its memory of 80 GiB is above maxMemory 50)"},
    {"MostCapable", "{\"policy\":\"MostCapable\"}", ALL3, "h100-80gb", "with 1.000"},
    {"Cheapest: a spot price of 0 is a price", "{\"policy\":\"Cheapest\"}", ALL3, "t4", "0.00 an hour"},
    {"Cheapest leaves out what has no price of that kind", "{\"policy\":\"Cheapest\"}", "[\"b200\",\"h100-80gb\"]",
     "h100-80gb", "2.00 an hour"},
    {"Cheapest by tier", "{\"policy\":\"Cheapest\"}", "[\"b200\",\"bare\"]", "b200", "as tier"},
    {"a single class needs no price", "{\"policy\":\"Cheapest\",\"constraints\":{\"excludedClasses\":[\"b200\"]}}",
     "[\"bare\",\"b200\"]", "bare", "only one"},
    {"FirstAvailable is the runtime's order", "{\"policy\":\"FirstAvailable\"}", "[\"t4\",\"h100-80gb\"]", "t4",
     "first"},
    {"listed twice is listed once", "{\"policy\":\"FirstAvailable\"}", "[\"t4\",\"t4\"]", "t4", "only one"},

    {"a plain number is GiB", "{\"policy\":\"FirstAvailable\",\"constraints\":{\"minMemory\":180}}",
     "[\"t4\",\"b200\"]", "b200", ""},
    {"10.0 is above 9.0", "{\"policy\":\"FirstAvailable\",\"constraints\":{\"minArchitectureVersion\":\"9.0\"}}",
     "[\"a100-40gb\",\"b200\"]", "b200", "a100-40gb (its compute capability 8.0 is below minArchitectureVersion 9.0)"},
    {"features without regard to case",
     "{\"policy\":\"FirstAvailable\",\"constraints\":{\"requiredFeatures\":[\"nvlink\"]}}", ALL3, "h100-80gb", ""},
    {"a family", "{\"policy\":\"FirstAvailable\",\"constraints\":{\"architectureFamilies\":[\"Turing\"]}}", ALL3, "t4",
     ""},
    {"a vendor and a family",
     "{\"policy\":\"FirstAvailable\",\"constraints\":{\"architectureFamilies\":[\"nvidia-ampere\"]}}", ALL3,
     "a100-40gb", "h100-80gb (its family hopper is not in architectureFamilies)"},
    {"no memory stated", "{\"policy\":\"BestFit\",\"constraints\":{\"minMemory\":1}}", "[\"bare\"]", "",
     "capabilities.memoryGB is not stated"},
    {"min above max", "{\"policy\":\"BestFit\",\"constraints\":{\"minMemory\":9,\"maxMemory\":8}}", "[\"t4\"]", "",
     "minMemory 9 is above maxMemory 8"},
};

static struct json_object *spec_of(const char *key, const char *arg) {
  char text[1024];

  (void)snprintf(text, sizeof(text), "{\"spec\":{\"%s\":%s}}", key, arg);
  return parse(text);
}

static void chooses(void **state) {
  struct json_object *classes = parse(classes_text);

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    char list[256];
    (void)snprintf(list, sizeof(list), "{\"acceleratorClasses\":%s}", cases[i].list);
    struct json_object *service = spec_of("acceleratorSelector", cases[i].selector);
    struct json_object *runtime = spec_of("acceleratorRequirements", list);
    struct accelerator_choice c;
    accelerator_choose(service, "engine", runtime, classes, &c);
    if (!streq(json_str(c.class, "metadata.name", ""), cases[i].class) || !strstr(c.reason, cases[i].reason))
      fail_msg("%s: \"%s\": %s", cases[i].what, json_str(c.class, "metadata.name", ""), c.reason);
    accelerator_choose(service, "router", runtime, classes, &c);
    assert_null(c.class);
    json_unref(service);
    json_unref(runtime);
  }
  json_unref(classes);
}

/* What a component says goes before what the service says; constraints are the service's. */
static void components_choose_for_themselves(void **state) {
  struct json_object *classes = parse(classes_text);
  struct json_object *runtime = parse("{\"spec\":{\"acceleratorRequirements\":{\"acceleratorClasses\":" ALL3 "}}}");
  struct json_object *service =
      parse("{\"spec\":{\"acceleratorSelector\":{\"policy\":\"MostCapable\",\"constraints\":{\"excludedClasses\":"
            "[\"t4\"]}},\"engine\":{\"acceleratorOverride\":{\"policy\":\"Cheapest\"}},\"decoder\":{}}}");
  struct accelerator_choice c;

  (void)state;
  accelerator_choose(service, "engine", runtime, classes, &c);
  assert_string_equal(json_str(c.class, "metadata.name", ""), "a100-40gb");
  accelerator_choose(service, "decoder", runtime, classes, &c);
  assert_string_equal(json_str(c.class, "metadata.name", ""), "h100-80gb");
  json_unref(service);
  json_unref(runtime);
  json_unref(classes);
}

/* Classes a, b and c as they stand, where available is "nodes" or "nodes/free". */
static const struct {
  const char *what;
  int64_t nodes[3], left[3]; /* left < 0: nobody has counted */
  const char *engine;        /* the service's engine */
  const char *status;        /* the service's */
  const char *class;
  const char *reason;
} moments[] = {
    {"one with nodes", {0, 2, 2}, {-1, -1, -1}, "{}", "{}", "b", "has nodes (2)"},
    {"none has nodes", {0, 0, 0}, {-1, -1, -1}, "{}", "{}", "a", "none is known to have nodes"},
    {"one with a free device", {2, 2, 2}, {0, 1, 9}, "{}", "{}", "b", "enough free (1; a pod takes 1)"},
    {"free on a cordoned node's class only", {1, 1, 1}, {0, 0, 0}, "{}", "{}", "a", "none has 1 free"},
    {"as many as a pod takes",
     {2, 2, 2},
     {4, 7, 8},
     "{\"runner\":{\"resources\":{\"limits\":{\"nvidia.com/gpu\":\"8\"}}}}",
     "{}",
     "c",
     "enough free (8; a pod takes 8)"},
    {"what the runtime's pods take", {2, 2, 2}, {1, 2, 8}, "{\"runtime\":1}", "{}", "b", "a pod takes 2"},
    {"it stays where it is",
     {2, 2, 2},
     {9, 9, 0},
     "{}",
     "{\"selection\":{\"selected\":{\"runtime\":\"r\"}},\"components\":{\"engine\":{\"selectedAccelerator\":"
     "{\"acceleratorClass\":\"c\"}}}}",
     "c",
     "on this one already"},
    {"but not where no node is left",
     {2, 2, 0},
     {9, 9, 0},
     "{}",
     "{\"selection\":{\"selected\":{\"runtime\":\"r\"}},\"components\":{\"engine\":{\"selectedAccelerator\":"
     "{\"acceleratorClass\":\"c\"}}}}",
     "a",
     "enough free (9"},
    {"nor with another runtime",
     {2, 2, 2},
     {9, 9, 9},
     "{}",
     "{\"selection\":{\"selected\":{\"runtime\":\"other\"}},\"components\":{\"engine\":{\"selectedAccelerator\":"
     "{\"acceleratorClass\":\"c\"}}}}",
     "a",
     "enough free (9"},
};

static struct json_object *classes_at(const int64_t *nodes, const int64_t *left) {
  struct json_object *classes = parse("[{\"metadata\":{\"name\":\"a\"}},{\"metadata\":{\"name\":\"b\"}},"
                                      "{\"metadata\":{\"name\":\"c\"}}]");

  for (size_t i = 0; i < 3; i++) {
    assert_true(json_set_i64(json_index(classes, i), "status.availableNodes", nodes[i]));
    if (left[i] >= 0)
      assert_true(json_set_i64(json_index(classes, i), "status.availableAccelerators", left[i]));
  }
  return classes;
}

static void first_available_is_available(void **state) {
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
    bool by_runtime = strstr(moments[i].engine, "runtime") != NULL;
    char text[1024];
    struct json_object *classes = classes_at(moments[i].nodes, moments[i].left);
    struct json_object *runtime =
        parse(by_runtime ? "{\"metadata\":{\"name\":\"r\"},\"spec\":{\"engineConfig\":{\"runner\":{\"resources\":{"
                           "\"requests\":{\"cpu\":\"9\",\"nvidia.com/gpu\":2}}}},\"acceleratorRequirements\":{"
                           "\"acceleratorClasses\":[\"a\",\"b\",\"c\"]}}}"
                         : "{\"metadata\":{\"name\":\"r\"},\"spec\":{\"acceleratorRequirements\":{"
                           "\"acceleratorClasses\":[\"a\",\"b\",\"c\"]}}}");
    (void)snprintf(text, sizeof(text),
                   "{\"spec\":{\"acceleratorSelector\":{\"policy\":\"FirstAvailable\"},\"engine\":%s},\"status\":%s}",
                   moments[i].engine, moments[i].status);
    struct json_object *service = parse(text);
    struct accelerator_choice c;
    accelerator_choose(service, "engine", runtime, classes, &c);
    if (!streq(json_str(c.class, "metadata.name", ""), moments[i].class) || !strstr(c.reason, moments[i].reason))
      fail_msg("%s: \"%s\": %s", moments[i].what, json_str(c.class, "metadata.name", ""), c.reason);
    json_unref(service);
    json_unref(runtime);
    json_unref(classes);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(chooses),
      cmocka_unit_test(components_choose_for_themselves),
      cmocka_unit_test(first_available_is_available),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
