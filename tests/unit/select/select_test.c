/* Which runtime wins, and what is said of the others. */
#include "../unit.h"

#include "../documents.h"
#include "base/str.h"
#include "select/select.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- kit --------------------------------------------------------------------------------------------------------- */

static int32_t call_factory(void *arg, const struct ome_score_req *req, struct ome_term_sink *out,
                            struct ome_err *err) {
  const struct ome_scorer_ops *const *ops = arg;
  struct ome_call call = {.struct_size = sizeof(call)};

  return (*ops)->score(NULL, &call, req, out, err);
}

static const struct ome_scorer_ops *tables[16];

static size_t all_scorers(struct select_scorer out[16]) {
  const struct ome_factory *const *f = ome_plugin_v1()->factories;
  size_t n = 0;

  for (; f[n]; n++) {
    tables[n] = f[n]->ops;
    out[n] =
        (struct select_scorer){.name = f[n]->name, .score = call_factory, .arg = &tables[n], .caps = tables[n]->caps};
  }
  return n;
}

/* new; the caller frees the documents after the selection. */
static struct selection *choose(struct json_object *service, struct json_object *model, struct json_object *runtimes) {
  struct select_scorer scorers[16];
  struct selection *s = NULL;
  struct ome_err err = ERR_INIT;
  struct select_request req = {.service = service, .ns = "team", .model = model, .runtimes = runtimes};

  req.nscorers = all_scorers(scorers);
  req.scorers = scorers;
  if (select_runtime(&req, &s, &err) != OME_OK)
    fail_msg("%s", err.msg);
  return s;
}

static const char *winner(const struct selection *s) {
  return s->chosen ? s->chosen->runtime->facts.name : "";
}

#define MODEL(spec) "{\"kind\":\"ClusterBaseModel\",\"metadata\":{\"name\":\"m\"},\"spec\":{" spec "}}"
#define CSR(name, spec) "{\"kind\":\"ClusterServingRuntime\",\"metadata\":{\"name\":\"" name "\"},\"spec\":{" spec "}}"
#define SR(name, ns, spec)                                                                                             \
  "{\"kind\":\"ServingRuntime\",\"metadata\":{\"name\":\"" name "\",\"namespace\":\"" ns "\"},\"spec\":{" spec "}}"
#define FORMATS(...) "\"supportedModelFormats\":[" __VA_ARGS__ "]"
#define LLAMA "\"modelFormat\":{\"name\":\"safetensors\"},\"modelArchitecture\":\"LlamaForCausalLM\""
#define AUTO "\"autoSelect\":true"
#define SIZES(min, max) "\"modelSizeRange\":{\"min\":\"" min "\",\"max\":\"" max "\"}"

/* ---- one model, some runtimes, the winner ------------------------------------------------------------------------ */

struct choice {
  const char *what;
  const char *model;
  const char *runtimes;
  const char *winner;
  int64_t score;
};

