/* Metrics in Prometheus' text form (exposition format 0.0.4): counters, gauges and histograms with labels.
 *
 *   METRIC_COUNTER(requests, "ome_kube_requests_total", "Requests to the API server.", "verb", "code");
 *   ...
 *   metric_add(METRIC(&requests, "GET", "200"), 1);
 *
 * A family is a static object of the file that measures; it appears in metrics_render() with its first series.  Every
 * function is [any-thread].  Measuring takes no lock, and allocates only when a combination of label values is seen for
 * the first time.
 *
 * Cardinality is bounded: a family keeps METRIC_SERIES_MAX series for the life of the process; combinations
 * that come after count in one more, whose values are all "other".  Labels are for closed sets (verbs, kinds, plugins),
 * never for names that users choose without end.  METRIC_SERIES_MAX of the largest histogram are 130 KiB. */
#ifndef HOST_BASE_METRICS_H
#define HOST_BASE_METRICS_H

#include "base/buf.h"

#include <stdatomic.h>
#include <stdint.h>

#define METRIC_LABELS_MAX 4
#define METRIC_SERIES_MAX 512u
#define METRIC_VALUE_MAX 128u /* bytes of a label's value; the rest is cut off */
#define METRIC_BUCKETS_MAX 24 /* upper bounds of a histogram, without +Inf */
#define METRIC_CHAINS 32

enum metric_type { METRIC_TYPE_COUNTER, METRIC_TYPE_GAUGE, METRIC_TYPE_HISTOGRAM };

/* One combination of label values; never freed. */
struct metric;

struct metric_family {
  enum metric_type type;
  const char *name; /* in base units: _seconds, _bytes; a counter ends in _total */
  const char *help;
  const char *labels[METRIC_LABELS_MAX + 1]; /* names, NULL-terminated */
  const double *bounds;                      /* of a histogram: ascending, 0-terminated */
  struct {
    _Atomic(struct metric *) chains[METRIC_CHAINS];
    struct metric_family *next; /* in the order of names */
    uint32_t count;             /* under the registry's lock, as is NEXT */
  } state;
};

/* Seconds from half a millisecond to a minute: for requests, reconciles and hooks. */
extern const double METRIC_SECONDS[];

#define METRIC_FAMILY_(id, kind, metric_name, metric_help, bucket_bounds, ...)                                         \
  static struct metric_family id = {.type = (kind),                                                                    \
                                    .name = (metric_name),                                                             \
                                    .help = (metric_help),                                                             \
                                    .labels = {__VA_ARGS__},                                                           \
                                    .bounds = (bucket_bounds)}
#define METRIC_COUNTER(id, name, help, ...) METRIC_FAMILY_(id, METRIC_TYPE_COUNTER, name, help, NULL, ##__VA_ARGS__)
#define METRIC_GAUGE(id, name, help, ...) METRIC_FAMILY_(id, METRIC_TYPE_GAUGE, name, help, NULL, ##__VA_ARGS__)
#define METRIC_HISTOGRAM(id, name, help, bounds, ...)                                                                  \
  METRIC_FAMILY_(id, METRIC_TYPE_HISTOGRAM, name, help, bounds, ##__VA_ARGS__)

/* The series with these label values, in the order of the family's labels: METRIC(&family, "GET", "200"), or
 * METRIC(&family) where there are none.  NULL, with which the functions below do nothing, when memory ran out. */
#define METRIC(family, ...)                                                                                            \
  metric_series(family, (const char *const[]){"", ##__VA_ARGS__} + 1,                                                  \
                sizeof((const char *const[]){"", ##__VA_ARGS__}) / sizeof(char *) - 1)
/* The same with N values in an array; missing ones and NULL count as "". */
struct metric *metric_series(struct metric_family *family, const char *const *values, size_t n);

/* A counter, by 0 or more; 0 makes the series appear.  A gauge, up or down. */
void metric_add(struct metric *m, double by);
/* A gauge. */
void metric_set(struct metric *m, double value);
/* A histogram. */
void metric_observe(struct metric *m, double value);

/* The present value of a counter or gauge; of a histogram, how often it was observed. */
double metric_value(const struct metric *m);

/* Appends every family that has a series, ordered by name, series by label values. */
void metrics_render(struct buf *out);

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

#endif
