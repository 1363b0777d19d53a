/* When a server-side apply is needed, and when it is not. */
#include "../unit.h"

#include "../documents.h"
#include "controller/diff.h"

#define OWNED(fields) "metadata: {managedFields: [{manager: me, operation: Apply, fieldsV1: " fields "}]}\n"

static const struct {
  const char *what;
  const char *want;
  const char *live;
  bool needed;
} cases[] = {
    {"equal", "spec: {a: 1}", OWNED("{'f:spec': {'f:a': {}}}") "spec: {a: 1}", false},
    {"others' fields and defaults", "spec: {a: 1}", OWNED("{'f:spec': {'f:a': {}}}") "spec: {a: 1, b: 2}", false},
    {"edited by hand", "spec: {a: 1}", OWNED("{'f:spec': {'f:a': {}}}") "spec: {a: 2}", true},
    {"removed by hand", "spec: {a: 1}", OWNED("{'f:spec': {'f:a': {}}}") "spec: {}", true},
    {"not ours yet", "spec: {a: 1}", "spec: {a: 1}", true},
    {"somebody else's", "spec: {a: 1}",
     "metadata: {managedFields: [{manager: me, operation: Update, fieldsV1: {'f:spec': {'f:a': {}}}}]}\nspec: {a: 1}",
     true},
    {"wanted no more", "spec: {a: 1}", OWNED("{'f:spec': {'f:a': {}, 'f:b': {}}}") "spec: {a: 1, b: 2}", true},
    {"quantities by value", "l: {cpu: 1, memory: 1Gi}", OWNED("{'f:l': {}}") "l: {cpu: 1000m, memory: 1024Mi}", false},
    {"quantities that differ", "l: {cpu: 2}", OWNED("{'f:l': {}}") "l: {cpu: 1000m}", true},
    {"empty is absent", "a: {}\nb: []\nc: ''", OWNED("{'f:a': {}, 'f:b': {}, 'f:c': {}}"), false},
    {"false is not absent", "a: false", OWNED("{'f:a': {}}"), true},
    {"scalars in order", "args: [a, b]", OWNED("{'f:args': {}}") "args: [b, a]", true},
    {"another argument", "args: [a]", OWNED("{'f:args': {}}") "args: [a, b]", true},
    {"an element of somebody else's", "env: [{name: A, value: x}]",
     OWNED(
         "{'f:env': {'k:{\"name\":\"A\"}': {'f:name': {}, 'f:value': {}}}}") "env: [{name: Z, value: z}, {name: A, value: x}]",
     false},
    {"an element wanted no more", "env: [{name: A}]",
     OWNED("{'f:env': {'k:{\"name\":\"A\"}': {}, 'k:{\"name\":\"B\"}': {}}}") "env: [{name: A}, {name: B}]", true},
    {"a key left to its default", "ports: [{containerPort: 80}]",
     OWNED(
         "{'f:ports': {'k:{\"containerPort\":80,\"protocol\":\"TCP\"}': {'f:containerPort': {}}}}") "ports: [{containerPort: 80, protocol: TCP}]",
     false},
    {"a set's element", "metadata: {finalizers: [a]}",
     "metadata: {finalizers: [a], managedFields: [{manager: me, operation: Apply, fieldsV1: {'f:metadata': "
     "{'f:finalizers': {'v:\"a\"': {}, 'v:\"b\"': {}}}}}]}",
     true},
};

static void needs_an_apply(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
    struct json_object *want = yaml(cases[i].want);
    struct json_object *live = yaml(cases[i].live);
    if (diff_apply_needed(want, live, "me") != cases[i].needed)
      fail_msg("%s", cases[i].what);
    json_unref(want);
    json_unref(live);
  }
  struct json_object *want = yaml("a: 1");
  assert_true(diff_apply_needed(want, NULL, "me"));
  json_unref(want);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(needs_an_apply)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
