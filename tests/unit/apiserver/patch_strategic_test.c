#include "../unit.h"

#include "apiserver/patch.h"
#include "documents.h"
#include "schemas.h"

#include <stdio.h>

/* What stands in spec.template.spec, or spec, or the object, before and after. */
enum where { POD, SPEC, ROOT };

#define TWO "{'containers':[{'name':'a','image':'1'},{'name':'b','image':'2'}]}"
#define ABC "{'containers':[{'name':'a'},{'name':'b'},{'name':'c'}]}"

static const struct {
  enum where where;
  const char *doc, *patch;
  const char *expected; /* NULL: fails with CODE */
  int32_t code;
} cases[] = {
    {POD, TWO, "{'containers':[{'name':'b','image':'9'}]}",
     "{'containers':[{'name':'a','image':'1'},{'name':'b','image':'9'}]}", OME_OK},
    /* without an order of its own, what the patch adds comes first */
    {POD, TWO, "{'containers':[{'name':'c','image':'3'}]}",
     "{'containers':[{'name':'c','image':'3'},{'name':'a','image':'1'},{'name':'b','image':'2'}]}", OME_OK},
    {POD, "{'containers':[{'name':'a','env':[{'name':'A','value':'1'},{'name':'B','value':'2'}]}]}",
     "{'containers':[{'name':'a','env':[{'name':'B','value':'22'},{'name':'C','value':'3'}]}]}",
     "{'containers':[{'name':'a','env':[{'name':'A','value':'1'},{'name':'B','value':'22'},{'name':'C','value':'3'}]}]}",
     OME_OK},
    {POD, "{'containers':[{'name':'a','ports':[{'containerPort':80,'name':'http'},{'containerPort':443}]}]}",
     "{'containers':[{'name':'a','ports':[{'containerPort':80,'name':'web'}]}]}",
     "{'containers':[{'name':'a','ports':[{'containerPort':80,'name':'web'},{'containerPort':443}]}]}", OME_OK},
    /* lists without a merge key are replaced */
    {POD, "{'containers':[{'name':'a','args':['x','y']}],'tolerations':[{'key':'k'}]}",
     "{'containers':[{'name':'a','args':['z']}],'tolerations':[{'key':'q'}]}",
     "{'containers':[{'name':'a','args':['z']}],'tolerations':[{'key':'q'}]}", OME_OK},
    /* delete and replace */
    {POD, TWO, "{'containers':[{'name':'b','$patch':'delete'}]}", "{'containers':[{'name':'a','image':'1'}]}", OME_OK},
    {POD, TWO, "{'containers':[{'name':'z','$patch':'delete'}]}", TWO, OME_OK},
    {POD, TWO, "{'containers':[{'name':'z','image':'5'},{'$patch':'replace'}]}",
     "{'containers':[{'name':'z','image':'5'}]}", OME_OK},
    {POD, TWO, "{'containers':[{'$patch':'replace'}]}", "{'containers':[]}", OME_OK},
    {POD, "{'containers':[{'name':'a','image':'1','args':['x']}]}",
     "{'containers':[{'name':'a','image':null,'args':null}]}", "{'containers':[{'name':'a'}]}", OME_OK},
    {POD, TWO, "{'containers':null}", "{}", OME_OK},
    {ROOT, "{'metadata':{'labels':{'a':'1','b':'2'}}}", "{'metadata':{'labels':{'$patch':'replace','only':'this'}}}",
     "{'metadata':{'labels':{'only':'this'}}}", OME_OK},
    {ROOT, "{'metadata':{'labels':{'a':'1'}}}", "{'metadata':{'labels':{'$patch':'delete'}}}",
     "{'metadata':{'labels':{}}}", OME_OK},
    /* order */
    {POD, TWO,
     "{'$setElementOrder/containers':[{'name':'b'},{'name':'c'},{'name':'a'}],'containers':[{'name':'c','image':'3'}]}",
     "{'containers':[{'name':'b','image':'2'},{'name':'c','image':'3'},{'name':'a','image':'1'}]}", OME_OK},
    {POD, ABC, "{'$setElementOrder/containers':[{'name':'c'},{'name':'a'}]}",
     "{'containers':[{'name':'b'},{'name':'c'},{'name':'a'}]}", OME_OK},
    {POD, ABC, "{'$setElementOrder/containers':[{'name':'a'},{'name':'c'}]}", ABC, OME_OK},
    {POD, "{'containers':[{'name':'a','env':[{'name':'A','value':'1'},{'name':'B','value':'2'}]}]}",
     "{'$setElementOrder/containers':[{'name':'a'}],'containers':[{'name':'a','$setElementOrder/env':[{'name':'C'},"
     "{'name':'A'}],'env':[{'name':'C','value':'3'},{'name':'B','$patch':'delete'}]}]}",
     "{'containers':[{'name':'a','env':[{'name':'C','value':'3'},{'name':'A','value':'1'}]}]}", OME_OK},
    {POD, ABC, "{'$setElementOrder/containers':[{'name':'b'}],'containers':[{'name':'z'}]}", NULL, OME_E_CORRUPT},
    {POD, ABC, "{'$setElementOrder/containers':{}}", NULL, OME_E_INVALID},
    {POD, "{}", "{'$setElementOrder/containers':[{'name':'b'},{'name':'a'}],'containers':[{'name':'b'},{'name':'a'}]}",
     "{'containers':[{'name':'b'},{'name':'a'}]}", OME_OK},
    /* retained keys */
    {SPEC, "{'strategy':{'type':'RollingUpdate','rollingUpdate':{'maxSurge':2}}}",
     "{'strategy':{'$retainKeys':['type'],'type':'Recreate'}}", "{'strategy':{'type':'Recreate'}}", OME_OK},
    {POD, "{'volumes':[{'name':'v','emptyDir':{}}]}",
     "{'volumes':[{'name':'v','$retainKeys':['name','configMap'],'configMap':{'name':'c'}}]}",
     "{'volumes':[{'name':'v','configMap':{'name':'c'}}]}", OME_OK},
    {SPEC, "{'strategy':{}}", "{'strategy':{'$retainKeys':['type'],'rollingUpdate':{}}}", NULL, OME_E_INVALID},
    {SPEC, "{'strategy':{}}", "{'strategy':{'$retainKeys':'type'}}", NULL, OME_E_INVALID},
    /* merged lists of scalars */
    {ROOT, "{'metadata':{'finalizers':['x/a','x/b']}}", "{'metadata':{'finalizers':['x/c','x/a']}}",
     "{'metadata':{'finalizers':['x/c','x/a','x/b']}}", OME_OK},
    {ROOT, "{'metadata':{'finalizers':['x/a','x/b']}}", "{'metadata':{'$deleteFromPrimitiveList/finalizers':['x/a']}}",
     "{'metadata':{'finalizers':['x/b']}}", OME_OK},
    {ROOT, "{'metadata':{}}", "{'metadata':{'$deleteFromPrimitiveList/finalizers':['x/a']}}", "{'metadata':{}}",
     OME_OK},
    {ROOT, "{'metadata':{'finalizers':['x/a']}}", "{'metadata':{'$deleteFromPrimitiveList/finalizers':'x/a'}}", NULL,
     OME_E_INVALID},
    {ROOT, "{'metadata':{'finalizers':['b','a']}}",
     "{'metadata':{'$setElementOrder/finalizers':['a','c','b'],'finalizers':['c']}}",
     "{'metadata':{'finalizers':['a','c','b']}}", OME_OK},
    {ROOT, "{'metadata':{'ownerReferences':[{'uid':'1','name':'a'}]}}",
     "{'metadata':{'ownerReferences':[{'uid':'2','name':'b'},{'uid':'1','controller':true}]}}",
     "{'metadata':{'ownerReferences':[{'uid':'2','name':'b'},{'uid':'1','name':'a','controller':true}]}}", OME_OK},
    /* objects */
    {ROOT, "{'metadata':{'labels':{'a':'1','b':'2'}}}", "{'metadata':{'labels':{'a':null,'c':'3'}}}",
     "{'metadata':{'labels':{'b':'2','c':'3'}}}", OME_OK},
    {ROOT, "{'spec':{}}", "{'spec':{'strategy':{'type':null,'rollingUpdate':{'maxSurge':1,'$patch':'merge'}}}}",
     "{'spec':{'strategy':{'rollingUpdate':{'maxSurge':1}}}}", OME_OK},
    {SPEC, "{'replicas':1}", "{'replicas':{'a':1}}", "{'replicas':{'a':1}}", OME_OK},
    {ROOT, "{'a':{'b':[1]}}", "{'a':{'b':[2]}}", "{'a':{'b':[2]}}", OME_OK},
    {ROOT, "{}", "{}", "{}", OME_OK},
    /* faults */
    {POD, TWO, "{'containers':[{'image':'9'}]}", NULL, OME_E_CORRUPT},
    {POD, TWO, "{'containers':[{'$patch':'delete'}]}", NULL, OME_E_CORRUPT},
    {POD, TWO, "{'containers':[{'name':'a','$patch':'nope'}]}", NULL, OME_E_CORRUPT},
    {POD, TWO, "{'containers':[{'name':'a','$patch':'merge'}]}", NULL, OME_E_CORRUPT},
    {POD, TWO, "{'$patch':'nope'}", NULL, OME_E_CORRUPT},
    {POD, TWO, "{'containers':['a']}", NULL, OME_E_CORRUPT},
    {ROOT, "{}", "[]", NULL, OME_E_INVALID},
};

