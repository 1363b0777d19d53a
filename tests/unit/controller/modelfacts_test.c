/* What an agent found out completes a model's spec and overrules nobody. */
#include "../unit.h"

#include "../documents.h"
#include "controller/modelfacts.h"

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
    {"spec: {modelConfiguration: {model_type: mine}}", "{decodedModelConfiguration: {model_type: llama}}",
     "spec: {modelConfiguration: {model_type: llama}}", true},
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

/* What is given and what the files say; NULL: they agree. */
static const struct {
  const char *spec, *config, *says;
} pairs[] = {
    {"{}", "{modelType: llama, maxTokens: 4096}", NULL},
    {"{modelType: llama}", "{}", NULL},
    {"{modelType: mine}", "{modelType: llama}", "spec.modelType is mine, the files say llama"},
    {"{maxTokens: 8192, quantization: int4}", "{maxTokens: 4096, quantization: fp8}",
     "spec.quantization is int4, the files say fp8; spec.maxTokens is 8192, the files say 4096"},
    {"{modelParameterSize: 7B}", "{modelParameterSize: 7.62B}", NULL},
    {"{modelParameterSize: 8B}", "{modelParameterSize: 7.62B}", NULL},
    {"{modelParameterSize: 7.6B}", "{modelParameterSize: 7.62B}", NULL},
    {"{modelParameterSize: 630M}", "{modelParameterSize: 0.63B}", NULL},
    {"{modelParameterSize: 9B}", "{modelParameterSize: 7.62B}", "spec.modelParameterSize is 9B, the files say 7.62B"},
    {"{modelParameterSize: 7.7B}", "{modelParameterSize: 7.62B}",
     "spec.modelParameterSize is 7.7B, the files say 7.62B"},
    {"{modelParameterSize: large}", "{modelParameterSize: 7.62B}",
     "spec.modelParameterSize is large, the files say 7.62B"},
    {"{modelCapabilities: [CHAT]}", "{modelCapabilities: [TEXT_TO_TEXT]}", NULL},
    {"{modelCapabilities: [TEXT_TO_TEXT, VISION]}", "{modelCapabilities: [IMAGE_TEXT_TO_TEXT]}", NULL},
    {"{modelCapabilities: [TEXT_TO_TEXT]}", "{modelCapabilities: [EMBEDDING]}",
     "spec.modelCapabilities is [ \"TEXT_TO_TEXT\" ], the files say [ \"EMBEDDING\" ]"},
    {"{apiCapabilities: [OPENAI_V1_CHAT_COMPLETIONS, OPENAI_V1_REALTIME]}",
     "{apiCapabilities: [OPENAI_V1_CHAT_COMPLETIONS, OPENAI_V1_RESPONSES]}", NULL},
    {"{apiCapabilities: [OPENAI_V1_EMBEDDINGS]}", "{apiCapabilities: [OPENAI_V1_CHAT_COMPLETIONS]}",
     "spec.apiCapabilities is [ \"OPENAI_V1_EMBEDDINGS\" ], the files say [ \"OPENAI_V1_CHAT_COMPLETIONS\" ]"},
    {"{modelFormat: {name: onnx}, modelFramework: {name: f, version: '1'}}",
     "{modelFormat: {name: gguf}, modelFramework: {name: f, version: '2'}}",
     "spec.modelFormat.name is onnx, the files say gguf; spec.modelFramework.version is 1, the files say 2"},
};

static void tells_what_disagrees(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
    _cleanup_json_ struct json_object *model = json_object_new_object();
    _cleanup_json_ struct json_object *config = yaml(pairs[i].config);
    _cleanup_buf_ struct buf said = BUF_INIT;
    assert_true(json_set(model, "spec", yaml(pairs[i].spec)));
    bool differs = model_disagreement(model, config, &said);
    assert_int_equal(differs, pairs[i].says != NULL);
    assert_string_equal(buf_str(&said), pairs[i].says ? pairs[i].says : "");
  }
}

/* A FineTunedWeight's spec, its base model's address, what the files say; the spec then, and what is said against it.
 */
static const struct {
  const char *spec, *base, *config, *want, *says;
} trained[] = {
    {"{hyperParameters: {}}", "hf://org/base@main",
     "{modelType: lora, adapter: {peft_type: LORA, r: 8, base_model_name_or_path: Org/Base}}",
     "{hyperParameters: {strategy: lora}, configuration: {peft_type: LORA, r: 8, base_model_name_or_path: Org/Base}}",
     NULL},
    {"{hyperParameters: {strategy: LoRA}, configuration: {r: 4, merged_weights: true}}", "hf://org/base",
     "{adapter: {peft_type: LORA, r: 8}}",
     "{hyperParameters: {strategy: LoRA}, configuration: {r: 4, merged_weights: true, peft_type: LORA}}",
     "spec.configuration.r is 4, the files say 8"},
    {"{baseModelRef: {name: b}, hyperParameters: {strategy: tfew}}", "hf://org/base",
     "{adapter: {peft_type: LORA, base_model_name_or_path: org/other}}",
     "{baseModelRef: {name: b}, hyperParameters: {strategy: tfew}, "
     "configuration: {peft_type: LORA, base_model_name_or_path: org/other}}",
     "spec.hyperParameters.strategy is tfew, the files say LORA; spec.baseModelRef is b, from hf://org/base; the files "
     "are for org/other"},
    /* a folder of whoever trained it, or a model from elsewhere, can be the same */
    {"{hyperParameters: {strategy: lora}}", "hf://org/base",
     "{adapter: {peft_type: LORA, base_model_name_or_path: /home/me/base}}",
     "{hyperParameters: {strategy: lora}, configuration: {peft_type: LORA, base_model_name_or_path: /home/me/base}}",
     NULL},
    {"{hyperParameters: {strategy: lora}}", "s3://bucket/base",
     "{adapter: {peft_type: LORA, base_model_name_or_path: org/base}}",
     "{hyperParameters: {strategy: lora}, configuration: {peft_type: LORA, base_model_name_or_path: org/base}}", NULL},
    {"{hyperParameters: {strategy: lora}}", "hf://org/base", "{modelType: llama}",
     "{hyperParameters: {strategy: lora}}", NULL},
};

static void compares_weights(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof(trained) / sizeof(*trained); i++) {
    _cleanup_json_ struct json_object *weights = json_object_new_object();
    _cleanup_json_ struct json_object *base = json_object_new_object();
    _cleanup_json_ struct json_object *config = yaml(trained[i].config);
    _cleanup_json_ struct json_object *want = yaml(trained[i].want);
    _cleanup_buf_ struct buf said = BUF_INIT;
    bool changed;
    assert_true(json_set(weights, "spec", yaml(trained[i].spec)));
    assert_true(json_set_str(base, "spec.storage.storageUri", trained[i].base));
    assert_true(weights_fill_spec(weights, config, &changed));
    if (!json_equal(json_get(weights, "spec"), want))
      fail_msg("%zu: %s", i, json_object_to_json_string(weights));
    bool differs = weights_disagreement(weights, base, config, &said);
    assert_int_equal(differs, trained[i].says != NULL);
    assert_string_equal(buf_str(&said), trained[i].says ? trained[i].says : "");
    assert_true(weights_fill_spec(weights, config, &changed));
    assert_false(changed);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(fills_in_what_is_open), cmocka_unit_test(tells_what_disagrees),
                                     cmocka_unit_test(compares_weights)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
