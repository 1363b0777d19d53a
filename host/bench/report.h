/* What is said about runs: as JSON (docs/bench.md has the schema), as text for people, as files for other tools. */
#ifndef HOST_BENCH_REPORT_H
#define HOST_BENCH_REPORT_H

#include "base/buf.h"
#include "base/json.h"
#include "bench/sweep.h"

#define REPORT_SCHEMA "ome.io/bench/v1"

/* new: the run as one of "runs"; NULL: memory ran out. */
struct json_object *report_run(const struct run *r);
/* new: what was asked for, without secrets. */
struct json_object *report_config(const struct bench_config *c);

#endif