static char *wrapped(enum where where, const char *text) {
  char *out = NULL;

  switch (where) {
  case POD:
    return str_printf("{'spec':{'template':{'spec':%s}}}", text);
  case SPEC:
    return str_printf("{'spec':%s}", text);
  case ROOT:
    out = str_printf("%s", text);
  }
  return out;
}

static void test_table(void **state) {
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_free_ char *doc_text = wrapped(cases[i].where, cases[i].doc);
    _cleanup_free_ char *patch_text = wrapped(cases[i].where, cases[i].patch);
    _cleanup_json_ struct json_object *doc = J(doc_text), *patch = J(patch_text), *out = NULL;
    struct ome_err err = ERR_INIT;
    int32_t rc = patch_strategic(doc, patch, &workload_schema, &out, &err);
    if (rc != cases[i].code)
      fail_msg("%s: %d %s", cases[i].patch, rc, err.msg);
    if (cases[i].expected) {
      _cleanup_free_ char *expected = wrapped(cases[i].where, cases[i].expected);
      assert_json(out, expected, cases[i].patch);
    }
    assert_json(doc, doc_text, "the object");
    assert_json(patch, patch_text, "the patch");
  }
}

static void test_words(void **state) {
  _cleanup_json_ struct json_object *doc = J("{'spec':{'template':{'spec':" TWO "}}}"), *out = NULL;
  _cleanup_json_ struct json_object *patch = J("{'spec':{'template':{'spec':{'containers':[{'image':'i:9'}]}}}}");
  struct ome_err err = ERR_INIT;

  (void)state;
  assert_int_equal(patch_strategic(doc, patch, &workload_schema, &out, &err), OME_E_CORRUPT);
  assert_string_equal(err.msg, "map: map[image:i:9] does not contain declared merge key: name");
}

