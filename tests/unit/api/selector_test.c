#include "../unit.h"

#include "api/selector.h"

static struct json_object *doc(const char *text) {
  struct json_object *o = json_tokener_parse(text);

  if (!o)
    fail_msg("no JSON: %s", text);
  return o;
}

/* ---- labels ----------------------------------------------------------------------------------------------------- */

static const struct {
  const char *selector, *labels;
  bool match;
} matches[] = {
    {"", "{}", true},
    {"a=b", "{\"a\":\"b\"}", true},
    {"a == b", "{\"a\":\"b\"}", true},
    {"a=b", "{\"a\":\"c\"}", false},
    {"a=b", "{}", false},
    {"a!=b", "{}", true}, /* absent is not equal */
    {"a!=b", "{\"a\":\"b\"}", false},
    {"a=", "{\"a\":\"\"}", true},
    {"a in (b, c)", "{\"a\":\"c\"}", true},
    {"a in (b,c)", "{\"a\":\"d\"}", false},
    {"a notin (b,c)", "{}", true},
    {"a notin (b,c)", "{\"a\":\"b\"}", false},
    {"a", "{\"a\":\"\"}", true},
    {"!a", "{\"a\":\"\"}", false},
    {"! a", "{}", true},
    {"a>1", "{\"a\":\"2\"}", true},
    {"a>1", "{\"a\":\"1\"}", false},
    {"a<5", "{\"a\":\"x\"}", false},
    {"x.io/a=b,c,!d", "{\"x.io/a\":\"b\",\"c\":\"1\"}", true},
    {"x.io/a=b,c,!d", "{\"x.io/a\":\"b\",\"c\":\"1\",\"d\":\"\"}", false},
};

static void test_match(UNUSED void **state) {
  for (size_t i = 0; i < ARRAY_LEN(matches); i++) {
    struct selector *s = NULL;
    struct ome_err err = ERR_INIT;
    _cleanup_json_ struct json_object *labels = doc(matches[i].labels);
    if (selector_parse(matches[i].selector, &s, &err) != OME_OK)
      fail_msg("%s: %s", matches[i].selector, err.msg);
    if (selector_match(s, labels) != matches[i].match)
      fail_msg("%s on %s: expected %d", matches[i].selector, matches[i].labels, matches[i].match);
    selector_free(s);
  }
}

static void test_refuses(UNUSED void **state) {
  static const char *const bad[] = {"=b",   "a=b,",    "a in b", "a in (b",  "a in (b,c", "a b",
                                    "-a",   "a=b c=d", "a=b=c",  "a>x",      "/a",        "x/",
                                    "a=-b", "a&b",     "!",      "a notin ", "!a=b",      "x_y.io/a=b"};

  for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
    struct selector *s = NULL;
    struct ome_err err = ERR_INIT;
    if (selector_parse(bad[i], &s, &err) == OME_OK)
      fail_msg("\"%s\" was taken", bad[i]);
    assert_null(s);
    assert_true(*err.msg != '\0');
  }
}

static void test_terms(UNUSED void **state) {
  const struct selector_term *terms = NULL;
  struct selector *s = NULL;
  struct ome_err err = ERR_INIT;

  assert_int_equal(selector_parse("a=b,c in (d,e)", &s, &err), OME_OK);
  assert_int_equal(selector_terms(s, &terms), 2);
  assert_string_equal(terms[0].key, "a");
  assert_int_equal(terms[1].op, SELECTOR_IN);
  assert_string_equal(terms[1].values[1], "e");
  assert_null(terms[1].values[2]);
  selector_free(s);
}

/* ---- objects ---------------------------------------------------------------------------------------------------- */

static bool object_match(const char *selector, const char *labels) {
  _cleanup_json_ struct json_object *o = selector ? doc(selector) : NULL;
  _cleanup_json_ struct json_object *l = doc(labels);
  struct selector *s = NULL;
  struct ome_err err = ERR_INIT;

  if (selector_from_object(o, &s, &err) != OME_OK)
    fail_msg("%s: %s", selector, err.msg);
  bool match = selector_match(s, l);
  selector_free(s);
  return match;
}

