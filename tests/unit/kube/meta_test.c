/* An object without who manages what of it. */
#include "../unit.h"

#include "base/json.h"
#include "kube/meta.h"

static struct json_object *parsed(const char *text) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  assert_int_equal(json_parse(text, strlen(text), 0, &o, &err), OME_OK);
  return o;
}

static void managers_are_left_out_and_the_rest_is_shared(void **state) {
  _cleanup_json_ struct json_object *o =
      parsed("{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"managedFields\":[{}],\"x\":null},\"spec\":{\"n\":1}}");
  _cleanup_json_ struct json_object *out = meta_without_managers(o);
  _cleanup_json_ struct json_object *want =
      parsed("{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"x\":null},\"spec\":{\"n\":1}}");

  (void)state;
  assert_true(json_equal(out, want));
  assert_ptr_equal(json_get(out, "spec"), json_get(o, "spec"));
  assert_int_equal(json_len(json_at(o, "metadata.managedFields")), 1);
}

static void what_has_none_stays_what_it_is(void **state) {
  _cleanup_json_ struct json_object *o = parsed("{\"metadata\":{\"name\":\"a\"}}");
  _cleanup_json_ struct json_object *out = meta_without_managers(o);

  (void)state;
  assert_ptr_equal(out, o);
  assert_null(meta_without_managers(NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(managers_are_left_out_and_the_rest_is_shared),
      cmocka_unit_test(what_has_none_stays_what_it_is),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
