/* Shared by the engine (engine.c) and its ranged requests (flight.c). */
#ifndef HOST_TRANSFER_INTERNAL_H
#define HOST_TRANSFER_INTERNAL_H

#include "net/http_client.h"
#include "transfer/headers.h"
#include "transfer/ledger.h"
#include "transfer/transfer.h"

#include <pthread.h>
#include <stdatomic.h>

#define MAX_FLIGHTS 64u
#define MAX_CORRUPT 2u /* fetched again this often when the digest is wrong */

enum piece_state { PIECE_ABSENT = 0, PIECE_DONE = 1, PIECE_FLYING = 2 };
enum phase { PHASE_FETCH, PHASE_CHECK, PHASE_DONE };

/* One file.  The driver's, except where said. */
struct item {
  struct manifest_file *file;
  enum phase phase;
  int fd; /* -1: not open */
  uint64_t piece;
  uint64_t npieces, ndone, next; /* pieces before NEXT are not absent */
  uint8_t *state;
  uint32_t flying;
  uint32_t corrupt;             /* times that the digest was wrong */
  atomic_bool whole;            /* the server does not do ranges: one piece, from the start.  Set by any thread */
  bool denied;                  /* fresh headers were asked for already */
  atomic_bool restart;          /* what is on disk is of another content; nothing more is written.  Set by any thread */
  struct request_headers parts; /* from the plugin */
  bool has_parts;
  uint64_t parts_end_ms; /* on the monotonic clock; 0: they do not expire */
  char etag[256];        /* that all answers must agree on; under lock; "" unknown */
  /* the checker's verdict; under lock */
  struct item *next_check;
  bool checked;
  int32_t verdict;
  struct ome_err err;
};

enum flight_state { FLIGHT_FREE, FLIGHT_WAITING, FLIGHT_RUNNING, FLIGHT_LANDED };

/* One ranged GET and its retries. */
struct flight {
  struct engine *engine;
  enum flight_state state;  /* under lock */
  struct http_fetch *fetch; /* under lock; NULL once it is over */
  struct item *item;
  uint64_t index;   /* of the piece */
  uint64_t at, end; /* next byte to write, first byte beyond; the client's thread while RUNNING */
  uint64_t not_before_ms;
  uint32_t attempts; /* since the last byte of progress */
  uint64_t began_at; /* AT when it was last started */
  int status;
  int32_t rc;
  struct ome_err err;
};

struct engine {
  const struct transfer_job *job;
  struct http_client *client;
  struct ledger *ledger;
  struct item *items;
  size_t nitems;
  size_t first_open; /* items before are done */
  uint32_t nflights;
  uint32_t nverified;
  uint64_t stall_ms;
  atomic_uint_fast64_t bytes; /* on disk */
  atomic_bool stop;
  pthread_mutex_t lock;
  pthread_cond_t landed; /* for the driver */
  pthread_cond_t work;   /* for the checkers */
  struct item *checks;   /* waiting; under lock */
  struct flight flights[MAX_FLIGHTS];
  /* progress */
  uint64_t told_ms, told_bytes;
  double rate;
};

/* Starts FLIGHT's request from where it is; it is LANDED when that cannot be done. */
void flight_start(struct flight *f);

/* How long to wait before attempt ATTEMPT (from 1): exponential with jitter, or what the server asked for. */
uint64_t back_off_ms(uint32_t attempt, uint32_t retry_after_ms);

/* Pwrites all of DATA. */
int32_t write_at(int fd, const char *name, const void *data, size_t len, uint64_t at, struct ome_err *err);

#endif
