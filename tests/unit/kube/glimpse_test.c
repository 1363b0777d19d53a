/* What is read of a watch event without a tree, and what is left to a parser. */
#include "../unit.h"

#include "base/cleanup.h"
#include "kube/glimpse.h"

#include <stdio.h>
#include <string.h>

#define META(more) "{\"name\":\"a\",\"namespace\":\"space\",\"resourceVersion\":\"7\"" more "}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}"

static void reads_who_and_when(UNUSED void **state) {
  static const struct {
    const char *line, *key, *version;
  } rows[] = {
      {EVENT("ADDED", "{\"kind\":\"Pod\",\"metadata\":" META("") ",\"spec\":{\"name\":\"b\"}}"), "space/a", "7"},
      {"{\"object\":{\"metadata\":" META("") "},\"type\":\"MODIFIED\"}\r", "space/a", "7"},
      {" { \"type\" : \"ADDED\" , \"object\" : { \"metadata\" : " META("") " } } ", "space/a", "7"},
      {EVENT("ADDED", "{\"metadata\":{\"resourceVersion\":\"12\",\"name\":\"node-1\"}}"), "/node-1", "12"},
      {EVENT("MODIFIED", "{\"metadata\":" META(",\"labels\":{\"name\":\"}\\\"{\",\"x\":[1,[\"]\"],{}]}") "}"),
       "space/a", "7"},
      {EVENT("MODIFIED",
             "{\"status\":{\"metadata\":{\"name\":\"z\"}},\"n\":-1.5e3,\"t\":true,\"metadata\":" META("") "}"),
       "space/a", "7"},
  };

  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    struct glimpse g;
    assert_true(glimpse_event(rows[i].line, strlen(rows[i].line), &g));
    assert_string_equal(g.key, rows[i].key);
    assert_string_equal(g.version, rows[i].version);
  }
}

static void leaves_the_rest_to_a_parser(UNUSED void **state) {
  static const char *const lines[] = {
      "",
      "{}",
      "[]",
      "null",
      EVENT("DELETED", "{\"metadata\":" META("") "}"),
      EVENT("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"9\"}}"),
      EVENT("ERROR", "{\"code\":410}"),
      EVENT("ADDED", "{\"spec\":{}}"),
      EVENT("ADDED", "{\"metadata\":{\"name\":\"a\"}}"),
      EVENT("ADDED", "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":7}}"),
      EVENT("ADDED", "{\"metadata\":{\"n\\u0061me\":\"a\",\"resourceVersion\":\"7\"}}"),
      EVENT("ADDED", "{\"metadata\":{\"name\":\"\\u0061\",\"resourceVersion\":\"7\"}}"),
      EVENT("ADDED", "{\"metadata\":" META(",\"name\":\"b\"") "}"),
      EVENT("ADDED", "{\"metadata\":" META("") ",\"metadata\":" META("") "}"),
      EVENT("ADDED", "{\"metadata\":" META("") ",\"spec\":'x'}"),
      EVENT("ADDED", "{\"metadata\":" META("") ",\"spec\":/* x */1}"),
      EVENT("ADDED", "{\"metadata\":" META("") "}") "x",
      "{\"type\":\"ADDED\",\"type\":\"ADDED\",\"object\":{\"metadata\":" META("") "}}",
  };

  for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
    struct glimpse g;
    assert_false(glimpse_event(lines[i], strlen(lines[i]), &g));
  }
}

/* Half an event is none, wherever it was cut, and nothing behind it is read. */
static void needs_all_of_it(UNUSED void **state) {
  static const char line[] = EVENT("ADDED", "{\"metadata\":" META(",\"labels\":{\"a\":\"b\\\\\"}") ",\"spec\":[{}]}");

  for (size_t n = 0; n < sizeof(line) - 1; n++) {
    _cleanup_free_ char *cut = malloc(n ? n : 1);
    struct glimpse g;
    memcpy(cut, line, n);
    assert_false(glimpse_event(cut, n, &g));
  }
}

static void fits_or_is_left(UNUSED void **state) {
  char name[400];
  char line[600];
  struct glimpse g;

  for (size_t n = 316; n < 322; n++) {
    memset(name, 'n', n);
    name[n] = '\0';
    int len = snprintf(line, sizeof(line), EVENT("ADDED", "{\"metadata\":{\"name\":\"%s\",\"resourceVersion\":\"7\"}}"),
                       name);
    assert_int_equal(glimpse_event(line, (size_t)len, &g), n + 2 <= sizeof(g.key));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_who_and_when),
      cmocka_unit_test(leaves_the_rest_to_a_parser),
      cmocka_unit_test(needs_all_of_it),
      cmocka_unit_test(fits_or_is_left),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
