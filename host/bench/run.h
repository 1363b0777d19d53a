/* One run: load of one kind against one server, and what came of it.
 *
 * Memory does not grow with the length of a run: a run holds six histograms of 270 KiB, at most RUN_MAX_RECORDS
 * records of 56 bytes and RUN_MAX_SLOTS slots of a timeline.  A stream holds its request's body, and of the answer at
 * most SSE_MAX_EVENT twice, or RUN_MAX_ANSWER where the answer is not streamed; of a conversation CONVERSATION_MAX. */
#ifndef HOST_BENCH_RUN_H
#define HOST_BENCH_RUN_H

#include "bench/arrival.h"
#include "bench/histogram.h"
#include "bench/request.h"
#include "bench/scenario.h"

#define RUN_MAX_STREAMS 20000u
#define RUN_MAX_RECORDS 100000u
#define RUN_MAX_SLOTS 240u
#define RUN_MAX_ANSWER ((size_t)8 << 20)

/* Why a request counts as failed. */
enum run_error {
  RUN_OK,
  RUN_CONNECTION,   /* no connection, or closed before an answer began */
  RUN_TIMEOUT,      /* not done within the time for a request */
  RUN_STALL,        /* nothing came for too long after the first token */
  RUN_CLOSED,       /* the answer ended before it was complete */
  RUN_MALFORMED,    /* no events, or no JSON in one */
  RUN_TOO_LONG,     /* an event or answer beyond the bound */
  RUN_EMPTY,        /* complete, but without what was asked for */
  RUN_API,          /* status 200, and an error inside */
  RUN_RATE_LIMITED, /* 429 */
  RUN_CLIENT,       /* another 4xx, or a redirect */
  RUN_SERVER,       /* 5xx */
  RUN_ERRORS
};
const char *run_error_name(enum run_error e); /* "rate-limited" */

/* Who says how many tokens an answer had. */
enum tokens_source {
  TOKENS_PIECES,  /* nobody: pieces were counted */
  TOKENS_COUNTED, /* the tokenizer, from the text */
  TOKENS_USAGE,   /* the server */
  TOKENS_SOURCES
};

struct run_record {
  double start_s; /* of the intended start, from the run's */
  double ttft_ms, e2e_ms, tpot_ms;
  uint32_t input_tokens, output_tokens;
  uint16_t status;
  uint8_t error; /* enum run_error */
};

struct run_slot { /* of the timeline */
  uint32_t completed, failed, tokens, active;
  double ttft_ms_sum;
  uint32_t ttft_count;
};

/* What a run is to be like. */
struct run_load {
  struct scenario scenario;
  bool has_scenario;    /* false: the dataset says */
  uint32_t concurrency; /* streams at a time; of an open loop: at most */
  struct arrival arrival;
  uint64_t requests;    /* 0: until the time is over */
  uint64_t duration_ns; /* no request starts later; 0: until all are done */
  uint32_t turns;       /* of a stream's conversation; 0, 1: a request knows of no other */
  uint64_t cooldown;    /* requests beyond these that keep the load up while the last ones end, and count for nothing */
};

struct run_target {
  const char *url;            /* of the requests, whole */
  const char *const *headers; /* as http_request.headers */
  enum bench_task task;
  bool stream;
  struct tokenizer *tokenizer; /* borrowed: counts where the server does not say; NULL: none */
  uint64_t timeout_ms;         /* for a request */
  uint64_t stall_ms;           /* between two pieces of a stream */
  /* Asked for about every 100 ms, on the caller's thread; false ends the run, which is then partial. */
  bool (*go_on)(void *arg, uint64_t done, uint64_t failed, uint64_t active, double seconds);
  void *arg;
};

struct run {
  char scenario[SCENARIO_TEXT];
  uint32_t concurrency;
  double rate;                      /* asked for; 0: closed loop */
  uint64_t requests, completed;     /* ended either way, and well */
  uint64_t errors[RUN_ERRORS];      /* [RUN_OK] is unused */
  char error_text[RUN_ERRORS][200]; /* the first of each */
  uint64_t cut;                     /* were running when the run was stopped */
  uint64_t unsent;                  /* of an open loop: were due, but no stream was free before the time was over */
  uint64_t input_tokens, output_tokens;
  uint64_t counted[TOKENS_SOURCES]; /* requests by who counted their tokens */
  double seconds;                   /* from the start to the last answer */
  struct histogram ttft, tpot, itl, e2e;
  struct histogram late;    /* how long after its intended time a request was handed to the network */
  struct histogram connect; /* that wait, of requests for which a connection was made */
  VEC(struct run_record) records;
  struct run_slot slots[RUN_MAX_SLOTS];
  double slot_seconds;
  double timeline_seconds; /* to the last answer; SECONDS of one run, of several the first's */
  uint32_t nslots;
  bool partial;
};

/* Runs LOAD against TARGET through HTTP, which the run has for itself.  Blocks.  Requests that fail are counted, never
 * an error of the run; OME_E_NO_MEMORY is. */
struct http_client;
int32_t run_load(struct http_client *http, const struct run_target *target, struct request_source *source,
                 const struct run_load *load, struct run *out, struct ome_err *err);
void run_fini(struct run *r);

/* ---- tally.c: what becomes of one request ------------------------------------------------------------------------ */

/* One request that has ended; times in nanoseconds of one clock, 0: did not happen. */
struct run_outcome {
  enum run_error error;
  uint16_t status;
  bool cut;
  uint64_t start_ns;    /* of the run */
  uint64_t due_ns;      /* it was meant to start */
  uint64_t intended_ns; /* what its latencies count from */
  uint64_t sent_ns, first_ns, last_ns, end_ns;
  uint64_t connect_ns; /* a duration; 0: there was a connection */
  uint64_t input_tokens, output_tokens;
  enum tokens_source source;
};
void run_tally(struct run *r, const struct run_outcome *o);
/* N tokens at NOW_NS after the run's start, ACTIVE streams then. */
void run_tally_tokens(struct run *r, uint64_t now_ns, uint32_t n, uint32_t active);
/* FROM into INTO, for several runs of one kind; figures add up, seconds too. */
void run_merge(struct run *into, const struct run *from);

#endif
