/* storage "http": addresses and lists. */
#include "../unit.h"

#include "../../../plugins/storage/http_manifest.h"

#define HEX "5d41402abc4b2a76b9719d911017c5925d41402abc4b2a76b9719d911017c592"

static void uris(void **state) {
  static const char *const wrong[] = {"ftp://h/x",        "https://",     "https:///x",      "https://u:p@h/x",
                                      "https://h/x#part", "https://h/%0", "https://h/a%2Fb", "https://h/x#sha256=12"};
  struct http_uri u;

  (void)state;
  assert_int_equal(http_uri_parse("https://h:1/a/b%20c.gguf?sig=/x#sha256=" HEX, &u), 0);
  assert_string_equal(u.url, "https://h:1/a/b%20c.gguf?sig=/x");
  assert_string_equal(u.origin, "https://h:1");
  assert_string_equal(u.folder, "https://h:1/a/");
  assert_string_equal(u.name, "b c.gguf");
  assert_string_equal(u.sha256, HEX);
  assert_int_equal(http_uri_parse("http://h", &u), 0);
  assert_string_equal(u.folder, "http://h/");
  assert_string_equal(u.name, "");
  for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
    assert_int_equal(http_uri_parse(wrong[i], &u), -1);
  assert_true(http_is_manifest("SHA256SUMS") && http_is_manifest("x.sha256sums") && http_is_manifest("index.json"));
  assert_false(http_is_manifest("model.gguf"));
}

static int32_t read_text(const char *text, struct http_manifest *m) {
  http_manifest_fini(m);
  return http_manifest_read(text, strlen(text), m);
}

static void manifests(void **state) {
  static const char *const wrong[] = {"",
                                      "<html>",
                                      HEX " one-blank",
                                      HEX "  \n",
                                      "{}",
                                      "{\"files\":[{\"path\":\"a\"}]}",
                                      "{\"files\":[{\"path\":\"a\",\"size\":-1,\"sha256\":\"" HEX "\"}]}"};
  struct http_manifest m = {0};

  (void)state;
  assert_int_equal(read_text("# made by hand\n" HEX "  ./a b/c\r\n" HEX " *d", &m), OME_OK);
  assert_int_equal(m.n, 2);
  assert_string_equal(m.entries[0].path, "a b/c");
  assert_true(m.entries[0].size == OME_SIZE_UNKNOWN);
  assert_string_equal(m.entries[1].path, "d");
  assert_string_equal(m.entries[1].sha256, HEX);
  assert_int_equal(read_text("{\"files\":[{\"path\":\"a\",\"size\":5,\"sha256\":\"" HEX "\"}]}", &m), OME_OK);
  assert_int_equal(m.entries[0].size, 5);
  for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
    assert_int_equal(read_text(wrong[i], &m), OME_E_INVALID);
  http_manifest_fini(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(uris), cmocka_unit_test(manifests)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
