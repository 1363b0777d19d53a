#include "bench/random.h"

#include <math.h>

uint64_t random_next(struct random *r) {
  uint64_t z = r->state += 0x9e3779b97f4a7c15u;

  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

double random_unit(struct random *r) {
  return (double)(random_next(r) >> 11) * 0x1p-53;
}

double random_normal(struct random *r, double mean, double sd) {
  double radius = sqrt(-2.0 * log(1.0 - random_unit(r)));

  return mean + sd * radius * cos(2.0 * M_PI * random_unit(r));
}

double random_exponential(struct random *r, double mean) {
  return -mean * log(1.0 - random_unit(r));
}

uint64_t random_between(struct random *r, uint64_t lo, uint64_t hi) {
  return hi <= lo ? lo : lo + random_next(r) % (hi - lo + 1);
}