static const struct choice choices[] = {
    {"the only one", MODEL(LLAMA), "[" CSR("a", FORMATS("{" LLAMA "," AUTO "}")) "]", "a", 1},
    {"priority multiplies", MODEL(LLAMA),
     "[" CSR("a", FORMATS("{" LLAMA "," AUTO ",\"priority\":2}")) "," CSR(
         "b", FORMATS("{" LLAMA "," AUTO ",\"priority\":3}")) "]",
     "b", 3},
    {"a weight of 0 is OME's 10 and 5",
     MODEL("\"modelFormat\":{\"name\":\"safetensors\"},\"modelFramework\":{\"name\":\"transformers\"}"),
     "[" CSR("a", FORMATS("{\"modelFormat\":{\"name\":\"safetensors\",\"weight\":0},\"modelFramework\":{\"name\":"
                          "\"transformers\",\"weight\":0}," AUTO ",\"priority\":3}")) "]",
     "a", 45},
    {"namespaced goes before cluster scope, whatever the score", MODEL(LLAMA),
     "[" CSR("a", FORMATS("{" LLAMA "," AUTO ",\"priority\":9}")) "," SR("z", "team",
                                                                         FORMATS("{" LLAMA "," AUTO "}")) "]",
     "z", 1},
    {"another namespace's is not seen", MODEL(LLAMA),
     "[" CSR("a", FORMATS("{" LLAMA "," AUTO "}")) "," SR("z", "other", FORMATS("{" LLAMA "," AUTO "}")) "]", "a", 1},
    {"names break ties", MODEL(LLAMA),
     "[" CSR("b", FORMATS("{" LLAMA "," AUTO "}")) "," CSR("a", FORMATS("{" LLAMA "," AUTO "}")) "]", "a", 1},
    {"the narrower range is closer", MODEL(LLAMA ",\"modelParameterSize\":\"7B\""),
     "[" CSR("a", FORMATS("{" LLAMA "," AUTO "}") "," SIZES("1B", "13B")) "," CSR(
         "b", FORMATS("{" LLAMA "," AUTO "}") "," SIZES("6B", "8B")) "]",
     "b", 1},
    {"a range is closer than none", MODEL(LLAMA ",\"modelParameterSize\":\"7B\""),
     "[" CSR("a", FORMATS("{" LLAMA "," AUTO "}")) "," CSR("b",
                                                           FORMATS("{" LLAMA "," AUTO "}") "," SIZES("1B", "80B")) "]",
     "b", 1},
    {"range ends are inside", MODEL(LLAMA ",\"modelParameterSize\":\"8B\""),
     "[" CSR("a", FORMATS("{" LLAMA "," AUTO "}") "," SIZES("6B", "8B")) "]", "a", 1},
    {"an open end is open", MODEL(LLAMA ",\"modelParameterSize\":\"700B\""),
     "[" CSR("a", FORMATS("{" LLAMA "," AUTO "}") ",\"modelSizeRange\":{\"min\":\"65B\"}") "]", "a", 1},
    {"an entry's own range counts", MODEL(LLAMA ",\"modelParameterSize\":\"70B\",\"quantization\":\"fp16\""),
     "[" CSR("a", FORMATS("{" LLAMA "," AUTO ",\"priority\":100," SIZES("65B", "75B") "}")) "]", "a", 100},
    {"the format of a Hub checkpoint is assumed",
     MODEL("\"modelArchitecture\":\"LlamaForCausalLM\",\"storage\":{\"storageUri\":\"hf://meta/x\"}"),
     "[" CSR("a", FORMATS("{" LLAMA "," AUTO "}")) "]", "a", 1},
    {"a GGUF says its quantization itself",
     MODEL("\"modelFormat\":{\"name\":\"gguf\",\"version\":\"3\"},\"quantization\":\"Q4_1\""),
     "[" CSR("a", FORMATS("{\"modelFormat\":{\"name\":\"gguf\"}," AUTO "}")) "]", "a", 1},
    {"what states the model's framework goes before what is silent about it",
     MODEL(LLAMA ",\"modelFramework\":{\"name\":\"transformers\"}"),
     "[" SR("a", "team", FORMATS("{" LLAMA "," AUTO ",\"priority\":9}")) "," CSR(
         "b", FORMATS("{" LLAMA ",\"modelFramework\":{\"name\":\"transformers\"}," AUTO "}")) "]",
     "b", 2},
    {"fp16 is no quantization, but what states none either goes first", MODEL(LLAMA ",\"quantization\":\"fp16\""),
     "[" CSR("a", FORMATS("{" LLAMA "," AUTO ",\"priority\":9}")) "," CSR(
         "b", FORMATS("{" LLAMA ",\"quantization\":\"fp16\"," AUTO "}")) "]",
     "b", 1},
    {"one capability of many is enough", MODEL(LLAMA ",\"modelCapabilities\":[\"CHAT\",\"RERANK\"]"),
     "[{\"kind\":\"ClusterServingRuntime\",\"metadata\":{\"name\":\"a\",\"annotations\":{\"ome.io/model-capabilities\":"
     "\"TEXT_TO_TEXT,RERANK\"}},\"spec\":{" FORMATS("{" LLAMA "," AUTO "}") "}}]",
     "a", 1},
    {"only the entry that matches scores", MODEL(LLAMA),
     "[" CSR("a", FORMATS("{" LLAMA "," AUTO "},{\"modelFormat\":{\"name\":\"safetensors\"},\"modelArchitecture\":"
                          "\"X\"," AUTO ",\"priority\":9}")) "]",
     "a", 1},
};

