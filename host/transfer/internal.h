/* The engine's insides.
 *
 * Threads: the driver (the caller's) decides about failures, renews headers, syncs and reports; the opener opens files
 * ahead of need and asks plugins for headers; each lane is an HTTP client's thread that writes what arrives and takes
 * the next piece itself when one is whole; hashers follow the front of what was written; readers call read() of
 * plugins.  Everything is under one lock except where it says otherwise: it is held for decisions, never while bytes
 * are moved. */
#ifndef HOST_TRANSFER_INTERNAL_H
#define HOST_TRANSFER_INTERNAL_H

#include "base/strmap.h"
#include "net/http_client.h"
#include "transfer/digest.h"
#include "transfer/headers.h"
#include "transfer/ledger.h"
#include "transfer/pace.h"
#include "transfer/transfer.h"

#include <pthread.h>
#include <stdatomic.h>

#define MAX_FLIGHTS 64u
#define MAX_LANES 4u
#define MAX_HASHERS 8u
#define MAX_READERS 8u
#define MAX_OPEN 256u                        /* files that are worked on at a time */
#define LOOKAHEAD 128u                       /* pieces that are ready to be fetched */
#define MAX_CORRUPT 2u                       /* fetched again this often when the digest is wrong */
#define SMALL_FILE ((uint64_t)1 << 20)       /* hashed as it arrives, synced with others */
#define BLOCK_BYTES ((size_t)256 << 10)      /* gathered before they are written; a connection's */
#define MAX_BLOCKS 16u                       /* that wait for a hasher, of all files; 4 MiB */
#define RECEIVE_BUFFER ((uint32_t)256 << 10) /* a connection's; with MAX_FLIGHTS of them 16 MiB */

enum piece_state { PIECE_ABSENT = 0, PIECE_DONE = 1, PIECE_FLYING = 2 };

/* Bytes that came one after the other, on their way into their file and to a hasher. */
struct block {
  struct block *next;
  uint64_t at; /* in the file */
  size_t len;
  uint8_t data[BLOCK_BYTES];
};

/* One file that is worked on: others have none, so that it may be large whatever the number of files. */
struct item {
  struct item *after; /* of those that are over */
  struct manifest_file *file;
  bool small;   /* synced with others */
  bool inlined; /* small, fetched in one piece and not shared: hashed by the lane that writes it */
  bool local;   /* to be cloned or copied from file->local_path, by a hasher */
  int fd;       /* -1: not open */
  uint64_t piece;
  uint64_t npieces, ndone, next; /* pieces before NEXT are not absent */
  uint8_t *state;
  uint32_t flying;
  uint32_t corrupt;    /* times that the digest was wrong */
  bool denied;         /* fresh headers were asked for and did not help yet */
  uint32_t refreshed;  /* times that fresh headers were asked for because of a refusal */
  atomic_bool whole;   /* the server does not do ranges: one piece, from the start */
  atomic_bool restart; /* what is on disk is of another content; nothing more is written */
  bool shared;         /* the swarm says which piece comes from where */
  uint64_t picked_ms;  /* when it last had none */
  struct pace_host *host;
  struct request_headers parts; /* from the plugin */
  bool has_parts;
  uint64_t parts_end_ms; /* on the monotonic clock; 0: they do not expire */
  char *direct;          /* where a redirect to another host led; NULL: not known */
  char etag[256];        /* that all answers must agree on; "" unknown */
  /* hashing */
  struct digests *digests;
  uint64_t hashed, front;            /* bytes; pieces that are there without a gap */
  uint64_t claimed;                  /* bytes: hashed, being hashed, or in the blocks that wait */
  struct block *blocks, *last_block; /* that wait for a hasher, in order; NULL: none */
  bool busy;                         /* a hasher is at it */
  bool checked;                      /* VERDICT is for the driver */
  int32_t verdict;
  struct ome_err err;
};

enum flight_state { FLIGHT_FREE, FLIGHT_WAITING, FLIGHT_QUEUED, FLIGHT_RUNNING, FLIGHT_LANDED };

/* One piece on its way, with its retries: a ranged GET, or a plugin's read().  RUNNING belongs to whoever runs it. */
struct flight {
  struct engine *engine;
  struct http_client *client; /* its lane */
  enum flight_state state;
  struct http_fetch *fetch; /* NULL once it is over */
  struct item *item;
  uint64_t index;               /* of the piece */
  atomic_uint_fast64_t at;      /* next byte to come */
  atomic_uint_fast64_t written; /* bytes before are in the file; AT once it has landed, but for failures of the disk */
  struct block *block;          /* what is between the two; NULL: nothing */
  uint64_t end;                 /* first byte beyond; UINT64_MAX: not known */
  uint64_t not_before_ms;
  char origin[256];   /* of the address that was asked */
  uint32_t attempts;  /* since the last byte of progress */
  uint64_t began_at;  /* AT when it was last started */
  bool direct;        /* sent to item->direct */
  uint32_t peer;      /* of the swarm that it comes from; 0: the file's own source */
  bool passed_on;     /* see struct transfer_landed */
  uint32_t refreshed; /* item->refreshed when it was started */
  bool disk;          /* RC is the disk's fault */
  int status;
  int32_t rc;
  struct ome_err err;
};

