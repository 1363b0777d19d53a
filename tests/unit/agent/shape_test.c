/* Which shape of machine a model's files are chosen by. */
#include "../unit.h"

#include "agent/shape.h"

#include <stdio.h>

#include <string.h>

static const char *shape(const char *format, const char *label, const char *type, const char *map, int32_t *rc) {
  static char room[SHAPE_TEXT], found[SHAPE_TEXT];
  _cleanup_json_ struct json_object *model = NULL, *node = NULL;
  const char *out = NULL;
  struct ome_err err = ERR_INIT;
  char text[300];

  (void)snprintf(text, sizeof(text), "{\"spec\":{\"modelFormat\":{\"name\":\"%s\"}}}", format);
  assert_int_equal(json_parse(text, strlen(text), sizeof(text), &model, &err), OME_OK);
  (void)snprintf(text, sizeof(text), "{\"metadata\":{\"labels\":{\"%s\":\"%s\"}}}", label, type);
  assert_int_equal(json_parse(text, strlen(text), sizeof(text), &node, &err), OME_OK);
  *rc = shape_of_model(model, node, map, room, &out, &err);
  if (out)
    (void)snprintf(found, sizeof(found), "%s", out);
  return out ? found : NULL;
}

static void test_shapes(void **state) {
  static const char label[] = "node.kubernetes.io/instance-type", beta[] = "beta.kubernetes.io/instance-type";
  int32_t rc;

  (void)state;
  assert_string_equal(shape("tensorrtllm", label, "BM.GPU.H100.8", NULL, &rc), "H100");
  assert_string_equal(shape("tensorrtllm", beta, "BM.GPU4.8", "", &rc), "A100-40G");
  assert_string_equal(shape("tensorrtllm", label, "home.made", NULL, &rc), "home.made");
  assert_string_equal(shape("tensorrtllm", label, "home.made", "{\"home.made\":\"HM\"}", &rc), "HM");
  assert_string_equal(shape("tensorrtllm", label, "BM.GPU4.8", "{\"home.made\":\"HM\"}", &rc), "BM.GPU4.8");
  assert_null(shape("safetensors", label, "BM.GPU.H100.8", NULL, &rc));
  assert_null(shape("tensorrtllm", "other", "BM.GPU.H100.8", NULL, &rc));
  assert_int_equal(rc, OME_OK);
  assert_null(shape("tensorrtllm", label, "x", "[1]", &rc));
  assert_int_equal(rc, OME_E_INVALID);
  assert_null(shape("tensorrtllm", label, "x", "no JSON", &rc));
  assert_int_equal(rc, OME_E_INVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
