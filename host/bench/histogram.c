#include "bench/histogram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HALF ((uint64_t)1 << (HISTOGRAM_BITS - 1))
#define LARGEST (((uint64_t)1 << (HISTOGRAM_TOP + 1)) - 1)

static size_t slot_of(uint64_t v) {
  if (v < 2 * HALF)
    return (size_t)v;
  int shift = 63 - __builtin_clzll(v) - (HISTOGRAM_BITS - 1);
  return (size_t)((uint64_t)shift * HALF + (v >> shift));
}

/* The middle of the values that share slot I. */
static uint64_t value_of(size_t i) {
  if (i < 2 * HALF)
    return i;
  uint64_t shift = i / HALF - 1;
  return ((i - shift * HALF) << shift) + (((uint64_t)1 << shift) / 2);
}

static bool has_slots(struct histogram *h) {
  if (!h->slots)
    h->slots = calloc(HISTOGRAM_SLOTS, sizeof(*h->slots));
  return h->slots != NULL;
}

void histogram_add(struct histogram *h, uint64_t ns) {
  uint64_t v = ns > LARGEST ? LARGEST : ns;

  if (!has_slots(h))
    return;
  h->slots[slot_of(v)]++;
  h->least = h->count == 0 || v < h->least ? v : h->least;
  h->largest = v > h->largest ? v : h->largest;
  h->count++;
  double delta = (double)v - h->mean;
  h->mean += delta / (double)h->count;
  h->m2 += delta * ((double)v - h->mean);
}

void histogram_merge(struct histogram *into, const struct histogram *from) {
  if (from->count == 0 || !has_slots(into))
    return;
  for (size_t i = 0; i < HISTOGRAM_SLOTS; i++)
    into->slots[i] += from->slots[i];
  double delta = from->mean - into->mean;
  double a = (double)into->count;
  double b = (double)from->count;
  into->m2 += from->m2 + delta * delta * a * b / (a + b);
  into->mean += delta * b / (a + b);
  into->least = into->count == 0 || from->least < into->least ? from->least : into->least;
  into->largest = from->largest > into->largest ? from->largest : into->largest;
  into->count += from->count;
}

void histogram_fini(struct histogram *h) {
  free(h->slots);
  memset(h, 0, sizeof(*h));
}

uint64_t histogram_percentile(const struct histogram *h, double percent) {
  double exact = percent / 100.0 * (double)h->count;
  uint64_t rank = (uint64_t)ceil(exact - 1e-9);
  uint64_t seen = 0;

  if (h->count == 0)
    return 0;
  rank = rank < 1 ? 1 : rank > h->count ? h->count : rank;
  if (rank == h->count)
    return h->largest;
  for (size_t i = 0; i < HISTOGRAM_SLOTS; i++) {
    seen += h->slots[i];
    if (seen >= rank) {
      uint64_t v = value_of(i);
      return v < h->least ? h->least : v > h->largest ? h->largest : v;
    }
  }
  return h->largest;
}

double histogram_stddev(const struct histogram *h) {
  return h->count < 2 ? 0 : sqrt(h->m2 / (double)(h->count - 1));
}
