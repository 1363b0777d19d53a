/* Random swarms in memory: every node ends with every piece, and each piece leaves the origin about once. */
#include "../unit.h"

#include "agent/swarm.h"

#include <string.h>

#define MAX_NODES 12u
#define MAX_PIECES 64u

struct world {
  uint32_t n;
  uint64_t npieces;
  uint8_t state[MAX_NODES][MAX_PIECES]; /* as the engine has it */
  uint8_t have[MAX_NODES][MAX_PIECES / 8 + 1];
  bool dead[MAX_NODES];
  uint32_t turn, from_origin;
};

static uint32_t seed;

static uint32_t chance(uint32_t below) {
  seed = seed * 1664525u + 1013904223u;
  return (seed >> 8) % below;
}

/* Nodes by number; peer I of node ME is node I + (I >= ME). */
static void view_of(const struct world *w, uint32_t me, struct swarm_peer *peers, uint32_t *owners,
                    struct swarm_view *out) {
  for (uint32_t i = 0; i < w->n; i++)
    owners[i] = i == me ? SWARM_SELF : i - (i > me);
  for (uint32_t i = 0; i + 1 < w->n; i++) {
    uint32_t node = i + (i >= me);
    peers[i] = (struct swarm_peer){.usable = !w->dead[node], .away = w->dead[node], .have = w->have[node]};
  }
  *out = (struct swarm_view){.peers = peers, .npeers = w->n - 1, .owners = owners, .nowners = w->n, .turn = w->turn};
}

static bool is_over(const struct world *w) {
  for (uint32_t i = 0; i < w->n; i++)
    for (uint64_t k = 0; !w->dead[i] && k < w->npieces; k++)
      if (w->state[i][k] != 1)
        return false;
  return true;
}

/* One node fetches one piece; from an owner that has it, or from the origin. */
static void step(struct world *w, uint32_t me) {
  struct swarm_peer peers[MAX_NODES];
  uint32_t owners[MAX_NODES], from = 0;
  struct swarm_view view;

  if (w->dead[me])
    return;
  view_of(w, me, peers, owners, &view);
  int64_t piece = swarm_pick(&view, w->state[me], w->npieces, &from);
  if (piece < 0)
    return;
  assert_true((uint64_t)piece < w->npieces);
  assert_int_equal(w->state[me][piece], 0);
  if (from == SWARM_SELF) {
    w->from_origin++;
  } else {
    assert_true(from < view.npeers && peers[from].usable);
    if (!swarm_bit(peers[from].have, (uint64_t)piece)) {
      assert_int_equal(swarm_owner(&view, (uint64_t)piece), from); /* it is waited for */
      return;
    }
  }
  w->state[me][piece] = 1;
  swarm_set_bit(w->have[me], (uint64_t)piece, true);
}

static void run_world(bool killing) {
  struct world w = {.n = 1 + chance(MAX_NODES), .npieces = 1 + chance(MAX_PIECES), .turn = chance(1000)};
  uint32_t steps = 0, killed = 0, lost = 0;

  for (; !is_over(&w); steps++) {
    assert_true(steps < 100000);
    step(&w, chance(w.n));
    uint32_t victim = chance(w.n);
    if (!killing || killed + 1 >= w.n || w.dead[victim] || chance(50) != 0)
      continue;
    w.dead[victim] = true;
    killed++;
    for (uint64_t k = 0; k < w.npieces; k++)
      lost += w.state[victim][k] == 1;
  }
  assert_true(w.from_origin >= w.npieces);
  assert_true(w.from_origin <= w.npieces + lost); /* a piece that nobody else had yet */
}

static void each_piece_leaves_the_origin_once(void **state) {
  (void)state;
  for (seed = 1; seed < 2000; seed++) {
    uint32_t keep = seed;
    run_world(false);
    seed = keep;
  }
}

static void the_dead_are_stood_in_for(void **state) {
  (void)state;
  for (seed = 1; seed < 2000; seed++) {
    uint32_t keep = seed;
    run_world(true);
    seed = keep;
  }
}