struct engine {
  const struct transfer_job *job;
  struct http_client *lanes[MAX_LANES];
  uint32_t nlanes;
  struct ledger *ledger;
  bool *known;              /* of each file: it was verified in another life */
  size_t nfiles, next_file; /* files before were opened, or are known */
  struct item *open[MAX_OPEN];
  size_t nopen;
  struct item *over;    /* verified and closed; the driver frees them, who may be looking at one */
  struct strmap *hosts; /* struct pace_host by name */
  struct pace_growth growth;
  uint32_t nflights; /* at most */
  uint64_t nabsent;  /* pieces of open files that nobody fetches */
  atomic_uint nverified;
  VEC(struct manifest_file *) unsynced; /* verified small files */
  uint64_t synced_ms;
  uint64_t stall_ms;
  int dir;                                      /* job->dir */
  bool in_memory;                               /* DIR is on tmpfs */
  atomic_uint_fast64_t bytes, requests, learnt; /* on disk; answered; of sizes not known before */
  atomic_uint_fast64_t fetched;                 /* see struct transfer_event */
  atomic_uint_fast64_t hashed;                  /* bytes; those of small files are not counted */
  atomic_uint idle_hashers;
  struct block *spare; /* blocks without use */
  uint32_t nblocks;    /* that wait for a hasher */
  atomic_bool stop;
  pthread_mutex_t lock;
  pthread_cond_t news; /* for the driver */
  pthread_cond_t work; /* for hashers */
  pthread_cond_t reads;
  pthread_cond_t opens;   /* for the opener */
  struct ome_err failure; /* the opener's; code OME_OK: none */
  struct flight flights[MAX_FLIGHTS];
  struct pace_bucket bucket;
  /* progress; the driver's */
  uint64_t told_ms, told_bytes;
  double rate;
  atomic_uint_fast64_t shown_rate; /* the same, for others */
};

/* ---- engine.c ---- */
void tell(struct engine *e, enum transfer_event_type type, const char *file);
bool engine_stopped(void *engine);

/* ---- item.c ---- */
/* Whether it was verified in another life, as the ledger says and the file's size; it counts then. */
bool file_is_known(struct engine *e, struct manifest_file *f);
/* Opens F, without the lock; NULL: it cannot be. */
struct item *item_open(struct engine *e, struct manifest_file *f, struct ome_err *err);
void item_free(struct item *it);
/* Everything of the file is absent again; nobody may be at it. */
int32_t item_reset_locked(struct engine *e, struct item *it, struct ome_err *err);
uint64_t item_piece_len(const struct item *it, uint64_t index);
bool item_is_whole(const struct item *it);
/* Asks the plugin how to make requests for IT when that is not known or runs out; leaves the lock while it does. */
int32_t item_refresh_locked(struct engine *e, struct item *it, struct ome_err *err);
bool item_is_stale(const struct engine *e, const struct item *it);
void item_drop_parts(struct item *it);
/* It is verified: closes it.  Whether it is on stable storage, too: small ones are by items_sync(). */
bool item_verified_locked(struct engine *e, struct item *it);
/* Makes verified small files durable and reports them; frees what is over.  The driver's. */
int32_t items_sync(struct engine *e, struct ome_err *err);
void items_free_over(struct engine *e);

/* ---- flight.c ---- */
/* Gives FLIGHT the next piece and starts it; it stays FREE when there is none that may be fetched now. */
void flight_launch_locked(struct flight *f);
/* Starts it from where it is; it is LANDED when that cannot be done. */
void flight_start_locked(struct flight *f);
/* A peer did not give it: others are asked. */
void flight_pass_on_locked(struct flight *f);
void flight_free_locked(struct flight *f, enum piece_state state);
void *flight_reader(void *engine); /* a thread: runs QUEUED flights */
int32_t write_at(int fd, const char *name, const void *data, size_t len, uint64_t at, struct ome_err *err);

/* ---- block.c ---- */
/* LEN bytes came for AT, which follow those before; false: F has failed. */
bool block_add(struct flight *f, const void *data, size_t len, uint64_t at);
/* Writes what is gathered; false: F has failed. */
bool block_flush(struct flight *f);
/* The first block that waits, of an item that has one. */
struct block *block_next_locked(struct engine *e, struct item *it);
void blocks_drop_locked(struct engine *e, struct item *it);
/* Nobody needs it any more. */
void block_give_locked(struct engine *e, struct block *b);
void blocks_free(struct engine *e); /* all of them; nobody else is at it */

/* ---- hash.c ---- */
void *hasher(void *engine); /* a thread */
/* Begins the digests of IT anew. */
bool hash_begin(struct item *it);
/* The digests of IT are over: its verdict. */
int32_t hash_end(struct item *it, struct ome_err *err);

/* ---- local.c: file->local_path into place, as a clone where the file system can; a hasher's ---- */
int32_t local_copy(struct engine *e, struct item *it, struct ome_err *err);

/* How long to wait before attempt ATTEMPT (from 1): exponential with jitter, or what the server asked for. */
uint64_t back_off_ms(uint32_t attempt, uint32_t retry_after_ms);

#endif
