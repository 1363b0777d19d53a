/* Expressions and what they come to.  self is the document below; its schema is not known, except where a test says. */
#include "cel/cel.h"

#include "../unit.h"
#include "base/str.h"

static struct json_object *document(void) {
  static const char text[] = "{\"n\":7,\"d\":1.5,\"s\":\"h\303\251llo\",\"e\":\"\",\"t\":true,\"z\":null,\"l\":[3,1,2],"
                             "\"w\":[\"a\",\"b\"],\"m\":{\"x\":1,\"y\":2},\"o\":{\"a-b\":5,\"if\":6}}";

  return json_tokener_parse(text);
}

static const struct cel_type dyn = {.kind = CEL_DYN};

static bool no_field(const void *schema, const char *name, struct cel_type *out) {
  (void)schema, (void)out;
  return streq(name, "known");
}

static struct cel_type no_elem(const void *schema) {
  (void)schema;
  return dyn;
}

static const struct cel_schema_ops ops = {no_field, no_elem};

/* ---- true ones --------------------------------------------------------------------------------------------------- */

static const char *const truths[] = {
    "self.n == 7 && self.d == 1.5 && self.t",
    "1 + 2 * 3 == 7 && (1 + 2) * 3 == 9 && 7 / 2 == 3 && -7 % 3 == -1",
    "dyn(1) == 1.0 && dyn(1u) == 1 && 2 > 1.5 && -9223372036854775808 < 0",
    "0x10 == 16 && 1e3 == 1000.0 && !(1 < 1) && 1 <= 1 && !!true",
    "'a' + \"b\" == r'ab' && '\\u00e9' == 'é' && '\\x41\\101' == 'AA' && '''a'b''' == \"a'b\"",
    "size(self.s) == 5 && self.l.size() == 3 && size({'a': 1}) == 1 && self.e.size() == 0",
    "'x' in self.m && 2 in self.l && !('q' in self.m) && !(9 in self.l)",
    "has(self.n) && !has(self.q) && has(self.m.x) && self.z == null",
    "self.l.all(i, i > 0) && self.l.exists(i, i == 2) && self.l.exists_one(i, i == 2)",
    "self.l.map(i, i * 2) == [6, 2, 4] && self.l.filter(i, i > 1) == [3, 2]",
    "self.l.map(i, i > 1, i + 1) == [4, 3] && self.m.all(k, k.size() == 1)",
    "self.w.exists(a, self.w.exists(b, a + b == 'ab'))",
    "self.m == {'x': 1, 'y': 2} && self.m['x'] == 1 && self.l[0] == 3",
    "self.q == 1 || true",
    "true || self.q == 1",
    "!(false && self.q == 1) && (self.l.exists(i, i == 3 || self.q))",
    "self.n > 5 ? self.t : self.q",
    "self.o.a__dash__b == 5 && self.o.__if__ == 6",
    "self.s.startsWith('h') && self.s.endsWith('o') && self.s.contains('ll') && self.s.matches('^h.l+o$')",
    "'abc'.matches('^(?:a|b)[[:alpha:]]+$') && 'a1'.matches(r'\\d') && !'A'.matches('a')",
    "'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && 'ab'.split('') == ['a', 'b']",
    "['a', 'b'].join('-') == 'a-b' && [1, 2] + [3] == [1, 2, 3]",
    "'hello'.substring(1, 3) == 'el' && 'hello'.indexOf('l') == 2 && 'hello'.lastIndexOf('l') == 3",
    "'hello'.indexOf('l', 3) == 3 && 'hello'.indexOf('q') == -1 && self.s.charAt(1) == 'é'",
    "' a '.trim() == 'a' && 'aXa'.replace('a', 'b') == 'bXb' && 'aa'.replace('a', 'b', 1) == 'ba'",
    "'Ab'.lowerAscii() == 'ab' && 'Ab'.upperAscii() == 'AB' && 'a1b22'.findAll('[0-9]+') == ['1', '22']",
    "int('5') == 5 && string(5) == '5' && double('1.5') == 1.5 && uint(5) == 5u && int(1.9) == 1 && string(true) == 'true'",
    "duration('1h5m') == duration('65m') && duration('1.5s') > duration('1s') && duration('90s').getMinutes() == 1",
    "timestamp('2026-01-02T03:04:05Z').getFullYear() == 2026 && timestamp('2026-01-02T03:04:05Z').getMonth() == 0",
    "timestamp('2026-01-02T00:00:00Z') - timestamp('2026-01-01T00:00:00Z') == duration('24h')",
    "type(1) == int && type('a') == string && type([]) == list",
    "[1, 2, 3].sum() == 6 && [2, 1].min() == 1 && [2, 1].max() == 2 && [1, 2].isSorted() && [1, 2].indexOf(2) == 1",
    "b'ab' == b'\\x61b' && size(b'\\xff') == 1 // a comment",
};

