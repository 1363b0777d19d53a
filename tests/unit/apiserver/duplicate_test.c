#include "../unit.h"

#include "apiserver/server.h"

static const struct {
  const char *text, *found; /* the paths as JSON; NULL: none */
} cases[] = {
    {"{}", NULL},
    {"{\"a\":1,\"b\":{\"a\":1},\"c\":[{\"a\":1},{\"a\":2}]}", NULL},
    {"{\"a\":\":\\\":\",\"b\":\"}\"}", NULL},
    {"{\"a\":1,\"a\":2}", "[\"a\"]"},
    {"{ \"x\" : { \"a\" : 1 , \"b\" : [ ] , \"a\" : { } } }", "[\"x.a\"]"},
    {"{\"l\":[0,{\"k\":1,\"k\":1,\"k\":1}],\"l\":[]}", "[\"l[1].k\",\"l[1].k\",\"l\"]"},
    {"[{\"q\\\"\":1,\"q\\\"\":2}]", "[\"[0].q\\\\\\\"\"]"},
};

static void test_duplicates(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    _cleanup_json_ struct json_object *doc = NULL;
    struct ome_err err = ERR_INIT;
    assert_int_equal(json_parse(cases[i].text, strlen(cases[i].text), 0, &doc, &err), OME_OK);
    _cleanup_json_ struct json_object *found = json_duplicates(cases[i].text, strlen(cases[i].text), doc);
    if (!cases[i].found) {
      assert_null(found);
      continue;
    }
    assert_non_null(found);
    _cleanup_free_ char *text = json_text(found);
    assert_string_equal(text, cases[i].found);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_duplicates)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
