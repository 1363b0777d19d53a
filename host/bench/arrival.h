/* When requests are meant to start.
 *
 * An open loop's requests come when they come, whether the server keeps up or not; their latencies count from the
 * intended start, so that a server that stalls is charged with every request that had to wait (no coordinated
 * omission). A closed loop starts a request when another has ended: it has no times of its own.  Pure. */
#ifndef HOST_BENCH_ARRIVAL_H
#define HOST_BENCH_ARRIVAL_H

#include "base/err.h"
#include "base/vec.h"
#include "bench/random.h"

#include <stdbool.h>

#define ARRIVAL_MAX_REPLAY 1000000u
#define ARRIVAL_MAX_RATE 100000.0 /* requests a second */

enum arrival_kind { ARRIVAL_CLOSED, ARRIVAL_CONSTANT, ARRIVAL_POISSON, ARRIVAL_RAMP, ARRIVAL_REPLAY };

struct arrival {
  enum arrival_kind kind;
  double rate;     /* requests a second */
  double rate_end; /* ARRIVAL_RAMP: reached linearly after SECONDS, then kept */
  double seconds;
  const uint64_t *offsets; /* ARRIVAL_REPLAY: nanoseconds from the start, ascending; borrowed */
  size_t noffsets;
  struct random random;
  uint64_t n; /* how many have come */
  double at;  /* seconds, of the last */
};

/* Nanoseconds from the start of the run; false: no more will come. */
bool arrival_next(struct arrival *a, uint64_t *offset_ns);

struct arrival_offsets {
  VEC(uint64_t) ns;
};
/* A file to replay: a line an arrival, seconds from the start, or a JSON object with "timestamp" (seconds; counted from
 * the first).  Empty lines and those that begin with '#' are skipped.  The error names the line. */
int32_t arrival_read(const char *name, const char *text, struct arrival_offsets *out, struct ome_err *err);

#endif
