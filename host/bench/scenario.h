/* Traffic scenarios, in the notation of OME and genai-bench: how long prompts and answers are.
 *
 *   D(in,out)                 always these numbers of tokens
 *   N(mean,sd)/(mean,sd)      normally distributed, input and output
 *   U(min,max)/(min,max)      uniformly distributed; U(max,max) from 1 on
 *   P(prefix,suffix)/out      all prompts begin with the same PREFIX tokens
 *   E(n)  E(n,documents)      documents of N tokens to embed; how many a request
 *   R(n)  R(n,query)          documents of N tokens to rank by a query
 *   I(width,height[,images])  images, in pixels
 *
 * Pure: no I/O, any thread. */
#ifndef HOST_BENCH_SCENARIO_H
#define HOST_BENCH_SCENARIO_H

#include "base/err.h"
#include "bench/random.h"
#include "bench/task.h"

#define SCENARIO_TEXT 64
#define SCENARIO_MAX_TOKENS 1000000u
#define SCENARIO_MAX_PIXELS 8192u /* either way */
#define SCENARIO_MAX_COUNT 256u   /* documents or images a request */

struct scenario {
  char letter;     /* of the notation */
  bool short_form; /* U(max,max), E(n), R(n), I(w,h) */
  uint32_t n[4];
  char text[SCENARIO_TEXT]; /* as given */
};

/* What one request is like. */
struct sample {
  uint32_t input_tokens;  /* of the whole prompt, of each document */
  uint32_t output_tokens; /* asked for; 0: the server decides */
  uint32_t prefix_tokens; /* of input_tokens: the same in every request */
  uint32_t query_tokens;
  uint32_t width, height;
  uint32_t count; /* documents or images; 0: not of that kind */
};

/* OME_E_INVALID says what is wrong with TEXT, for TASK. */
int32_t scenario_parse(const char *text, enum bench_task task, struct scenario *out, struct ome_err *err);

void scenario_sample(const struct scenario *s, struct random *r, struct sample *out);

#endif