static void test_objects(UNUSED void **state) {
  assert_false(object_match(NULL, "{\"a\":\"b\"}"));
  assert_true(object_match("{}", "{\"a\":\"b\"}"));
  assert_true(object_match("{\"matchLabels\":{\"a\":\"b\"}}", "{\"a\":\"b\",\"c\":\"d\"}"));
  assert_false(
      object_match("{\"matchLabels\":{\"a\":\"b\"},\"matchExpressions\":[{\"key\":\"c\",\"operator\":\"Exists\"}]}",
                   "{\"a\":\"b\"}"));
  assert_true(object_match("{\"matchExpressions\":[{\"key\":\"c\",\"operator\":\"NotIn\",\"values\":[\"d\"]}]}", "{}"));

  _cleanup_json_ struct json_object *bad = doc("{\"matchExpressions\":[{\"key\":\"c\",\"operator\":\"Like\"}]}");
  struct selector *s = NULL;
  struct ome_err err = ERR_INIT;
  assert_int_equal(selector_from_object(bad, &s, &err), OME_E_INVALID);
}

static void test_maps(UNUSED void **state) {
  static const char *const maps[] = {"{\"a\":\"b\"}", "{}"};

  for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
    _cleanup_json_ struct json_object *map = doc(maps[i]);
    _cleanup_json_ struct json_object *labels = doc("{\"a\":\"b\",\"c\":\"d\"}");
    struct selector *s = NULL;
    struct ome_err err = ERR_INIT;
    assert_int_equal(selector_from_map(map, &s, &err), OME_OK);
    assert_int_equal(selector_match(s, labels), i == 0); /* an empty map chooses nothing */
    selector_free(s);
  }
}

static bool field_match(const char *selector, const char *object) {
  _cleanup_json_ struct json_object *o = doc(object);
  struct selector *s = NULL;
  struct ome_err err = ERR_INIT;

  if (field_selector_parse(selector, &s, &err) != OME_OK)
    fail_msg("%s: %s", selector, err.msg);
  bool match = field_selector_match(s, o);
  selector_free(s);
  return match;
}

static void test_fields(UNUSED void **state) {
  static const char pod[] = "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"nodeName\":\"n\"},\"status\":{}}";

  assert_true(field_match("metadata.name=p", pod));
  assert_true(field_match("metadata.name==p,spec.nodeName!=m", pod));
  assert_true(field_match("status.phase=", pod)); /* absent is empty */
  assert_false(field_match("status.phase!=", pod));
  assert_false(field_match("spec.nodeName=m", pod));
}

/* ---- nodes ------------------------------------------------------------------------------------------------------ */

static bool node_match(const char *selector) {
  _cleanup_json_ struct json_object *s = doc(selector);
  _cleanup_json_ struct json_object *node =
      doc("{\"metadata\":{\"name\":\"n1\",\"labels\":{\"gpu\":\"h100\",\"count\":\"8\"}}}");

  return node_selector_match(s, node);
}

static void test_nodes(UNUSED void **state) {
  assert_true(node_match("{\"nodeSelectorTerms\":[{\"matchExpressions\":[{\"key\":\"gpu\",\"operator\":\"In\","
                         "\"values\":[\"a100\",\"h100\"]}]}]}"));
  assert_true(node_match("{\"nodeSelectorTerms\":[{\"matchExpressions\":[{\"key\":\"count\",\"operator\":\"Gt\","
                         "\"values\":[\"4\"]}],\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"In\","
                         "\"values\":[\"n1\"]}]}]}"));
  assert_false(node_match("{\"nodeSelectorTerms\":[{}]}"));
  assert_false(node_match("{\"nodeSelectorTerms\":[]}"));
  assert_false(node_match("{\"nodeSelectorTerms\":[{\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"In\","
                          "\"values\":[\"n2\"]}]}]}"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_match),   cmocka_unit_test(test_refuses), cmocka_unit_test(test_terms),
      cmocka_unit_test(test_objects), cmocka_unit_test(test_maps),    cmocka_unit_test(test_fields),
      cmocka_unit_test(test_nodes),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
