/* The inside of a run: its streams, and what makes them start.  All of it belongs to the HTTP client's thread, but for
 * what is under the lock. */
#ifndef HOST_BENCH_DRIVE_H
#define HOST_BENCH_DRIVE_H

#include "bench/answer.h"
#include "bench/run.h"
#include "bench/sse.h"
#include "net/http_client.h"

#include <pthread.h>

/* One user of the server: a request at a time. */
struct stream {
  struct drive *d;
  struct stream *next;      /* of those that are idle */
  struct http_fetch *fetch; /* NULL: idle */
  bool counts;              /* false: keeps the load up while others end, and is no figure */
  uint64_t due_ns;          /* when the request was meant to start; in a closed loop, when the stream was free */
  uint64_t from_ns;         /* what latencies count from: in a closed loop SENT_NS, else DUE_NS */
  uint64_t sent_ns, first_ns, last_ns;
  uint64_t connect_ns; /* how long the request waited for a connection that was made for it; 0: there was one */
  uint64_t end_ns;     /* of the latest bytes */
  uint64_t heard_ns;   /* when text came; 0: none so far */
  uint64_t rest_until_ns;
  int status;
  bool events; /* the answer is an event stream */
  bool cut;
  enum run_error error; /* found before the end */
  struct sse sse;
  struct buf body;
  struct answer answer;
  struct conversation talk;
  uint64_t prompt_tokens; /* as the source counts them */
  struct buf written;     /* by the model, where it is to be counted: the inside of a JSON string */
};

struct drive {
  struct http_client *http;
  const struct run_target *target;
  const struct run_load *load;
  struct request_source *source;
  struct run *run;
  struct random random;
  struct arrival arrival;
  uint64_t start_ns, due_ns; /* DUE_NS: of the next arrival */
  uint64_t tick_ns;          /* the next look at stalls */
  bool arrivals_over, stopped;
  uint64_t started, cooling;          /* counted requests; those that are none */
  uint32_t nstreams, active, counted; /* ACTIVE: that are not idle; COUNTED: of these, with a request that counts */
  struct stream *streams;
  struct stream *idle, *idle_last; /* in the order in which they may start */
  struct buf request;              /* being made */

  pthread_mutex_t lock;
  pthread_cond_t changed;
  struct {
    uint64_t done, failed, active;
    double seconds;
    bool over, stop; /* STOP: the caller wants no more */
  } shared;
};

/* ---- stream.c ---------------------------------------------------------------------------------------------------- */

void run_stream_init(struct stream *s, struct drive *d);
void run_stream_fini(struct stream *s);
/* Sends the next request, of which the drive's source makes the body; DUE_NS as above. */
void run_stream_start(struct stream *s, uint64_t due_ns, bool counts);
/* Ends a request with E and a sentence; drive_ended() follows. */
void run_stream_abort(struct stream *s, enum run_error e, const char *text);
void run_stream_cut(struct stream *s); /* the same, and it was nobody's fault */

/* ---- drive.c ----------------------------------------------------------------------------------------------------- */

/* The stream's request has ended one way or another; S may start again. */
void drive_ended(struct stream *s);

#endif
