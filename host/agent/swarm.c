#include "agent/swarm.h"

/* What each of N may be asked for at a time. */
static uint32_t share_of(size_t n) {
  uint32_t share = n ? SWARM_FLIGHTS / (uint32_t)(n < SWARM_FLIGHTS ? n : SWARM_FLIGHTS) : SWARM_FLIGHTS;

  return share < 2 ? 2 : share;
}

/* What each of those that may be asked is asked for at a time. */
static uint32_t peer_share(const struct swarm_view *v) {
  size_t n = 0;

  for (size_t i = 0; i < v->npeers; i++)
    n += v->peers[i].usable;
  return share_of(n);
}

/* What each of N owners asks the origin for at a time.  The fewer, the sooner a piece is whole and can be given on;
 * where they are many, one each fills the origin's link. */
static uint32_t origin_share_of(const struct swarm_view *v) {
  uint32_t share = v->nowners >= SWARM_FLIGHTS ? 1 : share_of(v->nowners), begun = SWARM_BEGIN + v->had_origin;
  return share < begun ? share : begun;
}

/* The K-th who is asked for PIECE: its owner; then all others, beginning with another one in each round, so that what
 * somebody owned who is away is spread over all. */
static uint64_t place_of(const struct swarm_view *v, uint64_t piece, uint64_t k) {
  uint64_t n = v->nowners, owner = v->turn + piece;

  return (k ? owner + 1 + (piece / n + k - 1) % (n - 1) : owner) % n;
}

uint32_t swarm_owner(const struct swarm_view *v, uint64_t piece) {
  for (size_t k = 0; k < v->nowners; k++) {
    uint32_t owner = v->owners[place_of(v, piece, k)];
    if (owner == SWARM_SELF || (owner < v->npeers && !v->peers[owner].away))
      return owner;
  }
  return SWARM_SELF;
}

/* Who has the piece: the nearest, of those the least asked, of whom less than MOST is asked; SWARM_SELF: nobody who may
 * be asked now.  ANYBODY says whether somebody has it at all. */
static uint32_t best_holder(const struct swarm_view *v, uint64_t piece, uint32_t most, bool *anybody) {
  uint32_t best = SWARM_SELF;

  *anybody = false;
  for (size_t k = 0; k < v->npeers; k++) {
    uint32_t i = (uint32_t)((piece + k) % v->npeers); /* equals take turns */
    const struct swarm_peer *p = &v->peers[i];
    if (!p->usable || !swarm_bit(p->have, piece))
      continue;
    *anybody = true;
    if (p->quiet || p->flying >= most)
      continue;
    const struct swarm_peer *b = best == SWARM_SELF ? NULL : &v->peers[best];
    if (!b || p->nearness > b->nearness || (p->nearness == b->nearness && p->flying < b->flying))
      best = i;
  }
  return best;
}

static bool is_ours(const struct swarm_view *v, uint64_t piece) {
  return swarm_owner(v, piece) == SWARM_SELF || (v->refused && v->refused[piece] >= SWARM_PATIENCE);
}

static bool pick_own(const struct swarm_view *v, uint64_t piece, uint32_t most, uint32_t *peer) {
  bool anybody;

  *peer = best_holder(v, piece, most, &anybody);
  if (*peer != SWARM_SELF)
    return true;
  return !anybody && v->from_origin < origin_share_of(v);
}

/* Whom PIECE, which nobody has yet, is waited for at: its owner; one of the requests is left for what that one has. */
static uint32_t owner_to_wait_for(const struct swarm_view *v, uint64_t piece, uint32_t most) {
  uint32_t owner = swarm_owner(v, piece);

  if (owner == SWARM_SELF || !v->peers[owner].usable || v->peers[owner].quiet || v->peers[owner].flying + 1 >= most)
    return SWARM_SELF;
  return owner;
}

/* Where this node is among the owners: it asks its neighbour first, so that not all ask the same one at once. */
static uint64_t own_place(const struct swarm_view *v) {
  for (size_t i = 0; i < v->nowners; i++)
    if (v->owners[i] == SWARM_SELF)
      return i;
  return 0;
}

/* The next of others' pieces that somebody has; else the next that can be waited for. */
static int64_t pick_other(const struct swarm_view *v, const uint8_t *state, uint64_t npieces, uint32_t most,
                          uint32_t *peer) {
  uint64_t n = v->nowners ? v->nowners : 1;
  uint64_t first = own_place(v) + 1 + n - v->turn % n; /* the neighbour's place in a round */
  uint32_t owner = SWARM_SELF;
  int64_t expected = -1;
  bool anybody;

  for (uint64_t round = 0; round < npieces; round += n)
    for (uint64_t k = 0; k < n; k++) {
      uint64_t i = round + (first + k) % n;
      if (i >= npieces || state[i] != 0 || is_ours(v, i))
        continue;
      *peer = best_holder(v, i, most, &anybody);
      if (*peer != SWARM_SELF)
        return (int64_t)i;
      if (owner == SWARM_SELF && !anybody && (owner = owner_to_wait_for(v, i, most)) != SWARM_SELF)
        expected = (int64_t)i;
    }
  *peer = owner;
  return expected;
}

int64_t swarm_pick(const struct swarm_view *v, const uint8_t *state, uint64_t npieces, uint32_t *peer) {
  uint32_t most = peer_share(v);

  for (uint64_t i = 0; i < npieces; i++)
    if (state[i] == 0 && is_ours(v, i) && pick_own(v, i, most, peer))
      return (int64_t)i;
  return pick_other(v, state, npieces, most, peer);
}
