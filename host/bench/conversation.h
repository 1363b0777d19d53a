/* What one user and the server have said to each other: sent whole with every further turn, as chat clients do, so that
 * prompts grow and servers can find their beginnings in a prefix cache. */
#ifndef HOST_BENCH_CONVERSATION_H
#define HOST_BENCH_CONVERSATION_H

#include "base/buf.h"

#include <stdint.h>

#define CONVERSATION_MAX ((size_t)8 << 20) /* bytes; one that would be longer begins anew */
#define CONVERSATION_MAX_TURNS 1000u

struct conversation {
  uint32_t wanted;     /* turns; 0, 1: nothing is kept */
  uint32_t turns;      /* that were answered */
  uint64_t tokens;     /* of MESSAGES, where somebody counts them */
  struct buf messages; /* JSON objects with commas between them */
  struct buf answer;   /* to the latest turn: the inside of a JSON string, gathered as it comes */
};

void conversation_init(struct conversation *c, uint32_t wanted);
void conversation_fini(struct conversation *c);

/* MESSAGES, further JSON objects with commas between them, have been sent: TOKENS (0: nobody counts). */
void conversation_say(struct conversation *c, const char *messages, size_t len, uint64_t tokens);
/* The turn ended: WELL, with what is in ANSWER, else the conversation is over, as it is after the last turn. */
void conversation_end_turn(struct conversation *c, bool well, uint64_t tokens);

#endif
