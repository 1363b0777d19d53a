/* What acceleratorConfig changes in a runner's arguments. */
#include "../unit.h"

#include "../documents.h"
#include "base/str.h"
#include "compose/override.h"

static const struct {
  const char *what;
  const char *runner;
  const char *config;
  const char *after;
} cases[] = {
    {"nothing said", "{\"args\":[\"--a\",\"1\"]}", "{}", "{\"args\":[\"--a\",\"1\"]}"},
    {"no arguments: the override's", "{}", "{\"runtimeArgsOverride\":[\"--a\",\"1\"]}", "{\"args\":[\"--a\",\"1\"]}"},
    {"a value is replaced in its place, in either spelling", "{\"args\":[\"serve\",\"--a\",\"1\",\"--b=2\",\"--c\"]}",
     "{\"runtimeArgsOverride\":[\"--a=9\",\"--b\",\"8\"]}", "{\"args\":[\"serve\",\"--a=9\",\"--b\",\"8\",\"--c\"]}"},
    {"what is new comes last", "{\"args\":[\"--a\",\"1\"]}", "{\"runtimeArgsOverride\":[\"--z\",\"--y=-1\"]}",
     "{\"args\":[\"--a\",\"1\",\"--z\",\"--y=-1\"]}"},
    {"one word with its value", "{\"args\":[\"--a 1\",\"--b 2\"]}", "{\"runtimeArgsOverride\":[\"--b 3\"]}",
     "{\"args\":[\"--a 1\",\"--b 3\"]}"},
    {"a negative number is a value", "{\"args\":[\"--a\",\"-1\",\"--b\"]}",
     "{\"runtimeArgsOverride\":[\"--a\",\"-2\"]}", "{\"args\":[\"--a\",\"-2\",\"--b\"]}"},
    {"a flag that comes several times stays so", "{\"args\":[\"--m\",\"1\",\"--m\",\"2\",\"--a\"]}",
     "{\"runtimeArgsOverride\":[\"--b\"]}", "{\"args\":[\"--m\",\"1\",\"--m\",\"2\",\"--a\",\"--b\"]}"},
    {"and is replaced as a whole", "{\"args\":[\"--m\",\"1\",\"--m\",\"2\",\"--a\"]}",
     "{\"runtimeArgsOverride\":[\"--m\",\"3\"]}", "{\"args\":[\"--m\",\"3\",\"--a\"]}"},
    {"a script's lines", "{\"args\":[\"python3 -m engine \\\\\\n --a 1 \\\\\\n\\n --b 2\"]}",
     "{\"runtimeArgsOverride\":[\"--b 3\",\"--c\"]}",
     "{\"args\":[\"python3 -m engine \\\\\\n--a 1 \\\\\\n--b 3 \\\\\\n--c\"]}"},
    {"a script behind -c", "{\"args\":[\"-c\",\"engine \\\\\\n --a 1\"]}", "{\"runtimeArgsOverride\":[\"--a=2\"]}",
     "{\"args\":[\"-c\",\"engine \\\\\\n--a=2\"]}"},

    {"tensor parallel, two words", "{\"args\":[\"--tp-size\",\"8\"]}",
     "{\"tensorParallelismOverride\":{\"tensorParallelSize\":4}}", "{\"args\":[\"--tp-size\",\"4\"]}"},
    {"one word", "{\"args\":[\"--tensor-parallel-size=$(PARALLELISM_SIZE)\",\"--pp\",\"1\"]}",
     "{\"tensorParallelismOverride\":{\"tensorParallelSize\":4,\"pipelineParallelSize\":2}}",
     "{\"args\":[\"--tensor-parallel-size=4\",\"--pp\",\"2\"]}"},
    {"in a script, and nothing that only looks alike",
     "{\"args\":[\"engine --tp-size-hint 3 --my--tp 1 \\\\\\n --tp 8 \\\\\\n --dp-size=2\"]}",
     "{\"tensorParallelismOverride\":{\"tensorParallelSize\":4,\"dataParallelSize\":1}}",
     "{\"args\":[\"engine --tp-size-hint 3 --my--tp 1 \\\\\\n --tp=4 \\\\\\n --dp-size=1\"]}"},
    {"in the command where the arguments have none", "{\"command\":[\"vllm\",\"--tp\",\"1\"],\"args\":[\"--x\"]}",
     "{\"tensorParallelismOverride\":{\"tensorParallelSize\":2}}",
     "{\"command\":[\"vllm\",\"--tp\",\"2\"],\"args\":[\"--x\"]}"},
    {"never added; 0 is not said", "{\"args\":[\"--x\",\"--pp-size\",\"2\"]}",
     "{\"tensorParallelismOverride\":{\"tensorParallelSize\":2,\"pipelineParallelSize\":0}}",
     "{\"args\":[\"--x\",\"--pp-size\",\"2\"]}"},
    {"a flag without its value", "{\"args\":[\"--tp\"]}", "{\"tensorParallelismOverride\":{\"tensorParallelSize\":2}}",
     "{\"args\":[\"--tp\"]}"},
    {"the override's own arguments, too", "{\"args\":[\"--x\"]}",
     "{\"runtimeArgsOverride\":[\"--tp\",\"1\"],\"tensorParallelismOverride\":{\"tensorParallelSize\":2}}",
     "{\"args\":[\"--x\",\"--tp\",\"2\"]}"},
    {"words of other types", "{\"args\":[7,null,\"--tp\",\"1\"]}",
     "{\"tensorParallelismOverride\":{\"tensorParallelSize\":2}}", "{\"args\":[7,null,\"--tp\",\"2\"]}"},
};

static void overrides(void **state) {
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct json_object *runner = parse(cases[i].runner), *config = parse(cases[i].config);
    struct json_object *after = parse(cases[i].after);
    struct ome_err err = ERR_INIT;
    assert_int_equal(override_runner(config, runner, &err), OME_OK);
    if (!json_equal(runner, after))
      fail_msg("%s: %s", cases[i].what, json_object_to_json_string(runner));
    json_unref(runner);
    json_unref(config);
    json_unref(after);
  }
}

static void does_nothing_without_a_class(void **state) {
  struct json_object *runner = parse("{\"args\":[\"--a\"]}");
  struct ome_err err = ERR_INIT;

  (void)state;
  assert_int_equal(override_runner(NULL, runner, &err), OME_OK);
  assert_int_equal(override_runner(runner, NULL, &err), OME_OK);
  assert_string_equal(json_object_to_json_string_ext(runner, JSON_C_TO_STRING_PLAIN), "{\"args\":[\"--a\"]}");
  json_unref(runner);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(overrides), cmocka_unit_test(does_nothing_without_a_class)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