static void chooses(void **state) {
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
    struct json_object *model = parse(choices[i].model);
    struct json_object *runtimes = parse(choices[i].runtimes);
    struct selection *s = choose(NULL, model, runtimes);
    if (!streq(winner(s), choices[i].winner) || s->chosen->score.points != choices[i].score)
      fail_msg("%s: \"%s\" with %lld (%s)", choices[i].what, winner(s),
               s->chosen ? (long long)s->chosen->score.points : 0LL, s->reason);
    selection_free(s);
    json_unref(model);
    json_unref(runtimes);
  }
}

/* ---- rejections -------------------------------------------------------------------------------------------------- */

static const struct {
  const char *model;
  const char *runtime;
  const char *reason; /* is in the answer */
} rejections[] = {
    {MODEL(LLAMA), CSR("a", "\"disabled\":true," FORMATS("{" LLAMA "," AUTO "}")), "runtime is disabled"},
    {MODEL(LLAMA), CSR("a", FORMATS("{" LLAMA "}")), "autoSelect=true"},
    {MODEL(LLAMA), CSR("a", FORMATS("{" LLAMA ",\"autoSelect\":false},{\"modelFormat\":{\"name\":\"onnx\"}," AUTO "}")),
     "autoSelect=false"},
    {MODEL(LLAMA), CSR("a", "\"x\":1"), "no supportedModelFormats"},
    {MODEL(LLAMA), CSR("a", FORMATS("{\"modelFormat\":{\"name\":\"gguf\"}," AUTO "}")),
     "format name mismatch (model=safetensors, runtime=gguf)"},
    {MODEL(LLAMA), CSR("a", FORMATS("{\"modelFormat\":{\"name\":\"safetensors\"}," AUTO "}")),
     "model has architecture LlamaForCausalLM but runtime has no architecture requirement"},
    {MODEL("\"modelFormat\":{\"name\":\"safetensors\"}"), CSR("a", FORMATS("{" LLAMA "," AUTO "}")),
     "model has no architecture but runtime requires LlamaForCausalLM"},
    {MODEL(LLAMA ",\"quantization\":\"fp8\""), CSR("a", FORMATS("{" LLAMA "," AUTO "}")),
     "model has quantization fp8 but runtime has no quantization requirement"},
    {MODEL(LLAMA), CSR("a", FORMATS("{" LLAMA ",\"quantization\":\"int4\"," AUTO "}")),
     "model has no quantization but runtime requires int4"},
    {MODEL(LLAMA ",\"modelParameterSize\":\"8.1B\""), CSR("a", FORMATS("{" LLAMA "," AUTO "}") "," SIZES("6B", "8B")),
     "model size 8.1B is outside supported range [6B, 8B]"},
    {MODEL(LLAMA ",\"modelParameterSize\":\"1B\""),
     CSR("a", FORMATS("{" LLAMA "," AUTO "}") ",\"modelSizeRange\":{\"min\":\"70B\"}"),
     "model size 1B is outside supported range [70B, inf)"},
    {MODEL(LLAMA ",\"modelParameterSize\":\"7B\""), CSR("a", FORMATS("{" LLAMA "," AUTO "}") "," SIZES("9B", "6B")),
     "modelSizeRange.min 9B is above max 6B"},
    {MODEL(LLAMA ",\"modelParameterSize\":\"7B\""), CSR("a", FORMATS("{" LLAMA "," AUTO "}") "," SIZES("seven", "9B")),
     "modelSizeRange.min \"seven\" is no size"},
    {MODEL(LLAMA ",\"modelParameterSize\":\"seventy\""), CSR("a", FORMATS("{" LLAMA "," AUTO "}")),
     "modelParameterSize: \"seventy\" is no size"},
    {MODEL("\"modelArchitecture\":\"X\""), CSR("a", FORMATS("{" LLAMA "," AUTO "}")), "model format name is required"},
    {MODEL(LLAMA),
     CSR("a", FORMATS("{\"modelFormat\":{\"name\":\"safetensors\",\"weight\":-5},\"modelArchitecture\":"
                      "\"LlamaForCausalLM\"," AUTO "}")),
     "not above 0"},
    {MODEL("\"modelFormat\":{\"name\":\"safetensors\",\"version\":\"1.0.0\"},\"modelFramework\":{\"name\":"
           "\"transformers\",\"version\":\"4.43.0\"}"),
     CSR("a", FORMATS("{\"modelFormat\":{\"name\":\"safetensors\",\"version\":\"1.0.0\"},\"modelFramework\":{\"name\":"
                      "\"transformers\",\"version\":\"4.42.0\",\"operator\":\"GreaterThanOrEqual\"}," AUTO "}")),
     "framework version mismatch (model=4.43.0, runtime=4.42.0"},
    {MODEL(LLAMA), CSR("a", FORMATS("{" LLAMA "," AUTO ",\"diffusionPipeline\":{\"className\":\"FluxPipeline\"}}")),
     "diffusion pipeline required by runtime but not specified in model"},
    {MODEL(LLAMA ",\"modelCapabilities\":[\"EMBEDDING\"]"),
     "{\"kind\":\"ClusterServingRuntime\",\"metadata\":{\"name\":\"a\",\"annotations\":{\"ome.io/model-capabilities\":"
     "\"TEXT_TO_TEXT,RERANK\"}},\"spec\":{" FORMATS("{" LLAMA "," AUTO "}") "}}",
     "model has capability EMBEDDING but runtime serves TEXT_TO_TEXT,RERANK"},
};

