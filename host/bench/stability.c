#include "bench/stability.h"

#include "base/cleanup.h"

#include <math.h>
#include <string.h>

struct sample_facts sample_of(const double *values, size_t n) {
  struct sample_facts s = {.n = (double)n};
  double m2 = 0;

  for (size_t i = 0; i < n; i++) {
    double delta = values[i] - s.mean;
    s.mean += delta / (double)(i + 1);
    m2 += delta * (values[i] - s.mean);
  }
  s.stddev = n > 1 ? sqrt(m2 / (double)(n - 1)) : 0;
  return s;
}

/* ---- Student's distribution -------------------------------------------------------------------------------------- */

/* The continued fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8), by Lentz's method. */
static double beta_fraction(double a, double b, double x) {
  const double tiny = 1e-300;
  double c = 1;
  double d = 1 - (a + b) * x / (a + 1);

  d = 1 / (fabs(d) < tiny ? tiny : d);
  double h = d;
  for (int m = 1; m < 500; m++) {
    double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    double step = 1;
    for (int half = 0; half < 2; half++) {
      double term = half ? odd : even;
      d = 1 + term * d;
      d = 1 / (fabs(d) < tiny ? tiny : d);
      c = 1 + term / c;
      c = fabs(c) < tiny ? tiny : c;
      step = c * d;
      h *= step;
    }
    if (fabs(step - 1) < 1e-14)
      break;
  }
  return h;
}

static double beta_regularized(double a, double b, double x) {
  if (x <= 0 || x >= 1)
    return x <= 0 ? 0 : 1;
  double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
  return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

/* P(|T| > t) with DF degrees of freedom. */
static double student_tail(double t, double df) {
  return beta_regularized(df / 2, 0.5, df / (df + t * t));
}

/* The t that is exceeded either way with probability 0.05. */
static double student_critical(double df) {
  double lo = 0, hi = 1000;

  for (int i = 0; i < 100; i++) {
    double mid = (lo + hi) / 2;
    if (student_tail(mid, df) > 0.05)
      lo = mid;
    else
      hi = mid;
  }
  return hi;
}

double sample_margin(const struct sample_facts *s) {
  return s->n < 2 ? INFINITY : student_critical(s->n - 1) * s->stddev / sqrt(s->n);
}

double sample_welch(const struct sample_facts *a, const struct sample_facts *b) {
  if (a->n < 2 || b->n < 2)
    return 1;
  double va = a->stddev * a->stddev / a->n;
  double vb = b->stddev * b->stddev / b->n;
  if (va + vb <= 0)
    return a->mean == b->mean ? 1 : 0; /* NOLINT: constant values that differ do differ */
  double t = (a->mean - b->mean) / sqrt(va + vb);
  double df = (va + vb) * (va + vb) / (va * va / (a->n - 1) + vb * vb / (b->n - 1));
  return student_tail(t, df);
}

/* ---- repeated runs ----------------------------------------------------------------------------------------------- */

void stability_add(struct stability *s, const struct run *r) {
  if (s->n == STABILITY_MAX || r->seconds <= 0)
    return;
  s->runs[s->n].requests_per_second = (double)r->completed / r->seconds;
  s->runs[s->n].tokens_per_second = (double)r->output_tokens / r->seconds;
  s->runs[s->n].ttft_ms = r->ttft.mean / 1e6;
  s->runs[s->n].tpot_ms = r->tpot.mean / 1e6;
  s->runs[s->n].e2e_ms = r->e2e.mean / 1e6;
  s->n++;
}

bool stability_is_known(const struct stability *s, double percent) {
  double values[STABILITY_MAX] = {0};

  for (size_t i = 0; i < s->n; i++)
    values[i] = s->runs[i].tokens_per_second > 0 ? s->runs[i].tokens_per_second : s->runs[i].requests_per_second;
  struct sample_facts facts = sample_of(values, s->n);
  return s->n >= 3 && facts.mean > 0 && sample_margin(&facts) <= facts.mean * percent / 100;
}

/* The figures of a repeat; which of its doubles is meant. */
static const struct {
  const char *name;
  size_t at;
} figures[] = {{"requestsPerSecond", offsetof(struct stability_run, requests_per_second)},
               {"outputTokensPerSecond", offsetof(struct stability_run, tokens_per_second)},
               {"ttftMs", offsetof(struct stability_run, ttft_ms)},
               {"tpotMs", offsetof(struct stability_run, tpot_ms)},
               {"e2eMs", offsetof(struct stability_run, e2e_ms)}};

static double figure_of(const struct stability_run *r, size_t figure) {
  double v;

  memcpy(&v, (const char *)r + figures[figure].at, sizeof(v));
  return v;
}

struct json_object *stability_report(const struct stability *s) {
  struct json_object *all = json_object_new_array();

  for (size_t i = 0; all && i < s->n; i++) {
    struct json_object *o = json_add_object(all);
    for (size_t f = 0; f < ARRAY_LEN(figures); f++)
      (void)json_set(o, figures[f].name, json_object_new_double(figure_of(&s->runs[i], f)));
  }
  return all;
}

struct json_object *stability_confidence(const struct stability *s) {
  struct json_object *all = json_object_new_object();
  double values[STABILITY_MAX];

  for (size_t f = 0; all && s->n > 1 && f < ARRAY_LEN(figures); f++) {
    for (size_t i = 0; i < s->n; i++)
      values[i] = figure_of(&s->runs[i], f);
    struct sample_facts facts = sample_of(values, s->n);
    struct json_object *o = json_object_new_object();
    (void)json_set(o, "mean", json_object_new_double(facts.mean));
    (void)json_set(o, "margin", json_object_new_double(sample_margin(&facts)));
    (void)json_set(all, figures[f].name, o);
  }
  return all;
}
