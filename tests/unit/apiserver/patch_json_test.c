#include "../unit.h"

#include "apiserver/patch.h"
#include "documents.h"

#include <stdio.h>

static const struct {
  const char *doc, *patch;
  const char *expected; /* NULL: fails with CODE */
  int32_t code;
} cases[] = {
    {"{'a':'1','b':'2','c':'3'}",
     "[{'op':'test','path':'/a','value':'1'},{'op':'replace','path':'/a','value':'10'},{'op':'remove','path':'/b'},"
     "{'op':'add','path':'/d','value':'4'},{'op':'copy','from':'/d','path':'/e'},{'op':'move','from':'/c','path':'/f'}]",
     "{'a':'10','d':'4','e':'4','f':'3'}", OME_OK},
    {"{}", "[]", "{}", OME_OK},
    /* pointers */
    {"{'x/y':1,'m~n':2}", "[{'op':'replace','path':'/x~1y','value':3},{'op':'remove','path':'/m~0n'}]", "{'x/y':3}",
     OME_OK},
    {"{'~1':1}", "[{'op':'test','path':'/~01','value':1}]", "{'~1':1}", OME_OK},
    {"{'':1}", "[{'op':'replace','path':'/','value':2}]", "{'':2}", OME_OK},
    {"{'a':1}", "[{'op':'replace','path':'','value':{'b':2}}]", "{'b':2}", OME_OK},
    {"{'a':1}", "[{'op':'add','path':'','value':[1]}]", "[1]", OME_OK},
    {"{'a':1}", "[{'op':'test','path':'','value':{'a':1.0}}]", "{'a':1}", OME_OK},
    {"{'a':1}", "[{'op':'remove','path':''}]", NULL, OME_E_UNSUPPORTED},
    {"{'a':1}", "[{'op':'remove','path':'a'}]", NULL, OME_E_UNSUPPORTED},
    /* lists */
    {"{'t':['a','b']}",
     "[{'op':'add','path':'/t/-','value':'z'},{'op':'add','path':'/t/1','value':'m'},{'op':'remove','path':'/t/0'},"
     "{'op':'replace','path':'/t/2','value':'y'}]",
     "{'t':['m','b','y']}", OME_OK},
    {"{'t':['a']}", "[{'op':'add','path':'/t/1','value':'b'}]", "{'t':['a','b']}", OME_OK},
    {"{'t':['a']}", "[{'op':'add','path':'/t/0','value':'b'}]", "{'t':['b','a']}", OME_OK},
    {"{'t':['a','b']}", "[{'op':'remove','path':'/t/-1'}]", "{'t':['a']}", OME_OK},
    {"{'t':['a','b']}", "[{'op':'add','path':'/t/-1','value':'c'}]", "{'t':['a','b','c']}", OME_OK},
    {"{'t':['a']}", "[{'op':'add','path':'/t/9','value':'q'}]", NULL, OME_E_UNSUPPORTED},
    {"{'t':['a']}", "[{'op':'remove','path':'/t/1'}]", NULL, OME_E_UNSUPPORTED},
    {"{'t':['a']}", "[{'op':'remove','path':'/t/-'}]", NULL, OME_E_UNSUPPORTED},
    {"{'t':['a']}", "[{'op':'replace','path':'/t/x','value':1}]", NULL, OME_E_UNSUPPORTED},
    {"{'t':[{'n':1},{'n':2}]}", "[{'op':'move','from':'/t/0','path':'/t/1'}]", "{'t':[{'n':2},{'n':1}]}", OME_OK},
    {"{'t':[[1],[2]]}", "[{'op':'add','path':'/t/1/0','value':0}]", "{'t':[[1],[0,2]]}", OME_OK},
    /* add replaces a member; a missing value is null */
    {"{'a':1}", "[{'op':'add','path':'/a','value':{'b':null}}]", "{'a':{'b':null}}", OME_OK},
    {"{'a':1}", "[{'op':'add','path':'/b'}]", "{'a':1,'b':null}", OME_OK},
    {"{'a':null}", "[{'op':'test','path':'/a','value':null},{'op':'remove','path':'/a'}]", "{}", OME_OK},
    {"{}", "[{'op':'test','path':'/a','value':null}]", "{}", OME_OK},
    /* what does not apply */
    {"{'a':'1'}", "[{'op':'replace','path':'/a','value':'2'},{'op':'test','path':'/a','value':'9'}]", NULL,
     OME_E_UNSUPPORTED},
    {"{'a':'1'}", "[{'op':'test','path':'/a','value':1}]", NULL, OME_E_UNSUPPORTED},
    {"{'a':'1'}", "[{'op':'remove','path':'/x'}]", NULL, OME_E_UNSUPPORTED},
    {"{'a':'1'}", "[{'op':'replace','path':'/x','value':1}]", NULL, OME_E_UNSUPPORTED},
    {"{'a':'1'}", "[{'op':'test','path':'/x','value':'1'}]", NULL, OME_E_UNSUPPORTED},
    {"{'a':'1'}", "[{'op':'test','path':'/x/y','value':'1'}]", NULL, OME_E_UNSUPPORTED},
    {"{'a':'1'}", "[{'op':'add','path':'/x/y','value':'1'}]", NULL, OME_E_UNSUPPORTED},
    {"{'a':'1'}", "[{'op':'add','path':'/a/y','value':'1'}]", NULL, OME_E_UNSUPPORTED},
    {"{'a':'1'}", "[{'op':'copy','from':'/x','path':'/y'}]", NULL, OME_E_UNSUPPORTED},
    {"{'a':{'b':1}}", "[{'op':'move','from':'/a','path':'/a/b'}]", NULL, OME_E_UNSUPPORTED},
    {"{'a':'1'}", "[{'op':'nope','path':'/a'}]", NULL, OME_E_UNSUPPORTED},
    {"{'a':'1'}", "[{'op':'add','value':1}]", NULL, OME_E_UNSUPPORTED},
    /* what is no patch */
    {"{}", "{'a':1}", NULL, OME_E_INVALID},
    {"{}", "[1]", NULL, OME_E_INVALID},
};