static void says_why_not(void **state) {
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rejections); i++) {
    struct json_object *model = parse(rejections[i].model);
    struct json_object *runtimes = json_object_new_array();
    (void)json_object_array_add(runtimes, parse(rejections[i].runtime));
    struct selection *s = choose(NULL, model, runtimes);
    if (s->chosen || !strstr(s->reason, rejections[i].reason))
      fail_msg("%zu: chose \"%s\": %s", i, winner(s), s->reason);
    selection_free(s);
    json_unref(model);
    json_unref(runtimes);
  }
}

/* ---- named runtimes ---------------------------------------------------------------------------------------------- */

static void honours_a_named_runtime(void **state) {
  struct json_object *model = parse(MODEL(LLAMA));
  struct json_object *runtimes = parse("[" CSR("a", FORMATS("{\"modelFormat\":{\"name\":\"gguf\"}}")) "," SR(
      "b", "other",
      FORMATS("{" LLAMA "}")) "," SR("c", "team",
                                     FORMATS("{" LLAMA "}")) "," CSR("c",
                                                                     FORMATS("{" LLAMA
                                                                             "}")) "," CSR("d",
                                                                                           "\"disabled\":true," FORMATS(
                                                                                               "{" LLAMA "}")) "]");
  static const struct {
    const char *runtime;
    const char *winner;
    const char *scope;
    const char *text; /* in the reason, or in the warning */
  } cases[] = {
      {"{\"name\":\"a\"}", "a", "Cluster", "does not declare support for model"},
      {"{\"name\":\"b\"}", "", "", "in namespace team or at cluster scope (namespace other has one of that name)"},
      {"{\"name\":\"c\"}", "c", "Cluster", "the cluster's is used, set spec.runtime.kind"},
      {"{\"name\":\"c\",\"kind\":\"ServingRuntime\"}", "c", "Namespaced", "names it"},
      {"{\"name\":\"a\",\"kind\":\"ServingRuntime\"}", "", "", "(a ClusterServingRuntime has that name)"},
      {"{\"name\":\"d\"}", "", "", "cluster-scoped runtime d is disabled"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    char text[256];
    (void)snprintf(text, sizeof(text), "{\"metadata\":{\"name\":\"s\"},\"spec\":{\"runtime\":%s}}", cases[i].runtime);
    struct json_object *service = parse(text);
    struct selection *s = choose(service, model, runtimes);
    assert_string_equal(winner(s), cases[i].winner);
    if (s->chosen)
      assert_string_equal(select_scope(s->chosen->runtime), cases[i].scope);
    if (!strstr(s->reason, cases[i].text) && !strstr(s->warning, cases[i].text))
      fail_msg("%s: %s %s", cases[i].runtime, s->reason, s->warning);
    selection_free(s);
    json_unref(service);
  }
  json_unref(model);
  json_unref(runtimes);
}

/* A service without a model has the runtime that it names, and no warning of what nobody asked for. */
static void needs_no_model(void **state) {
  struct json_object *runtimes = parse("[" CSR("a", FORMATS("{" LLAMA "}")) "]");
  struct json_object *service = parse("{\"metadata\":{\"name\":\"s\"},\"spec\":{\"runtime\":{\"name\":\"a\"}}}");
  struct selection *s = choose(service, NULL, runtimes);

  (void)state;
  assert_string_equal(winner(s), "a");
  assert_string_equal(s->reason, "the service names it, and no model");
  assert_string_equal(s->warning, "");
  selection_free(s);
  json_unref(service);
  json_unref(runtimes);
}

static void wants_every_named_accelerator(void **state) {
  struct json_object *model = parse(MODEL(LLAMA));
  struct json_object *runtimes = parse("[" CSR(
      "a",
      FORMATS(
          "{" LLAMA "," AUTO
          "}") ",\"acceleratorRequirements\":{\"acceleratorClasses\":[\"h100\"]}") "," CSR("b",
                                                                                           FORMATS(
                                                                                               "{" LLAMA "," AUTO
                                                                                               ",\"priority\":5}")) "]");
  struct json_object *service = parse("{\"spec\":{\"acceleratorSelector\":{\"acceleratorClass\":\"h100\"}}}");
  struct selection *s = choose(service, model, runtimes);

  (void)state;
  assert_string_equal(winner(s), "a");
  selection_free(s);
  s = choose(NULL, model, runtimes);
  assert_string_equal(winner(s), "b");
  selection_free(s);
  json_unref(service);
  json_unref(model);
  json_unref(runtimes);
}

/* Modes count where both sides state one that exists. */
static void compares_stated_modes(void **state) {
  static const struct {
    const char *service;
    const char *winner;
  } cases[] = {
      {"{\"spec\":{\"engine\":{}}}", "a"},
      {"{\"spec\":{\"engine\":{},\"deploymentMode\":\"MultiNode\"}}", "a"},
      {"{\"spec\":{\"engine\":{},\"deploymentMode\":\"RawDeployment\"}}", "b"},
      {"{\"spec\":{\"deploymentMode\":\"RawDeployment\"}}", "a"},
      {"{\"spec\":{\"engine\":{\"annotations\":{\"ome.io/deploymentMode\":\"RawDeployment\"}}}}", "b"},
      {"{\"spec\":{\"engine\":{},\"deploymentMode\":\"rawdeployment\"}}", "a"},
  };
  struct json_object *model = parse(MODEL(LLAMA));
  struct json_object *runtimes = parse("[" CSR(
      "a", FORMATS("{" LLAMA "," AUTO
                   ",\"priority\":2}") ",\"engineConfig\":{\"annotations\":{\"ome.io/"
                                       "deploymentMode\":\"MultiNode\"}}") "," CSR("b", FORMATS("{" LLAMA "," AUTO
                                                                                                "}")) "]");

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct json_object *service = parse(cases[i].service);
    struct selection *s = choose(service, model, runtimes);
    if (!streq(winner(s), cases[i].winner))
      fail_msg("%s: \"%s\": %s", cases[i].service, winner(s), s->reason);
    selection_free(s);
    json_unref(service);
  }
  json_unref(model);
  json_unref(runtimes);
}

