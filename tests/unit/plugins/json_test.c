/* The elements of an array, one after the other. */
#include "../unit.h"

#include "../../../plugins/common/json.h"

struct seen {
  char names[64];
  size_t stop_after; /* elements; 0: none */
  size_t n;
};

static int32_t see(void *arg, struct json_object *element) {
  struct seen *s = arg;

  (void)strncat(s->names, json_text_at(element, "n"), sizeof(s->names) - strlen(s->names) - 1);
  s->n++;
  return s->n == s->stop_after ? -7 : 0;
}

static int32_t each(const char *text, struct seen *s) {
  return json_each(text, strlen(text), see, s);
}

static void comes_by_all(void **state) {
  struct seen s = {.n = 0};

  (void)state;
  assert_int_equal(each(" [ {\"n\":\"a\", \"o\":{\"n\":[1,2]}} ,\n{\"n\":\"b]\"},null,3,{\"n\":\"c\"}]\n", &s), 0);
  assert_string_equal(s.names, "ab]c");
  assert_int_equal(s.n, 5);
  s = (struct seen){.n = 0};
  assert_int_equal(each("[]", &s), 0);
  assert_int_equal(each(" [ ] ", &s), 0);
  assert_int_equal(s.n, 0);
}

static void ends_where_it_is_told(void **state) {
  struct seen s = {.stop_after = 2};

  (void)state;
  assert_int_equal(each("[1,2,3]", &s), -7);
  assert_int_equal(s.n, 2);
}

static void refuses_what_is_no_array(void **state) {
  static const char *const texts[] = {"",     "{}",   "[",     "[1",    "[1,",         "[1 2]", "[1,]",
                                      "[,1]", "[1]]", "[1] x", "[{]",   "[{\"n\":1},", "x",     "\"[1]\"",
                                      "[[1]", "[1}",  "[\"a]", "[tru]", "[{\"n\" 1}]", "null",  "[1],[2]"};

  (void)state;
  for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
    struct seen s = {.n = 0};
    if (each(texts[i], &s) != JSON_NO_ARRAY)
      fail_msg("%s: was taken", texts[i]);
  }
  struct seen s = {.n = 0};
  assert_int_equal(json_each(NULL, 0, see, &s), JSON_NO_ARRAY);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(comes_by_all),
      cmocka_unit_test(ends_where_it_is_told),
      cmocka_unit_test(refuses_what_is_no_array),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
