/* What an API server warns of, out of the headers of its answer. */
#include "../unit.h"

#include "base/buf.h"
#include "kube/warning.h"

static void finds_each(UNUSED void **state) {
  const char *headers = "content-type: application/json\n"
                        "warning: 299 - \"unknown field \\\"spec.x\\\"\"\n"
                        "Warning: 299 kubectl \"a \\\\ b\" \"Fri, 27 Nov 2026 00:00:00 GMT\"\n"
                        "audit-id: 1\n";
  char text[WARNING_TEXT];

  assert_true(warning_next(&headers, text));
  assert_string_equal(text, "unknown field \"spec.x\"");
  assert_true(warning_next(&headers, text));
  assert_string_equal(text, "a \\ b");
  assert_false(warning_next(&headers, text));
  assert_false(warning_next(&headers, text));
}

static void passes_over_what_is_none(UNUSED void **state) {
  static const char *const none[] = {"",
                                     "warning: 110 - \"stale\"\n",
                                     "warning: 299 -\n",
                                     "warning: 299 - unquoted\n",
                                     "warning: 299\n",
                                     "x-warning: 299 - \"a\"\n"};
  char text[WARNING_TEXT];

  for (size_t i = 0; i < ARRAY_LEN(none); i++) {
    const char *headers = none[i];
    assert_false(warning_next(&headers, text));
  }
}

static void is_safe_on_a_terminal(UNUSED void **state) {
  _cleanup_buf_ struct buf b = BUF_INIT;
  char text[WARNING_TEXT];

  buf_adds(&b, "warning: 299 - \"\x1b[31mred\\");
  const char *headers = buf_str(&b);
  assert_true(warning_next(&headers, text));
  assert_string_equal(text, " [31mred\\");
  buf_adds(&b, "\n");
  headers = buf_str(&b);
  assert_true(warning_next(&headers, text));
  assert_string_equal(text, " [31mred\\");
  b.len = 0;
  buf_adds(&b, "warning: 299 - \"");
  for (size_t i = 0; i < 2 * WARNING_TEXT; i++)
    buf_addc(&b, 'x');
  headers = buf_str(&b);
  assert_true(warning_next(&headers, text));
  assert_int_equal(strlen(text), WARNING_TEXT - 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_each),
      cmocka_unit_test(passes_over_what_is_none),
      cmocka_unit_test(is_safe_on_a_terminal),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