static void the_nearest_is_asked_then_the_least_busy(void **state) {
  uint8_t have[1] = {0xff}, pieces[1] = {0};
  struct swarm_peer peers[3] = {{.usable = true, .have = have, .nearness = 1},
                                {.usable = true, .have = have, .nearness = 2, .flying = 1},
                                {.usable = true, .have = have, .nearness = 2}};
  uint32_t owners[1] = {SWARM_SELF}, from = 0;
  const struct swarm_view view = {.peers = peers, .npeers = 3, .owners = owners, .nowners = 1};

  (void)state;
  assert_int_equal(swarm_pick(&view, pieces, 1, &from), 0);
  assert_int_equal(from, 2);
  peers[2].quiet = true;
  assert_int_equal(swarm_pick(&view, pieces, 1, &from), 0);
  assert_int_equal(from, 1);
  peers[1].flying = SWARM_FLIGHTS; /* those that are near are full: farther ones give it */
  assert_int_equal(swarm_pick(&view, pieces, 1, &from), 0);
  assert_int_equal(from, 0);
  peers[1].usable = peers[2].usable = false;
  assert_int_equal(swarm_pick(&view, pieces, 1, &from), 0);
  assert_int_equal(from, 0);
  peers[0].flying = 100; /* it is waited for rather than fetched twice */
  assert_int_equal(swarm_pick(&view, pieces, 1, &from), -1);
  peers[0].usable = false;
  assert_int_equal(swarm_pick(&view, pieces, 1, &from), 0);
  assert_int_equal(from, SWARM_SELF);
}

/* Its link may be full: its piece stays its own, and is asked for again. Who is away is stood in for. */
static void who_is_set_aside_is_waited_for(void **state) {
  struct swarm_peer peers[2] = {{.usable = false}, {.usable = true}};
  uint32_t owners[3] = {0, SWARM_SELF, 1}, from = 7;
  uint8_t pieces[1] = {0};
  const struct swarm_view view = {.peers = peers, .npeers = 2, .owners = owners, .nowners = 3};

  (void)state;
  assert_int_equal(swarm_owner(&view, 0), 0);
  assert_int_equal(swarm_pick(&view, pieces, 1, &from), -1);
  peers[0].away = true;
  assert_int_equal(swarm_owner(&view, 0), SWARM_SELF);
  assert_int_equal(swarm_pick(&view, pieces, 1, &from), 0);
  assert_int_equal(from, SWARM_SELF);
}

/* A node that has pieces and is slow to bring others. */
static void what_is_there_comes_before_what_is_waited_for(void **state) {
  uint8_t have[1] = {1 << 5}, pieces[8] = {0};
  struct swarm_peer peers[1] = {{.usable = true}};
  uint32_t owners[1] = {0}, from = 7;
  const struct swarm_view view = {.peers = peers, .npeers = 1, .owners = owners, .nowners = 1};

  (void)state;
  assert_int_equal(swarm_pick(&view, pieces, 8, &from), 0); /* nothing is known of it: anything */
  peers[0].have = have;
  assert_int_equal(swarm_pick(&view, pieces, 8, &from), 5);
  assert_int_equal(from, 0);
  peers[0].flying = SWARM_FLIGHTS - 1;
  assert_int_equal(swarm_pick(&view, pieces, 8, &from), 5);
  pieces[5] = 2;
  assert_int_equal(swarm_pick(&view, pieces, 8, &from), -1); /* its last place is for what it has */
}

/* A node that may not be asked for this model takes nothing from what those are asked for that may. */
static void who_may_be_asked_is_asked_for_all(void **state) {
  uint8_t have[1] = {0xff}, pieces[1] = {0};
  struct swarm_peer peers[SWARM_FLIGHTS] = {{.usable = true, .have = have, .flying = SWARM_FLIGHTS - 1}};
  uint32_t owners[1] = {0}, from = 7;
  const struct swarm_view view = {.peers = peers, .npeers = SWARM_FLIGHTS, .owners = owners, .nowners = 1};

  (void)state;
  assert_int_equal(swarm_pick(&view, pieces, 1, &from), 0);
  peers[1].usable = true;
  assert_int_equal(swarm_pick(&view, pieces, 1, &from), -1);
}

