#include "../unit.h"

#include "documents.h"

/* ---- one schema, many documents --------------------------------------------------------------------------------- */

static const char openapi[] =
    "{'type':'object','required':['must'],'properties':{"
    "'must':{'type':'string'},"
    "'kind2':{'type':'string','enum':['big','small']},"
    "'low':{'type':'integer','minimum':1,'maximum':10},"
    "'excl':{'type':'number','minimum':0,'exclusiveMinimum':true},"
    "'multi':{'type':'integer','multipleOf':5},"
    "'pat':{'type':'string','pattern':'^[a-z]+-\\\\d+$'},"
    "'short':{'type':'string','minLength':2,'maxLength':4},"
    "'list':{'type':'array','maxItems':3,'minItems':1,'items':{'type':'integer'}},"
    "'uniq':{'type':'array','x-kubernetes-list-type':'set','items':{'type':'string'}},"
    "'keyed':{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['name'],'items':{"
    "'type':'object','required':['name'],'properties':{'name':{'type':'string'},'port':{'type':'integer','default':80}}}},"
    "'map':{'type':'object','additionalProperties':{'type':'integer','minimum':0}},"
    "'amount':{'x-kubernetes-int-or-string':true,'anyOf':[{'type':'integer'},{'type':'string'}]},"
    "'when':{'type':'string','format':'date-time'},"
    "'bytes':{'type':'string','format':'byte'},"
    "'i32':{'type':'integer','format':'int32'},"
    "'nul':{'type':'string','nullable':true,'default':'d'},"
    "'notnul':{'type':'string','default':'d'},"
    "'free':{'type':'object','x-kubernetes-preserve-unknown-fields':true,'properties':{'n':{'type':'integer'}}},"
    "'status':{'type':'object','x-kubernetes-preserve-unknown-fields':true,'properties':{'n':{'type':'integer'}}},"
    "'one':{'type':'object','properties':{'a':{'type':'string'},'b':{'type':'string'}},"
    "'oneOf':[{'required':['a']},{'required':['b']}]},"
    "'embedded':{'type':'object','x-kubernetes-embedded-resource':true,'x-kubernetes-preserve-unknown-fields':true},"
    "'flag':{'type':'boolean'}}}";

static struct schema_doc *read_openapi(const char *text) {
  _cleanup_json_ struct json_object *o = doc(text);
  struct schema_doc *d = NULL;
  struct ome_err err = ERR_INIT;

  if (schema_from_openapi(o, &d, &err) != OME_OK)
    fail_msg("%s", err.msg);
  return d;
}

