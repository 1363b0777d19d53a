/* SHA-256 against FIPS 180-4's examples and OpenSSL's, of one content and of two. */
#include "../unit.h"

#include "base/str.h"
#include "transfer/sha256.h"

#include <openssl/evp.h>
#include <string.h>

#define MOST ((size_t)1000)

static uint8_t left[MOST], right[MOST];

static int setup(UNUSED void **state) {
  for (size_t i = 0; i < MOST; i++) {
    left[i] = (uint8_t)(i * 31 + i / 7);
    right[i] = (uint8_t)(i * 17 + i / 5 + 1);
  }
  return 0;
}

static void assert_end(struct sha256 *s, const void *content, size_t len) {
  uint8_t raw[SHA256_BYTES];
  char hex[65], wanted[65];

  sha256_end(s, raw);
  sha256_fini(s);
  hex_encode(raw, sizeof(raw), hex);
  sha256_hex(content, len, wanted);
  assert_string_equal(hex, wanted);
}

static void test_examples(UNUSED void **state) {
  static const char abc[] = "abc";
  uint8_t raw[SHA256_BYTES];
  struct sha256 s;
  char hex[65];

  assert_true(sha256_begin(&s));
  sha256_add(&s, abc, 3);
  sha256_end(&s, raw);
  sha256_fini(&s);
  hex_encode(raw, sizeof(raw), hex);
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_every_length_however_it_is_cut(UNUSED void **state) {
  for (size_t len = 0; len <= 4 * SHA256_BLOCK; len++)
    for (size_t cut = 0; cut <= len; cut++) {
      struct sha256 s;
      assert_true(sha256_begin(&s));
      sha256_add(&s, left, cut);
      sha256_add(&s, left + cut, len - cut);
      assert_end(&s, left, len);
    }
}

/* AHEAD and BEHIND bytes first: whether what follows begins with a block in both, in one, in neither. */
static void assert_both(size_t ahead, size_t behind, size_t len) {
  struct sha256 a, b;

  assert_true(sha256_begin(&a));
  assert_true(sha256_begin(&b));
  sha256_add(&a, left, ahead);
  sha256_add(&b, right, behind);
  sha256_add_both(&a, left + ahead, &b, right + behind, len);
  sha256_add_both(&a, left + ahead + len, &b, right + behind + len, 5);
  assert_end(&a, left, ahead + len + 5);
  assert_end(&b, right, behind + len + 5);
}

static void test_two_contents_do_not_meet(UNUSED void **state) {
  static const size_t heads[] = {0, 1, 63, 64, 65, 128};

  for (size_t i = 0; i < ARRAY_LEN(heads); i++)
    for (size_t k = 0; k < ARRAY_LEN(heads); k++)
      for (size_t len = 0; len <= 4 * SHA256_BLOCK; len++)
        assert_both(heads[i], heads[k], len);
}

/* As sha256_begin() does on a processor without instructions for it. */
static void begin_without(struct sha256 *s) {
  assert_true(sha256_begin(s));
  sha256_fini(s);
  s->md = EVP_MD_CTX_new();
  assert_non_null(s->md);
  assert_int_equal(EVP_DigestInit_ex(s->md, EVP_sha256(), NULL), 1);
}

static void test_processors_without_instructions(UNUSED void **state) {
  struct sha256 a, b;

  begin_without(&a);
  begin_without(&b);
  sha256_add(&a, left, 100);
  sha256_add(&b, right, 200);
  sha256_add_both(&a, left + 100, &b, right + 200, 300);
  assert_end(&a, left, 400);
  assert_end(&b, right, 500);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_examples),
      cmocka_unit_test(test_every_length_however_it_is_cut),
      cmocka_unit_test(test_two_contents_do_not_meet),
      cmocka_unit_test(test_processors_without_instructions),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