/* A piece that is whole sooner can be given on sooner. */
static void many_owners_ask_the_origin_for_one_piece_each(void **state) {
  uint32_t owners[SWARM_FLIGHTS], from = 7;
  struct swarm_peer peers[SWARM_FLIGHTS] = {{.usable = false}};
  uint8_t pieces[2 * SWARM_FLIGHTS] = {0};
  struct swarm_view view = {.peers = peers, .npeers = SWARM_FLIGHTS - 1, .owners = owners, .nowners = SWARM_FLIGHTS};

  (void)state;
  for (uint32_t i = 0; i < SWARM_FLIGHTS; i++)
    owners[i] = i ? i - 1 : SWARM_SELF;
  assert_int_equal(swarm_pick(&view, pieces, 2 * SWARM_FLIGHTS, &from), 0);
  pieces[0] = 2;
  view.from_origin = 1;
  assert_int_equal(swarm_pick(&view, pieces, 2 * SWARM_FLIGHTS, &from), -1);
  view.nowners = SWARM_FLIGHTS - 1;
  view.had_origin = 1;
  assert_int_equal(swarm_pick(&view, pieces, 2 * SWARM_FLIGHTS, &from), SWARM_FLIGHTS - 1);
}

/* Who else there is may not have been seen yet. */
static void the_origin_is_asked_for_one_piece_and_one_more_with_each_that_came(void **state) {
  const uint32_t owners[1] = {SWARM_SELF};
  uint8_t pieces[2 * SWARM_FLIGHTS] = {0};
  struct swarm_view view = {.owners = owners, .nowners = 1};
  uint32_t from = 7;

  (void)state;
  for (uint32_t came = 0; came < SWARM_FLIGHTS; came++) {
    view.had_origin = came;
    for (view.from_origin = 0; view.from_origin < SWARM_BEGIN + came && view.from_origin < SWARM_FLIGHTS;)
      assert_true(swarm_pick(&view, pieces, 2 * SWARM_FLIGHTS, &from) >= 0 && from == SWARM_SELF && ++view.from_origin);
    assert_int_equal(swarm_pick(&view, pieces, 2 * SWARM_FLIGHTS, &from), -1);
  }
}

static void who_does_not_have_it_after_all_is_not_asked_for_ever(void **state) {
  struct swarm_peer peers[1] = {{.usable = true}};
  uint32_t owners[1] = {0}, from = 7;
  uint8_t pieces[1] = {0}, refused[1] = {SWARM_PATIENCE - 1};
  const struct swarm_view view = {.peers = peers, .npeers = 1, .owners = owners, .nowners = 1, .refused = refused};

  (void)state;
  assert_int_equal(swarm_pick(&view, pieces, 1, &from), 0);
  assert_int_equal(from, 0);
  refused[0]++;
  assert_int_equal(swarm_pick(&view, pieces, 1, &from), 0);
  assert_int_equal(from, SWARM_SELF);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_piece_leaves_the_origin_once),
      cmocka_unit_test(the_dead_are_stood_in_for),
      cmocka_unit_test(the_nearest_is_asked_then_the_least_busy),
      cmocka_unit_test(who_is_set_aside_is_waited_for),
      cmocka_unit_test(what_is_there_comes_before_what_is_waited_for),
      cmocka_unit_test(who_may_be_asked_is_asked_for_all),
      cmocka_unit_test(many_owners_ask_the_origin_for_one_piece_each),
      cmocka_unit_test(the_origin_is_asked_for_one_piece_and_one_more_with_each_that_came),
      cmocka_unit_test(who_does_not_have_it_after_all_is_not_asked_for_ever),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
