/* What a BenchmarkJob's status says.  Pure. */
#ifndef HOST_COMPOSE_BENCHMARK_STATUS_H
#define HOST_COMPOSE_BENCHMARK_STATUS_H

#include "compose/benchmark.h"

struct benchmark_observation {
  struct json_object *job;           /* the BenchmarkJob */
  const struct benchmark_plan *plan; /* where there is no Job yet; may be NULL */
  struct json_object *batch;         /* the Job; NULL: none */
  struct json_object *pod;           /* its newest; NULL: none */
  struct json_object *event;         /* the last that the benchmark said of itself; NULL: nothing */
  int64_t now_ms;                    /* wall time */
};

/* *OUT is new: the whole status.  Where nothing changed it equals the old one. */
int32_t benchmark_status(const struct benchmark_observation *in, struct json_object **out, struct ome_err *err);

/* Whether the spec as it is now has been run to its end, well or not. */
bool benchmark_is_over(struct json_object *job);

#endif
