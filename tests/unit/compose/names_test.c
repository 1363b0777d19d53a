/* Names that must be OME's byte for byte. */
#include "../unit.h"

#include "base/str.h"
#include "compose/names.h"

#include <stdlib.h>

static void check(char *got, const char *want) {
  assert_non_null(got);
  assert_string_equal(got, want);
  free(got);
}

static const char a64[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

static void truncates_from_the_left(void **state) {
  (void)state;
  check(name_truncate("llama-engine", 63), "llama-engine");
  check(name_truncate(a64 + 1, 63), a64 + 1);
  /* sha256 of 64 times "a" begins with ffe054fe. */
  check(name_truncate(a64, 63), "ffe054fe-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
  check(name_truncate_hash(a64, 8), "ffe054fe");
  check(name_truncate_hash(a64, 4), "ffe0");
}

/* A label must not begin with a digit; a part of a label's key may. */
static void begins_labels_with_a_letter(void **state) {
  char text[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx0";
  size_t digits = 0;

  (void)state;
  for (char c = '0'; c <= '9'; c++) {
    text[sizeof(text) - 2] = c;
    char *label = name_truncate(text, 63);
    char *key = name_truncate_hash(text, 63);
    assert_int_equal(strlen(label), 63);
    assert_true(label[0] >= 'a' && label[0] <= 'f');
    assert_string_equal(label + 1, key + 1);
    digits += key[0] <= '9';
    free(label);
    free(key);
  }
  assert_true(digits > 0);
}

static void labels_models(void **state) {
  (void)state;
  check(name_model_label(NULL, "llama-8b"), "models.ome.io/clusterbasemodel.llama-8b");
  check(name_model_label("team", "llama-8b"), "models.ome.io/team.basemodel.llama-8b");
  char *long_name = name_model_label(NULL, a64);
  assert_int_equal(strlen(long_name), strlen("models.ome.io/clusterbasemodel.") + 32);
  free(long_name);
  /* A short namespace is kept, a long one becomes its hash. */
  char *short_ns = name_model_label("team", a64);
  assert_true(has_prefix(short_ns, "models.ome.io/team.basemodel."));
  assert_int_equal(strlen(short_ns), strlen("models.ome.io/team.basemodel.") + 34);
  free(short_ns);
  char *long_ns = name_model_label("a-long-namespace", a64);
  assert_int_equal(strlen(long_ns), strlen("models.ome.io/12345678.basemodel.") + 30);
  free(long_ns);
  check(name_model_key(NULL, a64), "clusterbasemodel.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
  check(name_model_key("team", "m"), "team.basemodel.m");
  check(name_model_key(NS_WEIGHTS, "m"), "finetunedweight.m");
  check(name_model_label(NS_WEIGHTS, "m"), "models.ome.io/finetunedweight.m");
  assert_null(name_api_ns(NS_WEIGHTS));
  assert_string_equal(name_api_ns("team"), "team");
}

static void knows_who_shares_a_key(void **state) {
  static const struct {
    const char *ns, *name, *other_ns, *other;
  } cases[] = {
      {"clusterbasemodel", "x", NULL, "basemodel.x"},
      {"finetunedweight", "x.y", NS_WEIGHTS, "basemodel.x.y"},
      {"team", "x", NULL, NULL},
      {NULL, "basemodel.x", NULL, NULL},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    const char *other_ns = NULL, *back = NULL;
    _cleanup_free_ char *rival = name_rival(cases[i].ns, cases[i].name, &other_ns);
    assert_true(streq(rival, cases[i].other) && streq(other_ns, cases[i].other_ns));
    if (!rival)
      continue;
    _cleanup_free_ char *key = name_model_key(cases[i].ns, cases[i].name);
    check(name_model_key(other_ns, rival), key);
    const char *twin = name_twin(other_ns, rival, &back);
    assert_true(streq(twin, cases[i].name) && streq(back, cases[i].ns));
  }
  const char *none = NULL;
  assert_null(name_twin(NULL, "basemodel.", &none));
  assert_null(name_twin(NULL, "other.x", &none));
}

static void makes_values_valid(void **state) {
  (void)state;
  check(name_label_value("meta"), "meta");
  check(name_label_value("Hugging Face, Inc."), "Hugging-Face--Inc");
  check(name_label_value("_x_"), "x");
  check(name_label_value("///"), "");
  check(name_dns_label("llama-8b"), "llama-8b");
  check(name_dns_label("Llama-3.1_8B"), "llama-3-1-8b");
  check(name_dns_label("..."), "model");
  char *cut = name_dns_label(a64);
  assert_true(is_dns_label(cut));
  free(cut);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(truncates_from_the_left), cmocka_unit_test(begins_labels_with_a_letter),
      cmocka_unit_test(labels_models),           cmocka_unit_test(knows_who_shares_a_key),
      cmocka_unit_test(makes_values_valid),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
