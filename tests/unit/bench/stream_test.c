#include "../unit.h"

#include "base/cleanup.h"
#include "bench/answer.h"
#include "bench/scan.h"
#include "bench/sse.h"

#include <stdio.h>

static bool gather(void *arg, const char *data, size_t len) {
  struct buf *out = arg;

  buf_addc(out, '[');
  buf_add(out, data, len);
  buf_addc(out, ']');
  return true;
}

/* TEXT in pieces of STEP bytes. */
static void feed(const char *text, size_t step, struct buf *out) {
  struct ome_err err = ERR_INIT;
  struct sse s;
  size_t len = strlen(text);

  sse_init(&s);
  for (size_t at = 0; at < len; at += step)
    assert_int_equal(sse_feed(&s, text + at, len - at < step ? len - at : step, gather, out, &err), OME_OK);
  sse_fini(&s);
}

static void events_do_not_depend_on_how_they_arrive(void **state) {
  static const struct {
    const char *text, *events;
  } cases[] = {
      {"data: a\n\ndata: b\n\n", "[a][b]"},
      {"data: a\r\n\r\ndata: b\r\n\r\n", "[a][b]"},
      {"data: a\r\rdata: b\r\r", "[a][b]"},
      {"data: one\ndata:two\n\n", "[one\ntwo]"},
      {"\xef\xbb\xbf"
       "data: first\n\n",
       "[first]"},
      {": keep-alive\n\nevent: x\nid: 4\ndata: a\n\n", "[a]"},
      {"data\n\ndata:\n\n", "[][]"},
      {"data:  two spaces\n\n", "[ two spaces]"},
      {"datum: no\nno colon\n\n", ""},
      {"data: without an end", ""},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++)
    for (size_t step = 1; step < 9; step++) {
      _cleanup_buf_ struct buf out = BUF_INIT;
      feed(cases[i].text, step, &out);
      assert_string_equal(buf_str(&out), cases[i].events);
    }
}

static void an_endless_event_is_refused(void **state) {
  static const char line[] = "data: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n";
  _cleanup_buf_ struct buf out = BUF_INIT;
  struct ome_err err = ERR_INIT;
  struct sse s;
  int32_t lines = OME_OK, whole = OME_OK;

  (void)state;
  sse_init(&s);
  for (size_t i = 0; i < 2 * SSE_MAX_EVENT / sizeof(line) && lines == OME_OK; i++)
    lines = sse_feed(&s, line, sizeof(line) - 1, gather, &out, &err);
  sse_fini(&s);
  sse_init(&s);
  for (size_t i = 0; i < 2 * SSE_MAX_EVENT / 32 && whole == OME_OK; i++)
    whole = sse_feed(&s, line, 32, gather, &out, &err);
  sse_fini(&s);
  assert_int_equal(lines, OME_E_INVALID);
  assert_int_equal(whole, OME_E_INVALID);
}

static void collect(void *arg, const char *path, enum scan_type type, const char *text, size_t len) {
  buf_addf(arg, "%s=%d:%.*s;", path, (int)type, (int)len, text);
}

static void a_scan_tells_every_scalar_with_its_path(void **state) {
  static const char text[] = " {\"a\": [1, {\"b\": \"x\\\"y\"}, true], \"c.d\": null, \"e\": -1.5e3} ";
  _cleanup_buf_ struct buf out = BUF_INIT;

  (void)state;
  assert_true(scan_json(text, strlen(text), collect, &out));
  assert_string_equal(buf_str(&out), "=4:;a=5:;a.0=2:1;a.1=4:;a.1.b=3:x\\\"y;a.2=1:true;c.d=0:null;e=2:-1.5e3;");
}

static void a_scan_refuses_what_is_no_json(void **state) {
  static const char *const bad[] = {"",   "{",      "[1,]",  "{\"a\":}",   "{\"a\" 1}",   "01",    "1.",
                                    "-",  "tru",    "\"a",   "\"\\x\"",    "\"\\u12g4\"", "[1] 2", "{a:1}",
                                    "1e", "\"\n\"", "[1 2]", "{\"a\":1,}", "nulll"};
  char deep[300];

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
    _cleanup_buf_ struct buf out = BUF_INIT;
    assert_false(scan_json(bad[i], strlen(bad[i]), collect, &out));
  }
  memset(deep, '[', 100);
  memset(deep + 100, ']', 100);
  _cleanup_buf_ struct buf out = BUF_INIT;
  assert_false(scan_json(deep, 200, collect, &out));
}

static void answers_are_understood(void **state) {
  static const struct {
    const char *text;
    enum answer_kind kind;
    uint64_t prompt, completion;
    bool ended;
  } cases[] = {
      {"{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}", ANSWER_NOTHING, 0, 0, false},
      {"{\"choices\":[{\"delta\":{\"content\":\" a\"},\"finish_reason\":null}]}", ANSWER_TEXT, 0, 0, false},
      {"{\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}", ANSWER_TEXT, 0, 0, false},
      {"{\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\"}]}", ANSWER_TEXT, 0, 0, true},
      {"{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"{\"}}]}}]}", ANSWER_TEXT, 0, 0, false},
      {"{\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":9,\"total_tokens\":16}}", ANSWER_NOTHING,
       7, 9, false},
      {"{\"results\":[{\"index\":0}],\"usage\":{\"total_tokens\":5}}", ANSWER_NOTHING, 5, 0, false},
      {"{\"error\":{\"message\":\"no\"}}", ANSWER_ERROR, 0, 0, false},
      {"{\"error\":null,\"choices\":[]}", ANSWER_NOTHING, 0, 0, false},
      {"{\"object\":\"error\",\"message\":\"no\"}", ANSWER_ERROR, 0, 0, false},
      {"[DONE]", ANSWER_NOTHING, 0, 0, true},
      {"{\"choices\":[{\"delta\":", ANSWER_BAD, 0, 0, false},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct answer a = {0};
    assert_int_equal(answer_take(&a, cases[i].text, strlen(cases[i].text)), cases[i].kind);
    assert_int_equal(a.prompt_tokens, cases[i].prompt);
    assert_int_equal(a.completion_tokens, cases[i].completion);
    assert_int_equal(a.ended, cases[i].ended);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(events_do_not_depend_on_how_they_arrive),
      cmocka_unit_test(an_endless_event_is_refused),
      cmocka_unit_test(a_scan_tells_every_scalar_with_its_path),
      cmocka_unit_test(a_scan_refuses_what_is_no_json),
      cmocka_unit_test(answers_are_understood),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
