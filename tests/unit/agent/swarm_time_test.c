/* How long a model takes to 32 nodes behind slow links, in simulated time: nothing here depends on a processor.  Links
 * share what they carry fairly among the pieces on it, maps of others are as old as they are in an agent, and requests
 * for what is not there yet wait as long as they do there. */
#include "../unit.h"

#include "agent/swarm.h"

#include <stdlib.h>
#include <string.h>

#define NODES 32
#define PIECES 256     /* of 4 MiB: 1 GiB */
#define FLIGHTS 16     /* of a node at a time: the engine's */
#define STEP 0.25      /* seconds */
#define PIECE_TIME 1.0 /* seconds that a piece takes a whole link */
#define WAIT 15.0      /* of a request for a piece that is to come */
#define QUIET 0.7
#define MAP_AGE 6.0
#define AWAY 15.0
#define ORIGIN NODES

struct flying {
  bool on;
  int from; /* a node, or ORIGIN */
  int piece;
  double left, waited;
};

struct node {
  uint8_t have[PIECES / 8], coming[PIECES / 8];
  uint8_t state[PIECES]; /* as the engine has it */
  uint8_t maps[NODES][PIECES / 8];
  double map_seen[NODES], quiet[NODES];
  struct flying flights[FLIGHTS];
  uint32_t asked[NODES], from_origin, had_origin;
  uint32_t owners; /* a bit a node, as this one believes */
  bool had_begun;
  int missing;
  double joins_at, dead_at; /* DEAD_AT 0: never */
};

struct world {
  struct node nodes[NODES];
  double now, slow; /* SLOW: times longer that the way from the origin takes; 1: as any link */
  int from_origin;  /* pieces that were begun there */
};

static bool is_dead(const struct world *w, int i) {
  return w->nodes[i].dead_at > 0 && w->now >= w->nodes[i].dead_at;
}

static bool is_here(const struct world *w, int i) {
  return w->now >= w->nodes[i].joins_at && !is_dead(w, i);
}

/* Peer I of node ME is node I + (I >= ME). */
static int node_of(int me, uint32_t peer) {
  return (int)peer + ((int)peer >= me);
}

static void see(const struct world *w, int me, struct swarm_peer peers[NODES], uint32_t owners[NODES],
                struct swarm_view *out) {
  const struct node *n = &w->nodes[me];

  for (uint32_t i = 0; i + 1 < NODES; i++) {
    int other = node_of(me, i);
    double dead = w->nodes[other].dead_at;
    peers[i] = (struct swarm_peer){.usable = is_here(w, other),
                                   .away = w->now < w->nodes[other].joins_at || (dead > 0 && w->now > dead + AWAY),
                                   .quiet = w->now < n->quiet[other],
                                   .flying = n->asked[other],
                                   .have = n->maps[other]};
  }
  size_t count = 0;
  for (int i = 0; i < NODES; i++)
    if (n->owners >> i & 1)
      owners[count++] = i == me ? SWARM_SELF : (uint32_t)(i - (i > me));
  *out = (struct swarm_view){.peers = peers,
                             .npeers = NODES - 1,
                             .owners = owners,
                             .nowners = count,
                             .from_origin = n->from_origin,
                             .had_origin = n->had_origin};
}

static void refresh_maps(struct world *w, int me) {
  struct node *n = &w->nodes[me];

  for (int i = 0; i < NODES; i++) {
    if (i == me || !is_here(w, i) || w->now < n->map_seen[i] + MAP_AGE)
      continue;
    n->map_seen[i] = w->now;
    if (__builtin_popcount(w->nodes[i].owners) > __builtin_popcount(n->owners))
      n->owners = w->nodes[i].owners; /* the better of two lists */
    for (size_t b = 0; b < PIECES / 8; b++)
      n->maps[i][b] = (uint8_t)(w->nodes[i].have[b] | w->nodes[i].coming[b]);
  }
}

/* Fills the idle flights of ME. */
static void launch(struct world *w, int me) {
  struct swarm_peer peers[NODES];
  uint32_t owners[NODES], from = 0;
  struct swarm_view view;
  struct node *n = &w->nodes[me];

  for (int f = 0; f < FLIGHTS; f++) {
    if (n->flights[f].on)
      continue;
    see(w, me, peers, owners, &view);
    int64_t piece = swarm_pick(&view, n->state, PIECES, &from);
    if (piece < 0)
      return;
    n->state[piece] = 2;
    n->flights[f] = (struct flying){.on = true, .piece = (int)piece, .left = PIECE_TIME};
    if (from == SWARM_SELF) {
      n->flights[f].from = ORIGIN;
      n->from_origin++;
      w->from_origin++;
      swarm_set_bit(n->coming, (uint64_t)piece, true);
    } else {
      n->flights[f].from = node_of(me, from);
      n->asked[n->flights[f].from]++;
    }
  }
}

static bool is_moving(const struct world *w, const struct flying *f) {
  return f->on &&
         (f->from == ORIGIN || (!is_dead(w, f->from) && swarm_bit(w->nodes[f->from].have, (uint64_t)f->piece)));
}

