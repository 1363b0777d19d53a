/* What a model's Secret and parameters hand to the plugin. */
#include "../unit.h"

#include "agent/credentials.h"
#include "base/str.h"

#include <ome/abi.h>
#include <stdio.h>

static const struct {
  const char *parameters, *data; /* JSON */
  int32_t rc;
  const char *list; /* "key=value " of each, in order */
} cases[] = {
    {"{}", "{\"token\":\"aGlkZGVu\"}", OME_OK, "token=hidden "},
    {"{\"secretKey\":\"hf\"}", "{\"hf\":\"aGlkZGVu\",\"token\":\"b3RoZXI=\"}", OME_OK,
     "token=hidden token=other secretKey=hf "},
    {"{\"region\":\"eu\"}", "{\".dockerconfigjson\":\"e30=\",\"username\":\"bWU=\"}", OME_OK,
     ".dockerconfigjson={} username=me region=eu "},
    {"{\"secretKey\":\"absent\"}", "{\"token\":\"aGlkZGVu\"}", OME_E_NOT_FOUND, ""},
    {"{}", "{}", OME_E_NOT_FOUND, ""},
    {"{}", "null", OME_E_NOT_FOUND, ""},
    {"{}", "{\"binary\":\"AAEC\",\"broken\":\"!\",\"token\":\"aGlkZGVu\"}", OME_OK, "token=hidden "},
};

static struct json_object *parse(const char *text) {
  struct json_object *o = json_tokener_parse(text);

  assert_non_null(o);
  return o;
}

static void hands_over_every_key(void **state) {
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_free_ char *model_text = str_printf("{\"spec\":{\"storage\":{\"parameters\":%s}}}", cases[i].parameters);
    _cleanup_free_ char *secret_text = str_printf("{\"metadata\":{\"name\":\"s\"},\"data\":%s}", cases[i].data);
    _cleanup_json_ struct json_object *model = parse(model_text);
    _cleanup_json_ struct json_object *secret = parse(secret_text);
    _cleanup_credentials_ struct credentials c = {{0}};
    struct ome_err err = ERR_INIT;
    char list[200] = "";
    int32_t rc = credentials_of_secret(&c, model, secret, &err);
    if (rc == OME_OK)
      rc = credentials_of_parameters(&c, model, &err);
    assert_int_equal(rc, cases[i].rc);
    for (size_t k = 0; k < c.list.len; k++) {
      size_t used = strlen(list);
      (void)snprintf(list + used, sizeof(list) - used, "%s=%s ", c.list.items[k].key, c.list.items[k].value);
    }
    assert_string_equal(list, cases[i].list);
    assert_null(strstr(err.msg, "hidden"));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(hands_over_every_key)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