static void test_true(UNUSED void **state) {
  _cleanup_json_ struct json_object *self = document();

  for (size_t i = 0; i < ARRAY_LEN(truths); i++) {
    struct ome_err err = ERR_INIT;
    _cleanup_(cel_program_freep) struct cel_program *p = NULL;
    bool truth = false;
    if (cel_compile(truths[i], dyn, &ops, CEL_BOOL, &p, &err) != OME_OK ||
        cel_eval_bool(p, self, NULL, &truth, &err) != OME_OK)
      fail_msg("%s: %s", truths[i], err.msg);
    if (!truth)
      fail_msg("%s: false", truths[i]);
  }
}

/* ---- those without a result -------------------------------------------------------------------------------------- */

static const struct {
  const char *text, *why;
} failures[] = {
    {"self.q == 1", "no such key: q"},
    {"1 / 0 == 1", "division by zero"},
    {"9223372036854775807 + 1 > 0", "integer overflow"},
    {"self.l[3] == 1", "index out of bounds: 3"},
    {"self.n.size() == 1", "no such overload: size(int)"},
    {"self.l.all(i, i > 0 && self.q)", "no such key: q"},
    {"int('x') == 1", "\"x\" is no int"},
    {"self.s.matches('(') ", "regular expression: missing closing parenthesis"},
    {"'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'.matches('^(a+)+$')", "regular expression: match limit exceeded"},
    {"[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, "
     "[1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, [1,2,3,4,5,6,7,8,9,10].all(f, a < 11))))))",
     "the expression does too much work"},
};

static void test_errors(UNUSED void **state) {
  _cleanup_json_ struct json_object *self = document();

  for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
    struct ome_err err = ERR_INIT;
    _cleanup_(cel_program_freep) struct cel_program *p = NULL;
    bool truth = true;
    if (cel_compile(failures[i].text, dyn, &ops, CEL_BOOL, &p, &err) != OME_OK)
      fail_msg("%s: %s", failures[i].text, err.msg);
    assert_int_equal(cel_eval_bool(p, self, NULL, &truth, &err), OME_E_INVALID);
    assert_false(truth);
    if (!has_prefix(err.msg, failures[i].why))
      fail_msg("%s: got \"%s\"", failures[i].text, err.msg);
  }
}

/* ---- those that do not compile ----------------------------------------------------------------------------------- */

static const struct {
  const char *text, *why;
  enum cel_kind self;
} refused[] = {
    {"", "syntax error at character 1: the expression ends too early", CEL_DYN},
    {"self ==", "syntax error at character 8: the expression ends too early", CEL_DYN},
    {"self == 1)", "syntax error at character 10: something is left over", CEL_DYN},
    {"(self", "syntax error at character 6: \")\" is missing", CEL_DYN},
    {"'abc", "syntax error at character 1: the string does not end", CEL_DYN},
    {"'\\q' == ''", "syntax error at character 1: an unknown escape in a string", CEL_DYN},
    {"9223372036854775808 > 0", "syntax error at character 1: the number is too large", CEL_DYN},
    {"self # 1", "syntax error at character 6: an unexpected character", CEL_DYN},
    {"other == 1", "undeclared reference to 'other' at character 1", CEL_DYN},
    {"self.nope()", "character 5: undeclared reference to 'nope'", CEL_DYN},
    {"has(self)", "syntax error at character 10: has() takes one field", CEL_DYN},
    {"self.unknown == 1", "character 5: undefined field 'unknown'", CEL_OBJECT},
    {"self.known.size() == 'x'", "character 19: no matching overload for '==' applied to (int, string)", CEL_OBJECT},
    {"self == 1", "character 6: no matching overload for '==' applied to (string, int)", CEL_STRING},
    {"self", "must evaluate to a bool, not a string", CEL_STRING},
    {"self && true", "character 1: && is of bools, not int", CEL_INT},
    {"self.x == 1", "character 5: fields are of objects and maps, not int", CEL_INT},
    {"self.all(i, i)", "character 5: loops go over lists and maps, not int", CEL_INT},
};

