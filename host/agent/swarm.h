/* Which piece of a file a node fetches next, and from whom, so that a model leaves its origin once for all nodes. Pure.
 *
 * The nodes that want a file own its pieces in turn.  A node fetches its own pieces from the origin and all others from
 * whoever has them; an owner that does not have a piece yet lets the others wait for it.  So each piece leaves the
 * origin once, and the way from node to node is as wide as all nodes together.  Who owns what needs no agreement: each
 * computes it from the same list of nodes.  Where lists differ for a moment a piece is fetched twice, never wrongly.
 *
 * Who begins when few others have been seen believes that it owns much.  So the origin is asked for a piece at first,
 * and for one more with each that came: where it is fast that costs nothing, and where it is slow the others are seen
 * before much was asked for twice.
 *
 * A slow owner is waited for, however long: to fetch its pieces elsewhere too would make what is slow slower, for all.
 * Only one that is away, for longer than a link that is full may make it look so, is stood in for.  But what is there
 * comes first: who waits for many pieces does not leave one lying for it. */
#ifndef HOST_AGENT_SWARM_H
#define HOST_AGENT_SWARM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SWARM_SELF UINT32_MAX /* among owners: this node */
#define SWARM_FLIGHTS 16u     /* pieces on their way at a time, about: shared out among those that are asked */
#define SWARM_BEGIN 1u        /* pieces that are asked of the origin before the first has come */
#define SWARM_PATIENCE 3u     /* a piece that came wrong or not at all so often is fetched from the origin */

struct swarm_peer {
  bool usable;         /* may be asked now: reachable, not known to lie */
  bool away;           /* what it owns is another's: it is gone, or has not begun for a while */
  bool quiet;          /* it did not have something just now: not asked for a moment */
  uint32_t nearness;   /* how many topology labels it has in common with us */
  uint32_t flying;     /* pieces that it is asked for now */
  const uint8_t *have; /* a bit a piece; NULL: nothing known */
};

struct swarm_view {
  const struct swarm_peer *peers;
  size_t npeers;
  const uint32_t *owners; /* in an order that all nodes share; SWARM_SELF or an index of PEERS */
  size_t nowners;
  uint32_t turn;          /* of the file: whose the first piece is */
  const uint8_t *refused; /* a piece: how often it went wrong; NULL: never */
  uint32_t from_origin;   /* pieces on their way from there */
  uint32_t had_origin;    /* of the model: that came from there */
};

static inline bool swarm_bit(const uint8_t *bits, uint64_t i) {
  return bits && bits[i / 8] >> (i % 8) & 1;
}

static inline void swarm_set_bit(uint8_t *bits, uint64_t i, bool on) {
  bits[i / 8] = (uint8_t)(on ? bits[i / 8] | 1u << (i % 8) : bits[i / 8] & ~(1u << (i % 8)));
}

/* Who fetches PIECE from the origin: an index of PEERS, or SWARM_SELF. */
uint32_t swarm_owner(const struct swarm_view *v, uint64_t piece);

/* The next piece of those whose STATE is 0; *PEER is an index of PEERS or SWARM_SELF: from the origin.  -1: none now.
 */
int64_t swarm_pick(const struct swarm_view *v, const uint8_t *state, uint64_t npieces, uint32_t *peer);

#endif
