/* Strings, buffers, maps, quantities, times. */
#include "../unit.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/quantity.h"
#include "base/str.h"
#include "base/strmap.h"

#include <stdio.h>
#include <stdlib.h>

static void buf_keeps_its_bound(void **state) {
  struct buf b;

  (void)state;
  buf_init(&b, 10);
  buf_adds(&b, "0123456789");
  assert_true(buf_ok(&b));
  buf_addc(&b, 'x');
  assert_false(buf_ok(&b));
  assert_null(buf_take(&b));
  buf_fini(&b);

  buf_init(&b, 0);
  for (int i = 0; i < 1000; i++)
    buf_addf(&b, "%d,", i);
  assert_int_equal(b.len, strlen(buf_str(&b)));
  assert_true(has_suffix(buf_str(&b), "998,999,"));
  buf_truncate(&b, 4);
  assert_string_equal(buf_str(&b), "0,1,");
  buf_fini(&b);
}

static void errors_read_as_one_sentence(void **state) {
  struct ome_err err = ERR_INIT;

  (void)state;
  assert_int_equal(fail(&err, OME_E_INVALID, "line one\nline two"), OME_E_INVALID);
  assert_string_equal(err.msg, "line one line two");
  assert_int_equal(fail_prefix(&err, "model %s", "m"), OME_E_INVALID);
  assert_string_equal(err.msg, "model m: line one line two");
  assert_int_equal(err_advise(&err, "do that"), OME_E_INVALID);
  assert_string_equal(err.msg, "model m: line one line two; do that");
  (void)err_advise(&err, "or this");
  assert_string_equal(err.msg, "model m: line one line two; do that");
  char big[2000];
  memset(big, 'x', sizeof(big) - 1);
  big[sizeof(big) - 1] = '\0';
  (void)fail(&err, OME_E_INTERNAL, "%s", big);
  assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
  assert_true(has_suffix(err.msg, "..."));
  errno = ENOSPC;
  assert_int_equal(fail_errno(&err, "write", "f"), OME_E_NO_SPACE);
  assert_true(err_retryable(OME_E_BUSY));
  assert_false(err_retryable(OME_E_INVALID));
  assert_string_equal(err_name(OME_E_CONFLICT), "Conflict");
}

static void misspellings_are_near(void **state) {
  static const struct {
    const char *a, *b;
    size_t distance;
  } rows[] = {{"", "", 0},
              {"model", "model", 0},
              {"modle", "model", 1},
              {"", "abc", 3},
              {"abc", "", 3},
              {"kitten", "sitting", 3},
              {"ab", "ba", 1},
              {"hostNetwrk", "hostNetwork", 1},
              {"storagUri", "storageUri", 1},
              {"A", "a", 1}};
  char longer[65] = "";

  (void)state;
  memset(longer, 'x', 64);
  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    if (str_distance(rows[i].a, rows[i].b) != rows[i].distance)
      fail_msg("%s, %s: %zu", rows[i].a, rows[i].b, str_distance(rows[i].a, rows[i].b));
  assert_int_equal(str_distance(longer, "x"), SIZE_MAX);
  assert_int_equal(str_distance(longer + 1, ""), 63);
}

static void names_follow_rfc_1123(void **state) {
  static const struct {
    const char *name;
    bool label, subdomain;
  } cases[] = {
      {"a", true, true},   {"a-b", true, true},  {"a.b", false, true},   {"-a", false, false},   {"a-", false, false},
      {"A", false, false}, {"", false, false},   {"a..b", false, false}, {"../x", false, false}, {"a_b", false, false},
      {"0", true, true},   {"a.", false, false}, {"x/y", false, false},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    assert_int_equal(is_dns_label(cases[i].name), cases[i].label);
    assert_int_equal(is_dns_subdomain(cases[i].name), cases[i].subdomain);
  }
}