/* ---- properties -------------------------------------------------------------------------------------------------- */

/* Runtimes of all sorts, many of them equal in what counts. */
static struct json_object *random_runtime(unsigned *seed, size_t i) {
  static const char *const architectures[] = {"LlamaForCausalLM", "Qwen2ForCausalLM"};
  static const char *const ranges[] = {
      "", ",\"modelSizeRange\":{\"min\":\"1B\",\"max\":\"9B\"}", ",\"modelSizeRange\":{\"min\":\"6B\",\"max\":\"8B\"}",
      ",\"modelSizeRange\":{\"max\":\"20B\"}", ",\"modelSizeRange\":{\"min\":\"30B\"}"};
  bool namespaced = rand_r(seed) % 4 == 0;
  char text[512];

  (void)snprintf(text, sizeof(text),
                 "{\"kind\":\"%s\",\"metadata\":{\"name\":\"r%zu\",\"namespace\":\"%s\"},\"spec\":{\"disabled\":%s,"
                 "\"supportedModelFormats\":[{\"modelFormat\":{\"name\":\"safetensors\"},\"modelArchitecture\":\"%s\","
                 "\"autoSelect\":%s,\"priority\":%d}]%s}}",
                 namespaced ? "ServingRuntime" : "ClusterServingRuntime", i,
                 !namespaced             ? ""
                 : rand_r(seed) % 3 == 0 ? "other"
                                         : "team",
                 rand_r(seed) % 8 ? "false" : "true", architectures[rand_r(seed) % 2],
                 rand_r(seed) % 4 ? "true" : "false", 1 + rand_r(seed) % 2, ranges[rand_r(seed) % 5]);
  return parse(text);
}

