/* YAML in and out. */
#include "../unit.h"

#include "base/str.h"
#include "base/yaml.h"

#include <stdlib.h>

static void assert_reads(const char *yaml, const char *json) {
  struct ome_err err = ERR_INIT;
  _cleanup_json_ struct json_object *o = NULL;

  if (yaml_parse_one("t.yaml", yaml, strlen(yaml), &o, &err) != OME_OK)
    fail_msg("%s", err.msg);
  _cleanup_free_ char *text = json_text(o);
  assert_string_equal(text, json);
}

static void assert_refuses(const char *yaml, const char *why) {
  struct ome_err err = ERR_INIT;
  struct json_object *o = NULL;

  assert_int_not_equal(yaml_parse_one("t.yaml", yaml, strlen(yaml), &o, &err), OME_OK);
  assert_null(o);
  if (!strstr(err.msg, why))
    fail_msg("\"%s\" does not say \"%s\"", err.msg, why);
}

static void scalars_are_read_as_kubernetes_reads_them(void **state) {
  (void)state;
  assert_reads("a: 1", "{\"a\":1}");
  assert_reads("a: '1'", "{\"a\":\"1\"}");
  assert_reads("a: 1.5", "{\"a\":1.5}");
  assert_reads("a: true", "{\"a\":true}");
  assert_reads("a: yes", "{\"a\":\"yes\"}");
  assert_reads("a: ~", "{\"a\":null}");
  assert_reads("a:", "{\"a\":null}");
  assert_reads("a: 1e3", "{\"a\":1e3}");
  assert_reads("a: 70B", "{\"a\":\"70B\"}");
  assert_reads("a: 1.2.3", "{\"a\":\"1.2.3\"}");
  assert_reads("a: |\n  x\n  y\n", "{\"a\":\"x\\ny\\n\"}");
  assert_reads("{\"json\": [1, \"two\", null]}", "{\"json\":[1,\"two\",null]}");
  assert_reads("1: a", "{\"1\":\"a\"}");
}

static void anchors_and_merge_keys_work(void **state) {
  (void)state;
  assert_reads("a: &x {p: 1, q: 2}\nb: *x", "{\"a\":{\"p\":1,\"q\":2},\"b\":{\"p\":1,\"q\":2}}");
  assert_reads("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}", "{\"a\":{\"p\":1,\"q\":2},\"b\":{\"q\":3,\"p\":1}}");
  assert_reads("b: {'<<': 3}", "{\"b\":{\"<<\":3}}");
  assert_refuses("b: {<<: 3}", "takes a mapping");
}

static void hostile_text_is_refused(void **state) {
  _cleanup_buf_ struct buf deep = BUF_INIT;
  _cleanup_buf_ struct buf laughs = BUF_INIT;

  (void)state;
  assert_refuses("a: 1\na: 2", "t.yaml:2: key \"a\" is there twice");
  assert_refuses("a: [", "t.yaml:");
  assert_refuses("a: {b: c", "t.yaml:");
  assert_refuses("? {x: y}\n: 1", "a key must be a string");
  assert_refuses("", "empty");
  assert_refuses("a: 1\n---\nb: 2", "second document");
  for (int i = 0; i < 10000; i++)
    buf_adds(&deep, "[");
  assert_refuses(buf_str(&deep), "nested deeper");
  buf_adds(&laughs, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
  for (int i = 1; i < 9; i++)
    buf_addf(&laughs, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1,
             i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
  assert_refuses(buf_str(&laughs), "too many values");
}

static int32_t count(void *arg, struct json_object *doc, size_t line, struct ome_err *err) {
  (void)line;
  (void)err;
  json_unref(doc);
  ++*(int *)arg;
  return OME_OK;
}

static void streams_hold_several_documents(void **state) {
  static const char text[] = "---\na: 1\n---\n# nothing\n---\nb: 2\n...\n";
  struct ome_err err = ERR_INIT;
  int n = 0;

  (void)state;
  assert_int_equal(yaml_parse("t", text, strlen(text), count, &n, &err), OME_OK);
  assert_int_equal(n, 2);
}

static void what_is_written_reads_back(void **state) {
  static const char *const docs[] = {
      "{\"a\":\"1\",\"b\":1,\"c\":[],\"d\":{},\"e\":null,\"f\":\"true\",\"g\":\"x: y\",\"h\":\"# no\",\"i\":\"\"}",
      "{\"list\":[{\"n\":1,\"m\":[1,2,[3]]},[],\"- x\",{\"k\":{\"z\":\"multi\\nline\\ttab\"}}]}",
      "[[[1]],{\"a\":[{\"b\":2}]}]",
      "\"plain\"",
      "{\"q\":\"it's\",\"u\":\"é\",\"bs\":\"a\\\\b\",\"no\":\"no\",\"s\":\"a \"}",
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(docs); i++) {
    struct ome_err err = ERR_INIT;
    _cleanup_json_ struct json_object *o = NULL;
    _cleanup_buf_ struct buf out = BUF_INIT;
    assert_int_equal(json_parse(docs[i], strlen(docs[i]), 0, &o, &err), OME_OK);
    yaml_write(&out, o);
    assert_reads(buf_str(&out), docs[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(scalars_are_read_as_kubernetes_reads_them),
      cmocka_unit_test(anchors_and_merge_keys_work),
      cmocka_unit_test(hostile_text_is_refused),
      cmocka_unit_test(streams_hold_several_documents),
      cmocka_unit_test(what_is_written_reads_back),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
