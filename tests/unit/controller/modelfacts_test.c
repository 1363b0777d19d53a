/* What an agent found out completes a model's spec and overrules nobody. */
#include "../unit.h"

#include "base/yaml.h"
#include "controller/modelfacts.h"

static struct json_object *yaml(const char *text) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  if (yaml_parse_one("test", text, strlen(text), &o, &err) != OME_OK)
    fail_msg("%s", err.msg);
  return o;
}

static const struct {
  const char *model;
  const char *config;
  const char *want;
  bool changed;
} cases[] = {
    {"spec: {}",
     "{modelType: llama, modelArchitecture: A, modelParameterSize: 8B, maxTokens: 4096, quantization: fp8, "
     "modelCapabilities: [TEXT_TO_TEXT], modelFormat: {name: gguf, version: '3'}, modelFramework: {name: f, version: v}}",
     "spec: {modelType: llama, modelArchitecture: A, modelParameterSize: 8B, maxTokens: 4096, quantization: fp8, "
     "modelCapabilities: [TEXT_TO_TEXT], modelFormat: {name: gguf, version: '3'}, modelFramework: {name: f, version: v}}",
     true},
    {"spec: {modelType: mine, modelFormat: {name: onnx}, modelFramework: {name: x}}",
     "{modelType: llama, modelFormat: {name: gguf, version: '3'}, modelFramework: {name: f, version: v}}",
     "spec: {modelType: mine, modelFormat: {name: onnx}, modelFramework: {name: x}}", false},
    {"spec: {modelFormat: {name: gguf}}", "{modelFormat: {name: gguf, version: '3'}}",
     "spec: {modelFormat: {name: gguf, version: '3'}}", true},
    {"spec: {modelType: ''}", "{modelType: llama, maxTokens: 0, modelCapabilities: [], modelFramework: {name: ''}}",
     "spec: {modelType: llama}", true},
};

static void fills_in_what_is_open(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
    struct json_object *model = yaml(cases[i].model);
    struct json_object *config = yaml(cases[i].config);
    struct json_object *want = yaml(cases[i].want);
    bool changed;
    assert_true(model_fill_spec(model, config, &changed));
    if (!json_equal(model, want) || changed != cases[i].changed)
      fail_msg("%zu: %s", i, json_object_to_json_string(model));
    json_unref(model);
    json_unref(config);
    json_unref(want);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(fills_in_what_is_open)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
