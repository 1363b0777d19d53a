/* Who owns what: nodes that began with different lists come to the same one by what they tell each other. */
#include "../unit.h"

#include "agent/peer_state.h"
#include "base/json.h"
#include "base/str.h"

static void begin(struct peers *p, struct peer_group *g, const char *self, const char *const *owners) {
  memset(p, 0, sizeof(*p));
  memset(g, 0, sizeof(*g));
  p->node = strdup(self);
  g->key = strdup("clusterbasemodel.m");
  g->contents = strmap_new(NULL);
  assert_non_null(p->node);
  for (; *owners; owners++) {
    uint32_t index = SWARM_SELF;
    if (!streq(*owners, self))
      assert_non_null(peer_node_find(p, *owners, &index));
    assert_true(VEC_PUSH(&g->owners, index));
  }
}

static void end(struct peers *p, struct peer_group *g) {
  for (size_t i = 0; i < p->nodes.len; i++)
    peer_node_free(p->nodes.items[i]);
  VEC_FREE(&p->nodes);
  VEC_FREE(&g->owners);
  strmap_free(g->contents);
  free(g->key);
  free(p->node);
}

/* What a node with a content under way tells; new. */
static struct json_object *map_of(struct peers *p, struct peer_group *g) {
  struct json_object *map = peer_map_write(p, g);

  assert_true(json_set_str(json_at(map, "contents"), "id", "00"));
  return map;
}

static char *names(struct peers *p, struct peer_group *g) {
  _cleanup_json_ struct json_object *map = peer_map_write(p, g);

  return json_text(json_at(map, "owners"));
}

static void two_come_to(const char *const *one, const char *const *two, const char *both) {
  struct peers a, b;
  struct peer_group of_a, of_b;

  begin(&a, &of_a, "n1", one);
  begin(&b, &of_b, "n2", two);
  _cleanup_json_ struct json_object *map_a = map_of(&a, &of_a);
  _cleanup_json_ struct json_object *map_b = map_of(&b, &of_b);
  peer_map_adopt(&a, &of_a, map_b);
  peer_map_adopt(&b, &of_b, map_a);
  _cleanup_free_ char *now_a = names(&a, &of_a), *now_b = names(&b, &of_b);
  assert_string_equal(now_a, both);
  assert_string_equal(now_b, both);
  end(&a, &of_a);
  end(&b, &of_b);
}

static void the_longer_list_wins(void **state) {
  (void)state;
  two_come_to((const char *const[]){"n1", "n2", "n3", NULL}, (const char *const[]){"n1", "n2", NULL},
              "[\"n1\",\"n2\",\"n3\"]");
  two_come_to((const char *const[]){"n1", NULL}, (const char *const[]){"n2", "n3", NULL}, "[\"n2\",\"n3\"]");
}

static void of_equal_lists_the_first_wins(void **state) {
  (void)state;
  two_come_to((const char *const[]){"n1", "n4", NULL}, (const char *const[]){"n2", "n3", NULL}, "[\"n1\",\"n4\"]");
  two_come_to((const char *const[]){"n1", "n2", "n4", NULL}, (const char *const[]){"n1", "n2", "n3", NULL},
              "[\"n1\",\"n2\",\"n3\"]");
}

/* Who has begun nothing has nothing to say, and what is no name is nobody's. */
static void nonsense_is_not_adopted(void **state) {
  static const char *const maps[] = {"{}", "{\"owners\":[\"n1\",\"n2\",\"n3\"],\"contents\":{}}",
                                     "{\"owners\":{},\"contents\":{\"id\":\"00\"}}",
                                     "{\"owners\":[],\"contents\":{\"id\":\"00\"}}"};
  struct peers a;
  struct peer_group g;

  (void)state;
  begin(&a, &g, "n1", (const char *const[]){"n1", "n2", NULL});
  for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
    _cleanup_json_ struct json_object *map = NULL;
    struct ome_err err = ERR_INIT;
    assert_int_equal(json_parse(maps[i], strlen(maps[i]), 0, &map, &err), OME_OK);
    peer_map_adopt(&a, &g, map);
    _cleanup_free_ char *now = names(&a, &g);
    assert_string_equal(now, "[\"n1\",\"n2\"]");
  }
  end(&a, &g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_longer_list_wins),
      cmocka_unit_test(of_equal_lists_the_first_wins),
      cmocka_unit_test(nonsense_is_not_adopted),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
