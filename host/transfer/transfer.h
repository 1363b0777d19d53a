/* The transfer engine: a manifest of files into a folder, in parallel ranges, verified.
 *
 * Bytes are gathered in blocks, written to their place in the file and hashed behind the front of what was written:
 * from the block where the hashers keep up, else from the page cache.  Memory is 512 KiB a connection, 4 MiB of blocks
 * that wait to be hashed, 128 KiB a hasher, and a byte for each piece of the files that are being fetched (at most
 * 256), whatever the size of the model.  What was written is remembered in the folder (ledger.h), so that a transfer
 * that was interrupted, killed or refused goes on where it was.  No file counts before its digest was seen to be right.
 */
#ifndef HOST_TRANSFER_TRANSFER_H
#define HOST_TRANSFER_TRANSFER_H

#include "net/http_client.h"
#include "transfer/manifest.h"

#include <stdbool.h>

/* FILE: it is verified, on stable storage and closed; whoever is told may move it away. */
enum transfer_event_type { TRANSFER_PROGRESS, TRANSFER_RETRY, TRANSFER_FILE };

struct transfer_part { /* a file that is under way */
  const char *file;
  uint64_t bytes, size;
};

struct transfer_event {
  enum transfer_event_type type;
  const char *file;    /* NULL: concerns the whole */
  const char *message; /* of a retry; NULL otherwise */
  int32_t code;        /* of a retry: why, OME_E_*; OME_OK where that is not told */
  uint64_t wait_ms;    /* of a retry: until it goes on */
  uint64_t bytes, total_bytes;
  uint64_t fetched; /* bytes that came from a source since the transfer began, those that were no good included */
  uint32_t files, total_files; /* verified, in all */
  double bytes_per_second;
  uint64_t eta_ms;                   /* UINT64_MAX: not known */
  const struct transfer_part *parts; /* of progress: some of the files under way, no small ones */
  uint32_t nparts;
};

/* Others that may have pieces of the same files: other nodes.  The engine asks for each piece where it comes from, says
 * what became of it, and never fails for what another did: it asks again.  Bytes of others are worth no more than any:
 * the digest of the whole file is what counts.  None of the functions may block, except where it says so. */
struct transfer_source {
  uint32_t peer;              /* who; 0: the file's own source */
  char url[512];              /* of a peer: the file's bytes there, ranges of them */
  const struct http_tls *tls; /* of a peer; read during the call that follows */
};
/* All have the same pieces of a file: a multiple of those that have checksums (sums.h). */
#define TRANSFER_SWARM_PIECE(size) ((uint64_t)((size) >> 31 ? 16 : 4) << 20)
/* What became of a piece. */
struct transfer_landed {
  uint64_t index;
  uint32_t peer;  /* 0: the file's own source */
  bool passed_on; /* the peer has it from another one and vouches for nothing: TRANSFER_PASSED_ON */
  uint64_t bytes;
  int32_t code; /* OME_OK: it is on disk */
  const char *why;
};
/* Header of a peer's answer: it has the bytes from another one, and has not verified them. */
#define TRANSFER_PASSED_ON "X-Ome-Passed-On"
struct transfer_swarm {
  void *arg;
  /* F is being fetched in pieces of PIECE bytes into FD (borrowed); DONE[i] is 1 for those that are there.  False:
   * others are not asked for it. */
  bool (*opened)(void *arg, const struct manifest_file *f, int fd, uint64_t piece, const uint8_t *done);
  /* The next piece to fetch of those whose STATE is 0, and where from; -1: none now, it is asked again soon. */
  int64_t (*pick)(void *arg, const struct manifest_file *f, const uint8_t *state, uint64_t npieces,
                  struct transfer_source *out);
  void (*landed)(void *arg, const struct manifest_file *f, const struct transfer_landed *piece);
  /* The whole is not what it should be, and FD will be fetched again, from its own source alone.  May block. */
  void (*corrupt)(void *arg, const struct manifest_file *f, int fd);
  /* It is; FD is about to be closed.  May block. */
  void (*verified)(void *arg, const struct manifest_file *f, int fd);
};

struct transfer_job {
  struct manifest *manifest; /* sha256 of each file is filled in */
  const char *dir;           /* staging folder; made when absent */
  /* Where bytes without a url, and headers of those with one, come from; may be NULL when no file needs it. */
  struct plugin_instance *plugin;
  const struct ome_model_ref *ref;
  uint32_t connections;          /* at a time at most; 0: 16; no more than 64.  How many there are is measured */
  uint64_t piece_bytes;          /* 0: chosen by size and speed, 1 MiB to 64 MiB */
  uint64_t max_bytes_per_second; /* of this job; 0: as parameter maxRate of REF says, without it no bound */
  uint32_t attempts; /* for a piece, without a byte of progress; 0: 6; four times as many while the server says when */
  uint32_t stall_timeout_ms;          /* 0: 30 s */
  uint64_t reserve_bytes;             /* leave this much of the disk free */
  const struct transfer_swarm *swarm; /* NULL: nobody else */
  /* On the caller's thread; progress about every 500 ms.  May be NULL. */
  void (*event)(void *arg, const struct transfer_event *e);
  bool (*cancelled)(void *arg); /* [any-thread]; asked about every 250 ms; may be NULL */
  void *arg;
};

/* A cap for all transfers of the process together; 0: none.  [any-thread] */
void transfer_set_max_rate(uint64_t bytes_per_second);

/* Blocks until every file of the manifest is in DIR and verified, or until it cannot be: DENIED, NOT_FOUND, CORRUPT,
 * NO_SPACE, INVALID need somebody to do something, the rest (err_retryable()) may be tried again.  One call at a time
 * for a DIR. */
int32_t transfer_run(const struct transfer_job *job, struct ome_err *err);

#endif