static struct json_object *shuffled(struct json_object *a, unsigned *seed) {
  struct json_object *out = json_object_new_array();

  for (size_t i = 0; i < json_len(a); i++)
    (void)json_object_array_add(out, json_object_get(json_index(a, i)));
  for (size_t i = json_len(out); i > 1; i--) {
    size_t j = (size_t)rand_r(seed) % i;
    struct json_object *x = json_object_get(json_index(out, i - 1));
    struct json_object *y = json_object_get(json_index(out, j));
    (void)json_object_array_put_idx(out, i - 1, y);
    (void)json_object_array_put_idx(out, j, x);
  }
  return out;
}

/* Order changes no byte of the record, and a runtime that cannot serve changes no choice. */
static void does_not_depend_on_order(void **state) {
  struct json_object *model = parse(MODEL(LLAMA ",\"modelParameterSize\":\"7B\""));
  struct json_object *irrelevant = parse(CSR("aaa", FORMATS("{\"modelFormat\":{\"name\":\"gguf\"}," AUTO "}")));
  unsigned seed = 20260101;

  (void)state;
  for (int round = 0; round < 200; round++) {
    struct json_object *runtimes = json_object_new_array();
    for (size_t i = 0, n = 1 + (size_t)rand_r(&seed) % 12; i < n; i++)
      (void)json_object_array_add(runtimes, random_runtime(&seed, i));
    struct json_object *other = shuffled(runtimes, &seed);
    struct selection *a = choose(NULL, model, runtimes);
    struct selection *b = choose(NULL, model, other);
    struct json_object *ra = select_record(a, NULL, "team", NULL, 0);
    struct json_object *rb = select_record(b, NULL, "team", NULL, 0);
    assert_string_equal(json_object_to_json_string(ra), json_object_to_json_string(rb));
    (void)json_object_array_add(other, json_object_get(irrelevant));
    struct selection *c = choose(NULL, model, other);
    assert_string_equal(winner(a), winner(c));
    json_unref(ra);
    json_unref(rb);
    selection_free(a);
    selection_free(b);
    selection_free(c);
    json_unref(runtimes);
    json_unref(other);
  }
  json_unref(irrelevant);
  json_unref(model);
}