static const struct {
  const char *object, *errors;
} faults[] = {
    {"{'must':'x'}", ""},
    {"{}", "must: Required value"},
    {"{'must':1}", "must: Invalid value: \"integer\": must in body must be of type string: \"integer\""},
    {"{'must':'x','flag':'yes'}", "flag: Invalid value: \"string\": flag in body must be of type boolean: \"string\""},
    {"{'must':'x','kind2':'medium'}", "kind2: Unsupported value: \"medium\": supported values: \"big\", \"small\""},
    {"{'must':'x','low':0}", "low: Invalid value: 0: low in body should be greater than or equal to 1"},
    {"{'must':'x','low':11}", "low: Invalid value: 11: low in body should be less than or equal to 10"},
    {"{'must':'x','low':5.0}", ""},
    {"{'must':'x','low':5.5}", "low: Invalid value: \"number\": low in body must be of type integer: \"number\""},
    {"{'must':'x','excl':0}", "excl: Invalid value: 0: excl in body should be greater than 0"},
    {"{'must':'x','multi':7}", "multi: Invalid value: 7: multi in body should be a multiple of 5"},
    {"{'must':'x','pat':'abc'}", "pat: Invalid value: \"abc\": pat in body should match '^[a-z]+-\\d+$'"},
    {"{'must':'x','pat':'abc-12'}", ""},
    {"{'must':'x','short':'a'}", "short: Invalid value: \"a\": short in body should be at least 2 chars long"},
    {"{'must':'x','short':'\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f'}", ""},
    {"{'must':'x','short':'abcde'}", "short: Too long: may not be longer than 4"},
    {"{'must':'x','list':[1,2,3,4]}", "list: Too many: 4: must have at most 3 items"},
    {"{'must':'x','list':[]}", "list: Invalid value: []: list in body should have at least 1 items"},
    {"{'must':'x','list':[1,'x']}",
     "list[1]: Invalid value: \"string\": list[1] in body must be of type integer: \"string\""},
    {"{'must':'x','uniq':['a','b','a']}", "uniq[2]: Duplicate value: \"a\""},
    {"{'must':'x','keyed':[{'name':'a'},{'name':'a'}]}", "keyed[1]: Duplicate value: {\"name\":\"a\"}"},
    {"{'must':'x','keyed':[{}]}", "keyed[0].name: Required value"},
    {"{'must':'x','map':{'a':1,'b':'x'}}",
     "map.b: Invalid value: \"string\": map.b in body must be of type integer: \"string\""},
    {"{'must':'x','map':{'a':-1}}", "map.a: Invalid value: -1: map.a in body should be greater than or equal to 0"},
    {"{'must':'x','amount':1}", ""},
    {"{'must':'x','amount':'5Gi'}", ""},
    {"{'must':'x','amount':true}",
     "amount: Invalid value: \"boolean\": amount in body must be of type integer,string: \"boolean\""},
    {"{'must':'x','when':'now'}", "when: Invalid value: \"now\": when in body must be of type date-time: \"now\""},
    {"{'must':'x','when':'2026-01-02T03:04:05Z'}", ""},
    {"{'must':'x','bytes':'***'}", "bytes: Invalid value: \"***\": bytes in body must be of type byte: \"***\""},
    {"{'must':'x','i32':2147483648}",
     "i32: Invalid value: 2147483648: i32 in body must be of type int32: \"2147483648\""},
    {"{'must':'x','nul':null}", ""},
    {"{'must':'x','free':{'x':[1],'n':'s'}}",
     "free.n: Invalid value: \"string\": free.n in body must be of type integer: \"string\""},
    {"{'must':'x','one':{'a':'1'}}", ""},
    {"{'must':'x','one':{'a':'1','b':'2'}}",
     "one: Invalid value: {\"a\":\"1\",\"b\":\"2\"}: one in body must validate one and only one schema (oneOf)"},
};

static void test_validate(UNUSED void **state) {
  struct schema_doc *d = read_openapi(openapi);

  for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
    _cleanup_json_ struct json_object *o = doc(faults[i].object);
    struct field_errors errors = {{0}};
    schema_validate(schema_root(d), o, NULL, &errors);
    _cleanup_free_ char *text = error_text(&errors);
    if (!streq(text, faults[i].errors))
      fail_msg("%s:\n got \"%s\"\nnot \"%s\"", faults[i].object, text, faults[i].errors);
  }
  schema_doc_free(d);
}

static void test_prune(UNUSED void **state) {
  struct schema_doc *d = read_openapi(openapi);
  _cleanup_json_ struct json_object *o =
      doc("{'apiVersion':'v1','kind':'X','metadata':{'name':'n','nope':1},'must':'x','extra':1,"
          "'keyed':[{'name':'a','q':1}],'free':{'any':{'thing':1}},'map':{'k':1},"
          "'embedded':{'metadata':{'name':'e','nope':1},'spec':{'deep':1}},'status':{'any':1}}");
  _cleanup_json_ struct json_object *unknown = json_object_new_array();
  _cleanup_json_ struct json_object *remarks = json_object_new_array();

  schema_prune(schema_root(d), o, unknown);
  schema_remark(schema_root(d), o, remarks);
  assert_document(remarks, "['free.any: not known here; it is stored and has no effect']"); /* and not of the status */
  assert_document(o, "{'apiVersion':'v1','kind':'X','metadata':{'name':'n'},'must':'x','keyed':[{'name':'a'}],"
                     "'free':{'any':{'thing':1}},'map':{'k':1},'embedded':{'metadata':{'name':'e'},'spec':{'deep':1}},"
                     "'status':{'any':1}}");
  assert_document(unknown, "['metadata.nope','extra','keyed[0].q','embedded.metadata.nope']");
  schema_doc_free(d);
}

