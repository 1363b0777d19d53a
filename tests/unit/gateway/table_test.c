/* Which request goes where. */
#include "../unit.h"

#include "base/str.h"
#include "gateway/table.h"

static int setup(void **state) {
  static const struct gateway_route routes[] = {
      {"default", "smollm2", "127.64.0.1:8080", NULL, NULL},
      {"team-a", "chat", "127.64.0.2:8080,127.64.0.3:8080", NULL, NULL},
      {"team-a", "waiting", NULL, "its model is being downloaded", NULL},
  };
  static struct table t;
  struct ome_err err = ERR_INIT;

  assert_true(table_init(&t));
  assert_int_equal(table_set(&t, routes, ARRAY_LEN(routes), &err), OME_OK);
  *state = &t;
  return 0;
}

static int teardown(void **state) {
  table_fini(*state);
  return 0;
}

static void requests_find_their_route(void **state) {
  static const struct {
    const char *host, *path, *name; /* NAME NULL: no route */
    size_t prefix_len;
    bool addressed;
  } cases[] = {
      {"smollm2.default.localhost:8080", "/v1/models", "smollm2", 0, true},
      {"SmolLM2.Default.LocalHost", "/", "smollm2", 0, true},
      {"smollm2.default.localhost.", "/", "smollm2", 0, true},
      {"smollm2.default.svc.cluster.local", "/", "smollm2", 0, true},
      {"smollm2.default.svc", "/", "smollm2", 0, true},
      {"smollm2.default", "/", "smollm2", 0, false},
      {"chat.team-a.localhost", "/default/smollm2/x", "chat", 0, true},
      {"localhost:8080", "/default/smollm2/v1/models", "smollm2", 16, true},
      {"127.0.0.1:8080", "/team-a/waiting", "waiting", 15, true},
      {"[::1]:8080", "/team-a/chat/", "chat", 12, true},
      {NULL, "/team-a/chat/", "chat", 12, true},
      {"nobody.default.localhost", "/default/smollm2/", NULL, 0, true},
      {"a.b.c.localhost", "/", NULL, 0, false},
      {"localhost", "/default", NULL, 0, false},
      {"localhost", "/default/", NULL, 0, false},
      {"localhost", "/default/nobody/x", NULL, 0, false},
      {"localhost", "*", NULL, 0, false},
      {"", "", NULL, 0, false},
      {"..localhost", "//", NULL, 0, false},
  };

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct match m;
    table_match(*state, cases[i].host, cases[i].path, &m);
    if (!streq(m.route ? m.route->name : NULL, cases[i].name) || (m.route && m.prefix_len != cases[i].prefix_len) ||
        (!m.route && m.addressed != cases[i].addressed))
      fail_msg("%s %s: route %s, prefix %zu", cases[i].host, cases[i].path, m.route ? m.route->name : "(none)",
               m.prefix_len);
  }
}

static void the_least_busy_backend_is_taken(void **state) {
  struct match m;

  table_match(*state, "chat.team-a.localhost", "/", &m);
  struct backend *first = route_pick(m.route, NULL);
  first->busy++;
  struct backend *second = route_pick(m.route, NULL);
  assert_ptr_not_equal(first, second);
  assert_ptr_equal(route_pick(m.route, NULL), second);
  assert_ptr_equal(route_pick(m.route, second), first);
  second->busy++;
  struct backend *third = route_pick(m.route, NULL);
  assert_ptr_not_equal(third, route_pick(m.route, NULL)); /* equals take turns */
  table_match(*state, "waiting.team-a.localhost", "/", &m);
  assert_null(route_pick(m.route, NULL));
  table_match(*state, "smollm2.default.localhost", "/", &m);
  assert_non_null(route_pick(m.route, m.route->backends[0]));
}

static void a_new_table_keeps_what_is_in_use(void **state) {
  static const struct gateway_route none[] = {{"default", "other", NULL, NULL, NULL}};
  struct ome_err err = ERR_INIT;
  struct table *t = *state;
  struct match m;

  table_match(t, "smollm2.default.localhost", "/", &m);
  struct backend *b = route_pick(m.route, NULL);
  b->busy++;
  assert_int_equal(table_set(t, none, 1, &err), OME_OK);
  assert_string_equal(b->address, "127.64.0.1:8080");
  assert_int_equal(strmap_len(t->backends), 1);
  b->busy--;
  assert_int_equal(table_set(t, none, 1, &err), OME_OK);
  assert_int_equal(strmap_len(t->backends), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(requests_find_their_route, setup, teardown),
      cmocka_unit_test_setup_teardown(the_least_busy_backend_is_taken, setup, teardown),
      cmocka_unit_test_setup_teardown(a_new_table_keeps_what_is_in_use, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
