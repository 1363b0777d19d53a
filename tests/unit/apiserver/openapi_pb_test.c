#include "../unit.h"

#include "apiserver/openapi_pb.h"
#include "documents.h"

static const struct {
  const char *document;
  const char *bytes; /* hex */
} cases[] = {
    {"{}", ""},
    {"{'swagger':'2.0','info':{'title':'K','version':'v1'}}", "0a03322e30"
                                                              "12070a014b12027631"},
    /* members without a field are left out, extensions are kept as YAML */
    {"{'nope':1,'x-a':[1]}", "82010c"
                             "0a03782d61"
                             "1205"
                             "12035b315d"},
    {"{'definitions':{'d':{'type':'object','properties':{'n':{'type':'integer','minimum':1.5}}}}}",
     "4a310a2f0a0164122ab201080a066f626a656374ca011c0a1a0a016e121549000000000000f83fb201090a07696e7465676572"},
    {"{'definitions':{'d':{'additionalProperties':true,'items':{'$ref':'r'},'required':['a','b'],'maxLength':300}}}",
     "4a1f"
     "0a1d"
     "0a0164"
     "1218"
     "58ac02"
     "9a010161"
     "9a010162"
     "aa01021001"
     "ba01050a030a0172"},
    {"{'paths':{'/a':{'get':{'operationId':'o','parameters':[{'in':'query','name':'q','type':'string'},{'$ref':'r'}],"
     "'responses':{'200':{'description':'OK'}}}}}}",
     "423f123d0a022f61123712352a016f42180a1612141a12120571756572792201713206737472696e67420512030a01724a0f0a0d0a03323030"
     "12060a040a024f4b"},
};

static void test_bytes(void **state) {
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_json_ struct json_object *doc = J(cases[i].document);
    _cleanup_buf_ struct buf out = BUF_INIT;
    openapi_pb_encode(doc, &out);
    assert_true(buf_ok(&out));
    _cleanup_free_ char *hex = calloc(1, out.len * 2 + 1);
    hex_encode((const uint8_t *)buf_str(&out), out.len, hex);
    assert_string_equal(hex, cases[i].bytes);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bytes),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
