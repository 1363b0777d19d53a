/* Pieces of counts that towers and wholes share; the bounds keep products of three numbers below 2^63. */
#ifndef HOST_MODEL_COUNTING_H
#define HOST_MODEL_COUNTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_SIDE = 1 << 16, MAX_WORDS = 1 << 24, MAX_STACK = 4096 };

static inline uint64_t or_else(uint64_t n, uint64_t dflt) {
  return n ? n : dflt;
}

static inline bool are_below(uint64_t bound, const uint64_t *numbers, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (numbers[i] >= bound)
      return false;
  return true;
}

/* A matrix with its bias. */
static inline uint64_t linear(uint64_t in, uint64_t out) {
  return in * out + out;
}

/* A layer of an image transformer: D wide, biases everywhere, two norms with theirs. */
static inline uint64_t plain_layer(uint64_t d, uint64_t intermediate) {
  return 4 * linear(d, d) + linear(d, intermediate) + linear(intermediate, d) + 4 * d;
}

#endif
