/* Older forms become the present one; placeholders are filled in. */
#include "../unit.h"

#include "../documents.h"
#include "base/str.h"
#include "compose/fold.h"
#include "compose/placeholder.h"

typedef int32_t fold_fn(struct json_object *in, struct json_object **out, struct ome_err *err);

static void check(fold_fn *fold, const char *in, const char *want) {
  struct json_object *i = yaml(in);
  struct json_object *w = yaml(want);
  struct json_object *before = json_copy(i);
  struct json_object *got = NULL;
  struct ome_err err = ERR_INIT;

  assert_int_equal(fold(i, &got, &err), OME_OK);
  if (!json_equal(got, w))
    fail_msg("got  %s\nwant %s", json_object_to_json_string(got), json_object_to_json_string(w));
  assert_true(json_equal(i, before));
  json_unref(i);
  json_unref(w);
  json_unref(before);
  json_unref(got);
}

static void folds_a_predictor(void **state) {
  (void)state;
  check(fold_service, "spec: {model: {name: m}, engine: {minReplicas: 2}}",
        "spec: {model: {name: m}, engine: {minReplicas: 2}}");
  check(fold_service, "spec: {predictor: {}, model: {name: m}, engine: {}}", "spec: {model: {name: m}, engine: {}}");
  check(fold_service,
        "spec: {predictor: {minReplicas: 1, model: {baseModel: m, runtime: r, protocolVersion: openAI}, containers: "
        "[{name: side}, {name: ome-container, image: i}]}}",
        "spec: {engine: {minReplicas: 1, containers: [{name: side}], runner: {name: ome-container, image: i, env: "
        "[{name: PROTOCOL_VERSION, value: openAI}]}}, model: {name: m}, runtime: {name: r}}");
  check(fold_service,
        "spec: {predictor: {model: {baseModel: m, name: c, image: i, storageUri: 'hf://x'}, workerSpec: {size: 1}}}",
        "spec: {engine: {worker: {size: 1}, runner: {name: c, image: i, env: [{name: STORAGE_URI, value: 'hf://x'}]}},"
        " model: {name: m}}");
  check(fold_service, "spec: {predictor: {model: {baseModel: m}}}", "spec: {engine: {}, model: {name: m}}");
}

static void folds_an_old_runtime(void **state) {
  (void)state;
  check(fold_runtime, "spec: {engineConfig: {runner: {name: a}}, containers: [{name: a}]}",
        "spec: {engineConfig: {runner: {name: a}}, containers: [{name: a}]}");
  check(fold_runtime,
        "spec: {containers: [{name: first}, {name: my-ome}], hostIPC: true, labels: {a: b}, disabled: false}",
        "spec: {containers: [{name: first}, {name: my-ome}], hostIPC: true, labels: {a: b}, disabled: false, "
        "engineConfig: {containers: [{name: first}], hostIPC: true, labels: {a: b}, runner: {name: my-ome}}}");
}

static void fills_placeholders_in(void **state) {
  struct json_object *service =
      yaml("metadata: {name: n, namespace: ns, labels: {'a.b/c': v}, annotations: {x: '{{.Name}}'}}");
  struct json_object *o = yaml("args: ['--name={{.Name}}', '{{ .Namespace }}', '{{.Labels.a.b/c}}', "
                               "'{{.Annotations.x}}', '{{ m.content }} {{.Name}}', '{{.Labels.none}}', '{{', '$(X)']\n"
                               "n: 1\n");
  struct json_object *want = yaml("args: ['--name=n', ns, v, '{{.Name}}', '{{ m.content }} n', '{{.Labels.none}}', "
                                  "'{{', '$(X)']\nn: 1\n");

  (void)state;
  assert_true(placeholders_expand(o, service));
  if (!json_equal(o, want))
    fail_msg("%s", json_object_to_json_string(o));
  json_unref(service);
  json_unref(o);
  json_unref(want);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(folds_a_predictor),
      cmocka_unit_test(folds_an_old_runtime),
      cmocka_unit_test(fills_placeholders_in),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