static void test_refused(UNUSED void **state) {
  for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
    struct ome_err err = ERR_INIT;
    struct cel_program *p = NULL;
    const struct cel_type self = {.kind = refused[i].self};
    if (cel_compile(refused[i].text, self, &ops, CEL_BOOL, &p, &err) == OME_OK)
      fail_msg("%s: compiles", refused[i].text);
    if (!has_prefix(err.msg, refused[i].why))
      fail_msg("%s: got \"%s\"", refused[i].text, err.msg);
  }
}

static void test_deep(UNUSED void **state) {
  char deep[4096];
  struct ome_err err = ERR_INIT;
  struct cel_program *p = NULL;

  memset(deep, '(', sizeof(deep) - 1);
  deep[sizeof(deep) - 1] = '\0';
  assert_int_equal(cel_compile(deep, dyn, &ops, CEL_BOOL, &p, &err), OME_E_INVALID);
  memset(deep, '!', sizeof(deep) - 1);
  assert_int_equal(cel_compile(deep, dyn, &ops, CEL_BOOL, &p, &err), OME_E_INVALID);
}

/* ---- changes and messages ---------------------------------------------------------------------------------------- */

static void test_old(UNUSED void **state) {
  struct ome_err err = ERR_INIT;
  struct json_object *one = json_object_new_int(1), *two = json_object_new_int(2);
  _cleanup_(cel_program_freep) struct cel_program *p = NULL, *text = NULL;
  _cleanup_free_ char *message = NULL;
  bool truth = false;

  assert_int_equal(cel_compile("self >= oldSelf", (struct cel_type){.kind = CEL_INT}, &ops, CEL_BOOL, &p, &err),
                   OME_OK);
  assert_true(cel_uses_old(p));
  assert_int_equal(cel_eval_bool(p, two, one, &truth, &err), OME_OK);
  assert_true(truth);
  assert_int_equal(cel_eval_bool(p, one, two, &truth, &err), OME_OK);
  assert_false(truth);
  assert_int_equal(cel_compile("'got ' + string(self)", dyn, &ops, CEL_STRING, &text, &err), OME_OK);
  assert_false(cel_uses_old(text));
  assert_int_equal(cel_eval_text(text, two, NULL, &message, &err), OME_OK);
  assert_string_equal(message, "got 2");
  json_unref(one);
  json_unref(two);
}

/* ---- names of their own ------------------------------------------------------------------------------------------ */

static bool is_colour(UNUSED const void *schema, const char *name, struct cel_type *out) {
  *out = dyn;
  return streq(name, "red") || streq(name, "blue");
}

static void test_scope(UNUSED void **state) {
  static const struct cel_schema_ops colours = {.field = is_colour};
  const struct cel_type scope = {.kind = CEL_OBJECT, .schema = &colours};
  _cleanup_(cel_program_freep) struct cel_program *p = NULL;
  _cleanup_json_ struct json_object *self = json_object_new_object();
  struct cel_program *none = NULL;
  struct ome_err err = ERR_INIT;
  bool truth = false;

  (void)json_set_str(self, "red.name", "r");
  (void)json_object_object_add(self, "blue", NULL);
  assert_int_equal(cel_compile_scope("blue == null && red.name == 'r' && [1].all(red, red == 1)", scope, &colours,
                                     CEL_BOOL, &p, &err),
                   OME_OK);
  assert_int_equal(cel_eval_bool(p, self, NULL, &truth, &err), OME_OK);
  assert_true(truth);
  assert_int_equal(cel_compile_scope("self.red == 1", scope, &colours, CEL_BOOL, &none, &err), OME_E_INVALID);
  assert_true(has_prefix(err.msg, "undeclared reference to 'self'"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_true), cmocka_unit_test(test_errors), cmocka_unit_test(test_refused),
      cmocka_unit_test(test_deep), cmocka_unit_test(test_old),    cmocka_unit_test(test_scope),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
