#include "base/metrics.h"

#include "base/vec.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const double METRIC_SECONDS[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                 0.5,    1,     2.5,    5,     10,   30,    60,   0};

struct metric {
  struct metric *next; /* in its chain; set before it is published, never changed */
  const struct metric_family *family;
  _Atomic double value; /* of a histogram: the sum */
  uint32_t nbounds;
  _Atomic uint64_t *buckets; /* nbounds + 1, each for itself; the last is +Inf */
  char values[];             /* NUL-terminated one after the other, as many as the family has labels */
};

/* Process-wide by nature, as the process's exposition is one. */
static struct {
  pthread_mutex_t lock; /* for new families and series only */
  struct metric_family *first;
} registry = {PTHREAD_MUTEX_INITIALIZER, NULL};

/* ---- label values ------------------------------------------------------------------------------------------------ */

static size_t count_labels(const struct metric_family *f) {
  size_t n = 0;

  while (n < METRIC_LABELS_MAX && f->labels[n])
    n++;
  return n;
}

/* As much of VALUE as is kept. */
static size_t kept(const char *value) {
  return value ? strnlen(value, METRIC_VALUE_MAX) : 0;
}

static const char *value_at(const char *const *values, size_t n, size_t i) {
  return i < n ? values[i] : NULL;
}

/* FNV-1a: chains are short and series few, so that crafted values gain nothing. */
static uint32_t hash(const char *const *values, size_t n, size_t labels) {
  uint32_t h = 2166136261u;

  for (size_t i = 0; i < labels; i++) {
    const char *v = value_at(values, n, i);
    for (size_t j = 0, len = kept(v); j < len; j++)
      h = (h ^ (unsigned char)v[j]) * 16777619u;
    h = (h ^ 0xffu) * 16777619u;
  }
  return h;
}

static bool has_values(const struct metric *m, const char *const *values, size_t n, size_t labels) {
  const char *own = m->values;

  for (size_t i = 0; i < labels; i++) {
    const char *v = value_at(values, n, i);
    size_t len = kept(v);
    if (strncmp(own, v ? v : "", len) != 0 || own[len])
      return false;
    own += len + 1;
  }
  return true;
}

static struct metric *find(struct metric *chain, const char *const *values, size_t n, size_t labels) {
  while (chain && !has_values(chain, values, n, labels))
    chain = chain->next;
  return chain;
}

/* ---- series ------------------------------------------------------------------------------------------------------ */

static uint32_t count_bounds(const struct metric_family *f) {
  uint32_t n = 0;

  while (f->bounds && n < METRIC_BUCKETS_MAX && f->bounds[n] > 0)
    n++;
  return n;
}

static struct metric *series_new(const struct metric_family *f, const char *const *values, size_t n, size_t labels) {
  size_t text = 0;

  for (size_t i = 0; i < labels; i++)
    text += kept(value_at(values, n, i)) + 1;
  struct metric *m = calloc(1, sizeof(*m) + text + 1);
  if (!m)
    return NULL;
  m->family = f;
  if (f->type == METRIC_TYPE_HISTOGRAM) {
    m->nbounds = count_bounds(f);
    m->buckets = calloc(m->nbounds + 1, sizeof(*m->buckets));
    if (!m->buckets) {
      free(m);
      return NULL;
    }
  }
  char *to = m->values;
  for (size_t i = 0; i < labels; i++) {
    const char *v = value_at(values, n, i);
    size_t len = kept(v);
    memcpy(to, v ? v : "", len);
    to += len + 1;
  }
  return m;
}

static void enter_locked(struct metric_family *f) {
  struct metric_family **at = &registry.first;

  while (*at && strcmp((*at)->name, f->name) < 0)
    at = &(*at)->state.next;
  f->state.next = *at;
  *at = f;
}

static _Atomic(struct metric *) *chain_of(struct metric_family *f, const char *const *values, size_t n, size_t labels) {
  return &f->state.chains[hash(values, n, labels) % METRIC_CHAINS];
}

static struct metric *find_or_add_locked(struct metric_family *f, const char *const *values, size_t n, size_t labels) {
  _Atomic(struct metric *) *chain = chain_of(f, values, n, labels);
  struct metric *m = find(atomic_load(chain), values, n, labels);

  if (m || !(m = series_new(f, values, n, labels)))
    return m;
  if (f->state.count++ == 0)
    enter_locked(f);
  m->next = atomic_load(chain);
  atomic_store(chain, m);
  return m;
}

static struct metric *add_series(struct metric_family *f, const char *const *values, size_t n, size_t labels) {
  static const char *const others[METRIC_LABELS_MAX] = {"other", "other", "other", "other"};

  (void)pthread_mutex_lock(&registry.lock);
  struct metric *m = f->state.count < METRIC_SERIES_MAX ? find_or_add_locked(f, values, n, labels)
                                                        : find_or_add_locked(f, others, METRIC_LABELS_MAX, labels);
  (void)pthread_mutex_unlock(&registry.lock);
  return m;
}

struct metric *metric_series(struct metric_family *f, const char *const *values, size_t n) {
  size_t labels = count_labels(f);
  struct metric *m = find(atomic_load(chain_of(f, values, n, labels)), values, n, labels);

