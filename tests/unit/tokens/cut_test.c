/* Parts of a JSON document, without a tree. */
#include "../unit.h"

#include "tokens/cut.h"

#include <string.h>

static struct cut whole(const char *text) {
  return (struct cut){.text = text, .len = strlen(text)};
}

static void members_are_found(void **state) {
  struct cut o = whole("{\"a\": [1, {\"b\": \"}\"}], \"c\\\"\": null, \"d\":\"x\\\\\" , \"e\": 12}");
  unsigned long n;

  (void)state;
  assert_true(cut_is(cut_get(o, "a"), '['));
  assert_int_equal(cut_get(o, "a").len, strlen("[1, {\"b\": \"}\"}]"));
  assert_true(cut_is_null(cut_get(o, "c\\\"")));
  assert_true(cut_is_null(cut_get(o, "b")));
  assert_true(cut_number(cut_get(o, "e"), 12, &n) && n == 12);
  assert_false(cut_number(cut_get(o, "e"), 11, &n));
  assert_false(cut_number(cut_get(o, "d"), 12, &n));
}

static bool count(void *arg, struct cut name, struct cut value) {
  (void)name, (void)value;
  ++*(int *)arg;
  return true;
}

static void broken_documents_end(void **state) {
  static const char *const broken[] = {"",       "{",    "{\"a\"",   "{\"a\":", "{\"a\":1", "{\"a\":1,", "[1",   "[\"a",
                                       "[\"a\\", "[[1]", "{\"a\":}", "[1,]",    "7",        "\"a\"",     "{1:2}"};
  int n = 0;

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(broken); i++)
    assert_false(cut_each(whole(broken[i]), count, &n));
  n = 0;
  assert_true(cut_each(whole("[]"), count, &n) && cut_each(whole(" { } "), count, &n) == false && n == 0);
  assert_true(cut_each(whole("[1, [2], {\"a\": [3]}]"), count, &n) && n == 3);
}

static void strings_are_unescaped(void **state) {
  static const struct {
    const char *text, *said;
  } good[] = {{"plain", "plain"},
              {"\\n\\t\\\"\\/\\\\", "\n\t\"/\\"},
              {"\\u00e9\\u4f60", "\u00e9\u4f60"},
              {"\\ud83d\\ude00", "\U0001f600"},
              {"\\ud83d", "\ufffd"},
              {"\\ude00x", "\ufffdx"},
              {"\\ud83d\\u0041", "\ufffdA"}};
  static const char *const bad[] = {"\\", "\\x", "\\u12", "\\u12g4"};

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(good); i++) {
    _cleanup_buf_ struct buf out = BUF_INIT;
    assert_true(cut_unescape(good[i].text, strlen(good[i].text), &out));
    assert_string_equal(buf_str(&out), good[i].said);
  }
  for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
    _cleanup_buf_ struct buf out = BUF_INIT;
    assert_false(cut_unescape(bad[i], strlen(bad[i]), &out));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(members_are_found),
      cmocka_unit_test(broken_documents_end),
      cmocka_unit_test(strings_are_unescaped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