/* What goes on to pods has an effect, a misspelt name has none, however deep. */
static void test_remark(UNUSED void **state) {
  _cleanup_json_ struct json_object *o = doc(
      "{'apiVersion':'ome.io/v1beta1','kind':'ServingRuntime','metadata':{'name':'r'},'spec':{'hostIPC':true,"
      "'hostNetwrk':true,'engineConfig':{'dnsPolicy':'Default','kedaConfig':{'a':1},'scaleTarget':1,'volumes':[{'name':'v','emptyDir':"
      "{'medum':'Memory'}}],'runner':{'name':'c','env':[{'name':'A','valueFrom':{'fieldRef':{'fieldPath':'x'}}}],"
      "'livenessProbe':{'httpGet':{'port':1}},'livenesProbe':{}}}}}");
  _cleanup_json_ struct json_object *before = json_copy(o);
  _cleanup_json_ struct json_object *remarks = json_object_new_array();

  schema_remark(schema_builtin("ome.io", "v1beta1", "ServingRuntime"), o, remarks);
  assert_document(
      remarks,
      "['spec.hostNetwrk: not known here (did you mean hostNetwork?); it is stored and has no effect',"
      "'spec.engineConfig.kedaConfig: Deprecated: autoscaler says it better.',"
      "'spec.engineConfig.kedaConfig.a: not known here; it is stored and has no effect',"
      "'spec.engineConfig.volumes[0].emptyDir.medum: not known here (did you mean medium?); it is stored and has no effect',"
      "'spec.engineConfig.runner.livenesProbe: not known here (did you mean livenessProbe?); it is stored and has no effect']");
  assert_true(json_equal(o, before));
}

static void test_default(UNUSED void **state) {
  struct schema_doc *d = read_openapi(openapi);
  _cleanup_json_ struct json_object *o = doc(
      "{'nul':null,'notnul':null,'must':null,'keyed':[{'name':'a'},{'name':'b','port':1},{'name':'c','port':null}]}");

  schema_default(schema_root(d), o);
  assert_document(o, "{'nul':null,'notnul':'d','keyed':[{'name':'a','port':80},{'name':'b','port':1},"
                     "{'name':'c','port':80}]}");
  schema_doc_free(d);
}

/* What is read is written back the same. */
static void test_round_trip(UNUSED void **state) {
  _cleanup_json_ struct json_object *before = doc(openapi);
  struct schema_doc *d = read_openapi(openapi);
  _cleanup_json_ struct json_object *after = schema_to_openapi(schema_root(d), true);
  _cleanup_free_ char *text = json_text(after);

  if (!json_equal(before, after))
    fail_msg("%s", text);
  schema_doc_free(d);
}

/* ---- rules ------------------------------------------------------------------------------------------------------ */

static const char ruled[] =
    "{'type':'object','x-kubernetes-validations':[{'rule':'!has(self.min) || !has(self.max) || self.min <= self.max',"
    "'message':'min must not exceed max'}],'properties':{"
    "'min':{'type':'integer'},'max':{'type':'integer'},"
    "'mode':{'type':'string','x-kubernetes-validations':[{'rule':'self == oldSelf','reason':'FieldValueForbidden'}]},"
    "'free':{'type':'string','maxLength':3,'x-kubernetes-validations':[{'rule':'size(self) < 3',"
    "'messageExpression':'self + \\' is too long\\''}]},"
    "'list':{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['name'],'items':{'type':'object',"
    "'required':['name'],'properties':{'name':{'type':'string'},'size':{'type':'integer',"
    "'x-kubernetes-validations':[{'rule':'self >= oldSelf','message':'must not shrink','fieldPath':''}]}}}}}}";

static const struct {
  const char *old, *now, *errors;
} rules[] = {
    {NULL, "{'min':1,'max':2}", ""},
    {NULL, "{'min':3,'max':2}", "<nil>: Invalid value: \"object\": min must not exceed max"},
    {NULL, "{'min':'x','max':2}", "min: Invalid value: \"string\": min in body must be of type integer: \"string\""},
    {NULL, "{'mode':'a'}", ""},
    {"{}", "{'mode':'a'}", ""},
    {"{'mode':'a'}", "{'mode':'a'}", ""},
    {"{'mode':'a'}", "{'mode':'b'}", "mode: Forbidden: failed rule: self == oldSelf"},
    {NULL, "{'free':'abc'}", "free: Invalid value: \"string\": abc is too long"},
    {"{'list':[{'name':'a','size':1},{'name':'b','size':5}]}", "{'list':[{'name':'b','size':5},{'name':'a','size':2}]}",
     ""},
    {"{'list':[{'name':'a','size':1},{'name':'b','size':5}]}", "{'list':[{'name':'b','size':4}]}",
     "list[0].size: Invalid value: \"integer\": must not shrink"},
};