/* What this program's own code and the scorers in it allocate (--wrap). */
static unsigned long allocations;
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size) {
  allocations++;
  return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
  allocations++;
  return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size) {
  allocations++;
  return __real_realloc(p, size);
}

/* The winner, found without an allocation. */
static const char *quick_winner(const struct select_request *req, const struct select_model *model) {
  const struct select_runtime *r = NULL;
  struct ome_err err = ERR_INIT;
  unsigned long before = allocations;

  assert_true(before > 0); /* they are counted */
  assert_int_equal(select_winner(req, model, &r, &err), OME_OK);
  assert_int_equal(allocations, before);
  return r ? r->facts.name : "";
}

/* Asked in short, the answer is the same, and what one model was told is not told another. */
static void winner_is_the_chosen(void **state) {
  struct select_scorer scorers[16];
  struct select_request req = {.ns = "team", .scorers = scorers, .nscorers = all_scorers(scorers)};
  struct json_object *model = parse(MODEL(LLAMA ",\"modelParameterSize\":\"7B\""));
  struct ome_err err = ERR_INIT;
  struct select_model facts;
  unsigned seed = 20260202;
  unsigned found = 0;

  (void)state;
  assert_int_equal(select_model_init(&facts, model, &err), OME_OK);
  for (int round = 0; round < 200; round++) {
    struct json_object *runtimes = json_object_new_array();
    struct select_field field;
    for (size_t i = 0, n = (size_t)rand_r(&seed) % 12; i < n; i++)
      (void)json_object_array_add(runtimes, random_runtime(&seed, i));
    assert_int_equal(select_field_init(&field, runtimes, &err), OME_OK);
    req.field = &field;
    struct selection *s = choose(NULL, model, runtimes);
    assert_int_equal(select_field_sort(&field, &err), OME_OK);
    for (int again = 0; again < 2; again++)
      assert_string_equal(quick_winner(&req, &facts), winner(s));
    found += s->chosen != NULL;
    struct selection *brief = NULL;
    req.model = model;
    req.brief = true;
    assert_int_equal(select_runtime(&req, &brief, &err), OME_OK);
    assert_string_equal(brief->reason, s->reason);
    selection_free(brief);
    selection_free(s);
    select_field_fini(&field);
    json_unref(runtimes);
  }
  assert_in_range(found, 50, 200);
  select_model_fini(&facts);
  json_unref(model);
}

/* ---- the record -------------------------------------------------------------------------------------------------- */

static void records_the_decision(void **state) {
  struct json_object *model = parse(MODEL(LLAMA));
  struct json_object *runtimes = parse("[" CSR("a", FORMATS("{" LLAMA "," AUTO ",\"priority\":2}")) "," CSR(
      "b", FORMATS("{\"modelFormat\":{\"name\":\"gguf\"}," AUTO "}")) "]");
  struct json_object *service = parse("{\"metadata\":{\"name\":\"s\"},\"spec\":{}}");
  struct selection *s = choose(service, model, runtimes);
  struct json_object *r = select_record(s, service, "team", "RawDeployment", 0);
  struct json_object *first = json_index(json_get(r, "candidates"), 0);
  struct json_object *second = json_index(json_get(r, "candidates"), 1);

  (void)state;
  assert_string_equal(json_str(r, "namespace", ""), "team");
  assert_string_equal(json_str(r, "name", ""), "s");
  assert_string_equal(json_str(r, "model", ""), "m");
  assert_string_equal(json_str(r, "selected.runtime", ""), "a");
  assert_string_equal(json_str(r, "selected.scope", ""), "Cluster");
  assert_string_equal(json_str(r, "selected.mode", ""), "RawDeployment");
  assert_int_equal(json_i64(r, "selected.score", 0), 2);
  assert_int_equal(json_len(json_get(r, "candidates")), 2);
  assert_null(json_get(first, "rejected"));
  int64_t sum = 0;
  for (size_t i = 0; i < json_len(json_get(first, "terms")); i++) {
    struct json_object *t = json_index(json_get(first, "terms"), i);
    assert_true(*json_str(t, "scorer", ""));
    assert_true(*json_str(t, "reason", ""));
    sum += json_i64(t, "points", 0);
  }
  assert_int_equal(sum, 2);
  assert_non_null(strstr(json_str(second, "rejected", ""), "format name mismatch"));
  json_unref(r);
  selection_free(s);
  json_unref(service);
  json_unref(model);
  json_unref(runtimes);
}

