/* The canonical order of queries, and what libcurl then signs: known answers of the AWS SigV4 test suite's kind. */
#include "../unit.h"

#include "base/str.h"
#include "net/sigv4.h"

static void assert_url(const char *url, const char *expected) {
  _cleanup_free_ char *got = sigv4_url(url);

  assert_non_null(got);
  assert_string_equal(got, expected);
}

static void test_orders_queries(UNUSED void **state) {
  assert_url("https://h/p", "https://h/p");
  assert_url("https://h/p?", "https://h/p");
  assert_url("https://h/p?uploads", "https://h/p?uploads=");
  assert_url("https://h/p?b=2&a=1#f", "https://h/p?a=1&b=2");
  assert_url("https://h/p?prefix=x&list-type=2&prefix-2=y&continuation-token=a%3D", //
             "https://h/p?continuation-token=a%3D&list-type=2&prefix=x&prefix-2=y");
  assert_url("https://h/p?a=2&a=1&a", "https://h/p?a=&a=1&a=2");
}

static void test_content_header(UNUSED void **state) {
  _cleanup_free_ char *empty = sigv4_content_header(NULL, 0);

  assert_string_equal(empty, "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  assert_true(sigv4_is_service("aws:amz:us-east-1:s3", "s3"));
  assert_false(sigv4_is_service("aws:amz:us-east-1:sts", "s3"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_orders_queries),
      cmocka_unit_test(test_content_header),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
