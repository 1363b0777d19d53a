/* JSON documents. */
#include "../unit.h"

#include "base/json.h"
#include "base/str.h"

#include <stdlib.h>

static struct json_object *parse(const char *text) {
  struct ome_err err = ERR_INIT;
  struct json_object *o = NULL;

  assert_int_equal(json_parse(text, strlen(text), 0, &o, &err), OME_OK);
  return o;
}

static void strict_about_what_is_json(void **state) {
  static const char *const refused[] = {
      "",     "{",   "[1,]",     "{\"a\":1,}", "01",  "nul",        "{\"a\" 1}",
      "{} x", "'a'", "\"\xff\"", "[1] [2]",    "NaN", "{\"a\":1}}",
  };
  static const char *const taken[] = {"0", "null", "\"\"", " {} ", "[]", "-1.5e3", "true", "12345678901234567"};
  struct ome_err err = ERR_INIT;

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
    struct json_object *o = NULL;
    if (json_parse(refused[i], strlen(refused[i]), 0, &o, &err) == OME_OK)
      fail_msg("took %s", refused[i]);
    assert_null(o);
  }
  for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
    struct json_object *o = NULL;
    if (json_parse(taken[i], strlen(taken[i]), 0, &o, &err) != OME_OK)
      fail_msg("refused %s: %s", taken[i], err.msg);
    json_unref(o);
  }
}

static void bounded_in_depth_and_size(void **state) {
  struct ome_err err = ERR_INIT;
  struct json_object *o = NULL;
  char deep[20000];

  (void)state;
  memset(deep, '[', 10000);
  memset(deep + 10000, ']', 10000);
  assert_int_equal(json_parse(deep, sizeof(deep), 0, &o, &err), OME_E_INVALID);
  assert_non_null(strstr(err.msg, "nested deeper"));
  assert_int_equal(json_parse("[1,2,3]", 7, 6, &o, &err), OME_E_INVALID);
  assert_non_null(strstr(err.msg, "bytes"));
}

static void paths_reach_and_make(void **state) {
  _cleanup_json_ struct json_object *o = parse("{\"a\":{\"b\":{\"c\":7,\"s\":\"x\"}},\"t\":true,\"k.d\":1}");

  (void)state;
  assert_int_equal(json_i64(o, "a.b.c", 0), 7);
  assert_string_equal(json_str(o, "a.b.s", "none"), "x");
  assert_string_equal(json_str(o, "a.b.c", "none"), "none");
  assert_true(json_flag(o, "t", false));
  assert_null(json_at(o, "a.x.y"));
  assert_null(json_at(o, "t.x"));
  assert_non_null(json_get(o, "k.d"));
  assert_true(json_set_str(o, "new.deep.key", "v"));
  assert_string_equal(json_str(o, "new.deep.key", NULL), "v");
  assert_false(json_set_str(o, "t.under.scalar", "v"));
  json_del(o, "a.b.c");
  assert_null(json_at(o, "a.b.c"));
  json_del(o, "no.such.path");
}

static void equality_is_of_meaning(void **state) {
  _cleanup_json_ struct json_object *a = parse("{\"x\":1,\"y\":[1,2.0,{\"z\":null}]}");
  _cleanup_json_ struct json_object *b = parse("{\"y\":[1.0,2,{\"z\":null}],\"x\":1}");
  _cleanup_json_ struct json_object *c = parse("{\"y\":[1.0,2,{}],\"x\":1}");
  _cleanup_free_ char *ta = json_canonical(a);

  (void)state;
  assert_true(json_equal(a, b));
  assert_false(json_equal(a, c));
  assert_string_equal(ta, "{\"x\":1,\"y\":[1,2.0,{\"z\":null}]}");
}

static void merge_patch_follows_rfc_7386(void **state) {
  static const struct {
    const char *target, *patch, *result;
  } cases[] = {
      {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
      {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
      {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
      {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
      {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
      {"[\"a\",\"b\"]", "[\"c\"]", "[\"c\"]"},
      {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
      {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
      {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_json_ struct json_object *patch = parse(cases[i].patch);
    _cleanup_json_ struct json_object *got = json_merge_patch(parse(cases[i].target), patch);
    _cleanup_json_ struct json_object *want = parse(cases[i].result);
    if (!json_equal(got, want))
      fail_msg("case %zu: %s", i, json_object_to_json_string(got));
  }
}

static void keeps_named_members(void **state) {
  static const char *const names[] = {"a", "c", NULL};
  _cleanup_json_ struct json_object *o = parse("{\"b\":{\"a\":1},\"a\":[1],\"d\":null,\"e\":0}");
  _cleanup_json_ struct json_object *want = parse("{\"a\":[1]}");
  _cleanup_json_ struct json_object *list = parse("[1]");

  (void)state;
  json_keep(o, names);
  assert_true(json_equal(o, want));
  json_keep(list, names);
  json_keep(NULL, names);
  assert_int_equal(json_len(list), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(strict_about_what_is_json),    cmocka_unit_test(bounded_in_depth_and_size),
      cmocka_unit_test(paths_reach_and_make),         cmocka_unit_test(equality_is_of_meaning),
      cmocka_unit_test(merge_patch_follows_rfc_7386), cmocka_unit_test(keeps_named_members),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