/* ---- what runs --------------------------------------------------------------------------------------------------- */

#define RUNS(name, pinned)                                                                                             \
  "{\"metadata\":{\"name\":\"s\",\"annotations\":{" pinned "}},\"spec\":{\"model\":{\"name\":\"m\"},\"engine\":{}},"   \
  "\"status\":{\"selection\":{\"selected\":{\"runtime\":\"" name "\",\"scope\":\"Cluster\"}}}}"
#define PINNED "\"ome.io/runtime-selection\":\"pinned\""

static void what_runs_stays(void **state) {
  static const struct {
    const char *service;
    const char *winner;
    const char *says; /* in reason or warning */
  } cases[] = {
      {RUNS("b", ""), "b", "it runs already, and a is not better by score"},
      {RUNS("low", ""), "a", "the next of 3"},
      {RUNS("gone", ""), "a", "the next of 3"},
      {RUNS("low", PINNED), "low", "without that it would be a"},
      {RUNS("other", PINNED), "other", "does not suit model m any more"},
      {RUNS("gone", PINNED), "a", "runtime gone, which the service is pinned to, is not there any more"},
      {RUNS("a", PINNED), "a", "the next of 3"},
  };
  struct json_object *model = parse(MODEL(LLAMA));
  struct json_object *runtimes = parse("[" CSR("a", FORMATS("{" LLAMA "," AUTO ",\"priority\":2}")) "," CSR(
      "b",
      FORMATS("{" LLAMA "," AUTO
              ",\"priority\":2}")) "," CSR("low",
                                           FORMATS("{" LLAMA "," AUTO
                                                   "}")) "," CSR("other",
                                                                 FORMATS("{\"modelFormat\":{\"name\":\"gguf\"}," AUTO
                                                                         "}")) "]");

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct json_object *service = parse(cases[i].service);
    struct selection *s = choose(service, model, runtimes);
    assert_string_equal(winner(s), cases[i].winner);
    if (!strstr(s->reason, cases[i].says) && !strstr(s->warning, cases[i].says))
      fail_msg("%zu: \"%s\", \"%s\": nothing of \"%s\"", i, s->reason, s->warning, cases[i].says);
    assert_ptr_equal(s->chosen, &s->candidates[0]);
    selection_free(s);
    json_unref(service);
  }
  json_unref(runtimes);
  /* The only candidate, when it does not suit: what runs goes on. */
  runtimes = parse("[" CSR("other", FORMATS("{\"modelFormat\":{\"name\":\"gguf\"}," AUTO "}")) "]");
  struct json_object *service = parse(RUNS("other", PINNED));
  struct selection *s = choose(service, model, runtimes);
  assert_string_equal(winner(s), "other");
  selection_free(s);
  json_unref(service);
  json_unref(runtimes);
  json_unref(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(chooses),
      cmocka_unit_test(says_why_not),
      cmocka_unit_test(honours_a_named_runtime),
      cmocka_unit_test(needs_no_model),
      cmocka_unit_test(wants_every_named_accelerator),
      cmocka_unit_test(compares_stated_modes),
      cmocka_unit_test(does_not_depend_on_order),
      cmocka_unit_test(winner_is_the_chosen),
      cmocka_unit_test(records_the_decision),
      cmocka_unit_test(what_runs_stays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
