/* Log lines: three formats, whatever is in the message, and the trace that they carry. */
#include "../unit.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"

#include <stdio.h>

/* What LOG writes to stderr for MESSAGE; new. */
static char *line_of(const char *message) {
  char text[8192];
  int ends[2];
  int saved = dup(STDERR_FILENO);

  assert_int_equal(pipe(ends), 0);
  assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
  log_warning("topic", "%s", message);
  assert_true(dup2(saved, STDERR_FILENO) >= 0);
  (void)close(saved);
  (void)close(ends[1]);
  ssize_t n = read(ends[0], text, sizeof(text) - 1);
  assert_true(n > 0);
  text[n] = '\0';
  (void)close(ends[0]);
  return strdup(text);
}

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"

static void test_text(void **state) {
  (void)state;
  _cleanup_free_ char *line = line_of("two\nlines");
  assert_string_equal(line + strlen("2026-01-02T03:04:05.678Z"), " WARN topic: two lines\n");
  log_set_trace(TRACE);
  _cleanup_free_ char *traced = line_of("x");
  log_set_trace(NULL);
  assert_string_equal(traced + strlen("2026-01-02T03:04:05.678Z"), " WARN topic: x [" TRACE "]\n");
}

static void test_logfmt(void **state) {
  (void)state;
  assert_true(log_set_format_named("logfmt"));
  log_set_trace(TRACE);
  _cleanup_free_ char *line = line_of("say \"hello\" \\o/");
  log_set_trace(NULL);
  assert_string_equal(line + strlen("ts=2026-01-02T03:04:05.678Z"),
                      " level=warning topic=topic msg=\"say \\\"hello\\\" \\\\o/\" trace=" TRACE "\n");
}

static void test_json(void **state) {
  (void)state;
  char longest[4096];
  struct ome_err err = ERR_INIT;
  assert_true(log_set_format_named("json"));
  memset(longest, '"', sizeof(longest) - 1);
  longest[sizeof(longest) - 1] = '\0';
  const char *const messages[] = {"plain", "a \"b\" \\ c\td", longest};
  for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
    _cleanup_json_ struct json_object *o = NULL;
    log_set_trace(TRACE);
    _cleanup_free_ char *line = line_of(messages[i]);
    log_set_trace(NULL);
    if (json_parse(line, strlen(line), 0, &o, &err) != OME_OK)
      fail_msg("%s: %s", line, err.msg);
    assert_string_equal(json_str(o, "level", ""), "warning");
    assert_string_equal(json_str(o, "trace", ""), TRACE);
    assert_true(strlen(json_str(o, "msg", "")) >= 5);
  }
}

static void test_names(void **state) {
  (void)state;
  assert_false(log_set_format_named("xml"));
  assert_false(log_set_level_named(""));
  assert_true(log_set_format_named("text"));
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_text),
      cmocka_unit_test(test_logfmt),
      cmocka_unit_test(test_json),
      cmocka_unit_test(test_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