static void land(struct world *w, int me, struct flying *f, bool good) {
  struct node *n = &w->nodes[me];

  f->on = false;
  n->state[f->piece] = good ? 1 : 0;
  if (f->from == ORIGIN) {
    n->from_origin--;
    swarm_set_bit(n->coming, (uint64_t)f->piece, false);
    n->had_origin += good;
  } else {
    n->asked[f->from]--;
  }
  if (good) {
    swarm_set_bit(n->have, (uint64_t)f->piece, true);
    n->missing--;
  } else {
    n->quiet[f->from] = w->now + QUIET;
    swarm_set_bit(n->maps[f->from], (uint64_t)f->piece, false);
  }
}

static void move(struct world *w) {
  int up[NODES + 1] = {0}, down[NODES] = {0};

  for (int i = 0; i < NODES; i++)
    for (int f = 0; f < FLIGHTS; f++)
      if (is_moving(w, &w->nodes[i].flights[f])) {
        up[w->nodes[i].flights[f].from]++;
        down[i]++;
      }
  for (int i = 0; i < NODES; i++)
    for (int f = 0; f < FLIGHTS; f++) {
      struct flying *x = &w->nodes[i].flights[f];
      if (is_moving(w, x)) {
        double out = 1.0 / up[x->from] / (x->from == ORIGIN ? w->slow : 1.0), in = 1.0 / down[i];
        x->left -= STEP * (out < in ? out : in);
      } else if (x->on) {
        x->waited += STEP;
      }
    }
  for (int i = 0; i < NODES; i++)
    for (int f = 0; f < FLIGHTS; f++) {
      struct flying *x = &w->nodes[i].flights[f];
      if (x->on && x->left <= 0)
        land(w, i, x, true);
      else if (x->on && (x->waited > WAIT || (x->from != ORIGIN && is_dead(w, x->from))))
        land(w, i, x, false);
    }
}

/* ME sees who is there already. */
static void join(struct world *w, int me) {
  for (int i = 0; !w->nodes[me].had_begun && i < NODES; i++)
    w->nodes[me].owners |= (uint32_t)is_here(w, i) << i;
  w->nodes[me].had_begun = true;
}

static bool is_over(const struct world *w) {
  for (int i = 0; i < NODES; i++)
    if (!is_dead(w, i) && w->nodes[i].missing)
      return false;
  return true;
}

static struct world *begin(double slow) {
  struct world *w = calloc(1, sizeof(*w));

  assert_non_null(w);
  w->slow = slow;
  for (int i = 0; i < NODES; i++) {
    w->nodes[i].missing = PIECES;
    for (int k = 0; k < NODES; k++)
      w->nodes[i].map_seen[k] = -MAP_AGE * (i * NODES + k) / NODES / NODES; /* not all at once */
  }
  return w;
}

/* Times of one node alone. */
static double run(struct world *w) {
  double alone = PIECES * PIECE_TIME * w->slow;

  for (; !is_over(w); w->now += STEP) {
    if (w->now > 20 * alone)
      fail_msg("it does not end");
    for (int i = 0; i < NODES; i++)
      if (is_here(w, i)) {
        join(w, i);
        refresh_maps(w, i);
        launch(w, i);
      }
    move(w);
  }
  return w->now / alone;
}

static void check(const char *what, struct world *w, double most_time, double most_origin) {
  double time = run(w), origin = (double)w->from_origin / PIECES;

  print_message("%s: %.2f x the time of one node, %.3f x from the origin\n", what, time, origin);
  assert_true(time <= most_time);
  assert_true(origin <= most_origin);
  free(w);
}

static void all_links_alike(void **state) {
  (void)state;
  check("32 nodes", begin(1), 2, 1.05);
}

/* A piece takes its owner minutes: nobody loses patience. */
static void a_slow_origin(void **state) {
  (void)state;
  check("32 nodes, the origin ten times slower", begin(10), 1.2, 1.05);
}

/* What it alone had is fetched again, and what it would have fetched is another's. */
static void one_dies_half_way(void **state) {
  struct world *w = begin(1);

  (void)state;

  w->nodes[7].dead_at = PIECES * PIECE_TIME / 2;
  check("32 nodes, one of which dies half-way", w, 2, 1.05);
}

/* Each believes at first that it owns what those who come later own. */
static void they_come_within_some_seconds(void **state) {
  struct world *w = begin(1);

  (void)state;
  for (int i = 0; i < NODES; i++)
    w->nodes[i].joins_at = 0.25 * (i * 11 % NODES);
  check("32 nodes that begin within 8 s", w, 2, 1.05);
}

/* One has it all and gives it; when half of it has left its link, it dies. */
static void their_seed_dies_half_way(void **state) {
  struct world *w = begin(1);
  struct node *seed = &w->nodes[0];

  (void)state;
  seed->missing = 0;
  seed->dead_at = PIECES * PIECE_TIME / 2;
  memset(seed->have, 0xff, sizeof(seed->have));
  memset(seed->state, 1, sizeof(seed->state));
  for (int i = 1; i < NODES; i++)
    memset(w->nodes[i].maps[0], 0xff, sizeof(seed->have));
  check("31 nodes, whose seed dies half-way", w, 2, 1.05);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_links_alike),
      cmocka_unit_test(a_slow_origin),
      cmocka_unit_test(one_dies_half_way),
      cmocka_unit_test(their_seed_dies_half_way),
      cmocka_unit_test(they_come_within_some_seconds),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
