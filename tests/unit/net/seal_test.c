/* Sealed text: what one reader can open, and nobody else. */
#include "../unit.h"

#include "base/str.h"
#include "net/seal.h"

static const char secret[] = "hf_a token with a \n line and \xc3\xa9";

static void keys(struct seal_key **a, struct seal_key **b) {
  struct ome_err err = ERR_INIT;

  assert_int_equal(seal_key_new(a, &err), OME_OK);
  assert_int_equal(seal_key_new(b, &err), OME_OK);
  assert_string_not_equal(seal_key_public(*a), seal_key_public(*b));
}

static void the_reader_opens_it(UNUSED void **state) {
  _cleanup_(seal_key_freep) struct seal_key *a = NULL, *b = NULL;
  _cleanup_free_ char *one = NULL, *two = NULL, *text = NULL;
  struct ome_err err = ERR_INIT;
  size_t len = 0;

  keys(&a, &b);
  assert_int_equal(seal_text(seal_key_public(a), "context", secret, sizeof(secret) - 1, &one, &err), OME_OK);
  assert_int_equal(seal_text(seal_key_public(a), "context", secret, sizeof(secret) - 1, &two, &err), OME_OK);
  assert_string_not_equal(one, two);
  assert_int_equal(seal_open(a, "context", one, &text, &len, &err), OME_OK);
  assert_int_equal(len, sizeof(secret) - 1);
  assert_string_equal(text, secret);
}

static void nobody_else_does(UNUSED void **state) {
  _cleanup_(seal_key_freep) struct seal_key *a = NULL, *b = NULL;
  _cleanup_free_ char *sealed = NULL;
  struct ome_err err = ERR_INIT;
  char *text = NULL;
  size_t len = 0;

  keys(&a, &b);
  assert_int_equal(seal_text(seal_key_public(a), "context", secret, sizeof(secret) - 1, &sealed, &err), OME_OK);
  assert_int_equal(seal_open(b, "context", sealed, &text, &len, &err), OME_E_CORRUPT);
  err_clear(&err);
  assert_int_equal(seal_open(a, "another", sealed, &text, &len, &err), OME_E_CORRUPT);
  assert_null(text);
}

/* Every byte of it counts: the writer's key, the text, the tag, and the length. */
static void any_change_shows(UNUSED void **state) {
  _cleanup_(seal_key_freep) struct seal_key *a = NULL, *b = NULL;
  _cleanup_free_ char *sealed = NULL;
  struct ome_err err = ERR_INIT;
  size_t n = 0, len = 0;
  char *text = NULL;

  keys(&a, &b);
  assert_int_equal(seal_text(seal_key_public(a), "context", secret, sizeof(secret) - 1, &sealed, &err), OME_OK);
  _cleanup_free_ char *bytes = base64_decode(sealed, &n);
  for (size_t i = 0; i < n; i++) {
    bytes[i] ^= 1;
    _cleanup_free_ char *changed = base64_encode(bytes, n);
    bytes[i] ^= 1;
    assert_int_equal(seal_open(a, "context", changed, &text, &len, &err), OME_E_CORRUPT);
    err_clear(&err);
  }
  for (size_t i = 0; i < n; i++) {
    _cleanup_free_ char *cut = base64_encode(bytes, i);
    assert_int_equal(seal_open(a, "context", cut, &text, &len, &err), OME_E_CORRUPT);
    err_clear(&err);
  }
  assert_int_equal(seal_open(a, "context", "not base64!", &text, &len, &err), OME_E_CORRUPT);
}

static void what_is_no_key_is_refused(UNUSED void **state) {
  static const char *const bad[] = {"", "AAAA", "not base64!",
                                    /* a point of small order: all would share one secret */
                                    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};

  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    struct ome_err err = ERR_INIT;
    char *out = NULL;
    assert_int_equal(seal_text(bad[i], "context", secret, sizeof(secret), &out, &err), OME_E_INVALID);
    assert_null(out);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_reader_opens_it),
      cmocka_unit_test(nobody_else_does),
      cmocka_unit_test(any_change_shows),
      cmocka_unit_test(what_is_no_key_is_refused),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
