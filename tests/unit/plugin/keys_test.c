/* Settings of plugins: types, defaults, what is refused, and that secrets are not told. */
#include "../unit.h"

#include "plugin/keys.h"

#include <string.h>

#define KEY(id, kind, marks, value)                                                                                    \
  {                                                                                                                    \
    .struct_size = sizeof(struct ome_key), .type = (kind), .flags = (marks), .name = (id), .dflt = (value),            \
    .doc = "X."                                                                                                        \
  }

static const struct ome_key all[] = {
    KEY("text", OME_KEY_STRING, 0, "none"),
    KEY("flag", OME_KEY_BOOL, 0, NULL),
    KEY("number", OME_KEY_INT, 0, NULL),
    KEY("size", OME_KEY_SIZE, 0, NULL),
    KEY("timeout", OME_KEY_DURATION, 0, "10s"),
    KEY("token", OME_KEY_SECRET, 0, NULL),
    KEY("needed", OME_KEY_STRING, OME_KEY_REQUIRED, NULL),
};
static const struct ome_key *const keys[] = {&all[0], &all[1], &all[2], &all[3], &all[4], &all[5], &all[6], NULL};
static const struct ome_factory factory = {.struct_size = sizeof(factory), .name = "f", .keys = keys};

static int32_t resolve(const char *settings, struct keys *out, struct ome_err *err) {
  _cleanup_json_ struct json_object *o = NULL;

  assert_int_equal(json_parse(settings, strlen(settings), 0, &o, err), OME_OK);
  return keys_resolve(&factory, o, out, err);
}

static const char *value_of(const struct keys *k, const char *name) {
  for (uint32_t i = 0; i < k->n; i++)
    if (strcmp(k->pairs[i].key, name) == 0)
      return k->pairs[i].value;
  return "(unset)";
}

static void converts_and_defaults(void **state) {
  static const struct {
    const char *settings, *key, *value;
  } cases[] = {
      {"{\"needed\":\"a\"}", "text", "none"},
      {"{\"needed\":\"a\"}", "timeout", "10000"},
      {"{\"needed\":\"a\"}", "flag", "(unset)"},
      {"{\"needed\":\"a\",\"flag\":true}", "flag", "true"},
      {"{\"needed\":\"a\",\"number\":-3}", "number", "-3"},
      {"{\"needed\":\"a\",\"size\":\"4Mi\"}", "size", "4194304"},
      {"{\"needed\":\"a\",\"size\":1024}", "size", "1024"},
      {"{\"needed\":\"a\",\"timeout\":\"150ms\"}", "timeout", "150"},
      {"{\"needed\":\"a\",\"timeout\":\"2h\"}", "timeout", "7200000"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct ome_err err = ERR_INIT;
    struct keys k;
    assert_int_equal(resolve(cases[i].settings, &k, &err), OME_OK);
    assert_string_equal(value_of(&k, cases[i].key), cases[i].value);
    keys_fini(&k);
  }
}

static void refuses(void **state) {
  static const struct {
    const char *settings, *says;
  } cases[] = {
      {"{}", "\"needed\" is required"},
      {"{\"needed\":\"a\",\"flag\":\"yes\"}", "is no bool"},
      {"{\"needed\":\"a\",\"number\":\"1.5\"}", "is no int"},
      {"{\"needed\":\"a\",\"number\":\"99999999999999999999\"}", "is no int"},
      {"{\"needed\":\"a\",\"size\":\"-1\"}", "is no size"},
      {"{\"needed\":\"a\",\"timeout\":\"10\"}", "is no duration"},
      {"{\"needed\":\"a\",\"timeout\":\"s\"}", "is no duration"},
      {"{\"needed\":\"a\",\"text\":[1]}", "not a list"},
      {"{\"needed\":\"a\",\"colour\":1}", "unknown setting \"colour\""},
      {"[]", "must be a mapping"},
      {"{\"needed\":\"a\",\"token\":{\"hush\":1}}", "not a list"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct ome_err err = ERR_INIT;
    struct keys k;
    if (resolve(cases[i].settings, &k, &err) != OME_E_INVALID || !strstr(err.msg, cases[i].says) ||
        strstr(err.msg, "hush"))
      fail_msg("%s: %s", cases[i].settings, err.msg);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(converts_and_defaults),
      cmocka_unit_test(refuses),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
