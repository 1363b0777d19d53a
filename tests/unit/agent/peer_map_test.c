/* Who owns what: nodes that began with different lists come to the same one by what they tell each other. */
#include "../unit.h"

#include "agent/peer_state.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"

static void begin(struct peers *p, struct peer_group *g, const char *self, const char *const *owners) {
  memset(p, 0, sizeof(*p));
  memset(g, 0, sizeof(*g));
  p->node = strdup(self);
  p->groups = strmap_new(NULL);
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
  strmap_free(p->groups);
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

/* Who waits, cordoned or for room, wants the model and does not bring it: others need not wait for it. */
static void says_whether_it_brings_it(void **state) {
  struct peers a;
  struct peer_group g;

  (void)state;
  begin(&a, &g, "n1", (const char *const[]){"n1", "n2", NULL});
  for (g.users = 0; g.users < 2; g.users++) {
    g.label = g.users ? g.key : NULL;
    _cleanup_json_ struct json_object *map = peer_map_write(&a, &g);
    assert_int_equal(json_flag(map, "bringing", false), g.users);
  }
  end(&a, &g);
}

static struct peer_node *member(struct peers *p, const char *name, uint32_t *index) {
  struct peer_node *n = peer_node_find(p, name, index);

  assert_non_null(n);
  n->address = strdup("10.0.0.2:1");
  assert_non_null(n->address);
  return n;
}

/* An owner that has said for a while that it brings nothing is stood in for, unless it has the content. */
static void the_idle_are_stood_in_for(void **state) {
  struct peers a;
  struct peer_group g;
  struct peer_content c = {.id = "id", .npieces = 1};
  struct swarm_peer room[2];
  struct swarm_view view;
  uint32_t index;

  (void)state;
  begin(&a, &g, "n1", (const char *const[]){"n1", NULL});
  (void)member(&a, "n2", &index);
  assert_true(VEC_PUSH(&g.members, index) && VEC_PUSH(&g.idle_since_ms, 0) && VEC_PUSH(&g.maps, NULL));
  peer_view(&a, &g, &c, room, &view);
  assert_true(room[index].usable && !room[index].away);
  g.idle_since_ms.items[index] = mono_ms() - 2 * PEER_IDLE_MS;
  peer_view(&a, &g, &c, room, &view);
  assert_true(room[index].usable && room[index].away);
  g.maps.items[index] = json_object_new_object();
  assert_true(json_set_str(g.maps.items[index], "id", "*"));
  peer_view(&a, &g, &c, room, &view);
  assert_true(room[index].usable && !room[index].away);
  json_unref(g.maps.items[index]);
  VEC_FREE(&g.members);
  VEC_FREE(&g.idle_since_ms);
  VEC_FREE(&g.maps);
  end(&a, &g);
}

static struct peer_content *content(struct peers *p, const char *key, const char *id) {
  struct peer_group *g = peer_group_use(p, key);

  assert_non_null(g);
  struct peer_content *c = peer_content_open(g, id, 100, 10);
  assert_non_null(c);
  return c;
}

/* Of two models with the same file one waits for the other: who asks for either is given what there is. */
static void models_share_what_is_begun(void **state) {
  struct peers p = {.groups = strmap_new(peer_group_free)};
  const char *key = "one";

  (void)state;
  struct peer_content *one = content(&p, "one", "id"), *two = content(&p, "two", "id");
  struct peer_content *other = content(&p, "three", "other");
  other->have = calloc(2, 1);
  assert_ptr_equal(peer_content_begun(&p, one, &key), one);
  assert_string_equal(key, "one");
  two->have = calloc(2, 1);
  assert_ptr_equal(peer_content_begun(&p, one, &key), two);
  assert_string_equal(key, "two");
  assert_ptr_equal(peer_content_begun(&p, two, &key), two);
  strmap_free(p.groups);
}

static void owns(struct peers *p, struct peer_group *g, const char *name) {
  uint32_t index = SWARM_SELF;

  if (name) {
    (void)member(p, name, &index);
    assert_true(VEC_PUSH(&g->members, index));
  }
  assert_true(VEC_PUSH(&g->owners, index));
}

/* By a list each n1 could wait for n3, which brings "one" first, and n3 for n1, which brings "two" first. */
static void one_model_decides_who_fetches_what_others_share(void **state) {
  struct peers p = {.groups = strmap_new(peer_group_free)};
  struct swarm_peer room[2];
  struct swarm_view view;

  (void)state;
  struct peer_content *c = content(&p, "two", "id");
  (void)content(&p, "one", "id");
  (void)content(&p, "nothing-shared", "other");
  struct peer_group *one = strmap_get(p.groups, "one"), *two = strmap_get(p.groups, "two");
  owns(&p, one, "n1");
  owns(&p, one, NULL);
  owns(&p, two, NULL);
  owns(&p, two, "n3");
  two->label = strdup("two");
  peer_view(&p, two, c, room, &view); /* "one" is not brought here */
  assert_ptr_equal(view.owners, two->owners.items);
  assert_false(room[0].usable);
  assert_true(room[0].away);
  assert_true(room[1].usable);
  assert_false(room[1].away);
  one->label = strdup("one");
  peer_view(&p, two, c, room, &view);
  assert_ptr_equal(view.owners, one->owners.items);
  assert_true(room[0].usable && !room[0].away);
  assert_true(room[1].usable && room[1].away); /* it gives what it has, and owns nothing */
  assert_string_equal(peer_key_at(&p, two, c, 0), "one");
  assert_string_equal(peer_key_at(&p, two, c, 1), "two");
  one->owners.len = 0; /* it is not known yet who brings it */
  peer_view(&p, two, c, room, &view);
  assert_ptr_equal(view.owners, two->owners.items);
  strmap_free(p.groups);
  for (size_t i = 0; i < p.nodes.len; i++)
    peer_node_free(p.nodes.items[i]);
  VEC_FREE(&p.nodes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_longer_list_wins),
      cmocka_unit_test(of_equal_lists_the_first_wins),
      cmocka_unit_test(nonsense_is_not_adopted),
      cmocka_unit_test(says_whether_it_brings_it),
      cmocka_unit_test(the_idle_are_stood_in_for),
      cmocka_unit_test(models_share_what_is_begun),
      cmocka_unit_test(one_model_decides_who_fetches_what_others_share),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