  return m ? m : add_series(f, values, n, labels);
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

void metric_add(struct metric *m, double by) {
  if (!m)
    return;
  double was = atomic_load_explicit(&m->value, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(&m->value, &was, was + by, memory_order_relaxed, memory_order_relaxed))
    ;
}

void metric_set(struct metric *m, double value) {
  if (m)
    atomic_store_explicit(&m->value, value, memory_order_relaxed);
}

void metric_observe(struct metric *m, double value) {
  uint32_t i = 0;

  if (!m || !m->buckets)
    return;
  while (i < m->nbounds && !(value <= m->family->bounds[i]))
    i++;
  atomic_fetch_add_explicit(&m->buckets[i], 1, memory_order_relaxed);
  metric_add(m, value);
}

double metric_value(const struct metric *m) {
  uint64_t n = 0;

  if (!m || !m->buckets)
    return m ? atomic_load(&m->value) : 0;
  for (uint32_t i = 0; i <= m->nbounds; i++)
    n += atomic_load(&m->buckets[i]);
  return (double)n;
}

/* ---- exposition -------------------------------------------------------------------------------------------------- */

static void add_number(struct buf *out, double v) {
  if (isnan(v))
    buf_adds(out, "NaN");
  else if (isinf(v))
    buf_adds(out, v > 0 ? "+Inf" : "-Inf");
  else
    buf_addf(out, "%.*g", DBL_DIG, v);
}

/* VALUE may be anything: what the format cannot hold is replaced. */
static void add_escaped(struct buf *out, const char *value) {
  for (; *value; value++) {
    if (*value == '\n')
      buf_adds(out, "\\n");
    else if (*value == '"' || *value == '\\')
      buf_addf(out, "\\%c", *value);
    else
      buf_addc(out, *value >= ' ' && *value < 0x7f ? *value : '?');
  }
}

/* One line: NAME SUFFIX {labels, LE} NUMBER.  LE NULL: none. */
static void add_sample(struct buf *out, const struct metric *m, const char *suffix, const char *le, double number) {
  const struct metric_family *f = m->family;
  const char *value = m->values;
  const char *separator = "{";

  buf_addf(out, "%s%s", f->name, suffix);
  for (size_t i = 0, n = count_labels(f); i < n; i++, value += strlen(value) + 1) {
    buf_addf(out, "%s%s=\"", separator, f->labels[i]);
    add_escaped(out, value);
    buf_addc(out, '"');
    separator = ",";
  }
  if (le)
    buf_addf(out, "%sle=\"%s\"", separator, le);
  buf_adds(out, *separator == ',' || le ? "} " : " ");
  add_number(out, number);
  buf_addc(out, '\n');
}

/* The count is that of the buckets that were printed: a scrape never contradicts itself. */
static void add_histogram(struct buf *out, const struct metric *m) {
  uint64_t total = 0;
  double sum = atomic_load(&m->value);

  for (uint32_t i = 0; i <= m->nbounds; i++) {
    char le[32] = "+Inf";
    total += atomic_load(&m->buckets[i]);
    if (i < m->nbounds)
      (void)snprintf(le, sizeof(le), "%.*g", DBL_DIG, m->family->bounds[i]);
    add_sample(out, m, "_bucket", le, (double)total);
  }
  add_sample(out, m, "_sum", NULL, sum);
  add_sample(out, m, "_count", NULL, (double)total);
}

static int compare_series(const void *a, const void *b) {
  const struct metric *x = *(const struct metric *const *)a;
  const struct metric *y = *(const struct metric *const *)b;
  const char *v = x->values;
  const char *w = y->values;

  for (size_t i = 0, n = count_labels(x->family); i < n; i++) {
    int c = strcmp(v, w);
    if (c != 0)
      return c;
    v += strlen(v) + 1;
    w += strlen(w) + 1;
  }
  return 0;
}

static void add_family(struct buf *out, const struct metric_family *f) {
  static const char *const types[] = {"counter", "gauge", "histogram"};
  VEC(const struct metric *) all = {0};
  bool complete = true;

  for (size_t i = 0; i < METRIC_CHAINS; i++)
    for (const struct metric *m = atomic_load(&f->state.chains[i]); m; m = m->next)
      complete = VEC_PUSH(&all, m) && complete;
  if (complete && all.len > 1)
    qsort(all.items, all.len, sizeof(*all.items), compare_series);
  out->failed = out->failed || !complete;
  buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, types[f->type]);
  for (size_t i = 0; i < all.len; i++) {
    if (f->type == METRIC_TYPE_HISTOGRAM)
      add_histogram(out, all.items[i]);
    else
      add_sample(out, all.items[i], "", NULL, atomic_load(&all.items[i]->value));
  }
  VEC_FREE(&all);
}

void metrics_render(struct buf *out) {
  (void)pthread_mutex_lock(&registry.lock);
  for (const struct metric_family *f = registry.first; f; f = f->state.next)
    add_family(out, f);
  (void)pthread_mutex_unlock(&registry.lock);
}