static void test_without_schema(void **state) {
  _cleanup_json_ struct json_object *doc = J("{'a':[1,2],'b':{'c':1}}"), *patch = J("{'a':[3],'b':{'d':2}}");
  _cleanup_json_ struct json_object *out = NULL;
  struct ome_err err = ERR_INIT;

  (void)state;
  assert_int_equal(patch_strategic(doc, patch, NULL, &out, &err), OME_OK);
  assert_json(out, "{'a':[3],'b':{'c':1,'d':2}}", "no schema");
}

/* Two long lists would be compared item by item for hours. */
static void test_is_bounded(void **state) {
  _cleanup_buf_ struct buf doc_text = BUF_INIT, patch_text = BUF_INIT;
  struct ome_err err = ERR_INIT;

  (void)state;
  for (int i = 0; i < 20000; i++) {
    buf_addf(&doc_text, "%s'a%d'", i ? "," : "{'metadata':{'finalizers':[", i);
    buf_addf(&patch_text, "%s'b%d'", i ? "," : "{'metadata':{'finalizers':[", i);
  }
  buf_adds(&doc_text, "]}}");
  buf_adds(&patch_text, "]}}");
  _cleanup_json_ struct json_object *doc = J(buf_str(&doc_text)), *patch = J(buf_str(&patch_text)), *out = NULL;
  assert_int_equal(patch_strategic(doc, patch, NULL, &out, &err), OME_E_UNSUPPORTED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_table),
      cmocka_unit_test(test_words),
      cmocka_unit_test(test_without_schema),
      cmocka_unit_test(test_is_bounded),
  };

  return cmocka_run_group_tests(tests, schemas_setup, schemas_teardown);
}
