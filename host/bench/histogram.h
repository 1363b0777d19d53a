/* Latencies, counted: a histogram of logarithmic octaves with linear steps (the idea of HdrHistogram), so that memory
 * does not grow with the number of values and no percentile is off by more than 1/2048 (0.05 %).  Count, sum, least,
 * largest and variance are exact.
 *
 * Values are nanoseconds, up to about 73 minutes; larger ones count as that. */
#ifndef HOST_BENCH_HISTOGRAM_H
#define HOST_BENCH_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BITS 11 /* 2048 steps below the first octave, 1024 an octave above */
#define HISTOGRAM_TOP 42
#define HISTOGRAM_SLOTS ((size_t)(HISTOGRAM_TOP - HISTOGRAM_BITS + 3) << (HISTOGRAM_BITS - 1))

struct histogram {
  uint64_t *slots; /* HISTOGRAM_SLOTS; NULL: nothing was added, or memory ran out */
  uint64_t count, least, largest;
  double mean, m2; /* Welford: m2 / (count - 1) is the variance */
};

void histogram_add(struct histogram *h, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);
void histogram_fini(struct histogram *h);

/* The smallest value that at least PERCENT of 100 of all do not exceed (nearest rank); 0 without values. */
uint64_t histogram_percentile(const struct histogram *h, double percent);
double histogram_stddev(const struct histogram *h); /* of a sample; 0 with fewer than two */

#endif
