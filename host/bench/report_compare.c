#include "base/str.h"
#include "bench/report.h"
#include "bench/stability.h"

#include <math.h>
#include <string.h>

#define LEVEL 0.01 /* how often chance alone may look like a difference */

static const struct {
  const char *name;
  const char *path;   /* in a run; of a latency, its object */
  const char *repeat; /* in one of "repeats" */
  bool higher_is_better;
  bool latency;
} figures[] = {
    {"ttftMs", "ttftMs", "ttftMs", false, true},
    {"tpotMs", "tpotMs", "tpotMs", false, true},
    {"e2eMs", "e2eMs", "e2eMs", false, true},
    {"outputTokensPerSecond", "outputTokensPerSecond", "outputTokensPerSecond", true, false},
    {"requestsPerSecond", "requestsPerSecond", "requestsPerSecond", true, false},
};

static struct json_object *find(struct json_object *runs, struct json_object *like) {
  char wanted[32], load[32];

  report_load(like, wanted);
  for (size_t i = 0; i < json_len(runs); i++) {
    struct json_object *run = json_index(runs, i);
    report_load(run, load);
    if (streq(json_str(run, "scenario", ""), json_str(like, "scenario", "")) && streq(load, wanted))
      return run;
  }
  return NULL;
}

static struct sample_facts of_repeats(struct json_object *run, const char *path) {
  struct json_object *repeats = json_get(run, "repeats");
  double values[STABILITY_MAX];
  size_t n = json_len(repeats) < STABILITY_MAX ? json_len(repeats) : STABILITY_MAX;

  for (size_t i = 0; i < n; i++)
    values[i] = report_number(json_index(repeats, i), path);
  return sample_of(values, n);
}

static struct sample_facts of_requests(struct json_object *run, const char *path) {
  struct json_object *o = json_get(run, path);

  return (struct sample_facts){report_number(o, "mean"), report_number(o, "stddev"), report_number(o, "count")};
}

static struct json_object *compare_figure(struct json_object *a, struct json_object *b, size_t f, double threshold) {
  bool repeated = json_len(json_get(a, "repeats")) >= 3 && json_len(json_get(b, "repeats")) >= 3;
  struct json_object *o;

  if (!json_get(a, figures[f].path) || !json_get(b, figures[f].path) || (!repeated && !figures[f].latency))
    return NULL;
  struct sample_facts x = repeated ? of_repeats(a, figures[f].repeat) : of_requests(a, figures[f].path);
  struct sample_facts y = repeated ? of_repeats(b, figures[f].repeat) : of_requests(b, figures[f].path);
  if (x.mean <= 0 || (o = json_object_new_object()) == NULL)
    return NULL;
  double p = sample_welch(&x, &y);
  double change = (y.mean - x.mean) / x.mean * 100;
  bool differs = p < LEVEL && fabs(change) >= threshold;
  bool better = (change > 0) == figures[f].higher_is_better;
  char load[32];
  report_load(a, load);
  (void)json_set_str(o, "scenario", json_str(a, "scenario", ""));
  (void)json_set_str(o, "load", load);
  (void)json_set_str(o, "figure", figures[f].name);
  (void)json_set(o, "a", json_object_new_double(x.mean));
  (void)json_set(o, "b", json_object_new_double(y.mean));
  (void)json_set(o, "changePercent", json_object_new_double(change));
  (void)json_set(o, "p", json_object_new_double(p));
  (void)json_set_str(o, "verdict", !differs ? "same" : better ? "better" : "worse");
  return o;
}

/* The share of requests that fail: a two-proportion test. */
static struct json_object *compare_failures(struct json_object *a, struct json_object *b) {
  double na = report_number(a, "requests"), nb = report_number(b, "requests");
  double fa = na - report_number(a, "completed"), fb = nb - report_number(b, "completed");
  struct json_object *o = na > 0 && nb > 0 && (fa > 0 || fb > 0) ? json_object_new_object() : NULL;
  char load[32];

  if (!o)
    return NULL;
  double all = (fa + fb) / (na + nb);
  double spread = sqrt(all * (1 - all) * (1 / na + 1 / nb));
  double p = spread > 0 ? erfc(fabs(fa / na - fb / nb) / spread / sqrt(2)) : 1;
  report_load(a, load);
  (void)json_set_str(o, "scenario", json_str(a, "scenario", ""));
  (void)json_set_str(o, "load", load);
  (void)json_set_str(o, "figure", "failedPercent");
  (void)json_set(o, "a", json_object_new_double(fa / na * 100));
  (void)json_set(o, "b", json_object_new_double(fb / nb * 100));
  (void)json_set(o, "p", json_object_new_double(p));
  (void)json_set_str(o, "verdict", p >= LEVEL ? "same" : fb / nb < fa / na ? "better" : "worse");
  return o;
}

static int64_t count_verdicts(struct json_object *all, const char *verdict) {
  int64_t n = 0;

  for (size_t i = 0; i < json_len(all); i++)
    n += streq(json_str(json_index(all, i), "verdict", ""), verdict);
  return n;
}

/* How many runs of A have none like them in B. */
static int64_t count_alone(struct json_object *a, struct json_object *b) {
  int64_t n = 0;

  for (size_t i = 0; i < json_len(a); i++)
    n += find(b, json_index(a, i)) == NULL;
  return n;
}

struct json_object *report_compare(struct json_object *a, struct json_object *b, double threshold) {
  struct json_object *o = json_object_new_object();
  struct json_object *all = json_object_new_array();
  struct json_object *runs = json_get(a, "runs"), *others = json_get(b, "runs");
  int64_t compared = 0;

  for (size_t i = 0; o && all && i < json_len(runs); i++) {
    struct json_object *run = json_index(runs, i);
    struct json_object *other = find(others, run);
    if (!other)
      continue;
    compared++;
    for (size_t f = 0; f <= ARRAY_LEN(figures); f++) {
      struct json_object *one =
          f < ARRAY_LEN(figures) ? compare_figure(run, other, f, threshold) : compare_failures(run, other);
      if (one)
        (void)json_add(all, one);
    }
  }
  (void)json_set(o, "thresholdPercent", json_object_new_double(threshold));
  (void)json_set_i64(o, "compared", compared);
  (void)json_set_i64(o, "onlyInA", count_alone(runs, others));
  (void)json_set_i64(o, "onlyInB", count_alone(others, runs));
  (void)json_set_i64(o, "worse", count_verdicts(all, "worse"));
  (void)json_set_i64(o, "better", count_verdicts(all, "better"));
  (void)json_set(o, "figures", all);
  return o;
}