static void encodings_round_trip(void **state) {
  char hex[65];
  size_t len;

  (void)state;
  sha256_hex("abc", 3, hex);
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  for (size_t n = 0; n < 40; n++) {
    uint8_t data[40];
    for (size_t i = 0; i < n; i++)
      data[i] = (uint8_t)(i * 7);
    _cleanup_free_ char *text = base64_encode(data, n);
    _cleanup_free_ char *back = base64_decode(text, &len);
    assert_int_equal(len, n);
    assert_memory_equal(back, data, n);
  }
  assert_null(base64_decode("a", &len));
  assert_null(base64_decode("!!!!", &len));
  _cleanup_free_ char *enc = url_encode("a b/é", true);
  assert_string_equal(enc, "a%20b/%C3%A9");
  _cleanup_free_ char *dec = url_decode(enc, strlen(enc));
  assert_string_equal(dec, "a b/é");
  _cleanup_free_ char *odd = url_decode("%4", 2);
  assert_string_equal(odd, "%4");
}

static void quantities_are_kubernetes_own(void **state) {
  static const struct {
    const char *text;
    bool ok;
    int64_t milli;
  } cases[] = {
      {"1", true, 1000},     {"500m", true, 500},    {"1.5", true, 1500}, {"1Ki", true, 1024000},
      {"1k", true, 1000000}, {"1e3", true, 1000000}, {"0", true, 0},      {"-1", true, -1000},
      {"1E", false, 0},      {"", false, 0},         {"Gi", false, 0},    {"1.5Gi", true, 1610612736000},
      {"1 Gi", false, 0},    {"100n", true, 1},      {"1GB", false, 0},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    int64_t v = 0;
    assert_int_equal(quantity_milli(cases[i].text, &v), cases[i].ok);
    if (cases[i].ok)
      assert_int_equal(v, cases[i].milli);
  }
}

static void times_parse_and_print(void **state) {
  int64_t ms;
  char text[TIME_TEXT_MS];

  (void)state;
  assert_true(time_parse("2026-01-02T03:04:05Z", &ms));
  time_format_ms(ms, text);
  assert_string_equal(text, "2026-01-02T03:04:05.000Z");
  assert_true(time_parse("2026-01-02T03:04:05.678901+01:00", &ms));
  time_format_ms(ms, text);
  assert_string_equal(text, "2026-01-02T02:04:05.678Z");
  assert_false(time_parse("2026-01-02", &ms));
  assert_false(time_parse("2026-01-02T03:04:05", &ms));
  assert_false(time_parse(NULL, &ms));
}

static void ages_read_as_kubectl_prints_them(void **state) {
  static const struct {
    int64_t seconds;
    const char *text;
  } cases[] = {{5, "5s"},        {119, "119s"},  {190, "3m10s"}, {600, "10m"},
               {3 * 3600, "3h"}, {90000, "25h"}, {259200, "3d"}};
  char text[32];

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    format_age(cases[i].seconds, text);
    assert_string_equal(text, cases[i].text);
  }
}

static void maps_own_their_values(void **state) {
  _cleanup_strmap_ struct strmap *m = strmap_new(free);

  (void)state;
  for (int i = 0; i < 500; i++) {
    char key[16];
    (void)snprintf(key, sizeof(key), "key-%d", i);
    assert_true(strmap_put(m, key, strdup(key)));
  }
  assert_int_equal(strmap_len(m), 500);
  assert_string_equal(strmap_get(m, "key-77"), "key-77");
  assert_true(strmap_put(m, "key-77", strdup("other")));
  assert_string_equal(strmap_get(m, "key-77"), "other");
  for (struct strmap_iter it = strmap_first(m); it.key; strmap_next(&it))
    if (it.key[4] == '1')
      assert_true(strmap_del(m, it.key));
  assert_false(strmap_has(m, "key-1"));
  assert_int_equal(strmap_len(m), 389);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(buf_keeps_its_bound),   cmocka_unit_test(errors_read_as_one_sentence),
      cmocka_unit_test(misspellings_are_near), cmocka_unit_test(names_follow_rfc_1123),
      cmocka_unit_test(encodings_round_trip),  cmocka_unit_test(quantities_are_kubernetes_own),
      cmocka_unit_test(times_parse_and_print), cmocka_unit_test(ages_read_as_kubectl_prints_them),
      cmocka_unit_test(maps_own_their_values),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