static void test_rules(UNUSED void **state) {
  struct schema_doc *d = read_openapi(ruled);

  for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
    _cleanup_json_ struct json_object *now = doc(rules[i].now);
    _cleanup_json_ struct json_object *old = rules[i].old ? doc(rules[i].old) : NULL;
    struct field_errors errors = {{0}};
    schema_validate(schema_root(d), now, old, &errors);
    _cleanup_free_ char *text = error_text(&errors);
    if (!streq(text, rules[i].errors))
      fail_msg("%s: got \"%s\", not \"%s\"", rules[i].now, text, rules[i].errors);
  }
  schema_doc_free(d);
}

static void test_refuses(UNUSED void **state) {
  static const char *const bad[] = {
      "{}",
      "[]",
      "{'type':'strange'}",
      "{'type':'object','properties':{'a':{'type':'object','$ref':'#/x'}}}",
      "{'type':'object','properties':{'a':1}}",
      "{'type':'array','items':[]}",
      "{'type':'string'}",
      "{'type':'object','properties':{'a':{'description':'no type'}}}",
      "{'type':'object','properties':{'a':{'type':'integer','default':'x'}}}",
      ("{'type':'object','properties':{'a':{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['k'],"
       "'items':{'type':'object','properties':{'k':{'type':'string'}}}}}}"),
  };

  for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
    _cleanup_json_ struct json_object *o = doc(bad[i]);
    struct schema_doc *d = NULL;
    struct ome_err err = ERR_INIT;
    if (schema_from_openapi(o, &d, &err) == OME_OK)
      fail_msg("%s was taken", bad[i]);
    assert_null(d);
    assert_true(*err.msg != '\0');
  }
}

/* ---- built-in kinds --------------------------------------------------------------------------------------------- */

static void test_decode(UNUSED void **state) {
  static const struct {
    const char *object, *error; /* NULL: taken */
  } cases[] = {
      {"{'spec':{'replicas':'three'}}",
       "json: cannot unmarshal string into Go struct field spec.replicas of type int32"},
      {"{'spec':{'template':{'spec':{'containers':{'name':'x'}}}}}",
       "json: cannot unmarshal object into Go struct field spec.template.spec.containers of type slice"},
      {"{'spec':{'template':{'spec':{'containers':[{'resources':{'limits':{'cpu':'abc'}}}]}}}}",
       "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"},
      {"{'spec':{'replicas':3000000000}}",
       "json: cannot unmarshal number 3000000000 into Go struct field spec.replicas of type int32"},
      {"{'metadata':{'labels':{'a':1}}}",
       "json: cannot unmarshal number into Go struct field metadata.labels.a of type string"},
      {"{'spec':{'replicas':null,'template':null}}", NULL},
  };

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_json_ struct json_object *o = doc(cases[i].object);
    struct ome_err err = ERR_INIT;
    int32_t rc = schema_decode(schema_builtin("apps", "v1", "Deployment"), o, &err);
    assert_int_equal(rc, cases[i].error ? OME_E_INVALID : OME_OK);
    if (cases[i].error)
      assert_string_equal(err.msg, cases[i].error);
  }
}

static void test_quantities(UNUSED void **state) {
  _cleanup_json_ struct json_object *o = doc(
      "{'spec':{'containers':[{'resources':{'limits':{'a':'0.5','b':2,'c':'1024Mi','d':'1e3','e':'1.5Gi','f':'1000m',"
      "'g':'12345678','h':'-0.1','i':'100M','j':'0','k':1.5}}}]}}");
  struct ome_err err = ERR_INIT;

  assert_int_equal(schema_decode(schema_builtin("", "v1", "Pod"), o, &err), OME_OK);
  assert_document(json_at(json_index(json_at(o, "spec.containers"), 0), "resources.limits"),
                  "{'a':'500m','b':'2','c':'1Gi','d':'1e3','e':'1536Mi','f':'1','g':'12345678','h':'-100m','i':'100M',"
                  "'j':'0','k':'1500m'}");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_validate), cmocka_unit_test(test_prune),      cmocka_unit_test(test_remark),
      cmocka_unit_test(test_default),  cmocka_unit_test(test_round_trip), cmocka_unit_test(test_refuses),
      cmocka_unit_test(test_rules),    cmocka_unit_test(test_decode),     cmocka_unit_test(test_quantities),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
