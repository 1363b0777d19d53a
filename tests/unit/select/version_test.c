#include "../unit.h"

#include "version.h"

static void compares_as_ome_does(void **state) {
  static const struct {
    const char *runtime, *op, *model;
    int match;
  } cases[] = {
      {"1.8.0", "GreaterThan", "1.7.0", 1},
      {"1.7.0", "GreaterThan", "1.7.0", 0},
      {"1.8.0", "GreaterThanOrEqual", "1.8.0", 1},
      {"1.8.0-dev", "GreaterThan", "1.8.0-dev", 1},
      {"1.8.0-alpha", "GreaterThan", "1.8.0-dev", 0},
      {"1.0", "GreaterThan", "1.0.0", 0},
      {"v1.0.0", "GreaterThan", "1.0.0", 0},
      {"2.0.0", "GreaterThan", "v1.0.0", 0},
      {"1.0", "Equal", "1.0.0", 1},
      {"v1.0.0", "Equal", "1.0.0", 1},
      {"1.10.0", "GreaterThan", "1.9.0", 1},
      {"4.43.0.dev0", "Equal", "4.43.0.dev0", 1},
      {"4.43.0.dev0", "Equal", "4.43.0", 0},
      {"1.0.0", "Near", "1.0.0", 1},
      {"1.0.1", "Near", "1.0.0", 0},
      {"1.2-rc", "Equal", "1.2-rc", 0},
      {"", "Equal", "", 0},
      {"01.0.0", "Equal", "1.0.0", 0},
      {"V1.0.0", "Equal", "1.0.0", 0},
      {"1.0.0+a..b", "Equal", "1.0.0+a..b", 0},
      {"1.0.0-a.b", "Equal", "1.0.0-a.c", 0},
      {"99999999999999999999.0.0", "Equal", "99999999999999999999.0.0", 0},
  };

  (void)state;
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
    if (version_match(cases[i].runtime, cases[i].op, cases[i].model) != cases[i].match)
      fail_msg("%s %s %s", cases[i].runtime, cases[i].op, cases[i].model);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(compares_as_ome_does)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
