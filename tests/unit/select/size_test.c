#include "../unit.h"

#include "select/size.h"

static void reads_sizes_exactly(void **state) {
  static const struct {
    const char *text;
    uint64_t size;
  } cases[] = {{"70B", 70000000000u},    {"7.11B", 7110000000u},
               {"500M", 500000000u},     {"1.5T", 1500000000000u},
               {"65B", 65000000000u},    {"134.515008M", 134515008u},
               {"0.6B", 600000000u},     {"123", 123u},
               {"1.0000004M", 1000000u}, {"18446744073.709551615B", UINT64_MAX},
               {"120.38K", 120380u}};
  uint64_t n;

  (void)state;
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
    n = 0;
    if (!size_parse(cases[i].text, &n) || n != cases[i].size)
      fail_msg("%s: %llu", cases[i].text, (unsigned long long)n);
  }
}

static void refuses_what_is_no_size(void **state) {
  static const char *const cases[] = {"",
                                      "B",
                                      "seventy",
                                      "70b",
                                      "7k",
                                      "-7B",
                                      "7 B",
                                      "7B ",
                                      ".5B",
                                      "1.2.3B",
                                      "7BB",
                                      "0B",
                                      "0.0M",
                                      "99999999999T",
                                      "1e9",
                                      "0x7B",
                                      "18446744073.709551616B"};
  uint64_t n = 42;

  (void)state;
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
    if (size_parse(cases[i], &n) || n != 42)
      fail_msg("%s was read", cases[i]);
  assert_false(size_parse(NULL, &n));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_sizes_exactly),
      cmocka_unit_test(refuses_what_is_no_size),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
