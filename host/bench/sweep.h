/* A benchmark: every scenario at every concurrency (or rate), one run after another. */
#ifndef HOST_BENCH_SWEEP_H
#define HOST_BENCH_SWEEP_H

#include "base/json.h"
#include "bench/run.h"

#define BENCH_MAX_POINTS 64u /* scenarios; concurrencies; rates */
#define BENCH_MAX_REPEATS 100u
#define BENCH_TIMEOUT_MS 600000u
#define BENCH_STALL_MS 60000u

struct bench_progress {
  const char *scenario;
  uint32_t concurrency;
  double rate;
  size_t point, points; /* the how manieth of how many, from 1 */
  bool warming;
  uint64_t done, failed, active;
  uint64_t wanted;                /* 0: until the time is over */
  double seconds, wanted_seconds; /* 0: until all are done */
};

struct bench_config {
  const char *url; /* of the server; with or without /v1, or of the endpoint itself */
  const char *model;
  enum bench_task task;
  bool stream;
  struct scenario scenarios[BENCH_MAX_POINTS];
  size_t nscenarios; /* 0: the dataset says, or the task's own */
  uint32_t concurrency[BENCH_MAX_POINTS];
  size_t nconcurrency;
  enum arrival_kind arrival;
  double rates[BENCH_MAX_POINTS]; /* of an open loop; a ramp goes from the first to the second */
  size_t nrates;
  const struct arrival_offsets *replay;
  uint64_t requests;             /* a run; 0: see duration */
  uint64_t duration_ns;          /* a run */
  uint32_t turns;                /* of a conversation; 0: 1 */
  uint64_t warmup;               /* requests that count for nothing, before each run */
  uint64_t cooldown;             /* the same, while the last that count end */
  uint64_t timeout_ms, stall_ms; /* 0: BENCH_TIMEOUT_MS, BENCH_STALL_MS */
  uint32_t repeats;              /* of each run; 0: 1 */
  double stable_percent;         /* stop repeating when the throughput is known this well; 0: never */
  uint32_t documents;            /* a request */
  uint64_t seed;
  const char *api_key;        /* secret; NULL: none */
  const char *const *headers; /* further ones, NULL-terminated; may be NULL */
  struct json_object *params; /* borrowed; may be NULL */
  const struct dataset *dataset;
  const char *dataset_name;
  struct tokenizer *tokenizer; /* borrowed: measures prompts, and answers whose tokens the server does not count */
  const char *tokenizer_name;
  struct json_object *metadata; /* borrowed: facts about the service, kept beside the figures; may be NULL */
  /* Each about every 100 ms; false ends the benchmark, keeping what there is. */
  bool (*progress)(void *arg, const struct bench_progress *p);
  /* After each point: R is gone afterwards, FIGURES is its report_run() and borrowed.  May be NULL. */
  int32_t (*point)(void *arg, const struct run *r, struct json_object *figures, struct ome_err *err);
  void *arg;
};

/* new: {schema, config, runs}, as docs/bench.md says.  Partial when PROGRESS ended it.  OME_E_INVALID: the
 * configuration cannot be; failed requests are figures, not errors. */
int32_t bench_sweep(const struct bench_config *cfg, struct json_object **out, struct ome_err *err);

/* new: URL of the requests for TASK on the server at URL; OME_E_INVALID: it is none, or has a user and password. */
int32_t bench_url(const char *url, enum bench_task task, char **out, struct ome_err *err);

/* new: the first model that the server of C, which names none, says it has. */
int32_t bench_find_model(const struct bench_config *c, char **out, struct ome_err *err);

/* The scenarios that are measured where nobody names any; how many. */
size_t bench_default_scenarios(enum bench_task task, struct scenario out[BENCH_MAX_POINTS]);

#endif