static void test_table(void **state) {
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_json_ struct json_object *doc = J(cases[i].doc), *patch = J(cases[i].patch), *out = NULL;
    struct ome_err err = ERR_INIT;
    int32_t rc = patch_json(doc, patch, &out, &err);
    if (rc != cases[i].code)
      fail_msg("%s: %d %s", cases[i].patch, rc, err.msg);
    if (cases[i].expected)
      assert_json(out, cases[i].expected, cases[i].patch);
    else
      assert_null(out);
    assert_json(doc, cases[i].doc, "the argument");
  }
}

static int32_t run_text(const char *doc_text, const char *patch_text) {
  _cleanup_json_ struct json_object *doc = J(doc_text), *patch = J(patch_text), *out = NULL;
  struct ome_err err = ERR_INIT;

  return patch_json(doc, patch, &out, &err);
}

/* Copying a document into itself doubles it: that ends by size and by depth. */
static void test_copy_is_bounded(void **state) {
  _cleanup_buf_ struct buf wide = BUF_INIT, deep = BUF_INIT;

  (void)state;
  buf_adds(&wide, "[");
  buf_adds(&deep, "[");
  for (int i = 0; i < JSON_MAX_DEPTH + 50; i++) {
    buf_addf(&wide, "%s{'op':'copy','from':'','path':'/k%d'}", i ? "," : "", i);
    buf_addf(&deep, "%s{'op':'copy','from':'','path':'/a'}", i ? "," : "");
  }
  buf_adds(&wide, "]");
  buf_adds(&deep, "]");
  assert_int_equal(run_text("{'x':'0123456789'}", buf_str(&wide)), OME_E_UNSUPPORTED);
  assert_int_equal(run_text("{'x':1}", buf_str(&deep)), OME_E_UNSUPPORTED);
}

static void test_too_many(void **state) {
  _cleanup_buf_ struct buf patch = BUF_INIT;

  (void)state;
  buf_adds(&patch, "[{'op':'test','path':'/a','value':1}");
  for (int i = 0; i < 10000; i++)
    buf_adds(&patch, ",{'op':'test','path':'/a','value':1}");
  buf_adds(&patch, "]");
  assert_int_equal(run_text("{'a':1}", buf_str(&patch)), OME_E_NO_SPACE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_table),
      cmocka_unit_test(test_copy_is_bounded),
      cmocka_unit_test(test_too_many),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
