/* Small tokenizers whose counts can be told by hand; large ones are in the scenario "tokens". */
#include "../unit.h"

#include "tokens/tokenizer.h"

#include <string.h>

#define BPE(more)                                                                                                                         \
  "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\",\"vocab\":{\"?\":9,\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"bc\":4,\"abc\":5,\"<0xC3>\":6," \
  "\"<0xA9>\":7},\"merges\":[[\"b\",\"c\"],[\"a\",\"b\"],[\"a\",\"bc\"]]" more "}"
#define UNIGRAM(more)                                                                                                            \
  "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"?\",0],[\"a\",-1],[\"b\",-1],[\"ab\",-2.5],[\"abc\",-2.75]]" more \
  "}"

static void counts_as_told_by_hand(void **state) {
  static const struct {
    const char *file, *text;
    uint64_t tokens;
  } cases[] = {
      {BPE("") "}", "", 0},
      {BPE("") "}", "abc", 1}, /* bc first, then a and bc */
      {BPE("") "}", "abab", 2},
      {BPE("") "}", "axxc", 4}, /* each unknown is one */
      {BPE(",\"fuse_unk\":true") "}", "axxc", 3},
      {BPE(",\"byte_fallback\":true") "}", "a\u00e9", 3},
      {BPE("") ",\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"}}", "ab ab  c", 3},
      {BPE("") ",\"normalizer\":{\"type\":\"Lowercase\"}}", "ABC", 1},
      {BPE("") ",\"added_tokens\":[{\"content\":\"bab\"},{\"content\":\"b\"}]}", "ababa",
       3}, /* the longest: a, bab, a */
      {BPE("") ",\"added_tokens\":[{\"content\":\"c\",\"single_word\":true}]}", "c abc", 3}, /* c, unknown space, abc */
      {UNIGRAM("") "}", "ab", 2},  /* -2 is likelier than -2.5 */
      {UNIGRAM("") "}", "abc", 1}, /* against a, b and an unknown */
      {UNIGRAM("") "}", "xxa", 2},
  };
  struct ome_err err = ERR_INIT;

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_(tokenizer_freep) struct tokenizer *t = NULL;
    uint64_t n = 77;
    if (tokenizer_read("file", cases[i].file, strlen(cases[i].file), &t, &err) != OME_OK)
      fail_msg("%s", err.msg);
    assert_int_equal(tokenizer_count(t, cases[i].text, strlen(cases[i].text), &n, &err), OME_OK);
    if (n != cases[i].tokens)
      fail_msg("case %zu: \"%s\" is %llu tokens", i, cases[i].text, (unsigned long long)n);
  }
}

static void bad_texts_are_refused(void **state) {
  _cleanup_(tokenizer_freep) struct tokenizer *t = NULL;
  struct ome_err err = ERR_INIT;
  uint64_t n;

  (void)state;
  assert_int_equal(tokenizer_read("file", BPE("") "}", strlen(BPE("") "}"), &t, &err), OME_OK);
  assert_int_equal(tokenizer_count(t, "a\xff", 2, &n, &err), OME_E_INVALID);
  assert_string_equal(tokenizer_token(t, 0), "?");
  assert_null(tokenizer_token(t, 9));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts_as_told_by_hand),
      cmocka_unit_test(bad_texts_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
