/* How well repeated runs agree: is a figure known, do two benchmarks differ by more than chance.  Pure. */
#ifndef HOST_BENCH_STABILITY_H
#define HOST_BENCH_STABILITY_H

#include "base/json.h"
#include "bench/run.h"

enum { STABILITY_MAX = 100 };

struct stability {
  size_t n;
  struct stability_run {
    double requests_per_second, tokens_per_second, ttft_ms, tpot_ms, e2e_ms; /* the latter are means; 0: none */
  } runs[STABILITY_MAX];
};

void stability_add(struct stability *s, const struct run *r);
/* Whether the 95 % confidence interval of the throughput, of three runs or more, is within PERCENT of it either way. */
bool stability_is_known(const struct stability *s, double percent);
struct json_object *stability_report(const struct stability *s); /* new: of each run */
/* new: {figure: {mean, margin}}: the mean of the runs, and half the width of its 95 % confidence interval. */
struct json_object *stability_confidence(const struct stability *s);

/* Mean and spread of N values, however they were gathered. */
struct sample_facts {
  double mean, stddev, n;
};
struct sample_facts sample_of(const double *values, size_t n);
/* Half the width of the 95 % confidence interval of the mean (Student); infinite below two values. */
double sample_margin(const struct sample_facts *s);
/* Two-sided p of "both have the same mean" (Welch's t-test); 1 where it cannot be told. */
double sample_welch(const struct sample_facts *a, const struct sample_facts *b);

#endif
