#include "../unit.h"

#include "apiserver/apply_fieldset.h"
#include "documents.h"

static struct fieldset_pool pool;

static int start(void **state) {
  (void)state;
  pool = (struct fieldset_pool){0};
  return 0;
}

static int finish(void **state) {
  (void)state;
  bool failed = pool.failed;
  fieldset_pool_fini(&pool);
  return failed ? -1 : 0;
}

static const struct fieldset *parse(const char *text) {
  _cleanup_json_ struct json_object *o = J(text);
  const struct fieldset *set = NULL;
  struct ome_err err = ERR_INIT;

  if (fieldset_parse(&pool, o, &set, &err) != OME_OK)
    fail_msg("%s: %s", text, err.msg);
  return set;
}

static void assert_set(const struct fieldset *set, const char *expected) {
  _cleanup_json_ struct json_object *o = fieldset_to_json(set);

  assert_json(o, expected, "set");
}

static void test_round_trip(void **state) {
  static const char *const texts[] = {
      "{}",
      "{'f:a':{}}",
      "{'f:a':{'.':{},'f:b':{},'f:c':{'k:{\\\"name\\\":\\\"x\\\"}':{'.':{},'f:d':{}}}}}",
      "{'f:l':{'v:\\\"a\\\"':{},'v:1':{},'v:true':{},'i:3':{}}}",
      "{'f:':{}}",
      "{'f:a.b/c':{}}",
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(texts); i++)
    assert_set(parse(texts[i]), texts[i]);
  /* one spelling for the keys of an item */
  assert_set(parse("{'k:{\\\"b\\\": 1, \\\"a\\\":2}':{}}"), "{'k:{\\\"a\\\":2,\\\"b\\\":1}':{}}");
  assert_set(parse("{'.':{},'f:a':{'.':{}}}"), "{'f:a':{}}");
}

static void test_bad(void **state) {
  static const char *const texts[] = {"[]",        "1",          "{'a':{}}",  "{'x:a':{}}", "{'k:1':{}}",  "{'k:{':{}}",
                                      "{'v:':{}}", "{'i:x':{}}", "{'f:a':1}", "{'f:a':[]}", "{'f:a':null}"};

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
    _cleanup_json_ struct json_object *o = J(texts[i]);
    const struct fieldset *set = NULL;
    struct ome_err err = ERR_INIT;
    if (fieldset_parse(&pool, o, &set, &err) != OME_E_INVALID)
      fail_msg("%s was taken", texts[i]);
  }
}

static bool has_member(const struct fieldset *set, const char *element) {
  const struct fieldset *child = fieldset_child(set, element);

  return child && child->member;
}

static void test_algebra(void **state) {
  const struct fieldset *a = parse("{'f:x':{'.':{},'f:y':{},'f:z':{}},'f:w':{}}");
  const struct fieldset *b = parse("{'f:x':{'f:y':{},'f:v':{}}}");

  (void)state;
  assert_set(fieldset_union(&pool, a, b), "{'f:x':{'.':{},'f:y':{},'f:z':{},'f:v':{}},'f:w':{}}");
  assert_set(fieldset_intersect(&pool, a, b), "{'f:x':{'f:y':{}}}");
  assert_set(fieldset_subtract(&pool, a, b), "{'f:x':{'.':{},'f:z':{}},'f:w':{}}");
  assert_set(fieldset_subtract(&pool, b, a), "{'f:x':{'f:v':{}}}");
  /* a member takes what is below it along only where that is asked for */
  assert_set(fieldset_subtract(&pool, a, parse("{'f:x':{}}")), "{'f:x':{'f:y':{},'f:z':{}},'f:w':{}}");
  assert_set(fieldset_subtract_trees(&pool, a, parse("{'f:x':{}}")), "{'f:w':{}}");
  assert_true(fieldset_empty(fieldset_subtract(&pool, a, a)));
  assert_true(fieldset_empty(NULL));
  assert_true(fieldset_equal(NULL, parse("{}")));
  assert_true(fieldset_equal(a, parse("{'f:w':{},'f:x':{'f:z':{},'f:y':{},'.':{}}}")));
  assert_false(fieldset_equal(a, b));
  assert_true(has_member(a, "f:x"));
  assert_false(has_member(b, "f:x"));
}

static void collect(void *arg, const char *path) {
  buf_addf(arg, "%s\n", path);
}

static void test_paths(void **state) {
  _cleanup_buf_ struct buf text = BUF_INIT;

  (void)state;
  fieldset_each(parse("{'f:spec':{'.':{},'f:ports':{'k:{\\\"port\\\":80,\\\"protocol\\\":\\\"TCP\\\"}':{'.':{},"
                      "'f:name':{}}},'f:tags':{'v:\\\"a\\\"':{}}},'f:a':{'f:b':{}},'f:l':{'i:2':{}}}"),
                collect, &text);
  assert_string_equal(buf_str(&text), ".spec\n.a.b\n.l[2]\n.spec.ports[port=80,protocol=\"TCP\"]\n"
                                      ".spec.ports[port=80,protocol=\"TCP\"].name\n.spec.tags[=\"a\"]\n");
}

/* Sets of random paths against the same in a plain list. */
static void test_random(void **state) {
  uint32_t seed = 3;

  (void)state;
  for (int round = 0; round < 200; round++) {
    struct fieldset *sets[2] = {fieldset_new(&pool), fieldset_new(&pool)};
    bool in[2][27] = {{false}};
    for (int i = 0; i < 24; i++) {
      seed = seed * 1664525u + 1013904223u;
      uint32_t p = (seed >> 8) % 27, which = (seed >> 20) & 1;
      static const char *const names[] = {"f:a", "f:b", "f:c"};
      struct field_path path = {.elements = {names[p / 9], names[p / 3 % 3], names[p % 3]}, .len = 3};
      fieldset_insert(&pool, sets[which], &path);
      in[which][p] = true;
    }
    const struct fieldset *both = fieldset_intersect(&pool, sets[0], sets[1]);
    const struct fieldset *left = fieldset_subtract(&pool, sets[0], sets[1]);
    const struct fieldset *all = fieldset_union(&pool, sets[0], sets[1]);
    for (uint32_t p = 0; p < 27; p++) {
      const char *n1 = (const char *[]){"f:a", "f:b", "f:c"}[p / 9],
                 *n2 = (const char *[]){"f:a", "f:b", "f:c"}[p / 3 % 3],
                 *n3 = (const char *[]){"f:a", "f:b", "f:c"}[p % 3];
      assert_int_equal(has_member(fieldset_child(fieldset_child(both, n1), n2), n3), in[0][p] && in[1][p]);
      assert_int_equal(has_member(fieldset_child(fieldset_child(left, n1), n2), n3), in[0][p] && !in[1][p]);
      assert_int_equal(has_member(fieldset_child(fieldset_child(all, n1), n2), n3), in[0][p] || in[1][p]);
    }
  }
}

#define T(f) cmocka_unit_test_setup_teardown(f, start, finish)

int main(void) {
  const struct CMUnitTest tests[] = {
      T(test_round_trip), T(test_bad), T(test_algebra), T(test_paths), T(test_random),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
