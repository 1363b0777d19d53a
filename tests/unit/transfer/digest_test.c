/* Digests against values that other programs computed (sha1sum, md5sum, gzip, RFC 3720 B.4, git hash-object). */
#include "../unit.h"

#include "base/str.h"
#include "transfer/crc32c.h"
#include "transfer/digest.h"

#include <stdio.h>
#include <string.h>

static const char text[] = "123456789";

static void assert_digest(uint32_t type, uint64_t part_bytes, const char *expected) {
  const struct manifest_file f = {
      .path = (char *)(uintptr_t) "f", .size = 9, .digest_type = type, .digest_part_bytes = part_bytes};
  char sha256[65], wanted[65];

  assert_true(digest_is_possible(type, part_bytes, strlen(expected)));
  for (size_t cut = 0; cut <= 9; cut++) { /* however it is cut up */
    _cleanup_(digests_freep) struct digests *d = digests_new(&f);
    assert_non_null(d);
    digests_add(d, text, cut);
    digests_add(d, text + cut, 9 - cut);
    digests_end(d, sha256, wanted, NULL);
    assert_string_equal(wanted, expected);
    assert_string_equal(sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225");
  }
}

static void test_known_values(UNUSED void **state) {
  assert_digest(OME_DIGEST_SHA256, 0, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225");
  assert_digest(OME_DIGEST_SHA1, 0, "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
  assert_digest(OME_DIGEST_GIT_SHA1, 0, "e2e107ac61ac259b87c544f6e7a4eb03422c6c21");
  assert_digest(OME_DIGEST_MD5, 0, "25f9e794323b453885f5181f1b624d0b");
  assert_digest(OME_DIGEST_CRC32, 0, "cbf43926");
  assert_digest(OME_DIGEST_CRC32C, 0, "e3069283");
}

/* printf 1234 | md5sum and so on, one after the other as bytes, and that again. */
static void test_digests_of_parts(UNUSED void **state) {
  assert_digest(OME_DIGEST_OF_PARTS | OME_DIGEST_MD5, 4, "393e928fcf5925fcbd3a06aaf20b2d38");
  assert_digest(OME_DIGEST_OF_PARTS | OME_DIGEST_SHA256, 4,
                "456b4905101d610f58eab1132f26b924c91aa7c7c00c9a396e24ac741590e741");
  assert_digest(OME_DIGEST_OF_PARTS | OME_DIGEST_CRC32, 3, "04409c0d");
}

static void test_what_cannot_be(UNUSED void **state) {
  assert_false(digest_is_possible(OME_DIGEST_NONE, 0, 0));
  assert_false(digest_is_possible(99, 0, 64));
  assert_false(digest_is_possible(OME_DIGEST_MD5, 0, 40));
  assert_false(digest_is_possible(OME_DIGEST_OF_PARTS | OME_DIGEST_MD5, 0, 32));
  assert_false(digest_is_possible(OME_DIGEST_OF_PARTS | OME_DIGEST_GIT_SHA1, 4, 40));
  assert_false(digest_is_possible(OME_DIGEST_OF_PARTS, 4, 0));
}

/* RFC 3720 B.4: 32 bytes of zeroes, of ones, and counting up; unaligned too. */
static void test_crc32c(UNUSED void **state) {
  uint8_t bytes[33] = {0};

  assert_int_equal(crc32c(0, bytes + 1, 32), 0x8a9136aau);
  memset(bytes, 0xff, sizeof(bytes));
  assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43u);
  for (uint8_t i = 0; i < 32; i++)
    bytes[i] = i;
  assert_int_equal(crc32c(0, bytes, 32), 0x46dd794eu);
  assert_int_equal(crc32c(crc32c(0, bytes, 13), bytes + 13, 19), 0x46dd794eu);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_known_values),
      cmocka_unit_test(test_digests_of_parts),
      cmocka_unit_test(test_what_cannot_be),
      cmocka_unit_test(test_crc32c),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
