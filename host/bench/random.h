/* Random numbers that a seed repeats: two runs with one seed send the same requests at the same times. */
#ifndef HOST_BENCH_RANDOM_H
#define HOST_BENCH_RANDOM_H

#include <stdint.h>

struct random {
  uint64_t state; /* the seed at first; any value */
};

uint64_t random_next(struct random *r);                              /* SplitMix64 */
double random_unit(struct random *r);                                /* [0, 1) */
double random_normal(struct random *r, double mean, double sd);      /* Box-Muller */
double random_exponential(struct random *r, double mean);            /* what lies between a Poisson process' arrivals */
uint64_t random_between(struct random *r, uint64_t lo, uint64_t hi); /* both included */

#endif
